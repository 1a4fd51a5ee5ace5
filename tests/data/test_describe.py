"""What is said of a data set, and what must not be written over it."""

import json
from dataclasses import replace

import numpy as np

from aecli.data import Dataset
from aecli.data.describe import describe, facts, first_images
from tests.helpers import tiny_dataset


def test_a_description_is_json_and_has_all_facts(digits: Dataset) -> None:
    description = describe(digits)
    assert json.loads(json.dumps(description))["rows"] == {
        "train": 1257,
        "validation": 180,
        "test": 360,
    }
    assert (description["lowest"], description["highest"]) == (0, 255)
    assert description["own_splits"] is True
    assert description["classes"]["0"] == np.count_nonzero(digits.labels == 0)
    assert sum(description["classes"].values()) == 1797
    lines = dict(facts(description))
    assert lines["images"] == "8x8x1"
    assert lines["pixels"] == "uint8, from 0 to 255"
    assert lines["splits"] == "1,257 train, 180 validation, 360 test"
    assert lines["classes"].startswith("0: 178, 1: 182, ")
    assert lines["fingerprint"] == digits.fingerprint


def test_facts_of_data_without_splits_and_labels() -> None:
    dataset = replace(tiny_dataset(), has_own_splits=False)
    lines = dict(facts(describe(dataset)))
    assert lines["splits"] == "200 train, 40 validation, 60 test, drawn at random"
    assert lines["classes"] == "no labels"
    assert "files" not in lines
    source = replace(dataset.source, ground="white")
    converted = replace(dataset, source=source, converted={"made gray": 3})
    lines = dict(facts(describe(converted)))
    assert lines["files"] == "transparent images lie on white; 3 made gray"
    named = replace(dataset, labels=np.arange(300) % 2, class_names=("cat", "dog"))
    assert describe(named)["classes"] == {"cat": 150, "dog": 150}


def test_first_images_are_those_of_the_training_split() -> None:
    dataset = tiny_dataset()
    images = list(first_images(dataset, 3))
    np.testing.assert_allclose(images, dataset.images[:][:3] / 255, rtol=1e-6)
    assert len(list(first_images(dataset, 1000))) == 200
