"""The table of formats: each is one module, and knows its own data and no other."""

import os
import pkgutil
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import aecli
from aecli.data import Source, catalogue, formats, open_dataset
from aecli.data.reading import first_bytes
from aecli.errors import InputError
from tests.data import examples
from tests.helpers import write_idx_folder

MODULES = {
    module.name: import_module(f"aecli.data.formats.{module.name}")
    for module in pkgutil.iter_modules(formats.__path__)
}


def test_every_module_is_in_the_table_and_has_an_example() -> None:
    assert {module.FORMAT for module in MODULES.values()} == set(formats.FORMATS)
    assert len(formats.FORMATS) == len(MODULES)
    assert set(examples.FORMATS) == set(MODULES)


def test_formats_are_tried_in_a_fixed_order() -> None:
    names = {module.FORMAT: name for name, module in MODULES.items()}
    assert [names[form] for form in formats.FORMATS] == [
        "refused",
        "idx_folder",
        "table",
        "tar_archive",
        "zip_archive",
        "cifar10",
        "hdf5",
        "idx_file",
        "matlab",
        "npy",
        "npz",
        "parquet",
        "image_file",
        "image_folder",
    ]
    assert [form.fallback for form in formats.FORMATS] == [False] * 13 + [True]


@pytest.mark.parametrize("name", examples.FORMATS)
def test_a_format_matches_its_own_examples_and_no_other(name: str, tmp_path: Path) -> None:
    for number, write in enumerate(examples.FORMATS[name]):
        place = tmp_path / str(number)
        place.mkdir()
        write(place / "x")
        (path,) = place.iterdir()
        start = first_bytes(path) if path.is_file() else b""
        matching = {
            other
            for other, module in MODULES.items()
            if module.FORMAT.matches(path, start) and not module.FORMAT.fallback
        }
        assert matching == ({name} if name != "image_folder" else set())
        assert catalogue.format_of(path) is MODULES[name].FORMAT
        assert len(open_dataset(str(path)).images) >= 12


@pytest.mark.parametrize("name", examples.FORMATS)
def test_labels_of_their_own_are_refused_where_the_data_have_labels(
    name: str, tmp_path: Path
) -> None:
    for number, write in enumerate(examples.FORMATS[name]):
        place = tmp_path / str(number)
        place.mkdir()
        write(place / "x")
        (path,) = place.iterdir()
        expected = np.arange(len(open_dataset(str(path)).images)) // 30
        labels_path = tmp_path / "labels.npy"
        labels_path.write_bytes(examples.npy(expected))
        source = Source(str(path), labels=str(labels_path))
        if (refusal := MODULES[name].FORMAT.labels_refusal) is None:
            labels = open_dataset(source).labels
            assert labels is not None
            assert labels.tolist() == expected.tolist()
        else:
            with pytest.raises(InputError) as caught:
                open_dataset(source)
            assert str(caught.value) == f"{path} {refusal}: leave out --labels"


def test_a_folder_of_two_formats_is_the_one_that_is_tried_first(tmp_path: Path) -> None:
    folder = tmp_path / "all"
    examples.write_images(folder)
    examples.write_parquet(folder / "x.parquet")
    assert catalogue.format_of(folder) is MODULES["parquet"].FORMAT
    examples.write_cifar10(tmp_path / "cifar10")
    shutil.copytree(tmp_path / "cifar10", folder, dirs_exist_ok=True)
    assert catalogue.format_of(folder) is MODULES["cifar10"].FORMAT
    write_idx_folder(tmp_path / "idx")
    shutil.copytree(tmp_path / "idx", folder, dirs_exist_ok=True)
    assert catalogue.format_of(folder) is MODULES["idx_folder"].FORMAT


def test_the_message_lists_every_format(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("text")
    os.mkfifo(tmp_path / "fifo")
    expected = ", ".join(form.description for form in formats.FORMATS if not form.is_refused)
    for name in ("x", "fifo"):
        with pytest.raises(InputError) as caught:
            open_dataset(str(tmp_path / name))
        assert str(caught.value).endswith(f": expected {expected}, or a name")


NEW_FORMAT = """
import numpy as np
from pathlib import Path
from aecli.data.format import Format
from aecli.data.single_array import dataset_of_array

FORMAT = Format(
    description="a file of one row of pixels",
    matches=lambda path, first_bytes: first_bytes.startswith(b"ROW"),
    read=lambda source, bar: dataset_of_array(
        source, np.frombuffer(Path(source.location).read_bytes()[3:], np.uint8)[np.newaxis]
    ),
)
"""


def test_a_new_module_makes_a_format_known(tmp_path: Path) -> None:
    package = tmp_path / "aecli"
    shutil.copytree(Path(aecli.__file__).parent, package)
    (package / "data" / "formats" / "a_row.py").write_text(NEW_FORMAT)
    (tmp_path / "x").write_bytes(b"ROW\x05\xff")
    (tmp_path / "unknown").write_bytes(b"text")
    program = (
        "from aecli.data import open_dataset\n"
        "from aecli.errors import InputError\n"
        "print(open_dataset('x').images.ravel().tolist())\n"
        "try:\n"
        "    open_dataset('unknown')\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("[5, 255]\n"), done.stderr
    assert "a file of one row of pixels, " in done.stdout


HEAVY = ("jax", "matplotlib", "PIL", "pyarrow", "requests", "scipy", "sklearn")


def test_knowing_the_formats_imports_nothing_heavy() -> None:
    program = "import sys, aecli.data; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "aecli.data.formats.parquet" in loaded
    assert not loaded & set(HEAVY)
