"""Codes in parts: made by many processes, damaged, killed, made again, merged, and read as one."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aecli.cli import main
from aecli.npy import StoredArray
from aecli.run.codes import provenance_path
from aecli.run.part import Part

COUNT = 5
ONE = ("npy", "labels.npy", "json")


def encode(run: Path, *options: str | Path) -> int:
    return main(["encode", str(run), *map(str, options), "--quiet"])


# Parts are the bytes of one process: of programs as users have them.
pytestmark = pytest.mark.usefixtures("optimized")


@pytest.fixture(scope="module")
def made(optimized: None, digits_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the codes of one process, `one.npy`, and those of five in parts.

    Tests must not write into it.
    """
    folder = tmp_path_factory.mktemp("parts")
    assert encode(digits_run, "digits", "--split", "all", "-o", folder / "one.npy") == 0
    for index in range(COUNT):
        assert encode_part(digits_run, folder, index) == 0
    return folder


def encode_part(run: Path, folder: Path, index: int, *options: str) -> int:
    out = str(folder / "codes.npy")
    part = f"{index}/{COUNT}"
    return encode(run, "digits", "--split", "all", "-o", out, "--part", part, *options)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "work")
    return tmp_path / "work"


def part_path(folder: Path, index: int) -> Path:
    return Part(index, COUNT).path(folder / "codes.npy")


def is_that_of_one_process(folder: Path, name: str = "codes") -> bool:
    files = ((folder / f"{name}.{suffix}", folder / f"one.{suffix}") for suffix in ONE)
    return all(path.read_bytes() == whole.read_bytes() for path, whole in files)


def forge(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what a part says of itself, so that its checksum fits."""
    content = json.loads(provenance_path(path).read_text())
    del content["sha256"]
    change(content)
    signed = content | {"sha256": hashlib.sha256(json.dumps(content).encode()).hexdigest()}
    provenance_path(path).write_text(json.dumps(signed))


def test_merged_parts_are_the_bytes_of_one_process(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["encode", "--merge", str(folder / "codes.npy")]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{folder / 'codes.npy'}\n"
    assert "merged 5 parts of one model and one data set, none missing; they stay" in captured.err
    assert is_that_of_one_process(folder)
    assert part_path(folder, 4).exists()
    assert main(["encode", "--merge", str(folder), "--quiet"]) == 2
    assert "exists already: --force" in capsys.readouterr().err
    # Its folder means it too, and another name for the whole.
    forge(part_path(folder, 2), lambda content: content["part"].update(made_on="another machine"))
    assert main(["encode", "--merge", str(folder), "-o", str(folder / "other.npy")]) == 0
    assert "different machines made them (another machine, jax" in capsys.readouterr().err
    assert is_that_of_one_process(folder, "other")


def test_a_whole_part_is_skipped_and_a_damaged_one_made_anew(
    digits_run: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged: dict[int, Callable[[Path], object]] = {
        0: lambda path: path.write_bytes(path.read_bytes()[:-1]),
        1: lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"),
        2: lambda path: provenance_path(path).unlink(),
        3: lambda path: provenance_path(path).write_bytes(b"{"),
        4: lambda path: np.save(path.with_suffix(".labels.npy"), np.zeros(360, np.int64)),
    }
    times = {index: part_path(folder, index).stat().st_mtime_ns for index in damaged}
    for index, damage in damaged.items():
        assert encode_part(digits_run, folder, index, "--json") == 0
        assert json.loads(capsys.readouterr().out)["skipped"] is True
        assert part_path(folder, index).stat().st_mtime_ns == times[index]
        damage(part_path(folder, index))
    assert main(["encode", "--merge", str(folder / "codes.npy")]) == 2
    message = capsys.readouterr().err
    assert "codes.npy: 5 of 5 parts missing or damaged: 0-4; encode them with" in message
    assert "sbatch --array=0-4 and --part auto/5" in message
    for index in damaged:
        assert encode_part(digits_run, folder, index) == 0
    assert main(["encode", "--merge", str(folder / "codes.npy"), "--quiet"]) == 0
    assert is_that_of_one_process(folder)


def test_force_makes_a_whole_part_anew(digits_run: Path, folder: Path) -> None:
    path = part_path(folder, 2)
    before = path.stat().st_mtime_ns, path.read_bytes()
    assert encode_part(digits_run, folder, 2, "--force") == 0
    assert path.stat().st_mtime_ns != before[0]
    assert path.read_bytes() == before[1]


def other_model(content: dict[str, Any]) -> None:
    content["model_sha256"] = "0" * 64


def other_images(content: dict[str, Any]) -> None:
    content["part"]["pixels_sha256"] = "0" * 64


def other_split(content: dict[str, Any]) -> None:
    content["split"] = "train"


def other_labels(content: dict[str, Any]) -> None:
    content["labels_sha256"] = None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_model, "of another model: --force"),
        (other_split, r"of other images \(split\): --force"),
        (other_images, r"of other images \(pixels\): --force"),
        (other_labels, "of images with other labels: --force"),
    ],
)
def test_a_part_of_something_else_needs_force(
    digits_run: Path,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, Any]], None],
    words: str,
) -> None:
    path = part_path(folder, 3)
    forge(path, change)
    before = path.read_bytes(), provenance_path(path).read_bytes()
    assert encode_part(digits_run, folder, 3) == 2
    assert re.search(words, capsys.readouterr().err)
    assert (path.read_bytes(), provenance_path(path).read_bytes()) == before


def test_a_file_of_others_that_is_called_like_a_part_needs_force(
    digits_run: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = part_path(folder, 1)
    np.save(path, np.zeros((7, 512), np.float16))
    provenance_path(path).unlink()
    assert encode_part(digits_run, folder, 1) == 2
    assert "exists already: --force" in capsys.readouterr().err
    provenance_path(path).write_text("{}")
    assert encode_part(digits_run, folder, 1, "--force") == 2
    assert "is not the provenance of codes" in capsys.readouterr().err


def drop(path: Path) -> None:
    path.unlink()


def of_another_model(path: Path) -> None:
    forge(path, other_model)


def of_other_images(path: Path) -> None:
    forge(path, other_images)


def of_other_labels(path: Path) -> None:
    labels = path.with_suffix(".labels.npy")
    np.save(labels, np.load(labels) + 1)

    def change(content: dict[str, Any]) -> None:
        content["labels_sha256"] = hashlib.sha256(np.load(labels).data).hexdigest()

    forge(path, change)


def with_a_gap(path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["part"]["start"] += 1
        content["rows"] -= 1

    forge(path, change)


def in_the_place_of_another(path: Path) -> None:
    for suffix in ("npy", "labels.npy", "json"):
        name = Part(2, COUNT).path(path.parent / "codes.npy").with_suffix(f".{suffix}")
        shutil.copy(name, path.with_suffix(f".{suffix}"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop, r"1 of 5 parts missing or damaged: 3; encode them"),
        (with_a_gap, r"1 of 5 parts missing or damaged: 3; encode them"),
        (of_another_model, r"of another model than codes-00000-of-00005\.npy"),
        (in_the_place_of_another, r"codes-00003-of-00005\.npy is not part 3/5"),
        (of_other_images, r"digits has changed since .*codes-00003"),
        (of_other_labels, r"the labels of digits have changed since .*codes-00003"),
    ],
)
def test_parts_that_make_no_whole_are_not_merged(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], None],
    words: str,
) -> None:
    change(part_path(folder, 3))
    assert main(["encode", "--merge", str(folder / "codes.npy")]) == 2
    message = capsys.readouterr().err
    assert re.search(words, message)
    assert len(message.splitlines()) == 1
    assert not (folder / "codes.npy").exists()


def test_parts_of_a_runs_own_test_images_have_to_be_of_what_it_was_trained_on(
    digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "codes.npy"
    for index in range(2):
        assert encode(digits_run, "-o", out, "--part", f"{index}/2") == 0
    assert encode(digits_run, "-o", tmp_path / "one.npy") == 0
    assert main(["encode", "--merge", str(out), "--quiet"]) == 0
    assert is_that_of_one_process(tmp_path)

    def of_other_data(content: dict[str, Any]) -> None:
        content["part"]["data_fingerprint"] = "0" * 64

    for index in range(2):
        forge(Part(index, 2).path(out), of_other_data)
    assert main(["encode", "--merge", str(out), "--quiet", "--force"]) == 2
    assert "digits is not the data that the run was trained on" in capsys.readouterr().err


def test_parts_of_two_counts_do_not_come_to_lie_together(
    digits_run: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(folder / "codes.npy")
    assert encode(digits_run, "digits", "--split", "all", "-o", out, "--part", "0/3") == 2
    assert "expected --part I/5 or auto/5" in capsys.readouterr().err
    for suffix in ONE:
        part = part_path(folder, 0).with_suffix(f".{suffix}")
        shutil.copy(part, folder / f"codes-00000-of-00003.{suffix}")
    assert main(["encode", "--merge", out]) == 2
    assert "has parts of 3 and of 5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (["run", "--merge", "codes.npy"], "RUN means nothing to --merge"),
        (["--merge", "codes.npy", "--split", "all"], "--split means nothing to --merge"),
        (["--merge", "codes.npy", "--part", "0/2"], "--part means nothing to --merge"),
        (["--merge", "codes.npy"], r"no parts of codes\.npy, such as codes-00000-of-00016\.npy"),
        (["--merge", "codes.txt"], r"expected NAME\.npy"),
    ],
)
def test_what_means_nothing_to_a_merge_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    refused: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["encode", *words]) == 2
    assert re.search(refused, capsys.readouterr().err)


def test_parts_are_read_as_one_and_missing_ones_are_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, page = folder / "x.png", folder / "x.html"

    def results(source: Path) -> tuple[Any, ...]:
        assert main(["plot", str(source), "-o", str(picture), "--force"]) == 0
        assert main(["explore", str(source), "-o", str(page), "--force"]) == 0
        captured = capsys.readouterr()
        assert "1,797 of them with their images" in captured.err
        is_in_parts = not (folder / "codes.npy").exists()
        assert captured.err.count("codes.npy: 5 parts read as one") == 2 * is_in_parts
        assert main(["score", str(source), "--sample", "100", "--json"]) == 0
        scores = json.loads(capsys.readouterr().out)["maps"]["codes.npy"]
        return scores, picture.read_bytes(), page.read_bytes()

    for suffix in ONE:
        (folder / f"one.{suffix}").rename(folder / f"codes.{suffix}")
    whole = results(folder / "codes.npy")
    for suffix in ONE:
        (folder / f"codes.{suffix}").unlink()
    assert results(folder) == whole
    assert main(["plot", str(folder / "codes.npy"), "-o", str(picture), "--force"]) == 0
    assert picture.read_bytes() == whole[1]
    part_path(folder, 1).unlink()
    part_path(folder, 3).unlink()
    expected = "2 of 5 parts missing or damaged: 1,3; encode them with --part I/5"
    for command in ("plot", "score", "explore"):
        for source in (folder, folder / "codes.npy"):
            assert main([command, str(source)]) == 2
            assert expected in capsys.readouterr().err


def test_one_part_alone_is_a_map_but_not_all_images(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(part_path(folder, 1))
    assert main(["plot", path, "-q"]) == 0
    for command in ("score", "explore"):
        assert main([command, path]) == 2
        assert "is part 1/5 of codes: name all of them" in capsys.readouterr().err


def test_a_part_reads_its_own_images_alone(
    digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5_000, 8, 8), np.uint8)
    np.save(tmp_path / "x.npy", images)
    read: set[int] = set()
    take = StoredArray.__getitem__

    def spied(stored: StoredArray, chosen: slice) -> Any:
        read.update(range(*chosen.indices(len(stored))))
        return take(stored, chosen)

    monkeypatch.setattr(StoredArray, "__getitem__", spied)
    monkeypatch.setattr("aecli.data.splits._draw", None)
    data, out = tmp_path / "x.npy", tmp_path / "codes.npy"
    assert encode(digits_run, data, "-o", out, "--part", "2/5") == 0
    # A few others tell whether they use the range of their type.
    assert len(read - set(range(2_000, 3_000))) <= 64
    assert set(range(2_000, 3_000)) <= read


@pytest.mark.parametrize("split", ["all", "test"])
def test_images_that_change_between_parts_are_noticed_by_the_merge(
    digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (900, 8, 8), np.uint8)
    data, out = tmp_path / "x.npy", tmp_path / "codes.npy"
    words = [str(data), "--split", split]
    for index in range(3):
        np.save(data, images if index else 255 - images)
        assert encode(digits_run, *words, "-o", out, "--part", f"{index}/3") == 0
    assert main(["encode", "--merge", str(out)]) == 2
    assert re.search(r"x\.npy has changed since .*codes-00000-of-00003", capsys.readouterr().err)
    assert encode(digits_run, *words, "-o", out, "--part", "0/3", "--force") == 0
    assert main(["encode", "--merge", str(out), "--quiet"]) == 0
    assert encode(digits_run, *words, "-o", tmp_path / "one.npy") == 0
    assert is_that_of_one_process_without_labels(tmp_path)


def test_a_part_killed_in_the_middle_is_made_again(digits_run: Path, tmp_path: Path) -> None:
    rows = 300_000
    images = np.random.default_rng(0).integers(0, 256, (rows // 100, 8, 8), np.uint8)
    np.save(tmp_path / "x.npy", np.tile(images, (100, 1, 1)))
    words = [
        "encode",
        digits_run,
        "x.npy",
        "-o",
        "codes.npy",
        "--part",
        "1/2",
        "--batch-size",
        "96",
    ]
    process = subprocess.Popen([sys.executable, "-m", "aecli", *map(str, words)], cwd=tmp_path)
    ends = time.monotonic() + 120
    while not (left := list(tmp_path.glob(".codes-00001-of-00002.npy.*.tmp"))):
        assert process.poll() is None
        assert time.monotonic() < ends
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert left[0].exists()
    assert not (tmp_path / "codes-00001-of-00002.npy").exists()
    out = tmp_path / "codes.npy"
    for index in (0, 1):
        assert encode(digits_run, tmp_path / "x.npy", "-o", out, "--part", f"{index}/2") == 0
    assert not left[0].exists()
    assert main(["encode", "--merge", str(out), "--quiet"]) == 0
    assert encode(digits_run, tmp_path / "x.npy", "-o", tmp_path / "one.npy") == 0
    assert is_that_of_one_process_without_labels(tmp_path)


def is_that_of_one_process_without_labels(folder: Path) -> bool:
    pairs = ((folder / f"codes.{suffix}", folder / f"one.{suffix}") for suffix in ("npy", "json"))
    return all(path.read_bytes() == whole.read_bytes() for path, whole in pairs)


FOUR_DEVICES = """
import sys
import aecli.encode as encoding
from aecli.cli import main

used = set()
compiled = encoding.TrainedModel.compiled

def spied(*arguments, **named):
    program = compiled(*arguments, **named)
    def run(*rows):
        values = program(*rows)
        used.update(map(str, values.devices()))
        return values
    return run

encoding.TrainedModel.compiled = spied
run, *names = sys.argv[1:]
for name in names:
    assert main(["encode", run, "digits", "--split", "all", "--batch-size", "48", "-o", name]) == 0
print(len(used), "devices")
"""


def test_all_devices_make_the_bytes_of_one_with_new_and_with_kept_programs(
    digits_run: Path, folder: Path
) -> None:
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "AECLI_MIRROR": "nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", FOUR_DEVICES, digits_run, folder / "new.npy", folder / "kept.npy"],
        env=os.environ | flags,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("4 devices\n")
    assert "Traceback" not in done.stderr
    assert is_that_of_one_process(folder, "new")
    assert is_that_of_one_process(folder, "kept")


def test_runs_that_place_by_features_are_not_encoded_in_parts(
    digits_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("aecli.run.checkpoint.Checkpoint.places_by_features", True)
    assert encode(digits_run, "-o", tmp_path / "codes.npy", "--part", "0/2") == 2
    assert "the run places images by features" in capsys.readouterr().err
