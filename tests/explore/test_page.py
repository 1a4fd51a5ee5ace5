"""The page in a real browser, opened from the disk, without a network."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter

from aecli.cli import main
from aecli.config import with_settings
from aecli.data import open_dataset
from aecli.encode import decode, encode, load_model
from aecli.features import TrainingFeatures
from aecli.references import fit_references
from aecli.run.checkpoint import load, to_bytes
from aecli.run.folder import RunFolder
from tests.export.conftest import Untrained, save_run
from tests.kinds import KINDS

pytest.importorskip("playwright", reason="playwright is not installed: pip install '.[dev]'")

Floats = npt.NDArray[np.float32]
Open = Callable[..., Any]
EVIL = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    'say "hi", it\'s\nnew\tline',
    "日本語 العربية 😀",
    "=1+1",
    "__proto__",
]


def _page(run: Path, *options: str) -> Path:
    out = run / "page.html"
    assert main(["explore", str(run), "-o", str(out), "--force", "--quiet", *options]) == 0
    return out


@pytest.fixture(scope="module")
def digits_page(digits_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a small run on the digits, without numbers for each image."""
    out = tmp_path_factory.mktemp("page") / "map.html"
    assert main(["explore", str(digits_run), "-o", str(out), "--quiet"]) == 0
    return out


def _images(path: Path, shape: tuple[int, ...] = (90, 12, 10, 3)) -> Path:
    generator = np.random.default_rng(5)
    smooth = np.cumsum(generator.normal(size=shape), axis=1)
    values = 255 * (smooth - smooth.min()) / np.ptp(smooth)
    np.save(path, values.astype(np.uint8))
    return path


def _vectors(path: Path) -> Path:
    generator = np.random.default_rng(6)
    np.save(path, generator.normal(3, [1, 5, 0.1] * 4, (90, 12)).astype(np.float32))
    return path


@pytest.mark.parametrize(
    ("recipe", "data", "settings"),
    [
        *((recipe, "images", settings) for recipe, settings in KINDS.values()),
        ("plain", "digits", {"activation": "gelu", "encoder": "conv"}),
        ("plain", "digits", {"activation": "elu"}),
        ("plain", "images", {"activation": "tanh", "latent": 3, "output": "linear"}),
        ("plain", "vectors", {"latent": 5}),
    ],
)
def test_the_page_encodes_and_decodes_as_the_commands_do(
    recipe: str,
    data: str,
    settings: dict[str, Any],
    tmp_path: Path,
    open_page: Open,
    untrained: Untrained,
) -> None:
    make = {"images": _images, "vectors": _vectors, "digits": Path}
    if data == "vectors":
        settings = settings | {"output": "linear"}
    location = make[data](tmp_path / "data.npy" if data != "digits" else Path(data))
    checkpoint, dataset = untrained(location, recipe, **settings)
    save_run(checkpoint, tmp_path / "run")
    opened = open_page(_page(tmp_path / "run"))
    model = load_model(load(tmp_path / "run" / "best.safetensors"))
    images = dataset.split("test").images[:20]
    codes = encode(model, images)
    pixels = dataset.split("test").images[:20].astype(np.float32).reshape(len(images), -1)
    pixels /= np.float32(255 if images.dtype == np.uint8 else 1)
    script = "(rows) => Promise.all(rows.map(async (row) => Array.from(await aecli.{}(row))))"
    encoded = np.array(opened.call(script.format("encode"), pixels.tolist()))
    decoded = np.array(opened.call(script.format("decode"), codes.tolist()))
    radius = np.abs(codes - codes.mean(axis=0)).max()
    np.testing.assert_allclose(encoded, codes, atol=0.01 * radius, rtol=0)
    expected = decode(model, codes).reshape(len(codes), -1)
    np.testing.assert_allclose(decoded, expected, atol=2e-3, rtol=1e-3)
    # And the codes of the page are those of the command.
    first = opened.call("() => Array.from(aecli.points.code(0))")
    np.testing.assert_allclose(first, codes[0], atol=1e-3 * radius)
    assert not opened.errors


def test_the_page_asks_no_network_and_its_policy_refuses(
    digits_page: Path, open_page: Open
) -> None:
    opened = open_page(digits_page, "#draw=webgl")
    page = opened.page
    assert opened.call("aecli.drawnWith") == "WebGL 2"
    page.mouse.move(300, 300)
    page.wait_for_timeout(100)
    own = ("file://", "blob:", "data:")
    assert [url for url in opened.requests if not url.startswith(own)] == []
    refused = opened.call(
        """async () => {
            const found = [];
            document.addEventListener("securitypolicyviolation",
                (event) => found.push(event.violatedDirective));
            await fetch("https://example.org/").catch(() => {});
            const image = new Image();
            image.src = "https://example.org/x.png";
            document.body.append(image);
            const script = document.createElement("script");
            script.textContent = "window.injected = 1"; document.body.append(script);
            await new Promise((done) => setTimeout(done, 200));
            return [found, window.injected ?? null];
        }"""
    )
    violated, injected = refused
    assert injected is None
    assert {"connect-src", "img-src"} <= set(violated)
    assert any(directive.startswith("script-src") for directive in violated)


def test_names_are_text_whatever_they_hold(tmp_path: Path, open_page: Open) -> None:
    labels = np.arange(60) % len(EVIL)
    generator = np.random.default_rng(0)
    np.save(tmp_path / "codes.npy", generator.normal(size=(60, 2)).astype(np.float32))
    rows = [EVIL[i] for i in labels]
    with (tmp_path / "names.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["label"], *[[name] for name in rows]])
    title = "</title><script>alert(3)</script>"
    out = tmp_path / "map.html"
    words = ["explore", str(tmp_path / "codes.npy"), "-o", str(out), "--title", title]
    assert main([*words, "--labels", str(tmp_path / "names.csv"), "--quiet"]) == 0
    opened = open_page(out)
    shown = opened.call(
        "() => [...document.querySelectorAll('#legend .name')].map((e) => e.textContent)"
    )
    assert set(shown) == set(EVIL)
    assert opened.page.title() == title
    assert opened.call("document.querySelectorAll('img').length") == 0
    opened.page.fill("#search", "img src")
    found = opened.page.locator("#found button")
    assert found.count() == 10
    assert not opened.errors


def test_an_image_is_found_read_selected_and_exported_by_keyboard(
    digits_page: Path, digits_run: Path, open_page: Open
) -> None:
    opened = open_page(digits_page)
    page = opened.page
    page.keyboard.press("Tab")  # To skip the map.
    while page.evaluate("document.activeElement.id") != "map":
        page.keyboard.press("Tab")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("17")
    page.keyboard.press("Enter")
    label = opened.call("aecli.points.label(17)")
    live = page.locator("#live")
    assert "image 17" in live.inner_text()
    assert f"class: {label}" in live.inner_text()
    page.keyboard.press("Shift+Tab")
    while page.evaluate("document.activeElement.id") != "map":
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowRight")
    assert "image 17" not in live.inner_text()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("c")
    selected = opened.call("aecli.selection()")
    labels = {opened.call("(row) => aecli.points.label(row)", row) for row in selected}
    assert len(labels) == 1
    while page.evaluate("document.activeElement.id") != "export-csv":
        page.keyboard.press("Tab")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert [int(row["row"]) for row in rows] == selected
    codes = encode(
        load_model(load(digits_run / "best.safetensors")),
        open_dataset("digits").split("test").images,
    )
    exported = [[float(row["code 1"]), float(row["code 2"])] for row in rows]
    np.testing.assert_allclose(exported, codes[selected], atol=1e-3 * np.abs(codes).max())
    page.keyboard.press("Tab")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert np.load(download.value.path()).tolist() == selected
    assert not opened.errors


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_accessibility_check_finds_no_serious_fault(
    scheme: str, digits_page: Path, open_page: Open
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    opened = open_page(digits_page, color_scheme=scheme)
    opened.page.fill("#search", "3")
    opened.call("() => aecli.select([1, 2, 3])")
    for summary in opened.page.locator("summary").all():
        summary.click()
    found = Axe().run(opened.page).response["violations"]
    grave = [
        f"{v['id']}: {v['nodes'][0]['html']}"
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
    assert grave == []


def test_webgl_that_software_draws_is_left_for_the_quicker_canvas(
    digits_page: Path, open_page: Open
) -> None:
    opened = open_page(digits_page)
    assert opened.call("aecli.drawnWith") == "Canvas 2D"
    assert "software" in opened.call("aecli.drawnBecause")
    assert not opened.errors


def _grown(mask: npt.NDArray[np.bool_]) -> Image.Image:
    return Image.fromarray(mask.astype(np.uint8)).filter(ImageFilter.MaxFilter(5))


def test_webgl_and_canvas_draw_the_same(digits_page: Path, open_page: Open) -> None:
    shots = []
    for way in ("webgl", "canvas"):
        opened = open_page(digits_page, f"#draw={way}")
        opened.page.wait_for_timeout(200)
        picture = opened.page.locator("#map").screenshot()
        shots.append(np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int))
    # Coloured where the other is: dots are placed to a pixel on one, and smoothly on the other.
    colored = [(shot.max(axis=2) - shot.min(axis=2)) > 60 for shot in shots]
    assert colored[0].sum() > 500
    grown = [np.asarray(_grown(mask)) > 0 for mask in colored]
    for one, other in ((colored[0], grown[1]), (colored[1], grown[0])):
        assert (one & other).sum() > 0.98 * one.sum()


def test_without_webgl_the_page_is_the_same(digits_page: Path, open_without_gl: Open) -> None:
    opened = open_without_gl(digits_page)
    assert opened.call("aecli.drawnWith") == "Canvas 2D"
    colored = opened.call(
        """() => new Promise((done) => setTimeout(() => {
            const canvas = document.getElementById("dots");
            const [x, y] = aecli.screen(7);
            const ratio = canvas.width / document.getElementById("map").clientWidth;
            const place = [Math.round(x * ratio), Math.round(y * ratio)];
            const { data } = canvas.getContext("2d").getImageData(...place, 1, 1);
            done([...data]);
        }, 300))"""
    )
    assert colored[3] > 150
    decoded = opened.call("async () => Array.from(await aecli.decode([0, 0]))")
    assert len(decoded) == 64
    assert not opened.errors


def _map_box(opened: Any) -> dict[str, float]:
    box: dict[str, float] = opened.page.locator("#map").bounding_box()
    return box


def _drag(opened: Any, *places: tuple[float, float]) -> None:
    box, mouse = _map_box(opened), opened.page.mouse
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    mouse.move(*points[0])
    mouse.down()
    for point in points[1:]:
        mouse.move(*point, steps=4)
    mouse.up()


def test_rectangle_lasso_and_legend_select_what_they_enclose(
    digits_page: Path, open_page: Open
) -> None:
    opened = open_page(digits_page)
    page = opened.page
    where = np.array(opened.call("() => Array.from({length: 360}, (_, i) => aecli.screen(i))"))
    box = _map_box(opened)
    share = where / [box["width"], box["height"]]
    corners = [(0.3, 0.2), (0.7, 0.8)]
    inside = ((share > corners[0]) & (share < corners[1])).all(axis=1)
    page.click("#tool-rectangle")
    _drag(opened, *corners)
    selected = opened.call("aecli.selection()")
    assert abs(len(selected) - inside.sum()) <= 2
    assert len(set(selected) ^ set(np.flatnonzero(inside).tolist())) <= 4
    page.click("#tool-lasso")
    _drag(opened, (0.3, 0.2), (0.7, 0.2), (0.7, 0.8), (0.3, 0.8))
    assert len(set(selected) ^ set(opened.call("aecli.selection()"))) <= 4
    page.click("#tool-lasso")
    page.locator("#legend button").nth(4).click()
    labels = open_dataset("digits").split("test").labels
    assert labels is not None
    assert opened.call("aecli.selection()") == np.flatnonzero(labels == 4).tolist()
    assert "class" not in page.locator("#selection-count").inner_text()
    # Kept, cleared, and shown again.
    page.fill("#keep-name", "fours")
    page.keyboard.press("Enter")
    page.click("#selection-clear")
    assert opened.call("aecli.selection()") == []
    page.locator("#kept .show").click()
    assert len(opened.call("aecli.selection()")) == (labels == 4).sum()
    assert not opened.errors


def test_what_is_under_the_cursor_is_shown(digits_page: Path, open_page: Open) -> None:
    opened = open_page(digits_page)
    box = _map_box(opened)
    x, y = opened.call("aecli.screen(0)")
    opened.page.mouse.move(box["x"] + x, box["y"] + y)
    card = opened.page.locator("#card")
    card.wait_for(state="visible")
    assert "class:" in card.inner_text()
    opened.page.mouse.move(box["x"] + 3, box["y"] + 3)
    opened.wait("document.getElementById('card').innerText.includes('from')")
    drawn = opened.call(
        """() => new Promise((done) => setTimeout(() => {
            const canvas = document.querySelector("#card-decoded canvas");
            done(Array.from(canvas.getContext("2d").getImageData(0, 0, 112, 112).data));
        }, 50))"""
    )
    place = opened.call("() => aecli.view()")
    left = place["x"] + (3 - place["width"] / 2) / place["scale"]
    top = place["y"] + (place["height"] / 2 - 3) / place["scale"]
    expected = opened.call("async (code) => Array.from(await aecli.decode(code))", [left, top])
    shown = np.array(drawn).reshape(112, 112, 4)[7::14, 7::14, 0]
    np.testing.assert_allclose(shown.reshape(-1) / 255, expected, atol=0.03)


def test_images_along_a_line_are_decoded_and_saved(digits_page: Path, open_page: Open) -> None:
    opened = open_page(digits_page)
    opened.page.keyboard.down("Shift")
    _drag(opened, (0.2, 0.2), (0.8, 0.8))
    opened.page.keyboard.up("Shift")
    opened.page.locator("#strip").wait_for(state="visible")
    with opened.page.expect_download() as download:
        opened.page.click("#strip-save")
    strip = np.asarray(Image.open(download.value.path()).convert("L"))
    assert strip.shape[1] > 10 * strip.shape[0]
    assert strip.std() > 10


def test_the_address_keeps_the_view(digits_page: Path, open_page: Open) -> None:
    opened = open_page(digits_page)
    opened.call("() => aecli.show({x: 1.5, y: -2, zoom: 5})")
    opened.wait("location.hash.includes('zoom=5')")
    again = open_page(digits_page, opened.call("location.hash"))
    view = again.call("aecli.view()")
    assert (view["x"], view["y"], round(view["zoom"], 3)) == (1.5, -2, 5)
    broken = open_page(digits_page, "#x=a&zoom=&row=99999&color=nonsense&turn=1")
    assert not broken.errors


def test_a_map_by_features_says_that_it_places_no_new_images(
    digits_run: Path, tmp_path: Path, open_page: Open
) -> None:
    path, run = tmp_path / "f.npy", RunFolder(tmp_path / "run")
    np.save(path, np.random.default_rng(0).normal(size=(1_797, 5)))
    best = load(digits_run / "best.safetensors")
    dataset = open_dataset(replace(best.data.source, features=str(path)))
    config = with_settings(best.config, {"placing": "neighbors"})
    references = fit_references(dataset, load_model(best), TrainingFeatures(dataset))
    tensors = {**best.parameters, **references.tensors()}
    run.path.mkdir()
    run.best.write_bytes(
        to_bytes(replace(best, data=dataset.describe(), config=config, tensors=tensors))
    )
    opened = open_page(_page(run.path))
    section = opened.page.locator("#place-section")
    assert "New images cannot be placed here" in section.inner_text()
    assert "--features" in section.inner_text()
    assert not opened.page.locator("#place-file").is_visible()
    assert not opened.page.locator("#pad").is_visible()
    failed = "(pixels) => aecli.place(pixels).catch((error) => error.message)"
    assert "cannot be placed" in opened.call(failed, [0.5] * 64)
    assert len(opened.call("async () => Array.from(await aecli.decode([0, 0]))")) == 64
    assert opened.call("aecli.points.count") == 360
    assert not opened.errors


def test_a_file_is_placed_where_the_command_places_it(
    digits_run: Path, digits_page: Path, tmp_path: Path, open_page: Open
) -> None:
    big = np.kron(open_dataset("digits").split("test").images[3, :, :, 0], np.ones((5, 6)))
    tinted = np.stack([big, big * 0.9, big * 0.8, np.full_like(big, 255)], axis=-1)
    Image.fromarray(tinted.astype(np.uint8)).save(tmp_path / "new.png")
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "new.png").write_bytes((tmp_path / "new.png").read_bytes())
    words = ["encode", str(digits_run), str(folder), "-o", str(tmp_path / "new.npy")]
    assert main([*words, "--size", "8", "--grayscale", "--rescale", "0,255", "--quiet"]) == 0
    expected = np.load(tmp_path / "new.npy")[0]
    opened = open_page(digits_page)
    opened.page.set_input_files("#place-file", tmp_path / "new.png")
    text = opened.page.locator("#place-text")
    opened.wait("document.getElementById('place-text').innerText.includes('lies at')")
    shown = [
        float(part) for part in text.inner_text().split(" lies at ")[1].split(";")[0].split(",")
    ]
    np.testing.assert_allclose(shown, expected, rtol=0.02, atol=0.05)
    assert opened.page.locator("#place-neighbors button").count() == 6
    opened.page.set_input_files(
        "#place-file", {"name": "x.png", "mimeType": "image/png", "buffer": b"not an image"}
    )
    opened.wait("document.getElementById('place-text').innerText.includes('is not an image')")
    pad = opened.page.locator("#pad").bounding_box()
    opened.page.locator("#pad").scroll_into_view_if_needed()
    pad = opened.page.locator("#pad").bounding_box()
    opened.page.mouse.move(pad["x"] + 40, pad["y"] + 30)
    opened.page.mouse.down()
    opened.page.mouse.move(pad["x"] + 90, pad["y"] + 100, steps=3)
    opened.page.mouse.up()
    opened.wait("document.getElementById('place-text').innerText.includes('the drawing lies')")
    assert not opened.errors


@pytest.mark.parametrize("dimensions", [1, 3, 6])
def test_codes_of_any_number_of_numbers_are_shown(
    dimensions: int, tmp_path: Path, open_page: Open
) -> None:
    codes = np.random.default_rng(1).normal(size=(200, dimensions)).astype(np.float32)
    np.save(tmp_path / "codes.npy", codes)
    assert main(["explore", str(tmp_path / "codes.npy"), "--quiet"]) == 0
    opened = open_page(tmp_path / "codes.html")
    assert "without a decoder" in opened.page.locator("#summary").inner_text()
    assert ("principal components" in opened.page.locator("#summary").inner_text()) == (
        dimensions > 3
    )
    _drag(opened, (0.5, 0.5), (0.6, 0.55))
    opened.page.locator("#map").focus()
    opened.page.keyboard.press("ArrowUp")
    assert "image" in opened.page.locator("#live").inner_text()
    assert opened.page.locator("#place-section").is_hidden()
    assert not opened.errors


def test_on_a_phone_the_map_and_the_panel_lie_below_each_other(
    digits_page: Path, open_page: Open
) -> None:
    opened = open_page(digits_page, viewport={"width": 390, "height": 844}, has_touch=True)
    box = _map_box(opened)
    panel = opened.page.locator("#panel").bounding_box()
    assert box["width"] == 390
    assert panel["y"] >= box["y"] + box["height"] - 1
    assert opened.call("document.documentElement.scrollWidth") <= 390
    x, y = opened.call("aecli.screen(0)")
    opened.page.touchscreen.tap(box["x"] + x, box["y"] + y)
    opened.page.locator("#card").wait_for(state="visible")
    assert not opened.errors


def test_unknown_labels_and_numbers_are_said(tmp_path: Path, open_page: Open) -> None:
    np.save(tmp_path / "codes.npy", np.random.default_rng(2).normal(size=(50, 2)).astype("f4"))
    labels = np.arange(50) % 3 - 1
    np.save(tmp_path / "codes.labels.npy", labels)
    assert main(["explore", str(tmp_path / "codes.npy"), "--quiet", "--json"]) == 0
    opened = open_page(tmp_path / "codes.html")
    legend = opened.page.locator("#legend").inner_text()
    assert f"{(labels == -1).sum()} without a class" in legend
    assert opened.call("aecli.points.label(0)") == "unknown"
    facts = json.loads(opened.page.content().split('id="facts">')[1].split("</script>")[0])
    assert [one["count"] for one in facts["classes"]] == [(labels == 0).sum(), (labels == 1).sum()]


def test_tables_colour_the_map_and_have_legends_and_bars(tmp_path: Path, open_page: Open) -> None:
    np.save(tmp_path / "codes.npy", np.random.default_rng(2).normal(size=(40, 2)).astype("f4"))
    np.save(tmp_path / "codes.labels.npy", np.arange(40) % 3)
    with (tmp_path / "about.csv").open("w", newline="") as file:
        rows = [(f"site {i % 4}", i / 7) for i in range(40)]
        csv.writer(file).writerows([("site", "age"), *rows])
    tables = [f"{tmp_path / 'about.csv'}:{column}" for column in ("site", "age")]
    words = ["explore", str(tmp_path / "codes.npy"), "--quiet"]
    assert main([*words, "--color-by", tables[0], "--color-by", tables[1]]) == 0
    opened = open_page(tmp_path / "codes.html")
    page = opened.page
    assert page.locator("#color-by option").all_inner_texts() == ["class", "site", "age"]
    assert page.locator("#legend .name").all_inner_texts() == ["0", "1", "2"]
    page.select_option("#color-by", label="site")
    assert page.locator("#legend .name").all_inner_texts() == [f"site {i}" for i in range(4)]
    page.locator("#legend button").nth(2).click()
    assert opened.call("aecli.selection()") == list(range(2, 40, 4))
    page.select_option("#color-by", label="age")
    assert page.locator("#legend").is_hidden()
    assert page.locator("#bar-low").inner_text().endswith("or less")
    assert abs(opened.call("aecli.points.value('age', 21)") - 3) < 1e-3
    opened.wait("location.hash.includes('color=age')")
    again = open_page(tmp_path / "codes.html", opened.call("location.hash"))
    assert again.page.locator("#color-by").input_value() == "age"
    assert not opened.errors + again.errors
