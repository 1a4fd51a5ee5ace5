from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from aecli.cli import main

QUICK = ("--recipe", "plain", "--hidden", "16,8", "--batch-size", "64", "--quiet")


def test_the_map_is_drawn_as_it_grows_and_at_the_end(tmp_path: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    words = ["train", "digits", *QUICK, "--epochs", "3"]
    assert main([*words, "-o", str(run), "--plot", "--plot-every", "2"]) == 0
    growth = sorted(path.name for path in (run / "growth").iterdir())
    assert growth == ["epoch-0002.png", "epoch-0003.png"]
    for picture in (run / "map.png", run / "history.png", *(run / "growth").iterdir()):
        assert imread(picture).std() > 0.01
    # Pictures change nothing of what is learned.
    assert main([*words, "-o", str(other)]) == 0
    assert (run / "best.safetensors").read_bytes()[-1000:] == (
        other / "best.safetensors"
    ).read_bytes()[-1000:]
    before, after = (imread(run / "growth" / name) for name in growth)
    assert not np.array_equal(before, after)


def test_a_map_that_never_grows_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "-o", str(tmp_path / "run"), "--plot-every", "0"]) == 2
    assert "--plot-every must be at least 1, got 0" in capsys.readouterr().err


def test_a_picture_of_others_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "map.png").write_text("mine")
    words = ["train", "digits", *QUICK, "--epochs", "1", "--plot", "-o", str(tmp_path)]
    assert main(words) == 2
    assert "map.png exists already: --force replaces it" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"map.png"}
    assert main([*words, "--force"]) == 0
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
