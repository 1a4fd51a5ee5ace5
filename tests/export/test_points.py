"""Codes as tables: CSV, and what TensorBoard's projector reads."""

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aecli.cli import main
from aecli.data import Dataset
from aecli.export import projector
from tests.export.conftest import Untrained, save_run


def _rows(path: Path) -> list[dict[str, str]]:
    content = path.read_bytes()
    assert b"\r" not in content
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_csv_has_each_code_and_what_is_known_of_it(run: Path, digits: Dataset) -> None:
    for command in (["encode", str(run)], ["score", str(run), "--per-point"]):
        assert main([*command, "--quiet"]) == 0
    assert main(["export", str(run), "--format", "csv"]) == 0
    rows = _rows(run / "csv" / "codes.csv")
    assert list(rows[0]) == ["row", "label", "trust", "error", "code_1", "code_2"]
    codes = np.array([[row["code_1"], row["code_2"]] for row in rows], np.float32)
    np.testing.assert_array_equal(codes, np.load(run / "codes.npy"))
    error = np.array([row["error"] for row in rows], np.float32)
    np.testing.assert_array_equal(error, np.load(run / "codes.error.npy"))
    expected = np.asarray(digits.split("test").labels).tolist()
    assert [int(row["label"]) for row in rows] == expected
    # Codes alone say less.
    np.save(run / "alone.npy", codes)
    assert main(["export", str(run / "alone.npy"), "--format", "csv"]) == 0
    assert list(_rows(run / "alone-csv" / "codes.csv")[0]) == ["row", "code_1", "code_2"]


def test_csv_has_the_names_of_files(untrained: Untrained, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    names = [f'{label}/{number} "a", b.png' for label in ("cat", "dog") for number in range(20)]
    for name in names:
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (6, 5), np.uint8)).save(path)
    save_run(untrained(tmp_path / "pets", "plain")[0], tmp_path / "run")
    assert main(["export", str(tmp_path / "run"), "--format", "csv", "--split", "all"]) == 0
    rows = _rows(tmp_path / "run" / "csv" / "codes.csv")
    assert [(row["file"], row["label"]) for row in rows] == [
        (name, name[:3]) for name in sorted(names)
    ]


def _in_tensorboard(folder: Path) -> Any:
    """Return a client of the server that TensorBoard's projector asks for the files of a folder."""
    from tensorboard.backend import application
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
    from werkzeug.test import Client

    flags = SimpleNamespace(
        logdir=str(folder), path_prefix="", generic_data="true", reload_task="auto"
    )
    context = base_plugin.TBContext(logdir=str(folder), flags=flags)
    plugin = ProjectorPlugin(context)
    server = application.TensorBoardWSGI([plugin])
    return Client(server)


@pytest.mark.filterwarnings("ignore")  # Those of TensorBoard itself.
def test_tensorboard_reads_what_is_written_for_its_projector(run: Path, digits: Dataset) -> None:
    assert main(["export", str(run), "--format", "projector", "--sample", "50"]) == 0
    client = _in_tensorboard(run / "projector")
    base, name = "/data/plugin/projector", "digits test"
    (found,) = json.loads(client.get(f"{base}/runs").data)
    about = json.loads(client.get(f"{base}/info?run={found}").data)
    (embedding,) = about["embeddings"]
    assert (embedding["tensorName"], embedding["tensorShape"]) == (name, [50, 2])
    assert embedding["sprite"]["singleImageDim"] == [8, 8]
    query = f"run={found}&name={name.replace(' ', '%20')}"
    tensor = np.frombuffer(client.get(f"{base}/tensor?{query}").data, np.float32).reshape(50, 2)
    head, *rows = client.get(f"{base}/metadata?{query}").data.decode().splitlines()
    assert head.split("\t") == ["row", "label"]
    drawn = [int(row.split("\t")[0]) for row in rows]
    assert drawn == sorted(set(drawn))
    assert drawn != list(range(50))
    assert main(["encode", str(run), "--quiet"]) == 0
    np.testing.assert_array_equal(tensor, np.load(run / "codes.npy")[drawn])
    split = digits.split("test")
    assert [int(row.split("\t")[1]) for row in rows] == np.asarray(split.labels)[drawn].tolist()
    picture = Image.open(io.BytesIO(client.get(f"{base}/sprite_image?{query}").data))
    assert picture.size == (64, 64)
    tile = np.asarray(picture)[8:16, 16:24]
    np.testing.assert_array_equal(tile[..., 0], split.images[drawn[10], ..., 0])


def test_the_draw_follows_from_the_seed(run: Path) -> None:
    drawn: list[bytes] = []
    for seed in ("0", "0", "1"):
        folder = run / f"p{len(drawn)}"
        command = ["export", str(run), "--format", "projector", "--sample", "20", "--seed", seed]
        assert main([*command, "-o", str(folder), "--quiet"]) == 0
        drawn.append((folder / "metadata.tsv").read_bytes())
    assert drawn[0] == drawn[1] != drawn[2]


def test_sprites_are_as_large_as_browsers_take(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector, "MOST_SIDE", 100)
    assert main(["export", str(run), "--format", "projector", "--quiet"]) == 0
    with Image.open(run / "projector" / "sprite.png") as picture:
        # 360 images lie 19 by 19.
        assert picture.size == (95, 95)
    assert "single_image_dim: 5\n" in (run / "projector" / "projector_config.pbtxt").read_text()


def test_codes_without_images_have_no_sprite_and_one_column_no_head(tmp_path: Path) -> None:
    np.save(tmp_path / "codes.npy", np.arange(6, dtype=np.float32).reshape(3, 2))
    folder = tmp_path / "codes-projector"
    folder.mkdir()
    (folder / "sprite.png").write_bytes(b"older")
    command = ["export", str(tmp_path / "codes.npy"), "--format", "projector"]
    assert main(command) == 2
    assert main([*command, "--force"]) == 0
    assert {path.name for path in folder.iterdir()} == {
        "tensors.tsv", "metadata.tsv", "projector_config.pbtxt",
    }  # fmt: skip
    assert (folder / "metadata.tsv").read_text() == "0\n1\n2\n"
    assert (folder / "tensors.tsv").read_text() == "0.0\t1.0\n2.0\t3.0\n4.0\t5.0\n"


def test_names_cannot_break_the_files_of_the_projector() -> None:
    assert projector._quoted('a"\\\n') == '"a\\"\\\\\\\\n"'
    assert projector._cell("a\tb\nc") == "a\\tb\\nc"
