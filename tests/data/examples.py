"""Examples of data in every format, as bytes and as files."""

import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from aecli.data.formats.cifar10 import TEST_FILES, TRAIN_FILES
from tests.helpers import write_idx, write_idx_folder

if TYPE_CHECKING:
    import pyarrow as pa

_GENERATOR = np.random.default_rng(0)
PIXELS = _GENERATOR.integers(0, 256, (90, 6, 5), np.uint8)
COLOR = _GENERATOR.integers(0, 256, (6, 5, 3), np.uint8)
# In order, as files in folders of labels are.
LABELS = np.arange(90) // 30

# Those of the images in Parquet.
MANY_PIXELS = _GENERATOR.integers(0, 256, (300, 6, 5), np.uint8)
MANY_LABELS = np.arange(300) % 3
FEATURES = {
    "image": {"_type": "Image"},
    "label": {"names": ["cat", "dog", "emu"], "_type": "ClassLabel"},
}

# What makes a file or folder at a path, or damages the one that is there.
Act = Callable[[Path], object]


def npy(values: object, **options: Any) -> bytes:
    """Return the bytes of a .npy file."""
    file = io.BytesIO()
    np.save(file, np.asarray(values), **options)
    return file.getvalue()


def npy_header(shape: str, dtype: str = "|u1") -> bytes:
    """Return the header of a .npy file, written by hand."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def npz(method: int = zipfile.ZIP_DEFLATED, /, **members: bytes) -> bytes:
    """Return the bytes of a .npz file of .npy files, compressed by a method of zipfile."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


def png(pixels: npt.NDArray[Any] = PIXELS[0]) -> bytes:
    """Return an image as PNG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def eps() -> bytes:
    """Return an image as PostScript, a program."""
    file = io.BytesIO()
    Image.fromarray(COLOR).save(file, "EPS")
    return file.getvalue()


def save_image(path: Path, pixels: npt.NDArray[Any], **options: Any) -> None:
    """Write an image in the format of the suffix, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, *chunks: bytes) -> bytes:
    """Return a PNG, grey and black, whose pixels end early, with more chunks before them."""
    return b"".join(
        [
            png()[:8],
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
            *chunks,
            _chunk(b"IDAT", zlib.compress(bytes(1000))),
            _chunk(b"IEND", b""),
        ]
    )


def wide_png(pixels: npt.NDArray[Any], *chunks: bytes) -> bytes:
    """Return an image of 16 bits and 1 to 4 channels as PNG, which Pillow cannot write."""
    height, width, channels = pixels.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return b"".join(
        [
            png()[:8],
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)),
            *(_chunk(data[:4], data[4:]) for data in chunks),
            _chunk(b"IDAT", zlib.compress(rows)),
            _chunk(b"IEND", b""),
        ]
    )


def wide_tiff(pixels: npt.NDArray[Any], order: str, *, packed: bool) -> bytes:
    """Return colours of 16 bits, in the order "<" or ">" of their bytes, as TIFF."""
    height, width, channels = pixels.shape
    data = pixels.astype(f"{order}u2").tobytes()
    data = zlib.compress(data) if packed else data
    short, long = 3, 4
    entries = [
        (256, long, 1, width), (257, long, 1, height), (258, short, channels, None),
        (259, short, 1, 8 if packed else 1), (262, short, 1, 2), (273, long, 1, 8),
        (277, short, 1, channels), (278, long, 1, height), (279, long, 1, len(data)),
    ]  # fmt: skip
    place = 8 + len(data)
    end = place + 2 + 12 * len(entries) + 4
    packed_entries = b"".join(
        struct.pack(f"{order}HHI", tag, kind, count)
        + (
            struct.pack(f"{order}HH", value, 0)
            if kind == short and value is not None
            else struct.pack(f"{order}I", end if value is None else value)
        )
        for tag, kind, count, value in entries
    )
    return b"".join(
        [
            b"II" if order == "<" else b"MM",
            struct.pack(f"{order}HI", 42, place),
            data,
            struct.pack(f"{order}H", len(entries)),
            packed_entries,
            struct.pack(f"{order}I", 0),
            struct.pack(f"{order}{channels}H", *[16] * channels),
        ]
    )


PNG_BOMB = png_of(60_000, 60_000)
# A comment of 100 MB.
PNG_TEXT_BOMB = png_of(5, 6, _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8))))
NPY_OF_TERABYTES = npy_header("(1000000, 1000, 1000)")
IDX_OF_TERABYTES = b"\0\0\x08\x03" + b"\x7f" * 12


def write_images(folder: Path) -> None:
    """Write a folder of two labels, six images each."""
    for row, pixels in enumerate(PIXELS[:12]):
        save_image(folder / ("cat" if row < 6 else "dog") / f"{row:02}.png", pixels)


def write_parquet(path: Path, rows: slice = slice(None), **options: Any) -> None:
    """Write some of the images with their labels as Hugging Face's library does."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = [
        {"bytes": png(pixels), "path": f"{row}.png"}
        for row, pixels in zip(range(300)[rows], MANY_PIXELS[rows], strict=True)
    ]
    table = pa.table({"image": images, "label": MANY_LABELS[rows]})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(with_features(table), path, **options)


def with_features(table: "pa.Table", features: dict[str, Any] = FEATURES) -> "pa.Table":
    """Return a table with Hugging Face's description of its columns."""
    return table.replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )


def write_cifar10(folder: Path) -> None:
    """Write CIFAR-10's files, of 20 random images each."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name in (*TRAIN_FILES, *TEST_FILES):
        rows = generator.integers(0, 256, (20, 3073), np.uint8)
        rows[:, 0] %= 10
        rows.tofile(folder / name)


def write_bytes(data: bytes) -> Act:
    """Return what writes these bytes."""
    return lambda path: path.write_bytes(data)


def cut(size: int) -> Act:
    """Return what leaves the first bytes of a file."""
    return lambda path: path.write_bytes(path.read_bytes()[:size])


def flipped(data: bytes, index: int) -> bytes:
    """Return data with all bits of one byte flipped."""
    changed = bytearray(data)
    changed[index] ^= 0xFF
    return bytes(changed)


def write_zip(path: Path) -> None:
    """Write a zip of two labels, six images each."""
    with zipfile.ZipFile(path, "w") as archive:
        for row, pixels in enumerate(PIXELS[:12]):
            archive.writestr(f"{'cat' if row < 6 else 'dog'}/{row:02}.png", png(pixels))


def write_stack(path: Path, pages: npt.NDArray[Any] = PIXELS[:12], **options: Any) -> None:
    """Write a TIFF of many pages, or a GIF of many frames."""
    images = [Image.fromarray(page) for page in pages]
    form = "GIF" if path.suffix == ".gif" else "TIFF"
    path.parent.mkdir(parents=True, exist_ok=True)
    images[0].save(path, form, save_all=True, append_images=images[1:], **options)


def write_tar(path: Path) -> None:
    """Write a tar of two labels, six images each."""
    with tarfile.open(path, "w") as archive:
        for row, pixels in enumerate(PIXELS[:12]):
            data = png(pixels)
            info = tarfile.TarInfo(f"{'cat' if row < 6 else 'dog'}/{row:02}.png")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def write_table(path: Path) -> None:
    """Write the images as rows of pixels after their labels."""
    rows = np.column_stack([LABELS, PIXELS.reshape(90, -1)])
    header = ",".join(["label", *(f"pixel{place}" for place in range(30))])
    np.savetxt(path, rows, "%d", ",", header=header, comments="")


def write_hdf5(path: Path) -> None:
    """Write the images as an array of HDF5."""
    import h5py

    with h5py.File(path, "w") as file:
        file["images"] = PIXELS


def write_mat(path: Path) -> None:
    """Write the images as MATLAB does, the last axis counts them."""
    from scipy.io import savemat

    with path.open("wb") as file:
        savemat(file, {"X": np.moveaxis(PIXELS, 0, -1)})


# A small one of each format, by the names of the modules in aecli.data.formats.
FORMATS: dict[str, list[Act]] = {
    "cifar10": [write_cifar10],
    "hdf5": [write_hdf5],
    "idx_file": [
        lambda path: write_idx(path, PIXELS),
        lambda path: write_idx(path.with_suffix(".gz"), PIXELS),
    ],
    "idx_folder": [write_idx_folder],
    "image_file": [write_stack],
    "image_folder": [write_images],
    "matlab": [write_mat],
    "npy": [write_bytes(npy(PIXELS))],
    "npz": [write_bytes(npz(a=npy(PIXELS)))],
    "parquet": [
        write_parquet,
        lambda path: write_parquet(path / "train.parquet"),
        lambda path: write_parquet(path / "data" / "train.parquet"),
    ],
    "refused": [],
    "table": [lambda path: write_table(path.with_suffix(".csv"))],
    "tar_archive": [write_tar],
    "zip_archive": [write_zip],
}
