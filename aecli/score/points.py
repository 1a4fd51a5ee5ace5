"""Numbers of each code, to colour a map by: what can be known, where it goes, and the values."""

import math
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from aecli.config import SplitName
from aecli.data import Dataset
from aecli.memory import refuse_beyond_memory
from aecli.pixels import unit_rows
from aecli.run.points import PER_POINT, PerPointMetric
from aecli.score.baselines import Embedding
from aecli.score.job import RunJob, ScoreJob
from aecli.score.metrics import NoNumber
from aecli.score.scores import per_point_trust
from aecli.score.stability import Stability

# Pixels, as float32, and once more in the search for neighbours.
_BYTES_A_PIXEL = 12

Floats = npt.NDArray[np.float32]


def point_metrics(job: ScoreJob, *, stability: bool) -> list[PerPointMetric]:
    """Return the numbers that can be known of each code of a job.

    The errors need a decoder; how far codes move is known where `stability` is measured.
    """
    there_are = {"images": True, "decoder": isinstance(job, RunJob), "seeds": stability}
    return [metric for metric, one in PER_POINT.items() if there_are[one.needs]]


def check_memory(dataset: Dataset, split: SplitName) -> None:
    """Raise `InputError` where a split is too large for its images to be compared in memory."""
    size = _BYTES_A_PIXEL * dataset.count(split) * math.prod(dataset.image_shape)
    refuse_beyond_memory(size, f"{dataset.name} {split}", "leave out --per-point")


def point_values(
    dataset: Dataset,
    split: SplitName,
    embedding: Embedding,
    errors: Floats | None,
    stability: Stability | None,
) -> dict[PerPointMetric, Floats]:
    """Return the numbers of each code of a split, float32 (n,).

    `trust`: see `per_point_trust`, where there are neighbours; `error`: the errors, where there are
    any; `moved`: see `Stability`, where it was measured.
    """
    values: dict[PerPointMetric, Floats] = {}
    with suppress(NoNumber):
        values["trust"] = per_point_trust(unit_rows(dataset.split(split).images), embedding.codes)
    if errors is not None:
        values["error"] = errors
    if stability is not None:
        values["moved"] = stability.moved
    return values
