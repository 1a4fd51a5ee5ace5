"""Data sets: their rows, fingerprints and descriptions."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aecli.config import SplitName
from aecli.data import DataDescription, Dataset, open_dataset
from aecli.data.idx import read_idx
from aecli.errors import InputError
from aecli.validated import read_as
from tests.data.examples import PIXELS
from tests.helpers import tiny_dataset, write_idx

PARTS: tuple[SplitName, ...] = ("train", "validation", "test")


def test_splits_are_rows_in_file_order(digits: Dataset) -> None:
    parts = [digits.split(name) for name in PARTS]
    whole = digits.split("all")
    np.testing.assert_array_equal(np.concatenate([part.images for part in parts]), whole.images)
    labels = [label for part in parts if part.labels is not None for label in part.labels]
    assert whole.labels is not None
    assert labels == whole.labels.tolist()


def test_the_fingerprint_sees_one_pixel(idx_folder: Path) -> None:
    before = open_dataset(str(idx_folder))
    images = read_idx(idx_folder / "t10k-images-idx3-ubyte", ndim=3).copy()
    images[39, 5, 4] ^= 1
    write_idx(idx_folder / "t10k-images-idx3-ubyte", images)
    assert open_dataset(str(idx_folder)).fingerprint != before.fingerprint


def test_descriptions_survive_json(digits: Dataset) -> None:
    description = digits.describe()
    values = json.loads(json.dumps(description.to_json()))
    assert read_as(DataDescription, values, "x") == description
    with pytest.raises(InputError, match="x is damaged: object missing required field source"):
        read_as(DataDescription, {"name": "digits"}, "x")
    with pytest.raises(InputError, match="x cannot be used: the numbers of rows are not those of"):
        read_as(DataDescription, {**values, "rows": {"train": 3}}, "x")


@pytest.mark.parametrize("rows", [1, 2])
def test_few_images_can_be_encoded_but_not_split(tmp_path: Path, rows: int) -> None:
    np.save(tmp_path / "few.npy", PIXELS[:rows])
    dataset = open_dataset(str(tmp_path / "few.npy"))
    assert len(dataset.split("all").images) == rows
    with pytest.raises(InputError, match=f"has {rows} images?, too few for a validation split"):
        dataset.split("validation")


def test_batches_are_the_rows_of_a_split_in_order() -> None:
    dataset = tiny_dataset()
    drawn = replace(dataset, splits={"train": np.array([2, 5, 7, 200, 299])})
    for data, rows in ((dataset, np.arange(200)), (drawn, np.array([2, 5, 7, 200, 299]))):
        batches = list(data.batches("train", 3))
        assert [len(batch) for batch in batches[:-1]] == [3] * (len(batches) - 1)
        np.testing.assert_array_equal(np.concatenate(batches), dataset.images[:][rows])


def test_a_sample_is_spread_evenly_over_a_split() -> None:
    images = np.arange(300, dtype=np.uint16).reshape(300, 1, 1, 1)
    dataset = replace(tiny_dataset(), images=images, labels=np.arange(300))
    sample = dataset.sample("validation", 4)
    assert sample.images.ravel().tolist() == [200, 210, 220, 230]
    assert sample.labels is not None
    assert sample.labels.tolist() == [200, 210, 220, 230]
    assert len(dataset.sample("validation", 99).images) == 40


def test_the_mean_image_is_in_0_to_1() -> None:
    dataset = tiny_dataset()
    expected = (dataset.images[:][200:240] / 255).mean(axis=0)
    np.testing.assert_allclose(dataset.mean_image("validation"), expected, rtol=1e-12)


def test_names_and_labels_are_those_of_the_rows() -> None:
    names = tuple(f"{row}.png" for row in range(300))
    dataset = replace(tiny_dataset(), row_ids=names, labels=np.arange(300) // 10)
    assert dataset.row_ids_of("validation") == names[200:240]
    labels = dataset.labels_of("validation")
    assert labels is not None
    assert labels.tolist() == [20] * 10 + [21] * 10 + [22] * 10 + [23] * 10
    assert tiny_dataset().row_ids_of("test") is None
    assert tiny_dataset().labels_of("test") is None


def test_the_digest_of_splits_sees_one_row() -> None:
    dataset = tiny_dataset()
    other = dict(dataset.splits) | {"test": slice(240, 299)}
    assert replace(dataset, splits=other).splits_digest != dataset.splits_digest
    # Checkpoints hold these digests.
    assert dataset.splits_digest == (
        "28e2b995014e9fe282ce6483545ea0d324bf0bc6a84430aab3b90dc3c0f31d19"
    )


def test_sizes_are_those_of_the_pixels() -> None:
    dataset = tiny_dataset()
    assert (dataset.nbytes, dataset.image_bytes, dataset.image_shape) == (4800, 16, (4, 4, 1))


def test_the_digest_of_labels_sees_their_values_and_their_names(digits: Dataset) -> None:
    assert digits.labels is not None
    assert digits.class_names is not None
    # The same classes, called by other numbers or by other names.
    renamed = replace(digits, labels=(digits.labels + 1) % 10)
    named = replace(digits, class_names=digits.class_names[::-1])
    unlabelled = replace(digits, labels=None)
    digests = {one.labels_digest for one in (digits, renamed, named, unlabelled)}
    assert len(digests) == 4
    assert replace(digits, labels=digits.labels.copy()).labels_digest in digests
