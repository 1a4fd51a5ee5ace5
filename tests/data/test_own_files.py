from pathlib import Path

import numpy as np
import pytest

from aecli.data import Source, files_of, open_dataset
from aecli.errors import InputError
from aecli.files import refuse_inputs
from tests.data.examples import LABELS, PIXELS, write_images


def test_files_of_the_data_are_not_written_by_any_name(tmp_path: Path) -> None:
    write_images(tmp_path / "photos")
    np.save(tmp_path / "x.npy", PIXELS)
    np.save(tmp_path / "y.npy", LABELS)
    photos = open_dataset(str(tmp_path / "photos"))
    array = open_dataset(Source(str(tmp_path / "x.npy"), labels=str(tmp_path / "y.npy")))
    image = tmp_path / "photos" / "cat" / "00.png"
    (tmp_path / "hard.png").hardlink_to(image)
    for dataset, path in (
        (photos, image),
        (photos, tmp_path / "hard.png"),
        (array, tmp_path / "x.npy"),
        (array, tmp_path / "y.npy"),
    ):
        with pytest.raises(InputError, match="is read too, as"):
            refuse_inputs([path], files_of(dataset))
    # A picture beside the folders of classes is none of the images.
    (tmp_path / "photos" / "map.png").touch()
    for path in (tmp_path / "new.png", tmp_path / "x.npy", tmp_path / "photos" / "map.png"):
        refuse_inputs([path], files_of(photos))


def test_files_of_a_named_data_set_are_known(idx_folder: Path) -> None:
    read = list(files_of(open_dataset(str(idx_folder))))
    assert {path.name for path in read} == {path.name for path in idx_folder.iterdir()}
    assert list(files_of(open_dataset("digits"))) == [Path("digits")]
