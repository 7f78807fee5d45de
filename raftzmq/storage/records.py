"""node.json and state.json: small JSON files, each with a checksum of itself, replaced whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import orjson

from raftzmq import limits
from raftzmq.core.identity import NodeId
from raftzmq.core.ready import HardState
from raftzmq.errors import CorruptFile, DataError
from raftzmq.storage.files import Files, replace_file

FORMAT = 1
"""Version of everything in a data directory; written in node.json and in snapshot headers."""

_SUFFIX = b',"crc32":"%08x"}\n'
_SUFFIX_BYTES = len(_SUFFIX % 0)


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose directory it is: node name, incarnation, and cluster id ("" until it has one)."""

    node: str
    incarnation: str
    cluster: str


def encode_record(value: dict[str, Any]) -> bytes:
    """Return `value` as one line of JSON whose last field, crc32, is of all the others."""
    text = orjson.dumps(value)
    return text[:-1] + _SUFFIX % crc32(text)


def decode_record(path: Path, data: bytes) -> dict[str, Any]:
    """Return what encode_record was given. Raises CorruptFile, for `path`."""
    text = data[:-_SUFFIX_BYTES] + b"}"
    if data[-_SUFFIX_BYTES:] != _SUFFIX % crc32(text):
        raise CorruptFile(path, 1, 0, "the checksum does not match")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise CorruptFile(path, 1, 0, f"not JSON ({error})") from None
    if not isinstance(value, dict):
        raise CorruptFile(path, 1, 0, "not a record")
    return value


def check_format(path: Path, value: dict[str, Any]) -> None:
    """Raise DataError unless this version can read what it describes; CorruptFile if it does not
    say."""
    found = value.get("format")
    if type(found) is not int:
        raise CorruptFile(path, 1, 0, "it names no format")
    if found != FORMAT:
        raise DataError(
            f"{path} has format {found}, and this version of raftzmq reads "
            f"format {FORMAT}: run the version that wrote it, or a newer one"
        )


def write_identity(files: Files, path: Path, identity: Identity) -> None:
    """Replace node.json, durably. Raises OSError."""
    replace_file(
        files,
        path,
        encode_record(
            {
                "format": FORMAT,
                "node": identity.node,
                "incarnation": identity.incarnation,
                "cluster": identity.cluster,
            }
        ),
    )


def read_identity(files: Files, path: Path) -> Identity:
    """Return what node.json says. Raises CorruptFile, or DataError for another format."""
    value = decode_record(path, files.read(path))
    check_format(path, value)
    node, incarnation, cluster = (value.get(k) for k in ("node", "incarnation", "cluster"))
    if not (isinstance(node, str) and isinstance(incarnation, str) and isinstance(cluster, str)):
        raise CorruptFile(path, 1, 0, "node, incarnation or cluster is missing")
    return Identity(node, incarnation, cluster)


def adopted(identity: Identity, cluster: str) -> Identity:
    """The same directory, belonging to `cluster`."""
    return replace(identity, cluster=cluster)


def write_hard_state(files: Files, path: Path, state: HardState) -> None:
    """Replace state.json, durably. Raises OSError."""
    vote = None if state.vote is None else [state.vote.name, state.vote.incarnation]
    replace_file(files, path, encode_record({"term": state.term, "vote": vote}))


def read_hard_state(files: Files, path: Path) -> HardState:
    """Return what state.json says. Raises CorruptFile, also if the file is missing, because a node
    without its vote could vote twice."""
    if not files.exists(path):
        raise CorruptFile(path, 1, 0, "the file is missing")
    value = decode_record(path, files.read(path))
    term = value.get("term")
    vote = value.get("vote")
    if type(term) is int and 0 <= term <= limits.TERM_MAX:
        if vote is None:
            return HardState(term)
        if isinstance(vote, list) and len(vote) == 2 and all(isinstance(v, str) for v in vote):
            return HardState(term, NodeId(*vote))
    raise CorruptFile(path, 1, 0, "not a term and a vote")
