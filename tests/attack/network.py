"""Servers that lie, drip, hang or send elsewhere, and addresses that are none."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler

from tests.attack.case import FAILED, REFUSED, Case, Done, Place, Prepare
from tests.attack.forge import free_port, special, written
from tests.data.servers import Answer, Server, body, redirect, status

_SECRET = "s3cr3t-w0rd"


def _serving(answer: Answer | None, user: str = "") -> Prepare:
    """Return what starts a server that answers all alike; without an answer it sends to itself."""

    def prepare(place: Place) -> None:
        server = Server()
        # One who asks may leave before the answer.
        server.http.handle_error = _say_nothing  # type: ignore[assignment, method-assign]
        place.closing.callback(server.http.server_close)
        place.closing.callback(server.http.shutdown)
        server.answers = _Always(answer or redirect(server.url()))
        place.variables["AECLI_MIRROR"] = server.url().replace("://", f"://{user}")

    return prepare


def _say_nothing(*arguments: object) -> None:
    pass


class _Always(dict[str, Answer]):
    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer

    def get(self, path: str, default: object = None) -> Answer:
        return self._answer


def _listening(talk: Callable[[socket.socket], object]) -> Prepare:
    """Return what starts a server that says what it likes to each who connects."""

    def prepare(place: Place) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        place.closing.callback(listener.close)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    one, _ = listener.accept()
                    threading.Thread(target=answer, args=[one], daemon=True).start()

        def answer(one: socket.socket) -> None:
            with suppress(OSError), one:
                one.recv(10_000)
                talk(one)

        threading.Thread(target=serve, daemon=True).start()
        port = listener.getsockname()[1]
        place.variables["AECLI_MIRROR"] = f"http://127.0.0.1:{port}/"

    return prepare


def _drip(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("content-length", "10000000")
    request.end_headers()
    with suppress(OSError):
        for _ in range(600):
            request.wfile.write(b"x")
            request.wfile.flush()
            time.sleep(0.5)
    request.close_connection = True


def dripping(place: Place) -> None:
    """Start a server that sends two bytes a second, for what is fetched."""
    _serving(_drip)(place)


def _drip_headers(one: socket.socket) -> None:
    one.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(600):
        one.sendall(f"x-{number}: y\r\n".encode())
        time.sleep(0.5)


def _raw(data: bytes) -> Prepare:
    return _listening(lambda one: one.sendall(data))


def _with_headers(code: int, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.close_connection = True

    return answer


_ANSWERS: dict[str, Answer | None] = {
    "nothing here": status(404),
    "it is broken": status(500),
    "a code of 999": status(999),
    "no content": status(204),
    "rubbish": body(b"\x1b[31m rubbish \n" * 100),
    "nothing": _with_headers(200, content_length="0"),
    "gzip of rubbish": body(gzip.compress(b"rubbish")),
    "gzip that is cut": body(gzip.compress(bytes(60_008))[:-9]),
    "gzip of the right size": body(gzip.compress(bytes(60_008))),
    "a bomb": body(gzip.compress(bytes(100_000_000))),
    "more than is promised": body(b"x" * 1_000, promised=10),
    "less than is promised": body(b"x" * 10, promised=10_000),
    "a promise of exabytes": body(b"x", promised=2**62),
    "a promise of text": _with_headers(200, content_length="many"),
    "a negative promise": _with_headers(200, content_length="-5"),
    "a promise of 5,000 digits": _with_headers(200, content_length="9" * 5_000),
    "gzip twice": _with_headers(200, content_encoding="gzip, gzip, br"),
    "chunks of rubbish": _with_headers(200, transfer_encoding="chunked"),
    "itself, for ever": None,
    "a file": redirect("file:///etc/passwd"),
    "another scheme": redirect("ftp://127.0.0.1/x"),
    "an address of escapes": redirect("http://\x1b[31m/"),
    "no address": redirect(""),
    "a port that nobody has": redirect("http://127.0.0.1:1/x"),
    "a long address": redirect("http://127.0.0.1:1/" + "x" * 50_000),
}
_TALKS: dict[str, bytes] = {
    "silence": b"",
    "rubbish": b"\x1b[31m\0\xff rubbish\r\n\r\n",
    "a reason of escapes": b"HTTP/1.1 500 \x1b[31m\x07red\r\ncontent-length: 0\r\n\r\n",
    "a reason of kilobytes": b"HTTP/1.1 500 " + b"x" * 60_000 + b"\r\ncontent-length: 0\r\n\r\n",
    "a header of a megabyte": b"HTTP/1.1 200 OK\r\nx: " + b"x" * 1_000_000 + b"\r\n\r\n",
    "10,000 headers": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 10_000 + b"\r\n",
    "a chunk of exabytes": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffff\r\n",
    "a chunk of -1": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\nx",
    "half a line": b"HTTP/1.",
    "another version": b"HTTP/9.9 200 OK\r\n\r\n",
}

_ADDRESSES = (
    "x",
    "http://",
    "http:///x",
    "http://[::1",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:x/",
    "ftp://127.0.0.1/",
    "file:///etc/",
    "https://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/",
    "http://\x1b[31mred\n/",
    "http://" + "x" * 300 + "/",
    "http://" + "x." * 5_000 + "/",
    "http://user:pass word@127.0.0.1:{port}/",
    "  ",
    "http://127.0.0.1:{port}/?a=b#c",
    "http://xn--/",
    "http://ü\udcff/",
    "//127.0.0.1/",
)

# Locks, and partial files, of those who fetched before.
_FETCH = "data fetch mnist"
_LEFT = (".mnist.lock", "*/.mnist.lock")


def _says_no_secret(place: Place, done: Done) -> str | None:
    return "a password is said" if _SECRET in done.err + done.out else None


def _rows() -> Iterator[Case]:
    for number, (what, answer) in enumerate(_ANSWERS.items()):
        yield _case(f"a server that sends {what}", _serving(answer), short=number % 2 == 0)
    for number, (what, data) in enumerate(_TALKS.items()):
        yield _case(f"a server that says {what}", _raw(data), short=number % 2 == 1)
    yield _case("a server that drips", _serving(_drip), own=True)
    yield _case("a server whose headers drip", _listening(_drip_headers), own=True)
    yield _case("a server that is silent", _listening(lambda one: time.sleep(100)), own=True)
    for address in _ADDRESSES:
        yield _case(
            f"AECLI_MIRROR={address[:40]!r}",
            _addressed(address),
            expected=REFUSED,
            short=len(address) < 30,
        )
    for what, answer in (("refuses", status(401)), ("lies", body(b"x"))):
        yield _case(
            f"a password for a server that {what}",
            _serving(answer, f"user:{_SECRET}@"),
            secret=True,
            short=True,
        )
    yield _case(
        "a password for nobody",
        _addressed(f"http://user:{_SECRET}@127.0.0.1:{{port}}/"),
        secret=True,
        short=True,
    )
    yield _case(
        "a password for a name that is none",
        _addressed(f"http://user:{_SECRET}@nowhere.invalid/"),
        secret=True,
    )
    yield _case(
        "a password in a query",
        _addressed(f"http://127.0.0.1:{{port}}/?token={_SECRET}&x="),
        secret=False,
    )
    for variable, value in (
        ("http_proxy", "http://127.0.0.1:1"),
        ("http_proxy", "junk://\x1b[31m"),
        ("http_proxy", f"http://user:{_SECRET}@127.0.0.1:1"),
        ("REQUESTS_CA_BUNDLE", "/proc/nowhere"),
        ("SSL_CERT_FILE", "/proc/nowhere"),
    ):
        yield Case(
            f"{variable}={value[:20]!r}",
            _FETCH,
            (_serving(status(404)),),
            FAILED,
            variables={variable: value, "no_proxy": "", "AECLI_DATA_DIR": "data"},
            leaves=("data/.mnist.lock", "data/mnist"),
            check=_says_no_secret,
            short=variable != "http_proxy",
        )
    for kind in ("a pipe", "a folder", "a loop", "a link to nothing"):
        yield Case(
            f"the lock of a fetch is {kind}",
            _FETCH,
            (_serving(status(404)), special(kind, "data/.mnist.lock")),
            REFUSED,
            variables={"AECLI_DATA_DIR": "data"},
            leaves=("data/.mnist.lock", "nowhere/*"),
            changes=("data/.mnist.lock",),
            own_process=True,
        )
    for kind in ("a pipe", "a folder", "a loop"):
        yield Case(
            f"a file to fetch is {kind}",
            _FETCH,
            (_serving(status(404)), special(kind, "data/mnist/train-labels-idx1-ubyte")),
            REFUSED,
            variables={"AECLI_DATA_DIR": "data"},
            leaves=("data/.mnist.lock",),
            short=True,
        )
        yield Case(
            f"what a killed fetch left is {kind}",
            _FETCH,
            (_serving(status(404)), special(kind, "data/.mnist.left.tmp")),
            REFUSED,
            variables={"AECLI_DATA_DIR": "data"},
            leaves=("data/.mnist.lock", "data/mnist"),
            changes=("data/.mnist.left.tmp",),
            short=True,
        )
    yield Case(
        "a file is where the data set goes",
        _FETCH,
        (written("data/mnist", b"mine"),),
        REFUSED,
        variables={"AECLI_DATA_DIR": "data"},
        leaves=("data/.mnist.lock",),
        short=True,
    )
    for name in ("../x", "", ".", "mnist/", "MNIST", "\x1b[31m", "x" * 100_000, "digits"):
        yield Case(
            f"fetch {name[:20]!r}",
            ["data", "fetch", "--", name],
            short=True,
        )


def _addressed(address: str) -> Prepare:
    def prepare(place: Place) -> None:
        # As a formula would take braces of the address itself.
        chosen = address.replace("{port}", str(free_port()))
        place.variables["AECLI_MIRROR"] = chosen

    return prepare


def _case(
    name: str,
    prepare: Prepare,
    expected: frozenset[int] = FAILED,
    *,
    own: bool = False,
    secret: bool = False,
    short: bool = False,
) -> Case:
    return Case(
        name,
        _FETCH,
        (prepare,),
        expected,
        variables={"AECLI_DATA_DIR": "data"},
        # The lock stays, so that the next one finds it.
        leaves=("data/.mnist.lock", "data/mnist"),
        check=_says_no_secret if secret else None,
        own_process=own,
        short=short,
    )


CASES = list(_rows())
