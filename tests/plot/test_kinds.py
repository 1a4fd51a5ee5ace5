import importlib.util
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import numpy as np
import pytest
import typer
from matplotlib.figure import Figure
from typer.main import get_command
from typer.testing import CliRunner

import aecli.cli
from aecli.data import Dataset, no_bar
from aecli.encode import encode_split, reconstruct
from aecli.errors import InputError
from aecli.plot.kinds import PLOTS, Plot, read_codes_of
from aecli.plot.options import PlotOptions
from aecli.plot.save import new_figure
from aecli.run.checkpoint import load, to_bytes
from aecli.run.codes import read_codes, write_codes, write_point_values
from aecli.run.folder import RunFolder
from aecli.run.points import PER_POINT, PerPointMetric

TITLES = {
    "map": "digits test: 360 codes, 2-D",
    "grid": "digits: what the decoder makes of the plane",
    "walk": "digits: from 0 to 3",
    "traverse": "digits: each number of the code, the others at their medians",
    "worst": "digits, test: the largest errors",
    "reconstructions": "digits test: the first 10 images and their reconstructions from 2 numbers",
    "history": "digits, plain recipe: loss by epoch",
}


@pytest.fixture
def run(digits_run: Path, digits: Dataset, tmp_path: Path) -> Path:
    """Return the folder of a run with its codes, for a test alone."""
    folder = tmp_path / "my run"
    shutil.copytree(digits_run, folder)
    _encode(RunFolder(folder).best, digits)
    return folder


def _encode(checkpoint: Path, digits: Dataset) -> None:
    write_codes(
        checkpoint.parent / "codes.npy",
        encode_split(load(checkpoint), digits, "test"),
        replace=True,
    )


def _with_other_parameters(checkpoint: Path) -> None:
    """Change what a checkpoint has learned."""
    state = load(checkpoint)
    others = {name: tensor + 1 for name, tensor in state.parameters.items()}
    checkpoint.write_bytes(to_bytes(replace(state, tensors={**state.tensors, **others})))


def _draw(kind: str, source: Path) -> Figure:
    """Draw a kind with the options that it cannot do without."""
    ends = {"start": "0", "end": "3"} if kind == "walk" else {}
    return PLOTS[kind].draw(source, PlotOptions(**ends))  # type: ignore[arg-type]


def _title(figure: Figure) -> str:
    return figure.get_suptitle() or figure.axes[0].get_title()


@pytest.mark.parametrize("kind", PLOTS)
def test_every_kind_draws_a_run(kind: str, run: Path) -> None:
    if kind == "thumbnails":
        assert re.fullmatch(r"digits, test: \d+ images", _title(_draw(kind, run)))
    else:
        assert _title(_draw(kind, run)) == TITLES[kind]


@pytest.mark.parametrize("kind", PLOTS)
def test_a_kind_that_needs_a_run_refuses_codes(kind: str, run: Path) -> None:
    plot, codes = PLOTS[kind], run / "codes.npy"
    if plot.draws == "codes":
        assert _title(_draw(kind, codes)) == _title(_draw(kind, run))
        return
    words = re.escape(f"--kind {kind} draws a run: expected its folder, got {codes}")
    for refused in (plot.draw, plot.input_path, plot.default_picture):
        with pytest.raises(InputError, match=words):
            refused(codes)


@pytest.mark.parametrize("kind", ["reconstructions", "history"])
def test_there_must_be_a_run(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such run"):
        PLOTS[kind].draw(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"it has no best\.safetensors"):
        PLOTS[kind].draw(tmp_path)


def test_pictures_go_next_to_the_codes_or_into_the_run(tmp_path: Path) -> None:
    density = Plot("density", "", "codes", PLOTS["map"].figure)
    for source in (tmp_path, tmp_path / "codes.npy"):
        assert PLOTS["map"].default_picture(source) == tmp_path / "codes.png"
        assert density.default_picture(source) == tmp_path / "codes.density.png"
    for kind in ("reconstructions", "history"):
        assert PLOTS[kind].default_picture(tmp_path) == tmp_path / f"{kind}.png"


def test_a_new_row_is_a_new_choice_of_the_command(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Path, PlotOptions]] = []

    def draw(source: Path, options: PlotOptions) -> Figure:
        seen.append((source, options))
        return new_figure(2, 1)

    monkeypatch.setitem(
        PLOTS, "density", Plot("density", "where most are", "codes", draw, ("count",))
    )
    app = typer.Typer()
    app.command()(_copy_of_the_command().plot)
    command: Any = get_command(app)
    (option,) = (p for p in command.params if p.name == "kind")
    assert option.help == (
        "Of codes: map, a scatter or histograms; thumbnails, images in place of dots; grid, what "
        "the decoder makes of the plane; walk, decoded images from a code to another; traverse, "
        "each number of the code in turn; worst, the largest errors; density, where most are. "
        "Of a run: reconstructions, below their images; history, the losses by epoch."
    )
    done = CliRunner().invoke(app, [str(run), "--kind", "density", "--count", "3", "--quiet"])
    assert (done.exit_code, done.output) == (0, f"{run / 'codes.density.png'}\n")
    assert (run / "codes.density.png").read_bytes().startswith(b"\x89PNG")
    ((source, options),) = seen
    assert (source, options.labels, options.color_by, options.count) == (run, None, "label", 3)


def _copy_of_the_command() -> Any:
    """Return `aecli.cli.plot`, with choices as `PLOTS` has them now."""
    path = Path(aecli.cli.__file__).parent / "plot.py"
    spec = importlib.util.spec_from_file_location("copy_of_plot", path)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_unknown_kind_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert aecli.cli.main(["plot", "--kind", "maps"]) == 2
    error = capsys.readouterr().err
    assert "'maps' is not one of 'map', 'thumbnails', 'grid'" in error
    assert error.count("\n") == 1


def test_codes_of_a_run_are_those_in_its_folder(run: Path) -> None:
    expected = read_codes(run / "codes.npy")
    for source in (run, run / "codes.npy"):
        np.testing.assert_array_equal(read_codes_of(source).values, expected.values)


def test_a_run_without_codes_says_how_to_make_them(run: Path) -> None:
    (run / "codes.npy").unlink()
    words = re.escape(f"{run} has no codes.npy: aecli encode '{run}' makes it")
    with pytest.raises(InputError, match=words):
        PLOTS["map"].draw(run)


def test_codes_of_other_parameters_are_refused(run: Path) -> None:
    for checkpoint in (RunFolder(run).best, RunFolder(run).last):
        _with_other_parameters(checkpoint)
    words = f"codes.npy is older than the run: aecli encode '{run}' --force replaces it"
    with pytest.raises(InputError, match=re.escape(words)):
        PLOTS["map"].draw(run)
    # Named themselves, they are drawn.
    PLOTS["map"].draw(run / "codes.npy")


@pytest.mark.parametrize("made_by", ["best", "last"])
def test_codes_of_the_best_or_the_last_parameters_are_drawn(
    made_by: str, run: Path, digits: Dataset
) -> None:
    folder = RunFolder(run)
    _with_other_parameters(folder.best)
    assert load(folder.best).model_hash != load(folder.last).model_hash
    _encode(getattr(folder, made_by), digits)
    PLOTS["map"].draw(run)


def test_codes_that_do_not_say_what_made_them_are_drawn(run: Path) -> None:
    np.save(run / "codes.npy", np.zeros((4, 2)))
    for name in ("codes.json", "codes.labels.npy"):
        (run / name).unlink()
    assert _title(PLOTS["map"].draw(run)) == "codes.npy: 4 codes, 2-D"


def test_codes_beside_a_run_without_a_whole_epoch_are_drawn(run: Path) -> None:
    RunFolder(run).best.unlink()
    _with_other_parameters(RunFolder(run).last)
    PLOTS["map"].draw(run)


@pytest.mark.parametrize("source", [".", "codes.npy"])
def test_labels_from_another_file_take_the_place_of_the_codes_own(source: str, run: Path) -> None:
    np.save(run / "clusters.npy", np.arange(360) % 2 + 40)
    figure = PLOTS["map"].draw(run / source, PlotOptions(labels=run / "clusters.npy"))
    assert {text.get_text() for text in figure.axes[0].texts} == {"40", "41"}


def test_codes_can_be_coloured_by_every_number_that_is_known_of_them(run: Path) -> None:
    assert set(PER_POINT) == set(get_args(PerPointMetric))
    for metric, words in ((name, one.meaning) for name, one in PER_POINT.items()):
        with pytest.raises(InputError, match=rf"codes\.{metric}\.npy does not exist"):
            PLOTS["map"].draw(run, PlotOptions(color_by=metric))
        values = np.linspace(0, len(metric), 360, dtype=np.float32)
        path, points = run / "codes.npy", {metric: values}
        write_point_values(path, "of others", points, replace=False)
        with pytest.raises(InputError, match=rf"codes\.{metric}\.npy belongs to other codes"):
            PLOTS["map"].draw(run, PlotOptions(color_by=metric))
        write_point_values(path, read_codes(path).sha256, points, replace=True)
        figure = PLOTS["map"].draw(run, PlotOptions(color_by=metric))
        bar = figure.axes[1]
        assert bar.get_ylabel().replace("\n", " ") == words
        np.testing.assert_allclose(bar.get_ylim(), (0, len(metric)), rtol=1e-6)


def test_reconstructions_are_those_of_the_best_parameters(run: Path, digits: Dataset) -> None:
    _with_other_parameters(RunFolder(run).last)
    figure = PLOTS["reconstructions"].draw(run, PlotOptions(count=3))
    expected = np.concatenate(reconstruct(load(RunFolder(run).best), digits, 3))[..., 0]
    drawn = np.array([axes.images[0].get_array() for axes in figure.axes])
    np.testing.assert_array_equal(drawn, expected)


def test_reading_is_shown(run: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    bars: list[object] = []

    def reopen(checkpoint: object, bar: object) -> Dataset:
        bars.append(bar)
        return digits

    monkeypatch.setattr("aecli.run.reopen.reopen", reopen)
    bar = partial(no_bar)
    for options in (PlotOptions(bar=bar), None):
        PLOTS["reconstructions"].draw(run, options)
    assert bars == [bar, no_bar]


def test_the_history_is_that_of_all_epochs(run: Path) -> None:
    history = load(RunFolder(run).last).history
    train, validation, _ = PLOTS["history"].draw(run).axes[0].lines
    assert np.asarray(train.get_ydata()).tolist() == [e.losses["reconstruction"] for e in history]
    assert np.asarray(validation.get_ydata()).tolist() == [e.validation_loss for e in history]


def test_the_table_imports_nothing_heavy() -> None:
    program = "import sys, aecli.plot.kinds; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not set(done.stdout.split()) & {"numpy", "matplotlib", "jax"}


@pytest.mark.parametrize("kind", ["map", "history"])
def test_codes_and_history_are_drawn_without_jax(kind: str, run: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from aecli.plot.kinds import PLOTS;"
        "PLOTS[sys.argv[1]].draw(Path(sys.argv[2])); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, kind, str(run)], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "matplotlib" in loaded
    assert not loaded & {"jax", "flax", "optax", "sklearn"}


def test_the_command_replaces_a_picture_only_when_told(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = run / "map.png"
    picture.write_text("mine")
    arguments = ["plot", str(run), "-o", str(picture)]
    assert aecli.cli.main(arguments) == 2
    assert "map.png exists already" in capsys.readouterr().err
    assert picture.read_text() == "mine"
    # Codes and labels that are read are never replaced, whatever they are called.
    for name in ("codes.npy", "labels.npy"):
        picture.unlink()
        shutil.copy(run / "codes.labels.npy", run / "labels.npy")
        picture.symlink_to(run / name)
        before = (run / name).read_bytes()
        assert aecli.cli.main([*arguments, "--labels", str(run / "labels.npy"), "--force"]) == 2
        assert "map.png is read too" in capsys.readouterr().err
        assert (run / name).read_bytes() == before
    picture.unlink()
    picture.write_text("mine")
    assert aecli.cli.main([*arguments, "--force"]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
