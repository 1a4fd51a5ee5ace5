"""Signals, early, late and twice, to every command."""

import signal
from collections.abc import Iterator

from tests.attack.case import GOOD, Case, Done, Place, Prepare
from tests.attack.forge import described, npy, run, sparse
from tests.attack.network import dripping
from tests.attack.shared import SETTINGS

_SIGNALS = {"INT": signal.SIGINT, "TERM": signal.SIGTERM, "HUP": signal.SIGHUP}
# Python's own start takes the first hundredths of a second.
_DELAYS = (0.12, 0.3, 0.6, 1.0, 1.6, 2.5)
_LONG = f"train digits {SETTINGS} --epochs 100000"
_MANY = "encode run many.npy --batch-size 336 -o c.npy"

# What each signal meets: reading, computing, writing, waiting.
_COMMANDS: dict[str, str] = {
    "train": f"{_LONG} -o new",
    "train --resume": "train --resume --epochs 100000 -o run",
    "train --json": f"{_LONG} --json -o new",
    "train, with neighbours": "train digits --epochs 100000 -o new",
    "encode": "encode run -o c.npy",
    "encode many": _MANY,
    "decode": "decode run -o d.npy",
    "plot": "plot run -o p.png",
    "plot reconstructions": "plot run --kind reconstructions -o p.svg",
    "score": "score run --per-point --force --picture p.png",
    "export": "export run -o e",
    "train --tensorboard": f"{_LONG} --tensorboard b -o new",
    "score --stability": "score run --stability 50",
    "show": "show run --shapes",
    "data show": "data show pictures --picture p.png",
    "data fetch": "data fetch mnist",
    "--help": "train --help",
}


def _whole(place: Place, done: Done) -> str | None:
    """Say whether a run or codes that were there, or came, are not whole."""
    from aecli.errors import InputError
    from aecli.run.checkpoint import load
    from aecli.run.codes import read_codes

    try:
        for path in place.folder.rglob("*.safetensors"):
            if path.name != "neighbors.safetensors":
                load(path)
        for path in place.folder.glob("c.npy"):
            read_codes(path)
    except InputError as error:
        return f"what it left is not whole: {error}"
    return None


def _many(place: Place) -> None:
    sparse("many.npy", npy(described("(400000, 8, 8)")), 400_000 * 64)(place)


def _pictures(place: Place) -> None:
    """Copy the pictures, and forget that they were decoded."""
    place.copy("pictures")
    for path in place.cache.glob("aecli/decoded/*"):
        path.unlink()


def _rows() -> Iterator[Case]:
    number = 0
    for name, command in _COMMANDS.items():
        prepare: tuple[Prepare, ...] = (run, _pictures, dripping)
        if name == "encode many":
            prepare = (*prepare, _many)
        for sent, signal_number in _SIGNALS.items():
            for turn, delay in enumerate((*_DELAYS, None)):
                number += 1
                # Two delays of each, and a random one for what takes long.
                if turn < len(_DELAYS) and (number + turn) % 5:
                    continue
                if delay is None and not name.startswith(("train", "encode", "score")):
                    continue
                when = "at a random time" if delay is None else f"after {delay} s"
                yield _case(f"{sent} {when}: {name}", command, prepare, ((signal_number, delay),))
    for name in ("train", "encode many", "data show", "score", "data fetch"):
        for delays in ((0.8, 0.85), (1.2, 1.6)):
            prepare = (run, _pictures, dripping, *([_many] if name == "encode many" else []))
            yield _case(
                f"INT twice, after {delays[0]} s: {name}",
                _COMMANDS[name],
                prepare,
                tuple((signal.SIGINT, delay) for delay in delays),
            )
            yield _case(
                f"TERM, then INT, after {delays[0]} s: {name}",
                _COMMANDS[name],
                prepare,
                ((signal.SIGTERM, delays[0]), (signal.SIGINT, delays[1])),
            )
    for name, command, count in (("HUP", "encode many", 2), ("HUP", "train", 1)):
        yield Case(
            f"{name} {count} times under nohup: {command}",
            _COMMANDS[command].replace("100000", "400"),
            (run, _many),
            GOOD,
            makes=("c.*", "new/*"),
            through="trap '' HUP; exec \"$@\"",
            signals=tuple((signal.SIGHUP, 0.5 + turn) for turn in range(count)),
            check=_whole,
        )


def _case(
    name: str,
    command: str,
    prepare: tuple[Prepare, ...],
    signals: tuple[tuple[int, float | None], ...],
) -> Case:
    codes = {0, *(128 + number for number, _ in signals)}
    if "fetch" in command:
        # It may fail before, for the server drips.
        codes |= {1}
    trains = command.startswith("train")
    return Case(
        name,
        command,
        prepare,
        frozenset(codes),
        variables={"AECLI_DATA_DIR": "data"} if "fetch" in command else {},
        makes=("data/.mnist.aecli.lock", "data/mnist", "c.*", "new/[!.]*", "run/codes.*.json"),
        leaves=("data/.mnist.aecli.lock", "data/mnist", "new/[!.]*"),
        changes=("run/[!.]*",) if trains or "per-point" in command else (),
        check=_whole,
        signals=signals,
        plain=True,
        short=name in ("INT after 0.6 s: train", "TERM after 1.0 s: encode"),
    )


CASES = list(_rows())
