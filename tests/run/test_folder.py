import os
import shutil
from pathlib import Path

import pytest

from aecli.errors import InputError
from aecli.run.folder import RunFolder, find_checkpoint, folder_of


def test_a_run_exists_once_it_has_a_file(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert not folder.exists
    folder.path.mkdir()
    (folder.path / "codes.npy").touch()
    assert not folder.exists
    folder.metrics.touch()
    assert folder.exists


def test_a_lock_is_held_and_let_go(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / "run")
    with folder.locked():
        assert (folder.path / ".lock").read_text() == str(os.getpid())
        with (
            pytest.raises(InputError, match=f"is being trained by process {os.getpid()}: wait"),
            RunFolder(folder.path).locked(),
        ):
            pass
        folder.config.touch()
    assert [path.name for path in folder.path.iterdir()] == ["config.json"]


def test_a_folder_that_nothing_was_written_into_goes(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "runs" / "run").locked():
        pass
    assert list(tmp_path.iterdir()) == []


def test_files_are_described_without_hidden_ones_and_folders(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"12345")
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / ".hidden").touch()
    (tmp_path / "folder").mkdir()
    assert RunFolder(tmp_path).describe_files() == {"a": 1, "b": 5}


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        (None, None),
        (
            '{"test_mse": 0.5, "epochs": 3, "pca_mse": null}',
            {"test_mse": 0.5, "pca_mse": None, "seconds": None},
        ),
    ],
)
def test_the_summary_is_read(
    tmp_path: Path, text: str | None, summary: dict[str, float | None] | None
) -> None:
    folder = RunFolder(tmp_path)
    if text is not None:
        folder.summary.write_text(text)
    assert folder.read_summary() == summary


@pytest.mark.parametrize("text", ["[1]", "{", '{"seconds": "1"}', '{"test_mse": 1e400}'])
def test_a_damaged_summary_is_refused(tmp_path: Path, text: str) -> None:
    RunFolder(tmp_path).summary.write_text(text)
    with pytest.raises(InputError, match=r"summary\.json"):
        RunFolder(tmp_path).read_summary()


def test_a_run_is_named_by_its_folder_or_a_checkpoint(digits_run: Path) -> None:
    assert folder_of(digits_run) == folder_of(digits_run / "best.safetensors")
    assert folder_of(digits_run).path == digits_run


def test_hints_can_be_pasted_whatever_the_name(digits_run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"aecli train DATASET -o '.*my run' makes it"):
        find_checkpoint(tmp_path / "my run")
    (tmp_path / "my run").mkdir()
    shutil.copy(digits_run / "last.safetensors", tmp_path / "my run")
    with pytest.raises(InputError, match=r"aecli train --resume -o '.*my run' "):
        find_checkpoint(tmp_path / "my run")
