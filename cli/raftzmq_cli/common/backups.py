"""Backups as commands name and show them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from raftzmq_cli.common import standard_input

if TYPE_CHECKING:
    from raftzmq.offline.backups import Contents

Backup = Annotated[str, typer.Argument(metavar="FILE", help="The backup; - is standard input.")]

KEY_RECORD: Final = b'["key",'
"""What begins a key in a snapshot: counted for progress bars alone."""

_BLOCK_BYTES: Final = 1024 * 1024


@contextmanager
def file_of(word: str) -> Iterator[Path]:
    """The file that an argument names. Standard input is copied to one, which is gone later."""
    if word != "-":
        yield Path(word)
        return
    with tempfile.TemporaryDirectory(prefix="raftzmq-") as directory:
        path = Path(directory) / "standard-input"
        with path.open("wb") as file:
            while block := standard_input.read_bytes(_BLOCK_BYTES):
                file.write(block)
        yield path


def document(contents: Contents) -> dict[str, Any]:
    """What is in a backup, as JSON has it."""
    return {
        "cluster": contents.cluster,
        "time": contents.time,
        "version": contents.version,
        "revision": contents.revision,
        "index": contents.index,
        "term": contents.term,
        "keys": contents.keys,
        "leases": contents.leases,
        "queues": contents.queues,
        "places": contents.places,
        "sessions": contents.sessions,
        "bytes": contents.size,
        "checksum": contents.crc,
        "members": [
            {"name": member.id.name, "address": member.address, "voter": member.voter}
            for member in contents.members
        ],
    }


def size_text(size: int) -> str:
    """A number of bytes for people."""
    for unit, bytes_ in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= bytes_:
            return f"{size / bytes_:.1f} {unit}"
    return f"{size} bytes"


def keys_text(keys: int) -> str:
    """A number of keys for people."""
    return "1 key" if keys == 1 else f"{keys:,} keys"
