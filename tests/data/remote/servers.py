"""An S3 server on this machine behind a proxy that injects faults, and a web server with ranges."""

import http.client
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count


@dataclass
class Request:
    """What a client asks for; `number` counts the requests of objects' bytes from 0."""

    method: str
    path: str
    range: tuple[int, int] | None
    number: int


# What becomes of a request: None passes it on.
Fault = Callable[[Request], str | None]


def _range(headers: object) -> tuple[int, int] | None:
    match = re.fullmatch(r"bytes=(\d+)-(\d+)", getattr(headers, "get")("range", "") or "")  # noqa: B009
    return (int(match[1]), int(match[2])) if match else None


class Faults(BaseHTTPRequestHandler):
    """Answers as told: `503`, `cut` bodies, `reset` connections, `stall`, or goes on."""

    protocol_version = "HTTP/1.1"
    log: list[Request]
    numbers: "count[int]"

    def log_message(self, *arguments: object) -> None:
        pass

    def request_of(self) -> Request:
        is_read = self.command == "GET" and "list-type" not in self.path
        number = next(self.numbers) if is_read else -1
        request = Request(self.command, self.path, _range(self.headers), number)
        self.log.append(request)
        return request

    def is_spoilt(self, action: str | None) -> bool:
        if action == "503":
            body = (
                b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
            )
            self.send_response(503, "Slow Down")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)
        elif action == "reset":
            self.close_connection = True
        elif action == "stall":
            time.sleep(1.0)
            self.close_connection = True
        return action in ("503", "reset", "stall")

    def give(self, status: int, headers: list[tuple[str, str]], body: bytes, *, cut: bool) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = self.close_connection or cut


@dataclass
class Front:
    """A server in a thread: what it was asked for, and the fault that it has now."""

    handler: type[Faults]
    fault: Fault = lambda request: None
    log: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self.http.daemon_threads = True
        self.handler.log, self.handler.numbers = self.log, count()
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.http.server_port}"

    def reads(self, name: str = "") -> list[Request]:
        """Return the requests for bytes of objects whose path has a word in it."""
        return [one for one in self.log if one.number >= 0 and name in one.path]

    def begin(self, fault: Fault) -> None:
        """Count from here on, with a fault."""
        self.log.clear()
        self.handler.numbers = count()
        self.fault = fault

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


def proxy_to(port: int) -> Front:
    """Return a proxy of a server on this machine."""

    class Proxy(Faults):
        def answer(self) -> None:
            request = self.request_of()
            action = front.fault(request)
            length = int(self.headers.get("content-length", "0"))
            body = self.rfile.read(length)
            if self.is_spoilt(action):
                return
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request(self.command, self.path, body, dict(self.headers))
            response = connection.getresponse()
            data = response.read()
            skipped = ("transfer-encoding", "connection", "content-length", "date", "server")
            headers = [(k, v) for k, v in response.getheaders() if k.lower() not in skipped]
            size = response.getheader("content-length") or str(len(data))
            self.give(
                response.status, [*headers, ("content-length", size)], data, cut=action == "cut"
            )
            connection.close()

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

    front = Front(Proxy)
    return front


@dataclass
class WebFile:
    """What a web server has under a name."""

    data: bytes
    login: str | None = None
    query: str | None = None
    has_ranges: bool = True


def web_server(files: dict[str, WebFile]) -> Front:
    """Return a web server that gives ranges of files."""

    class Web(Faults):
        def do_GET(self) -> None:
            request = self.request_of()
            path, _, query = self.path.partition("?")
            file = files.get(path)
            action = front.fault(request)
            if self.is_spoilt(action):
                return
            if file is None:
                self.give(404, [("content-length", "0")], b"", cut=False)
                return
            login = self.headers.get("authorization")
            if login != file.login or query != (file.query or ""):
                self.give(403, [("content-length", "0")], b"", cut=False)
                return
            data, status, headers = file.data, 200, [("etag", f'"{md5(file.data).hexdigest()}"')]
            if request.range and file.has_ranges:
                first, last = request.range
                data, status = file.data[first : last + 1], 206
                headers.append(("content-range", f"bytes {first}-{last}/{len(file.data)}"))
            headers += [("content-length", str(len(data))), ("last-modified", formatdate())]
            self.give(status, headers, data, cut=action == "cut")

    front = Front(Web)
    return front
