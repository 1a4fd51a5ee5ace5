"""An S3 server and a bucket for each test."""

import io
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from aecli import addresses
from aecli.remote import buckets, objects
from tests.data.remote.servers import Front, WebFile, proxy_to, web_server

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI0K7MDENGbPxRfiCYEXAMPLEKEY"


class Bucket(NamedTuple):
    """A bucket behind a proxy."""

    name: str
    client: Any
    front: Front

    def put(self, key: str, data: bytes | Path) -> str:
        """Store an object; return its address."""
        body = data.read_bytes() if isinstance(data, Path) else data
        self.client.put_object(Bucket=self.name, Key=key, Body=body)
        return f"s3://{self.name}/{key}"

    def put_folder(self, key: str, folder: Path) -> str:
        """Store the files of a folder; return its address."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.put(f"{key}/{path.relative_to(folder)}", path)
        return f"s3://{self.name}/{key}"

    def get(self, key: str) -> bytes:
        """Return the bytes of an object."""
        body: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return body

    def keys(self) -> list[str]:
        """Return the names of all objects."""
        found = self.client.list_objects_v2(Bucket=self.name).get("Contents", [])
        return [one["Key"] for one in found]


def npy(array: Any) -> bytes:
    """Return an array as a `.npy` file has it."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[tuple[Front, Any]]:
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    front = proxy_to(port)
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )
    yield front, client
    client.close()
    front.close()
    server.stop()


@pytest.fixture
def bucket(
    s3_server: tuple[Front, Any], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Bucket:
    """Return an empty bucket; commands of this process find it, with credentials, by variables."""
    front, client = s3_server
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{front.place}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    name = f"bucket-{abs(hash(request.node.nodeid))}"
    client.create_bucket(Bucket=name)
    front.begin(lambda asked: None)
    return Bucket(name, client, front)


@pytest.fixture
def web() -> Iterator[tuple[Front, dict[str, WebFile]]]:
    files: dict[str, WebFile] = {}
    front = web_server(files)
    yield front, files
    front.close()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a cache folder of its own, where programs are those of all tests."""
    monkeypatch.setattr("aecli.data.staged.kept_folder", _Kept(tmp_path / "cache"))
    monkeypatch.setattr(addresses, "_GIVEN", {})


class _Kept:
    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(self, name: str) -> Any:
        from aecli.kept import KeptFolder

        folder = self._root / name
        folder.mkdir(parents=True, exist_ok=True)
        return KeptFolder(folder, self._root / "key")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Make parts small and waits short; return the waits that were asked for."""
    waits: list[float] = []
    monkeypatch.setattr(objects, "PART_BYTES", 2**13)
    monkeypatch.setattr("aecli.data.staged.PART_BYTES", 2**13)
    monkeypatch.setattr(objects, "_GAP_BYTES", 2**13)
    monkeypatch.setattr(objects, "_FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(objects, "_PATIENCE_SECONDS", 5.0)
    monkeypatch.setattr(objects, "_FIRST_PATIENCE_SECONDS", 5.0)
    monkeypatch.setattr(buckets, "_TIMEOUT_SECONDS", 0.3)
    sleep = time.sleep

    def noted(seconds: float) -> None:
        waits.append(seconds)
        sleep(seconds)

    monkeypatch.setattr(objects, "_sleep", noted)
    monkeypatch.setattr(objects, "_STORES", {})
    return waits
