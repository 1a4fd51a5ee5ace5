"""The table of formats: what each takes, and what is refused in a line."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from aecli.cli import main
from aecli.export.formats import FORMATS, default_folder


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_has_a_writer_and_the_names_of_its_files(name: str) -> None:
    module = import_module(f"aecli.export.{FORMATS[name].module}")
    assert callable(module.write)
    assert len(set(module.FILES)) == len(module.FILES) > 0


def test_folders_are_called_after_their_format() -> None:
    assert default_folder(Path("runs/mnist"), "csv") == Path("runs/mnist/csv")
    assert default_folder(Path("x/codes.npy"), "csv") == Path("x/codes-csv")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["{run}", "--sample", "5"],
            "--sample means nothing to --format onnx: leave it out, or",
        ),
        (["{run}", "--split", "all"], "choose --format projector, csv"),
        (["{run}", "--format", "csv", "--input", "uint8"], "choose --format onnx, hub"),
        (["{run}", "--input", "int4"], "--input 'int4': expected uint8, uint16, float32"),
        (["{run}", "--format", "projector", "--sample", "100001"], "must be at most 100,000, got"),
        (["{run}", "--format", "projector", "--sample", "0"], "--sample must be at least 1, got 0"),
        (["{codes}"], "--format onnx exports a model: expected a RUN, got the codes"),
        (["{codes}", "--format", "torch"], "expected a RUN"),
        (["{codes}", "--format", "csv", "--split", "all"], "--split goes with a RUN"),
        (["{run}", "-o", "{codes}"], "codes.npy is a file: -o expects a folder"),
        (["{run}/nowhere"], "no such run"),
        (["{run}/nowhere", "--format", "projector"], "no such run"),
    ],
)
def test_what_cannot_be_exported_is_said_in_a_line(
    arguments: list[str], words: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(run / "codes.npy", np.zeros((5, 2), np.float32))
    before = sorted(run.iterdir())
    named = [word.format(run=run, codes=run / "codes.npy") for word in arguments]
    assert main(["export", *named]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1
    assert sorted(run.iterdir()) == before


@pytest.mark.parametrize("name", ["onnx", "hub"])
def test_a_package_that_is_not_installed_is_named(
    name: str, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name != "onnxruntime" or None)
    assert main(["export", str(run), "--format", name]) == 2
    expected = "needs onnxruntime, which is not installed: pip install 'aecli[onnx]'"
    assert f"aecli: --format {name} {expected}" in capsys.readouterr().err


def test_files_of_the_run_are_not_replaced(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run / "best.safetensors").read_bytes()
    assert main(["export", str(run), "--format", "hub", "-o", str(run), "--force"]) == 2
    assert "best.safetensors is read too" in capsys.readouterr().err
    assert (run / "best.safetensors").read_bytes() == before
