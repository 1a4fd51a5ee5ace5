"""Write two data sets of small colour images, made of packages of Debian and npm.

`photos.npz`: pieces of photographs that desktops have as their backgrounds, drawn at random, from
128 pixels to the whole height, and shrunk; those to test on are of photographs that no training
image is of. `emoji.npz`: those of four vendors on white; those to test on show signs that no
training image shows. Both as uint8 (n, size, size, 3), with labels: which photograph, which vendor.

    python -m tests.bench.colours FOLDER
"""

import argparse
import math
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

WALLPAPERS = (
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "mate-backgrounds",
    "plasma-workspace-wallpapers",
)
# What is drawn, not photographed, and small copies.
DRAWN: tuple[str, ...] = ("/abstract/", "/desktop/", "/screenshot", "Painting", "analogpattern")
DRAWN += ("Flow", "Honeywave", "PastelHills", "Volna", "Grey", "SafeLanding", "Shell")
DRAWN += ("umang", "Fossa", "Infinite")
VENDORS = ("google", "twitter", "apple", "facebook")
EMOJI_VERSION = "16.0.0"
FLAT = 16.0  # Pieces whose pixels deviate less from their mean colour are sky or wall alone.
TEST_SHARE = 5  # Of so many photographs, or signs, one is to test on.

Pixels = npt.NDArray[np.uint8]


def photographs(folder: Path) -> list[Path]:
    """Return the photographs of Debian's packages, fetched and unpacked in a folder."""
    unpacked = folder / "unpacked"
    if not unpacked.is_dir():
        subprocess.run(["apt-get", "download", *WALLPAPERS], cwd=folder, check=True)
        for package in sorted(folder.glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True)
    found = [path for path in sorted(unpacked.rglob("*.jpg")) if not path.is_symlink()]
    return [path for path in found if not any(word in str(path) for word in DRAWN)]


def pieces(path: Path, count: int, size: int, generator: np.random.Generator) -> Iterator[Pixels]:
    """Yield pieces of a photograph, each of any place and any size, as images of one size."""
    image = Image.open(path).convert("RGB")
    most = min(image.size)
    while count:
        side = round(math.exp(generator.uniform(math.log(4 * size), math.log(most))))
        left, top = (int(generator.integers(0, length - side + 1)) for length in image.size)
        box = (left, top, left + side, top + side)
        piece = np.asarray(image.resize((size, size), Image.Resampling.BOX, box))
        if piece.std(axis=(0, 1)).mean() >= FLAT:
            count -= 1
            yield piece


def write_photos(folder: Path, out: Path, size: int, count: int) -> None:
    """Write `count` pieces of all photographs together."""
    paths = photographs(folder)
    generator = np.random.default_rng(0)
    each = -(-count // len(paths))
    order = generator.permutation(len(paths))
    images = {int(i): list(pieces(paths[i], each, size, generator)) for i in sorted(order)}
    test = {int(i) for i in order[: len(paths) // TEST_SHARE]}
    _save(out, images, test)


def write_emoji(folder: Path, out: Path, size: int) -> None:
    """Write the emoji of all vendors."""
    images: dict[int, list[Pixels]] = {}
    vendors: dict[int, list[int]] = {}
    numbers: dict[str, int] = {}
    for vendor_number, vendor in enumerate(VENDORS):
        package = f"emoji-datasource-{vendor}"
        archive = folder / f"{package}-{EMOJI_VERSION}.tgz"
        if not archive.is_file():
            command = ["npm", "pack", "--silent", f"{package}@{EMOJI_VERSION}"]
            subprocess.run(command, cwd=folder, check=True)
        with tarfile.open(archive) as tar:
            for name in sorted(tar.getnames()):
                file = tar.extractfile(name) if f"/img/{vendor}/64/" in name else None
                if file is None:
                    continue
                # Skin tones and the like of a sign are together.
                sign = numbers.setdefault(Path(name).name.partition("-")[0], len(numbers))
                drawing = Image.open(file).convert("RGBA")
                ground = Image.new("RGBA", drawing.size, "white")
                shown = Image.alpha_composite(ground, drawing).convert("RGB")
                pixels = np.asarray(shown.resize((size, size), Image.Resampling.BOX))
                images.setdefault(sign, []).append(pixels)
                vendors.setdefault(sign, []).append(vendor_number)
    order = np.random.default_rng(0).permutation(len(images))
    _save(out, images, {int(i) for i in order[: len(images) // TEST_SHARE]}, vendors)


def _save(
    out: Path,
    images: dict[int, list[Pixels]],
    test: set[int],
    labels: dict[int, list[int]] | None = None,
) -> None:
    arrays: dict[str, Any] = {}
    for part, wanted in (("train", set(images) - test), ("test", test)):
        rows = [
            (image, number if labels is None else labels[number][i])
            for number in sorted(wanted)
            for i, image in enumerate(images[number])
        ]
        order = np.random.default_rng(1).permutation(len(rows))
        arrays[f"x_{part}"] = np.stack([rows[i][0] for i in order])
        arrays[f"y_{part}"] = np.array([rows[i][1] for i in order], np.int64)
    np.savez(out, **arrays)
    print(out, {name: values.shape for name, values in arrays.items()})


def main() -> None:
    """Write both data sets into a folder, where the packages are kept too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--photos", type=int, default=14_400)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    write_photos(
        arguments.folder, arguments.folder / "photos.npz", arguments.size, arguments.photos
    )
    write_emoji(arguments.folder, arguments.folder / "emoji.npz", arguments.size)


if __name__ == "__main__":
    main()
