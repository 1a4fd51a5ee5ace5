"""The page as a file: what is in it, what it says, and what is refused."""

import base64
import hashlib
import json
import re
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aecli.cli import main
from aecli.data import open_dataset
from aecli.explore.blocks import UNKNOWN_LEVEL, Blocks
from aecli.explore.drawing import drawing_facts
from aecli.explore.sheets import add_sheets, plan_sheets


def _facts(page: Path) -> dict[str, Any]:
    text = page.read_text()
    facts: dict[str, Any] = json.loads(text.split('id="facts">')[1].split("</script>")[0])
    return facts


def _block(page: Path, name: str) -> bytes:
    text = page.read_text().split(f'id="block-{name}">')[1].split("</script>")[0]
    return base64.b64decode(text)


@pytest.fixture
def run(digits_run: Path, tmp_path: Path) -> Path:
    """Return a run of one's own, without codes."""
    shutil.copytree(digits_run, tmp_path / "run")
    return tmp_path / "run"


def test_a_run_without_codes_is_encoded_for_the_page(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name for path in run.iterdir()}
    assert main(["explore", str(run)]) == 0
    captured = capsys.readouterr()
    page = run / "map.html"
    assert captured.out == f"{page}\n"
    assert "360 codes, 360 of them with their images" in captured.err
    assert {path.name for path in run.iterdir()} == before | {"map.html"}
    assert main(["encode", str(run), "--quiet"]) == 0
    codes = np.load(run / "codes.npy")
    facts = _facts(page)
    levels = np.frombuffer(_block(page, "codes"), "<u2").reshape(360, 2)
    values = facts["codes"]["low"] + np.array(facts["codes"]["step"]) * levels
    np.testing.assert_allclose(values, codes, atol=1e-4 * np.ptp(codes))
    labels = open_dataset("digits").split("test").labels
    assert np.frombuffer(_block(page, "labels"), "<u2").tolist() == np.asarray(labels).tolist()
    assert [one["name"] for one in facts["classes"]] == [str(digit) for digit in range(10)]


def test_the_policy_lets_run_what_is_in_the_page(run: Path) -> None:
    assert main(["explore", str(run), "--quiet"]) == 0
    text = (run / "map.html").read_text()
    for kind, name in (("script", "script-src"), ("style", "style-src")):
        inside = re.findall(f"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        assert len(inside) == 1
        digest = base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in text
    assert "default-src 'none'" in text
    assert "unsafe" not in text.split("</head>")[0].split("<style>")[0]
    assert not re.search(r"(src|href)=\"https?:", text)


def test_names_cannot_leave_their_element(tmp_path: Path) -> None:
    np.save(tmp_path / "codes.npy", np.zeros((3, 2), np.float32) + np.arange(3)[:, None])
    title = "</title></script><script>alert(1)</script>"
    assert main(["explore", str(tmp_path / "codes.npy"), "--title", title, "--quiet"]) == 0
    text = (tmp_path / "codes.html").read_text()
    assert "<script>alert" not in text
    assert _facts(tmp_path / "codes.html")["title"] == title


def test_thumbnails_are_a_sample_or_none(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", str(run), "--thumbnails", "36"]) == 0
    assert "36 of the 360 images, evenly spread, have a picture" in capsys.readouterr().err
    rows = np.frombuffer(_block(run / "map.html", "pictured"), "<u4")
    assert rows.tolist() == np.unique(rows).tolist()
    assert len(rows) == 36
    assert main(["explore", str(run), "--thumbnails", "none", "--force", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["thumbnails"] == 0
    assert "sheet0" not in (run / "map.html").read_text()


def test_images_that_are_gone_are_said_and_codes_stay(
    digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "data.npy", np.random.default_rng(0).integers(0, 256, (60, 4, 4), np.uint8))
    words = ["--recipe", "plain", "--hidden", "4", "--epochs", "1", "--quiet"]
    assert main(["train", str(tmp_path / "data.npy"), "-o", str(tmp_path / "r"), *words]) == 0
    assert main(["encode", str(tmp_path / "r"), "--quiet"]) == 0
    (tmp_path / "data.npy").unlink()
    capsys.readouterr()
    assert main(["explore", str(tmp_path / "r")]) == 0
    assert "without images: " in capsys.readouterr().err
    facts = _facts(tmp_path / "r" / "map.html")
    assert facts["thumbnails"] is None
    assert facts["model"] is not None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["{run}", "-o", "{tmp}/map.png"], "expected NAME.html"),
        (["{run}", "-o", "{tmp}"], "expected NAME.html"),
        (["{run}", "--thumbnails", "-3"], "expected a number in 1..10000000, or none"),
        (["{run}", "--thumbnails", "many"], "expected a number in 1..10000000, or none"),
        (["{run}", "--labels", "x.csv"], "--labels goes with CODES"),
        (["{tmp}/nothing"], "nothing"),
        (["{tmp}/nothing.npy"], "nothing.npy"),
        (["{tmp}/text.npy"], "text.npy"),
        (["{tmp}/nan.npy"], "not finite"),
        (["{tmp}/codes.npy", "--split", "train"], "--split goes with a RUN"),
        (["{tmp}/codes.npy", "--labels", "{tmp}/few.npy"], "few.npy"),
        (["{tmp}/codes.npy", "-o", "{tmp}/there.html"], "exists already"),
        (["{run}", "--split", "no"], "no"),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    words: list[str],
    expected: str,
    digits_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.save(tmp_path / "codes.npy", np.zeros((3, 2), np.float32))
    np.save(tmp_path / "nan.npy", np.full((3, 2), np.nan, np.float32))
    np.save(tmp_path / "few.npy", np.zeros(2, np.int64))
    (tmp_path / "text.npy").write_text("text")
    (tmp_path / "there.html").write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(["explore", *(word.format(run=digits_run, tmp=tmp_path) for word in words)]) == 2
    captured = capsys.readouterr()
    last = captured.err.splitlines()[-1]
    assert expected in last
    assert len(last) <= 300 + len("aecli: ")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_levels_are_half_a_step_off_at_most() -> None:
    values = np.random.default_rng(0).normal(size=(1_000, 2)).astype(np.float32)
    values[3, 1] = np.nan
    blocks = Blocks()
    facts = blocks.levels("x", values)
    levels = np.frombuffer(base64.b64decode(dict(blocks)["x"]), "<u2").reshape(1_000, 2)
    back = np.array(facts["low"]) + np.array(facts["step"]) * levels
    assert levels[3, 1] == UNKNOWN_LEVEL
    known = ~np.isnan(values)
    off = np.abs(back - values)[known].max()
    assert off <= 0.51 * max(facts["step"])
    same = blocks.levels("same", np.full((4, 1), 7.0, np.float32))
    assert (same["low"], same["step"]) == ([7.0], [1.0])
    facts = blocks.texts("names", ["a<b", "ü"])
    assert json.loads(zlib.decompress(base64.b64decode(dict(blocks)["names"]))) == ["a<b", "ü"]


@pytest.mark.parametrize("count", [1, 5, 3_000, 30_000])
def test_sheets_fit_a_graphics_card(count: int) -> None:
    plan = plan_sheets(count, (300, 100, 3))
    assert plan.columns * plan.width <= 2048
    assert plan.per_sheet // plan.columns * plan.height <= 2048
    assert plan.height / plan.width == pytest.approx(3, rel=0.1)
    assert plan.per_sheet % plan.columns == 0


def test_an_image_lies_where_the_plan_says() -> None:
    from PIL import Image

    images = np.zeros((7, 8, 6, 1), np.uint8)
    images[5] = 255
    plan, blocks = plan_sheets(7, (8, 6, 1)), Blocks()
    facts = add_sheets(blocks, plan, [images[:4], images[4:]])
    assert len(facts["sheets"]) == 1
    import io

    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(dict(blocks)["sheet0"]))))
    row, column = divmod(5, plan.columns)
    tiles = sheet[..., 0].reshape(-1, 8, plan.columns, 6).mean(axis=(1, 3))
    assert tiles[row, column] > 200
    assert (tiles > 100).sum() == 1


def test_drawings_are_centred_only_where_the_images_are() -> None:
    dataset = open_dataset("digits")
    facts = drawing_facts(dataset, "test")
    assert facts is not None
    assert facts["ink"] == 1.0
    assert facts["ground"] == 0.0
