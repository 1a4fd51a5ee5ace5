import numpy as np
import pytest

from aecli.plot.names import Place, place_names, shortened, shortened_apart, wrapped

WIDTH, HEIGHT = 900.0, 880.0
GENERATOR = np.random.default_rng(4)


def test_a_long_name_loses_its_middle() -> None:
    assert shortened("a short name") == "a short name"
    long = "a class whose name somebody wrote out in full, with its source and its year, 1998"
    short = shortened(long)
    assert len(short) <= 40
    assert short == "a class whose name…its year, 1998"
    assert shortened("x" * 99, 9) == "xxxxx…xxx"


def test_long_names_stay_different() -> None:
    names = [f"{'the same beginning of all ' * 2}{i} {'and the same end ' * 3}" for i in range(12)]
    short = shortened_apart([*names, "another"], 40)
    assert short[-1] == "another"
    assert len(set(short)) == 13
    assert max(map(len, short)) <= 40
    assert all(f" {i} " in f"{one.replace('…', ' ')} " for i, one in enumerate(short[:12]))


def test_names_are_wrapped_into_lines_of_about_one_length() -> None:
    assert wrapped("one") == "one"
    assert wrapped("a class whose name", 16) == "a class\nwhose name"
    assert max(map(len, wrapped("y" * 40, 16).split("\n"))) <= 16


def _boxes(places: list[Place | None], sizes: np.ndarray) -> np.ndarray:
    """Return left, bottom, right and top of names that have a place."""
    middles = np.array([(p.x, p.y) for p in places if p is not None])
    half = np.array([s for s, p in zip(sizes, places, strict=True) if p is not None]) / 2
    return np.hstack([middles - half, middles + half])


@pytest.mark.parametrize(("classes", "spread"), [(1, 100), (13, 60), (30, 60), (100, 25), (100, 9)])
@pytest.mark.parametrize("size", [(30, 14), (90, 30)])
def test_names_do_not_overlap_nor_leave_the_map(
    classes: int, spread: float, size: tuple[int, int]
) -> None:
    index = np.arange(6_000) % classes
    middles = GENERATOR.uniform(100, 780, (classes, 2))
    points = middles[index] + GENERATOR.normal(size=(6_000, 2)) * spread
    sizes = np.tile(np.array(size, float), (classes, 1))
    places = place_names(points, index, sizes, WIDTH, HEIGHT)
    boxes = _boxes(places, sizes)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= (WIDTH, HEIGHT)).all()
    apart = (boxes[:, None, 2:] <= boxes[None, :, :2]).any(axis=2)
    assert (apart | apart.T | np.eye(len(boxes), dtype=bool)).all()
    # Nearly all have a place: where not even leaders help, the legend has the name.
    assert len(boxes) >= 0.9 * classes or (classes == 100 and size == (90, 30))


def test_a_name_stands_on_its_class_where_that_is_densest() -> None:
    index = np.arange(4_000) % 2
    middles = np.array([[200.0, 200], [600, 600]])
    points = middles[index] + GENERATOR.normal(size=(4_000, 2)) * 60
    # Half of the second class is spread over the map: neither mean nor median would do.
    points[1::4] = GENERATOR.uniform(0, 850, (1_000, 2))
    sizes = np.array([[40.0, 20], [40, 20]])
    for place, middle in zip(
        place_names(points, index, sizes, WIDTH, HEIGHT), middles, strict=True
    ):
        assert place is not None
        assert place.leader is None
        assert np.hypot(place.x - middle[0], place.y - middle[1]) < 60


def test_a_name_stands_on_an_island_never_between_two() -> None:
    index = np.repeat([0, 1, 2], 1_000)
    middles = np.array([[200.0, 440], [700, 440]])[np.arange(3_000) % 2]
    points = middles + GENERATOR.normal(size=(3_000, 2)) * 30
    for place in place_names(points, index, np.full((3, 2), 22.0), WIDTH, HEIGHT):
        assert place is not None
        at = np.array(place.leader or (place.x, place.y))
        assert np.hypot(*(at - [[200, 440], [700, 440]]).T).min() < 60


def test_a_name_without_room_stands_beside_on_no_other_class_with_a_leader() -> None:
    # A small class in the middle of a large one.
    index = np.append(np.zeros(9_000, int), np.ones(300, int))
    large = GENERATOR.uniform(250, 650, (9_000, 2))
    small = 450 + GENERATOR.normal(size=(300, 2)) * 6
    sizes = np.array([[40.0, 20], [160, 20]])
    name = place_names(np.concatenate([large, small]), index, sizes, WIDTH, HEIGHT)[1]
    assert name is not None
    assert name.leader is not None
    assert np.hypot(name.leader[0] - 450, name.leader[1] - 450) < 20
    covered = (np.abs(large - (name.x, name.y)) < (80, 10)).all(axis=1)
    assert not covered.any()
    x, y = name.edge(160, 20)
    assert max(abs(x - name.x) / 80, abs(y - name.y) / 10) == pytest.approx(1)


def test_classes_outside_the_map_and_maps_without_room_have_no_names() -> None:
    points = np.array([[-50.0, 10], [100, 100]])
    outside, inside = place_names(points, np.array([0, 1]), np.full((2, 2), 20.0), WIDTH, HEIGHT)
    assert outside is None
    assert inside is not None
    wide = np.array([[2_000.0, 20]])
    assert place_names(points[1:], np.array([0]), wide, WIDTH, HEIGHT) == [None]
    assert place_names(points, np.array([-1, -1]), np.zeros((0, 2)), WIDTH, HEIGHT) == []
