import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from aecli import neighbors, tensor_file
from aecli.config import choose_recipe, with_settings
from aecli.data import Dataset
from aecli.errors import InputError
from aecli.neighbors import (
    NeighborGraph,
    _most_connected,
    _without_itself,
    find_neighbors,
    load_graph,
    nearest_rows,
    neighbor_graph,
    share_in_common,
    to_bytes,
)
from aecli.pixels import unit_rows
from aecli.run.folder import RunFolder

POINTS = np.random.default_rng(0).normal(size=(300, 5)).astype(np.float32)


def _by_hand(points: np.ndarray, count: int) -> np.ndarray:
    distances = np.square(points[:, None] - points[None]).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1)[:, :count]


def test_nearest_rows_equal_sorting_by_hand() -> None:
    done: list[int] = []
    nearest = nearest_rows(POINTS, 7, report=done.append)
    np.testing.assert_array_equal(nearest, _by_hand(POINTS, 7))
    assert nearest.dtype == np.int32
    assert sum(done) == 300


def test_rows_are_searched_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    nearest, other = _by_hand(POINTS, 7).astype(np.int32), _by_hand(POINTS[::-1], 5)
    connected, shares = _most_connected(nearest), share_in_common(nearest, other)
    monkeypatch.setattr(neighbors, "_ROWS_AT_A_TIME", 70)
    np.testing.assert_array_equal(nearest_rows(POINTS, 7), nearest)
    np.testing.assert_array_equal(_most_connected(nearest), connected)
    np.testing.assert_array_equal(share_in_common(nearest, other.astype(np.int32)), shares)


def test_the_share_in_common_is_that_of_the_first() -> None:
    first = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.int32)
    second = np.array([[4, 1], [0, 9]], np.int32)
    shares = share_in_common(first, second)
    assert shares.dtype == np.float32
    assert shares.tolist() == [0.5, 0]
    assert share_in_common(second, first).tolist() == [1, 0]


def test_a_row_is_left_out_of_those_found_for_it() -> None:
    found = np.array([[10, 4, 7], [3, 12, 11], [8, 7, 6], [13, 5, -1]])
    # The third is crowded out by equal ones; too few were found for the fourth.
    others = _without_itself(found, 10)
    assert others.tolist() == [[4, 7], [3, 12], [8, 7], [5, 13]]


def test_beyond_a_number_of_rows_most_neighbours_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "MOST_EXACT", 100)
    found, exact = nearest_rows(POINTS, 7), _by_hand(POINTS, 7)
    shared = [len(set(a) & set(b)) / 7 for a, b in zip(found.tolist(), exact.tolist(), strict=True)]
    assert np.mean(shared) > 0.8
    assert all(row not in others for row, others in enumerate(found.tolist()))


def test_a_row_is_not_a_neighbour_of_itself_though_others_equal_it() -> None:
    points = np.repeat(POINTS[:3], 20, axis=0)
    nearest = nearest_rows(points, 5)
    for row, others in enumerate(nearest.tolist()):
        assert row not in others
        assert len(set(others)) == 5
        np.testing.assert_array_equal(points[others], points[[row] * 5])


def test_the_most_connected_are_those_with_most_paths() -> None:
    nearest = _by_hand(POINTS, 6).astype(np.int32)
    steps = np.zeros((300, 300), int)
    np.put_along_axis(steps, nearest.astype(int), 1, axis=1)
    paths = steps + steps @ (steps + steps.T)
    np.fill_diagonal(paths, -1)
    expected = np.argsort(-paths, axis=1, kind="stable")[:, :6]
    np.testing.assert_array_equal(_most_connected(nearest), expected)


def test_a_row_that_few_paths_leave_keeps_its_nearest() -> None:
    # Nearby cells held no other row than the last one itself.
    nearest = np.array([[1, 2], [0, 2], [0, 1], [3, 3]], np.int32)
    connected = _most_connected(nearest)
    assert connected[3].tolist() == [3, 3]
    assert sorted(connected[1].tolist()) == [0, 2]


def test_neighbours_of_digits_are_mostly_of_their_kind(digits: Dataset) -> None:
    graph = neighbor_graph(digits, 10)
    labels = digits.labels_of("train")
    assert labels is not None
    assert graph.neighbors.shape == (digits.count("train"), 10)
    assert graph.exact
    assert (labels[graph.neighbors] == labels[:, None]).mean() > 0.95
    pixels = unit_rows(digits.split("train").images)
    assert graph.variance == pytest.approx(pixels.var(axis=0).mean(), rel=1e-4)


def test_a_graph_says_whether_all_pairs_were_compared(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbors, "MOST_EXACT", digits.count("train") - 1)
    assert not neighbor_graph(digits, 3).exact


def test_too_few_images_are_refused(digits: Dataset) -> None:
    count = digits.count("train")
    with pytest.raises(InputError, match=f"--neighbors {count} needs more training images"):
        neighbor_graph(digits, count)


def test_a_graph_is_kept_for_the_same_data_and_number(digits: Dataset, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    config = with_settings(choose_recipe("map"), {"neighbors": 3})
    first = find_neighbors(digits, config, folder)
    assert first is not None
    assert not first.written
    assert first.seconds > 0
    folder.neighbors.write_bytes(to_bytes(first.graph, first.key))
    again = find_neighbors(digits, config, folder)
    assert again is not None
    assert again.written
    np.testing.assert_array_equal(again.graph.neighbors, first.graph.neighbors)
    assert again.graph.variance == first.graph.variance
    other = find_neighbors(digits, with_settings(config, {"neighbors": 4}), folder)
    assert other is not None
    assert not other.written
    assert find_neighbors(digits, choose_recipe("plain"), folder) is None


def test_a_graph_of_other_data_is_not_kept(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path)
    config = with_settings(choose_recipe("map"), {"neighbors": 3})
    first = find_neighbors(digits, config, folder)
    assert first is not None
    folder.neighbors.write_bytes(to_bytes(first.graph, first.key))
    pixels = replace(digits, images=digits.split("all").images[::-1])
    splits = replace(digits, splits={**digits.splits, "train": slice(1, digits.count("train"))})
    for other in (pixels, splits):
        found = find_neighbors(other, config, folder)
        assert found is not None
        assert not found.written
    monkeypatch.setattr(neighbors, "_VERSION", 0)
    older = find_neighbors(digits, config, folder)
    assert older is not None
    assert not older.written


SHAPE = (3, 2)
GRAPH = NeighborGraph(np.zeros(SHAPE, np.int32), 0.5, True)


def test_a_damaged_graph_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "neighbors.safetensors"
    path.write_bytes(to_bytes(GRAPH, {"version": 1}))
    assert load_graph(path, {"version": 2}, SHAPE) is None
    loaded = load_graph(path, {"version": 1}, SHAPE)
    assert loaded is not None
    assert loaded.exact
    assert loaded.variance == 0.5
    whole = path.read_bytes()
    for index in range(len(whole)):
        path.write_bytes(
            whole[:index] + bytes([whole[index] ^ (1 << index % 8)]) + whole[index + 1 :]
        )
        assert load_graph(path, {"version": 1}, SHAPE) is None, index
    path.write_bytes(whole[:-1])
    assert load_graph(path, {"version": 1}, SHAPE) is None


@pytest.mark.parametrize(
    ("tensors", "change"),
    [
        ({"neighbors": np.zeros((2, 2), np.int32)}, {}),
        ({"neighbors": np.zeros(SHAPE, np.int64)}, {}),
        ({"neighbors": np.full(SHAPE, -1, np.int32)}, {}),
        ({"neighbors": np.full(SHAPE, 3, np.int32)}, {}),
        ({"other": np.zeros(SHAPE, np.int32)}, {}),
        ({}, {"variance": -1.0}),
        ({}, {"variance": "much"}),
        ({}, {"exact": 1}),
        ({}, {"more": 1}),
    ],
)
def test_a_graph_whose_checksum_fits_and_nothing_else_is_not_kept(
    tmp_path: Path, tensors: dict[str, np.ndarray], change: dict[str, object]
) -> None:
    path = tmp_path / "neighbors.safetensors"
    about = {"key": {"version": 1}, "variance": 0.5, "exact": True}
    path.write_bytes(tensor_file.to_bytes({"neighbors": GRAPH.neighbors}, about))
    assert load_graph(path, {"version": 1}, SHAPE) is not None
    path.write_bytes(
        tensor_file.to_bytes(tensors or {"neighbors": GRAPH.neighbors}, about | change)
    )
    assert load_graph(path, {"version": 1}, SHAPE) is None


def test_a_graph_without_a_checksum_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "neighbors.safetensors"
    about = {"key": {"version": 1}, "variance": 0.5, "exact": True}
    save_file({"neighbors": GRAPH.neighbors}, path, {"aecli": json.dumps(about)})
    assert load_graph(path, {"version": 1}, SHAPE) is None


def test_what_is_no_file_is_no_graph(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert load_graph(tmp_path / "pipe", {"version": 1}, SHAPE) is None
    assert load_graph(tmp_path, {"version": 1}, SHAPE) is None
