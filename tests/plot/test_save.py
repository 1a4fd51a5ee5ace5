import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.image import imread

from aecli.plot.maps import map_figure
from aecli.plot.save import new_figure, save_figure
from aecli.run.codes import Codes


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".SVG", b"<?xml"), (".pdf", b"%PDF")]
)
def test_the_suffix_is_the_format_and_bytes_repeat(
    tmp_path: Path, suffix: str, start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first, the last and any second of the day give the same bytes.
    for name, seconds in (("a", "0"), ("b", "1000000000")):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", seconds)
        figure = new_figure(3, 2)
        figure.add_subplot().scatter(np.arange(3), np.arange(3))
        save_figure(figure, tmp_path / f"{name}{suffix}")
    first, second = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("a", "b"))
    assert first.startswith(start)
    assert first == second


def test_a_picture_has_160_dots_an_inch(tmp_path: Path) -> None:
    save_figure(new_figure(3, 2), tmp_path / "a.png")
    assert imread(tmp_path / "a.png").shape[:2] == (320, 480)


def test_text_in_svg_stays_text(tmp_path: Path) -> None:
    figure = new_figure(3, 2)
    figure.suptitle("some words")
    save_figure(figure, tmp_path / "a.svg")
    assert "some words</text>" in (tmp_path / "a.svg").read_text()


@pytest.mark.parametrize("module", ["maps", "images", "history"])
def test_names_are_not_formulas_in_any_figure(module: str) -> None:
    # In a process of its own, as other tests import all modules.
    program = (
        f"import matplotlib, aecli.plot.{module}; print(matplotlib.rcParams['text.parse_math'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_any_name_can_be_drawn(tmp_path: Path) -> None:
    # Warnings, of letters that no font has, are errors here.
    names = ["\x00\x1b[31m", "\t\n\x1f", "\udcff\ud800", "\ufffe\u7389", "<&"]
    origin = {"data": names[0], "split": names[1], "class_names": names}
    codes = Codes(np.zeros((5, 2), np.float32), np.arange(5), origin)
    for path in (tmp_path / "a.svg", tmp_path / "a.png", tmp_path / "a.pdf"):
        save_figure(map_figure(codes, "unused"), path)
    text = "".join(ElementTree.parse(tmp_path / "a.svg").getroot().itertext())
    for shown in ("\\x00\\x1b[31m", "\\t\\n\\x1f", "\\xff\\ud800", "\\ufffe\u7389", "<&"):
        assert shown in text


def test_settings_of_the_user_change_nothing(tmp_path: Path) -> None:
    program = (
        "import sys, numpy as np; from pathlib import Path;"
        "from aecli.plot.maps import map_figure; from aecli.plot.save import save_figure;"
        "from aecli.run.codes import Codes;"
        "codes = Codes(np.arange(40, dtype=np.float32).reshape(20, 2), np.arange(20) % 2);"
        "save_figure(map_figure(codes, 'a'), Path(sys.argv[1]))"
    )
    (tmp_path / "matplotlibrc").write_text(
        "backend: svg\ntext.usetex: True\nfont.size: 40\naxes.facecolor: red\nsavefig.bbox: tight\n"
    )
    # The user's own program may have imported Matplotlib and set it up.
    mine = "import matplotlib; matplotlib.rcParams['text.usetex'] = True;"
    inline = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    folders = {"MATPLOTLIBRC": str(tmp_path), "MPLCONFIGDIR": str(tmp_path)}
    written: list[bytes] = []
    for folder, start, variables in (
        (Path(__file__).parent, "", {}),
        (tmp_path, "", inline),
        (tmp_path, mine, folders),
    ):
        out = tmp_path / f"{len(written)}.png"
        subprocess.run(
            [sys.executable, "-c", start + program, str(out)],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])} | variables,
            check=True,
        )
        written.append(out.read_bytes())
    assert written[0] == written[1] == written[2]
