"""The real commands on real images, mostly in a process of their own."""

import gzip
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from matplotlib.image import imread
from PIL import Image

import aecli as package
from aecli.cli import main
from tests.helpers import ENDLESS, SMALL, Run


def test_three_commands_without_options_make_a_map(aecli: Run, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "digits"
    # Compiled as users have it.
    trained, encoded, plotted = (aecli(name, XLA_FLAGS="") for name in ("train", "encode", "plot"))
    assert [trained.returncode, encoded.returncode, plotted.returncode] == [0, 0, 0]
    assert trained.stdout == "runs/digits\n"
    assert encoded.stdout == "runs/digits/codes.npy\n"
    assert plotted.stdout == "runs/digits/codes.png\n"
    assert "next: aecli encode runs/digits" in trained.stderr
    assert "next: aecli plot runs/digits/codes.npy" in encoded.stderr
    # What was read is said first.
    first, *_ = trained.stderr.splitlines()
    expected = "images 1,797 of 8x8, gray, uint8, 0..255 is taken as 0..1"
    assert " ".join(first.split()) == expected
    expected = "map recipe, 64-2x2x16-192-192-128-2, on 1,257 images of digits"
    assert expected in trained.stderr
    assert trained.stderr.count("epoch ") >= 42
    assert "\x1b" not in trained.stdout + trained.stderr
    codes, labels = np.load(run / "codes.npy"), np.load(run / "codes.labels.npy")
    assert codes.shape == (360, 2)
    assert labels.shape == (360,)
    assert imread(run / "codes.png").std() > 0.01
    left = {path.name for path in run.iterdir()}
    assert left == {
        "best.safetensors", "last.safetensors", "config.json", "metrics.jsonl", "summary.json",
        "neighbors.safetensors",
        "codes.npy", "codes.labels.npy", "codes.json", "codes.png",
    }  # fmt: skip


def test_json_is_one_object_on_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> dict[str, Any]:
        capsys.readouterr()
        assert main([*arguments, "--json"]) == 0
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    assert main(["train", *SMALL, "--json", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    summary = json.loads(captured.out)
    assert summary["run"] == "runs/digits"
    assert (summary["epochs"], summary["parameters"]) == (4, 2450)
    for name in ("validation_loss", "test_mse", "pca_mse", "seconds", "images_per_second"):
        assert summary[name] > 0
    encoded = run("encode")
    assert encoded["codes"] == "runs/digits/codes.npy"
    assert (encoded["rows"], encoded["dimensions"]) == (360, 2)
    assert encoded["seconds"] > 0
    shown = run("show", "--shapes", "-n", "3")
    assert shown["config"]["hidden"] == [16, 8]
    assert shown["shapes"][0]["product"] == [3, 16]


@pytest.mark.parametrize("latent", [1, 3, 5])
def test_any_number_of_dimensions_goes_through(
    latent: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *SMALL, "--latent", str(latent)]) == 0
    assert main(["encode", "--split", "all"]) == 0
    assert np.load("runs/digits/codes-all.npy").shape == (1797, latent)
    assert main(["plot", "runs/digits/codes-all.npy"]) == 0
    assert main(["decode", "runs/digits", "runs/digits/codes-all.npy", "--uint8"]) == 0
    images = np.load("runs/digits/images.npy")
    assert images.dtype == np.uint8
    assert images.shape == (1797, 8, 8, 1)


def test_an_idx_folder_goes_through(
    idx_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", str(idx_folder), *SMALL]) == 0
    assert main(["encode", "runs/images"]) == 0
    codes = json.loads(Path("runs/images/codes.json").read_text())
    assert (codes["data"], codes["rows"], codes["class_names"]) == ("images", 40, None)
    for kind in ("map", "reconstructions", "history"):
        assert main(["plot", "runs/images", "--kind", kind, "-o", f"{kind}.svg"]) == 0
        assert Path(f"{kind}.svg").read_bytes().startswith(b"<?xml")
    assert main(["decode", "runs/images", "-o", "grid.png"]) == 0
    assert imread("grid.png").size > 0


def test_settings_come_from_flag_then_environment_then_file_then_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AECLI_EPOCHS", "2")
    monkeypatch.setenv("AECLI_SHUFFLE", "0")
    monkeypatch.setenv("AECLI_SEED", "4")
    Path("run.toml").write_text(
        'recipe = "classic"\nepochs = 1\nhidden = [9]\nseed = 5\nlatent = 3'
    )
    assert main(["train", "--config", "run.toml", "--seed", "3", "-o", "run"]) == 0
    config = json.loads(Path("run/config.json").read_text())["config"]
    assert (config["seed"], config["epochs"], config["shuffle"]) == (3, 2, False)
    assert (config["hidden"], config["latent"], config["recipe"]) == ([9], 3, "classic")
    assert config["activation"] == "sigmoid"


def test_a_run_goes_on_with_more_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    constant = (*SMALL, "--schedule", "constant")
    assert main(["train", *constant, "-o", "straight"]) == 0
    assert main(["train", *constant, "--epochs", "2", "-o", "resumed"]) == 0
    assert main(["train", "--resume", "-o", "resumed", "--epochs", "4"]) == 0
    one, two = (Path(run, "best.safetensors").read_bytes() for run in ("straight", "resumed"))
    assert one == two


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "aecli", "train", *ENDLESS]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "epoch 3/" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped; aecli train --resume -o runs/digits resumes it" in rest
    assert "Traceback" not in rest
    last = [line for line in rest.splitlines() if line.startswith("epoch ")][-1]
    metrics = (tmp_path / "runs/digits/metrics.jsonl").read_text().splitlines()
    assert json.loads(metrics[-1])["epoch"] == int(last.split()[1].partition("/")[0])
    assert main(["encode", str(tmp_path / "runs/digits")]) == 0


def _in_terminal(arguments: list[str], folder: Path, columns: int, **variables: str) -> str:
    """Return what a command writes to a terminal of so many columns, both streams."""
    leader, follower = pty.openpty()
    environment = os.environ | {"COLUMNS": str(columns), "TERM": "xterm-256color"} | variables
    process = subprocess.Popen(
        [sys.executable, "-m", "aecli", *arguments],
        cwd=folder,
        env=environment,
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    output = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # The terminal is closed once the process has ended.
            break
        if not part:
            break
        output += part
    os.close(leader)
    assert process.wait() == 0
    return output.decode()


def test_a_terminal_shows_a_bar_within_its_width(tmp_path: Path) -> None:
    shown = _in_terminal(["train", *SMALL], tmp_path, 60)
    assert "4/4" in shown
    assert "Traceback" not in shown
    plain = _in_terminal(["train", *SMALL, "--force"], tmp_path, 60, NO_COLOR="1")
    styles = re.findall(r"\x1b\[([\d;]*)m", plain)
    colours = [n for style in styles for n in style.split(";") if n and 30 <= int(n) <= 107]
    assert not colours
    assert "\x1b[" in shown
    for line in plain.replace("\r", "\n").splitlines():
        if not any(words in line for words in ("next:", "recipe,", "was learned:")):
            text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", line)
            assert len(text) <= 60, text


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    def run(script: str) -> subprocess.CompletedProcess[str]:
        script = script.replace("aecli", f"{sys.executable} -m aecli")
        return subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )

    assert run(f"aecli train {' '.join(SMALL)} | head -1").stdout == "runs/digits\n"
    left = run("aecli show | true; exit ${PIPESTATUS[0]}")
    assert (left.returncode, left.stderr) == (0, "")
    full = run("aecli show > /dev/full")
    assert (full.returncode, full.stderr) == (
        1,
        "aecli: cannot write to stdout: No space left on device\n",
    )
    silent = run("aecli show nothing 2>&-")
    assert (silent.returncode, silent.stdout) == (2, "")


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    captured = capsys.readouterr()
    assert "Commands" in captured.out + captured.err
    assert "aecli:" not in captured.out + captured.err


@pytest.mark.parametrize(
    ("number", "delay"),
    [(signal.SIGTERM, 0.5), (signal.SIGINT, 1.0), (signal.SIGTERM, 1.5)],
)
def test_a_signal_at_any_time_ends_the_training(
    tmp_path: Path, number: signal.Signals, delay: float
) -> None:
    command = [sys.executable, "-m", "aecli", "train", *ENDLESS]
    started = time.perf_counter()
    subprocess.run([*command[:3], "--version"], check=True, stdout=subprocess.DEVNULL)
    # A slow machine takes longer to reach the same points of the program.
    slowness = max(1.0, (time.perf_counter() - started) / 0.1)
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    time.sleep(delay * slowness)
    process.send_signal(number)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in rest
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_folder_cannot_take_the_place_of_a_name_once_a_run_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert main(["train", *SMALL]) == 0
    assert main(["encode"]) == 0
    assert main(["plot", "--kind", "reconstructions"]) == 0


def test_arrays_go_through_with_labels_and_scaling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    np.save("images.npy", generator.integers(-100, 101, (120, 49)))
    np.save("labels.npy", np.arange(120) % 3)
    data = ["images.npy", "--labels", "labels.npy", "--rescale=-100,100"]
    assert main(["train", *data, *SMALL, "--test", "0.25", "--split-seed", "3", "-o", "run"]) == 0
    assert main(["train", "--resume", "-o", "run", "--epochs", "5"]) == 0
    assert main(["encode", "run"]) == 0
    assert np.load("run/codes.labels.npy").shape == (30,)
    np.save("new.npy", generator.integers(-100, 101, (7, 7, 7)))
    assert main(["encode", "run", "new.npy", "-o", "new-codes.npy"]) == 0
    assert np.load("new-codes.npy").shape == (7, 2)
    assert json.loads(Path("new-codes.json").read_text())["split"] == "all"
    assert main(["plot", "run", "--kind", "reconstructions"]) == 0
    capsys.readouterr()
    assert main(["data", "show", *data, "--json", "--picture", "grid.png"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["classes"] == {"0": 40, "1": 40, "2": 40}
    assert about["pixels"] == "float32"
    assert imread("grid.png").size > 0
    assert main(["data", "list"]) == 0
    assert "digits\t" in capsys.readouterr().out


def test_new_images_are_converted_as_the_runs_own_and_it_is_said(
    digits_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("new").mkdir()
    for number, (mode, size) in enumerate((("RGB", (20, 30)), ("L", (8, 8)))):
        Image.linear_gradient("L").convert(mode).resize(size).save(f"new/{number}.png")
    said = "images converted as the run's: 1 made gray, 1 stretched to 8x8\n"
    assert main(["encode", str(digits_run), "new", "-o", "codes.npy", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith(said)
    assert json.loads(captured.out)["converted"] == {"stretched to 8x8": 1, "made gray": 1}
    assert np.load("codes.npy").shape == (2, 2)
    # The codes find their images again, converted.
    np.save("x.npy", np.random.default_rng(0).integers(0, 256, (40, 20, 8, 3), np.uint8))
    assert main(["encode", str(digits_run), "x.npy", "-o", "codes.npy", "--force"]) == 0
    assert main(["score", "codes.npy"]) == 0
    capsys.readouterr()
    assert main(["score", str(digits_run), "x.npy"]) == 0
    said = "images converted as the run's: 40 made gray, 40 stretched to 8x8\n"
    assert capsys.readouterr().err.startswith(said)
    np.save("wide.npy", np.zeros((3, 1000, 8), np.uint16))
    assert main(["encode", str(digits_run), "wide.npy", "-o", "wide-codes.npy"]) == 0
    err = capsys.readouterr().err
    assert "images converted as the run's: 3 stretched to 8x8\n" in err
    assert "these images use 0..0 of 0..65535, which is taken as 0..1" in err


def test_a_run_is_known_from_others(
    idx_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "images", *SMALL, "-o", "run"]) == 0
    assert main(["encode", "run"]) == 0
    assert main(["plot", "run"]) == 0
    assert main(["train", "images", *SMALL, "-o", "run", "--force", "--seed", "5"]) == 0
    assert main(["plot", "run", "--force"]) == 2
    assert "codes.npy is older than the run: aecli encode run --force" in capsys.readouterr().err
    pixels = bytearray((idx_folder / "t10k-images-idx3-ubyte").read_bytes())
    pixels[-1] ^= 1
    (idx_folder / "t10k-images-idx3-ubyte").write_bytes(pixels)
    assert main(["encode", "run", "--force"]) == 2
    assert "its pixels differ; name the DATASET to take it all the same" in capsys.readouterr().err
    assert main(["encode", "run", "images", "--force"]) == 0


Prepare = Callable[[Path], object]


def _nothing(folder: Path) -> None:
    pass


def _save_codes_and_labels(folder: Path) -> None:
    np.save(folder / "codes.npy", np.zeros((4, 2)))
    np.save(folder / "y.npy", np.zeros(5, np.int64))


BAD_INPUT: dict[str, tuple[Prepare, list[str], str]] = {
    "no such data set": (_nothing, ["train", "mnits"], "did you mean 'mnist'? (known: digits,"),
    "no such folder": (_nothing, ["train", "no/such"], "no such file or folder: no/such"),
    "a folder without images": (_nothing, ["train", "run"], "or IDX files in MNIST's naming"),
    "a run that exists": (_nothing, ["train", "-o", "run"], "--resume resumes it, --force"),
    "labels without data": (
        _nothing,
        ["train", "--labels", "y.npy"],
        "--labels without a DATASET",
    ),
    "pixels that are no numbers": (
        lambda folder: np.save(folder / "x.npy", np.full((40, 4, 4), np.nan)),
        ["train", "x.npy"],
        "holds NaN, infinity or a number too large for float32, first at (0, 0, 0",
    ),
    "too few images to split": (
        lambda folder: np.save(folder / "x.npy", np.zeros((2, 4, 4))),
        ["train", "x.npy"],
        "too few for a",
    ),
    "new images that are no numbers": (
        lambda folder: np.save(folder / "x.npy", np.full((4, 8, 8), np.inf)),
        ["encode", "run", "x.npy"],
        "holds NaN, infinity or a number too large for float32, first at (0, 0, 0",
    ),
    "a range that is none": (_nothing, ["data", "show", "--rescale", "5"], "expected two numbers"),
    "shares that leave nothing": (
        _nothing,
        ["train", "images", "--validation", "0.6", "--test", "0.4"],
        "leave no images to train on",
    ),
    "a picture of data that exists": (
        lambda folder: (folder / "grid.png").write_bytes(b"mine"),
        ["data", "show", "--picture", "grid.png"],
        "grid.png exists already",
    ),
    "a run below a file": (
        _nothing,
        ["train", "-o", "run/config.json/x"],
        "run/config.json is a file, expected a folder",
    ),
    "codes below a file": (
        _nothing,
        ["encode", "run", "-o", "run/config.json/x.npy"],
        "run/config.json is a file, expected a folder",
    ),
    "codes that would replace the summary": (
        _nothing,
        ["encode", "run", "-o", "run/summary.npy", "--force"],
        "summary.json is not the provenance of codes",
    ),
    "a loop of links": (
        lambda folder: (folder / "loop").symlink_to("loop"),
        ["train", "loop"],
        "cannot look at loop",
    ),
    "too long a name": (_nothing, ["train", "x" * 300], "cannot look at xxx"),
    "a setting twice": (
        lambda folder: (folder / "x.toml").write_text("batch_size = 1\nbatch-size = 2"),
        ["train", "--config", "x.toml"],
        "sets batch_size twice",
    ),
    "a run that is a file": (_nothing, ["train", "-o", "run/config.json"], "is a file: -o expects"),
    "nothing to resume": (_nothing, ["train", "--resume", "-o", "x"], "nothing to resume"),
    "resume and force": (_nothing, ["train", "--resume", "--force"], "exclude each other"),
    "resume with another seed": (
        _nothing,
        ["train", "--resume", "-o", "run", "--seed", "1"],
        "--seed 1 differs from the run's 0",
    ),
    "resume with other data": (
        _nothing,
        ["train", "images", "--resume", "-o", "run"],
        "is not the data that the run was trained on, digits",
    ),
    "no epochs": (_nothing, ["train", "--epochs", "0"], "--epochs must be at least 1, got 0"),
    "a negative latent": (_nothing, ["train", "--latent", "-2"], "--latent must be at least 1"),
    "an unknown activation": (_nothing, ["train", "--activation", "sin"], "'sigmoid', 'tanh'"),
    "an unknown recipe": (
        _nothing,
        ["train", "--recipe", "x"],
        "map, plain, photos, classic",
    ),
    "widths that are none": (_nothing, ["train", "--hidden", "a,b"], "such as 128,64,10"),
    "a word for a number": (_nothing, ["train", "--epochs", "many"], "'--epochs'"),
    "an unknown option": (_nothing, ["train", "--epoch", "3"], "--epochs"),
    "an unknown command": (_nothing, ["trian"], "trian"),
    "a missing config file": (_nothing, ["train", "--config", "x.toml"], "cannot read --config"),
    "encode without a run": (_nothing, ["encode", "nothing"], "no such run: nothing"),
    "encode a file that is no checkpoint": (
        _nothing,
        ["encode", "run/config.json"],
        "expected its folder or a .safetensors file",
    ),
    "encode a folder that is no run": (_nothing, ["encode", "images"], "images is not a run"),
    "encode other vectors": (
        lambda folder: np.save(folder / "x.npy", np.ones((4, 7))),
        ["encode", "run", "x.npy"],
        "has vectors of 7 numbers: expected images, or vectors of 64 that can be images of 8x8x1",
    ),
    "encode images of another size than the run's": (
        _nothing,
        ["encode", "run", "images", "--size", "9"],
        "--size 9x9 does not fit: the run was trained on images of 8x8x1",
    ),
    "encode over existing codes": (
        lambda folder: (folder / "run" / "codes.npy").write_bytes(b"mine"),
        ["encode", "run"],
        "run/codes.npy exists already: --force",
    ),
    "encode to no .npy": (_nothing, ["encode", "run", "-o", "codes.txt"], "expected NAME.npy"),
    "encode with no batch": (_nothing, ["encode", "run", "--batch-size", "0"], "--batch-size must"),
    "encode an unknown split": (_nothing, ["encode", "run", "--split", "tests"], "'tests'"),
    "a damaged checkpoint": (
        lambda folder: (folder / "run" / "best.safetensors").write_bytes(b"x" * 99),
        ["encode", "run"],
        "run/best.safetensors is not a whole safetensors file",
    ),
    "decode other codes": (
        lambda folder: np.save(folder / "codes.npy", np.zeros((4, 3))),
        ["decode", "run", "codes.npy"],
        "the codes have 3 dimensions, the run's have 2",
    ),
    "plot what is no matrix": (
        lambda folder: np.save(folder / "codes.npy", np.zeros((4, 3, 2))),
        ["plot", "codes.npy"],
        "expected numbers of shape (n, d)",
    ),
    "plot labels of another length": (
        _save_codes_and_labels,
        ["plot", "codes.npy", "--labels", "y.npy"],
        "expected 4, one for each row, got int64 (5,)",
    ),
    "plot no file": (_nothing, ["plot", "nothing.npy"], "cannot read nothing.npy"),
    "plot to an unknown format": (
        lambda folder: np.save(folder / "codes.npy", np.zeros((4, 2))),
        ["plot", "codes.npy", "-o", "map.jpg"],
        "expected NAME.png or NAME.svg or NAME.pdf",
    ),
    "plot a run without codes": (_nothing, ["plot", "run"], "aecli encode run makes it"),
    "plot the history of codes": (
        lambda folder: np.save(folder / "codes.npy", np.zeros((4, 2))),
        ["plot", "codes.npy", "--kind", "history"],
        "--kind history draws a run",
    ),
    "plot the history of nothing": (_nothing, ["plot", "x", "--kind", "history"], "no such run: x"),
    "plot no reconstructions": (
        _nothing,
        ["plot", "run", "--kind", "reconstructions", "--count", "0"],
        "--count must lie in 1..50, got 0",
    ),
    "show too many rows": (
        _nothing,
        ["show", "run", "--shapes", "--rows", str(10**30)],
        "--rows must be at most 2,147,483,647, got 1",
    ),
    "show no rows": (_nothing, ["show", "run", "--shapes", "--rows", "0"], "--rows must be"),
}


@pytest.mark.parametrize("fault", BAD_INPUT)
def test_bad_input_is_one_line_and_exit_code_2(
    fault: str,
    digits_run: Path,
    idx_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    for path in digits_run.iterdir():
        (tmp_path / "run" / path.name).write_bytes(path.read_bytes())
    prepare, arguments, words = BAD_INPUT[fault]
    prepare(tmp_path)
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("aecli: ")
    assert captured.err.count("\n") == 1
    assert words in captured.err
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_an_error_is_one_line_in_a_real_process_too(aecli: Run, tmp_path: Path) -> None:
    done = aecli("train", "mnits")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("aecli: no data set, file or folder is called 'mnits'")
    assert list(tmp_path.iterdir()) == []


def test_a_profile_is_a_trace_of_one_epoch(aecli: Run, tmp_path: Path) -> None:
    done = aecli("train", *SMALL, "--profile", "trace", "-o", "run")
    assert done.returncode == 0, done.stderr
    assert "traced an epoch into trace" in done.stderr
    (trace,) = (tmp_path / "trace").rglob("perfetto_trace.json.gz")
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    assert any("dot" in event.get("name", "") for event in events)
    (tmp_path / "file").touch()
    refused = aecli("train", *SMALL, "--profile", "file", "-o", "other")
    assert refused.returncode == 2
    assert "file is a file: --profile expects a folder" in refused.stderr
    assert not (tmp_path / "other").exists()


def test_a_run_that_has_all_its_epochs_says_that_nothing_is_traced(
    digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(digits_run, run)
    before = json.loads((run / "summary.json").read_text())
    assert main(["train", "--resume", "-o", str(run), "--profile", str(tmp_path / "trace")]) == 0
    said = capsys.readouterr().err
    assert "resumed after epoch 4: it has them all, --epochs raises them" in said
    assert "traced nothing: the training ended before the epoch to trace" in said
    assert not (tmp_path / "trace").exists()
    # The time is that of the whole run, not of a moment.
    seconds = ("seconds", "images_per_second", "run")
    after = json.loads((run / "summary.json").read_text())
    history = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert after["seconds"] > sum(epoch["seconds"] for epoch in history)
    assert {k: v for k, v in after.items() if k not in seconds} == {
        k: pytest.approx(v) for k, v in before.items() if k not in seconds
    }


def test_a_picture_of_too_many_images_says_how_many_it_shows(
    digits_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("aecli.plot.images._MOST_DOTS", 45)
    np.save(tmp_path / "codes.npy", np.zeros((50, 2), np.float32))
    out = tmp_path / "grid.png"
    assert main(["decode", str(digits_run), str(tmp_path / "codes.npy"), "-o", str(out)]) == 0
    assert imread(out).shape[:2] == (40, 40)
    said = capsys.readouterr().err
    assert "drew the first 16 of 50 images: a picture has no room for more" in said


@pytest.mark.parametrize("arguments", [("--help",), ("plot", "--help"), ("--version",)])
def test_help_is_quick(arguments: tuple[str, ...]) -> None:
    def seconds(command: Sequence[str]) -> float:
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - started

    # In turns with what any command line of this kind imports: a busy machine slows both.
    least, ours = [], []
    for _ in range(4):
        least.append(seconds([sys.executable, "-c", "import typer._adapters, rich.console"]))
        ours.append(seconds([sys.executable, "-m", "aecli", *arguments]))
    assert min(ours) < 2.5 * min(least)


def test_the_version_in_json_says_what_computes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["aecli"] == package.__version__
    assert about["jax"] == jax.__version__
    assert about["devices"].startswith(f"{jax.device_count()} {jax.devices()[0].device_kind}")


@pytest.mark.parametrize("arguments", [["--json"], ["--json", "show"]])
def test_before_a_command_json_is_of_the_version(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "it goes with --version" in capsys.readouterr().err
