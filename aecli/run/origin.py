"""What new codes say of the model and the images that they come from."""

from typing import Any

from aecli.config import SplitName
from aecli.data import Dataset
from aecli.run.checkpoint import Checkpoint
from aecli.run.part import Part


def origin(
    checkpoint: Checkpoint,
    dataset: Dataset,
    split: SplitName,
    part: Part | None = None,
    *,
    named: bool = True,
) -> dict[str, Any]:
    """Return the provenance of the codes of a split, or of a part of it, in JSON's types.

    A data set that was not `named` is that of the run, whose pixels must be what they were.

    The fields are those of `Provenance` but for the hashes of codes and labels, and for what is
    known of a part once its images are read.

    Raises:
        InputError: the data set has too few images for this split, or for so many parts.

    """
    dataset.rows(split)
    total = dataset.count(split)
    start, stop = part.bounds(total) if part else (0, total)
    row_ids = dataset.row_ids_of(split)
    values = {
        "model_sha256": checkpoint.model_hash,
        "recipe": checkpoint.config.recipe,
        "epoch": checkpoint.epoch,
        "trained_on": checkpoint.data.name,
        "label_weight": checkpoint.config.label_weight,
        "data": dataset.name,
        "source": dataset.source.to_json(),
        "split": split,
        # A part reads its own images alone.
        "fingerprint": None if part else dataset.fingerprint,
        "rows": stop - start,
        "dimensions": checkpoint.config.latent,
        "class_names": dataset.class_names,
        "row_ids": row_ids if row_ids is None else row_ids[start:stop],
        "run_classes": checkpoint.data.all_class_names,
    }
    if part is None:
        return values
    about = {
        "index": part.index,
        "count": part.count,
        "start": start,
        "stop": stop,
        "rows": total,
        "data_fingerprint": None if named else checkpoint.data.fingerprint,
    }
    return {**values, "part": about}
