"""Labels as people write them, numbers or texts, one for each image."""

import re
from collections.abc import Sequence

import numpy as np

from aecli.labels import UNKNOWN, Labels, to_labels
from aecli.printable import printable

# Texts of which more than this share are all different are names or captions, not classes.
_MOST_CLASSES_SHARE = 0.5
_NUMBER = re.compile(r"-?\d{1,18}(\.0*)?", re.ASCII)


def classes_of(
    values: Sequence[object], where: str
) -> tuple[Labels | None, tuple[str, ...] | None]:
    """Return int64 labels (n,), and the names of the classes where the values are texts.

    None and empty texts are rows whose class nobody knows. Texts that are whole numbers are
    numbers. Both are None where the values are no classes: nearly all differ, or none is known.

    Raises:
        InputError: a number is beyond int64.

    """
    texts = [None if value is None else str(value).strip() for value in values]
    known = sorted({text for text in texts if text})
    if not known:
        return None, None
    if all(_NUMBER.fullmatch(text) for text in known):
        numbers = [int(text.partition(".")[0]) if text else UNKNOWN for text in texts]
        return to_labels(np.array(numbers, np.int64), len(numbers), where), None
    if len(known) > max(1, _MOST_CLASSES_SHARE * len(texts)):
        return None, None
    index: dict[str | None, int] = {text: label for label, text in enumerate(known)}
    labels = np.array([index.get(text or None, UNKNOWN) for text in texts], np.int64)
    return labels, tuple(printable(text) for text in known)
