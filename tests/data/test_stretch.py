"""Arrays are converted as image files are."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from aecli.data.stretch import fit

GENERATOR = np.random.default_rng(0)
BYTES = GENERATOR.integers(0, 256, (3, 12, 9, 3), np.uint8)
RESIZED = Image.Resampling.LANCZOS


def test_bytes_are_what_pillow_makes_of_files() -> None:
    files = [Image.fromarray(image) for image in BYTES]
    expected = [np.asarray(file.resize((5, 7), RESIZED)) for file in files]
    np.testing.assert_array_equal(fit(BYTES, (7, 5, 3)), expected)
    expected = [np.asarray(file.convert("L").resize((5, 7), RESIZED)) for file in files]
    np.testing.assert_array_equal(fit(BYTES, (7, 5, 1))[..., 0], expected)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_every_type_of_pixel_keeps_its_type_and_range(kind: Any) -> None:
    scale = 1 if kind is np.float32 else np.iinfo(kind).max // 255
    images = BYTES.astype(kind) * kind(scale)
    for shape in ((7, 5, 3), (20, 30, 1), (12, 9, 1)):
        fitted = fit(images, shape)
        assert fitted.shape == (3, *shape)
        assert fitted.dtype == kind
        bytes_ = fit(BYTES, shape)
        # Bytes are rounded twice, and clipped where Lanczos overshoots.
        inside = (bytes_ > 0) & (bytes_ < 255)
        np.testing.assert_allclose(fitted[inside].astype(float) / scale, bytes_[inside], atol=1.6)


def test_gray_is_repeated_and_other_channels_stay() -> None:
    gray = BYTES[..., :1]
    np.testing.assert_array_equal(fit(gray, (12, 9, 3)), np.repeat(gray, 3, 3))
    pairs = BYTES[..., :2]
    np.testing.assert_array_equal(fit(pairs, (6, 6, 2))[..., :1], fit(gray, (6, 6, 1)))
    assert fit(BYTES[:0], (4, 4, 1)).shape == (0, 4, 4, 1)
