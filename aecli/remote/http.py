"""Objects of web servers, which are only read."""

import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aecli.addresses import given
from aecli.printable import one_line
from aecli.remote.store import (
    ChangedError,
    MissingError,
    ObjectState,
    RefusedError,
    TransientError,
)

if TYPE_CHECKING:
    import requests

_TIMEOUT_SECONDS = 15
_CHUNK_BYTES = 2**20
_MOST_OF_A_NAME = 60
# The most seconds that a server may ask to wait.
_LONGEST_WAIT = 30.0
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)


class WebStore:
    """Objects of web servers. A user and a password, or a signature, stay out of every error."""

    def __init__(self) -> None:
        self._threads = threading.local()

    def look(self, address: str) -> ObjectState:
        """Return the state of an object: its size, and its ETag or the time of its last change."""
        with self._answer(address, "bytes=0-0") as response:
            whole = response.headers.get("content-length", "")
            if response.status_code == 200:
                if not whole.isdecimal():
                    raise RefusedError("its server does not say how large it is")
                return ObjectState(int(whole), _version(response), has_ranges=False)
            return ObjectState(_size(response), _version(response))

    def read(self, address: str, state: ObjectState, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to `stop`; all of them where there are no ranges."""
        import requests
        import urllib3

        asked = f"bytes={start}-{stop - 1}" if state.has_ranges else None
        with self._answer(address, asked) as response:
            whole = response.headers.get("content-length", "0")
            partial = response.status_code == 206
            size = _size(response) if partial else int(whole)
            if _version(response) != state.version or size != state.size:
                raise ChangedError
            if state.has_ranges and not partial:
                raise RefusedError("its server gave all of it where a part was asked for")
            skipped = 0 if state.has_ranges else start
            left = stop - start
            try:
                for chunk in response.raw.stream(_CHUNK_BYTES, decode_content=False):
                    part = chunk[skipped : skipped + left]
                    skipped -= min(skipped, len(chunk))
                    left -= len(part)
                    yield part
                    if not left:
                        return
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                raise TransientError("the connection broke off") from error
            raise TransientError("the connection broke off")

    def below(self, address: str) -> Mapping[str, ObjectState]:
        """Raise the error that says that web servers list nothing."""
        raise RefusedError("web servers do not list folders: name a file, or shards-{000..127}.tar")

    def write(self, path: Path, address: str, *, replace: bool) -> None:
        """Raise the error that says that web servers are only read."""
        raise RefusedError("web servers are only read: name an s3:// or gs:// address, or a file")

    def remove(self, address: str) -> None:
        """Raise the error that says that web servers are only read."""
        raise RefusedError("web servers are only read")

    @contextmanager
    def _answer(self, address: str, asked: str | None) -> Iterator["requests.Response"]:
        """Ask for an object, or for a range of it; yield an answer of 200 or 206."""
        import requests
        import urllib3

        url, login = _parted(given(address))
        # What is packed on the way would have another size.
        headers = {"Accept-Encoding": "identity"} | ({"Range": asked} if asked else {})
        try:
            response = self._session().get(
                url,
                stream=True,
                timeout=_TIMEOUT_SECONDS,
                auth=login,
                headers=headers,
                hooks={"response": _refuse_downgrade},
            )
        except requests.exceptions.SSLError as error:
            raise RefusedError("its certificate cannot be trusted") from error
        except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
            raise TransientError("no answer") from error
        except (requests.RequestException, ValueError) as error:
            raise RefusedError("this is no address that can be asked") from error
        with response:
            _check(response)
            yield response

    def _session(self) -> "requests.Session":
        import requests

        if not hasattr(self._threads, "session"):
            self._threads.session = requests.Session()
        session: requests.Session = self._threads.session
        return session


def _parted(url: str) -> tuple[str, tuple[str, str] | None]:
    """Return an address without its user and password, and these."""
    parts = urllib.parse.urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    if not login:
        return url, None
    user, _, password = (
        urllib.parse.unquote_to_bytes(part).decode("latin-1") for part in login.partition(":")
    )
    return urllib.parse.urlunsplit(parts._replace(netloc=host)), (user, password)


def _refuse_downgrade(response: "requests.Response", **settings: Any) -> None:
    """Raise an error for a redirect from https to http."""
    target = response.headers.get("location", "") if response.is_redirect else ""
    if response.url.startswith("https:") and target.lower().startswith("http:"):
        response.close()
        raise RefusedError("its server redirects from https to http")


def _check(response: "requests.Response") -> None:
    """Raise the error that a status stands for."""
    status = response.status_code
    phrase = one_line(f"{status} {response.reason}", _MOST_OF_A_NAME)
    if status in (200, 206) or (status == 416 and _is_empty(response)):
        return
    if status in (404, 410):
        raise MissingError(phrase)
    if status in (401, 403):
        raise RefusedError(
            f"{phrase}: a signature may have expired, and none is kept; name the address with its "
            "signature, or with USER:PASSWORD@"
        )
    if status in (412, 416):
        raise ChangedError
    if status in _TRANSIENT:
        wait = response.headers.get("retry-after", "")
        seconds = float(wait[:9]) if wait.isdecimal() else 0.0
        raise TransientError(phrase, min(seconds, _LONGEST_WAIT))
    raise RefusedError(phrase)


def _is_empty(response: "requests.Response") -> bool:
    return response.headers.get("content-range") == "bytes */0"


def _size(response: "requests.Response") -> int:
    """Return the size of an object of which a part was sent."""
    if _is_empty(response):
        return 0
    size = response.headers.get("content-range", "").rpartition("/")[2]
    if not size.isdecimal():
        raise RefusedError("its server does not say how large it is")
    return int(size)


def _version(response: "requests.Response") -> str:
    headers = response.headers
    return headers.get("etag") or headers.get("last-modified") or ""
