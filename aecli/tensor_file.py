"""Safetensors files with a checksum: tensors by name, and one JSON object about them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli import files, json_text
from aecli.errors import InputError
from aecli.memory import refuse_beyond_memory
from aecli.printable import printable

Tensors = Mapping[str, npt.NDArray[Any]]

# One key: safetensors writes several in any order, and the same content gives the same bytes.
_METADATA_KEY = "aecli"
# The types that numpy has too.
_TYPES = {"BOOL", "U8", "I8", "U16", "I16", "F16", "U32", "I32", "F32", "U64", "I64", "F64"}
_MOST_AXES = 8
_LONGEST_AXIS = 2**31
# Above this size the memory is looked at before the tensors are read.
_LARGE = 100_000_000


def to_bytes(tensors: Tensors, about: Mapping[str, Any]) -> bytes:
    """Return the bytes of a file of tensors and JSON about them, with a checksum over all of it."""
    from safetensors.numpy import save

    text = json.dumps({"sha256": digest(about, tensors), **about}, allow_nan=False)
    # It takes the bytes as they lie in memory.
    in_order = {name: np.require(tensor, requirements="C") for name, tensor in tensors.items()}
    return save(in_order, metadata={_METADATA_KEY: text})


def read(
    path: Path, *, with_tensors: bool = True
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Return the tensors of a file, and the JSON object about them, neither of them checked.

    Raises:
        InputError: it is missing, or not a whole file of this kind.

    """
    from safetensors import SafetensorError, safe_open

    try:
        with files.open_regular(path) as file:
            size = file.seek(0, 2)
        if size > _LARGE and with_tensors:
            refuse_beyond_memory(size, str(path), "expected a smaller file")
        with safe_open(path, framework="numpy") as content:
            text = (content.metadata() or {}).get(_METADATA_KEY)
            names = content.keys() if with_tensors else ()
            for name in names:
                _check_tensor(path, name, content.get_slice(name))
            tensors = {name: content.get_tensor(name) for name in names}
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except SafetensorError as error:
        reason = printable(str(error))
        raise InputError(f"{path} is not a whole safetensors file: {reason}") from error
    if text is None:
        raise InputError(f"{path} is a safetensors file, but not one of aecli")
    about = json_text.parse(text, f"the metadata of {path}")
    if not isinstance(about, dict):
        raise InputError(f"the metadata of {path} is damaged: expected one JSON object")
    return tensors, about


def digest(about: Mapping[str, Any], tensors: Tensors) -> str:
    """Return the SHA-256 over JSON and names, types, shapes and bytes of tensors, in hex."""
    whole = hashlib.sha256(json.dumps(about).encode())
    for name, tensor in sorted(tensors.items()):
        whole.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
        whole.update(np.ascontiguousarray(tensor).data)
    return whole.hexdigest()


def check_digest(about: Mapping[str, Any], tensors: Tensors) -> None:
    """Raise `InputError` where the content of a file is not that of its checksum."""
    content = {name: value for name, value in about.items() if name != "sha256"}
    if about.get("sha256") != digest(content, tensors):
        raise InputError("it is damaged: its content is not that of its checksum")


def first_not_finite(tensors: Tensors) -> str | None:
    """Return the name of the first tensor that holds NaN or infinity."""
    return next((name for name, values in tensors.items() if not np.isfinite(values).all()), None)


def _check_tensor(path: Path, name: str, tensor: Any) -> None:
    kind, shape = tensor.get_dtype(), tensor.get_shape()
    if kind not in _TYPES:
        raise InputError(f"{path} has the tensor {name!r} of type {kind}, which numpy lacks")
    if len(shape) > _MOST_AXES or any(length > _LONGEST_AXIS for length in shape):
        raise InputError(f"{path} has the tensor {name!r} of an impossible shape")
