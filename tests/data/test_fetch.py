"""Fetching named data sets, from servers of every kind on this machine."""

import gzip
import hashlib
import io
import json
import os
import signal
import ssl
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import trustme

from aecli.cli import main
from aecli.config import SplitName
from aecli.data import DATA_VARIABLE, NAMED, fetch_named, find_named, no_bar, open_dataset
from aecli.data.fetch import Remote, RemoteFile, fetch
from aecli.data.formats.cifar10 import TEST_FILES, TRAIN_FILES
from aecli.errors import AecliError

CONTENT = np.random.default_rng(0).integers(0, 9, 100_000, np.uint8).tobytes()
PARTS: tuple[SplitName, ...] = ("validation", "train", "test")
Answer = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """Answers each path as it is told to, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                outer.answers.get(self.path, _status(404))(self)

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.http.server_port}/"


def _status(code: int) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        request.send_header("content-length", "0")
        request.end_headers()

    return answer


def _body(data: bytes, promised: int | None = None, slowly: bool = False) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("content-length", str(len(data) if promised is None else promised))
        request.end_headers()
        step = 1000 if slowly else len(data)
        try:
            for start in range(0, len(data), step):
                request.wfile.write(data[start : start + step])
                time.sleep(0.05 if slowly else 0)
        except (BrokenPipeError, ConnectionResetError):
            pass
        request.close_connection = True

    return answer


def _redirect(target: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("location", target)
        request.send_header("content-length", "0")
        request.end_headers()

    return answer


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, Server]]:
    monkeypatch.delenv("AECLI_MIRROR")
    pair = Server(), Server()
    yield pair
    for server in pair:
        server.http.shutdown()
        server.http.server_close()


def _file(name: str = "a", content: bytes = CONTENT) -> RemoteFile:
    return RemoteFile(name, len(content), hashlib.sha256(content).hexdigest())


def _remote(*servers: Server, archive: str | None = None) -> Remote:
    mirrors = tuple(server.url() for server in servers)
    return Remote(mirrors, (_file(),), archive, "inside" if archive else "")


def _left(folder: Path) -> list[str]:
    """Return what lies below a folder, without the lock."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    return [name for name in names if not name.endswith(".lock")]


@pytest.mark.parametrize(
    "packed",
    [gzip.compress(CONTENT, 1), gzip.compress(CONTENT, 9, mtime=0), CONTENT],
    ids=["fast", "small", "not packed"],
)
def test_however_a_mirror_packs_it_the_content_counts(
    servers: tuple[Server, Server], tmp_path: Path, packed: bytes
) -> None:
    server, _ = servers
    server.answers["/a.gz"] = _body(packed)
    for _ in range(2):
        fetch(_remote(server), tmp_path / "set", no_bar)
        assert (tmp_path / "set" / "a").read_bytes() == CONTENT
    assert server.asked == ["/a.gz"], "what is there is not fetched again"
    assert _left(tmp_path) == ["set", "set/a"]


GOOD = gzip.compress(CONTENT)
OTHER = bytes(len(CONTENT))
BAD_ANSWERS: dict[str, tuple[Answer, str]] = {
    "not there": (_status(404), "404 Not Found"),
    "a broken server": (_status(503), "503 Service Unavailable"),
    "an error page": (_body(b"<html>Sorry</html>"), "not the a that is known"),
    "other content of the size": (_body(gzip.compress(OTHER)), "not the a that is known"),
    "content that goes on": (_body(gzip.compress(CONTENT + b"x")), "got 100,001 of"),
    "a bomb": (_body(gzip.compress(bytes(10**8))), "got 100,001 of"),
    "a body that never ends": (_body(bytes(10**6)), "more than 200,000 bytes"),
    "nothing": (_body(b""), "got 0 of"),
    "dropped in mid-body": (_body(GOOD[:5000], len(GOOD)), "the connection broke off"),
    "cut": (_body(GOOD[:5000]), "damaged: Compressed file ended"),
    "a flipped byte": (_body(GOOD[:5000] + b"\0\xff" + GOOD[5002:]), ""),
    "a wrong checksum": (_body(GOOD[:-8] + bytes(8)), "damaged: CRC check failed"),
    "to a file": (_redirect("file:///etc/passwd"), "No connection adapters"),
    "in circles": (_redirect("/a.gz"), "Exceeded 30 redirects"),
}


@pytest.mark.parametrize("fault", BAD_ANSWERS)
def test_a_bad_mirror_leaves_nothing_and_the_next_one_is_asked(
    servers: tuple[Server, Server], tmp_path: Path, fault: str
) -> None:
    bad, good = servers
    bad.answers["/a.gz"], words = BAD_ANSWERS[fault]
    with pytest.raises(AecliError) as caught:
        fetch(_remote(bad), tmp_path / "set", no_bar)
    assert words in str(caught.value)
    assert f"to do it by hand put a (or .gz) into {tmp_path / 'set'}" in str(caught.value)
    assert caught.value.exit_code == 1
    assert set(_left(tmp_path)) <= {"set"}
    good.answers["/a.gz"] = _body(GOOD)
    fetch(_remote(bad, good), tmp_path / "set", no_bar)
    assert (tmp_path / "set" / "a").read_bytes() == CONTENT


def test_no_network_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AECLI_DATA_DIR", str(tmp_path))
    with pytest.raises(
        AecliError, match=r"no connection\); to do it by hand put train-labels-idx1-ubyte, "
    ) as caught:
        open_dataset("mnist")
    assert str(tmp_path / "mnist") in str(caught.value)
    assert _left(tmp_path) == []


def test_https_does_not_lead_to_http(
    servers: tuple[Server, Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe, plain = servers
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    safe.http.socket = context.wrap_socket(safe.http.socket, server_side=True)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    remote = Remote((safe.url("https"),), (_file(),))
    plain.answers["/a.gz"] = _body(GOOD)
    safe.answers["/a.gz"] = _redirect(plain.url() + "a.gz")
    with pytest.raises(AecliError, match="its certificate cannot be trusted"):
        fetch(remote, tmp_path / "set", no_bar)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    with pytest.raises(AecliError, match="redirects from https to http://127"):
        fetch(remote, tmp_path / "set", no_bar)
    assert plain.asked == []
    safe.answers["/a.gz"] = _redirect(safe.url("https") + "b.gz")
    safe.answers["/b.gz"] = _body(GOOD)
    fetch(remote, tmp_path / "set", no_bar)
    assert (tmp_path / "set" / "a").read_bytes() == CONTENT


def _archive(*members: tuple[str, bytes | None]) -> bytes:
    """Return a `.tar.gz`; a member without content is a link to /etc/passwd."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content or b""))
    return file.getvalue()


def test_paths_in_an_archive_have_no_say(servers: tuple[Server, Server], tmp_path: Path) -> None:
    server, _ = servers
    absolute = tmp_path / "absolute"
    server.answers["/x.tar.gz"] = _body(
        _archive(
            ("../a", b"evil"),
            ("../../outside", b"evil"),
            (str(absolute), b"evil"),
            ("inside/../../a", b"evil"),
            ("inside/link", None),
            ("inside/a", CONTENT),
        )
    )
    fetch(_remote(server, archive="x.tar.gz"), tmp_path / "deep" / "set", no_bar)
    assert (tmp_path / "deep" / "set" / "a").read_bytes() == CONTENT
    assert _left(tmp_path) == ["deep", "deep/set", "deep/set/a"]


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (_archive(("inside/b", CONTENT)), "no inside/a in it"),
        (_archive(("inside/a", None)), "no inside/a in it"),
        (_archive(("inside/a", OTHER)), "not the a that is known"),
        (_archive(("inside/a", CONTENT))[:5000], "damaged"),
        (b"<html>Sorry</html>", "damaged: not a gzip file"),
    ],
    ids=["another", "a link", "other content", "cut", "an error page"],
)
def test_a_bad_archive_leaves_nothing(
    servers: tuple[Server, Server], tmp_path: Path, archive: bytes, words: str
) -> None:
    server, _ = servers
    server.answers["/x.tar.gz"] = _body(archive)
    with pytest.raises(AecliError) as caught:
        fetch(_remote(server, archive="x.tar.gz"), tmp_path / "set", no_bar)
    assert words in str(caught.value)
    assert set(_left(tmp_path)) <= {"set"}


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AecliError, match="cannot write into"):
        fetch(Remote((), (_file(),)), tmp_path / "file" / "set", no_bar)


def test_a_killed_fetch_leaves_nothing_that_counts(
    servers: tuple[Server, Server], tmp_path: Path
) -> None:
    server, _ = servers
    name = NAMED["mnist"].remote.files[0].name
    server.answers[f"/{name}.gz"] = _body(CONTENT, slowly=True)
    variables = {"AECLI_MIRROR": server.url(), DATA_VARIABLE: str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "aecli", "data", "fetch", "mnist"],
        env=os.environ | variables,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 30
        # Hidden, so that no pattern but its own finds it.
        while not any(path.stat().st_size for path in tmp_path.glob(".*.tmp")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "mnist").exists()
    # The next one sweeps up.
    with pytest.raises(AecliError):
        fetch(_remote(server), tmp_path / "mnist", no_bar)
    assert _left(tmp_path) == []


def test_two_at_once_fetch_once(servers: tuple[Server, Server], tmp_path: Path) -> None:
    server, _ = servers
    server.answers["/a.gz"] = _body(GOOD)
    threads = [
        threading.Thread(target=fetch, args=(_remote(server), tmp_path / "set", no_bar))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.asked == ["/a.gz"]
    assert (tmp_path / "set" / "a").read_bytes() == CONTENT


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
        server.answers[f"/{file.name}.gz"] = _body((here / f"{file.name}.gz").read_bytes())
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


def test_a_fetch_that_was_cut_off_goes_on_with_what_is_missing(
    servers: tuple[Server, Server], tmp_path: Path
) -> None:
    server, _ = servers
    remote = Remote((server.url(),), (_file("labels", b"1"), _file("images")))
    server.answers["/labels.gz"] = _body(b"1")
    with pytest.raises(AecliError, match=r"cannot fetch images\.gz"):
        fetch(remote, tmp_path / "set", no_bar)
    server.answers["/images.gz"] = _body(GOOD)
    fetch(remote, tmp_path / "set", no_bar)
    assert server.asked == ["/labels.gz", "/images.gz", "/images.gz"]


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


def write_cifar(folder: Path) -> None:
    """Write CIFAR-10's files, of 20 random images each."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for name in (*TRAIN_FILES, *TEST_FILES):
        rows = random.integers(0, 256, (20, 3073), np.uint8)
        rows[:, 0] %= 10
        rows.tofile(folder / name)


@pytest.fixture
def cifar_folder(tmp_path: Path) -> Path:
    write_cifar(tmp_path / "cifar10")
    return tmp_path / "cifar10"


def test_cifar_is_read_from_its_planes(cifar_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(cifar_folder.parent))
    dataset = open_dataset("cifar10")
    assert dataset.fingerprint == open_dataset(str(cifar_folder)).fingerprint
    assert {split: dataset.count(split) for split in PARTS} == {
        "validation": 8,
        "train": 92,
        "test": 20,
    }
    row = np.fromfile(cifar_folder / "test_batch.bin", np.uint8)[:3073]
    test = dataset.split("test")
    assert test.labels is not None
    assert test.labels[0] == row[0]
    # Red, green and blue of the pixel in the second line and the third column.
    assert test.images[0, 1, 2].tolist() == [row[1 + c * 1024 + 34] for c in range(3)]


def _overwrite(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    def act(folder: Path) -> None:
        path = folder / "data_batch_3.bin"
        path.write_bytes(change(path.read_bytes()))

    return act


BAD_CIFAR: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (_overwrite(lambda data: data[:-1]), "expected rows of 3,073 bytes"),
    "empty": (_overwrite(lambda data: b""), "data_batch_3.bin is truncated"),
    "a label too high": (_overwrite(lambda data: b"\x0a" + data[1:]), "has a label 10"),
}
