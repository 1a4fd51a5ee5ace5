"""The states of a training that a checkpoint holds: epochs done, a partial epoch, the best one."""

from collections.abc import Mapping
from dataclasses import dataclass

from aecli.validated import Count, Finite, NotNegative, Positive, Text

# The name of the term of the training loss that the validation loss measures too.
RECONSTRUCTION = "reconstruction"
# That of the KL divergence of a variational model, which it measures besides; in nats per image.
DIVERGENCE = "kl"


@dataclass(frozen=True)
class Best:
    """The epoch with the lowest validation loss so far; epoch 0 before the first."""

    epoch: int
    validation_loss: float


@dataclass(frozen=True)
class EpochMetrics:
    """The results of one epoch.

    `losses` has each term of the training loss by name, as the mean over the epoch's steps; weights
    are not in it. `validation_loss` is the mean over the validation images after the last step,
    `learning_rate` that of the last step. `seconds` is wall time.
    """

    epoch: Positive
    losses: Mapping[Text, Finite]
    validation_loss: Finite
    learning_rate: Finite
    images_per_second: NotNegative
    seconds: NotNegative


@dataclass(frozen=True)
class ShuffleLayout:
    """How rows that do not fit into memory pass through it.

    Blocks of `block_rows` successive rows are read in random order; `buffer_blocks` of them fill a
    shuffle buffer, are trained on, and are let go. The order of the batches depends on both.
    """

    block_rows: Positive
    buffer_blocks: Positive

    @property
    def buffer_rows(self) -> int:
        """Rows that are shuffled together."""
        return self.block_rows * self.buffer_blocks


@dataclass(frozen=True)
class PartialEpoch:
    """An epoch of streamed data that was stopped after some shuffle `buffers`.

    `losses` has the sum of each term of the training loss over the steps done; `finite_steps` is
    the number of steps before the first whose loss was not finite.
    """

    buffers: Count
    losses: Mapping[Text, Finite]
    finite_steps: Count
