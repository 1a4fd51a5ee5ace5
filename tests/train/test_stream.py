import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aecli.cli import main
from aecli.config import Config, with_settings
from aecli.data import Dataset, Source, StoredImages, open_dataset
from aecli.encode import encode, encode_split, load_model
from aecli.errors import InputError
from aecli.npy import write_header
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder
from aecli.run.states import EpochMetrics, ShuffleLayout
from aecli.train.loop import Stopped, Summary, train
from aecli.train.stream import (
    bytes_streamed,
    choose_shuffle_layout,
    prefetched,
    shuffle_buffers,
)

ROWS = 1010
LAYOUT = ShuffleLayout(block_rows=32, buffer_blocks=4)
BATCH = 16
# Enough for a few batches of the images below, not for all of them.
MEMORY = 30_000


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Return images in a file whose pixels tell the row, with splits drawn at random."""
    rows = np.arange(ROWS)
    images = np.zeros((ROWS, 4, 4), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = rows % 256, rows // 256
    images[:, 1:] = np.random.default_rng(0).integers(0, 256, (ROWS, 3, 4))
    np.save(tmp_path / "rows.npy", images)
    return open_dataset(Source(str(tmp_path / "rows.npy")))


def _order(
    dataset: Dataset,
    layout: ShuffleLayout = LAYOUT,
    *,
    seed: int = 0,
    epoch: int = 1,
    shuffle: bool,
) -> list[int]:
    """Return the rows of the data set that an epoch trains on, in order."""
    rows = []
    for images, batches, steps, *_ in shuffle_buffers(
        dataset, layout, BATCH, seed=seed, epoch=epoch, shuffle=shuffle
    ):
        assert images.shape == (layout.buffer_rows, 4, 4, 1)
        assert batches.shape == (layout.buffer_rows // BATCH, 1, BATCH)
        chosen = images[batches[:steps].reshape(-1), 0, :2, 0].astype(int)
        rows += (chosen[:, 0] + 256 * chosen[:, 1]).tolist()
    return rows


def test_without_shuffling_rows_come_in_file_order(dataset: Dataset) -> None:
    trained_on = np.asarray(dataset.splits["train"])
    whole = len(trained_on) // BATCH * BATCH
    assert _order(dataset, shuffle=False) == trained_on[:whole].tolist()


def test_an_epoch_takes_every_row_once_but_for_a_last_batch(dataset: Dataset) -> None:
    trained_on = set(np.asarray(dataset.splits["train"]).tolist())
    assert len(trained_on) % BATCH
    order = _order(dataset, shuffle=True)
    assert len(order) == len(set(order)) == len(trained_on) // BATCH * BATCH
    assert set(order) <= trained_on


@pytest.mark.parametrize("shuffle", [True, False])
def test_partners_are_neighbours_of_their_images(dataset: Dataset, shuffle: bool) -> None:
    trained_on = np.asarray(dataset.splits["train"])
    count = len(trained_on)
    # Any will do: the next three rows, of which the last ones have the first.
    neighbors = ((np.arange(count)[:, None] + np.arange(1, 4)) % count).astype(np.int32)
    position = {row: place for place, row in enumerate(trained_on.tolist())}
    steps_seen = 0
    drawn = []
    for images, batches, steps, *_ in shuffle_buffers(
        dataset, LAYOUT, BATCH, neighbors, positives=2, seed=0, epoch=1, shuffle=shuffle
    ):
        assert images.shape == (3 * LAYOUT.buffer_rows, 4, 4, 1)
        assert batches.shape == (LAYOUT.buffer_rows // BATCH, 3, BATCH)
        chosen = images[batches[:steps], 0, :2, 0].astype(int)
        rows = chosen[..., 0] + 256 * chosen[..., 1]
        for anchors, first, second in rows:
            for own, *others in zip(anchors.tolist(), first.tolist(), second.tolist(), strict=True):
                steps_away = [(position[row] - position[own]) % count for row in others]
                assert set(steps_away) <= {1, 2, 3}
                drawn += steps_away
        steps_seen += steps
    assert steps_seen == count // BATCH
    assert min(np.bincount(drawn)[1:]) > len(drawn) / 4


def test_the_order_is_a_function_of_seed_and_epoch(dataset: Dataset) -> None:
    first = _order(dataset, seed=3, epoch=2, shuffle=True)
    assert first == _order(dataset, seed=3, epoch=2, shuffle=True)
    assert first != _order(dataset, seed=4, epoch=2, shuffle=True)
    assert first != _order(dataset, seed=3, epoch=1, shuffle=True)


def test_rows_are_mixed_within_a_window_and_blocks_between_them(dataset: Dataset) -> None:
    order = _order(dataset, shuffle=True)
    window = np.array(order[: LAYOUT.buffer_rows])
    # In four blocks one after the other nearly all would follow a smaller one.
    assert 0.4 < np.mean(np.diff(window) > 0) < 0.6
    # Four blocks from anywhere: not the first 128 rows.
    assert window.max() - window.min() > 200


def test_items_come_in_order_while_the_next_one_is_made() -> None:
    made: list[int] = []
    second = threading.Event()

    def items() -> Iterator[int]:
        for item in range(5):
            made.append(item)
            if item == 1:
                second.set()
            yield item

    iterator = prefetched(items())
    assert next(iterator) == 0
    assert second.wait(10), "the second is made while the first is in use"
    time.sleep(0.05)
    assert len(made) == 2, "but no more than one ahead"
    assert list(iterator) == [1, 2, 3, 4]


def test_what_goes_wrong_in_the_thread_is_raised() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise InputError("bad block")

    iterator = prefetched(items())
    assert next(iterator) == 1
    with pytest.raises(InputError, match="bad block"):
        next(iterator)


def test_a_file_that_is_replaced_is_read_on_as_it_was(dataset: Dataset) -> None:
    expected = _order(dataset, shuffle=True)
    path = Path(dataset.source.location)
    np.save(path.with_name("other.npy"), np.zeros((ROWS, 4, 4), np.uint8))
    path.with_name("other.npy").replace(path)
    assert _order(dataset, shuffle=True) == expected
    path.unlink()
    assert _order(dataset, shuffle=True) == expected


def test_a_file_that_is_changed_while_it_is_read_is_said(dataset: Dataset) -> None:
    path = Path(dataset.source.location)
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    os.utime(path, ns=(0, 0))
    with pytest.raises(InputError, match=r"rows\.npy was changed while it was read"):
        _order(dataset, shuffle=True)


def test_a_file_that_is_cut_while_it_is_read_is_said(dataset: Dataset) -> None:
    path = Path(dataset.source.location)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        InputError, match=r"rows\.npy (has become shorter|was changed) while it was read"
    ):
        _order(dataset, shuffle=True)


@pytest.fixture
def config(small_config: Config) -> Config:
    return with_settings(small_config, {"batch_size": BATCH, "epochs": 3, "schedule": "constant"})


def _in_memory(dataset: Dataset) -> Dataset:
    images = dataset.split("all").images
    return Dataset("rows", dataset.source, images, None, None, dataset.splits, False)


def _losses(folder: RunFolder) -> list[tuple[float, float]]:
    return [
        (line.losses["reconstruction"], line.validation_loss) for line in load(folder.last).history
    ]


def test_in_file_order_streaming_changes_nothing(
    dataset: Dataset, config: Config, tmp_path: Path
) -> None:
    config = with_settings(config, {"shuffle": False})
    streamed, whole = RunFolder(tmp_path / "streamed"), RunFolder(tmp_path / "whole")
    first = train(dataset, config, streamed, memory=MEMORY)
    second = train(_in_memory(dataset), config, whole)
    assert load(streamed.last).layout is not None
    assert load(whole.last).layout is None
    np.testing.assert_allclose(_losses(streamed), _losses(whole), rtol=1e-5)
    assert isinstance(first, Summary)
    assert isinstance(second, Summary)
    assert first.test_mse == pytest.approx(second.test_mse, rel=1e-5)
    # Its components are fitted on fewer rows.
    assert first.pca_mse == pytest.approx(second.pca_mse, rel=0.1)


def test_shuffled_streaming_learns_as_well(
    dataset: Dataset, config: Config, tmp_path: Path
) -> None:
    streamed, whole = RunFolder(tmp_path / "streamed"), RunFolder(tmp_path / "whole")
    first = train(dataset, config, streamed, memory=MEMORY)
    second = train(_in_memory(dataset), config, whole)
    assert isinstance(first, Summary)
    assert isinstance(second, Summary)
    assert first.test_mse == pytest.approx(second.test_mse, rel=0.02)
    assert _losses(streamed) != _losses(whole)


def test_it_does_not_matter_where_streamed_images_lie(
    dataset: Dataset, config: Config, tmp_path: Path
) -> None:
    assert isinstance(dataset.images, StoredImages)
    folders = RunFolder(tmp_path / "file"), RunFolder(tmp_path / "memory")
    for data, folder in zip((dataset, _in_memory(dataset)), folders, strict=True):
        train(data, config, folder, memory=MEMORY)
    assert load(folders[0].last).model_hash == load(folders[1].last).model_hash


@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_stopped_streamed_run_resumes_bit_for_bit(
    dataset: Dataset, config: Config, tmp_path: Path, stop_after: int
) -> None:
    straight, resumed = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "resumed")
    train(dataset, config, straight, memory=MEMORY)
    ended: list[int] = []
    train(
        dataset,
        config,
        resumed,
        memory=MEMORY,
        report=lambda metrics, saved: ended.append(metrics.epoch),
        stop=lambda: len(ended) == stop_after,
    )
    checkpoint = load(resumed.last)
    assert checkpoint.epoch == stop_after
    # By now there is memory for all of it; the order of the run stays what it was.
    train(dataset, config, resumed, resume_from=checkpoint)
    first, second = load(straight.last), load(resumed.last)
    assert first.layout == second.layout
    assert _losses(straight) == _losses(resumed)
    for name in first.tensors:
        np.testing.assert_array_equal(first.tensors[name], second.tensors[name])


@pytest.mark.parametrize(("memory", "encoder"), [(32_000, "dense"), (None, "conv")])
def test_a_run_with_a_neighbour_loss_resumes_bit_for_bit(
    dataset: Dataset, config: Config, tmp_path: Path, memory: int | None, encoder: str
) -> None:
    settings = {"encoder": encoder, "normalize": True, "neighbors": 5}
    config = with_settings(config, settings | {"neighbor_weight": 1.0, "neighbor_final": 0.1})
    straight, resumed = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "resumed")
    data = _in_memory(dataset) if memory is None else dataset
    # Pixels of 1,024 images of 16 bytes: what they need in memory is more than 32,000.
    train(data, config, straight, memory=memory)
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 3

    train(data, config, resumed, memory=memory, stop=stop)
    checkpoint = load(resumed.last)
    assert (checkpoint.layout is None) == (memory is None)
    # It is made anew.
    resumed.neighbors.unlink()
    train(data, config, resumed, resume_from=checkpoint)
    first, second = load(straight.last), load(resumed.last)
    assert _losses(straight) == _losses(resumed)
    assert all(0 < line.losses["neighbor"] < 10 for line in first.history)
    for name in first.tensors:
        np.testing.assert_array_equal(first.tensors[name], second.tensors[name])
    assert straight.neighbors.read_bytes() == resumed.neighbors.read_bytes()


@pytest.mark.parametrize("windows_done", [1, 2])
@pytest.mark.parametrize("within", [1, 2, 3])
def test_a_run_that_is_stopped_within_an_epoch_goes_on_there(
    dataset: Dataset, config: Config, tmp_path: Path, within: int, windows_done: int
) -> None:
    straight, resumed = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "resumed")
    train(dataset, config, straight, memory=MEMORY)
    ended: list[int] = []
    asked = 0

    def stop() -> bool:
        """Stop in the epoch `within`, after so many shuffle buffers."""
        nonlocal asked
        asked = asked + 1 if len(ended) == within - 1 else 0
        # Before the first epoch it is asked once more.
        return asked > windows_done + (within == 1)

    def report(metrics: EpochMetrics, saved: bool) -> None:
        ended.append(metrics.epoch)

    assert train(dataset, config, resumed, memory=MEMORY, stop=stop, report=report) == Stopped(True)
    checkpoint = load(resumed.last)
    assert checkpoint.epoch == within - 1
    assert checkpoint.partial is not None
    assert checkpoint.partial.buffers == windows_done
    # Before its first whole epoch a run can only go on, and says so.
    for command in (["show"], ["encode"], ["plot", "--kind", "history"]):
        code = main([command[0], str(resumed.path), *command[1:]])
        assert code == (0 if within > 1 else 2)
    train(dataset, config, resumed, resume_from=checkpoint)
    first, second = load(straight.last), load(resumed.last)
    assert _losses(straight) == _losses(resumed)
    for name in first.tensors:
        np.testing.assert_array_equal(first.tensors[name], second.tensors[name])
    assert second.partial is None


@pytest.mark.parametrize("began_with", [MEMORY, None])
def test_going_on_with_too_little_memory_is_refused(
    dataset: Dataset, config: Config, tmp_path: Path, began_with: int | None
) -> None:
    folder = RunFolder(tmp_path / "run")
    train(dataset, config, folder, memory=began_with)
    with pytest.raises(InputError, match="is too small to resume this run"):
        train(dataset, config, folder, memory=5_000, resume_from=load(folder.last))


def test_codes_do_not_depend_on_memory(
    dataset: Dataset, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aecli.encode._BLOCK", 256)
    folder = RunFolder(tmp_path / "run")
    train(dataset, config, folder)
    checkpoint = load(folder.best)
    sizes: list[int] = []
    codes = encode_split(checkpoint, dataset, "all", memory=MEMORY, report=sizes.append)
    values = np.concatenate(list(codes.blocks))
    assert max(sizes) < ROWS
    expected = encode(load_model(checkpoint), dataset.split("all").images)
    np.testing.assert_array_equal(values, expected)


_PEAK = (
    "import sys; from aecli.cli import main; code = main(sys.argv[1:]);"
    # Not getrusage: its peak counts what this process was before it became that program.
    "lines = open('/proc/self/status').read().splitlines();"
    "print(*[line.split()[1] for line in lines if line.startswith('VmHWM')]); sys.exit(code)"
)


def _peak(*arguments: str | Path) -> int:
    """Return the most memory that a command takes, in bytes, compiled as users have it."""
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, *map(str, arguments)],
        env=os.environ | {"XLA_FLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return 1024 * int(done.stdout.splitlines()[-1])


def test_memory_is_bounded(tmp_path: Path) -> None:
    # 400 MB of images of 64x64 in a file that takes no room.
    rows = 100_000
    with (tmp_path / "large.npy").open("wb") as file:
        write_header(file, np.dtype(np.uint8), (rows, 64, 64))
        file.truncate(file.tell() + rows * 64 * 64)
    run, codes = tmp_path / "run", tmp_path / "codes.npy"
    settings = (
        "--recipe",
        "plain",
        "--epochs",
        "1",
        "--hidden",
        "8",
        "--memory",
        "100MB",
        "-o",
        run,
    )
    # Of which 550 MB are there with the smallest data.
    assert _peak("train", tmp_path / "large.npy", *settings) < 750_000_000
    assert _peak("encode", run, tmp_path / "large.npy", "-o", codes) < 600_000_000
    assert np.load(codes).shape == (rows, 2)


def test_large_images_are_encoded_a_few_at_a_time(tmp_path: Path) -> None:
    np.save(tmp_path / "large.npy", np.zeros((60, 700, 700, 3), np.uint8))
    run = tmp_path / "run"
    settings = (
        "--recipe",
        "plain",
        "--epochs",
        "1",
        "--hidden",
        "2",
        "--memory",
        "100MB",
        "--batch-size",
        "2",
    )
    assert (
        _peak("train", tmp_path / "large.npy", *settings, "--encoder", "conv", "-o", run)
        < 1_200_000_000
    )
    command = ("encode", run, tmp_path / "large.npy", "-o", tmp_path / "codes.npy")
    assert _peak(*command, "--memory", "20MB") < 700_000_000


@given(
    row_bytes=st.integers(1, 10**7),
    batch_size=st.integers(1, 4096),
    memory=st.integers(10**6, 10**12),
)
def test_a_layout_is_whole_batches_that_fit(row_bytes: int, batch_size: int, memory: int) -> None:
    try:
        layout = choose_shuffle_layout(row_bytes, batch_size, memory)
    except InputError:
        assert 5 * batch_size * row_bytes > memory
        return
    assert layout.block_rows % batch_size == 0
    assert layout.buffer_blocks >= 1
    assert bytes_streamed(layout, row_bytes) <= memory


def test_much_memory_means_many_large_blocks() -> None:
    layout = choose_shuffle_layout(784, 256, 8 * 10**9)
    assert 8_000_000 < layout.block_rows * 784 <= 64_000_000
    assert layout.buffer_blocks >= 16


def test_too_little_memory_says_how_much_it_takes() -> None:
    with pytest.raises(InputError, match=r"--memory 1MB is too small .* expected at least 2MB"):
        choose_shuffle_layout(784, 256, 10**6)
    choose_shuffle_layout(784, 256, 2 * 10**6)
