"""Events of a training for TensorBoard: its losses and speed, and pictures at times."""

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aecli import files
from aecli.data import Dataset
from aecli.errors import AecliError, InputError
from aecli.extras import require_extra
from aecli.run.checkpoint import Checkpoint
from aecli.run.states import EpochMetrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PREFIX = "events"
_SHOWN = 10
_SECONDS_BETWEEN_FLUSHES = 1.0


def check(folder: Path, *, resume: bool) -> None:
    """Raise `InputError` where events cannot go into a folder, before the training starts.

    The package is missing, a file stands there, or the events of another training, which a training
    that is not resumed would be mixed with.
    """
    require_extra("--tensorboard", "tensorboard", tensorboardX="tensorboardX")
    files.refuse_file(folder, "--tensorboard expects a folder")
    there = sorted(folder.glob(f"{_PREFIX}.out.tfevents.*"))
    if there and not resume:
        raise InputError(
            f"{folder} holds the events of another training: --tensorboard names another folder, "
            f"or remove {there[0].name}"
        )


class TensorBoard:
    """Writes what becomes of a training, an event after each epoch, whose number is the step.

    The values are called `loss/NAME`, `loss/validation`, `learning_rate` and `images_per_second`;
    the pictures of validation images are `reconstructions` and `map`, after epochs 1, 2, 4, 8 and
    so on and after the last of `epochs`.
    """

    def __init__(self, folder: Path, dataset: Dataset, epochs: int, done: int) -> None:
        """Begin a file of events after `done` epochs; later ones of an older file are void then.

        Raises:
            OSError: the operating system refused.

        """
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import SessionLog

        files.make_folder(folder)
        self._dataset, self._epochs = dataset, epochs
        # The name has the second alone, in which another may have begun.
        self._writer = EventsWriter(str(folder / _PREFIX), f".{time.time_ns()}")
        self._flushed = time.perf_counter()
        if done:
            self._write(done + 1, session_log=SessionLog(status=SessionLog.START))

    def add(self, metrics: EpochMetrics) -> None:
        """Write the numbers of an epoch; raises as `__init__`."""
        from tensorboardX.proto.summary_pb2 import Summary

        values = {
            **{f"loss/{name}": loss for name, loss in metrics.losses.items()},
            "loss/validation": metrics.validation_loss,
            "learning_rate": metrics.learning_rate,
            "images_per_second": metrics.images_per_second,
        }
        named = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(metrics.epoch, summary=Summary(value=named))

    def draw(self, model: Checkpoint) -> None:
        """Write pictures of a model that is being trained, where they are due; raises as `add`."""
        from tensorboardX.proto.summary_pb2 import Summary

        epoch = model.epoch
        if epoch & (epoch - 1) and epoch != self._epochs:
            return
        named = [
            Summary.Value(tag=name, image=_as_image(figure))
            for name, figure in _pictures(model, self._dataset).items()
        ]
        self._write(epoch, summary=Summary(value=named))

    def reporting(
        self, report: Callable[[EpochMetrics, bool], None]
    ) -> Callable[[EpochMetrics, bool], None]:
        """Return a function that adds the numbers of an epoch, and then reports them too."""

        def add_and_report(metrics: EpochMetrics, saved: bool) -> None:
            self.add(metrics)
            report(metrics, saved)

        return add_and_report

    def close(self) -> None:
        """Bring all events to the disk; raises as `add`."""
        self._writer.close()

    def _write(self, epoch: int, **content: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._writer.write_event(Event(step=epoch, wall_time=time.time(), **content))
        # Each flush waits for the disk; epochs may take milliseconds.
        if time.perf_counter() - self._flushed > _SECONDS_BETWEEN_FLUSHES:
            self._writer.flush()
            self._flushed = time.perf_counter()


@contextmanager
def tensorboard(folder: Path, dataset: Dataset, epochs: int, done: int) -> Iterator[TensorBoard]:
    """Give a `TensorBoard`, closed at the end of the block.

    Raises:
        AecliError: the operating system refused to write events.

    """
    try:
        board = TensorBoard(folder, dataset, epochs, done)
        try:
            yield board
        finally:
            board.close()
    except OSError as error:
        reason = error.strerror or str(error)
        room = files.room(error, folder / _PREFIX)
        raise AecliError(f"cannot write events into {folder}: {reason}{room}") from error


def _pictures(model: Checkpoint, dataset: Dataset) -> "dict[str, Figure]":
    """Return the pictures of validation images, by name; the test images stay out of view."""
    from aecli.encode import encode_split, reconstruct
    from aecli.plot.images import reconstructions_figure
    from aecli.plot.maps import MapStyle, map_figure

    title = f"{dataset.name} validation, epoch {model.epoch}"
    codes = encode_split(model, dataset, "validation").gather()
    shown = min(_SHOWN, dataset.count("validation"))
    images = reconstruct(model, dataset, shown, "validation")
    return {
        "reconstructions": reconstructions_figure(*images, title, lines=dataset.standardised),
        "map": map_figure(codes, "map", style=MapStyle(title=title)),
    }


def _as_image(figure: "Figure") -> Any:
    """Return a picture as an image of an event."""
    from PIL import Image
    from tensorboardX.proto.summary_pb2 import Summary

    from aecli.plot.save import figure_bytes

    picture = figure_bytes(figure, ".png")
    with Image.open(io.BytesIO(picture)) as image:
        width, height, channels = *image.size, len(image.getbands())
    return Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=picture
    )
