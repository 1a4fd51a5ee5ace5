"""Objects in the storage of clouds, through fsspec: `s3://`, `gs://` and `hf://`.

Credentials come from where each library looks for them: the environment, the files of the cloud's
own programs, the machine. aecli passes none on.
"""

import errno
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aecli.errors import InputError
from aecli.printable import one_line
from aecli.remote.http import WebStore
from aecli.remote.store import (
    ChangedError,
    MissingError,
    ObjectState,
    RefusedError,
    TransientError,
)

_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "hf": "huggingface_hub"}
_REMEDY = "pip install 'aecli[cloud]'"
_TIMEOUT_SECONDS = 15
# Signatures are used for a tenth of the time for which they hold.
_SIGNED_SECONDS = 600
_MOST_OF_A_REASON = 100
# Those that no later request mends.
_REFUSALS = (errno.EINVAL, errno.EPERM, errno.EACCES, errno.ENOTDIR, errno.EISDIR, errno.ENOSYS)
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
# Where the libraries say what changes with the content, the first that is there.
_VERSIONS = ("generation", "ETag", "etag", "blob_id", "LastModified", "mtime", "created")
_CREDENTIALS = "credentials are those of the environment or of the cloud's own programs"


class BucketStore:
    """Objects of one scheme of fsspec."""

    def __init__(self, scheme: str) -> None:
        """Start the library; it asks for nothing yet.

        Raises:
            InputError: it is not installed.

        """
        self._scheme = scheme
        self._web, self._can_sign = WebStore(), True
        self._urls: dict[str, tuple[float, str]] = {}
        self._opened: dict[tuple[str, str], Any] = {}
        try:
            import fsspec

            kind = fsspec.get_filesystem_class(scheme)
            # What it says of its own tries is no news.
            logging.getLogger(kind.__module__.partition(".")[0]).setLevel(logging.CRITICAL)
            self._errors = _errors_of(scheme)
            options = _OPTIONS.get(scheme, dict)()
        except ImportError as error:
            package = _PACKAGES.get(scheme, scheme)
            raise InputError(f"{scheme}:// needs {package}: {_REMEDY}") from error
        with self._saying_what_failed():
            self._files = kind(use_listings_cache=False, skip_instance_cache=True, **options)
        # The waits between tries are those of `aecli.remote.objects`.
        if scheme == "s3":
            self._files.retries = 1

    def look(self, address: str) -> ObjectState:
        """Return the state of an object."""
        with self._saying_what_failed():
            # Hugging Face's library keeps answers, whatever it is told.
            self._files.invalidate_cache(address)
            found = self._files.info(address)
        if found["type"] != "file":
            raise MissingError("it is a folder")
        return _state(found)

    def read(self, address: str, state: ObjectState, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to `stop`, of the version in `state` alone."""
        if self._scheme == "s3" and self._can_sign:
            # Plain requests take a third of the time of the library's own, and resume at a byte.
            try:
                yield from self._web.read(self._signed(address), state, start, stop)
                return
            except MissingError:
                raise
            except RefusedError:
                # In another region, or with conditions of its own: the library knows more.
                self._can_sign = False
        with self._saying_what_failed():
            data = self._read(address, state, start, stop)
        if len(data) != stop - start:
            raise TransientError("the connection broke off")
        yield data

    def _signed(self, address: str) -> str:
        """Return an address of the web that may be asked for, for some time."""
        until, url = self._urls.get(address, (0.0, ""))
        if time.monotonic() > until:
            with self._saying_what_failed():
                url = self._files.sign(address, expiration=_SIGNED_SECONDS)
            self._urls = {address: (time.monotonic() + _SIGNED_SECONDS / 10, url)}
        return url

    def _read(self, address: str, state: ObjectState, start: int, stop: int) -> bytes:
        if self._scheme == "s3":
            # It asks for the ETag that it saw when it was opened.
            file = self._opened.get((address, state.version))
            if file is None:
                file = self._files.open(address, "rb", cache_type="none")
                if _state(file.details).version != state.version:
                    raise ChangedError
                self._opened = {(address, state.version): file}
            data: bytes = file._fetch_range(start, stop)
            return data
        if self._scheme == "gs":
            data = self._files.cat_file(address, start, stop, generation=state.version)
            return data
        data = self._files.cat_file(address, start=start, end=stop)
        if self.look(address).version != state.version:
            raise ChangedError
        return data

    def below(self, address: str) -> Mapping[str, ObjectState]:
        """Return the objects below an address, by their names there."""
        with self._saying_what_failed():
            found = self._files.find(address, detail=True)
        root = self._files._strip_protocol(address).rstrip("/") + "/"
        return {
            name.removeprefix(root): _state(about)
            for name, about in sorted(found.items())
            if name.startswith(root) and about["type"] == "file" and not name.endswith("/")
        }

    def write(self, path: Path, address: str, *, replace: bool) -> None:
        """Make a file an object; without `replace` the store itself refuses where one is there."""
        # Only these know it as one request.
        options = {} if replace or self._scheme not in ("s3", "gs") else {"mode": "create"}
        with self._saying_what_failed():
            if not replace and self._files.exists(address):
                raise FileExistsError
            self._files.put_file(str(path), address, **options)

    def remove(self, address: str) -> None:
        """Remove an object."""
        with self._saying_what_failed():
            self._files.rm_file(address)

    @contextmanager
    def _saying_what_failed(self) -> Iterator[None]:
        """Turn what a library raises into the errors of a store, without its words on addresses."""
        try:
            yield
        except FileExistsError:
            raise
        except self._errors as error:
            raise _meaning(error) from error


def _s3_options() -> dict[str, Any]:
    import botocore.session
    from fsspec.config import conf

    retries = {"total_max_attempts": 1, "mode": "standard"}
    timeouts = {"connect_timeout": _TIMEOUT_SECONDS, "read_timeout": _TIMEOUT_SECONDS}
    options: dict[str, Any] = {"config_kwargs": {"retries": retries, **timeouts}}
    has_credentials = botocore.session.get_session().get_credentials() is not None
    if not has_credentials and not {"key", "anon"} & conf.get("s3", {}).keys():
        # What is public can be read all the same.
        options["anon"] = True
    return options


_OPTIONS: Mapping[str, Callable[[], dict[str, Any]]] = {"s3": _s3_options}


def _errors_of(scheme: str) -> tuple[type[Exception], ...]:
    """Return what a library raises for what fails elsewhere.

    Raises:
        ImportError: it is not installed.

    """
    if scheme == "s3":
        import aiohttp
        import botocore.exceptions as boto

        return (OSError, ValueError, boto.BotoCoreError, boto.ClientError, aiohttp.ClientError)
    if scheme == "gs":
        import aiohttp
        import gcsfs.retry
        import google.auth.exceptions

        google_errors = (gcsfs.retry.HttpError, google.auth.exceptions.GoogleAuthError)
        return (OSError, ValueError, aiohttp.ClientError, *google_errors)
    if scheme == "hf":
        from huggingface_hub.errors import HfHubHTTPError

        # With those of the library below it, of which there are several.
        below = (kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")
        return (
            OSError,
            ValueError,
            HfHubHTTPError,
            *(k for k in below if issubclass(k, Exception)),
        )
    return (OSError, ValueError)


def _meaning(error: Exception) -> Exception:
    """Return the error of a store that a library's error stands for."""
    if isinstance(error, FileNotFoundError):
        return MissingError("nothing is there")
    if type(error).__name__ == "FileExpired" or _is_in(error, "PreconditionFailed", "412"):
        return ChangedError()
    if isinstance(error, PermissionError) or "Credentials" in type(error).__name__:
        return RefusedError(f"access was refused; {_CREDENTIALS}")
    status = getattr(error, "status", None) or getattr(error, "code", None)
    response = getattr(error, "response", None)
    if status is None and response is not None and not isinstance(response, dict):
        status = getattr(response, "status_code", None)
    if isinstance(status, int | str) and str(status).isdecimal() and int(status) >= 400:
        number = int(status)
        if number in (404, 410):
            return MissingError("nothing is there")
        if number in (401, 403):
            return RefusedError(f"access was refused; {_CREDENTIALS}")
        kind = TransientError if number in _TRANSIENT else RefusedError
        return kind(f"its server answered {number}")
    if type(error).__module__.startswith("google.auth"):
        return RefusedError(f"access was refused; {_CREDENTIALS}")
    is_wrong = type(error).__name__ == "ParamValidationError" or isinstance(error, ValueError)
    if is_wrong and not isinstance(error, OSError):
        return RefusedError("its name is none that this storage takes")
    if isinstance(error, OSError) and error.errno in _REFUSALS:
        return RefusedError(one_line(error.strerror or "refused", _MOST_OF_A_REASON))
    return TransientError(_reason(error))


def _is_in(error: Exception, *words: str) -> bool:
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
    return code in words


def _reason(error: Exception) -> str:
    """Return a reason in the words of this program: a library's may have all of an address."""
    text = f"{type(error).__name__} {error}".lower()
    if "slow" in text or "reduce your request rate" in text:
        return "its server is too busy (SlowDown)"
    if "connect to" in text or "could not connect" in text or "endpointconnection" in text:
        return "no connection"
    if "timeout" in text or "timed out" in text:
        return "no answer"
    if "connect" in text or "closed" in text or "payload" in text or "incomplete" in text:
        return "the connection broke off"
    if isinstance(error, OSError) and error.strerror:
        return one_line(error.strerror, _MOST_OF_A_REASON)
    return type(error).__name__


def _state(found: Mapping[str, Any]) -> ObjectState:
    version = next((str(found[name]) for name in _VERSIONS if found.get(name)), "")
    return ObjectState(int(found["size"] or 0), version)
