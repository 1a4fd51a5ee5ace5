"""Reads by ranges from an S3 server with faults."""

import importlib
import sys
from collections.abc import Callable

import numpy as np
import pytest

from aecli.data import open_dataset
from aecli.errors import AecliError, InputError
from aecli.remote.objects import RemoteFile
from tests.data.remote.conftest import Bucket, npy
from tests.data.remote.servers import Request

IMAGES = np.random.default_rng(5).integers(0, 256, (300, 16, 16), np.uint8)


def _every_third(action: str) -> Callable[[Request], str | None]:
    return lambda request: action if request.number % 3 == 1 else None


@pytest.mark.parametrize("fault", ["none", "503", "cut", "reset", "stall"])
def test_an_array_is_what_it_is_on_a_disk_whatever_the_server_does(
    bucket: Bucket, quick: list[float], fault: str
) -> None:
    address = bucket.put("a/images.npy", npy(IMAGES))
    bucket.front.begin(_every_third(fault))
    dataset = open_dataset(address)
    local = open_dataset_of(IMAGES)
    assert dataset.fingerprint == local
    rows = np.array([3, 4, 90, 299])
    assert np.array_equal(dataset.images[rows][..., 0], IMAGES[rows])
    assert dataset.source.location == address
    assert dataset.name == "images"
    reads = bucket.front.reads()
    assert max(r.range[1] - r.range[0] for r in reads if r.range) < 2**13 + 1
    # Of connections that are dropped before an answer the library itself asks once more.
    assert fault == "reset" or bool(quick) == (fault != "none")


def open_dataset_of(images: np.ndarray) -> str:
    """Return the fingerprint of images as a local data set has it."""
    from aecli.data import Dataset, Source

    source = Source("x", rescale=None, ground=None)
    return Dataset("x", source, images[..., np.newaxis], None, None, {}).fingerprint


def test_parts_are_asked_for_one_after_another_and_kept_when_they_are_read_often(
    bucket: Bucket, quick: list[float]
) -> None:
    address = bucket.put("images.npy", npy(IMAGES))
    file = RemoteFile(address)
    parts = list(range(0, file.size, 2**13))
    bucket.front.begin(lambda request: None)
    for number in range(5):
        whole = file.read(0, file.size)
        assert whole == npy(IMAGES)
        starts = [request.range[0] for request in bucket.front.reads("npy") if request.range]
        assert sorted(starts) == sorted(parts * min(number + 1, 3))
    assert file.read(100, 9000) == whole[100:9000]
    assert len(bucket.front.reads("npy")) == 3 * len(parts)


def test_waits_grow_and_come_to_an_end(
    bucket: Bucket, quick: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aecli.remote.objects._PATIENCE_SECONDS", 0.7)
    address = bucket.put("images.npy", npy(IMAGES))
    file = RemoteFile(address)
    bucket.front.begin(lambda request: "503")
    with pytest.raises(AecliError, match=r"cannot reach .*, after \d+ tries in") as caught:
        file.read(20_000, 20_100)
    assert caught.value.exit_code == 1
    assert len(quick) > 4
    for number, wait in enumerate(quick):
        assert 0.5 <= wait / (0.01 * 2**number) <= 1


@pytest.mark.parametrize("after", ["changed", "removed"])
def test_an_object_that_is_no_longer_what_it_was_is_noticed(
    bucket: Bucket, quick: list[float], after: str
) -> None:
    address = bucket.put("images.npy", npy(IMAGES))

    def meddle(request: Request) -> None:
        if request.number == 4 and after == "changed":
            bucket.put("images.npy", npy(255 - IMAGES))
        elif request.number == 4:
            bucket.client.delete_object(Bucket=bucket.name, Key="images.npy")

    file = RemoteFile(address)
    bucket.front.begin(meddle)
    words = "was changed while it was read: start again" if after == "changed" else "no longer"
    with pytest.raises(AecliError, match=words) as caught:
        file.read(0, file.size)
    assert caught.value.exit_code == (1 if after == "changed" else 2)


BAD = {
    "s3://{}/nothing.npy": "no such object or folder: s3://",
    "s3://no-such-bucket/x.npy": "no such object or folder: s3://no-such-bucket/x.npy",
    "s3://{}/text.npy": "is not in a format that aecli reads",
    "s3://{}/cut.npy": "is truncated",
    "s3://{}/a-{{0..1}}.tar": "2 of 2 are missing, first s3://",
    "s3://user:secret@{}/a": "has no user and no query",
    "s3://{}/a?X-Amz-Signature=secret": "has no user and no query",
    "s3:///a": "names no place",
    "ftp://user:secret@host/a": "no data are read at ftp:// addresses: expected s3://, gs://,",
}


@pytest.mark.parametrize("address", BAD)
def test_what_is_not_there_is_one_line(bucket: Bucket, quick: list[float], address: str) -> None:
    bucket.put("text.npy", b"some words, no images")
    bucket.put("cut.npy", npy(IMAGES)[:-9])
    with pytest.raises(InputError) as caught:
        open_dataset(address.format(bucket.name))
    assert BAD[address] in str(caught.value)
    assert "secret" not in str(caught.value)


def test_refused_credentials_are_one_line_at_once(
    bucket: Bucket, quick: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = bucket.put("images.npy", npy(IMAGES))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(InputError, match="access was refused; credentials are those of the env"):
        open_dataset(address)
    assert not quick


def test_without_the_extra_a_line_says_how_to_install_it(
    quick: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    known = importlib.import_module("fsspec.registry")._registry
    monkeypatch.delitem(known, "s3", raising=False)
    with pytest.raises(InputError, match=r"s3:// needs s3fs: pip install 'aecli\[cloud\]'"):
        open_dataset("s3://bucket/images.npy")


def test_rows_that_are_far_apart_are_asked_for_alone(
    bucket: Bucket, quick: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aecli.data.remote_array.RemoteArray.gap_bytes", 600)
    dataset = open_dataset(bucket.put("images.npy", npy(IMAGES)))
    rows = np.array([0, 1, 4, 90, 200, 299])
    bucket.front.begin(lambda request: "503" if request.number == 1 else None)
    assert np.array_equal(dataset.images[rows][..., 0], IMAGES[rows])
    fetched = sum(r.range[1] + 1 - r.range[0] for r in bucket.front.reads()[:4] if r.range)
    assert fetched < 8 * 256


def test_blocks_in_any_order_are_asked_for_several_at_a_time(
    bucket: Bucket, quick: list[float]
) -> None:
    from aecli.run.states import ShuffleLayout
    from aecli.train.stream import shuffle_buffers

    dataset = open_dataset(bucket.put("images.npy", npy(IMAGES)))
    bucket.front.begin(lambda request: "stall" if request.number == 0 else None)
    seen = []
    for buffer in shuffle_buffers(dataset, ShuffleLayout(10, 6), 10, seed=1, epoch=1, shuffle=True):
        chosen = buffer.batches[: buffer.steps].ravel()
        seen += [buffer.images[row].tobytes() for row in chosen]
    rows = dataset.rows("train")
    assert isinstance(rows, np.ndarray)
    assert sorted(seen) == sorted(IMAGES[row].tobytes() for row in rows)
    # All but the first were answered while that one was not.
    assert len(quick) == 1
    starts = [request.range[0] for request in bucket.front.reads() if request.range]
    assert starts.index(starts[0], 1) > 4
