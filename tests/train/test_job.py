"""A Python program can say what to train as the shell does."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aecli.cores import usable_cores
from aecli.data import Dataset, Source
from aecli.errors import InputError
from aecli.labels import UNKNOWN
from aecli.neighbors import find_neighbors
from aecli.run.folder import RunFolder
from aecli.train.environment import differences
from aecli.train.job import new_job, resume_job


def test_a_new_job_has_the_default_recipe_fitted_to_the_data(tmp_path: Path) -> None:
    job = new_job(RunFolder(tmp_path / "run"), {})
    assert (job.config.recipe, job.config.batch_size, job.config.epochs) == ("map", 32, 42)
    assert (job.dataset.name, job.checkpoint, job.epochs_done) == ("digits", None, 0)
    assert job.headline == "map recipe, 64-2x2x16-192-192-128-2, on 1,257 images of digits"


def test_settings_stand_over_the_recipe(tmp_path: Path) -> None:
    settings = {"recipe": "classic", "hidden": "9", "epochs": 3, "batch_size": 7}
    config = new_job(RunFolder(tmp_path), settings).config
    assert (config.recipe, config.hidden, config.epochs) == ("classic", (9,), 3)
    assert (config.batch_size, config.activation) == (7, "sigmoid")


def test_vectors_get_a_dense_encoder(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((100, 49), np.float32))
    job = new_job(RunFolder(tmp_path / "run"), {}, Source(str(tmp_path / "x.npy")))
    assert job.config.encoder == "dense"
    assert job.headline.startswith("map recipe with a dense encoder, 49-192-")
    forced = new_job(
        RunFolder(tmp_path / "run"), {"encoder": "conv"}, Source(str(tmp_path / "x.npy"))
    )
    assert forced.headline.startswith("map recipe with a conv encoder, 49-2x2x16-")


def test_few_images_are_trained_with_fewer_neighbours_and_that_is_said(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (10, 4, 4), np.uint8))
    job = new_job(RunFolder(tmp_path / "run"), {"epochs": 2}, Source(str(tmp_path / "x.npy")))
    assert job.headline.endswith("on 8 images of x, each with 7 neighbours")
    found = find_neighbors(job.dataset, job.config, job.folder)
    assert found is not None
    assert found.graph.neighbors.shape == (8, 7)


def test_labels_that_pull_are_counted_and_have_to_be_there(digits: Dataset, tmp_path: Path) -> None:
    job = new_job(RunFolder(tmp_path / "run"), {"label_weight": 0.3})
    assert job.headline.endswith("of digits, 1,257 of them pulled together by their labels")
    images, labels = digits.split("test").images[:100, :, :, 0], np.arange(100) % 3 - 1
    np.savez(tmp_path / "half.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    half = Source(str(tmp_path / "half.npz"))
    job = new_job(RunFolder(tmp_path / "run"), {"label_weight": 0.3}, half)
    known = np.count_nonzero(job.dataset.labels_of("train") != UNKNOWN)
    assert f", {known} of them pulled together" in job.headline
    assert 50 < known < 70
    with pytest.raises(InputError, match=r"images of .*half.npz have none: --labels takes them"):
        new_job(RunFolder(tmp_path / "run"), {"label_weight": 0.3}, replace(half, no_labels=True))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"recipe": 3}, "--recipe has a value of the wrong type: 3"),
        ({"recipe": "modern"}, "which is now called plain"),
        ({"latent": 0}, "--latent must be at least 1"),
    ],
)
def test_bad_settings_are_refused(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        new_job(RunFolder(tmp_path), settings)


def test_a_run_is_replaced_only_by_force(digits_run: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    shutil.copytree(digits_run, folder.path)
    with pytest.raises(InputError, match="holds a run already: --resume resumes it, --force"):
        new_job(folder, {})
    job = new_job(folder, {}, force=True)
    job.check_unchanged(force=True)
    with pytest.raises(InputError, match="holds a run already"):
        job.check_unchanged(force=False)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is a file: -o expects the folder of a run"):
        new_job(RunFolder(tmp_path / "file"), {})


def test_a_job_that_resumes_has_the_settings_and_data_of_its_run(digits_run: Path) -> None:
    job = resume_job(RunFolder(digits_run), {"epochs": 9})
    assert (job.config.hidden, job.config.epochs, job.epochs_done) == ((16, 8), 9, 4)
    assert job.headline.endswith("on 1,257 images of digits, resumed after epoch 4")
    done = resume_job(RunFolder(digits_run), {})
    assert done.headline.endswith("after epoch 4: it has them all, --epochs raises them")
    done.check_unchanged(force=False)


def test_what_cannot_be_resumed_is_refused(
    digits_run: Path, idx_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"nothing to resume: .* -o '.*my run' begins a run"):
        resume_job(RunFolder(tmp_path / "my run"), {})
    with pytest.raises(InputError, match="--seed 5 differs from the run's 0"):
        resume_job(RunFolder(digits_run), {"seed": 5})
    with pytest.raises(InputError, match="is not the data that the run was trained on, digits"):
        resume_job(RunFolder(digits_run), {}, str(idx_folder))
    with pytest.raises(InputError, match="--test without a DATASET"):
        resume_job(RunFolder(digits_run), {}, None, {"test": 0.2})


def test_jax_is_imported_only_while_the_data_are_read() -> None:
    code = "import sys, aecli.train.job; print('jax' in sys.modules, 'flax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_what_differs_from_where_a_run_was_trained_is_said(
    digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "run")
    shutil.copytree(digits_run, folder.path)
    assert new_job(RunFolder(tmp_path / "new"), {}).note is None
    job = resume_job(folder, {})
    assert job.note is None
    cores = usable_cores()
    monkeypatch.setattr("aecli.train.environment.usable_cores", lambda: cores + 1)
    flags = os.environ["XLA_FLAGS"] or "none"
    monkeypatch.setenv("XLA_FLAGS", "--xla_some")
    assert job.note == (
        f"resumed with cores {cores + 1}, was {cores}; XLA_FLAGS --xla_some, was {flags}: the last "
        "bits may differ from those of a run that was never stopped"
    )
    # Older formats do not know where they were trained.
    assert job.checkpoint is not None
    assert replace(job, checkpoint=replace(job.checkpoint, environment=None)).note is None


def test_an_environment_is_said_without_what_acts_on_a_terminal() -> None:
    said = differences({"jax": "\x1b[31m1"}, {"jax": "2", "cores": "3"})
    assert said is not None
    assert said.startswith("resumed with jax 2, was \\x1b[31m1; cores 3, was none: ")


def test_a_model_beyond_memory_is_refused_before_neighbours_are_looked_for(
    tmp_path: Path, digits_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"would take .* GB are free: lower --hidden or --latent"):
        new_job(RunFolder(tmp_path / "run"), {"hidden": (10**6, 10**6)})
    monkeypatch.setattr("aecli.model.sizes.default_memory", lambda: 10**8)
    with pytest.raises(InputError, match=r"would take 0\.\d GB, but 0\.2 GB are free"):
        resume_job(RunFolder(digits_run), {"epochs": 9})


def test_the_headline_says_what_is_not_as_asked(digits_run: Path) -> None:
    job = resume_job(RunFolder(digits_run), {"epochs": 9})
    assert job.checkpoint is not None
    best = replace(job.checkpoint.best, epoch=2)
    config = replace(job.config, patience=2, batch_size=5_000)
    impatient = replace(job, config=config, checkpoint=replace(job.checkpoint, best=best))
    assert impatient.headline.endswith(
        "of digits, all in one batch, resumed after epoch 4: its patience of 2 has run out, "
        "--patience raises it"
    )


def test_a_processor_without_bf16_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = new_job(RunFolder(tmp_path), {"precision": "bf16"})
    monkeypatch.setattr("aecli.compile_cache.processor", lambda: ["flags : avx2 avx512_bf16 fma"])
    assert job.note is None
    monkeypatch.setattr("aecli.compile_cache.processor", lambda: ["flags : avx2 avx512f fma"])
    assert job.note is not None
    assert "--precision float32 is quicker" in job.note
