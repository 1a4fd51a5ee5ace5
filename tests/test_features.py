import numpy as np
import pytest

from aecli import features
from aecli.data import Dataset
from aecli.features import TrainingFeatures
from aecli.pca import fit_on_training
from aecli.pixels import unit_rows


def test_images_are_projected_some_at_a_time(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    components = fit_on_training(digits, 50)
    expected = components.project(unit_rows(digits.split("train").images))
    monkeypatch.setattr(features, "_ROWS_AT_A_TIME", 500)
    np.testing.assert_allclose(TrainingFeatures(digits).values, expected, atol=1e-5)
