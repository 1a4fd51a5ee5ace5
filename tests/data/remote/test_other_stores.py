"""Google's storage and Hugging Face, as far as their libraries ask a server on this machine."""

import json
import re
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator

import pytest

from aecli.errors import AecliError
from aecli.remote import objects
from tests.data.remote.servers import Faults, Front

DATA = bytes(range(200))


def _google(objects_of: dict[str, tuple[bytes, str]]) -> Front:
    """Return a server that gives objects of a bucket, with their generations."""

    class Google(Faults):
        def do_GET(self) -> None:
            request = self.request_of()
            parts = urllib.parse.urlsplit(self.path)
            query = urllib.parse.parse_qs(parts.query)
            match = re.fullmatch(r"(/download)?/storage/v1/b/bucket/o/?(.*)", parts.path)
            name = urllib.parse.unquote(match[2]) if match else ""
            data, generation = objects_of.get(name, (b"", ""))
            asked = query.get("generation", [generation])[0]
            if not match or (name and (not generation or asked != generation)):
                self._json(404, {"error": {"message": "no", "code": 404}})
            elif match[1]:
                first, last = request.range or (0, len(data) - 1)
                part = data[first : last + 1]
                action = front.fault(request)
                if not self.is_spoilt(action):
                    length = [("content-length", str(len(part)))]
                    self.give(206, length, part, cut=action == "cut")
            elif name:
                self._json(200, _about(name, data, generation))
            else:
                self._json(200, {"items": [_about(n, *one) for n, one in objects_of.items()]})

        def _json(self, status: int, value: object) -> None:
            body = json.dumps(value).encode()
            kind = ("content-type", "application/json")
            self.give(status, [kind, ("content-length", str(len(body)))], body, cut=False)

    front = Front(Google)
    return front


def _about(name: str, data: bytes, generation: str) -> dict[str, str]:
    return {"name": name, "bucket": "bucket", "size": str(len(data)), "generation": generation}


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, tuple[bytes, str]]]:
    found = {"a/x.bin": (DATA, "7")}
    front = _google(found)
    front.begin(lambda request: "cut" if request.number == 0 else None)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{front.place}")
    yield found
    front.close()


def test_google_s_storage_is_read_in_the_generation_that_was_opened(
    google: dict[str, tuple[bytes, str]], quick: list[float]
) -> None:
    file = objects.RemoteFile("gs://bucket/a/x.bin")
    assert file.read(3, 90) == DATA[3:90]
    assert list(objects.below("gs://bucket/a")) == ["x.bin"]
    assert objects.look("gs://bucket/none") is None
    google["a/x.bin"] = (DATA[::-1], "8")
    with pytest.raises(AecliError, match=r"gs://bucket/a/x\.bin was changed while it was read"):
        file.read(100, 120)


def test_without_its_library_hugging_face_is_one_line(quick: list[float]) -> None:
    code = (
        "import sys; sys.modules['huggingface_hub'] = None; from aecli.cli import main;"
        "sys.exit(main(['data', 'show', 'hf://datasets/user/set/x.npy']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "aecli: hf:// needs huggingface_hub: pip install 'aecli[cloud]'\n"
