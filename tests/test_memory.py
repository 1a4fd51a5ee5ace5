from pathlib import Path

import pytest

from aecli.errors import InputError
from aecli.memory import default_memory, parse_memory


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
