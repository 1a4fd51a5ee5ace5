"""Nothing lost: kills, full disks, flipped bits, two writers, old files."""

import contextlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from aecli import files, tensor_file
from aecli.cli import main
from aecli.config import SETTINGS, Config
from aecli.data import Dataset
from aecli.errors import AecliError, InputError
from aecli.run.checkpoint import FORMAT_VERSION, load
from aecli.run.folder import RunFolder
from aecli.train.epochs import EpochInMemory
from aecli.train.loop import train
from aecli.train.step import TrainState
from tests.helpers import ENDLESS, SMALL, Run
from tests.torture import kill_encode, kill_plot, kill_train, prepare, race

TESTS = Path(__file__).parent
TRAIN = " ".join(("train", *SMALL))


def test_kills_at_random_times_are_survived(tmp_path: Path) -> None:
    """A short form of `make torture`: it has hundreds of them."""
    golden = prepare(tmp_path, streamed=False)
    assert kill_train(golden, seed=1, most=1) <= 1
    assert kill_encode(golden, seed=0) <= 1
    assert kill_plot(golden, seed=0) <= 1
    race(golden, seed=0)


def test_kills_at_calls_are_survived() -> None:
    """A short form of `make torture`: it kills at every call."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.torture", "--calls", "--every", "60"],
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all survived" in done.stdout


@pytest.fixture(scope="module")
def checkpoint(digits_run: Path) -> bytes:
    """Return the bytes of a small whole checkpoint."""
    return RunFolder(digits_run).last.read_bytes()


def _same_or_refused(path: Path, data: bytes, original: bytes) -> bool:
    """Return whether damaged data are refused; what is loaded must be what was saved."""
    path.write_bytes(original)
    expected = load(path)
    path.write_bytes(data)
    try:
        loaded = load(path)
    except InputError as error:
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert str(path) in refusal
        assert "\n" not in refusal
        return True
    assert (loaded.config, loaded.data, loaded.epoch) == (
        expected.config,
        expected.data,
        expected.epoch,
    )
    assert (loaded.best, loaded.layout, loaded.partial, loaded.history) == (
        expected.best,
        expected.layout,
        expected.partial,
        expected.history,
    )
    assert loaded.tensors.keys() == expected.tensors.keys()
    for name, tensor in expected.tensors.items():
        np.testing.assert_array_equal(loaded.tensors[name], tensor)
    return False


def _flip(data: bytes, index: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[index] ^= 1 << bit
    return bytes(changed)


DAMAGES: dict[str, Callable[[bytes, int], bytes]] = {
    "a bit flipped": lambda data, index: _flip(data, index, index % 8),
    "cut": lambda data, index: data[:index],
    "zeroed": lambda data, index: data[:index] + bytes(64) + data[index + 64 :],
    "exchanged": lambda data, index: (
        data[:index] + data[index + 32 : index + 64] + data[index : index + 32] + data[index + 64 :]
    ),
    "doubled": lambda data, index: data[:index] + data[max(0, index - 64) : index] + data[index:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_never_loaded(
    tmp_path: Path, checkpoint: bytes, damage: str
) -> None:
    generator = np.random.default_rng(0)
    places = generator.integers(64, len(checkpoint) - 64, 60).tolist()
    # The length of the header, the header itself, and the first tensor get a closer look.
    places += [*range(16), *range(16, 400, 17)]
    refused = loaded = 0
    for index in places:
        data = DAMAGES[damage](checkpoint, int(index))
        if _same_or_refused(tmp_path / "last.safetensors", data, checkpoint):
            refused += 1
        else:
            loaded += 1
            # Nothing changed, or what does not matter: equal bytes exchanged, spaces.
            assert damage != "cut"
    assert refused > 0.9 * len(places), (refused, loaded)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_change_of_the_header_is_seen_or_harmless(
    tmp_path: Path, checkpoint: bytes, data: st.DataObject
) -> None:
    length = 8 + int.from_bytes(checkpoint[:8], "little")
    changed = bytearray(checkpoint)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, length - 1))] = data.draw(st.integers(0, 255))
    _same_or_refused(tmp_path / "last.safetensors", bytes(changed), checkpoint)


def test_a_header_that_promises_exabytes_is_refused(tmp_path: Path, checkpoint: bytes) -> None:
    path = tmp_path / "last.safetensors"
    path.write_bytes((2**60).to_bytes(8, "little") + checkpoint[8:])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        load(path)
    header = json.dumps({"x": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 2**62]}})
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode())
    with pytest.raises(InputError, match="not a whole safetensors file"):
        load(path)


class Canary:
    """Would leave a file behind if it were unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch canary",)


def test_loading_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("last.safetensors", "codes.npy"):
        Path(name).write_bytes(pickle.dumps(Canary()))
    np.save("objects.npy", np.array([Canary()], object), allow_pickle=True)
    for command in (["show", "last.safetensors"], ["plot", "codes.npy"], ["plot", "objects.npy"]):
        assert main(command) == 2
    assert not Path("canary").exists()


def test_a_damaged_checkpoint_names_a_whole_one(digits_run: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    shutil.copytree(digits_run, folder.path)
    folder.last.write_bytes(b"x")
    with pytest.raises(
        InputError, match=r"last\.safetensors is not a whole .*; .*best\.safetensors,"
    ):
        load(folder.last)
    folder.best.write_bytes(b"x")
    with pytest.raises(InputError) as caught:
        load(folder.last)
    assert "is whole" not in str(caught.value)


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
def test_a_checkpoint_of_every_version_loads(version: int, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    shutil.copytree(TESTS / "checkpoints" / f"v{version}", folder.path)
    for path in (folder.last, folder.best):
        assert load(path).data.name == "digits"
    assert main(["encode", str(folder.path)]) == 0
    assert np.isfinite(np.load(folder.path / "codes.npy")).all()
    assert main(["train", "--resume", "-o", str(folder.path), "--epochs", "3"]) == 0
    assert load(folder.last).epoch == 3


def test_the_newest_version_holds_every_setting() -> None:
    for name in ("best", "last"):
        path = TESTS / "checkpoints" / f"v{FORMAT_VERSION}" / f"{name}.safetensors"
        assert tensor_file.read(path)[1]["config"].keys() == SETTINGS.keys()


def test_nothing_that_is_not_finite_is_saved(
    digits: Dataset, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "run")
    real = EpochInMemory.__call__

    def spoil(self: EpochInMemory, state: TrainState, epoch: int, *rest: Any) -> object:
        state, losses = real(self, state, epoch, *rest)
        if epoch == 3:
            moments = jax.tree.map(
                lambda leaf: jnp.full_like(leaf, jnp.inf) if leaf.dtype == jnp.float32 else leaf,
                state.optimizer,
            )
            state = state._replace(optimizer=moments)
        return state, losses

    monkeypatch.setattr(EpochInMemory, "__call__", spoil)
    monkeypatch.setattr("aecli.train.saving._SECONDS_BETWEEN_SAVES", 0)
    with pytest.raises(AecliError, match=r"optimizer\..* is not finite after epoch 3"):
        train(digits, small_config, folder)
    assert load(folder.last).epoch == 2


def test_a_device_without_memory_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object) -> object:
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(EpochInMemory, "__call__", fail)
    assert main(["train", *SMALL]) == 1
    assert "try a smaller --batch-size" in capsys.readouterr().err
    assert not Path("runs/digits").exists()


def test_a_run_has_one_writer(aecli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "aecli", "train", *ENDLESS, "-o", "run"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as holder:
        assert holder.stderr is not None
        while "saved epoch 1\n" not in holder.stderr.readline():
            assert holder.poll() is None
        # It holds the run all the same, and leaves the processor to the others.
        holder.send_signal(signal.SIGSTOP)
        for again in (["--resume"], ["--force"]):
            refused = aecli("train", *again, "-o", "run")
            assert refused.returncode == 2
            assert f"run is being trained by process {holder.pid}" in refused.stderr
        holder.kill()
    # The lock of one that was killed is no lock.
    assert (tmp_path / "run" / ".aecli.lock").exists()
    assert main(["train", "--force", "-o", "run", *SMALL]) == 0
    assert not (tmp_path / "run" / ".aecli.lock").exists()


def test_what_is_read_is_not_written_over(
    digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    images = np.zeros((9, 8, 8), np.uint8)
    np.save("x.npy", images)
    Path("soft.npy").symlink_to("x.npy")
    os.link("x.npy", "hard.npy")
    np.save("x.labels.npy", np.arange(9))
    np.save("codes.npy", np.zeros((9, 2), np.float32))
    os.link("codes.npy", "codes.png")
    # Without a DATASET it is the run's own data that are read.
    np.save("x.npy", images := np.random.default_rng(0).integers(0, 9, (40, 8, 8), np.uint8))
    assert main(["train", "x.npy", *SMALL, "-o", "run"]) == 0
    Path("pictures").mkdir()
    Image.fromarray(images[0]).save("pictures/a.png")
    picture = Path("pictures/a.png").read_bytes()
    for command in (
        ["encode", str(digits_run), "x.npy", "-o", "x.npy"],
        ["encode", str(digits_run), "x.npy", "-o", "soft.npy"],
        ["encode", str(digits_run), "x.npy", "-o", "hard.npy"],
        ["encode", str(digits_run), "soft.npy", "--labels", "x.labels.npy", "-o", "x.npy"],
        ["decode", str(digits_run), "codes.npy", "-o", "codes.npy"],
        ["plot", "codes.npy", "-o", "codes.png"],
        ["encode", "run", "-o", "x.npy"],
        ["data", "show", "pictures", "--picture", "pictures/a.png"],
    ):
        assert main([*command, "--force"]) == 2, command
    assert Path("pictures/a.png").read_bytes() == picture
    np.testing.assert_array_equal(np.load("x.npy"), images)
    np.testing.assert_array_equal(np.load("x.labels.npy"), np.arange(9))


def test_a_file_that_may_grow_no_further_is_left_out(digits_run: Path, tmp_path: Path) -> None:
    old = {"codes.npy": b"old", "codes.png": b"old"}
    for name, data in old.items():
        (tmp_path / name).write_bytes(data)
    np.save(tmp_path / "many.npy", np.zeros((5000, 2), np.float32))
    limited = "ulimit -f 1; exec {} -m aecli {}"
    for arguments in (
        f"{TRAIN} -o run",
        f"encode {digits_run} --split all -o codes.npy --force",
        "plot many.npy -o codes.png --force",
    ):
        done = subprocess.run(
            ["bash", "-c", limited.format(sys.executable, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1, done.stderr
        assert "File too large, it needs " in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
    for name, data in old.items():
        assert (tmp_path / name).read_bytes() == data
    assert not list(tmp_path.rglob(".*")), "temporary files stay behind"


def _in_namespace(script: str, place: Path) -> str:
    """Run a shell script where mounting is allowed and gone afterwards; skip where it is not."""
    allowed = ["unshare", "--user", "--map-root-user", "--mount"]
    try:
        probe = ["sh", "-c", f"mount -t tmpfs tmpfs {place}"]
        subprocess.run([*allowed, *probe], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no user namespaces: a disk cannot be made full here")
    done = subprocess.run(
        [*allowed, "sh", "-c", script],
        env=os.environ | {"PLACE": str(place), "PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


FULL_DISK = """
set -e
mount -t tmpfs -o size=$SIZE tmpfs $PLACE
cd $PLACE
$PREPARE
sums=$(sha256sum old* 2> /dev/null || true)
set +e; $PYTHON -m aecli $COMMAND; code=$?; set -e
echo "code $code"
test "$sums" = "$(sha256sum old* 2> /dev/null || true)"
find . -name '.*.tmp'
"""


@pytest.mark.parametrize(
    ("command", "size", "prepare"),
    [
        (f"{TRAIN} -o run", "20k", ":"),
        ("encode {run} --split all -o old.npy --force", "12k", "echo old > old.npy"),
        ("plot {codes} -o old.png --force", "20k", "echo old > old.png"),
        ("data show {images}", "16k", "mkdir cache; export XDG_CACHE_HOME=$PLACE/cache"),
    ],
    ids=["train", "encode", "plot", "cache"],
)
def test_a_full_disk_is_said_and_leaves_what_was_there(
    tmp_path: Path, digits_run: Path, command: str, size: str, prepare: str
) -> None:
    codes, images, place = tmp_path / "codes.npy", tmp_path / "images", tmp_path / "disk"
    place.mkdir()
    images.mkdir()
    np.save(codes, np.random.default_rng(0).normal(size=(3000, 2)))
    for row in range(20):
        Image.fromarray(np.full((40, 40), row, np.uint8)).save(images / f"{row}.png")
    filled = command.format(run=digits_run, codes=codes, images=images)
    script = FULL_DISK.replace("$SIZE", size).replace("$PREPARE", prepare)
    said = _in_namespace(script.replace("$COMMAND", filled), place)
    assert "code 1" in said
    assert "No space left on device, it needs " in said
    assert ".tmp" not in said.replace("No space left", "")


def test_a_folder_that_is_read_only_is_said(tmp_path: Path, digits_run: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    script = (
        "mount -t tmpfs tmpfs $PLACE; mount -o remount,ro $PLACE; cd $PLACE;"
        f"$PYTHON -m aecli {TRAIN} -o $PLACE/run; echo code $?;"
        f"$PYTHON -m aecli encode {digits_run} -o $PLACE/codes.npy; echo code $?;"
    )
    said = _in_namespace(script, place)
    assert said.count("code 1") == 2
    assert said.count("Read-only file system") == 2


def test_nobody_has_to_listen(tmp_path: Path) -> None:
    program = f"{sys.executable} -m aecli {TRAIN}"
    for number, ending in enumerate(("2>&1 >/dev/null | head -1", "2>/dev/full", "2>&-")):
        script = f"set -o pipefail; {program} -o run{number} {ending}"
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert load(RunFolder(tmp_path / f"run{number}").last).epoch == 4
    with contextlib.suppress(FileNotFoundError):
        assert "Traceback" not in (tmp_path / "core").read_text()


def test_a_run_that_cannot_be_replaced_stays(digits_run: Path, tmp_path: Path) -> None:
    shutil.copytree(digits_run, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    done = subprocess.run(
        [
            "bash",
            "-c",
            f"ulimit -f 8; exec {sys.executable} -m aecli {TRAIN} --force -o run",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "best.safetensors: File too large, it needs " in done.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_a_folder_that_a_full_disk_has_no_room_for_is_said(
    tmp_path: Path, digits_run: Path
) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    script = (
        "mount -t tmpfs -o nr_inodes=1 tmpfs $PLACE;"
        f"$PYTHON -m aecli encode {digits_run} -o $PLACE/new/codes.npy; echo code $?;"
        f"$PYTHON -m aecli {TRAIN} -o $PLACE/run; echo code $?;"
    )
    said = _in_namespace(script, place)
    assert said.count("code 1") == said.count("No space left on device") == 2


def test_going_on_keeps_the_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 9, (90, 8, 8), np.uint8)
    np.save("x.npy", images)
    np.save("y.npy", np.arange(90) % 3)
    options = ["--labels", "y.npy", "--split-seed", "7", "--validation", "0.3"]
    assert main(["train", "x.npy", *options, *SMALL, "-o", "run"]) == 0
    before = load(Path("run/last.safetensors"))
    # Named again, as after a move, the data are split as they were.
    Path("x.npy").rename("moved.npy")
    more = ["train", "moved.npy", "--resume", "-o", "run", "--epochs", "5"]
    assert main(more) == 0
    after = load(Path("run/last.safetensors"))
    assert after.data.rows == before.data.rows
    assert after.data.source.split_seed == 7
    for other in (["--split-seed", "8"], ["--validation", "0.2"]):
        assert main([*more, *other]) == 2
        assert "is not split as when the run was trained" in capsys.readouterr().err
    # Labels decide the splits too.
    np.save("y.npy", np.arange(90) % 2)
    assert main(more) == 2
    assert main(["encode", "run", "--split", "train", "-o", "t.npy"]) == 2


def test_a_run_that_was_replaced_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *SMALL, "-o", "run"]) == 0
    assert main(["train", *SMALL, "--seed", "5", "-o", "other"]) == 0
    real = RunFolder.locked

    def replace_first(self: RunFolder) -> Any:
        shutil.copytree("other", "run", dirs_exist_ok=True)
        return real(self)

    monkeypatch.setattr(RunFolder, "locked", replace_first)
    assert main(["train", "--resume", "-o", "run", "--epochs", "5"]) == 2
    assert "run was trained meanwhile" in capsys.readouterr().err
    assert load(Path("run/last.safetensors")).config.seed == 5


def test_what_others_are_writing_is_not_swept_away(tmp_path: Path) -> None:
    path = tmp_path / "codes.npy"
    (tmp_path / ".codes.npy.aecli-left.tmp").write_bytes(b"of a process that was killed")
    with files.writing(path) as first:
        first.write(b"first")
        files.write_bytes(path, b"second")
        assert not (tmp_path / ".codes.npy.aecli-left.tmp").exists()
    assert path.read_bytes() == b"first"
    assert [file.name for file in tmp_path.iterdir()] == ["codes.npy"]


def test_a_streamed_run_of_an_older_format_that_stopped_within_an_epoch_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its partial epoch has fewer terms of the loss than there are by now."""
    monkeypatch.chdir(tmp_path)
    folder = RunFolder(tmp_path / "run")
    shutil.copytree(TESTS / "checkpoints" / "v4-streamed", folder.path)
    before = load(folder.last)
    assert before.partial is not None
    assert before.layout is not None
    assert before.config.code_penalty
    assert main(["train", "--resume", "-o", "run"]) == 0
    after = load(folder.last)
    assert (after.epoch, after.partial) == (before.config.epochs, None)
    assert set(after.history[-1].losses) == {"reconstruction", "latent norm"}
    # The options that made it still go with it.
    assert main(["train", "--resume", "-o", "run", "--recipe", "modern"]) == 0
