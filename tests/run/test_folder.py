import os
import shutil
from pathlib import Path

import pytest

from aecli.errors import InputError
from aecli.run.folder import RunFolder, find_checkpoint, folder_of


def test_a_run_is_not_replaced_without_force(digits_run: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.refuse_existing(force=False)
    folder.path.mkdir()
    (folder.path / "codes.npy").touch()
    folder.refuse_existing(force=False)
    shutil.copy(digits_run / "last.safetensors", folder.path)
    with pytest.raises(InputError, match="holds a run already: --resume resumes it, --force"):
        folder.refuse_existing(force=False)
    folder.refuse_existing(force=True)


@pytest.mark.parametrize("name", ["config.json", "neighbors.safetensors", "best.safetensors"])
def test_files_of_others_are_not_replaced_even_with_force(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"mine": 1}')
    with pytest.raises(InputError, match=rf"{name} is not of a run of aecli"):
        RunFolder(tmp_path).refuse_existing(force=True)


def test_what_is_no_lock_of_aecli_stays(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / ".aecli.lock").symlink_to(tmp_path / "mine.txt")
    with pytest.raises(InputError, match="is no lock of aecli"), RunFolder(tmp_path).locked():
        pass
    assert (tmp_path / ".aecli.lock").read_text() == "mine"


def test_a_lock_is_held_and_let_go(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / "run")
    with folder.locked():
        assert (folder.path / ".aecli.lock").read_text() == str(os.getpid())
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
