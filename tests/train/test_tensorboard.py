"""Events for TensorBoard, read by its own reader."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from aecli.cli import main
from aecli.data import Dataset
from aecli.errors import AecliError
from aecli.run.states import EpochMetrics
from aecli.train.tensorboard import tensorboard
from tests.helpers import SMALL


def _read(folder: Path) -> Any:
    found = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    found.Reload()
    return found


def _metrics(epoch: int, loss: float) -> EpochMetrics:
    return EpochMetrics(epoch, {"reconstruction": loss}, loss, 0.1, 10.0, 1.0)


def test_a_training_can_be_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["train", *SMALL, "--epochs", "2", "-o", "run", "--tensorboard", "events"]
    assert main([*command, "--quiet"]) == 0
    found = _read(tmp_path / "events")
    lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    expected = {
        **{f"loss/{name}": [line["losses"][name] for line in lines] for name in lines[0]["losses"]},
        "loss/validation": [line["validation_loss"] for line in lines],
        "learning_rate": [line["learning_rate"] for line in lines],
        "images_per_second": [line["images_per_second"] for line in lines],
    }
    assert set(found.Tags()["scalars"]) == set(expected) >= {"loss/reconstruction"}
    for name, values in expected.items():
        events = found.Scalars(name)
        assert [event.step for event in events] == [1, 2]
        assert [event.value for event in events] == pytest.approx(values)
    for name in ("reconstructions", "map"):
        events = found.Images(name)
        assert [event.step for event in events] == [1, 2]
        with Image.open(io.BytesIO(events[-1].encoded_image_string)) as picture:
            assert picture.size == (events[-1].width, events[-1].height)
    # Another training is not mixed with it.
    assert main([*command, "--force"]) == 2
    assert "events holds the events of another training: " in capsys.readouterr().err


def test_a_resumed_training_takes_the_place_of_what_came_later(
    tmp_path: Path, digits: Dataset
) -> None:
    with tensorboard(tmp_path / "events", digits, 9, 0) as board:
        for epoch in (1, 2, 3):
            board.add(_metrics(epoch, 5.0))
    with tensorboard(tmp_path / "events", digits, 9, 1) as board:
        report = board.reporting(lambda metrics, saved: None)
        report(_metrics(2, 7.0), True)
    # In the order of time, as they are read.
    events = _read(tmp_path / "events").Scalars("loss/validation")
    assert [(event.step, event.value) for event in events] == [(1, 5.0), (2, 7.0)]


def test_what_the_system_refuses_is_said_in_a_line(tmp_path: Path, digits: Dataset) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(AecliError, match=r"cannot write events into .*file/events: Not a directory"),
        tensorboard(tmp_path / "file" / "events", digits, 9, 0),
    ):
        pass


def test_a_missing_package_is_named_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["train", "no-such-data", "--tensorboard", "events"]) == 2
    expected = "--tensorboard needs tensorboardX, which is not installed: pip install 'aecli[tens"
    assert expected in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
