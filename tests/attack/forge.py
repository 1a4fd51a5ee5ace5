"""Files that lie: changed within, and signed again, so that no checksum tells."""

import hashlib
import json
import os
import re
import socket
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli import tensor_file
from aecli.run import codes as code_files
from tests.attack.case import Place, Prepare

NESTED = "[" * 5_000 + "]" * 5_000
DIGITS = "9" * 5_000
# What may stand in JSON where something else is expected.
VALUES = {
    "null": "null",
    "true": "true",
    "text": '"x"',
    "empty text": '""',
    "a list": "[]",
    "a list of lists": "[[[1]]]",
    "an object": "{}",
    "0.5": "0.5",
    "-1": "-1",
    "2**63": str(2**63),
    "10**30": str(10**30),
    "1e400": "1e400",
    "NaN": "NaN",
    "5,000 digits": DIGITS,
    "nested": NESTED,
    "a NUL": '"a\\u0000b"',
    "half a surrogate": '"\\ud800"',
    "an escape sequence": '"\\u001b[31mred"',
    "100 kB of text": f'"{"x" * 100_000}"',
}
_SENTINEL = "a value to be replaced"

Tensors = Mapping[str, npt.NDArray[Any]]


def run(place: Place) -> None:
    """Copy the run."""
    place.copy("run")


def the_map(place: Place) -> None:
    """Copy the other run, of the default recipe."""
    place.copy("map")


def copied(*names: str) -> Prepare:
    """Return what copies some of the shared files."""

    def prepare(place: Place) -> None:
        for name in names:
            place.copy(name)

    return prepare


def written(name: str, data: bytes | str) -> Prepare:
    """Return what writes a file."""
    content = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    return lambda place: (place / name).write_bytes(content)


def array(name: str, values: npt.ArrayLike) -> Prepare:
    """Return what writes an array."""
    return lambda place: place.array(name, values)


def with_field(text: str, field: str, value: str | None) -> str:
    """Return JSON with a field, `a.b.0`, set to a text that need not be JSON; None takes it out."""
    content = json.loads(text)
    *above, name = field.split(".")
    inner = content
    for part in above:
        inner = inner[int(part)] if isinstance(inner, list) else inner[part]
    if value is None:
        del inner[name]
        return json.dumps(content)
    inner[int(name) if isinstance(inner, list) else name] = _SENTINEL
    return json.dumps(content).replace(f'"{_SENTINEL}"', value)


def _signed(text: str, digest: Callable[[dict[str, Any]], str]) -> str:
    """Return JSON with its checksum made anew, where it can be read at all."""
    try:
        content = json.loads(text)
        if not isinstance(content, dict) or "sha256" not in content:
            return text
        content.pop("sha256")
        made = digest(content)
    except (ValueError, RecursionError):
        return text
    return re.sub(r'(?<=[{ \n])"sha256": "[0-9a-f]*"', f'"sha256": "{made}"', text)


def save_checkpoint(path: Path, tensors: Tensors, text: str) -> None:
    """Write a checkpoint of these tensors and this metadata, signed."""
    from safetensors.numpy import save

    signed = _signed(text, lambda content: tensor_file.digest(content, tensors))
    path.write_bytes(save(dict(tensors), metadata={tensor_file._METADATA_KEY: signed}))


def change_checkpoint(
    path: Path,
    metadata: Callable[[str], str] = lambda text: text,
    tensors: Callable[[dict[str, Any]], Tensors] = lambda tensors: tensors,
) -> None:
    """Change a checkpoint, and sign it."""
    found, about = tensor_file.read(path)
    save_checkpoint(path, tensors(found), metadata(json.dumps(about)))


def metadata(name: str, field: str, value: str | None) -> Prepare:
    """Return what sets a field of a checkpoint's metadata."""
    return lambda place: change_checkpoint(
        place / name, metadata=lambda text: with_field(text, field, value)
    )


def whole_metadata(name: str, text: str) -> Prepare:
    """Return what replaces all of a checkpoint's metadata."""
    return lambda place: change_checkpoint(place / name, metadata=lambda _: text)


def tensors(name: str, change: Callable[[dict[str, Any]], Tensors]) -> Prepare:
    """Return what changes the tensors of a checkpoint."""
    return lambda place: change_checkpoint(place / name, tensors=change)


def provenance(name: str, field: str, value: str | None) -> Prepare:
    """Return what sets a field of the provenance of codes, and signs it."""

    def prepare(place: Place) -> None:
        path = place / name
        text = with_field(path.read_text(), field, value)
        path.write_text(_signed(text, code_files._hash_of_json), errors="surrogateescape")

    return prepare


def codes(
    name: str,
    values: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    **fields: Any,
) -> Prepare:
    """Return what writes codes with labels and a provenance that belong together."""

    def prepare(place: Place) -> None:
        path = place.array(name, np.asarray(values, np.float32))
        found = json.loads((place.shared / "run" / "codes.json").read_text())
        matrix = np.asarray(values, np.float32)
        matrix = matrix[:, np.newaxis] if matrix.ndim == 1 else matrix
        rows, dimensions = matrix.shape
        found |= {"rows": rows, "dimensions": dimensions, "row_ids": None}
        found |= {"codes_sha256": _hash(matrix)} | fields
        found["labels_sha256"] = None
        if labels is not None:
            whole = np.asarray(labels, np.int64)
            place.array(code_files.labels_path(Path(name)).name, whole)
            found["labels_sha256"] = _hash(whole)
        text = _signed(json.dumps(found), code_files._hash_of_json)
        code_files.provenance_path(path).write_text(text)

    return prepare


def _hash(values: npt.NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()


def safetensors(header: str | bytes, data: bytes = b"", length: int | None = None) -> bytes:
    """Return the bytes of a safetensors file with this header."""
    raw = header.encode() if isinstance(header, str) else header
    return (len(raw) if length is None else length).to_bytes(8, "little") + raw + data


def npy(header: str, data: bytes = b"", version: int = 1) -> bytes:
    """Return the bytes of a `.npy` file with this header, whatever it says."""
    text = header.encode("latin-1")
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    length = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + data


def described(shape: str, kind: str = "'|u1'", order: str = "False") -> str:
    """Return the header of a `.npy` file."""
    return f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}"


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    # As a server leaves it; its name may be longer than `socket.bind` takes.
    os.mknod(path, stat.S_IFSOCK | 0o600)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


# What a path may be instead of a file.
SPECIAL: dict[str, Callable[[Path], object]] = {
    "a pipe": _pipe,
    "a socket": _socket,
    "a folder": lambda path: path.mkdir(),
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "a loop": _loop,
    "a link to nothing": lambda path: path.symlink_to("nowhere/nothing"),
}


def special(kind: str, *names: str) -> Prepare:
    """Return what puts something else where files are expected."""

    def prepare(place: Place) -> None:
        for name in names:
            path = place / name
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            path.unlink(missing_ok=True)
            SPECIAL[kind](path)

    return prepare


def flipped(name: str, index: int) -> Prepare:
    """Return what flips all bits of one byte."""

    def prepare(place: Place) -> None:
        data = bytearray((place / name).read_bytes())
        data[index] ^= 0xFF
        (place / name).write_bytes(data)

    return prepare


def cut(name: str, size: int) -> Prepare:
    """Return what leaves the first bytes of a file; a negative number leaves out the last."""
    return lambda place: (place / name).write_bytes((place / name).read_bytes()[:size])


def removed(*names: str) -> Prepare:
    """Return what removes files."""

    def prepare(place: Place) -> None:
        for name in names:
            (place / name).unlink()

    return prepare


def sparse(name: str, header: bytes, size: int) -> Prepare:
    """Return what writes a file of zeros after a header, which take no room on the disk."""

    def prepare(place: Place) -> None:
        with (place / name).open("wb") as file:
            file.write(header)
            file.truncate(len(header) + size)

    return prepare


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
