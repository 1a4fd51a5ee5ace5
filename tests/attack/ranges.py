"""Numbers of any range and type as pixels, and vectors, in every place that reads them."""

from collections.abc import Iterator

import numpy as np

from tests.attack.case import BAD, GOOD, Case
from tests.attack.forge import array, run

_DIGITS = np.random.default_rng(0).integers(0, 17, (40, 8, 8))
_VECTORS = np.random.default_rng(0).normal(size=(40, 5))

# What is read, or refused in a line.
_READ = {
    "a sliver of uint16": (_DIGITS * 80 + 100).astype(np.uint16),
    "a sliver of floats": _DIGITS * 1e-300,
    "the ends of int64": np.where(_DIGITS > 8, np.iinfo(np.int64).max, np.iinfo(np.int64).min),
    "uint64 that floats cannot tell apart": _DIGITS.astype(np.uint64) % 2 + np.uint64(2**63),
    "equal numbers": np.full((40, 8, 8), -3),
    "equal large floats": np.full((40, 8, 8), 1e300),
    "vectors of any range": _VECTORS * 1e100,
    "vectors of columns that are all equal": np.full((40, 5), 7.5),
    "vectors of denormals": _VECTORS * 5e-322,
}
_REFUSED = {
    "floats too far apart": np.where(_DIGITS > 8, 1.7e308, -1.7e308),
    "one infinity": np.where(np.arange(2560).reshape(40, 8, 8) == 9, np.inf, _DIGITS),
    "vectors too large to measure": _VECTORS * 1e200,
    "vectors of NaN": _VECTORS * np.nan,
}


def _cases() -> Iterator[Case]:
    for kinds, codes in ((_READ, GOOD), (_REFUSED, BAD)):
        for name, values in kinds.items():
            yield Case(name, "data show x.npy --json", (array("x.npy", values),), codes, short=True)
    for name, values, codes in (
        ("images beyond the run's range", _DIGITS / 8, GOOD),
        ("images far beyond the run's range", _DIGITS * 1e7, BAD),
        ("images of a type that says no range", _DIGITS, BAD),
        ("vectors for a run of images", _VECTORS, BAD),
    ):
        makes = ("y.npy", "y.json") if codes == GOOD else ()
        command = "encode run x.npy -o y.npy"
        prepare = (run, array("x.npy", values))
        yield Case(name, command, prepare, codes, makes=makes, short=True)


CASES = list(_cases())
