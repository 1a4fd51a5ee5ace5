"""A short form of `make attack`: the cases that are quick, most of them in this process."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import pytest
from filelock import FileLock

from tests.attack import shared
from tests.attack.case import Case
from tests.attack.cases import KINDS
from tests.attack.running import apart, attack, here

# A test for each so many: enough to share them among processes.
_CASES_A_TEST = 60
# Every so many-th of the quick cases runs with the tests; `make attack` has them all.
_EVERY = 3


def _slices() -> Iterator[tuple[str, list[Case]]]:
    for kind, cases in KINDS.items():
        short = [case for case in cases if case.short][::_EVERY]
        for start in range(0, len(short), _CASES_A_TEST):
            yield f"{kind} {start}" if start else kind, short[start : start + _CASES_A_TEST]


SLICES = dict(_slices())


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what cases copy; it is made by the first of the processes that run the tests."""
    root = tmp_path_factory.getbasetemp()
    # That of all processes.
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder = root / "attack"
    with FileLock(root / "attack.lock"):
        if not folder.exists():
            making = root / "attack-making"
            shared.make(making, shared.in_this_process)
            fonts = Path(matplotlib.get_cachedir())
            if fonts != making / "matplotlib":
                # Or each process that draws would look for fonts anew.
                shutil.copytree(fonts, making / "matplotlib", dirs_exist_ok=True)
            making.rename(folder)
    return folder


@pytest.mark.parametrize("name", SLICES)
def test_it_ends_in_one_line_or_in_work(name: str, made: Path, tmp_path: Path) -> None:
    failed = []
    for number, case in enumerate(SLICES[name]):
        reason = case.needs() if case.needs else None
        if reason is not None:
            print(f"skipped: {case.name}: {reason}")
            continue
        found = attack(case, tmp_path / str(number), made, apart if case.apart else here)
        failed += [f"{case.name}: {'; '.join(found)}"] if found else []
    assert not failed, "\n".join(failed)


def test_the_attack_is_long_and_each_case_has_a_name_of_its_own() -> None:
    names = [(kind, case.name) for kind, cases in KINDS.items() for case in cases]
    assert len(names) == len(set(names)) >= 400
