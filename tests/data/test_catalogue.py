"""Data sets by their paths: what is known, what is not, and what belongs together."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aecli.config import Config
from aecli.data import Source, open_dataset, reopen_dataset
from aecli.errors import InputError
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder
from aecli.train.loop import train
from tests.data.examples import LABELS, PIXELS, npy_header, png, save_image
from tests.helpers import write_idx


def test_a_path_that_exists_wins_over_a_name(
    idx_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    idx_folder.rename(idx_folder.with_name("digits"))
    monkeypatch.chdir(idx_folder.parent)
    assert open_dataset("digits").image_shape == (6, 5, 1)


def test_no_path_takes_the_place_of_a_name_that_was_opened(
    idx_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(idx_folder.parent)
    opened = open_dataset("digits")
    idx_folder.rename(idx_folder.with_name("digits"))
    again = reopen_dataset(opened.source)
    assert again.fingerprint == opened.fingerprint
    assert again.source == opened.source


def test_the_same_images_are_the_same_in_every_format(tmp_path: Path, small_config: Config) -> None:
    write_idx(tmp_path / "images.gz", PIXELS)
    write_idx(tmp_path / "images.idx", PIXELS)
    np.save(tmp_path / "images.npy", PIXELS)
    np.save(tmp_path / "channel.npy", PIXELS[..., np.newaxis])
    np.save(tmp_path / "fortran.npy", np.asfortranarray(PIXELS))
    np.savez(tmp_path / "images.npz", PIXELS)
    np.savez_compressed(tmp_path / "small.npz", anything=PIXELS)
    np.save(tmp_path / "y.npy", LABELS)
    write_idx(tmp_path / "y.idx", LABELS.astype(np.uint8))
    for row, image in enumerate(PIXELS):
        save_image(tmp_path / "png" / str(LABELS[row]) / f"{row:02}.png", image)
    images = [{"bytes": png(image), "path": None} for image in PIXELS]
    pq.write_table(pa.table({"image": images, "label": LABELS}), tmp_path / "images.parquet")
    names = "images.gz", "images.idx", "images.npy", "channel.npy", "fortran.npy", "images.npz"
    sources = [
        Source(str(tmp_path / name), labels=str(tmp_path / labels))
        for name in (*names, "small.npz")
        for labels in ("y.npy", "y.idx")
    ]
    sources += [Source(str(tmp_path / "png")), Source(str(tmp_path / "images.parquet"))]
    models: set[str] = set()
    fingerprints: set[str] = set()
    for source in sources:
        dataset = open_dataset(source)
        assert dataset.labels is not None
        assert dataset.labels.tolist() == LABELS.tolist()
        fingerprints.add(dataset.fingerprint)
        folder = RunFolder(tmp_path / "run" / str(len(models)))
        train(dataset, small_config, folder)
        models.add(load(folder.last).model_hash)
    assert len(fingerprints) == len(models) == 1


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Source("x.npy", labels="none.npy"), "no such file of labels"),
        (Source("x.npy", labels="fifo"), "fifo is a pipe, a socket or a device"),
        (Source("x.npy", labels="large.npy"), "large.npy does not fit as labels: expected 90"),
        (Source("x.npy", labels="short.npy"), "expected 90, one for each row, got int64"),
        (Source("x.npy", labels="x.npy"), "does not fit as labels"),
        (Source("k.npz", labels="short.npy"), "in parts that have labels of their own"),
        (Source("digits", labels="short.npy"), "has labels of its own"),
        (Source("x.npy", rescale=(0, 1e-6)), "pixels more than 1,000,000 times as far out"),
        (Source("fifo"), "is neither a file nor a folder"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Source, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", PIXELS)
    np.save("short.npy", LABELS[:5])
    np.savez("k.npz", x_train=PIXELS, x_test=PIXELS)
    os.mkfifo("fifo")
    # It promises a terabyte and has it, but no disk.
    header = npy_header("(1000000000000,)")
    Path("large.npy").write_bytes(header)
    os.truncate("large.npy", len(header) + 10**12)
    with pytest.raises(InputError) as caught:
        open_dataset(source)
    assert words in str(caught.value)


UNKNOWN: dict[str, tuple[bytes, str]] = {
    "text": (b"a,b\n1,2\n", "is not in a format that aecli reads"),
    "nothing": (b"", "is not in a format that aecli reads"),
}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("mnits", r"did you mean 'mnist'\? \(known: digits, mnist, fashion-mnist, cifar10\)"),
        ("kmnist", "kmnist is not fetched by its name: put train-images-idx3-ubyte.gz, t10k-"),
        ("emnist-letters", "emnist-letters is not fetched by its name: put one part's files"),
        ("nothing/here", "no such file or folder: nothing/here"),
        ("~nobody-of-this-name/x", "no such file or folder: ~nobody-of-this-name/x"),
        (__file__, "is not in a format that aecli reads: expected MNIST's folder"),
    ],
)
def test_a_data_set_that_is_not_there(
    source: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AECLI_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match=words):
        open_dataset(source)
