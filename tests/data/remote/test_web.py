"""Web servers: ranges, signatures and passwords, and what of them is kept."""

from pathlib import Path

import numpy as np
import pytest

from aecli.addresses import address_of, expand_braces, is_address, last_part, split_member
from aecli.cli import main
from aecli.data import open_dataset
from aecli.errors import AecliError, InputError
from aecli.remote.objects import RemoteFile
from tests.data.remote.conftest import KEY, SECRET, Bucket, npy
from tests.data.remote.servers import Front, WebFile
from tests.helpers import SMALL

IMAGES = np.random.default_rng(5).integers(0, 256, (300, 8, 8), np.uint8)
SIGNATURE = "fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024"
QUERY = f"X-Amz-Credential={KEY}%2F20261128&X-Amz-Signature={SIGNATURE}"
Web = tuple[Front, dict[str, WebFile]]


@pytest.mark.parametrize("fault", ["none", "503", "cut", "reset", "stall"])
def test_a_dropped_connection_is_resumed_at_the_byte_that_was_reached(
    web: Web, quick: list[float], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    front, files = web
    monkeypatch.setattr("aecli.remote.http._TIMEOUT_SECONDS", 0.3)
    files["/x.npy"] = WebFile(npy(IMAGES))
    file = RemoteFile(f"http://{front.place}/x.npy")
    front.begin(lambda request: fault if request.number % 3 == 1 else None)
    assert file.read(0, file.size) == npy(IMAGES)
    asked = [request.range for request in front.reads() if request.range]
    if fault == "cut":
        # Nothing is asked for twice: what a cut body had is kept.
        assert max(np.bincount([start for start, _ in asked])) == 1
        assert len(asked) > -(-file.size // 2**13)
    assert bool(quick) == (fault != "none")


def test_an_object_that_changes_is_noticed(web: Web, quick: list[float]) -> None:
    front, files = web
    files["/x.npy"] = WebFile(npy(IMAGES))
    file = RemoteFile(f"http://{front.place}/x.npy")
    file.read(0, 10)
    files["/x.npy"] = WebFile(npy(255 - IMAGES))
    with pytest.raises(AecliError, match=r"x\.npy was changed while it was read: start again"):
        file.read(9000, 9100)


def test_a_server_without_ranges_gives_a_copy(web: Web, quick: list[float], tmp_path: Path) -> None:
    front, files = web
    files["/x.npy"] = WebFile(npy(IMAGES), has_ranges=False)
    np.save(tmp_path / "x.npy", IMAGES)
    dataset = open_dataset(f"http://{front.place}/x.npy")
    assert dataset.fingerprint == open_dataset(str(tmp_path / "x.npy")).fingerprint


def test_nothing_secret_is_kept_or_said(
    web: Web, bucket: Bucket, quick: list[float], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    front, files = web
    files["/signed.npy"] = WebFile(npy(IMAGES), query=QUERY)
    files["/login.npy"] = WebFile(npy(IMAGES), login="Basic YWRhOnBAc3N3MHJk")
    here = f"http://{front.place}"
    addresses = {
        "s3": bucket.put("images.npy", npy(IMAGES)),
        "signed": f"{here}/signed.npy?{QUERY}",
        "login": f"http://ada:p%40ssw0rd@{front.place}/login.npy",
    }
    for name in ("s3", "signed"):
        arguments = ["train", addresses[name], "-o", str(tmp_path / name), *SMALL[:-4]]
        assert main([*arguments, "--epochs", "1"]) == 0
    for name, address in addresses.items():
        codes = str(tmp_path / f"{name}.npy")
        assert main(["encode", str(tmp_path / "signed"), address, "-o", codes]) == 0
    assert main(["data", "show", addresses["signed"]]) == 0
    # The run knows where its data were, and that it needs the signature again.
    del files["/signed.npy"]
    assert main(["encode", str(tmp_path / "signed"), "--force"]) == 2
    assert main(["train", f"{here}/nothing.npy?{QUERY}", "--resume", "-o", "nowhere"]) == 2
    assert main(["data", "show", f"http://ada:p%40ssw0rd@{front.place}:x/login.npy"]) == 2
    out, err = capfd.readouterr()
    assert f"source\t{here}/signed.npy\n" in out
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    said = kept + out.encode() + err.encode()
    for secret in (KEY, SECRET, SIGNATURE, "X-Amz", "ssw0rd", "ada:"):
        assert secret.encode() not in said
    assert f"{here}/login.npy".encode() in kept


def test_what_braces_stand_for() -> None:
    assert expand_braces("a-{08..11}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]
    assert expand_braces("{train,test}-{0..1}") == ["train-0", "train-1", "test-0", "test-1"]
    assert expand_braces("a{b}c{}") == ["a{b}c{}"]
    for bad in ("{3..2}", "{0..9999999}", "{0..9}" * 6):
        with pytest.raises(InputError):
            expand_braces(bad)


PLAIN = {
    "s3://bucket/a/b.npy": "s3://bucket/a/b.npy",
    "S3://bucket/a/": "s3://bucket/a",
    "https://host/a.npy?sig=x#y": "https://host/a.npy",
    "https://user:a%2Fb@host:8080/a.npy": "https://host:8080/a.npy",
    "https://host?token=x": "https://host",
    "http://[::1]:80/a": "http://[::1]:80/a",
    "hf://datasets/user/set@main/a.npy": "hf://datasets/user/set@main/a.npy",
}


def test_an_address_is_known_without_its_secrets() -> None:
    for full, plain in PLAIN.items():
        assert is_address(full)
        assert address_of(full) == plain
        assert address_of(Path(plain)) == plain, "a path has lost a slash"
    for bad in ("https://user:p/ss@host/a", "https://host:x/a", "https:///a", "s3://k:s@b/a"):
        with pytest.raises(InputError):
            address_of(bad)
    assert not is_address("s3:/bucket")
    assert not is_address(Path("folder/s3:/x"))
    assert split_member("s3://b/2020:01.npz:train") == ("s3://b/2020:01.npz", "train")
    assert split_member("s3://b/2020:01.npy") == ("s3://b/2020:01.npy", None)
    assert last_part("https://host/a%20b") == "a b"
