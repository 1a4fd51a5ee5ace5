from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import numpy.typing as npt
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from aecli import files
from aecli.config import Config, with_settings
from aecli.data import Dataset
from aecli.encode import TrainedModel, encode, image_errors, load_model
from aecli.errors import InputError
from aecli.features import TrainingFeatures
from aecli.model.references import References, coordinates_of, references_of
from aecli.references import fit_references
from aecli.run.checkpoint import load, to_bytes
from aecli.run.folder import RunFolder
from aecli.run.reopen import notes
from aecli.train.loop import Stopped, Summary, train
from aecli.train.step import TrainStep
from tests.helpers import tiny_dataset

Rows = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def config(small_config: Config) -> Config:
    return with_settings(small_config, {"placing": "neighbors", "epochs": 3})


@pytest.fixture(scope="module")
def model(digits: Dataset, config: Config) -> TrainedModel:
    step = TrainStep(config, (8, 8, 1), 1_257)
    parameters = step.initial_state(digits.mean_image("train")).parameters
    return TrainedModel(config, (8, 8, 1), jax.device_put(parameters))


def _expected(references: References, rows: Rows, codes: Rows) -> Rows:
    """Return where images lie, in numpy, one image at a time."""
    mean, components, coordinates, known = (
        np.asarray(part, np.float64)
        for part in (
            references.mean,
            references.components,
            references.coordinates,
            references.codes,
        )
    )
    placed = []
    for row, code in zip(rows, codes, strict=True):
        own = np.clip(np.rint(components @ (row - mean) / references.step), -127, 127)
        squared = np.square(own - coordinates).sum(axis=1)
        nearest = np.argsort(squared, kind="stable")[:15]
        least = squared[squared > 0].min()
        weights = np.exp(np.minimum(least - squared[nearest], 0) / references.bandwidth)
        weights = np.append(weights / weights.sum(), 0.25)
        points = np.vstack([known[nearest], code])

        def density(
            at: Rows, points: Rows = points, weights: Rows = weights
        ) -> npt.NDArray[np.float64]:
            squared = np.square(points - at).sum(axis=1)
            near: npt.NDArray[np.float64] = weights * np.exp(-squared / references.code_bandwidth)
            return near

        centre = max(points, key=lambda at: density(at).sum())
        for _ in range(10):
            near = density(centre)
            centre = near @ points / near.sum()
        placed.append(centre)
    return np.array(placed)


# Few are compared with all; many in groups.
@pytest.mark.parametrize("count", [9, 300, 1_257])
def test_an_image_is_placed_at_the_mode_of_its_neighbours_codes(
    digits: Dataset, model: TrainedModel, count: int
) -> None:
    references = fit_references(digits, model, TrainingFeatures(digits))
    references = references._replace(
        coordinates=references.coordinates[:count], codes=references.codes[:count]
    )
    images = digits.split("test").images[:50]
    codes = encode(model, images)
    placed = encode(replace(model, references=jax.device_put(references)), images)
    rows = images.reshape(len(images), -1) / 255
    assert_allclose(
        placed, _expected(references, rows, codes.astype(np.float64)), atol=1e-4, rtol=1e-4
    )
    assert np.abs(placed - codes).max() > 0.01


def test_an_image_counts_for_itself_as_the_nearest_other_does(
    digits: Dataset, model: TrainedModel
) -> None:
    references = fit_references(digits, model, TrainingFeatures(digits))
    image = digits.split("train").images[100:101]
    own = references.coordinates[100].astype(np.int32)
    squared = np.square(references.coordinates.astype(np.int32) - own).sum(axis=1)
    nearest = int(np.argsort(squared)[1])
    # As if there were one more at that distance, with the code of the image.
    other = np.concatenate([references.coordinates, references.coordinates[[nearest]]])
    other[100] = 127
    codes = np.concatenate([references.codes, references.codes[[100]]])
    doubled = references._replace(coordinates=other, codes=codes)
    alone = references._replace(
        coordinates=references.coordinates[100:101], codes=references.codes[100:101]
    )
    placed = [
        encode(replace(model, references=jax.device_put(one)), image)
        for one in (references, doubled, alone)
    ]
    assert_allclose(placed[0], placed[1], rtol=1e-5)
    assert_allclose(placed[2], encode(model, image), rtol=1e-5)


def test_rows_far_out_do_not_make_the_steps_of_others_coarse() -> None:
    values = np.random.default_rng(0).normal(size=(2_000, 5)).astype(np.float32)
    _, step = coordinates_of(values)
    values[7] = 1e6
    coordinates, beside = coordinates_of(values)
    assert beside == pytest.approx(step, rel=0.5)
    assert (coordinates[7] == 127).all()
    same, _ = coordinates_of(np.zeros((3, 2), np.float32))
    assert not same.any()


@pytest.mark.parametrize("memory", [None, 8_000])
def test_the_best_checkpoint_of_an_ended_training_places_among_its_images(
    config: Config, tmp_path: Path, memory: int | None
) -> None:
    dataset = tiny_dataset()
    straight, resumed = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "resumed")
    summary = train(dataset, config, straight, memory=memory)

    def stop() -> bool:
        return files.kind_of(resumed.best) == "file"

    assert train(dataset, config, resumed, stop=stop, memory=memory) == Stopped(True)
    unended = load(resumed.best)
    assert unended.lacks_references
    said = notes(dataset, "test", unended, named=False)
    assert ["has not ended" in note for note in said] == [True]
    train(dataset, config, resumed, resume_from=load(resumed.last))
    best = load(straight.best)
    assert not best.lacks_references
    assert notes(dataset, "test", best, named=False) == []
    again = load(resumed.best).tensors
    assert list(best.tensors) == list(again)
    for name in again:
        assert_array_equal(best.tensors[name], again[name])
    references = references_of(best.tensors)
    assert references is not None
    train_images = dataset.split("train").images
    alone = {k: v for k, v in best.tensors.items() if not k.startswith("references.")}
    encoder = load_model(replace(best, tensors=alone))
    assert_array_equal(references.codes, encode(encoder, train_images))
    assert isinstance(summary, Summary)
    assert summary.test_mse == pytest.approx(image_errors(best, dataset, "test").mean(), rel=1e-5)
    assert replace(best, tensors=alone).model_hash != best.model_hash


def test_references_that_do_not_fit_are_refused(config: Config, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    train(tiny_dataset(), with_settings(config, {"epochs": 1}), folder)
    best = load(folder.best)

    def refused(name: str, value: npt.NDArray[np.generic] | None) -> str:
        tensors = {**best.tensors, f"references.{name}": value}
        kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
        files.write_bytes(folder.best, to_bytes(replace(best, tensors=kept)))
        with pytest.raises(InputError) as caught:
            load(folder.best)
        return str(caught.value)

    assert "references.coordinates is missing" in refused("coordinates", None)
    assert "references.codes is float32 (3, 2)" in refused("codes", np.zeros((3, 2), np.float32))
    assert "references.step is not positive" in refused("step", np.zeros((), np.float32))
    other = replace(best, config=with_settings(config, {"placing": "encoder"}))
    files.write_bytes(folder.best, to_bytes(other))
    with pytest.raises(InputError, match="or images are placed without it"):
        load(folder.best)


def test_a_checkpoint_whose_encoder_sees_means_is_refused(config: Config, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    train(tiny_dataset(), with_settings(config, {"epochs": 1}), folder)
    best = load(folder.best)
    tensors = {**best.tensors, "smoother.mean": np.zeros(16, np.float32)}
    files.write_bytes(folder.best, to_bytes(replace(best, tensors=tensors)))
    with pytest.raises(InputError, match="its encoder sees means of images"):
        load(folder.best)
