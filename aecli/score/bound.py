"""The bound of a variational model: what it takes, and which numbers of the code are unused."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aecli.config import Config
from aecli.model.vae import COLLAPSED
from aecli.printable import plural

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Bound:
    """What the bound of images takes, as means over them.

    `reconstruction`: in nats per image with `bce`, or else the mean squared error of a pixel.
    `divergences`: the KL divergence of each number of the code from the prior, in nats. `in_nats`:
    whether the loss is `bce`, so that both add up to the negative bound.
    """

    reconstruction: float
    divergences: tuple[float, ...]
    in_nats: bool

    @property
    def divergence(self) -> float:
        """The KL divergence of the code of an image, in nats."""
        return sum(self.divergences)

    @property
    def nats(self) -> float | None:
        """The bound from above on the negative log likelihood of an image; None without `bce`."""
        return self.reconstruction + self.divergence if self.in_nats else None

    @property
    def collapsed(self) -> int:
        """How many numbers of the code tell nothing: their Gaussians are the prior."""
        return sum(value < COLLAPSED for value in self.divergences)

    @property
    def note(self) -> str:
        """A line about the numbers of the code that are unused."""
        count = len(self.divergences)
        if not self.collapsed:
            return "no number of the code is collapsed"
        are = "is" if self.collapsed == 1 else "are"
        return (
            f"{self.collapsed} of the {plural(count, 'number')} of the code {are} collapsed, equal "
            f"to the prior (KL below {COLLAPSED:g} nats): a lower --beta uses more of them"
        )


def bound_of(losses: Floats, config: Config) -> Bound:
    """Return the bound of images from their `image_losses`, float32 (n, 1 + d)."""
    reconstruction, *divergences = losses.mean(axis=0, dtype=np.float64).tolist()
    return Bound(reconstruction, tuple(divergences), config.loss == "bce")
