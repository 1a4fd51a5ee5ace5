"""Data sets by their names."""

import json
import os
from pathlib import Path

import pytest

from aecli.cli import main
from aecli.data import DATA_VARIABLE, NAMED, fetch_named, find_named, no_bar, open_dataset
from aecli.errors import AecliError, InputError
from tests.data.servers import Server, body, files_below


def test_mnist_is_fetched_by_its_name(
    servers: tuple[Server, Server],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = find_named("mnist") if os.environ.get(DATA_VARIABLE) else None
    if here is None:
        pytest.skip(f"MNIST is not in ${DATA_VARIABLE}")
    expected = open_dataset("mnist").fingerprint
    server, _ = servers
    for file in NAMED["mnist"].remote.files:
        server.answers[f"/{file.name}.gz"] = body((here / f"{file.name}.gz").read_bytes())
    monkeypatch.setenv("AECLI_MIRROR", server.url())
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert main(["data", "list"]) == 0
    assert "mnist\t70,000\t55.0 MB\tnot here; aecli data fetch mnist" in capsys.readouterr().out
    assert main(["data", "fetch", "mnist"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'mnist'}\n"
    assert main(["data", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mnist"] == str(tmp_path / "mnist")
    assert open_dataset("mnist").fingerprint == expected
    assert len(server.asked) == 4


def test_labels_are_fetched_before_the_images_that_make_a_folder_count() -> None:
    for name in ("mnist", "fashion-mnist"):
        kinds = ["labels" in file.name for file in NAMED[name].remote.files]
        assert kinds == [True, True, False, False]


def test_what_the_user_put_there_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, idx_folder: Path
) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    idx_folder.rename(tmp_path / "fashion-mnist")
    assert fetch_named("fashion-mnist", no_bar) == tmp_path / "fashion-mnist"
    dataset = open_dataset("fashion-mnist")
    assert dataset.class_names is not None
    assert dataset.class_names[9] == "Ankle boot"


def test_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AECLI_DATA_DIR", str(tmp_path))
    with pytest.raises(
        AecliError, match=r"no connection\); to do it by hand put train-labels-idx1-ubyte, "
    ) as caught:
        open_dataset("mnist")
    assert str(tmp_path / "mnist") in str(caught.value)
    assert files_below(tmp_path) == []


def test_an_unknown_name_is_not_fetched() -> None:
    with pytest.raises(
        InputError, match="no data set to fetch is called 'mnits'; did you mean 'mnist'"
    ):
        fetch_named("mnits", no_bar)
    with pytest.raises(InputError, match="kmnist is not fetched by its name: put train-images-"):
        fetch_named("kmnist", no_bar)
