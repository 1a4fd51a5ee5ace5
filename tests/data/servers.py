"""Servers on this machine that answer in every way."""

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from pathlib import Path

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
                outer.answers.get(self.path, status(404))(self)

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.http.server_port}/"


def status(code: int) -> Answer:
    """Return an answer without a body."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        request.send_header("content-length", "0")
        request.end_headers()

    return answer


def body(data: bytes, promised: int | None = None, slowly: bool = False) -> Answer:
    """Return an answer with a body, whose length may be promised wrongly."""

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


def raw(*parts: bytes, pause: float = 0.0, end: bool = True) -> Answer:
    """Return an answer of these bytes, status and headers included, with pauses between parts.

    Without `end` the last part is sent over and over.
    """

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        try:
            for part in parts if end else chain(parts, repeat(parts[-1])):
                request.wfile.write(part)
                time.sleep(pause)
        except (BrokenPipeError, ConnectionResetError):
            pass

    return answer


def redirect(target: str) -> Answer:
    """Return an answer that sends the client to another address."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("location", target)
        request.send_header("content-length", "0")
        request.end_headers()

    return answer


def files_below(folder: Path) -> list[str]:
    """Return what lies below a folder, without the lock."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    return [name for name in names if not name.endswith(".lock")]
