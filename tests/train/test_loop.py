import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
import pytest

from aecli import files
from aecli.config import Config, SplitName, choose_recipe, resume_config, with_settings
from aecli.encode import decode, encode, load_model
from aecli.errors import AecliError, InputError
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder
from aecli.train.loop import Stopped, Summary, train
from aecli.train.step import TrainStep
from tests.helpers import tiny_dataset

Floats = npt.NDArray[np.float64]
ROOT = Path(__file__).parents[2]
PARTS: tuple[SplitName, ...] = ("train", "validation")


class NumpyClassic:
    """The tutorial's program, in float64 and by hand: forward, backward, Adam."""

    def __init__(self, parameters: Any) -> None:
        layers = [
            *parameters["encoder"]["layers"].values(),
            *parameters["decoder"]["layers"].values(),
        ]
        self.weights = [np.asarray(layer["kernel"], np.float64) for layer in layers]
        self.biases = [np.asarray(layer["bias"], np.float64) for layer in layers]
        self.linear = len(parameters["encoder"]["layers"]) - 1
        self.moments = [(np.zeros_like(p), np.zeros_like(p)) for p in self.weights + self.biases]
        self.steps = 0

    def loss(self, batch: Floats) -> float:
        return float(np.mean((self._forward(batch)[-1] - batch) ** 2))

    def step(self, batch: Floats, learning_rate: float) -> float:
        values = self._forward(batch)
        loss = float(np.mean((values[-1] - batch) ** 2))
        gradient = 2 * (values[-1] - batch) / batch.size
        gradients: list[Floats] = [np.empty(0)] * len(self.moments)
        depth = len(self.weights)
        for i in reversed(range(depth)):
            if i != self.linear:
                gradient = gradient * values[i + 1] * (1 - values[i + 1])
            gradients[i] = values[i].T @ gradient
            gradients[depth + i] = gradient.sum(axis=0)
            gradient = gradient @ self.weights[i].T
        self.steps += 1
        for parameter, slope, (mean, square) in zip(
            self.weights + self.biases, gradients, self.moments, strict=True
        ):
            mean += 0.1 * (slope - mean)
            square += 0.001 * (slope**2 - square)
            scale = np.sqrt(square / (1 - 0.999**self.steps)) + 1e-8
            parameter -= learning_rate * mean / (1 - 0.9**self.steps) / scale
        return loss

    def _forward(self, batch: Floats) -> list[Floats]:
        values = [batch]
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            total = values[-1] @ weight + bias
            values.append(total if i == self.linear else 1 / (1 + np.exp(-total)))
        return values


def test_classic_trains_as_the_tutorial_written_in_numpy(tmp_path: Path) -> None:
    dataset = tiny_dataset()
    config = with_settings(
        choose_recipe("classic"), {"hidden": (9, 5), "epochs": 4, "batch_size": 64}
    )
    start = TrainStep(config, dataset.image_shape, 200).initial_state(dataset.mean_image("train"))
    reference = NumpyClassic(start.parameters)
    rows, validation = (
        dataset.split(name).images.reshape(-1, 16).astype(np.float64) / 255 for name in PARTS
    )
    expected = []
    for _ in range(4):
        # In file order; the last 200 - 3 * 64 images do not fill a batch.
        losses = [reference.step(rows[i : i + 64], 1e-3) for i in (0, 64, 128)]
        expected.append([float(np.mean(losses)), reference.loss(validation)])
    train(dataset, config, RunFolder(tmp_path))
    history = load(RunFolder(tmp_path).last).history
    np.testing.assert_allclose(
        [[line.losses["reconstruction"], line.validation_loss] for line in history],
        expected,
        rtol=1e-5,
    )
    kernel = load(RunFolder(tmp_path).last).tensors["parameters.decoder.layers.2.kernel"]
    np.testing.assert_allclose(kernel, reference.weights[-1], rtol=1e-4, atol=1e-5)


def _lines(folder: RunFolder) -> list[tuple[int, float, float, float]]:
    return [
        (line.epoch, line.losses["reconstruction"], line.validation_loss, line.learning_rate)
        for line in load(folder.last).history
    ]


def _assert_same_run(first: RunFolder, second: RunFolder) -> None:
    assert _lines(first) == _lines(second)
    for a, b in ((first.last, second.last), (first.best, second.best)):
        one, two = load(a), load(b)
        assert (one.epoch, one.best) == (two.epoch, two.best)
        assert one.tensors.keys() == two.tensors.keys()
        for name in one.tensors:
            np.testing.assert_array_equal(one.tensors[name], two.tensors[name])


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
@pytest.mark.parametrize("stop_after", [1, 2, 3, 4])
def test_a_stopped_run_resumes_bit_for_bit(
    tmp_path: Path, small_config: Config, schedule: str, stop_after: int
) -> None:
    config = with_settings(small_config, {"schedule": schedule})
    dataset, straight, stopped = (
        tiny_dataset(),
        RunFolder(tmp_path / "a"),
        RunFolder(tmp_path / "b"),
    )
    train(dataset, config, straight)
    # Asked before the first epoch and after each one, so that the n-th answer is about n epochs.
    asked = itertools.count()
    end = train(dataset, config, stopped, stop=lambda: next(asked) == stop_after)
    assert end == Stopped(saved=True)
    assert load(stopped.last).epoch == stop_after
    assert not stopped.summary.exists()
    train(dataset, config, stopped, resume_from=load(stopped.last))
    _assert_same_run(straight, stopped)


@pytest.mark.parametrize("epochs", [1, 2])
def test_raising_the_epochs_of_a_constant_schedule_is_exact(
    tmp_path: Path, small_config: Config, epochs: int
) -> None:
    config = with_settings(small_config, {"schedule": "constant"})
    dataset, straight, raised = tiny_dataset(), RunFolder(tmp_path / "a"), RunFolder(tmp_path / "b")
    train(dataset, config, straight)
    train(dataset, with_settings(config, {"epochs": epochs}), raised)
    saved = load(raised.last)
    train(
        dataset,
        resume_config(saved.config, {"epochs": 4}, saved.epoch),
        raised,
        resume_from=saved,
    )
    _assert_same_run(straight, raised)


def test_a_run_stopped_before_its_first_epoch_writes_nothing(
    tmp_path: Path, small_config: Config
) -> None:
    folder = RunFolder(tmp_path / "run")
    assert train(tiny_dataset(), small_config, folder, stop=lambda: True) == Stopped(False)
    assert not folder.path.exists()


def test_resuming_needs_the_last_checkpoint_alone(tmp_path: Path, small_config: Config) -> None:
    config = with_settings(small_config, {"schedule": "constant"})
    folder, straight = RunFolder(tmp_path / "a"), RunFolder(tmp_path / "b")
    train(tiny_dataset(), with_settings(config, {"epochs": 2}), folder)
    for path in (folder.best, folder.metrics, folder.config, folder.summary):
        path.unlink()
    train(tiny_dataset(), config, folder, resume_from=load(folder.last))
    train(tiny_dataset(), config, straight)
    _assert_same_run(folder, straight)
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]


@pytest.mark.parametrize("survivors", [0, 1, 2, 3])
def test_a_run_that_replaces_another_never_mixes_with_it(
    tmp_path: Path, small_config: Config, monkeypatch: pytest.MonkeyPatch, survivors: int
) -> None:
    class Killed(BaseException):
        pass

    folder = RunFolder(tmp_path / "run")
    train(tiny_dataset(), small_config, folder)
    names = itertools.count()
    take_name = files._Temporary.take_name

    def die_after(temporary: files._Temporary, path: Path, *, replace: bool) -> None:
        if next(names) == survivors:
            raise Killed
        take_name(temporary, path, replace=replace)

    other = with_settings(small_config, {"seed": 7})
    with monkeypatch.context() as patch:
        patch.setattr(files._Temporary, "take_name", die_after)
        with pytest.raises(Killed):
            train(tiny_dataset(), other, folder)
    # The last checkpoint takes its place last: until then the old run can go on.
    assert load(folder.last).config == small_config
    if survivors:
        with pytest.raises(InputError, match="is of another training than last"):
            load(folder.best)
    else:
        assert load(folder.best).config == small_config
        assert folder.summary.exists()
    train(tiny_dataset(), small_config, folder, resume_from=load(folder.last))
    train(tiny_dataset(), small_config, RunFolder(tmp_path / "straight"))
    _assert_same_run(folder, RunFolder(tmp_path / "straight"))


def test_a_finished_run_resumes_to_the_same_summary(tmp_path: Path, small_config: Config) -> None:
    folder = RunFolder(tmp_path)
    first = train(tiny_dataset(), small_config, folder)
    again = train(tiny_dataset(), small_config, folder, resume_from=load(folder.last))
    assert isinstance(first, Summary)
    assert isinstance(again, Summary)
    assert (first.test_mse, first.best_epoch) == (again.test_mse, again.best_epoch)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"seed": 5}, "--seed 5 differs from the run's 0"),
        ({"hidden": (7,)}, "--hidden 7 differs from the run's 16,8"),
        ({"epochs": 2}, "--epochs 2 is fewer than the 3 that the run has"),
    ],
)
def test_resuming_refuses_other_settings(
    small_config: Config, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        resume_config(small_config, settings, epoch=3)


def test_the_order_is_a_function_of_seed_and_epoch(tmp_path: Path, small_config: Config) -> None:
    runs = {}
    variants: dict[str, dict[str, Any]] = {
        "a": {},
        "same": {},
        "seed": {"seed": 1},
        "file order": {"shuffle": False},
    }
    for name, settings in variants.items():
        folder = RunFolder(tmp_path / name)
        train(tiny_dataset(), with_settings(small_config, settings), folder)
        runs[name] = _lines(folder)
    assert runs["a"] == runs["same"]
    assert runs["a"] != runs["seed"]
    assert runs["a"] != runs["file order"]


def test_the_code_penalty_pulls_far_codes_in(tmp_path: Path, small_config: Config) -> None:
    farthest = []
    for penalty in (0.0, 1e-3):
        config = with_settings(small_config, {"code_penalty": penalty, "epochs": 30})
        folder = RunFolder(tmp_path / str(penalty))
        train(tiny_dataset(), config, folder)
        codes = encode(load_model(load(folder.best)), tiny_dataset().images[:])
        farthest.append(np.linalg.norm(codes, axis=1).max())
    assert farthest[1] < 0.8 * farthest[0]


# At this rate the loss jumps about, so that some epoch is not the best one.
JUMPY: dict[str, Any] = {"epochs": 60, "learning_rate": 0.2, "schedule": "constant"}


def test_patience_ends_a_run_that_no_longer_improves(tmp_path: Path, small_config: Config) -> None:
    config = with_settings(small_config, {**JUMPY, "patience": 2})
    summary = train(tiny_dataset(), config, RunFolder(tmp_path))
    assert isinstance(summary, Summary)
    assert summary.epochs == summary.best_epoch + 2 < 60
    losses = [line.validation_loss for line in load(RunFolder(tmp_path).last).history]
    assert summary.validation_loss == min(losses) == losses[summary.best_epoch - 1]


def test_the_best_checkpoint_is_the_best_epoch_not_a_later_one(
    tmp_path: Path, small_config: Config
) -> None:
    config = with_settings(small_config, JUMPY)
    folder = RunFolder(tmp_path)
    summary = train(tiny_dataset(), config, folder)
    assert isinstance(summary, Summary)
    assert summary.best_epoch < summary.epochs == JUMPY["epochs"]
    model = load_model(load(folder.best))
    images = tiny_dataset().split("validation").images
    errors = decode(model, encode(model, images)) - images.astype(np.float32) / 255
    assert np.mean(errors**2) == pytest.approx(summary.validation_loss, rel=1e-5)


def test_divergence_is_said_and_not_saved(tmp_path: Path, small_config: Config) -> None:
    config = with_settings(small_config, {"learning_rate": 1e30, "output": "linear"})
    with pytest.raises(AecliError, match=r"in epoch 1, step 2 of 3: .* try --learning-rate 0\.001"):
        train(tiny_dataset(), config, RunFolder(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_batch_larger_than_the_data_is_all_of_them(tmp_path: Path, small_config: Config) -> None:
    config = with_settings(small_config, {"batch_size": 4096})
    summary = train(tiny_dataset(), config, RunFolder(tmp_path))
    assert isinstance(summary, Summary)
    # One step per epoch.
    assert int(load(RunFolder(tmp_path).last).tensors["optimizer.0.count"]) == summary.epochs


def test_two_devices_train_as_one_does(tmp_path: Path, small_config: Config) -> None:
    code = (
        "import jax, sys; from pathlib import Path; from aecli.run.folder import RunFolder;"
        "from tests.helpers import tiny_dataset; from aecli.train.loop import train;"
        "from aecli.run.checkpoint import load; one, two = map(Path, sys.argv[1:]);"
        "config = load(RunFolder(one).last).config;"
        "train(tiny_dataset(), config, RunFolder(two)); print(jax.device_count())"
    )
    one, two = RunFolder(tmp_path / "1"), RunFolder(tmp_path / "2")
    assert jax.device_count() == 1
    train(tiny_dataset(), small_config, one)
    done = subprocess.run(
        [sys.executable, "-c", code, str(one.path), str(two.path)],
        env=os.environ
        | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "2\n"
    first, second = ([line[1:3] for line in _lines(folder)] for folder in (one, two))
    np.testing.assert_allclose(first, second, rtol=1e-4)


def test_a_run_tells_people_what_it_was(digits_run: Path, small_config: Config) -> None:
    folder = RunFolder(digits_run)
    config = json.loads(folder.config.read_text())
    assert config["config"] == small_config.to_json()
    assert config["data"]["rows"] == {"train": 1257, "validation": 180, "test": 360}
    summary = json.loads(folder.summary.read_text())
    assert summary["epochs"] == 4
    assert summary["test_mse"] > 0


def test_a_full_disk_under_a_trace_is_no_lack_of_memory(
    tmp_path: Path, small_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Trace:
        """Writes a part, as jax does."""

        def start(self, folder: str, **options: Any) -> None:
            self.part = Path(folder, "plugins", "profile", "now", "part.xplane.pb")
            self.part.parent.mkdir(parents=True)
            self.part.touch()

        def stop(self) -> None:
            raise jax.errors.JaxRuntimeError(
                f"RESOURCE_EXHAUSTED: {self.part}; No space left on device"
            )

    trace = Trace()
    monkeypatch.setattr(jax.profiler, "start_trace", trace.start)
    monkeypatch.setattr(jax.profiler, "stop_trace", trace.stop)
    folder = RunFolder(tmp_path / "run")
    words = r"cannot write a trace into .*: No space left on device; [\d,]+ bytes are free there"
    with pytest.raises(AecliError, match=words):
        train(tiny_dataset(), small_config, folder, profile=tmp_path / "trace")
    # Nothing half-written is left, and the run can be resumed.
    assert not (tmp_path / "trace").exists()
    assert load(folder.last).epoch == 1


def test_a_resumed_run_counts_the_time_of_all_its_epochs(
    tmp_path: Path, small_config: Config
) -> None:
    folder = RunFolder(tmp_path)
    train(tiny_dataset(), small_config, folder)
    saved = load(folder.last)
    history = tuple(replace(metrics, seconds=1_000.0) for metrics in saved.history)
    again = train(tiny_dataset(), small_config, folder, resume_from=replace(saved, history=history))
    assert isinstance(again, Summary)
    assert 4_000 < again.seconds < 4_100
