"""Files that cannot be read safely, or only unpacked: a line says what to do with them."""

import re
from pathlib import Path

from aecli.data.dataset import Dataset
from aecli.data.format import Format
from aecli.data.progress import Bar
from aecli.data.reading import first_bytes
from aecli.data.source import Source
from aecli.errors import InputError
from aecli.files import kind_of

_AS_NPY = "save its array with numpy.save, as .npy"
_PICKLE = f"holds a program of Python (pickle), which is not run: {_AS_NPY}"
_BY_SUFFIX = {
    ".pt": _PICKLE,
    ".pth": _PICKLE,
    ".pkl": _PICKLE,
    ".pickle": _PICKLE,
    ".joblib": _PICKLE,
    ".tfrecord": f"is TFRecord, which is not read: {_AS_NPY}, or its images as files or tar",
    ".tfrecords": f"is TFRecord, which is not read: {_AS_NPY}, or its images as files or tar",
    ".mdb": f"is LMDB, which is not read: {_AS_NPY}, or its images as files or tar",
    ".lmdb": f"is LMDB, which is not read: {_AS_NPY}, or its images as files or tar",
    ".rar": "is an archive that is not read: unpack it",
    ".7z": "is an archive that is not read: unpack it",
}
# A pickle of version 2 or later.
_PICKLE_START = re.compile(rb"\x80[\x02-\x05]", re.DOTALL)
_CIFAR_BATCH = re.compile(r"data_batch_[1-5]|test_batch")


def _reason(path: Path, start: bytes) -> str | None:
    """Return why a file or folder is not read, and what to do; None for all others."""
    if path.is_dir():
        if kind_of(path / "data.mdb") in ("file", "special"):
            return _BY_SUFFIX[".mdb"]
        if all(kind_of(path / name) == "file" for name in ("data_batch_1", "test_batch")):
            return (
                "has CIFAR's batches for Python (pickle), which are not run: fetch the binary "
                "version, or `aecli data fetch cifar10`"
            )
        return None
    if _PICKLE_START.match(start) or _CIFAR_BATCH.fullmatch(path.name):
        return _PICKLE
    return _BY_SUFFIX.get(path.suffix.lower())


def _read(source: Source, bar: Bar) -> Dataset:
    path = Path(source.location)
    # The second is for a file that was changed since it was matched.
    start = b"" if path.is_dir() else first_bytes(path)
    raise InputError(f"{path} {_reason(path, start) or _PICKLE}")


FORMAT = Format(
    description="what is not read",
    matches=lambda path, start: _reason(path, start) is not None,
    read=_read,
    priority=2,
    is_refused=True,
)
