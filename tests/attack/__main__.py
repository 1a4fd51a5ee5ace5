"""Run the whole attack: each case in a process of its own, some at a time."""

import argparse
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.attack import shared
from tests.attack.case import Case
from tests.attack.cases import KINDS
from tests.attack.running import apart, attack

Chosen = list[tuple[str, Case]]


def choose(kind: str | None, only: str) -> Chosen:
    """Return the cases of a kind whose names have a pattern in them, with their kinds."""
    return [
        (name, case)
        for name, cases in KINDS.items()
        if kind in (None, name)
        for case in cases
        if re.search(only, case.name)
    ]


def run(
    chosen: Chosen, at_a_time: int, patience: float, folder: Path
) -> Iterator[tuple[str, Case, list[str] | None]]:
    """Run cases; yield what is wrong with each, or None where it cannot be run here."""
    made = shared.make(folder / "shared", shared.in_process_of_its_own, thorough=True)

    def one(number: int, case: Case) -> list[str] | None:
        reason = case.needs() if case.needs else None
        if reason is not None:
            print(f"skipped: {case.name}: {reason}", flush=True)
            return None
        place = folder / str(number)
        try:
            return attack(case, place, made, partial(apart, patience=patience))
        finally:
            _remove(place)

    with ThreadPoolExecutor(at_a_time) as pool:
        results = pool.map(one, range(len(chosen)), [case for _, case in chosen])
        for (kind, case), found in zip(chosen, results, strict=True):
            yield kind, case, found


def _remove(folder: Path) -> None:
    """Remove a folder, whatever a case made of it."""
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def print_table(tried: Counter[str], stood: Counter[str], skipped: Counter[str]) -> None:
    """Print how many cases of each kind there were."""
    print(f"\n{'kind':24}{'cases':>8}{'stood':>8}{'skipped':>9}")
    for kind in tried:
        print(f"{kind:24}{tried[kind]:8}{stood[kind]:8}{skipped[kind]:9}")
    totals = (sum(counts.values()) for counts in (tried, stood, skipped))
    print("{:24}{:8}{:8}{:9}".format("all", *totals), flush=True)


def main(arguments: Iterable[str] | None = None) -> int:
    """Run what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=KINDS, help="cases of this kind")
    parser.add_argument("--only", default="", metavar="REGEX", help="cases with this in their name")
    parser.add_argument("--every", type=int, default=1, help="every so many-th case")
    parser.add_argument("--list", action="store_true", help="print the cases, run none")
    parser.add_argument("--at-a-time", type=int, default=os.cpu_count() or 2)
    parser.add_argument(
        "--patience", type=float, default=1.0, help="stretch the time that a case may take"
    )
    asked = parser.parse_args(None if arguments is None else list(arguments))
    chosen = choose(asked.kind, asked.only)[:: asked.every]
    if asked.list:
        for kind, case in chosen:
            print(f"{kind}\t{case.name}\t{' '.join(case.arguments)[:200]}")
        return 0
    # What starts this in the background may have it ignore them, and all below it too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    tried, stood, skipped = Counter[str](), Counter[str](), Counter[str]()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="aecli-attack-") as name:
        for kind, case, found in run(chosen, asked.at_a_time, asked.patience, Path(name)):
            tried[kind] += 1
            stood[kind] += found == []
            skipped[kind] += found is None
            if found:
                print(f"{kind}: {case.name}: {'; '.join(found)}", flush=True)
    print_table(tried, stood, skipped)
    print(f"{time.monotonic() - started:,.0f} s")
    return 0 if stood + skipped == tried else 1


if __name__ == "__main__":
    sys.exit(main())
