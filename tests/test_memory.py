from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aecli.errors import InputError
from aecli.memory import choose_shuffle_layout, default_memory, parse_memory


@pytest.mark.parametrize(
    ("text", "amount"),
    [("2GB", 2 * 10**9), ("1.5 GiB", 3 * 2**29), ("500mb", 5 * 10**8), (" 64 KiB ", 2**16)],
)
def test_amounts_are_read(text: str, amount: int) -> None:
    assert parse_memory(text) == amount


@pytest.mark.parametrize(
    "text", ["", "2", "GB", "-1GB", "0GB", "1e3MB", "2 XB", "٢GB", "inf GB", f"{10**400}GB"]
)
def test_amounts_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected an amount such as 500MB"):
        parse_memory(text)


def test_the_default_leaves_room_and_knows_a_containers_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    free = default_memory()
    assert 10**8 < free < 10**13
    limit = tmp_path / "memory.max"
    monkeypatch.setattr("aecli.memory._LIMITS", ("/no/such/file", str(limit)))
    limit.write_text("1000000\n")
    assert default_memory() == 500_000
    limit.write_text("max\n")
    assert default_memory() > 10**8


@given(
    row_bytes=st.integers(1, 10**7),
    batch_size=st.integers(1, 4096),
    memory=st.integers(10**6, 10**12),
)
def test_a_layout_is_whole_batches_that_fit(row_bytes: int, batch_size: int, memory: int) -> None:
    try:
        layout = choose_shuffle_layout(row_bytes, batch_size, memory)
    except InputError:
        assert 5 * batch_size * row_bytes > memory
        return
    assert layout.block_rows % batch_size == 0
    assert layout.buffer_blocks >= 1
    assert layout.needed(row_bytes) <= memory


def test_much_memory_means_many_large_blocks() -> None:
    layout = choose_shuffle_layout(784, 256, 8 * 10**9)
    assert 8_000_000 < layout.block_rows * 784 <= 64_000_000
    assert layout.buffer_blocks >= 16


def test_too_little_memory_says_how_much_it_takes() -> None:
    with pytest.raises(InputError, match=r"--memory 1MB is too small .* expected at least 2MB"):
        choose_shuffle_layout(784, 256, 10**6)
    choose_shuffle_layout(784, 256, 2 * 10**6)
