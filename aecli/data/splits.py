"""Train, validation and test splits: the rows of each, and the words that name them."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

import numpy as np
import numpy.typing as npt

from aecli.data.rows import Rows
from aecli.errors import InputError
from aecli.labels import Labels

# What splits are called in the names of folders and files, in the order of their rows.
SPLIT_WORDS: Mapping[str, tuple[str, ...]] = {
    "validation": ("validation", "valid", "val", "dev"),
    "train": ("train", "training"),
    "test": ("test", "testing"),
}
# The tutorial validates on the first 5,000 of MNIST's 60,000 training images; other sets with a
# train and a test part keep that share.
_VALIDATION_SHARE = 5_000 / 60_000


def split_parts(rows: Mapping[str, int], where: str) -> Mapping[str, Rows]:
    """Return the splits of data that come in parts, one after another; `rows` has their lengths.

    Without a part `validation`, the first twelfth of `train` becomes the validation split.

    Raises:
        InputError: there is only one training image, and none to validate on.

    """
    splits: dict[str, Rows] = {}
    start = 0
    for name, count in rows.items():
        if name == "train" and "validation" not in rows:
            if count < 2:
                raise InputError(
                    f"{where} holds {count} image: expected at least 2, one to validate on"
                )
            validation = max(1, round(count * _VALIDATION_SHARE))
            splits["validation"] = slice(start, start + validation)
            splits["train"] = slice(start + validation, start + count)
        else:
            splits[name] = slice(start, start + count)
        start += count
    return splits


def draw_validation(
    start: int, labels: Labels | None, rows: int, seed: int, where: str
) -> Mapping[str, Rows]:
    """Draw a twelfth of training rows to validate on, stratified by label; the rest trains.

    The training rows are `rows` from `start` on, `labels` theirs. Each split is int64 rows in
    ascending order.

    Raises:
        InputError: there is only one training image, and none to validate on.

    """
    if rows < 2:
        raise InputError(f"{where} holds {rows} image: expected at least 2, one to validate on")
    shuffled = start + _shuffled(rows, labels, seed)
    held_out = _evenly_spread(rows, max(_VALIDATION_SHARE, 1 / rows))
    return {"validation": np.sort(shuffled[held_out]), "train": np.sort(shuffled[~held_out])}


def split_at_random(
    rows: int, labels: Labels | None, validation: float, test: float, seed: int
) -> Mapping[str, Rows]:
    """Draw `validation` and `test` shares of the rows, stratified by label; the rest is `train`.

    With a `test` share of 0 the rows of `validation`, at least one, are those of `test` too. A pure
    function of its arguments. Each split is int64 rows in ascending order; with very few rows some
    splits are empty. They are drawn when one is first asked for: a thousand million rows take five
    minutes and 24 GB, and who encodes all of them asks for none.
    """
    return _DrawnSplits(lambda: _draw(rows, labels, validation, test, seed))


class _DrawnSplits(Mapping[str, Rows]):
    """Splits that are drawn when one is first asked for."""

    def __init__(self, draw: Callable[[], Mapping[str, Rows]]) -> None:
        self._draw = draw

    @cached_property
    def _drawn(self) -> Mapping[str, Rows]:
        return self._draw()

    def __getitem__(self, name: str) -> Rows:
        return self._drawn[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._drawn)

    def __len__(self) -> int:
        return len(self._drawn)


def _draw(
    rows: int, labels: Labels | None, validation: float, test: float, seed: int
) -> Mapping[str, Rows]:
    shuffled = _shuffled(rows, labels, seed)
    if test == 0:
        held_out = _evenly_spread(rows, max(validation, 1 / rows))
        validated = np.sort(shuffled[held_out])
        return {"train": np.sort(shuffled[~held_out]), "validation": validated, "test": validated}
    held_out = _evenly_spread(rows, validation + test)
    tested = _evenly_spread(int(held_out.sum()), test / (validation + test))
    return {
        "train": np.sort(shuffled[~held_out]),
        "validation": np.sort(shuffled[held_out][~tested]),
        "test": np.sort(shuffled[held_out][tested]),
    }


def _shuffled(rows: int, labels: Labels | None, seed: int) -> npt.NDArray[np.int64]:
    """Return the rows in random order, those of each label together."""
    shuffled = np.random.default_rng(seed).permutation(rows)
    # Stable: rows of one label stay in random order.
    return shuffled if labels is None else shuffled[np.argsort(labels[shuffled], kind="stable")]


def _evenly_spread(rows: int, share: float) -> npt.NDArray[np.bool_]:
    """Return a mask (rows,) that takes `share` of the rows, evenly spread."""
    steps = np.floor(np.arange(rows + 1) * share + 0.5)
    taken: npt.NDArray[np.bool_] = np.diff(steps) > 0
    return taken
