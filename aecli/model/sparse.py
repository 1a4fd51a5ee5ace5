"""Sparse codes: at most so many numbers of a code differ from 0, those of the largest size.

The k-sparse code of Makhzani and Frey, *k-Sparse autoencoders* (2013), by size in place of value.
"""

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aecli.config import Config
from aecli.model.layers import Dense, Layer

if TYPE_CHECKING:
    import jax


class Largest(Dense):
    """A dense layer of whose results the largest stay, by size; the others become 0.

    Its activation is `largest` and how many stay. Where several are as large as the first that goes
    they go too: never more stay.
    """

    @property
    def kind(self) -> str:
        """That of its product."""
        return Dense.__name__

    def activated(self, values: "jax.Array") -> "jax.Array":
        """Return sums, float32 (n, d), with the largest alone."""
        import jax
        import jax.numpy as jnp

        count = int(self.activation.split()[1])
        sizes = jnp.abs(values)
        first_gone = jax.lax.top_k(sizes, count + 1)[0][:, -1:]
        return jnp.where(sizes > first_gone, values, 0)


def sparse(encoder: tuple[Layer, ...], config: Config) -> tuple[Layer, ...]:
    """Return the layers of an encoder whose codes are as sparse as the config asks for."""
    if config.sparsity is None:
        return encoder
    *others, last = encoder
    values: dict[str, Any] = {one.name: getattr(last, one.name) for one in fields(last)}
    return *others, Largest(**{**values, "activation": f"largest {config.sparsity}"})


def unused_numbers(codes: npt.NDArray[np.float32]) -> int:
    """Return how many numbers are 0 in all codes (n, d)."""
    return int((codes == 0).all(axis=0).sum())
