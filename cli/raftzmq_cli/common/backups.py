"""Backups as commands name and show them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from raftzmq.errors import InvalidRequest
from raftzmq_cli.common import buckets, standard_input
from raftzmq_cli.common.locations import Directory, Location

if TYPE_CHECKING:
    from raftzmq.offline.backups import Contents

Backup = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="The backup: a file, or s3://BUCKET/NAME; - is standard input.",
    ),
]

KEY_RECORD: Final = b'["key",'
"""What begins a key in a snapshot: counted for progress bars alone."""

_BLOCK_BYTES: Final = 1024 * 1024


def location_of(word: str) -> Location:
    """The place for several backups that a word names: a directory, or s3://BUCKET/PREFIX. Raises
    InvalidRequest."""
    if buckets.is_url(word):
        return buckets.Bucket(*buckets.parse_url(word))
    return Directory(Path(word))


def place_of(word: str) -> tuple[Location, str]:
    """Where a backup lies that a word names, and its name there. Raises InvalidRequest."""
    if not buckets.is_url(word):
        path = Path(word)
        return Directory(path.parent), path.name
    bucket, key = buckets.parse_url(word)
    prefix, _, name = key.rpartition("/")
    if not name:
        raise InvalidRequest(f"{word} names no backup: write s3://BUCKET/NAME")
    return buckets.Bucket(bucket, prefix), name


@contextmanager
def file_of(word: str) -> Iterator[Path]:
    """The file that an argument names. What comes from standard input or a bucket is copied to one,
    which is gone later. Raises InvalidRequest, DataError."""
    if word != "-":
        location, name = place_of(word)
        with location.file(name) as path:
            yield path
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
