from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from aecli.errors import InputError
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder
from aecli.run.states import ShuffleLayout
from aecli.score.stability import Stability, check_seeds, compare_maps

POINTS = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)


def test_a_map_that_is_turned_mirrored_and_scaled_is_the_same() -> None:
    turn = np.array([[0.6, 0.8], [0.8, -0.6]], np.float32)
    stable = compare_maps([POINTS, 7 * POINTS @ turn + 3], (0, 1))
    assert_allclose(stable.moved, 0, atol=1e-5)
    assert_allclose(stable.disparity, 0, atol=1e-6)
    assert stable.kept > 0.999


def test_disparity_and_moves_equal_those_of_scipy() -> None:
    from scipy.spatial import procrustes

    noise = [np.random.default_rng(i).normal(size=(200, 2)) * i for i in (1, 2)]
    others = [(POINTS + shift).astype(np.float32) for shift in noise]
    aligned = [procrustes(POINTS, other) for other in others]
    stable = compare_maps([POINTS, *others], (0, 1, 2))
    assert_allclose(stable.disparity, np.mean([result[2] for result in aligned]), rtol=1e-4)
    # scipy's maps have a sum of squared distances of 1, not a mean.
    places = np.sqrt(200) * np.stack([aligned[0][0], *(result[1] for result in aligned)])
    expected = np.sqrt(np.square(places - places.mean(axis=0)).sum(axis=2).mean(axis=0))
    assert_allclose(stable.moved, expected, atol=1e-5)


def test_the_nearest_codes_that_are_kept_are_counted_by_seed() -> None:
    halves = POINTS + np.array([[0], [1000]] * 100, np.float32)
    order = np.random.default_rng(3).permutation(200)
    stable = compare_maps([POINTS, POINTS, POINTS[order]], (0, 1, 2))
    assert 0.5 < stable.kept < 0.6
    near = [
        np.argsort(np.square(v[:, None] - v[None]).sum(axis=2))[:, 1:16] for v in (POINTS, halves)
    ]
    shared = [len(set(a) & set(b)) / 15 for a, b in zip(*map(np.ndarray.tolist, near), strict=True)]
    assert_allclose(compare_maps([POINTS, halves], (0, 1)).kept, np.mean(shared), atol=1e-6)


def test_maps_that_have_nothing_to_do_with_each_other_differ() -> None:
    other = np.random.default_rng(1).normal(size=(200, 2)).astype(np.float32)
    stable = compare_maps([POINTS, other], (0, 1))
    assert stable.disparity > 0.8
    assert stable.kept < 0.2
    assert np.median(stable.moved) > 0.3


def test_a_point_that_moves_is_found() -> None:
    other = POINTS.copy()
    other[17] += 5
    stable = compare_maps([POINTS, other], (0, 1))
    assert int(stable.moved.argmax()) == 17


def test_few_codes_and_codes_at_one_place_are_compared_too() -> None:
    few = compare_maps([POINTS[:3], POINTS[:3] * 2], (0, 1))
    assert few.kept == 1
    assert_allclose(few.moved, 0, atol=1e-6)
    collapsed = compare_maps([POINTS, np.ones_like(POINTS)], (0, 1))
    assert collapsed.disparity == 1
    assert np.isfinite(collapsed.moved).all()


def test_quantiles_of_the_moves() -> None:
    stable = Stability((0, 1), np.arange(101, dtype=np.float32), 0.5, 0.5)
    assert stable.moved_median == 50
    assert stable.moved_90_percent == pytest.approx(90)


def test_one_seed_and_streamed_data_are_refused(digits_run: Path) -> None:
    checkpoint = load(RunFolder(digits_run).last)
    check_seeds(checkpoint, 2)
    with pytest.raises(InputError, match="--stability must be at least 2 seeds, got 1"):
        check_seeds(checkpoint, 1)
    streamed = replace(checkpoint, layout=ShuffleLayout(64, 2))
    with pytest.raises(InputError, match="--stability trains in memory, and this run's data we"):
        check_seeds(streamed, 2)


@pytest.mark.filterwarnings("error")
def test_maps_without_neighbours_keep_none() -> None:
    stable = compare_maps([POINTS, np.ones_like(POINTS)], (0, 1))
    assert np.isnan(stable.kept)
    assert np.isfinite([stable.disparity, *stable.moved]).all()
    assert compare_maps([POINTS, POINTS * np.float32(1e30)], (0, 1)).kept > 0.999


def test_the_seeds_have_an_end(digits_run: Path) -> None:
    checkpoint = load(RunFolder(digits_run).best)
    with pytest.raises(InputError, match="--stability must be at most 100, got 1000000000"):
        check_seeds(checkpoint, 10**9)
