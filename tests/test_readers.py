"""Whatever a file holds, its reader gives a value or one line that names the file.

AECLI_EXAMPLES says how many examples each reader gets.
"""

import contextlib
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aecli import files, json_text, tensor_file
from aecli.config import choose_recipe, read_toml, with_settings
from aecli.data.formats.parquet import read_parquet
from aecli.data.progress import no_bar
from aecli.data.source import Source
from aecli.errors import InputError
from aecli.neighbors import NeighborGraph, load_graph
from aecli.npy import read_npy
from aecli.run.checkpoint import load
from aecli.run.codes import CodeBlocks, provenance_path, read_codes, write_codes
from aecli.run.folder import RunFolder
from tests.data.examples import PIXELS, npy

FUZZ = settings(
    max_examples=int(os.environ.get("AECLI_EXAMPLES", "20")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

NASTY: st.SearchStrategy[Any] = st.sampled_from(
    [
        None, True, False, -1, 0, 1, 2**31, 2**53 + 1, 2**63, 2**64, 10**400, -1e400, 1e400, 1e308,
        5e-324, math.nan, "", "\0", "\ud800", "\udcff", "\n", "a\nb\x1b[31m", "x" * 10_000, [], {},
        [[]], [None], [1e400], {"": 0}, {"\0": {}}, {"\ud800": 1}, "0" * 64, "1", 0.5,
    ]
).map(deepcopy)  # fmt: skip
LEAVES = NASTY | st.integers() | st.floats() | st.text()
ANY_JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)
# What Python's own writer of JSON does not write.
RAW = st.sampled_from(
    ["9" * 5_000, "1e400", "-1e400", "[" * 50_000, '{"a":' * 50_000, "[" * 40 + "]" * 40, "1e", "'"]
)
MARK = "the place of what is raw"


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of a value, and those of all in it."""
    yield place
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from _places(value[key], (*place, key))


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """Return a copy of a value with some of its parts replaced, removed or added."""
    value = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 2))):
        *above, last = draw(st.sampled_from([place for place in _places(value) if place] or [(0,)]))
        outer = value
        for key in above:
            outer = outer[key]
        how = draw(st.sampled_from(["replace", "replace", "replace", "raw", "remove", "add"]))
        if how == "remove":
            del outer[last]
        elif how == "add" and isinstance(outer, dict):
            outer[draw(st.text())] = draw(NASTY)
        else:
            outer[last] = MARK if how == "raw" else draw(NASTY | ANY_JSON)
        if not value:
            break
    return value


@st.composite
def texts(draw: st.DrawFn, value: Any) -> str:
    """Return JSON: any at all, or a valid one that was changed."""
    text = json.dumps(draw(ANY_JSON if draw(st.integers(0, 4)) == 0 else changed(value)))
    return text.replace(f'"{MARK}"', draw(RAW))


def _line_or_value(path: Path, read: Callable[[Path], Any]) -> Any:
    """Return what a reader returns, or None where it says in one line what is wrong."""
    try:
        return read(path)
    except InputError as error:
        message = str(error)
        assert str(path) in message
        assert len(message.splitlines()) == 1, message
        # What a file says of itself must not act on a terminal.
        assert "\x1b" not in message
        message.encode("utf-8", "surrogateescape")
        return None


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty folder, the same for all examples."""
    return tmp_path_factory.mktemp("readers")


@FUZZ
@given(data=st.data())
def test_any_json(place: Path, data: st.DataObject) -> None:
    path = place / "any.json"
    path.write_bytes(
        data.draw(st.binary() | texts({"a": [1, {"b": 2.5}], "c": "d"}).map(str.encode))
    )
    _line_or_value(path, files.read_json)


@FUZZ
@given(value=ANY_JSON)
def test_what_is_written_as_json_is_json(value: Any) -> None:
    def fail(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(json_text.dump(value), parse_constant=fail)


@pytest.fixture(scope="session")
def stored(digits_run: Path) -> tuple[tensor_file.Tensors, dict[str, Any]]:
    """Return what a last checkpoint holds, with a partial epoch of streamed data."""
    tensors, about = tensor_file.read(RunFolder(digits_run).last)
    del about["sha256"]
    about["layout"] = {"block_rows": 64, "buffer_blocks": 2}
    about["partial"] = {"buffers": 3, "losses": {"reconstruction": 0.5}, "finite_steps": 6}
    return tensors, about


def _sealed(text: str, digest: Callable[[dict[str, Any]], str]) -> str:
    """Return the text of a JSON object with a checksum that fits; another text as it is."""
    try:
        about = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(about, dict):
        return text
    about.pop("sha256", None)
    return json.dumps({"sha256": digest(about), **about})


def _write_checkpoint(path: Path, tensors: tensor_file.Tensors, text: str, *, seal: bool) -> None:
    """Write a checkpoint with any text as its metadata; with `seal` its checksum fits."""
    from safetensors.numpy import save_file

    if seal:
        text = _sealed(text, lambda about: tensor_file.digest(about, tensors))
    save_file(dict(tensors), path, metadata={"aecli": text})


@FUZZ
@given(data=st.data())
def test_metadata_of_a_checkpoint(
    place: Path, stored: tuple[tensor_file.Tensors, dict[str, Any]], data: st.DataObject
) -> None:
    tensors, about = stored
    path = place / "metadata" / "best.safetensors"
    path.parent.mkdir(exist_ok=True)
    _write_checkpoint(path, tensors, data.draw(texts(about)), seal=True)
    _line_or_value(path, load)


@FUZZ
@given(data=st.data(), version=st.sampled_from(["v1", "v2", "v3", "v4", "v4-streamed", "v5", "v7"]))
def test_metadata_of_an_older_checkpoint(place: Path, data: st.DataObject, version: str) -> None:
    tensors, about = tensor_file.read(
        Path(__file__).parent / "checkpoints" / version / "last.safetensors"
    )
    path = place / "older" / "best.safetensors"
    path.parent.mkdir(exist_ok=True)
    about.pop("sha256", None)
    _write_checkpoint(path, tensors, data.draw(texts(about)), seal=version != "v1")
    _line_or_value(path, load)


@FUZZ
@given(data=st.data())
def test_header_of_a_checkpoint(place: Path, digits_run: Path, data: st.DataObject) -> None:
    whole = RunFolder(digits_run).best.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + size])
    path = place / "header" / "best.safetensors"
    path.parent.mkdir(exist_ok=True)
    kinds = st.sampled_from(["BF16", "F8_E4M3", "F8_E5M2", "F64", "BOOL", "I32", "F4", "C64"])
    if data.draw(st.booleans()):
        name = data.draw(st.sampled_from([name for name in header if name[0] != "_"]))
        header[name]["dtype"] = data.draw(kinds)
        header[name]["shape"] = data.draw(st.lists(NASTY | st.integers(0, 3)))
        text = json.dumps(header)
    else:
        text = data.draw(texts(header))
    content = text.encode("utf-8", "replace")
    path.write_bytes(len(content).to_bytes(8, "little") + content + whole[8 + size :])
    _line_or_value(path, load)


@FUZZ
@given(data=st.data())
def test_bytes_of_a_checkpoint(place: Path, digits_run: Path, data: st.DataObject) -> None:
    whole = bytearray(RunFolder(digits_run).best.read_bytes())
    path = place / "bytes" / "best.safetensors"
    path.parent.mkdir(exist_ok=True)
    if data.draw(st.booleans()):
        for _ in range(data.draw(st.integers(1, 3))):
            whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    else:
        path.write_bytes(data.draw(st.binary()))
    _line_or_value(path, load)


VALUES = np.arange(12, dtype=np.float32).reshape(6, 2)


@pytest.fixture(scope="session")
def codes(place: Path) -> tuple[Path, dict[str, Any]]:
    """Return the path of codes, and what is stored beside them."""
    path = place / "codes.npy"
    about = {
        "data": "some",
        "source": Source("x", "y", 0.2, 0.3, 7, (0.0, 9.0), (4, 6), True).to_json(),
        "split": "test",
        "fingerprint": "0" * 64,
        "rows": 6,
        "dimensions": 2,
        "class_names": ["a", "b", "c"],
        "row_ids": list("abcdef"),
        "recipe": "map",
        "epoch": 3,
        "trained_on": "some",
        "model_sha256": "1" * 64,
    }
    write_codes(path, CodeBlocks([VALUES], (6, 2), np.array([0, 1, 2] * 2), about))
    return path, json.loads(provenance_path(path).read_text())


@FUZZ
@given(data=st.data())
def test_provenance_of_codes(codes: tuple[Path, dict[str, Any]], data: st.DataObject) -> None:
    path, content = codes
    provenance_path(path).write_text(
        _sealed(
            data.draw(texts(content)),
            lambda about: hashlib.sha256(json.dumps(about).encode()).hexdigest(),
        )
    )
    read = _line_or_value(provenance_path(path), lambda beside: read_codes(path))
    if read is not None and read.provenance is not None:
        assert read.provenance["rows"] == 6
        assert Source.from_json(read.provenance["source"])


@FUZZ
@given(data=st.data())
def test_summary_of_a_run(place: Path, data: st.DataObject) -> None:
    folder = RunFolder(place)
    valid = {"run": "x", "epochs": 3, "test_mse": 0.5, "pca_mse": 0.1, "seconds": 2.0}
    folder.summary.write_text(data.draw(texts(valid)))
    summary = _line_or_value(folder.summary, lambda path: folder.read_summary())
    for value in (summary or {}).values():
        assert value is None or math.isfinite(value)


GRAPH = NeighborGraph(np.array([[1, 2], [0, 2], [1, 0]], np.int32), 0.5, True)


@FUZZ
@given(data=st.data())
def test_neighbors_of_a_run(place: Path, data: st.DataObject) -> None:
    path, key = place / "neighbors.safetensors", {"version": 1, "neighbors": 2}
    about = {"key": key, "variance": GRAPH.variance, "exact": GRAPH.exact}
    _write_checkpoint(path, {"neighbors": GRAPH.neighbors}, data.draw(texts(about)), seal=True)
    read = load_graph(path, key, (3, 2))
    if read is not None:
        np.testing.assert_array_equal(read.neighbors, GRAPH.neighbors)
        assert math.isfinite(read.variance)


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    """Return the header of a `.npy` file, as Python's literals may be."""
    numbers = st.integers() | st.sampled_from([2**31, 2**63, 10**400, -1, True, 1.5, None, "3"])
    shape = draw(st.lists(numbers, max_size=40) | st.lists(st.integers(0, 4), max_size=3))
    kind = draw(
        st.sampled_from(
            ["<f4", "|u1", "<i8", "O", "|O", "<U3", "<M8[s]", "V0", "f4,f4", "(3,)f4", "<U99999999",
             "a", "", ",", "i3", ">c16", "|b1", "?", "<f2", "<g", [("a", "<f4")], 7, None, "\0"]
        )
        | st.text(max_size=5)
    )  # fmt: skip
    order = draw(st.sampled_from([False, True, 1, None]))
    text = repr({"descr": kind, "fortran_order": order, "shape": tuple(shape)})
    if draw(st.integers(0, 3)) == 0:
        bad = [
            "(" * 300,
            "-" * 9_000 + "1",
            "[" * 9_000,
            "9" * 5_000,
            "0x" + "f" * 9_000,
            "{",
            "\0",
        ]
        text = text.replace(
            draw(st.sampled_from(["shape", str(order), ":", "("])), draw(st.sampled_from(bad))
        )
    return text.encode("latin1", "replace")


@FUZZ
@given(data=st.data())
def test_header_of_npy(place: Path, data: st.DataObject) -> None:
    path = place / "any.npy"
    if data.draw(st.booleans()):
        header = data.draw(headers())
        body = data.draw(st.binary(max_size=20))
        path.write_bytes(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little")[:2] + header + body)
    else:
        whole = bytearray(npy(PIXELS[:2]))
        for _ in range(data.draw(st.integers(1, 3))):
            whole[data.draw(st.integers(0, 127))] = data.draw(st.integers(0, 255))
        path.write_bytes(whole)
    _line_or_value(path, read_npy)


@FUZZ
@given(data=st.data())
def test_settings_in_toml(place: Path, data: st.DataObject) -> None:
    path = place / "any.toml"
    name = data.draw(
        st.sampled_from(["epochs", "hidden", "learning-rate", "loss", "seed", "other"])
    )
    values = st.sampled_from(
        ["1", "-1", "0x" + "f" * 6_000, "9" * 5_000, "1e400", "nan", "inf", "''", '"\\u0000"', "[]",
         "[1, 2]", "[" * 2_000, "[" * 60 + "]" * 60, "{a = 1}", "{a=" * 500, "1979-05-27", "true",
         "[0x" + "f" * 6_000 + "]", "{a = 0x" + "f" * 6_000 + "}", "[[[1]]]"]
    )  # fmt: skip
    text = f"{name} = {data.draw(values | st.text(max_size=20))}\n"
    path.write_bytes(data.draw(st.just(text.encode("utf-8", "replace")) | st.binary()))
    read = _line_or_value(path, read_toml)
    if read is not None:
        with contextlib.suppress(InputError):
            with_settings(choose_recipe("plain"), read)


@pytest.fixture(scope="session")
def encoded_image() -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(buffer, "PNG")
    return buffer.getvalue()


@FUZZ
@given(data=st.data())
def test_schema_of_parquet(place: Path, encoded_image: bytes, data: st.DataObject) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = place / "any.parquet"
    valid = {"info": {"features": {"image": {}, "label": {"names": ["a", "b"], "_type": "x"}}}}
    text = data.draw(st.binary() | texts(valid).map(str.encode))
    table = pa.table({"image": [encoded_image] * 4, "label": [0, 1, 0, 1]})
    pq.write_table(table.replace_schema_metadata({"huggingface": text}), path)
    source = Source(str(path))
    dataset = _line_or_value(path, lambda path: read_parquet([path], source, no_bar))
    if dataset is not None and dataset.class_names is not None:
        assert all(isinstance(name, str) for name in dataset.class_names)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[" * 100_000, "more than 32 brackets in brackets"),
        (b'{"a":' * 100_000, "more than 32 brackets in brackets"),
        (b"[" * 33 + b"]" * 33, "more than 32 brackets in brackets"),
        (b"1" * 5_000, "a number of thousands of digits"),
        (b"\xff", "is not valid JSON"),
        (b"", "is not valid JSON"),
    ],
)
def test_json_that_python_cannot_take_is_refused(text: bytes, words: str) -> None:
    with pytest.raises(InputError, match=f"some file .*{words}"):
        json_text.parse(text, "some file")
    assert json_text.parse(b"[" * 32 + b"]" * 32, "some file")


def test_json_that_is_larger_than_memory_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aecli.memory.default_memory", lambda: 100_000_000)
    with pytest.raises(InputError, match="some file takes 320,000,000 bytes"):
        json_text.parse(b" " * 10_000_000, "some file")


def test_nan_and_infinities_are_written_as_null() -> None:
    value = {"a": [math.nan, 1.5, (math.inf, -math.inf)], "b": None, "c": np.float64("nan")}
    assert json.loads(json_text.dump(value)) == {
        "a": [None, 1.5, [None, None]],
        "b": None,
        "c": None,
    }


def test_a_last_checkpoint_without_history_draws_none(digits_run: Path, tmp_path: Path) -> None:
    from aecli.plot.kinds import PLOTS

    run = Path(shutil.copytree(digits_run, tmp_path / "run"))
    shutil.copy(run / "best.safetensors", run / "last.safetensors")
    with pytest.raises(InputError, match=r"last\.safetensors has no history"):
        PLOTS["history"].draw(run)
