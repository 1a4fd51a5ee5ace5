import subprocess
import sys
from pathlib import Path

import pytest

from aecli.errors import InputError
from aecli.memory import default_memory, free_in_groups, parse_memory


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


def test_the_default_leaves_room_and_heeds_every_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 10**8 < default_memory() < 10**13
    monkeypatch.setattr("aecli.memory.free_in_groups", lambda: [3_000_000, 1_000_000])
    assert default_memory() == 500_000


def _groups(root: Path, own: str, mounts: str, files: dict[str, str]) -> Path:
    """Make a tree of control groups, as Linux shows them."""
    files |= {"proc/self/cgroup": own, "proc/self/mountinfo": mounts}
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


SECOND = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
FIRST = (
    "20 1 0:4 / /proc rw - proc proc rw\n"
    "34 31 0:31 {top} /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
    "35 31 0:32 {top} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)


@pytest.mark.parametrize(
    ("limits", "free"),
    [
        ({}, []),
        ({"a/b/memory.max": "max\n"}, []),
        ({"a/b/memory.max": "1000\n"}, [1000]),
        ({"a/memory.max": "1000\n"}, [1000]),
        ({"memory.max": "1000\n"}, [1000]),
        ({"elsewhere/memory.max": "1000\n"}, []),
        ({"a/b/memory.max": "1000\n", "a/b/memory.high": "700\n"}, [700]),
        ({"a/b/memory.max": "max\n", "a/b/memory.high": "700\n"}, [700]),
        ({"a/b/memory.max": "1000\n", "a/b/memory.current": "300\n"}, [700]),
        ({"a/b/memory.max": "1000\n", "a/b/memory.current": "3000\n"}, [0]),
        (
            {
                "a/b/memory.max": "1000\n",
                "a/b/memory.current": "900\n",
                "a/b/memory.stat": "anon 9\nfile 900\ninactive_file 300\nactive_file 100\n",
            },
            [500],
        ),
        ({"a/b/memory.max": "1000\n", "a/memory.max": "600\n", "memory.max": "max\n"}, [1000, 600]),
    ],
)
def test_the_limits_of_all_groups_above_count(
    tmp_path: Path, limits: dict[str, str], free: list[int]
) -> None:
    files = {f"sys/fs/cgroup/{name}": content for name, content in limits.items()}
    assert free_in_groups(_groups(tmp_path, "0::/a/b\n", SECOND, files)) == free


@pytest.mark.parametrize(
    ("group", "top", "folder"),
    [
        ("/a/b", "/", "a"),
        # In a container whose own group is mounted as the topmost.
        ("/docker/1", "/docker/1", "."),
        ("/docker/1/a", "/docker/1", "a"),
        ("/../outside", "/", "."),
        ("/outside", "/docker/1", "."),
    ],
)
def test_the_first_version_of_groups_counts_too(
    tmp_path: Path, group: str, top: str, folder: str
) -> None:
    own = f"9:name=systemd:{group}\n4:cpu,memory:{group}\n3:cpuset:/other\n0::/\n"
    files = {
        f"sys/fs/cgroup/memory/{folder}/memory.limit_in_bytes": "1000\n",
        f"sys/fs/cgroup/memory/{folder}/memory.usage_in_bytes": "900\n",
        f"sys/fs/cgroup/memory/{folder}/memory.stat": "inactive_file 1\ntotal_inactive_file 300\n",
    }
    assert free_in_groups(_groups(tmp_path, own, FIRST.format(top=top), files)) == [400]


def test_groups_are_found_wherever_they_are_mounted(tmp_path: Path) -> None:
    mounts = "31 23 0:28 / /my\\040groups rw - cgroup2 cgroup2 rw\n"
    files = {"my groups/a/memory.max": "5\n"}
    assert free_in_groups(_groups(tmp_path, "0::/a\n", mounts, files)) == [5]


def test_without_groups_nothing_is_limited(tmp_path: Path) -> None:
    assert free_in_groups(tmp_path) == []


def test_the_limits_of_the_shell_count() -> None:
    script = (
        "import resource, sys; kind = getattr(resource, sys.argv[1]);"
        "resource.setrlimit(kind, (800_000_000, resource.getrlimit(kind)[1]));"
        "from aecli.memory import default_memory; print(default_memory())"
    )
    for kind in ("RLIMIT_AS", "RLIMIT_DATA"):
        done = subprocess.run(
            [sys.executable, "-c", script, kind], capture_output=True, text=True, check=True
        )
        assert 10**8 < int(done.stdout) < 4 * 10**8
