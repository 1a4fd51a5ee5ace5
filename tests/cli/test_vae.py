"""A variational model through the commands: trained, scored, drawn from, encoded."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from aecli.cli import main
from tests.helpers import SMALL


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "vae"
    # So large a beta that no number of the code is worth its divergence.
    kind = ("--kind", "vae", "--loss", "bce", "--latent", "3", "--beta", "20")
    assert main(["train", "digits", *SMALL, *kind, "-o", str(folder), "-q"]) == 0
    return folder


def test_the_bound_of_the_summary_is_that_of_score_and_collapse_is_said(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = json.loads((run / "summary.json").read_text())
    assert main(["train", "--resume", "-o", str(run)]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "plain recipe, variational, 64-16-8-3, on 1,257 images" in said
    assert f"test bound {summary['test_bound']:.2f} nats an image" in said
    assert summary["collapsed"] == 3
    assert "3 of the 3 numbers of the code are collapsed" in said
    assert main(["score", str(run), "--samples", "5", "--json"]) == 0
    likelihood = json.loads(capsys.readouterr().out)["likelihood"]
    assert likelihood["bound"] == pytest.approx(summary["test_bound"], rel=1e-5)
    assert likelihood["divergence"] == pytest.approx(summary["test_divergence"], rel=1e-4)
    assert likelihood["negative_log_likelihood"] < likelihood["bound"] + 0.05
    assert main(["show", str(run)]) == 0
    assert "validation bound of beta 20, nats" in capsys.readouterr().out


def test_new_images_follow_the_seed(run: Path, tmp_path: Path) -> None:
    found = {}
    for name, seed in (("one", []), ("same", ["--seed", "0"]), ("other", ["--seed", "1"])):
        path = tmp_path / f"{name}.npy"
        assert main(["decode", str(run), "--sample", "7", *seed, "-o", str(path), "-q"]) == 0
        found[name] = np.load(path)
    assert found["one"].shape == (7, 8, 8, 1)
    assert_array_equal(found["one"], found["same"])
    assert not np.array_equal(found["one"], found["other"])
    picture = tmp_path / "new.png"
    assert main(["decode", str(run), "--sample", "7", "-o", str(picture), "-q"]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_spread_lies_beside_the_codes_and_says_whose_it_is(run: Path, tmp_path: Path) -> None:
    alone, codes = tmp_path / "alone.npy", tmp_path / "codes.npy"
    assert main(["encode", str(run), "-o", str(alone), "-q"]) == 0
    assert main(["encode", str(run), "-o", str(codes), "--spread", "-q"]) == 0
    assert alone.read_bytes() == codes.read_bytes()
    spread = np.load(tmp_path / "codes.spread.npy")
    assert spread.dtype == np.float32
    assert spread.shape == (360, 3)
    # The Gaussians are nearly the prior.
    assert_allclose(spread, 1, atol=0.2)
    assert not (spread == 1).all()
    note = json.loads((tmp_path / "codes.spread.json").read_text())
    hashes = [hashlib.sha256(np.load(codes).tobytes()), hashlib.sha256(spread.tobytes())]
    assert [note["codes_sha256"], note["values_sha256"]] == [one.hexdigest() for one in hashes]
    assert json.loads((tmp_path / "codes.json").read_text())["codes_sha256"] == note["codes_sha256"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("decode {run} --seed 3", "--seed is of the images that --sample N draws: add it"),
        ("decode {run} codes.npy --sample 3", "--sample draws codes, and CODES has them"),
        ("decode {run} --sample 0", "--sample must be at least 1, got 0"),
        (
            "decode {plain} --sample 3",
            "--sample needs a run whose codes are Gaussians: aecli train",
        ),
        ("encode {plain} --spread -o a.npy", "--spread needs a run whose codes are Gaussians"),
        ("encode {run} --spread --part 0/2 -o a.npy", "--spread is not made of parts: encode all"),
        ("encode {run} --spread -o there.npy", "there.spread.npy exists already: --force"),
        ("score {plain} --samples 3", "--samples needs a run whose codes are Gaussians"),
        (
            "train digits --kind vae --placing neighbors -o a",
            "--placing neighbors does not go with --kind vae, whose code is the mean",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(
    command: str,
    words: str,
    run: Path,
    digits_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.spread.npy").touch()
    assert main(command.format(run=run, plain=digits_run).split()) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.strip().splitlines()) == 1
