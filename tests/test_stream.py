import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aecli.checkpoint import load
from aecli.config import Config, with_settings
from aecli.data import Dataset, Source, StoredImages, open_dataset
from aecli.encode import encode, encode_split, load_model
from aecli.errors import InputError
from aecli.memory import Layout
from aecli.runs import RunFolder
from aecli.stream import prefetched, windows
from aecli.train import train

ROWS = 1010
LAYOUT = Layout(block_rows=32, window_blocks=4)
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
    dataset: Dataset, layout: Layout = LAYOUT, *, seed: int = 0, epoch: int = 1, shuffle: bool
) -> list[int]:
    """Return the rows of the data set that an epoch trains on, in order."""
    rows = []
    for images, batches, steps in windows(
        dataset, layout, BATCH, seed=seed, epoch=epoch, shuffle=shuffle
    ):
        assert images.shape == (layout.window_rows, 4, 4, 1)
        assert batches.shape == (layout.window_rows // BATCH, BATCH)
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


def test_the_order_is_a_function_of_seed_and_epoch(dataset: Dataset) -> None:
    first = _order(dataset, seed=3, epoch=2, shuffle=True)
    assert first == _order(dataset, seed=3, epoch=2, shuffle=True)
    assert first != _order(dataset, seed=4, epoch=2, shuffle=True)
    assert first != _order(dataset, seed=3, epoch=1, shuffle=True)


def test_rows_are_mixed_within_a_window_and_blocks_between_them(dataset: Dataset) -> None:
    order = _order(dataset, shuffle=True)
    window = np.array(order[: LAYOUT.window_rows])
    assert np.any(np.diff(window) < 0)
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


def test_a_file_that_is_cut_while_it_is_read_is_said(dataset: Dataset) -> None:
    path = Path(dataset.source.location)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"rows\.npy has become shorter while it was read"):
        _order(dataset, shuffle=True)


@pytest.fixture
def config(small_config: Config) -> Config:
    return with_settings(small_config, {"batch_size": BATCH, "epochs": 3, "schedule": "constant"})


def _in_memory(dataset: Dataset) -> Dataset:
    images = dataset.split("all").images
    return Dataset("rows", dataset.source, images, None, None, dataset.splits, False)


def _losses(folder: RunFolder) -> list[tuple[float, float]]:
    return [(line.train_loss, line.validation_loss) for line in load(folder.last).history]


def test_in_file_order_streaming_changes_nothing(
    dataset: Dataset, config: Config, tmp_path: Path
) -> None:
    config = with_settings(config, {"shuffle": False})
    streamed, whole = RunFolder(tmp_path / "streamed"), RunFolder(tmp_path / "whole")
    first = train(dataset, config, streamed, about={}, memory=MEMORY)
    second = train(_in_memory(dataset), config, whole, about={})
    assert load(streamed.last).layout is not None
    assert load(whole.last).layout is None
    np.testing.assert_allclose(_losses(streamed), _losses(whole), rtol=1e-5)
    assert first is not None
    assert second is not None
    assert first.test_mse == pytest.approx(second.test_mse, rel=1e-5)
    # Its components are fitted on fewer rows.
    assert first.pca_mse == pytest.approx(second.pca_mse, rel=0.1)


def test_shuffled_streaming_learns_as_well(
    dataset: Dataset, config: Config, tmp_path: Path
) -> None:
    streamed, whole = RunFolder(tmp_path / "streamed"), RunFolder(tmp_path / "whole")
    config = with_settings(config, {"epochs": 8})
    first = train(dataset, config, streamed, about={}, memory=MEMORY)
    second = train(_in_memory(dataset), config, whole, about={})
    assert first is not None
    assert second is not None
    assert first.test_mse == pytest.approx(second.test_mse, rel=0.02)
    assert _losses(streamed) != _losses(whole)


def test_it_does_not_matter_where_streamed_images_lie(
    dataset: Dataset, config: Config, tmp_path: Path
) -> None:
    assert isinstance(dataset.images, StoredImages)
    folders = RunFolder(tmp_path / "file"), RunFolder(tmp_path / "memory")
    for data, folder in zip((dataset, _in_memory(dataset)), folders, strict=True):
        train(data, config, folder, about={}, memory=MEMORY)
    assert load(folders[0].last).model_hash == load(folders[1].last).model_hash


@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_stopped_streamed_run_resumes_bit_for_bit(
    dataset: Dataset, config: Config, tmp_path: Path, stop_after: int
) -> None:
    straight, resumed = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "resumed")
    train(dataset, config, straight, about={}, memory=MEMORY)
    asked = iter(range(100))
    train(
        dataset,
        config,
        resumed,
        about={},
        memory=MEMORY,
        stop=lambda: next(asked) == stop_after,
    )
    checkpoint = load(resumed.last)
    assert checkpoint.epoch == stop_after
    # By now there is memory for all of it; the order of the run stays what it was.
    train(dataset, config, resumed, about={}, resume_from=checkpoint)
    first, second = load(straight.last), load(resumed.last)
    assert first.layout == second.layout
    assert _losses(straight) == _losses(resumed)
    for name in first.tensors:
        np.testing.assert_array_equal(first.tensors[name], second.tensors[name])


@pytest.mark.parametrize("began_with", [MEMORY, None])
def test_going_on_with_too_little_memory_is_refused(
    dataset: Dataset, config: Config, tmp_path: Path, began_with: int | None
) -> None:
    folder = RunFolder(tmp_path / "run")
    train(dataset, config, folder, about={}, memory=began_with)
    with pytest.raises(InputError, match="is too small to go on with this run"):
        train(dataset, config, folder, about={}, memory=5_000, resume_from=load(folder.last))


def test_codes_do_not_depend_on_memory(dataset: Dataset, config: Config, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    train(dataset, config, folder, about={})
    checkpoint = load(folder.best)
    sizes: list[int] = []
    codes = encode_split(checkpoint, dataset, "all", memory=MEMORY, report=sizes.append)
    values = np.concatenate(list(codes.blocks))
    assert max(sizes) < ROWS
    expected = encode(load_model(checkpoint), dataset.split("all").images)
    np.testing.assert_array_equal(values, expected)
