"""Folders of image files: labels, splits, and what is wrong with them."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecli.cli import main
from aecli.config import Config, SplitName
from aecli.data import Source, open_dataset
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder
from aecli.train.loop import train
from tests.data.examples import (
    COLOR,
    PIXELS,
    PNG_BOMB,
    PNG_TEXT_BOMB,
    Act,
    eps,
    png,
    png_of,
    save_image,
    write_images,
    write_stack,
)
from tests.data.formats.test_image_file import TIFF as STACK


def test_the_same_images_train_the_same_model_as_an_array(
    tmp_path: Path, small_config: Config
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 6, 5), np.uint8)
    for row, image in enumerate(pixels):
        save_image(tmp_path / "files" / str(row // 20) / f"{row:02}.png", image)
    np.save(tmp_path / "images.npy", pixels)
    np.save(tmp_path / "labels.npy", np.arange(60) // 20)
    models: list[tuple[str, str]] = []
    for source in (
        Source(str(tmp_path / "files")),
        Source(str(tmp_path / "images.npy"), labels=str(tmp_path / "labels.npy")),
    ):
        run = RunFolder(tmp_path / f"run{len(models)}")
        train(open_dataset(source), small_config, run)
        models.append((load(run.last).model_hash, load(run.last).data.fingerprint))
    assert models[0] == models[1]


def test_folders_of_splits(tmp_path: Path) -> None:
    for row, pixels in enumerate(PIXELS[:12]):
        split = "train" if row < 8 else "val" if row < 10 else "test"
        save_image(tmp_path / "set" / split / f"label {row % 2}" / f"{row:02}.png", pixels)
    dataset = open_dataset(str(tmp_path / "set"))
    assert dataset.has_own_splits
    assert dataset.class_names == ("label 0", "label 1")
    assert len(dataset.split("train").images) == 8
    validation = dataset.split("validation")
    assert validation.row_ids == ("val/label 0/08.png", "val/label 1/09.png")
    np.testing.assert_array_equal(validation.images[..., 0], PIXELS[8:10])
    test = dataset.split("test")
    assert test.labels is not None
    assert test.labels.tolist() == [0, 1]


def test_images_alone_have_no_labels(tmp_path: Path) -> None:
    for row, pixels in enumerate(PIXELS):
        save_image(tmp_path / "flat" / f"{row:02}.png", pixels)
    (tmp_path / "flat" / "README.txt").write_text("not an image")
    (tmp_path / "flat" / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "flat" / ".hidden.png").write_bytes(b"\0")
    dataset = open_dataset(str(tmp_path / "flat"))
    assert dataset.labels is None
    np.testing.assert_array_equal(dataset.images[:][..., 0], PIXELS)


@pytest.mark.parametrize(
    "name", ["ü ñ.png", "line\nbreak.png", "-dash.png", "a'b\"c.png", b"not utf-8 \xff.png"]
)
def test_odd_names_are_read(tmp_path: Path, name: str | bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    save_image(path, PIXELS[0])
    dataset = open_dataset(str(tmp_path))
    assert len(dataset.images) == 1
    assert dataset.row_ids is not None
    # Not every name of a file is Unicode.
    assert dataset.row_ids[0].encode().endswith(b".png")


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    write_images(tmp_path / "elsewhere")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "a").symlink_to("../elsewhere/dog")
    (tmp_path / "linked" / "b").symlink_to(tmp_path / "elsewhere" / "cat")
    (tmp_path / "linked" / "gone.sock").symlink_to("/dev/null")
    dataset = open_dataset(str(tmp_path / "linked"))
    assert dataset.class_names == ("a", "b")
    np.testing.assert_array_equal(dataset.images[:][:6, ..., 0], PIXELS[6:12])


PNG = png()


def _write(name: str, data: bytes) -> Act:
    def act(folder: Path) -> None:
        (folder / "cat" / name).write_bytes(data)

    return act


def _arrays(folder: Path) -> None:
    for name in ("cat", "dog"):
        shutil.rmtree(folder / name)
    (folder / "train").mkdir()
    for number in range(2):
        np.save(folder / "train" / f"{number}.npy", PIXELS)


def _link(name: str, target: str) -> Act:
    return lambda folder: (folder / "cat" / name).symlink_to(target)


BAD_FOLDERS: dict[str, tuple[Act, str]] = {
    "a text named .png": (_write("x.png", b"hello"), "x.png is not an image that can be read"),
    "an empty file": (_write("x.png", b""), "x.png is not an image"),
    "PNG, only its signature": (_write("x.png", PNG[:8]), "x.png is"),
    "PNG, cut in the header": (_write("x.png", PNG[:20]), "x.png is"),
    "PNG, cut in the pixels": (_write("x.png", PNG[:45]), "x.png is a damaged image"),
    "PNG, a wrong checksum": (
        _write("x.png", PNG[:30] + b"\xff" + PNG[31:]),
        "x.png is",
    ),
    "PNG, a decompression bomb": (_write("x.png", PNG_BOMB), "x.png is refused"),
    "PNG, more pixels than an integer has": (_write("x.png", png_of(2**31 - 1, 2)), "x.png is"),
    "PNG, a comment of 100 MB": (_write("x.png", PNG_TEXT_BOMB), "x.png is a damaged image"),
    "TIFF, absurd": (_write("x.tif", b"II*\0\x08\0\0\0" + b"\xff" * 99), "x.tif is"),
    "PostScript": (_write("x.png", eps()), "x.png is not an image that can be read"),
    "a folder": (lambda folder: (folder / "cat" / "x.png").mkdir(), "x.png is not a file"),
    "a pipe": (lambda folder: os.mkfifo(folder / "cat" / "x.png"), "x.png is not a file"),
    "a device": (_link("x.png", "/dev/zero"), "x.png is not a file: expected an image"),
    "a link to nothing": (_link("x.png", "gone.png"), "x.png is a link that leads nowhere"),
    "a label that is a link to nothing": (
        lambda folder: (folder / "emu").symlink_to("/gone"),
        "emu is a link that leads nowhere",
    ),
    "a circle of links": (_link("again", ".."), "again leads to "),
    "a circle of links to itself": (_link("again", "again"), "again: Too many levels of symbolic"),
    "JPEG, cut": (_write("x.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF"), "x.jpg is"),
    "two sizes": (_write("x.png", png(PIXELS[0][:5])), "expected one size; --size 6x5"),
    "images outside of the labels": (
        lambda folder: (folder / "x.png").write_bytes(PNG),
        "both in folders of labels and outside, such as x.png",
    ),
    "a loop of links": (
        lambda folder: (folder / "cat" / "x.png").symlink_to("x.png"),
        "cannot look at",
    ),
    "a floating-point TIFF": (
        lambda folder: Image.fromarray(np.zeros((6, 5), np.float32)).save(folder / "cat/x.tiff"),
        "has 1 images of 32 bits per pixel, others have 8 or 16",
    ),
    "three broken": (
        lambda folder: [_write(f"{name}.png", b"no image")(folder) for name in "xyz"],
        "has 3 images of 15 that cannot be read, --skip-broken leaves them out: cat/x.png, cat/y",
    ),
    "fifty broken": (
        lambda folder: [_write(f"x{row:02}.png", png()[:60])(folder) for row in range(50)],
        "has 50 images of 62 that cannot be read, --skip-broken leaves them out: cat/x00.png, ",
    ),
    "all broken": (
        lambda folder: [path.write_bytes(PNG[:60]) for path in folder.rglob("*.png")],
        "no other of the 12 images of ",
    ),
    "a broken page": (_write("x.tif", STACK[:-300]), "x.tif is a damaged image"),
    "a stack of another size": (
        lambda folder: write_stack(folder / "cat/x.gif", PIXELS[:3, :4]),
        "cat/x.gif#1 has 4x5 pixels, ",
    ),
    "arrays in folders of splits": (
        _arrays,
        "has no images (left out: 2 .npy): arrays are read one file at a time; name one, or join",
    ),
    "no images": (
        lambda folder: [
            path.rename(path.with_suffix(".txt")).write_text("text")
            for path in folder.rglob("*.png")
        ],
        " .txt): expected files that end in .png",
    ),
}


def test_a_folder_goes_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_images(Path("photos"))
    settings = ["--recipe", "plain", "--epochs", "2", "--hidden", "8"]
    assert main(["train", "photos", "--size", "4x4", *settings]) == 0
    assert main(["encode", "runs/photos", "--split", "all"]) == 0
    codes = json.loads(Path("runs/photos/codes-all.json").read_text())
    assert codes["row_ids"][:2] == ["cat/00.png", "cat/01.png"]
    assert codes["class_names"] == ["cat", "dog"]
    assert main(["plot", "runs/photos/codes-all.npy"]) == 0
    # New images are converted as those of the training were.
    save_image(Path("new/a.png"), PIXELS[0])
    assert main(["encode", "runs/photos", "new", "-o", "new.npy"]) == 0
    assert np.load("new.npy").shape == (1, 2)
    save_image(Path("new/b.png"), COLOR)
    capsys.readouterr()
    assert main(["encode", "runs/photos", "new", "-o", "color.npy"]) == 0
    assert "as the run's: 1 made gray, 2 stretched to 4x4" in capsys.readouterr().err
    assert main(["data", "show", "photos", "--grayscale", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == {"cat": 6, "dog": 6}


def test_a_folder_called_dev_validates(tmp_path: Path) -> None:
    for row, split in enumerate(("train", "dev", "test")):
        save_image(tmp_path / split / f"{row}.png", PIXELS[row])
    dataset = open_dataset(str(tmp_path))
    np.testing.assert_array_equal(dataset.split("validation").images[..., 0], PIXELS[1:2])


def test_validation_images_are_drawn_from_every_class(tmp_path: Path) -> None:
    for row in range(52):
        split = "train" if row < 48 else "val"
        save_image(tmp_path / split / f"c{row % 4}" / f"{row}.png", PIXELS[row])
    dataset = open_dataset(str(tmp_path))
    assert dataset.has_own_splits
    assert dict(dataset.split_names) == {"train": "train", "test": "val"}
    assert dataset.class_names == ("c0", "c1", "c2", "c3")
    splits: list[tuple[SplitName, list[int]]] = [
        ("train", 11 * [0, 1, 2, 3]),
        ("validation", [0, 1, 2, 3]),
    ]
    for split, labels in splits:
        found = dataset.labels_of(split)
        assert found is not None
        assert sorted(found) == sorted(labels)


def test_images_are_known_by_content_and_what_is_left_out_is_counted(tmp_path: Path) -> None:
    for name, kind in (("a.png", "PNG"), ("b.dat", "PPM"), ("c", "PNG"), ("d.avif", "AVIF")):
        Image.fromarray(PIXELS[0]).resize((16, 16)).save(tmp_path / name, kind)
    for name in ("notes.txt", "more.txt", ".hidden", "BMW.csv", "README"):
        (tmp_path / name).write_text("BM is how bitmaps begin")
    dataset = open_dataset(str(tmp_path))
    assert dataset.row_ids == ("a.png", "b.dat", "c", "d.avif")
    assert dataset.left_out == {".txt": 2, "hidden": 1, ".csv": 1, "without a suffix": 1}
