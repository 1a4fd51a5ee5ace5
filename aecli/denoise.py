"""Images as an encoder and a decoder make them anew: cleaned, where they learned to clean.

Importing this imports no jax.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aecli.background_import import importing
from aecli.config import BATCH_SIZE, DEFAULT_ROWS_AT_A_TIME, UINT32, SplitName
from aecli.data import Bar, Dataset, no_bar
from aecli.errors import InputError
from aecli.files import PICTURE_SUFFIXES, refuse_existing, require_suffix
from aecli.model import network
from aecli.model.references import reference_tensors
from aecli.noise import NO_NOISE, Noise, parse_noise
from aecli.pixels import Images, unit_range
from aecli.run.checkpoint import Checkpoint, load
from aecli.run.folder import find_checkpoint, folder_of
from aecli.run.reopen import default_split, open_beside

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float32]
# As many images as fit side by side into a picture.
MOST_DRAWN = 50
# Taken for an image without any error.
_MOST_DECIBELS = 100


@dataclass(frozen=True, eq=False)
class DenoiseJob:
    """A run's checkpoint, without what it places images among, and the images to clean with it.

    `count`: of the images of the split, the first so many. `noise` is added to them before, with
    the `seed`; None where they are taken as they are. `replace`: whether `out` may replace a file.
    """

    checkpoint: Checkpoint
    dataset: Dataset
    split: SplitName
    count: int
    out: Path
    noise: Noise | None = None
    seed: int = 0
    replace: bool = False

    @property
    def draws(self) -> bool:
        """Whether the images become a picture, not an array."""
        return self.out.suffix.lower() != ".npy"

    @property
    def numbers(self) -> int:
        """How many numbers an image or a vector has."""
        return math.prod(self.dataset.image_shape)

    @property
    def headline(self) -> str:
        """What cleans the images, in a line."""
        config, epoch = self.checkpoint.config, self.checkpoint.epoch
        learned = f"trained with {config.noise} noise"
        if config.noise == NO_NOISE:
            learned = "trained without noise: it gives images back, and was not taught to clean"
        return (
            f"{config.recipe} recipe of epoch {epoch} on {self.checkpoint.data.name}, {learned}; "
            "the encoder alone gives the codes"
        )


@dataclass(frozen=True)
class Quality:
    """How far images are from what they are to be, on the mean over images.

    `mse`: the mean squared error. `psnr`: the peak signal-to-noise ratio in dB, that is -10 log10
    of the mean squared error of an image in 0..1; 100 for one without any error.
    """

    mse: float
    psnr: float


def denoise_job(
    run: Path,
    location: str | None = None,
    options: Mapping[str, Any] | None = None,
    split: SplitName | None = None,
    out: Path | None = None,
    bar: Bar = no_bar,
    *,
    noise: str = NO_NOISE,
    seed: int = 0,
    count: int = 10,
    force: bool = False,
) -> DenoiseJob:
    """Return the job that cleans images; the cheap checks come before the data are read.

    Args:
        run: its folder, or one of its checkpoints.
        location: name, folder or file of the images; None for those that it was trained on.
        options: fields of `Source`; the images are treated as the run's where these leave it open.
        split: of the images; None for `default_split`.
        out: where the images go: `.npy` all of them, or a picture the first `count`.
        bar: shows the reading.
        noise: what is added to the images before, as `--noise` has it.
        seed: of this noise.
        count: how many images a picture shows, 1..50.
        force: whether to replace a file.

    Raises:
        InputError: there is no such run, the images cannot go there, an option is out of range, or
            the data cannot be read or have changed.

    """
    added = parse_noise(noise, "--add-noise")
    UINT32.check("--seed", seed)
    if not 1 <= count <= MOST_DRAWN:
        raise InputError(f"--count must lie in 1..{MOST_DRAWN}, got {count}")
    out = out or folder_of(run).path / "clean.npy"
    require_suffix(out, ".npy", *PICTURE_SUFFIXES)
    checkpoint = _alone(load(find_checkpoint(run)))
    refuse_existing(out, force=force)
    with importing("aecli.encode"):
        data, named = open_beside(checkpoint, run, location, options, [out], bar)
    if added is not None and added.kind == "salt" and data.standardised:
        raise InputError(f"--add-noise {noise} is of pixels, and {data.name} has vectors")
    split = split or default_split(data, named=named)
    data.rows(split)
    rows = data.count(split)
    if out.suffix.lower() != ".npy":
        rows = min(rows, count)
    return DenoiseJob(checkpoint, data, split, rows, out, added, seed, force)


def _alone(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint whose encoder alone gives images their codes."""
    among = reference_tensors(checkpoint.tensors)
    tensors = {name: array for name, array in checkpoint.tensors.items() if name not in among}
    return replace(checkpoint, tensors=tensors)


def denoise(
    job: DenoiseJob,
    *,
    batch_size: int = DEFAULT_ROWS_AT_A_TIME,
    memory: int | None = None,
    as_uint8: bool = False,
    report: Callable[[int], None] = lambda rows: None,
) -> tuple[Quality, Quality] | None:
    """Write the images of a job, cleaned, while they are read.

    An array is float32 (n, h, w, c) in 0..1, or uint8; of vectors float32 (n, p) in their own
    units. A picture shows the images, those with added noise, and below what is made of them. With
    little `memory`, in bytes, images are taken fewer at a time than `batch_size`.

    Returns:
        How far the images with added noise, and then what was made of them, are from those without;
        None where no noise was added.

    Raises:
        InputError: the batch size is out of range, or vectors are to be uint8.
        AecliError: the operating system refused.

    """
    from aecli.encode import in_units, write_images

    BATCH_SIZE.check("--batch-size", batch_size)
    columns = job.checkpoint.data.source.columns
    if columns is not None and as_uint8:
        raise InputError("--uint8 is for images, and the run was trained on vectors: leave it out")
    errors = _Errors()
    blocks = _measured(_blocks(job, batch_size, memory, report), errors)
    if job.draws:
        from aecli.plot.save import save_figure

        save_figure(_figure(job, blocks), job.out, replace=job.replace)
        return errors.qualities
    images: Iterator[Floats] = (made for _, _, made in blocks)
    shape: tuple[int, ...] = (job.count, *job.dataset.image_shape)
    if columns is not None:
        images, shape = in_units(images, columns), (job.count, job.numbers)
    write_images(job.out, images, shape, as_uint8=as_uint8, replace=job.replace)
    return errors.qualities


# Images as they are, what the encoder sees of them, and what is made of that.
Block = tuple[Images, Images, Floats]


def _blocks(
    job: DenoiseJob, batch_size: int, memory: int | None, report: Callable[[int], None]
) -> Iterator[Block]:
    from aecli.device import batches_at_once
    from aecli.encode import load_model, reconstruct_batches, whole_blocks

    model = load_model(job.checkpoint)
    if memory is not None:
        # As of `encode_split`, and what comes of them; with noise, what they were.
        size = job.dataset.image_bytes + 8 * job.numbers
        batch_size = min(batch_size, max(1, memory // (3 * batches_at_once() * size)))
    rows = whole_blocks(model, batch_size, job.count)
    spoil = _spoiler(job, rows)
    # Some batches are computed at once; they come out in their order.
    waiting: deque[tuple[Images, Images]] = deque()

    def seen() -> Iterator[Images]:
        for images in job.dataset.batches(job.split, rows, (0, job.count)):
            waiting.append((images, spoil(images)))
            yield waiting[-1][1]

    for made in reconstruct_batches(model, seen(), report):
        yield *waiting.popleft(), made


def _spoiler(job: DenoiseJob, rows: int) -> Callable[[Images], Images]:
    """Return a function that spoils at most so many images; they stay as they are without noise."""
    noise = job.noise
    if noise is None:
        return lambda images: images
    import jax

    from aecli.model.autoencoder import to_unit_range

    clip = network(job.checkpoint.config, job.dataset.image_shape).clips
    program = jax.jit(lambda p: noise.spoil_each(p, to_unit_range(p), job.seed, clip=clip))

    def spoil(images: Images) -> Floats:
        padded = np.zeros((rows, *images.shape[1:]), images.dtype)
        padded[: len(images)] = images
        return np.asarray(program(padded))[: len(images)]

    return spoil


@dataclass
class _Errors:
    """The mean squared errors of images with noise, and of those made of them, block by block."""

    before: list[npt.NDArray[np.float64]] = field(default_factory=list)
    after: list[npt.NDArray[np.float64]] = field(default_factory=list)

    @property
    def qualities(self) -> tuple[Quality, Quality] | None:
        """What they are together; None where there are none."""
        return (_quality(self.before), _quality(self.after)) if self.before else None


def _quality(errors: list[npt.NDArray[np.float64]]) -> Quality:
    of_images = np.concatenate(errors)
    ratios = -10 * np.log10(np.maximum(of_images, 10 ** (-_MOST_DECIBELS / 10)))
    return Quality(float(of_images.mean()), float(ratios.mean()))


def _measured(blocks: Iterator[Block], errors: _Errors) -> Iterator[Block]:
    """Yield blocks, and note their errors where noise was added."""
    for images, seen, made in blocks:
        if seen is not images:
            clean = unit_range(images)
            for found, one in ((errors.before, seen), (errors.after, made)):
                found.append(np.square(one - clean).mean(axis=(1, 2, 3), dtype=np.float64))
        yield images, seen, made


def _figure(job: DenoiseJob, blocks: Iterator[Block]) -> "Figure":
    from aecli.plot.images import rows_figure

    images, seen, made = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    rows = {"original": unit_range(images), "cleaned": made}
    if job.noise is not None:
        rows = {"original": unit_range(images), "with noise": unit_range(seen), "cleaned": made}
    kind = "vectors" if job.dataset.standardised else "images"
    title = f"{job.dataset.name} {job.split}: the first {job.count} {kind}, cleaned"
    return rows_figure(rows, title, lines=job.dataset.standardised)
