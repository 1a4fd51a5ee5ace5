"""Archives, tables and containers that are damaged, lie, or lead elsewhere."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable

import numpy as np

from tests.attack.case import Case, Place, Prepare
from tests.attack.forge import array, run, written
from tests.data import test_tar_file
from tests.data.formats import test_archives, test_refused, test_table


def _hdf5(write: Callable[[object], object]) -> Prepare:
    def prepare(place: Place) -> None:
        import h5py

        with h5py.File(place / "x.h5", "w") as file:
            write(file)

    return prepare


def _bomb() -> bytes:
    """Return a zip of an image that unpacks to 200 MB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(200_000_000))
        archive.writestr("b.png", bytes(200_000_000))
    return file.getvalue()


def _many_links() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for row in range(1000):
            info = tarfile.TarInfo(f"{row}.png")
            info.type, info.linkname = tarfile.SYMTYPE, "../../../../etc/passwd"
            archive.addfile(info)
    return file.getvalue()


def _mat(cut: int) -> bytes:
    from scipy.io import savemat

    file = io.BytesIO()
    savemat(file, {"X": np.zeros((8, 8, 3, 20), np.uint8)}, do_compression=True)
    return file.getvalue()[:cut]


def _no_h5py() -> str | None:
    from importlib.util import find_spec

    return None if find_spec("h5py") else "h5py is not installed"


def _show(name: str, file: str, data: bytes, says: str = "") -> Case:
    return Case(name, f"data show {file}", [written(file, data)], says=says, short=True)


_TABLE = gzip.compress(b"label,a,b,c,d\n" + b"1,2,3,4,5\n" * 400, mtime=0)
_PACKED_TABLES = {
    "that is cut": _TABLE[:-12],
    "of a header alone": _TABLE[:10],
    "of two bytes": _TABLE[:2],
    "with noise in it": _TABLE[:14] + b"\xff\0\xff\0" + _TABLE[18:],
    "of a wrong sum": _TABLE[:-8] + b"noise" + _TABLE[-3:],
    "of nothing": gzip.compress(b""),
    "of a header only": gzip.compress(b"label,a,b,c\n"),
    "of one endless line": gzip.compress(b"1," * 10**7),
    "of what is no text": gzip.compress(bytes(range(256)) * 9),
}
# New data that a run on digits, 8x8 and gray, does not take.
_UNFIT: dict[str, tuple[str, list[Prepare], str]] = {
    "of another size by flag": ("digits --size 9", [run], "--size 9x9 does not fit"),
    "vectors of another length": (
        "x.npy", [run, array("x.npy", np.arange(70.0).reshape(10, 7))], "has vectors of 7 numbers"
    ),
    "of two channels": (
        "x.npy", [run, array("x.npy", np.zeros((9, 8, 8, 2), np.uint8))], "of 2 channels: expected"
    ),
    "of four channels": (
        "x.npy", [run, array("x.npy", np.zeros((9, 8, 8, 4), np.uint8))], "of 4 channels: expected"
    ),
    "arrays in folders": (
        "new", [run, array("new/train/0.npy", np.zeros((9, 8, 8)))], "arrays are read one file at"
    ),
}  # fmt: skip
_FOREIGN = {
    "x.tgz": gzip.compress(_many_links()),
    "x.tar.gz": gzip.compress(_many_links()),
    "x.tar.xz": b"\xfd7zXZ\0" + bytes(64),
    "x.tar.zst": b"\x28\xb5\x2f\xfd" + bytes(64),
    "x.tar.bz2": b"BZh9" + bytes(64),
}


CASES = [
    *(
        _show(f"a zip, {name}", "x.zip", data)
        for name, (data, _) in test_archives.BAD_ZIPS.items()
    ),
    *(
        _show(f"a tar, {name}", "x.tar", data)
        for name, (data, _) in test_archives.BAD_TARS.items()
    ),
    *(
        _show(f"a table, {name}", "x.csv", data)
        for name, (data, _) in test_table.BAD_TABLES.items()
    ),
    *(
        _show(f"headers of a tar, {name}", "x.tar", data)
        for name, (data, _) in test_tar_file.BAD.items()
    ),
    *(
        _show(f"a gzipped table {name}", "x.csv.gz", data, "x.csv.gz")
        for name, data in _PACKED_TABLES.items()
    ),
    *(
        Case(f"encode new images, {name}", f"encode run {new} -o y.npy", prepare, says=says,
             short=True)
        for name, (new, prepare, says) in _UNFIT.items()
    ),
    *(
        _show(f"a refused format, {name}", name, data, "x")
        for name, data in _FOREIGN.items()
    ),
    _show("a tar of links alone", "x.tar", _many_links(), "1,000 links or devices"),
    Case("a zip that unpacks to 400 MB", "data show x.zip", [written("x.zip", _bomb())]),
    *(_show(f"a .mat of {size} bytes", "x.mat", _mat(size)) for size in (9, 128, 140, 160)),
    *(
        _show(f"HDF5 of {size} bytes", "x.h5", (b"\x89HDF\r\n\x1a\n" + bytes(size))[:size])
        for size in (8, 50, 3000)
    ),
    *(_show(f"a pickle called {name}", name, test_refused.PICKLE, "numpy.save")
      for name in ("x.pt", "x.npy.pkl", "x")),
    Case(
        "HDF5 in other files",
        "data show x.h5",
        [_hdf5(lambda file: file.create_dataset(  # type: ignore[attr-defined]
            "x", (2, 3, 3), np.uint8, external=[("/etc/passwd", 0, 18)]
        ))],
        says="stored in other files", short=True, needs=_no_h5py,
    ),
    Case(
        "an array that is not there",
        "data show x.npz:b",
        [lambda place: np.savez(place / "x.npz", a=np.zeros((9, 4, 4)))],
        says="has no array 'b'", short=True,
    ),
    Case(
        "an array of what has none",
        "data show x.npy:b",
        [lambda place: place.array("x.npy", np.zeros((9, 4, 4)))],
        says="has no arrays with names", short=True,
    ),
]  # fmt: skip
