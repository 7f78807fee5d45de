"""What nodes say to one another, as frames: PROTOCOL.md, "Between nodes".

The header of a Raft message is made from the fields of its dataclass. So to add a message, add its
class; a field whose type has no encoding here is an error at import. A field with a default is left
out while it has that, and may be lacking: older builds do not know it. Entries travel as their log
lines, verbatim; entry_wire.py reads them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Final, NamedTuple

import orjson

from raftzmq import limits
from raftzmq.core import messages
from raftzmq.core.entry import Entry
from raftzmq.core.identity import NodeId
from raftzmq.core.messages import AppendEntries, Message, SnapshotChunk
from raftzmq.errors import WireError
from raftzmq.transport.entry_wire import read_entries
from raftzmq.transport.frames import (
    VERSION,
    check_depth,
    check_version,
    is_address,
    is_cluster,
    is_count,
    is_name,
    is_text,
    load_object,
    node_id,
)
from raftzmq.versions import FIRST, Spoken

MEMBERS: Final = 1024
"""The most members in a welcome."""

_NONCE: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A Raft message and the cluster that its sender belongs to."""

    cluster: str
    message: Message


@dataclass(frozen=True, slots=True)
class Hello:
    """A node looks for its cluster. `cluster` is empty if it belongs to none; `address` is
    HOST:PORT of its node port. Only who was greeted knows the `nonce`, and repeats it. `spoken` are
    the cluster versions of this node."""

    cluster: str
    sender: NodeId
    address: str
    nonce: str
    spoken: Spoken = FIRST


class Neighbour(NamedTuple):
    """A member, and HOST:PORT of its node port."""

    id: NodeId
    address: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """The answer to a hello, whose `nonce` it repeats. `term`, `leader` and `members` are as the
    answering node knows them; `reason` says why the greeted node is not admitted yet, and is empty
    otherwise. `version` is the cluster version as far as that node has applied the log."""

    cluster: str
    sender: NodeId
    address: str
    to: NodeId
    nonce: str
    term: int
    leader: str | None
    members: tuple[Neighbour, ...]
    reason: str
    version: int = FIRST.highest


PeerMessage = Envelope | Hello | Welcome


def encode_message(message: Message, cluster: str) -> list[bytes]:
    """Return the frames of a Raft message."""
    form = _FORMS[type(message)]
    header = {
        "v": VERSION,
        "type": form.word,
        "cluster": cluster,
        "from": (*message.sender,),  # orjson takes plain tuples only
        "to": (*message.to,),
        "term": message.term,
    }
    for name in form.always:
        header[name] = getattr(message, name)
    for name, default in form.newer.items():
        value = getattr(message, name)
        if value != default:
            header[name] = value
    frames = [orjson.dumps(header)]
    if type(message) is AppendEntries:
        if message.entries:
            frames.append(join_lines(message.entries))
    elif type(message) is SnapshotChunk:
        frames.append(message.data)
    return frames


_last_joined: tuple[tuple[Entry, ...], bytes] = ((), b"")


def join_lines(entries: tuple[Entry, ...]) -> bytes:
    """Return the lines of the entries in one piece. The last result is kept, because a leader
    sends the same entries to all of its followers in turn."""
    global _last_joined  # noqa: PLW0603 - one value, replaced whole
    last, joined = _last_joined
    if entries is last or entries == last:  # equality stops at the first entry that differs
        return joined
    joined = b"".join([entry.line for entry in entries])
    _last_joined = (entries, joined)
    return joined


def encode_hello(hello: Hello) -> list[bytes]:
    """Return the frames of a hello."""
    header = {
        "v": VERSION,
        "type": "hello",
        "cluster": hello.cluster,
        "from": (*hello.sender,),
        "address": hello.address,
        "nonce": hello.nonce,
    }
    if hello.spoken != FIRST:
        header["spoken"] = (*hello.spoken,)
    return [orjson.dumps(header)]


def encode_welcome(welcome: Welcome) -> list[bytes]:
    """Return the frames of a welcome."""
    header = {
        "v": VERSION,
        "type": "welcome",
        "cluster": welcome.cluster,
        "from": (*welcome.sender,),
        "address": welcome.address,
        "to": (*welcome.to,),
        "nonce": welcome.nonce,
        "term": welcome.term,
        "leader": welcome.leader,
        "members": [(*member.id, member.address) for member in welcome.members],
        "reason": welcome.reason,
    }
    if welcome.version != FIRST.highest:
        header["version"] = welcome.version
    return [orjson.dumps(header)]


def decode_peer(frames: Sequence[bytes]) -> PeerMessage:
    """Return the message of the frames (without the ROUTER's identity). Raises WireError."""
    if not 1 <= len(frames) <= limits.FRAME_PARTS:
        raise WireError("parts", f"{len(frames)} frames instead of 1 or {limits.FRAME_PARTS}")
    if len(frames) > 1 and len(frames[1]) > limits.FRAME_BYTES:
        raise WireError("oversize", f"a frame has at most {limits.FRAME_BYTES} bytes")
    header = load_object(frames[0])
    check_depth(frames[0], header)
    check_version(header)
    word = header.get("type")
    decode = _DECODERS.get(word) if type(word) is str else None
    if decode is None:
        raise WireError("type", "unknown message type")
    if not is_cluster(header.get("cluster")):
        raise WireError("form", "cluster is not a cluster id")
    return decode(header, frames[1] if len(frames) > 1 else None)


@dataclass(frozen=True, slots=True)
class _Form:
    """How one class of message lies in a header: its type word, its whole-number fields with
    their upper bounds, its true-or-false fields, and which of those may be lacking: their
    defaults."""

    word: str
    cls: type[Message]
    counts: dict[str, int]
    flags: tuple[str, ...]
    newer: dict[str, int | bool]
    always: tuple[str, ...]


def _form(cls: type[Message]) -> _Form:
    counts: dict[str, int] = {}
    flags: list[str] = []
    newer: dict[str, int | bool] = {}
    for field in fields(cls):
        if field.name in {"sender", "to", "term"}:
            continue
        if field.default is not MISSING:
            newer[field.name] = field.default
        match field.type:
            case "int":
                is_term = field.name == "term" or field.name.endswith("_term")
                counts[field.name] = limits.TERM_MAX if is_term else limits.INDEX_MAX
            case "bool":
                flags.append(field.name)
            case "tuple[Entry, ...]" | "bytes":
                pass  # the second frame
            case other:
                raise TypeError(f"{cls.__name__}.{field.name}: no encoding for {other}")
    word = re.sub(r"(?<=.)(?=[A-Z])", "_", cls.__name__).lower()
    always = tuple(name for name in (*counts, *flags) if name not in newer)
    return _Form(word, cls, counts, tuple(flags), newer, always)


def _decoder(form: _Form) -> Callable[[dict[str, Any], bytes | None], Envelope]:
    counts = tuple(form.counts.items())
    flags = form.flags
    newer = form.newer
    cls = form.cls

    def decode(header: dict[str, Any], body: bytes | None) -> Envelope:
        values: dict[str, Any] = {
            "sender": node_id(header.get("from"), "from"),
            "to": node_id(header.get("to"), "to"),
            "term": _count(header, "term", limits.TERM_MAX),
        }
        if newer:
            header = {**newer, **header}
        for name, most in counts:
            values[name] = _count(header, name, most)
        for name in flags:
            value = header.get(name)
            if type(value) is not bool:
                raise WireError("form", f"{name} is not true or false")
            values[name] = value
        if cls is AppendEntries:
            values["entries"] = read_entries(body, values)
        elif cls is SnapshotChunk:
            if body is None:
                raise WireError("parts", "a snapshot chunk has two frames")
            values["data"] = body
        elif body is not None:
            raise WireError("parts", f"{form.word} has one frame")
        return Envelope(header["cluster"], cls(**values))

    return decode


def _count(header: dict[str, Any], name: str, most: int) -> int:
    value = header.get(name)
    if type(value) is int and 0 <= value <= most:
        return value
    raise WireError("form", f"{name} is not a whole number from 0 to {most}")


def _hello(header: dict[str, Any], body: bytes | None) -> Hello:
    if body is not None:
        raise WireError("parts", "hello has one frame")
    sender = node_id(header.get("from"), "from")
    address = _address(header.get("address"))
    return Hello(header["cluster"], sender, address, _nonce(header), _spoken(header))


def _welcome(header: dict[str, Any], body: bytes | None) -> Welcome:
    if body is not None:
        raise WireError("parts", "welcome has one frame")
    leader = header.get("leader")
    members = header.get("members")
    reason = header.get("reason")
    if not (leader is None or is_name(leader)):
        raise WireError("form", "leader is not a node's name or null")
    if not (type(members) is list and len(members) <= MEMBERS):
        raise WireError("form", "members is not a list of members")
    if not is_text(reason):
        raise WireError("form", "reason is not a short text")
    return Welcome(
        cluster=header["cluster"],
        sender=node_id(header.get("from"), "from"),
        address=_address(header.get("address")),
        to=node_id(header.get("to"), "to"),
        nonce=_nonce(header),
        term=_count(header, "term", limits.TERM_MAX),
        leader=leader,
        members=tuple(map(_neighbour, members)),
        reason=reason,
        version=_count({"version": FIRST.highest, **header}, "version", limits.INDEX_MAX),
    )


def _spoken(header: dict[str, Any]) -> Spoken:
    spoken = header.get("spoken", [*FIRST])
    if type(spoken) is list and len(spoken) == 2 and all(map(is_count, spoken)):
        return Spoken(*spoken)
    raise WireError("form", "spoken is not [lowest, highest]")


def _neighbour(member: object) -> Neighbour:
    if type(member) is not list or len(member) != 3:
        raise WireError("form", "a member is not [name, incarnation, address]")
    return Neighbour(node_id(member[:2], "member"), _address(member[2]))


def _nonce(header: dict[str, Any]) -> str:
    nonce = header.get("nonce")
    if not (type(nonce) is str and _NONCE.fullmatch(nonce)):
        raise WireError("form", "nonce is not 16 hexadecimal digits")
    return nonce


def _address(address: object) -> str:
    if not is_address(address):
        raise WireError("form", "address is not HOST:PORT")
    return address


_FORMS: Final[dict[type[Message], _Form]] = {
    cls: _form(cls)
    for cls in vars(messages).values()
    if isinstance(cls, type) and issubclass(cls, Message) and cls is not Message
}

_DECODERS: Final[dict[str, Callable[[dict[str, Any], bytes | None], PeerMessage]]] = {
    **{form.word: _decoder(form) for form in _FORMS.values()},
    "hello": _hello,
    "welcome": _welcome,
}
