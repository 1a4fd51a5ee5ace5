"""Files that are written to an address: made on this machine, uploaded when they are whole."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from aecli import signals
from aecli.addresses import HTTP, address_of, is_address
from aecli.errors import InputError
from aecli.remote.objects import exists, look, remove, upload


class Output(NamedTuple):
    """Where a file is written, and what it is called in the end: an address, or the same path."""

    place: Path
    name: str

    def named(self, text: str | Path) -> str:
        """Return a text with the final name of the files in place of where they are written."""
        return str(text).replace(str(self.place.parent), self.name.rpartition("/")[0])


def one_file(path: Path) -> list[Path]:
    """Return the files that are written with one that stands alone."""
    return [path]


@contextmanager
def output_at(
    out: Path,
    *,
    force: bool,
    reads: Sequence[str | None] = (),
    files: Callable[[Path], list[Path]] = one_file,
) -> Iterator[Output]:
    """Give the place to write a file to; at the end of the block what is there is uploaded.

    `out` may have been made of an address; other paths are places already. `files` says which
    files may be written together, the last one says what the others are. `reads`: names of the
    data that are read, which must not be written.

    Raises:
        InputError: without `force` one is there already, it is read, or its place takes none.
        AecliError: the server does not answer.

    """
    if not is_address(out):
        yield Output(out, str(out))
        return
    address = address_of(out)
    if address.partition("://")[0] in HTTP:
        raise InputError(
            f"cannot write {address}: web servers are only read, name an s3:// address"
        )
    for read in reads:
        if read is not None and is_address(read):
            inside = address_of(read).rstrip("/")
            if address == inside or address.startswith(f"{inside}/"):
                raise InputError(f"{address} lies among the data that are read: name another place")
    folder = Path(tempfile.mkdtemp(prefix="aecli-"))
    with signals.undoing(lambda: shutil.rmtree(folder, ignore_errors=True)):
        try:
            place = folder / out.name
            root = address.rpartition("/")[0]
            addresses = {path: f"{root}/{path.name}" for path in files(place)}
            if not force:
                for one in addresses.values():
                    if look(one) is not None:
                        raise exists(one)
            yield Output(place, address)
            for path, one in addresses.items():
                if path.exists():
                    upload(path, one, replace=force)
                elif force:
                    # It belongs to older files of these names.
                    remove(one)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
