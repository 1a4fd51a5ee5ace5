import numpy as np
import pytest

from aecli.plot.limits import find_limits

GENERATOR = np.random.default_rng(0)


def test_a_few_codes_far_out_are_beyond_the_limits() -> None:
    values = GENERATOR.normal(size=(3_000, 2))
    values[0], values[1] = 4_000, (-3_000, 10)
    limits = find_limits(values)
    assert np.flatnonzero(limits.far).tolist() == [0, 1]
    near = values[2:]
    assert (limits.low < near.min(axis=0)).all()
    assert (limits.high > near.max(axis=0)).all()
    assert (limits.high - limits.low < 1.2 * np.ptp(near, axis=0)).all()
    np.testing.assert_array_equal(limits.clipped(values)[0], limits.high)


def test_all_can_be_shown() -> None:
    values = GENERATOR.normal(size=(3_000, 2))
    values[0] = 4_000
    limits = find_limits(values, everything=True)
    assert not limits.far.any()
    assert (limits.high > 4_000).all()


@pytest.mark.parametrize("scale", [1e-42, 1, 1e30])
@pytest.mark.parametrize("rows", [2, 10, 25, 300, 250_000])
def test_codes_without_any_far_out_are_all_shown(rows: int, scale: float) -> None:
    for values in (GENERATOR.normal(size=(rows, 2)), GENERATOR.uniform(size=(rows, 2))):
        limits = find_limits(values * scale)
        assert not limits.far.any()
        assert (limits.low <= values.min(axis=0) * scale).all()
        assert (limits.high >= values.max(axis=0) * scale).all()


def test_an_island_of_more_than_a_few_codes_is_shown() -> None:
    values = GENERATOR.normal(size=(1_000, 2))
    values[:30] += 500
    assert not find_limits(values).far.any()


@pytest.mark.parametrize("value", [0, -5e6, 1e38])
def test_equal_codes_have_limits_around_them(value: float) -> None:
    limits = find_limits(np.full((40, 2), value))
    assert (limits.low < value).all()
    assert (limits.high > value).all()


def test_both_axes_can_have_one_scale() -> None:
    limits = find_limits(np.array([[0.0, 0], [10, 1]])).filling(300, 200)
    across, upwards = limits.high - limits.low
    assert across / upwards == pytest.approx(1.5)
    assert across == pytest.approx(11)
