"""Pipes, sockets, folders, endless files and loops of links where a file is expected."""

from collections.abc import Iterator

from tests.attack.case import ANY, BAD, EITHER, GOOD, REFUSED, Case, Place
from tests.attack.forge import copied, special
from tests.attack.shared import SETTINGS

_INPUT_KINDS = ("a pipe", "a socket", "a folder", "endless", "a loop", "a link to nothing")

# What is read: where it is, the command, and whether it may be done without.
_READ: dict[str, tuple[str, str, bool]] = {
    "DATASET of train": ("x", "train x -o new", False),
    "--labels of train": ("x", "train images.npy --labels x -o new", False),
    "--config": ("x", "train digits --config x -o new", False),
    "last checkpoint": ("run/last.safetensors", "train --resume -o run", False),
    "last checkpoint, drawn": (
        "run/last.safetensors",
        "plot run --kind history -o h.png",
        False,
    ),
    "last checkpoint, shown": ("run/last.safetensors", "show run", True),
    "RUN of encode": ("x.safetensors", "encode x.safetensors -o c.npy", False),
    "best checkpoint": ("run/best.safetensors", "encode run -o c.npy", False),
    "DATASET of encode": ("x.npy", "encode run x.npy -o c.npy", False),
    "--labels of encode": ("x", "encode run images.npy --labels x -o c.npy", False),
    "RUN of decode": ("x", "decode x run/codes.npy -o d.npy", False),
    "CODES of decode": ("x.npy", "decode run x.npy -o d.npy", False),
    "CODES of plot": ("x.npy", "plot x.npy -o p.png", False),
    "--labels of plot": ("x.npy", "plot run --labels x.npy -o p.png", False),
    "codes of a run": ("run/codes.npy", "plot run -o p.png", False),
    "labels of codes": ("run/codes.labels.npy", "plot run -o p.png", True),
    "provenance of codes": ("run/codes.json", "plot run -o p.png", True),
    "numbers of codes": ("run/codes.trust.npy", "plot run --color-by trust -o p.png", False),
    "CODES of score": ("x.npy", "score x.npy digits", False),
    "DATASET of score": ("x", "score run x", False),
    "--train-codes": ("x.npy", "score run/codes.npy --train-codes x.npy", False),
    "summary": ("run/summary.json", "show run", True),
    "RUN of show": ("x.safetensors", "show x.safetensors", False),
    "DATASET of data show": ("x", "data show x", False),
    "--labels of data show": ("x", "data show images.npy --labels x", False),
    "an image of a folder": ("pictures/cat/05.png", "data show pictures", False),
    "images of IDX": ("idx/t10k-images-idx3-ubyte", "data show idx", False),
    "labels of IDX": ("idx/t10k-labels-idx1-ubyte", "data show idx", False),
    "images of IDX, gzipped": ("idx/train-images-idx3-ubyte.gz", "data show idx", False),
    "a part of Parquet": ("parts/train.parquet", "data show parts", False),
    "a part of CIFAR-10": ("cifar/data_batch_1.bin", "data show cifar", False),
}

# What is written: where it goes, and the command.
_WRITTEN: dict[str, tuple[str, str]] = {
    "-o of encode": ("c.npy", "encode run -o c.npy"),
    "labels of encode": ("c.labels.npy", "encode run -o c.npy"),
    "provenance of encode": ("c.json", "encode run -o c.npy"),
    "-o of decode": ("d.npy", "decode run -o d.npy"),
    "-o of plot": ("p.png", "plot run -o p.png"),
    "default of plot": ("run/codes.png", "plot run"),
    "--picture of score": ("p.png", "score run --picture p.png"),
    "--picture of data show": ("p.png", "data show --picture p.png"),
    "numbers of score": ("run/codes.trust.npy", "score run --per-point"),
    "-o of train": ("new", f"train digits {SETTINGS} -o new"),
    "-o of export": ("e", "export run --format csv -o e"),
    "a file of an export": ("e/codes.csv", "export run --format csv -o e"),
    "--tensorboard": ("b", f"train digits {SETTINGS} --tensorboard b -o new"),
    "--profile": ("trace", f"train digits {SETTINGS} --profile trace -o new"),
}

# Where a folder is expected.
_FOLDERS = ("-o of train", "-o of export", "--tensorboard", "--profile")

# What nobody names: locks, temporary files and what the cache folder keeps.
_HIDDEN: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "the lock of a run": (
        "run/.aecli.lock",
        f"train digits {SETTINGS} --force -o run",
        ("run/*",),
    ),
    "a temporary file of codes": (
        ".c.npy.aecli-left.tmp",
        "encode run -o c.npy",
        ("c.npy", "c.labels.npy", "c.json"),
    ),
    "a temporary file of a picture": (".p.png.left.tmp", "plot run -o p.png", ("p.png",)),
    "config.json of a run": (
        "run/config.json",
        f"train digits {SETTINGS} --force -o run",
        ("run/*",),
    ),
    "metrics.jsonl of a run": (
        "run/metrics.jsonl",
        f"train digits {SETTINGS} --force -o run",
        ("run/*",),
    ),
    "neighbours of a run": (
        "map/neighbors.safetensors",
        "train --resume --epochs 3 -o map",
        ("map/*",),
    ),
}


def _prepared(place: Place) -> None:
    copied("run", "map", "images.npy", "pictures", "idx")(place)


def _rows() -> Iterator[Case]:
    for number, (what, (path, command, without)) in enumerate(_READ.items()):
        for turn, kind in enumerate(_INPUT_KINDS):
            # Each place gets pipes, and two of the others.
            if kind != "a pipe" and (turn + number) % 5:
                continue
            # A link to nothing, or a folder, may be as if nothing were there.
            absent = kind in ("a link to nothing", "a folder", "a socket", "a pipe", "endless")
            yield Case(
                f"{what}: {kind}",
                command,
                (_prepared, special(kind, path)),
                EITHER if without and absent else BAD,
                own_process=kind == "endless",
                short=turn == number % 2 or kind == "a pipe",
            )
    for number, (what, (path, command)) in enumerate(_WRITTEN.items()):
        for turn, kind in enumerate(("a pipe", "a socket", "a folder", "a loop")):
            for force in (" --force", ""):
                if turn and (turn + number + bool(force)) % 4:
                    continue
                folder_expected = kind == "a folder" and what in _FOLDERS
                yield Case(
                    f"{what}: {kind}{force}",
                    command + force,
                    (_prepared, special(kind, path)),
                    GOOD if folder_expected else REFUSED,
                    leaves=("new/*", "trace/*", "e/*", "b/*") if folder_expected else (),
                    own_process=folder_expected,
                    short=turn == 0 and "train" not in command and bool(force),
                )
    for what, (path, command, outputs) in _HIDDEN.items():
        for kind in ("a pipe", "a folder", "a socket", "a loop"):
            yield Case(
                f"{what}: {kind}",
                command,
                (_prepared, special(kind, path)),
                ANY,
                leaves=outputs,
                # What a killed process left may be swept away, whatever it is.
                changes=(*outputs, ".*.tmp"),
                short=kind == "a pipe" and "train" not in command,
            )


CASES = list(_rows())
