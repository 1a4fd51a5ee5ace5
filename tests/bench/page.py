"""Measure the living map of a run in Chromium: `python -m tests.bench.page RUN`.

Without a graphics card Chromium renders by software.

Prints, for the run: the size of its page, how long it takes to the first picture, frames a second
while the map is moved, milliseconds a decoded code takes, how far the page's codes and images are
from those of the commands, and how many test images, fed to the pad as drawings, land among images
of their own class. With `--dots N` also the first picture and the frames of N dots without images.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from aecli.cli import main as aecli
from aecli.encode import decode, encode, load_model
from aecli.pixels import unit_rows
from aecli.run.checkpoint import load
from aecli.run.folder import find_checkpoint
from aecli.run.reopen import reopen

_COMPARED = 200
_DRAWN = 100
_PAD = 140

# Frames that are drawn in two seconds while the map moves a little with each.
_PAN = """() => new Promise((done) => {
    const start = performance.now(), before = aecli.frames(), { x, y, zoom } = aecli.view();
    const step = () => {
        const passed = performance.now() - start;
        if (passed > 2000) return done(1000 * (aecli.frames() - before) / passed);
        aecli.show({ x: x + 0.5 * Math.sin(passed / 300), y, zoom });
        requestAnimationFrame(step);
    };
    step();
})"""
_DECODE = """async (code) => {
    const start = performance.now();
    for (let i = 0; i < 100; i++) await aecli.decode([code[0] + i / 50, code[1]]);
    return (performance.now() - start) / 100;
}"""
_ALL = "(rows) => Promise.all(rows.map(async (row) => Array.from(await aecli.{}(row))))"


def _open(browser: Browser, path: Path) -> tuple[Page, float]:
    """Return a page, and the seconds until everything in it is there."""
    page = browser.new_page(viewport={"width": 1280, "height": 820})
    start = time.perf_counter()
    page.goto(path.resolve().as_uri())
    page.wait_for_selector("html[data-ready=yes]", timeout=120_000)
    return page, time.perf_counter() - start


def _first_picture(page: Page) -> float:
    """Return the seconds from opening to the first painted content."""
    entries: list[float] = page.evaluate(
        "performance.getEntriesByName('first-picture').map((one) => one.startTime)"
    )
    return entries[0] / 1000


def _on_pad(pixels: np.ndarray[Any, Any]) -> list[float]:
    """Return an image (h, w) in 0..1 as ink on the pad, as large as it is."""
    height, width = pixels.shape
    rows = np.arange(_PAD) * height // _PAD
    columns = np.arange(_PAD) * width // _PAD
    ink: list[float] = pixels[rows][:, columns].reshape(-1).tolist()
    return ink


def _measure_run(browser: Browser, run: Path, out: Path) -> None:
    assert aecli(["explore", str(run), "-o", str(out), "--force", "--quiet"]) == 0
    print(f"size of the page: {out.stat().st_size / 1e6:.2f} MB")
    page, seconds = _open(browser, out)
    print(f"drawn with {page.evaluate('aecli.drawnWith')}")
    print(f"first picture after {_first_picture(page):.2f} s, all after {seconds:.2f} s")
    print(f"frames a second while it moves, far out: {page.evaluate(_PAN):.1f}")
    checkpoint = load(find_checkpoint(run))
    dataset, model = reopen(checkpoint), load_model(checkpoint)
    images, labels = dataset.split("test").images[:_COMPARED], dataset.labels_of("test")
    codes = encode(model, images)
    page.evaluate("(p) => aecli.show({ x: p[0], y: p[1], zoom: 6 })", codes[0, :2].tolist())
    print(f"frames a second while it moves, near: {page.evaluate(_PAN):.1f}")
    print(f"decoding a code: {page.evaluate(_DECODE, codes[0].tolist()):.2f} ms")
    encoded = np.array(page.evaluate(_ALL.format("encode"), unit_rows(images).tolist()))
    decoded = np.array(page.evaluate(_ALL.format("decode"), codes.tolist()))
    radius = np.linalg.norm(codes - codes.mean(axis=0), axis=1).max()
    off = np.linalg.norm(encoded - codes, axis=1).max() / radius
    print(f"codes differ by at most {100 * off:.3f} % of the radius of the map")
    expected = decode(model, codes).reshape(len(codes), -1)
    print(f"decoded images differ by at most {np.abs(decoded - expected).max():.2e}")
    if labels is not None and page.evaluate("!document.getElementById('pad-figure').hidden"):
        _measure_drawings(page, images[:_DRAWN], labels[:_DRAWN], dataset.class_names)
    page.close()


def _measure_drawings(
    page: Page, images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], names: Any
) -> None:
    """Feed images to the pad; print how many land where most of the 15 nearest have their class."""
    right = 0
    for row, label in enumerate(labels):
        ink = _on_pad(unit_rows(images[row : row + 1]).reshape(images.shape[1:3]))
        code = page.evaluate("async (ink) => Array.from(await aecli.draw(ink))", ink)
        near = page.evaluate(
            """([code, skipped]) => {
                const rows = [];
                for (let row = 0; row < aecli.points.count; row++) {
                    if (row === skipped) continue;
                    const place = aecli.points.place(row);
                    rows.push([(place[0] - code[0]) ** 2 + (place[1] - code[1]) ** 2, row]);
                }
                rows.sort((a, b) => a[0] - b[0]);
                return rows.slice(0, 15).map(([, row]) => aecli.points.label(row));
            }""",
            [code, row],
        )
        name = names[label] if names else str(label)
        right += max(set(near), key=near.count) == name
    print(f"drawings in the right island: {right} of {len(labels)}")


def _measure_dots(browser: Browser, count: int, folder: Path) -> None:
    generator = np.random.default_rng(0)
    centers = generator.normal(0, 10, (20, 2))
    labels = generator.integers(0, 20, count)
    codes = (centers[labels] + generator.normal(size=(count, 2))).astype(np.float32)
    np.save(folder / "dots.npy", codes)
    np.save(folder / "dots.labels.npy", labels)
    assert aecli(["explore", str(folder / "dots.npy"), "--quiet"]) == 0
    page, seconds = _open(browser, folder / "dots.html")
    print(f"{count:,} dots: first picture after {_first_picture(page):.2f} s, all {seconds:.2f} s")
    print(f"frames a second while it moves: {page.evaluate(_PAN):.1f}")
    page.close()


def main() -> None:
    """Measure the run and the dots that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--dots", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        if arguments.run:
            _measure_run(browser, arguments.run, Path(folder) / "page.html")
        if arguments.dots:
            _measure_dots(browser, arguments.dots, Path(folder))


if __name__ == "__main__":
    main()
