"""The scores of a map of plain arrays."""

from pathlib import Path
from typing import Any

import numpy as np

from aecli.config import DEFAULT_SAMPLE
from aecli.data import IN_MEMORY, Source, dataset_of
from aecli.python_errors import python_errors
from aecli.run.codes import Codes, as_matrix
from aecli.score import comparison
from aecli.score.job import CodesJob, check_count


def score_map(
    images: Any, codes: Any, labels: Any = None, *, sample: int = DEFAULT_SAMPLE
) -> dict[str, Any]:
    """Return what `aecli score CODES --json` prints: how good a map is, and beside it PCA's.

    Args:
        images: (n, h, w), (n, h, w, c), or vectors (n, p).
        codes: (n, d), whatever made them.
        labels: (n,), classes as whole numbers or texts; -1, NaN and an empty text are unknown.
        sample: how many images' neighbourhoods are compared at most, all with all.

    Returns:
        A dict in JSON's types. `maps` has for `codes` and for `PCA` the numbers, None where there
        is none: `knn_accuracy` (of labels that the 5 nearest other codes predict),
        `trustworthiness` and `continuity` by the number of neighbours, `recall`, `silhouette`,
        `centroid_correlation`; and `why` says why a number is not there.

    Raises:
        ValueError: the arrays cannot be read, or do not fit each other.

    """
    with python_errors():
        values = as_matrix(np.asarray(codes), "codes")
        classes = None if labels is None else np.asarray(labels)
        dataset = dataset_of(np.asarray(images), Source(IN_MEMORY), classes)
        job = CodesJob(Path("codes"), Codes(values), dataset, "all")
        check_count(job.codes_path, job.codes, dataset, "all")
        return comparison.score_map(job, sample=sample).to_json()
