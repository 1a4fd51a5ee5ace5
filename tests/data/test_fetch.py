"""Downloads, from servers of every kind on this machine."""

import gzip
import hashlib
import io
import os
import signal
import ssl
import subprocess
import sys
import tarfile
import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
import trustme

from aecli.data import DATA_VARIABLE, NAMED, no_bar
from aecli.data.fetch import Remote, RemoteFile, fetch
from aecli.data.progress import Advance
from aecli.errors import AecliError, InputError
from tests.data.servers import Answer, Server, body, files_below, raw, redirect, status

CONTENT = np.random.default_rng(0).integers(0, 9, 100_000, np.uint8).tobytes()


def _file(name: str = "a", content: bytes = CONTENT) -> RemoteFile:
    return RemoteFile(name, len(content), hashlib.sha256(content).hexdigest())


def _remote(*servers: Server, archive: str | None = None) -> Remote:
    mirrors = tuple(server.url() for server in servers)
    return Remote(mirrors, (_file(),), archive, "inside" if archive else "")


@pytest.mark.parametrize(
    "packed",
    [gzip.compress(CONTENT, 1), gzip.compress(CONTENT, 9, mtime=0), CONTENT],
    ids=["fast", "small", "not packed"],
)
def test_the_content_counts_however_a_mirror_packs_it(
    servers: tuple[Server, Server], tmp_path: Path, packed: bytes
) -> None:
    server, _ = servers
    server.answers["/a.gz"] = body(packed)
    for _ in range(2):
        fetch(_remote(server), tmp_path / "set", no_bar)
        assert (tmp_path / "set" / "a").read_bytes() == CONTENT
    assert server.asked == ["/a.gz"], "what is there is not fetched again"
    assert files_below(tmp_path) == ["set", "set/a"]


GOOD = gzip.compress(CONTENT)
OTHER = bytes(len(CONTENT))
CHUNK = b"4000\r\n" + bytes(2**14) + b"\r\n"
BAD_ANSWERS: dict[str, tuple[Answer, str]] = {
    "not there": (status(404), "404 Not Found"),
    "a broken server": (status(503), "503 Service Unavailable"),
    "an error page": (body(b"<html>Sorry</html>"), "wrong content of a: expected 100,000 bytes"),
    "other content of the size": (
        body(gzip.compress(OTHER)),
        "wrong content of a: expected 100,000 bytes",
    ),
    "content that goes on": (body(gzip.compress(CONTENT + b"x")), "got 100,001 with"),
    "a bomb": (body(gzip.compress(bytes(10**8))), "got 100,001 with"),
    "a body that never ends": (body(bytes(10**6)), "more than 200,000 bytes"),
    "nothing": (body(b""), "got 0 with"),
    "dropped in mid-body": (body(GOOD[:5000], len(GOOD)), "the connection broke off"),
    "cut": (body(GOOD[:5000]), "damaged: Compressed file ended"),
    "a flipped byte": (body(GOOD[:5000] + b"\0\xff" + GOOD[5002:]), "damaged: "),
    "a wrong checksum": (body(GOOD[:-8] + bytes(8)), "damaged: CRC check failed"),
    "to a file": (redirect("file:///etc/passwd"), "No connection adapters"),
    "more than it promised": (body(GOOD, len(GOOD) - 9), "damaged: "),
    "chunks without end": (
        raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", CHUNK, end=False),
        "more than 200,000 bytes",
    ),
    "in circles": (redirect("/a.gz"), "Exceeded 30 redirects"),
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
    assert set(files_below(tmp_path)) <= {"set"}
    good.answers["/a.gz"] = body(GOOD)
    fetch(_remote(bad, good), tmp_path / "set", no_bar)
    assert (tmp_path / "set" / "a").read_bytes() == CONTENT


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aecli.data.fetch._PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr("aecli.data.fetch._SLICE_SECONDS", 0.02)


SLOW_ANSWERS: dict[str, tuple[Answer, str]] = {
    "silence": (raw(b"", pause=0.02, end=False), "no answer"),
    "a header without end": (raw(HEAD + b"x: ", b"y", pause=0.02, end=False), "no answer"),
    "headers without end": (raw(HEAD, b"x: y\r\n", pause=0.02, end=False), "no answer"),
    "not yet, for ever": (raw(b"HTTP/1.1 100 x\r\n\r\n", pause=0.02, end=False), "no answer"),
    "bytes": (
        raw(HEAD + b"content-length: 100000\r\n\r\n", b"x", pause=0.02, end=False),
        "too slow",
    ),
    "bytes in chunks": (raw(CHUNKED, b"1\r\nx\r\n", pause=0.02, end=False), "too slow"),
    "a part, then nothing": (
        raw(HEAD + b"content-length: 100000\r\n\r\n" + GOOD[:9000], b"", pause=0.02, end=False),
        "too slow",
    ),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", SLOW_ANSWERS)
def test_nobody_waits_for_a_slow_mirror(
    servers: tuple[Server, Server], tmp_path: Path, fault: str
) -> None:
    slow, good = servers
    slow.answers["/a.gz"], words = SLOW_ANSWERS[fault]
    good.answers["/a.gz"] = body(GOOD)
    began = time.monotonic()
    with pytest.raises(AecliError, match=f"a.gz: ({words}|the connection broke off)"):
        fetch(_remote(slow), tmp_path / "set", no_bar)
    fetch(_remote(slow, good), tmp_path / "set", no_bar)
    assert time.monotonic() - began < 3
    assert (tmp_path / "set" / "a").read_bytes() == CONTENT
    assert files_below(tmp_path) == ["set", "set/a"]


@pytest.mark.usefixtures("impatient")
def test_a_mirror_that_is_quick_enough_may_take_longer_than_one_piece(
    servers: tuple[Server, Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aecli.data.fetch._PIECE_BYTES", 1000)
    monkeypatch.setattr("aecli.data.fetch._CHUNK_BYTES", 500)
    server, _ = servers
    part = CONTENT[:30_000]
    server.answers["/a.gz"] = body(gzip.compress(part), slowly=True)
    began = time.monotonic()
    fetch(Remote((server.url(),), (_file(content=part),)), tmp_path / "set", no_bar)
    assert time.monotonic() - began > 0.5


def test_a_wait_ends_with_a_signal(servers: tuple[Server, Server], tmp_path: Path) -> None:
    server, _ = servers
    server.answers["/a.gz"] = raw(b"", pause=0.02, end=False)

    @contextmanager
    def bar(what: str, total: int, *, in_bytes: bool = False) -> Iterator[Advance]:
        def advance(amount: int) -> None:
            assert amount == 0
            if what.startswith("asking for"):
                raise KeyboardInterrupt

        yield advance

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fetch(_remote(server), tmp_path / "set", bar)
    assert time.monotonic() - began < 2
    assert files_below(tmp_path) == []


def test_what_a_server_says_is_shown_cut_and_printable(
    servers: tuple[Server, Server], tmp_path: Path
) -> None:
    server, _ = servers
    phrase = b"\x1b[2J\xe2\x80\xae" + b"sorry" * 5000
    server.answers["/a.gz"] = raw(b"HTTP/1.1 500 " + phrase + b"\r\ncontent-length: 0\r\n\r\n")
    with pytest.raises(AecliError) as caught:
        fetch(_remote(server), tmp_path / "set", no_bar)
    said = str(caught.value)
    assert "500 \\x1b[2J" in said
    assert said.isprintable()
    assert len(said) < 300 + len(str(tmp_path))


@pytest.mark.parametrize("length", ["-1", "1_0", "x", "9" * 5000, "\u0663"])
def test_a_length_that_is_none_is_not_taken_for_one(
    servers: tuple[Server, Server], tmp_path: Path, length: str
) -> None:
    server, _ = servers
    header = b"content-length: " + length.encode() + b"\r\n\r\n"
    server.answers["/a.gz"] = raw(HEAD + header + GOOD)
    with suppress(AecliError):
        fetch(_remote(server), tmp_path / "set", no_bar)
    assert set(files_below(tmp_path)) <= {"set", "set/a"}


@pytest.mark.parametrize("secret", ["secret", "sec@ret", "sec%2Fret", "s%E2%82%ACret", ""])
def test_the_password_of_a_mirror_is_sent_but_not_shown(
    servers: tuple[Server, Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    server, _ = servers
    logins = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        logins.append(request.headers["authorization"])
        status(401)(request)

    server.answers["/b/a.gz"] = answer
    host = f"127.0.0.1:{server.http.server_port}"
    monkeypatch.setenv("AECLI_MIRROR", f"http://somebody:{secret}@{host}/b")
    with pytest.raises(AecliError, match="401 Unauthorized") as caught:
        fetch(_remote(), tmp_path / "set", no_bar)
    sent = b64decode(logins[0].removeprefix("Basic "))
    assert sent == b"somebody:" + unquote_to_bytes(secret)
    assert f"http://{host}/b/a.gz" in str(caught.value)
    assert "somebody" not in str(caught.value)
    assert "ret" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "somebody:secret@host",
        "http://somebody:secret@",
        "http://somebody:sec/ret@host/",
        "http://somebody:1/secret@host/",
        "http://somebody:1?secret@host/",
        "http://somebody:sec#ret@host/",
        "http://[secret@host/",
        "ftp://somebody:secret@host/",
        "file:///secret",
    ],
)
def test_a_mirror_that_is_none_is_refused_without_being_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("AECLI_MIRROR", address)
    with pytest.raises(InputError, match="AECLI_MIRROR is not the address of a mirror") as caught:
        fetch(_remote(), tmp_path / "set", no_bar)
    assert "ret@" not in str(caught.value)
    assert "secret" not in str(caught.value)


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
    plain.answers["/a.gz"] = body(GOOD)
    safe.answers["/a.gz"] = redirect(plain.url() + "a.gz")
    with pytest.raises(AecliError, match="its certificate cannot be trusted"):
        fetch(remote, tmp_path / "set", no_bar)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    with pytest.raises(AecliError, match="redirects from https to http://127"):
        fetch(remote, tmp_path / "set", no_bar)
    assert plain.asked == []
    safe.answers["/a.gz"] = redirect(safe.url("https") + "b.gz")
    safe.answers["/b.gz"] = body(GOOD)
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


def test_paths_in_an_archive_do_not_decide_where_it_goes(
    servers: tuple[Server, Server], tmp_path: Path
) -> None:
    server, _ = servers
    absolute = tmp_path / "absolute"
    server.answers["/x.tar.gz"] = body(
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
    assert files_below(tmp_path) == ["deep", "deep/set", "deep/set/a"]


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (_archive(("inside/b", CONTENT)), "no inside/a in it"),
        (_archive(("inside/a", None)), "no inside/a in it"),
        (_archive(("inside/a", OTHER)), "wrong content of a: expected 100,000 bytes"),
        (_archive(("inside/a", CONTENT))[:5000], "damaged"),
        (gzip.compress(bytes(10**8)), "unpacks to more than 200,000 bytes"),
        (b"<html>Sorry</html>", "damaged: Not a gzipped file"),
    ],
    ids=["another", "a link", "other content", "cut", "a bomb", "an error page"],
)
def test_a_bad_archive_leaves_nothing(
    servers: tuple[Server, Server], tmp_path: Path, archive: bytes, words: str
) -> None:
    server, _ = servers
    server.answers["/x.tar.gz"] = body(archive)
    with pytest.raises(AecliError) as caught:
        fetch(_remote(server, archive="x.tar.gz"), tmp_path / "set", no_bar)
    assert words in str(caught.value)
    assert set(files_below(tmp_path)) <= {"set"}


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AecliError, match="cannot write into"):
        fetch(Remote((), (_file(),)), tmp_path / "file" / "set", no_bar)


def test_a_killed_fetch_leaves_nothing_that_counts(
    servers: tuple[Server, Server], tmp_path: Path
) -> None:
    server, _ = servers
    name = NAMED["mnist"].remote.files[0].name
    server.answers[f"/{name}.gz"] = body(CONTENT, slowly=True)
    variables = {"AECLI_MIRROR": server.url(), DATA_VARIABLE: str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "aecli", "data", "fetch", "mnist"],
        env=os.environ | variables,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 30
        while not server.asked:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    # What was downloaded had no name.
    assert files_below(tmp_path) == []
    with pytest.raises(AecliError):
        fetch(_remote(server), tmp_path / "mnist", no_bar)
    assert files_below(tmp_path) == []


def test_two_at_once_fetch_once(servers: tuple[Server, Server], tmp_path: Path) -> None:
    server, _ = servers
    server.answers["/a.gz"] = body(GOOD)
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


def test_an_interrupted_fetch_resumes_with_what_is_missing(
    servers: tuple[Server, Server], tmp_path: Path
) -> None:
    server, _ = servers
    remote = Remote((server.url(),), (_file("labels", b"1"), _file("images")))
    server.answers["/labels.gz"] = body(b"1")
    with pytest.raises(AecliError, match=r"cannot fetch images\.gz"):
        fetch(remote, tmp_path / "set", no_bar)
    server.answers["/images.gz"] = body(GOOD)
    fetch(remote, tmp_path / "set", no_bar)
    assert server.asked == ["/labels.gz", "/images.gz", "/images.gz"]
