"""Metadata that lie, with checksums that fit; headers of safetensors, of `.npy` and of TOML."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.attack import forge
from tests.attack.case import ANY, BAD, EITHER, GOOD, Case, Place, Prepare
from tests.attack.forge import DIGITS, NESTED, VALUES, described, npy, run, safetensors

BEST, LAST = "run/best.safetensors", "run/last.safetensors"
_RESUME = "train --resume -o run --epochs 5"
_RUN_FILES = ("run/*",)

# Fields of a checkpoint: the file, the command that needs them, and values that may be taken.
_CHECKPOINT: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "format_version": (BEST, "show run", ("true",)),
    "config": (BEST, "show run", ()),
    "config.recipe": (BEST, "show run --json", ("text", "empty text", "100 kB of text")),
    "config.encoder": (BEST, "encode run -o c.npy", ()),
    "config.hidden": (BEST, "encode run -o c.npy", ()),
    "config.latent": (BEST, "show run --shapes", ()),
    "config.epochs": (BEST, "show run", ("2**63", "10**30")),
    "config.learning_rate": (LAST, _RESUME, ("0.5", "2**63", "10**30")),
    "config.patience": (BEST, "show run", ("null", "2**63", "10**30")),
    "data": (BEST, "show run", ()),
    "data.name": (BEST, "show run", ("text", "empty text", "100 kB of text", "an escape sequence")),
    "data.source": (BEST, "encode run -o c.npy", ()),
    "data.source.location": (BEST, "encode run -o c.npy", ()),
    "data.source.labels": (BEST, "encode run -o c.npy", ("null",)),
    "data.source.size": (BEST, "encode run -o c.npy", ("null",)),
    "data.source.rescale": (BEST, "show run --json", ("null",)),
    "data.source.validation": (BEST, "show run", ("0.5",)),
    "data.source.split_seed": (BEST, "show run", ("true", "0.5")),
    "data.image_shape": (BEST, "show run --shapes", ()),
    "data.fingerprint": (BEST, "encode run -o c.npy", ()),
    "data.splits_digest": (BEST, "encode run -o c.npy", ("null",)),
    "data.class_names": (BEST, "show run", ("null", "a list")),
    "data.rows": (BEST, "show run", ()),
    "data.rows.train": (BEST, "show run", ("2**63", "10**30")),
    "epoch": (BEST, "show run --json", ("2**63", "10**30")),
    "best": (BEST, "show run", ()),
    "best.epoch": (BEST, "show run", ("2**63", "10**30")),
    "best.validation_loss": (BEST, "show run --json", ("0.5", "2**63", "10**30")),
    "layout": (LAST, "plot run --kind history -o h.png", ("null",)),
    "partial": (LAST, "plot run --kind history -o h.png", ("null",)),
    "history": (LAST, "plot run --kind history -o h.png", ("a list",)),
    "history.0": (LAST, "plot run --kind history -o h.png", ()),
    "history.0.epoch": (LAST, "plot run --kind history -o h.png", ("0.5", "2**63")),
    "history.0.losses": (LAST, "plot run --kind history -o h.png", ()),
    "history.0.losses.reconstruction": (LAST, "plot run --kind history -o h.png", ("0.5", "2**63")),
    "history.0.validation_loss": (LAST, "plot run --kind history -o h.png", ("0.5", "2**63")),
    "history.0.seconds": (LAST, "score run", ("0.5", "2**63")),
}
# Values that each field gets in turns; the last ones in one field each only.
_TURNS = (
    ("null", "a list", "1e400"),
    ("text", "an object", "-1"),
    ("true", "a list of lists", "2**63"),
    ("0.5", "NaN", "empty text"),
    ("half a surrogate", "10**30", "a NUL"),
)
_EVERYWHERE = {
    "5,000 digits": ("epoch", "config.latent", "data.image_shape", "best.validation_loss"),
    "nested": ("history", "data.class_names", "config.hidden", "layout"),
    "an escape sequence": ("data.name", "config.encoder", "data.source.location", "config.recipe"),
    "100 kB of text": ("data.name", "config.encoder", "data.fingerprint"),
}


_MISSING = ("format_version", "config", "data", "epoch", "best.epoch", "history", "config.latent")


def _checkpoint_cases() -> Iterator[Case]:
    chosen = [
        (field, value)
        for number, field in enumerate(_CHECKPOINT)
        for value in _TURNS[number % 5][number % 2 : 2]
    ]
    chosen += [(field, value) for value, fields in _EVERYWHERE.items() for field in fields]
    for number, (field, value) in enumerate(dict.fromkeys(chosen)):
        file, command, taken = _CHECKPOINT[field]
        yield Case(
            f"{field} is {value}",
            command,
            (run, forge.metadata(file, field, VALUES[value])),
            # What is nearly of the right type may be taken for it.
            EITHER if value in taken or _nearly(field, value) else BAD,
            # One that cannot go on may have begun to.
            leaves=("run/*",) if command == _RESUME else (),
            changes=("run/*",) if command == _RESUME else (),
            short=number % 4 == 0 and command != _RESUME,
        )
    for field in _CHECKPOINT:
        if field in _MISSING:
            yield Case(
                f"{field} is missing",
                _CHECKPOINT[field][1],
                (run, forge.metadata(_CHECKPOINT[field][0], field, None)),
                short=field in ("epoch", "history"),
            )


def _nearly(field: str, value: str) -> bool:
    """Return whether a value may pass for the right type: a number for a number, text for text."""
    numbers = ("epoch", "best.epoch", "validation_loss", "seconds", "epochs", "reconstruction")
    texts = ("name", "recipe", "class_names", "fingerprint")
    return (field.endswith(numbers) and value in ("true", "0.5", "10**30")) or (
        field == "data.name"
        or (field.endswith(texts) and value in ("a NUL", "an escape sequence", "half a surrogate"))
    )


_WHOLE = {
    "empty": "",
    "a list": "[]",
    "a number": "5",
    "null": "null",
    "text": '"x"',
    "nested": NESTED,
    "5,000 digits": DIGITS,
    "an object": "{}",
    "a version to come": '{"format_version": 99, "aecli_version": "9"}',
    "a version of escapes": '{"format_version": 99, "aecli_version": "\\u001b[2J\\n\\n"}',
    "a version of 5,000 digits": f'{{"format_version": {DIGITS}}}',
    "a version of lists": '{"format_version": [5], "sha256": ""}',
    "a checksum that is a list": '{"format_version": 5, "sha256": []}',
    "not JSON": "{",
    "NaN": "NaN",
}


def _f32(shape: tuple[int, ...], start: int, end: int, kind: str = "F32") -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [start, end]}


def _header(**tensors: Any) -> str:
    return json.dumps({"__metadata__": {"aecli": "{}"}, **tensors})


_HEADERS: dict[str, bytes] = {
    "BF16": safetensors(_header(x=_f32((2, 2), 0, 8, "BF16")), bytes(8)),
    "F8": safetensors(_header(x=_f32((8,), 0, 8, "F8_E4M3")), bytes(8)),
    "F8 of five bits": safetensors(_header(x=_f32((8,), 0, 8, "F8_E5M2")), bytes(8)),
    "a type that is none": safetensors(_header(x=_f32((8,), 0, 8, "Q9")), bytes(8)),
    "a type that is a number": safetensors(
        '{"x":{"dtype":3,"shape":[1],"data_offsets":[0,4]}}', bytes(4)
    ),
    "C64": safetensors(_header(x=_f32((1,), 0, 8, "C64")), bytes(8)),
    "BOOL of 2": safetensors(_header(x=_f32((4,), 0, 4, "BOOL")), bytes([2, 3, 4, 5])),
    "a shape of 2**64": safetensors(_header(x=_f32((2**64 - 1, 2**64 - 1), 0, 4)), bytes(4)),
    "a negative shape": safetensors(_header(x=_f32((-1,), 0, 4)), bytes(4)),
    "200 axes": safetensors(_header(x=_f32((1,) * 200, 0, 4)), bytes(4)),
    "tensors of no numbers": safetensors(_header(x=_f32((0, 10**12), 0, 0))),
    "offsets backwards": safetensors(_header(x=_f32((1,), 8, 4)), bytes(8)),
    "offsets that overlap": safetensors(_header(x=_f32((1,), 0, 4), y=_f32((1,), 0, 4)), bytes(4)),
    "offsets beyond the end": safetensors(_header(x=_f32((2**40,), 0, 2**42))),
    "an empty header": safetensors("{}"),
    "no header": safetensors(""),
    "a header of 2**63": safetensors("{}", length=2**63),
    "a header of a list": safetensors("[]"),
    "a header of null": safetensors("null"),
    "a header that nests": safetensors(NESTED),
    "a header that is no text": safetensors(b"\xff\xfe\x00"),
    "metadata of numbers": safetensors('{"__metadata__": {"aecli": 5}}'),
    "metadata of a list": safetensors('{"__metadata__": ["aecli"]}'),
    "10,000 tensors": safetensors(
        _header(**{f"t{i}": _f32((1,), 4 * i, 4 * i + 4) for i in range(10_000)}), bytes(40_000)
    ),
    "names of escapes": safetensors(_header(**{"\x1b[31m\n": _f32((1,), 0, 4)}), bytes(4)),
    "names that are empty": safetensors(_header(**{"": _f32((1,), 0, 4)}), bytes(4)),
    "nothing": b"",
    "seven bytes": b"1234567",
    "zeros": bytes(1_000),
    "text": b"\x1b[31m not a checkpoint\n" * 100,
}

_KERNEL = "parameters.encoder.layers.0.kernel"


def _replaced(name: str, values: Any) -> Prepare:
    return forge.tensors(BEST, lambda tensors: {**tensors, name: np.asarray(values)})


def _without(name: str) -> Prepare:
    return forge.tensors(BEST, lambda tensors: {k: v for k, v in tensors.items() if k != name})


_TENSORS: dict[str, Prepare] = {
    "NaN": _replaced(_KERNEL, np.full((64, 16), np.nan, np.float32)),
    "infinite": _replaced(_KERNEL, np.full((64, 16), np.inf, np.float32)),
    "huge": _replaced(_KERNEL, np.full((64, 16), 3e38, np.float32)),
    "float64": _replaced(_KERNEL, np.ones((64, 16))),
    "int64": _replaced(_KERNEL, np.ones((64, 16), np.int64)),
    "of another shape": _replaced(_KERNEL, np.ones((16, 64), np.float32)),
    "of no numbers": _replaced(_KERNEL, np.ones((0, 16), np.float32)),
    "missing": _without(_KERNEL),
    "one too many": _replaced("parameters.x", np.ones(3, np.float32)),
    "one of another name": _replaced("\x1b[31m", np.ones(3, np.float32)),
    "none": forge.tensors(BEST, lambda tensors: {}),
}

_PROVENANCE: dict[str, tuple[str, ...]] = {
    # Field: values that may be taken.
    "data": ("text", "empty text"),
    "split": ("text", "empty text"),
    "class_names": ("null",),
    "source": (),
    "source.location": (),
    "fingerprint": (),
    "model_sha256": ("null", "text", "empty text"),
    "codes_sha256": (),
    "labels_sha256": (),
    "rows": ("0.5", "-1", "2**63"),
    "row_ids": ("null",),
    "sha256": (),
}
_PROVENANCE_VALUES = (
    ("null", "a list of lists", "0.5"),
    ("true", "an object", "half a surrogate"),
    ("-1", "a list", "an escape sequence"),
)

_JSON_FILES = {
    "empty": b"",
    "not JSON": b"{",
    "a list": b"[]",
    "a number": b"5",
    "null": b"null",
    "nested": NESTED.encode(),
    "5,000 digits": DIGITS.encode(),
    "not text": b"\xff\xfe\x00\xd8",
    "a mark of order": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "an object": b"{}",
    "NaN": b'{"test_mse": NaN, "pca_mse": Infinity, "seconds": NaN}',
    "1e400": b'{"test_mse": 1e400, "pca_mse": 1e400, "seconds": 1e400}',
    "text": b'{"test_mse": "x", "pca_mse": [], "seconds": "\\u001b[31m"}',
    "objects": b'{"test_mse": {}, "pca_mse": {}, "seconds": {}}',
    "negative": b'{"test_mse": -1.5, "pca_mse": -1, "seconds": -1}',
}


def _codes_cases() -> Iterator[Case]:
    commands = (
        "plot run -o map.png",
        "score run/codes.npy --json",
        "plot run/codes.npy -o map.svg",
    )
    for number, (field, taken) in enumerate(_PROVENANCE.items()):
        for turn, value in enumerate(_PROVENANCE_VALUES[number % 3]):
            if turn == number % 3:
                continue
            command = commands[number % 3]
            yield Case(
                f"codes: {field} is {value}",
                command,
                (run, forge.provenance("run/codes.json", field, VALUES[value])),
                # What a picture does not show need not be looked at.
                EITHER
                if value in taken or command.startswith("plot") or field == "row_ids"
                else BAD,
                short=command.startswith("plot") and number % 4 == 0,
            )
        if number % 2 == 0:
            yield Case(
                f"codes: {field} is missing",
                commands[0],
                (run, forge.provenance("run/codes.json", field, None)),
                EITHER,
                short=field in ("data", "class_names"),
            )
    names = {
        "too few": '["a"]',
        "of numbers": "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]",
        "of lists": "[[], [], [], [], [], [], [], [], [], []]",
        "nulls": "[null, null, null, null, null, null, null, null, null, null]",
        "equal": '["a", "a", "a", "a", "a", "a", "a", "a", "a", "a"]',
        "long": json.dumps(["x" * 10_000] * 10),
    }
    for fault, value in names.items():
        yield Case(
            f"codes: class names are {fault}",
            "plot run -o map.svg",
            (run, forge.provenance("run/codes.json", "class_names", value)),
            EITHER,
            short=fault in ("of lists", "nulls", "long"),
        )


def _json_cases() -> Iterator[Case]:
    for number, (fault, data) in enumerate(_JSON_FILES.items()):
        yield Case(
            f"summary.json is {fault}",
            "show run --json" if number % 2 else "show run",
            (run, forge.written("run/summary.json", data)),
            EITHER,
            short=True,
        )
        if number >= 10:
            yield Case(
                f"summary.json is {fault}, scored",
                "score run --json",
                (run, forge.written("run/summary.json", data)),
                EITHER,
                short=fault == "text",
            )
        if number < 11 and number % 2 == 0:
            yield Case(
                f"codes.json is {fault}",
                "plot run -o map.png",
                (run, forge.written("run/codes.json", data)),
                EITHER,
                short=True,
            )


def _neighbors(**changed: Any) -> Prepare:
    """Return what writes the graph of the other run, with some of it changed."""

    def prepare(place: Place) -> None:
        from safetensors.numpy import save

        from aecli.run.checkpoint import load

        data = load(place / "map/last.safetensors").data
        key = {
            "version": 1,
            "fingerprint": data.fingerprint,
            "splits_digest": data.splits_digest,
            "neighbors": 15,
        }
        rows = np.arange(1257, dtype=np.int32)[:, np.newaxis]
        graph = (rows + np.arange(1, 16, dtype=np.int32)) % 1257
        content = {"key": key, "variance": 0.05, "exact": True} | {
            name: value for name, value in changed.items() if name != "neighbors"
        }
        tensors = {"neighbors": changed.get("neighbors", graph)}
        text = changed.get("text", json.dumps(content))
        path = place / "map/neighbors.safetensors"
        path.write_bytes(save(tensors, metadata={"aecli": text}))

    return prepare


_GRAPHS: dict[str, Prepare] = {
    "rows beyond the end": _neighbors(neighbors=np.full((1257, 15), 5_000, np.int32)),
    "negative rows": _neighbors(neighbors=np.full((1257, 15), -7, np.int32)),
    "too few rows": _neighbors(neighbors=np.zeros((3, 15), np.int32)),
    "too few neighbours": _neighbors(neighbors=np.zeros((1257, 2), np.int32)),
    "floats": _neighbors(neighbors=np.zeros((1257, 15), np.float32)),
    "one axis": _neighbors(neighbors=np.zeros(1257, np.int32)),
    "a variance of text": _neighbors(variance="x"),
    "a variance of null": _neighbors(variance=None),
    "a variance of NaN": _neighbors(variance=float("nan")),
    "a variance of 0": _neighbors(variance=0.0),
    "a list": _neighbors(text="[]"),
    "nested": _neighbors(text=NESTED),
    "5,000 digits": _neighbors(text=f'{{"key": {DIGITS}}}'),
}


def _neighbor_cases() -> Iterator[Case]:
    for fault, prepare in _GRAPHS.items():
        yield Case(
            f"neighbors.safetensors: {fault}",
            "train --resume -o map --epochs 3",
            (forge.the_map, prepare),
            # What is damaged is found again.
            ANY,
            leaves=("map/*",),
            changes=("map/*",),
        )
    for fault, data in list(_HEADERS.items())[:2]:
        yield Case(
            f"neighbors.safetensors: {fault}",
            "train --resume -o map --epochs 3",
            (forge.the_map, forge.written("map/neighbors.safetensors", data)),
            GOOD,
            changes=("map/*",),
        )


_NPY: dict[str, bytes] = {
    "objects": npy(described("(3,)", "'|O'"), bytes(24)),
    "text": npy(described("(3,)", "'<U4'"), bytes(48)),
    "dates": npy(described("(3,)", "'<M8[s]'"), bytes(24)),
    "bytes without end": npy(described("(3,)", "'|V0'")),
    "a structure": npy(described("(3,)", "[('a', '<f4'), ('b', '<f4')]"), bytes(24)),
    "structures in structures": npy(
        described("(3,)", f"{'[(chr, ' * 40}'<f4'{')]' * 40}".replace("chr", "'a'"))
    ),
    "complex": npy(described("(3, 2)", "'<c8'"), bytes(48)),
    "terabytes": npy(described("(1000000, 1000, 1000)")),
    "negative": npy(described("(-1, 8, 8)")),
    "2**200 rows": npy(described(f"({2**200}, 8)")),
    "5,000 digits": npy(described(f"({DIGITS},)"), version=2),
    "nested": npy("(" * 3_000 + ")" * 3_000, version=2),
    "true rows": npy(described("(True, True)"), bytes(1)),
    "100 axes": npy(described(f"({'1, ' * 100})"), bytes(1)),
    "no axes": npy(described("()", "'<f4'"), bytes(4)),
    "no rows": npy(described("(0, 2)", "'<f4'")),
    "no order": npy("{'descr': '<f4', 'shape': (1,)}", bytes(4)),
    "an order of text": npy(described("(2, 2)", "'<f4'", "'x'"), bytes(16)),
    "not a header": npy("import os"),
    "a header that is a list": npy("[]"),
    "version 9": npy(described("(3,)"), bytes(3), version=9),
    "a byte too many": npy(described("(3, 2)", "'<f4'"), bytes(25)),
    "a byte too few": npy(described("(3, 2)", "'<f4'"), bytes(23)),
    "the magic alone": b"\x93NUMPY",
    "escapes": npy("{'\x1b[31m': '\x07'}"),
}
_NPY_COMMANDS = (
    "plot x.npy -o x.png",
    "decode run x.npy -o y.npy",
    "data show x.npy",
    "score x.npy digits",
    "train x.npy -o new",
    "plot run --labels x.npy -o y.png",
    "data show images.npy --labels x.npy",
    "encode run x.npy -o y.npy",
)


def _npy_cases() -> Iterator[Case]:
    for number, (fault, data) in enumerate(_NPY.items()):
        command = _NPY_COMMANDS[(number + number // 8) % len(_NPY_COMMANDS)]
        yield Case(
            f".npy of {fault}: {' '.join(command.split()[:2])}",
            command,
            (run, forge.copied("images.npy"), forge.written("x.npy", data)),
            short=True,
        )
    for what in ("labels", "trust"):
        option = "" if what == "labels" else f"--color-by {what} "
        for fault in ("objects", "terabytes", "no rows", "a byte too few"):
            yield Case(
                f"codes.{what}.npy of {fault}",
                f"plot run {option}-o x.png",
                (run, forge.written(f"run/codes.{what}.npy", _NPY[fault])),
                short=fault == "terabytes",
            )


_TOML: dict[str, str] = {
    "nested": f"hidden = {NESTED}",
    "5,000 digits": f"epochs = {DIGITS}",
    "2**63": f"epochs = {2**63}",
    "1e400": "learning_rate = 1e400",
    "NaN": "learning_rate = nan",
    "infinite": "learning_rate = inf",
    "a date": "epochs = 2020-01-01",
    "a table": "[epochs]\nx = 1",
    "a dotted key": "a.b.c = 1",
    "a key of escapes": '"\\u001b[31m" = 1',
    "a key of line breaks": '"a\\nb" = 1',
    "a long key": f'"{"x" * 100_000}" = 1',
    "a value of escapes": 'recipe = "\\u001b[31m\\n"',
    "text for a number": 'epochs = "4"',
    "a number for text": "recipe = 5",
    "true for a number": "epochs = true",
    "half for a whole": "epochs = 0.5",
    "negative widths": "hidden = [-1]",
    "widths of text": 'hidden = ["a"]',
    "widths that nest": "hidden = [[1]]",
    "an unknown activation": 'activation = "none"',
    "twice": "batch_size = 1\nbatch-size = 2",
    "twice the same": "epochs = 1\nepochs = 2",
    "no TOML": "=",
    "a NUL": "epochs = 1\0",
    "not text": "epochs = \udcff",
    "a mark of order": "\ufeffepochs = x",
    "a carriage return": "epochs = 1\rx",
}


def _toml_cases() -> Iterator[Case]:
    for fault, text in _TOML.items():
        yield Case(
            f"--config of {fault}",
            "train digits --config c.toml -o new",
            (forge.written("c.toml", text),),
            # So many epochs are refused, or never end.
            says="config|--|setting",
            short=True,
        )


def _rows() -> Iterator[Case]:
    yield from _checkpoint_cases()
    for number, (fault, text) in enumerate(_WHOLE.items()):
        command, file = (("show run", BEST), (_RESUME, LAST))[number % 4 == 3]
        yield Case(
            f"all metadata: {fault}",
            command,
            (run, forge.whole_metadata(file, text)),
            short=True,
        )
    for number, (fault, data) in enumerate(_HEADERS.items()):
        command = ("show run", "encode run -o c.npy", "plot run -o x.png", "score run")[number % 4]
        yield Case(
            f"safetensors: {fault}",
            command,
            (run, forge.written(BEST, data)),
            short=number % 2 == 0,
        )
    for fault, prepare in _TENSORS.items():
        yield Case(
            f"tensors: {fault}",
            "encode run -o c.npy",
            (run, prepare),
            ANY if fault in ("huge", "one of another name") else BAD,
            short=fault in ("missing", "float64", "huge"),
        )
    yield from _codes_cases()
    yield from _json_cases()
    yield from _neighbor_cases()
    yield from _npy_cases()
    yield from _toml_cases()


CASES = list(_rows())
