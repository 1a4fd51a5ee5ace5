"""Codes, pictures and pages that are written to an address."""

import json
from pathlib import Path

import numpy as np
import pytest

from aecli.cli import main
from tests.data.remote.conftest import Bucket
from tests.data.remote.servers import Request


def test_codes_pictures_and_pages_go_to_an_address(
    bucket: Bucket, digits_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root, run = f"s3://{bucket.name}/out", str(digits_run)
    assert main(["encode", run, "-o", str(tmp_path / "codes.npy")]) == 0
    assert main(["encode", run, "-o", f"{root}/codes.npy", "--json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out.splitlines()[-1])["codes"] == f"{root}/codes.npy"
    assert "next: aecli plot" not in err.splitlines()[-1]
    names = ["codes.json", "codes.labels.npy", "codes.npy"]
    assert bucket.keys() == [f"out/{name}" for name in names]
    for name in names:
        assert bucket.get(f"out/{name}") == (tmp_path / name).read_bytes()
    assert main(["encode", run, "-o", f"{root}/codes.npy"]) == 2
    assert f"{root}/codes.npy exists already: --force replaces it" in capfd.readouterr().err
    bucket.put("out/codes.npy", b"older")
    assert main(["encode", run, "digits", "--no-labels", "-o", f"{root}/codes.npy", "--force"]) == 0
    assert bucket.keys() == ["out/codes.json", "out/codes.npy"], "labels of older codes are gone"
    codes = str(tmp_path / "codes.npy")
    assert main(["plot", codes, "-o", f"{root}/map.png"]) == 0
    assert capfd.readouterr().out.splitlines()[-1] == f"{root}/map.png"
    assert bucket.get("out/map.png").startswith(b"\x89PNG")
    assert main(["explore", codes, "-o", f"{root}/map.html", "--thumbnails", "none"]) == 0
    assert bucket.get("out/map.html").lower().startswith(b"<!doctype html>")


def test_an_upload_that_fails_leaves_nothing(
    bucket: Bucket, quick: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "codes.npy", np.random.default_rng(0).random((50, 2)))
    monkeypatch.setattr("aecli.remote.objects._PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()

    def fault(request: Request) -> str | None:
        return "503" if request.method == "PUT" else None

    bucket.front.begin(fault)
    arguments = ["plot", str(tmp_path / "codes.npy"), "-o", f"s3://{bucket.name}/map.png"]
    assert main(arguments) == 1
    assert not bucket.keys()
    assert not list((tmp_path / "tmp").iterdir())
    bucket.front.begin(lambda request: "503" if request.method == "PUT" and not quick else None)
    quick.clear()
    monkeypatch.setattr("aecli.remote.objects._PATIENCE_SECONDS", 10.0)
    assert main(arguments) == 0
    assert quick
    assert bucket.keys() == ["map.png"]


REFUSED = {
    "train digits -o s3://bucket/run": "cannot write to s3://bucket/run: this is written to a disk",
    "decode {run} -o s3://bucket/x.npy": "cannot write to s3://bucket/x.npy: this is written to a",
    "encode {run} -o https://host/c.npy": "web servers are only read",
    "encode {run} s3://bucket/c.npy -o s3://bucket/c.npy --force": "among the data that are read",
    "encode {run} s3://bucket/a -o s3://bucket/a/c.npy": "lies among the data that are read",
    "plot {run} -o s3://k:secret@bucket/x.png": "has no user and no query",
    "encode s3://bucket/run digits": "no such run",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_cannot_be_written_there_is_refused(
    line: str,
    digits_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(line.format(run=digits_run).split()) == 2
    err = capfd.readouterr().err
    assert REFUSED[line] in err
    assert "secret" not in err
    assert not [path for path in tmp_path.iterdir() if path.name != "cache"]
