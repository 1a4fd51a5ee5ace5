import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aecli.cli import main
from tests.helpers import ENDLESS, Run

AECLI = f"{sys.executable} -m aecli"


def _one_line(done: subprocess.CompletedProcess[str], exit_code: int, *words: str) -> None:
    assert done.returncode == exit_code, done.stderr
    assert done.stderr.startswith("aecli: ")
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 310
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JAX_PLATFORMS", "nonsense"),
        ("JAX_PLATFORMS", "cuda"),
        ("JAX_ENABLE_X64", "junk"),
        ("JAX_DISABLE_JIT", "1"),
        ("XLA_FLAGS", "--nonsense"),
        ("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=junk"),
    ],
)
def test_a_variable_that_jax_cannot_use_is_named(
    name: str, value: str, aecli: Run, digits_run: Path
) -> None:
    done = aecli("encode", digits_run, "-o", "codes.npy", **{name: value})
    _one_line(done, 2, f"{name}={value}")


def test_variables_of_the_surroundings_decide_nothing(
    aecli: Run, digits_run: Path, tmp_path: Path
) -> None:
    assert main(["encode", str(digits_run), "-o", str(tmp_path / "codes.npy")]) == 0
    assert aecli("plot", "codes.npy", "-o", "plain.png").returncode == 0
    (tmp_path / "matplotlibrc").symlink_to("/dev/zero")
    variables = {
        "MPLBACKEND": "nonsense",
        "MPLCONFIGDIR": "/proc/nothing",
        "PYTHONIOENCODING": "ascii",
        "PYTHONWARNINGS": "error",
    }
    done = aecli("plot", "codes.npy", "-o", "\u00e4.png", **variables)
    assert (done.returncode, done.stderr) == (0, "drew \\xe4.png\n")
    assert done.stdout == "\u00e4.png\n"
    assert (tmp_path / "\u00e4.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


@pytest.mark.parametrize(
    ("script", "exit_code", "words"),
    [
        ("ulimit -v 600000; aecli encode RUN -o codes.npy", 1, "ulimit -v"),
        ("ulimit -n 5; aecli show RUN", 1, "Too many open files"),
        ("mkdir gone; cd gone; rmdir ../gone; aecli train", 1, "folder is gone"),
        ("aecli --version > /dev/full", 1, "cannot write to stdout"),
        ("aecli --help > /dev/full", 1, "cannot write to stdout"),
    ],
)
def test_a_limit_is_one_line(
    script: str, exit_code: int, words: str, digits_run: Path, tmp_path: Path
) -> None:
    command = script.replace("aecli", AECLI, 1).replace("RUN", str(digits_run))
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    _one_line(done, exit_code, words)


def test_what_is_printed_before_an_error_is_printed(aecli: Run) -> None:
    done = aecli(PYTHONUNBUFFERED="")
    assert (done.returncode, done.stderr) == (2, "")
    assert "Commands" in done.stdout


def test_closed_streams_do_not_get_into_files(digits_run: Path, tmp_path: Path) -> None:
    codes = [tmp_path / "open.npy", tmp_path / "closed.npy"]
    for path, closed in zip(codes, ("", "<&- >&- 2>&-"), strict=True):
        command = f"{AECLI} encode {digits_run} -o {path} {closed}"
        subprocess.run(["bash", "-c", command], check=True, capture_output=True, timeout=60)
    assert codes[0].read_bytes() == codes[1].read_bytes()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AECLI_EPOCHS", "junk"),
        ("AECLI_EPOCHS", "-3"),
        ("AECLI_HIDDEN", "3,x"),
        ("AECLI_MEMORY", "junk"),
        ("AECLI_RECIPE", "junk"),
        ("AECLI_ACTIVATION", "junk"),
    ],
)
def test_a_bad_value_names_its_variable(
    name: str,
    value: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, value)
    assert main(["train"]) == 2
    assert name in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", ""],
        ["train", ""],
        ["train", "--out="],
        ["train", "--config", ""],
        ["encode", "run", "-o", ""],
        ["plot", "--labels", ""],
        ["data", "fetch", ""],
        ["data", "show", "digits", "--picture", ""],
    ],
)
def test_an_empty_name_is_refused(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert "expected a name, got nothing" in capsys.readouterr().err


def test_usage_errors_are_one_short_printable_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["\udcff"], ["show", "--\x1b[31m"], ["--" + 100_000 * "a"]):
        assert main(arguments) == 2
        printed = capsys.readouterr().err
        assert len(printed) < 310
        assert printed.strip().isprintable()


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    command = f"trap '' HUP INT; {AECLI} train {' '.join(ENDLESS)}"
    process = subprocess.Popen(
        ["bash", "-c", command.replace(sys.executable, f"exec {sys.executable}")],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "epoch 2/" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGINT)
    for _ in range(3):
        assert process.stderr.readline().startswith(("epoch", "saved"))
    process.send_signal(signal.SIGTERM)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 143, printed
    assert "stopped" in printed


# Sleeps where no signal is looked at, while a file is half written.
STUCK = """
import pathlib, sys, time
from aecli import signals, files, __main__
import aecli.cli
def stuck(arguments=None):
    with files.writing(pathlib.Path("whole")) as file:
        print("ready", flush=True)
        time.sleep(60)
aecli.cli.main = stuck
__main__.run()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("times", [1, 2])
def test_a_program_that_is_stuck_ends_all_the_same(
    number: signal.Signals, times: int, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    if times == 2:
        process.send_signal(signal.SIGTERM)
    _, printed = process.communicate(timeout=30)
    assert process.returncode in (128 + number, 143)
    assert printed == ""
    assert not list(tmp_path.iterdir())


def test_signals_at_random_times(digits_run: Path, tmp_path: Path) -> None:
    from tests.torture import signal_commands

    run = tmp_path / "run"
    run.mkdir()
    for path in digits_run.iterdir():
        (run / path.name).write_bytes(path.read_bytes())
    assert main(["encode", str(run), "--force"]) == 0
    signal_commands(tmp_path, run, 3)
