"""Sources: their checks, their texts, and what one inherits from another."""

import json
from typing import Any

import pytest

from aecli.data import Source, choose_source, parse_rescale, parse_size
from aecli.errors import InputError


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"validation": 0.0}, "--validation must lie between 0 and 1"),
        ({"test": 1.0}, "--test must be 0, or lie between 0 and 1"),
        ({"validation": 0.5, "test": 0.5}, "leave no images to train on"),
        ({"split_seed": -1}, "--split-seed must lie in"),
        ({"rescale": (1.0, 1.0)}, "expected LOW,HIGH with LOW below HIGH"),
        ({"rescale": (0.0, float("inf"))}, "expected LOW,HIGH"),
    ],
)
def test_bad_shares_and_ranges_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Source("x", **values)


@pytest.mark.parametrize(("text", "size"), [("28", (28, 28)), ("32x48", (32, 48))])
def test_sizes_are_read(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "28x", "-3", "1x2x3", "2.5", "²"])
def test_sizes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected pixels, such as 28"):
        parse_size(text)


@pytest.mark.parametrize("size", [(0, 4), (4, 100_000)])
def test_absurd_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=r"expected lengths in 1\.\.4096"):
        Source("x", size=size)


def test_a_range_is_two_numbers() -> None:
    assert parse_rescale("-1,2.5") == (-1.0, 2.5)
    for text in ("5", "1,2,3", "a,b", ""):
        with pytest.raises(InputError, match="expected two numbers, LOW,HIGH, such as 0,255"):
            parse_rescale(text)


FULL = Source("x", "y", 0.2, 0.3, 7, (0.0, 9.0), (4, 6), True)


def test_a_source_survives_json() -> None:
    for source in (FULL, Source("x")):
        assert Source.from_json(json.loads(json.dumps(source.to_json()))) == source
    with pytest.raises(InputError, match="has an unknown field: hue"):
        Source.from_json(FULL.to_json() | {"hue": 1})
    with pytest.raises(InputError, match=r"has a bad field rescale\[1\]: expected float, got str"):
        Source.from_json(FULL.to_json() | {"rescale": [0.0, "9"]})
    with pytest.raises(InputError, match="--validation must lie between 0 and 1"):
        Source.from_json(FULL.to_json() | {"validation": 1.0})


def test_new_data_are_converted_like_those_of_the_run() -> None:
    options = {"size": (5, 5), "labels": None}
    assert choose_source("new", options, like=FULL) == Source(
        "new", rescale=(0.0, 9.0), size=(5, 5), grayscale=True
    )
    assert choose_source("new", {}, like=FULL, as_split=True) == Source(
        "new", "y", 0.2, 0.3, 7, (0.0, 9.0), (4, 6), True
    )
    assert choose_source("new", {"test": 0.5}) == Source("new", test=0.5)


def test_options_need_data_that_they_apply_to() -> None:
    assert choose_source(None, {"size": None}) is None
    with pytest.raises(InputError, match="--size, --split-seed without a DATASET"):
        choose_source(None, {"size": (5, 5), "split_seed": 1})
