"""Kills aecli for real, over and over, and checks that nothing announced is ever lost.

`python -m tests.torture --train 200 --encode 100 --plot 50` kills the real command at random times;
`--calls` kills it at every single write, fsync and rename that it makes. `--races 100` kills
nothing: it lets two commands work on the same files at once; `--signals 300` asks politely, at
random times. `--processes 40` kills one of two that train together.
"""

import argparse
import json
import math
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from aecli import files
from aecli.errors import InputError
from aecli.run.checkpoint import load
from aecli.run.codes import labels_path, provenance_path, read_codes
from aecli.run.folder import RunFolder
from tests.distributed.torture import lose_one, never_lost

# Real programs; the second saves after every epoch instead of every other second.
_REAL = [sys.executable, "-m", "aecli"]
_EAGER = [
    sys.executable,
    "-c",
    "import sys, aecli.train.saving; aecli.train.saving._SECONDS_BETWEEN_SAVES = 0;"
    "from aecli.cli import main; sys.exit(main(sys.argv[1:]))",
]
_EPOCHS = 30
# Of several processes, which take their time where each has no core of its own.
_EPOCHS_TOGETHER = 8
_SETTINGS = [
    "--recipe",
    "plain",
    "--epochs",
    str(_EPOCHS),
    "--hidden",
    "16,8",
    "--batch-size",
    "64",
]
# Room for four batches a shuffle buffer: the digits in a file then pass through five of them.
_STREAMED = ["--memory", "100KB"]


@dataclass(frozen=True)
class Golden:
    """Runs that nobody killed, to compare with, and what each command takes.

    `seconds` are those of the clock, for races; `processor_seconds` are the same on a busy machine.
    """

    folder: Path
    seconds: dict[str, float]
    processor_seconds: dict[str, float]

    @property
    def data(self) -> Path:
        """The digits as one array, to be streamed."""
        return self.folder / "digits.npy"

    def run(self, streamed: bool) -> RunFolder:
        """Return the run in memory or the streamed one."""
        return RunFolder(self.folder / ("streamed" if streamed else "memory"))

    def arguments(self, streamed: bool) -> list[str]:
        """Return what trains such a run, without its folder."""
        return ["train", *([str(self.data), *_STREAMED] if streamed else []), *_SETTINGS]


def prepare(folder: Path, *, streamed: bool = True) -> Golden:
    """Train, encode and plot without any kill; in memory, and if `streamed` also streamed."""
    from aecli.cli import main as run_aecli
    from aecli.data import open_dataset

    golden = Golden(folder, {}, {})

    def here(*arguments: str | Path) -> None:
        assert run_aecli([*map(str, arguments), "--quiet"]) == 0

    def timed(name: str, *arguments: str | Path) -> None:
        # Nothing is compiled any more, as when it will be killed.
        started, used = time.perf_counter(), _used_by_children()
        command = [*_REAL, name, *map(str, arguments), "--force"]
        subprocess.run(command, check=True, capture_output=True)
        golden.seconds[name] = time.perf_counter() - started
        golden.processor_seconds[name] = _used_by_children() - used

    np.save(golden.data, open_dataset("digits").images[:])
    for way in (False, True)[: 1 + streamed]:
        command = [*golden.arguments(way), "-o", str(golden.run(way).path)]
        here(*command)
        timed(*command)
    run = golden.run(False).path
    for name, split in (("old", "test"), ("new", "all")):
        here("encode", run, "--split", split, "-o", folder / f"{name}.npy")
        here("plot", folder / f"{name}.npy")
    timed("encode", run, "--split", "all", "-o", folder / "new.npy")
    timed("plot", folder / "new.npy")
    return golden


def _used_by_children() -> float:
    used = os.times()
    return used.children_user + used.children_system


class Victim:
    """A process of aecli that is killed after a while, or after so many lines of its own."""

    def __init__(self, program: list[str], arguments: Iterable[str | Path]) -> None:
        self.process = subprocess.Popen(
            [*program, *map(str, arguments)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines += self.process.stderr

    def kill_after(self, seconds: float = math.inf) -> bool:
        """Let it have seconds of a processor, kill it, and return whether it was still there."""
        used = 0.0
        while used < seconds < math.inf and self.process.poll() is None:
            time.sleep(0.005)
            with suppress(psutil.Error):
                used = sum(psutil.Process(self.process.pid).cpu_times()[:2])
        if seconds < math.inf:
            self.process.send_signal(signal.SIGKILL)
        code = self.process.wait()
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        if code not in (0, -signal.SIGKILL):
            raise AssertionError(f"exit code {code}: {''.join(self.lines)}")
        return code != 0

    @property
    def announced(self) -> int:
        """The last epoch that was said to be saved."""
        saved = [line for line in self.lines if line.startswith("saved epoch ") and "\n" in line]
        return int(saved[-1].split()[-1]) if saved else 0


def kill_train(golden: Golden, seed: int, most: int = 3) -> int:
    """Kill a training, and its resumptions, at random times; return how many kills it survived."""
    chance = random.Random(seed)
    streamed = seed % 3 == 2 and golden.run(True).path.exists()
    program = _EAGER if seed % 2 else _REAL
    folder = RunFolder(golden.folder / f"train-{seed}")
    kills, announced = 0, 0
    while True:
        again = ["--resume"] if folder.last.exists() else []
        arguments = ["train", *again] if again else golden.arguments(streamed)
        victim = Victim(program, [*arguments, "-o", folder.path])
        # The last third of a run, after the imports, is where the files are written.
        late = chance.random() < 0.7
        patience = golden.processor_seconds["train"] * chance.uniform(0.5 if late else 0, 1.1)
        alive = victim.kill_after(patience if kills < most else math.inf)
        kills += alive
        announced = max(announced, victim.announced)
        _check_run(folder, announced)
        if not alive:
            break
    _assert_same(golden.run(streamed), folder)
    left = [path.name for path in folder.path.iterdir() if path.name.startswith(".")]
    assert left == [], left
    shutil.rmtree(folder.path)
    return kills


def _check_run(folder: RunFolder, announced: int) -> None:
    """Check what a killed training left: whole checkpoints, as new as the last announced one."""
    for path in (folder.last, folder.best):
        if path.exists():
            load(path)
    if announced:
        assert load(folder.last).epoch >= announced
    if folder.metrics.exists():
        epochs = [json.loads(line)["epoch"] for line in folder.metrics.read_text().splitlines()]
        assert epochs == list(range(1, len(epochs) + 1))


def _assert_same(first: RunFolder, second: RunFolder) -> None:
    for a, b in ((first.last, second.last), (first.best, second.best)):
        one, two = load(a), load(b)
        assert (one.epoch, one.best, one.layout) == (two.epoch, two.best, two.layout)
        assert one.tensors.keys() == two.tensors.keys()
        for name, tensor in one.tensors.items():
            np.testing.assert_array_equal(tensor, two.tensors[name])
    lines = [
        [
            {key: value for key, value in json.loads(line).items() if "second" not in key}
            for line in folder.metrics.read_text().splitlines()
        ]
        for folder in (first, second)
    ]
    assert lines[0] == lines[1]
    assert len(lines[0]) == _EPOCHS
    summaries = [folder.read_summary() or {} for folder in (first, second)]
    assert summaries[0]["test_mse"] == summaries[1]["test_mse"]


def kill_encode(golden: Golden, seed: int) -> int:
    """Kill an encode over older codes; they stay as they were, or are the new ones, whole."""
    place = golden.folder / f"encode-{seed}"
    place.mkdir()
    codes = place / "codes.npy"
    arguments: list[str | Path] = [
        "encode",
        golden.run(False).path,
        "--split",
        "all",
        "-o",
        codes,
        "--force",
    ]
    return _kill_output(golden, "encode", seed, codes, _code_files, arguments)


def kill_plot(golden: Golden, seed: int) -> int:
    """Kill a plot over an older picture; it stays as it was, or is the new one, whole."""
    place = golden.folder / f"plot-{seed}"
    place.mkdir()
    arguments: list[str | Path] = [
        "plot",
        golden.folder / "new.npy",
        "-o",
        place / "codes.png",
        "--force",
    ]
    return _kill_output(golden, "plot", seed, place / "codes.png", lambda path: [path], arguments)


def _code_files(path: Path) -> list[Path]:
    return [path, labels_path(path), provenance_path(path)]


def _kill_output(
    golden: Golden,
    command: str,
    seed: int,
    output: Path,
    files_of: Callable[[Path], list[Path]],
    arguments: Sequence[str | Path],
) -> int:
    chance = random.Random(seed)
    old, new = (
        [path.read_bytes() for path in files_of(golden.folder / f"{age}{output.suffix}")]
        for age in ("old", "new")
    )
    for path, data in zip(files_of(output), old, strict=True):
        path.write_bytes(data)
    kills = 0
    for patience in (golden.processor_seconds[command] * chance.uniform(0.5, 1.1), math.inf):
        kills += Victim(_REAL, arguments).kill_after(patience)
        found = [path.read_bytes() for path in files_of(output)]
        for data, before, after in zip(found, old, new, strict=True):
            assert data in (before, after), "neither the old file nor the new one"
        if output.suffix == ".npy" and found not in (old, new):
            # New codes beside old labels: what belongs together is told by its hashes.
            try:
                read_codes(output)
            except InputError:
                continue
            raise AssertionError("codes of two runs were taken for one")
    assert [path.read_bytes() for path in files_of(output)] == new
    assert sorted(output.parent.iterdir()) == sorted(files_of(output))
    shutil.rmtree(output.parent)
    return kills


@dataclass
class Killer:
    """Kills its own process at the n-th write, fsync or rename that aecli makes; 0 is never."""

    call: str
    number: int
    counted: int = 0

    def strike(self, call: str) -> bool:
        """Count a call; return whether this is the one."""
        self.counted += call == self.call
        return call == self.call and self.counted == self.number

    def install(self) -> None:
        """Put itself between aecli and the operating system."""
        replace, fsync, create = os.replace, os.fsync, files._create

        def die() -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                if self.strike(name):
                    die()
                return function(*arguments, **options)

            return call

        def created(path: Path, mode: int) -> Any:
            place, file = create(path, mode)
            write = file.write

            def half(data: Any) -> int:
                if self.strike("write"):
                    raw = memoryview(data).cast("B")
                    write(raw[: len(raw) // 2])
                    file.flush()
                    die()
                return int(write(data))

            # What is written goes through this object alone.
            return place, _Wrapped(file, half)

        os.replace, os.fsync = counted("rename", replace), counted("fsync", fsync)
        files._create = created


class _Wrapped:
    def __init__(self, file: Any, write: Callable[[Any], int]) -> None:
        self._file, self.write = file, write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "_Wrapped":
        return self

    def __exit__(self, *error: Any) -> None:
        self._file.close()


def kill_at_calls(folder: Path, every: int) -> int:
    """Kill a training of 3 epochs, each saved, at every call that it makes; return how many.

    Every other one replaces an older run. The processes are forks of this one, which must not have
    begun to compute.
    """
    # Imported once for all of them.
    import aecli.encode
    import aecli.train.loop
    from aecli.cli import main as run_aecli

    aecli.train.saving._SECONDS_BETWEEN_SAVES = 0
    # The default recipe, which writes the graph of neighbours too.
    train = ["train", "--encoder", "dense", "--epochs", "3", "--hidden", "4", "--quiet"]

    def attempt(killer: Killer, arguments: list[str]) -> int:
        child = os.fork()
        if child == 0:
            with Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), 1)
            killer.install()
            code = run_aecli(arguments)
            if killer.number == 0:
                (folder / f"{killer.call}.count").write_text(str(killer.counted))
            os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    straight, older = RunFolder(folder / "straight"), RunFolder(folder / "older")
    assert attempt(Killer("", 0), [*train, "--seed", "1", "-o", str(older.path)]) == 0
    # Once for nothing but its programs, which are files too.
    assert attempt(Killer("", 0), [*train, "-o", str(straight.path)]) == 0
    survived = 0
    for call in ("write", "fsync", "rename"):
        assert attempt(Killer(call, 0), [*train, "-o", str(straight.path), "--force"]) == 0
        count = int((folder / f"{call}.count").read_text())
        assert count >= 3, f"{call} was called {count} times"
        for number in range(1, count + 1, every):
            run = RunFolder(folder / f"{call}-{number}")
            begin = [*train, "--force"]
            if survived % 2:
                shutil.copytree(older.path, run.path)
            assert attempt(Killer(call, number), [*begin, "-o", str(run.path)]) == -signal.SIGKILL
            _check_run(run, 0)
            begun = run.last.exists() and load(run.last).config.seed == 0
            if run.best.exists():
                _check_not_mixed(run)
            again = ["train", "--resume", "--quiet"] if begun else begin
            assert attempt(Killer(call, 0), [*again, "-o", str(run.path)]) == 0
            for name in ("last", "best"):
                one, two = (load(getattr(which, name)) for which in (straight, run))
                assert one.model_hash == two.model_hash
                assert one.epoch == two.epoch
            assert run.summary.exists()
            assert not list(run.path.glob(".*")), list(run.path.glob(".*"))
            shutil.rmtree(run.path)
            survived += 1
    return survived


def _check_not_mixed(run: RunFolder) -> None:
    """Check that the checkpoints of a run are of one training, or the best one is refused."""
    try:
        best = load(run.best)
    except InputError as error:
        if "is of another training than" not in str(error):
            raise
    else:
        assert best.config == load(run.last).config, "two runs are mixed"


@dataclass(frozen=True)
class Race:
    """Two commands on a run at once, and how often both may be done.

    Each command has the name of how long it takes; `{run}` is a copy of a run, `{place}` the folder
    that it is in. `winners` is 1 where only one may have what both want.
    """

    commands: tuple[tuple[str, str], tuple[str, str]]
    winners: int = 2


_TRAIN_ANEW = f"train {' '.join(_SETTINGS)} --seed 1"
RACES = (
    Race(
        (
            ("encode", "encode {run} --force"),
            ("encode", "encode {run} --split all -o {run}/codes.npy --force"),
        )
    ),
    Race(
        (
            ("encode", "encode {run} --split all -o {run}/codes.npy --force"),
            ("plot", "plot {run} -o {place}/map.svg"),
        )
    ),
    Race((("plot", "plot {run} -o {place}/map.png"),) * 2, winners=1),
    Race(
        (
            ("score", "score {run} --per-point --force"),
            ("encode", "encode {run} --split all -o {run}/codes.npy --force"),
        )
    ),
    Race((("train", f"{_TRAIN_ANEW} -o {{run}} --force"), ("encode", "encode {run} --force"))),
    Race((("train", f"{_TRAIN_ANEW} -o {{place}}/new"),) * 2, winners=1),
    Race((("encode", "encode {run} -o {place}/codes.npy"),) * 2, winners=1),
)


def race(golden: Golden, seed: int) -> None:
    """Let two commands end at about the same time, and check that neither spoils the other's."""
    chance, one = random.Random(seed), RACES[seed % len(RACES)]
    place = golden.folder / f"race-{seed}"
    run = RunFolder(place / "run")
    shutil.copytree(golden.run(False).path, run.path)
    for path, source in zip(
        _code_files(run.path / "codes.npy"), _code_files(golden.folder / "old.npy"), strict=True
    ):
        shutil.copyfile(source, path)
    # Scoring has no time of its own here: it takes about as long as two others.
    seconds = {**golden.seconds, "score": 2 * golden.seconds["encode"]}
    longest = max(seconds[kind] for kind, _ in one.commands)
    delays = [longest - seconds[kind] + chance.uniform(0, 0.3) for kind, _ in one.commands]
    with ThreadPoolExecutor(2) as pool:
        commands = [command.format(run=run.path, place=place) for _, command in one.commands]
        done = list(pool.map(_run_later, commands, delays))
    winners = 0
    for command, (code, said) in zip(commands, done, strict=True):
        assert code in (0, 1, 2), f"{command}: exit code {code}: {said}"
        errors = [line for line in said.splitlines() if line.startswith("aecli: ")]
        assert "Traceback" not in said, f"{command}: {said}"
        assert len(errors) == (code != 0), f"{command}: {said}"
        winners += code == 0
    assert winners >= 1, done
    assert winners <= one.winners, f"both have won: {commands}"
    _check_whole(run, place)
    shutil.rmtree(place)


def _run_later(command: str, delay: float) -> tuple[int, str]:
    time.sleep(delay)
    words = shlex.split(command)
    done = subprocess.run([*_REAL, words[0], "--quiet", *words[1:]], capture_output=True, text=True)
    return done.returncode, done.stderr


def _check_whole(run: RunFolder, place: Path) -> None:
    """Check what two commands left: whole runs, codes that belong together or are refused."""
    for folder in (run, RunFolder(place / "new")):
        if folder.last.exists():
            assert load(folder.best).config == load(folder.last).config, "two runs are mixed"
            _check_run(folder, 0)
    for path in place.rglob("codes.npy"):
        try:
            codes = read_codes(path)
        except InputError:
            continue
        assert codes.labels is not None, path
        assert codes.provenance is not None, path
        assert codes.provenance["rows"] == len(codes.values) == len(codes.labels), path
        for values in path.parent.glob("codes.trust.npy"):
            drawn = ["plot", str(path), "--color-by", "trust", "-o", str(place / "trust.svg")]
            done = subprocess.run([*_REAL, *drawn], capture_output=True, text=True)
            same = len(np.load(values)) == len(codes.values)
            assert done.returncode == 2 or (done.returncode == 0 and same), done.stderr
    left = [path for path in place.rglob(".*") if path.is_file()]
    assert not left, left


def signal_commands(folder: Path, run: Path, number: int, seed: int = 0) -> int:
    """Send signals to commands at random times; return how many came before the end.

    Each command ends at once and without a word, by the exit code of the signal, or has done its
    work; nothing is left of what it was about to write.
    """
    images = folder / "images"
    images.mkdir()
    for row in range(1_200):
        Image.new("L", (8, 8), row % 256).save(images / f"{row}.png")
    output = folder / "output"
    commands: list[list[str | Path]] = [
        ["encode", run, "-o", output / "codes.npy"],
        ["decode", run, run / "codes.npy", "-o", output / "images.npy"],
        ["plot", run, "-o", output / "map.png"],
        ["plot", run, "--kind", "reconstructions", "-o", output / "images.png"],
        ["score", run, "--picture", output / "maps.png"],
        ["data", "show", images, "--picture", output / "grid.png"],
        ["train", *_SETTINGS, "-o", output],
    ]
    random_times = random.Random(seed)
    seconds: dict[int, float] = {}
    survived = 0
    for attempt in range(number):
        which = (attempt + seed) % len(commands)
        output.mkdir()
        if which not in seconds:
            started = time.perf_counter()
            _politely_ended(commands[which], None, 0)
            seconds[which] = time.perf_counter() - started
            shutil.rmtree(output)
            output.mkdir()
        name = random_times.choice((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        delay = random_times.uniform(0, 1) * seconds[which]
        survived += _politely_ended(commands[which], name, delay)
        left = [path for path in output.rglob("*") if path.name.startswith(".")]
        assert not left, f"{commands[which]}: {left}"
        if output.exists():
            shutil.rmtree(output)
    shutil.rmtree(images)
    return survived


def _politely_ended(
    arguments: Sequence[str | Path], number: signal.Signals | None, delay: float
) -> bool:
    """Send a signal to a command after a while; return whether it ended by it."""
    process = subprocess.Popen(
        [*_REAL, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    status = Path(f"/proc/{process.pid}/status")
    # Python itself is not ours: wait until the program handles SIGHUP, the first of all signals.
    while number and process.poll() is None:
        caught = re.search(r"SigCgt:\s*(\w+)", status.read_text())
        if caught and int(caught[1], 16) & 1:
            time.sleep(delay)
            process.send_signal(number)
            break
        time.sleep(0.001)
    _, printed = process.communicate(timeout=60)
    expected = (0,) if number is None else (0, 128 + number)
    what = f"{[str(word) for word in arguments]}, {number} after {delay:.2f} s:\n{printed}"
    assert process.returncode in expected, f"{process.returncode}: {what}"
    for word in ("Traceback", "Error", "Fatal", "Exception", "leaked", "aecli:"):
        assert word not in printed, what
    return process.returncode != 0


def kill_many(golden: Golden, train: int, encode: int, plot: int) -> dict[str, int]:
    """Kill until so many kills were survived; return how many there were of each kind."""
    survived = {}
    for name, function, wanted in (
        ("train", kill_train, train),
        ("encode", kill_encode, encode),
        ("plot", kill_plot, plot),
    ):
        survived[name] = 0
        seed = 0
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            while survived[name] < wanted:
                width = min(2 * (os.cpu_count() or 1), wanted - survived[name])
                seeds = range(seed, seed + width)
                seed += width
                survived[name] += sum(pool.map(partial(function, golden), seeds))
        print(f"{name}: {survived[name]} kills, all survived", flush=True)
    return survived


def kill_processes(folder: Path, seeds: Iterable[int]) -> None:
    """Kill one of two processes at random times, and resume on two, one and four."""
    settings = ["digits", *_SETTINGS, "--epochs", str(_EPOCHS_TOGETHER)]
    golden = never_lost(folder, settings)
    for seed in seeds:
        print(f"{seed}: {lose_one(folder, settings, golden, seed)}", flush=True)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("train", "encode", "plot"):
        parser.add_argument(f"--{name}", type=int, default=0, help="kills at random times")
    parser.add_argument("--races", type=int, default=0, help="pairs of commands at once")
    parser.add_argument("--calls", action="store_true", help="kill at every call")
    parser.add_argument("--every", type=int, default=1, help="or at every so many-th")
    parser.add_argument("--signals", type=int, default=0, help="signals at random times")
    parser.add_argument("--processes", type=int, default=0, help="kills of one of two processes")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first one's number")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # What is compiled is kept there, so that the processes below compile nothing.
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        # All runs that are compared are compiled alike: quickly will do.
        os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
        if asked.calls:
            killed = kill_at_calls(folder, asked.every)
            print(f"calls: {killed} kills, all survived", flush=True)
        if asked.signals:
            run = folder / "run"
            _politely_ended(["train", *_SETTINGS, "-o", run], None, 0)
            _politely_ended(["encode", run], None, 0)
            ended = signal_commands(folder, run, asked.signals)
            print(f"signals: {asked.signals}, of which {ended} ended a command", flush=True)
        if asked.processes:
            kill_processes(folder, range(asked.first, asked.first + asked.processes))
        if asked.train or asked.encode or asked.plot or asked.races:
            golden = prepare(folder, streamed=asked.train > 2)
            if asked.train or asked.encode or asked.plot:
                kill_many(golden, asked.train, asked.encode, asked.plot)
            for seed in range(asked.races):
                race(golden, seed)
            if asked.races:
                print(f"races: {asked.races} pairs, all survived", flush=True)


if __name__ == "__main__":
    main()
