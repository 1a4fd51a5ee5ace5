"""scikit-learn's embedded digits: 1,797 images of 8x8 pixels, always at hand."""

import numpy as np

from aecli.data.dataset import Dataset
from aecli.data.pixels import to_images
from aecli.data.source import Source
from aecli.data.stored import Rows

# The file's order is kept: writers come in blocks, so that most test digits are in hands that
# the training split has not seen.
_SPLITS: dict[str, Rows] = {
    "train": slice(0, 1257),
    "validation": slice(1257, 1437),
    "test": slice(1437, 1797),
}


def read_digits(source: Source) -> Dataset:
    """Read the digits; 1,257 train, 180 validation and 360 test images, in file order.

    The 17 grey levels 0..16 are spread over 0..255. Source: the test part of Alpaydin and Kaynak,
    *Optical Recognition of Handwritten Digits*, UCI (1998).
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    return Dataset(
        name="digits",
        source=source,
        images=to_images(
            np.rint(digits.images * (255 / 16)).astype(np.uint8), "digits", source.rescale
        ),
        labels=digits.target.astype(np.int64),
        class_names=tuple(str(name) for name in digits.target_names),
        splits=_SPLITS,
    )
