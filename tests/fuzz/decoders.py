"""What a decoder owes for any bytes, and a count of what it did."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Final
from zlib import crc32

import orjson

from raftzmq import limits
from raftzmq.core.entry import Entry
from raftzmq.core.identity import NodeId
from raftzmq.core.messages import AppendEntries, Message
from raftzmq.errors import WireError
from raftzmq.transport.client_wire import (
    ErrorReply,
    OperationsRequest,
    Results,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
)
from raftzmq.transport.operator_wire import MemberRequest, StatusReply, TransferRequest
from raftzmq.transport.peer_wire import (
    Envelope,
    Hello,
    PeerMessage,
    Welcome,
    decode_peer,
    encode_hello,
    encode_message,
    encode_welcome,
)
from raftzmq.transport.watch_wire import Events, Watching, WatchLost, WatchRequest
from tests.fuzz.corpus import PEER, REPLY, REQUEST
from tests.fuzz.mangler import Mangler, Parts

REASONS: Final = frozenset(
    {
        *("oversize", "json", "form", "unsupported_version", "depth", "parts", "type"),
        *("entries", "checksum", "unknown_entry", "invalid"),
    }
)
"""Every word that a WireError may have: they are counted, and one is logged for each."""

# Written down once more, and not taken from the code that is tested.
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?-(0|[1-9][0-9]*)", re.ASCII)
_INCARNATION = re.compile(r"[0-9a-f]{16}", re.ASCII)
_NONCE = _INCARNATION
_ADDRESS = re.compile(r"[][0-9A-Za-z._:-]+:[0-9]+", re.ASCII)
_CLUSTER = re.compile(r"[0-9A-Za-z._-]{0,64}", re.ASCII)
_MOST: Final = 2**53 - 1


def hold(condition: bool, what: str) -> None:
    """Fail unless a rule holds."""
    if not condition:
        raise AssertionError(what)


# What was decoded lies within the limits.


def check_peer(message: PeerMessage) -> None:
    hold(_CLUSTER.fullmatch(message.cluster) is not None, "a cluster id that is none")
    if isinstance(message, Envelope):
        _check_fields(message.message)
        return
    _check_fields(message)
    if isinstance(message, Welcome):
        hold(message.leader is None or _is_name(message.leader), "a leader that is no name")
        hold(len(message.members) <= 1024, "too many members")
        for member in message.members:
            hold(_is_name(member.id.name), "a member that is no name")
            hold(_INCARNATION.fullmatch(member.id.incarnation) is not None, "its incarnation")
            _check_address(member.address)
        hold(_NONCE.fullmatch(message.nonce) is not None, "a nonce that is none")
        hold(len(message.reason) <= 1024, "a long reason")


def _check_fields(message: Message | Hello | Welcome) -> None:
    for one in fields(message):
        value = getattr(message, one.name)
        match value:
            case bool() | str() | tuple() | None:
                pass
            case int():
                hold(0 <= value <= _MOST, f"{one.name} is out of bounds")
            case bytes():
                hold(len(value) <= limits.FRAME_BYTES, f"{one.name} is too long")
        if isinstance(value, NodeId):
            hold(_is_name(value.name), f"{one.name} has no name")
            hold(_INCARNATION.fullmatch(value.incarnation) is not None, f"{one.name}: incarnation")
        if one.name == "address":
            _check_address(value)
    if isinstance(message, AppendEntries):
        _check_entries(message)


def _check_entries(message: AppendEntries) -> None:
    term = message.prev_term
    for index, entry in enumerate(message.entries, message.prev_index + 1):
        hold(type(entry) is Entry and type(entry.line) is bytes, "not an entry")
        text = entry.line[9:-1]
        hold(entry.line == b"%08x %b\n" % (crc32(text), text), "a line that is not whole")
        hold(b"\n" not in text and b"\r" not in text, "a line end inside of a line")
        hold(orjson.loads(text) == list(entry[:5]), "a line that says something else")
        hold(entry.index == index <= _MOST, "an index out of order")
        hold(max(term, 1) <= entry.term <= message.term, "a term out of order")
        hold(0 <= entry.time_ms <= _MOST, "a time out of bounds")
        hold(depth(entry.body) < limits.JSON_DEPTH, "a deep entry")
        hold(entry.kind in {"noop", "command", "config"}, "an unknown kind")
        term = entry.term


def check_request(request: object) -> None:
    _check_shape(request)
    match request:
        case OperationsRequest():
            hold(_is_count(request.session, limits.SESSION_MAX), "session")
            hold(_is_count(request.ack), "ack")
            hold(type(request.stale) is bool, "stale")
            hold(_CLUSTER.fullmatch(request.cluster) is not None, "cluster")
            hold(len(request.ops) <= limits.OPERATIONS_PER_MESSAGE, "too many operations")
            for op in request.ops:
                hold(_is_count(op[0]) and type(op[1]) is str, "an operation that is none")
        case TransferRequest(_, to):
            hold(to is None or _is_name(to), "to is no name")
        case MemberRequest(_, action, name):
            hold(action in {"add", "promote", "remove"} and _is_name(name), "action or name")
        case WatchRequest(_, key, prefix, start, previous, cluster):
            hold(type(key) is str and len(key.encode()) <= limits.KEY_BYTES, "a key")
            hold(key != "" or prefix, "an empty key")
            hold(type(prefix) is type(previous) is bool, "prefix or prev")
            hold(start is None or (_is_count(start) and start > 0), "from")
            hold(_CLUSTER.fullmatch(cluster) is not None, "cluster")


def check_reply(reply: object) -> None:
    _check_shape(reply)
    match reply:
        case Results():
            hold(_CLUSTER.fullmatch(reply.cluster) is not None, "cluster")
            _check_origin(reply)
            for ident, code, revision, _ in reply.results:
                hold(_is_count(ident) and _is_count(revision) and type(code) is str, "a result")
            for index, count in reply.entries:
                hold(_is_count(index) and _is_count(count), "an entry")
            counts = sum(count for _, count in reply.entries)
            hold(counts in (0, len(reply.results)), "the counts of entries")
        case ErrorReply():
            _check_origin(reply)
            hold(reply.ids is None or all(map(_is_count, reply.ids)), "ids")
            hold(type(reply.code) is str and type(reply.message) is str, "code or message")
            if reply.address is not None:
                _check_address(reply.address)
        case StatusReply():
            hold(type(reply.status) is dict, "status")
        case Watching():
            hold(_is_count(reply.after) and _is_name(reply.node), "after or node")
            hold(_CLUSTER.fullmatch(reply.cluster) is not None, "cluster")
        case WatchLost():
            hold(type(reply.code) is str and type(reply.message) is str, "code or message")
            hold(_is_count(reply.start), "from")
        case Events():
            _check_events(reply)


def _check_events(reply: Events) -> None:
    hold(
        _is_count(reply.after) and _is_count(reply.through) and _is_count(reply.skip), "a position"
    )
    hold(reply.after <= reply.through, "it goes back")
    assert isinstance(reply.events, list)
    last, beyond = reply.after + 1, set()
    for revision, key, value, previous in reply.events:
        hold(_is_count(revision) and last <= revision, "a revision out of order")
        last = revision
        if revision > reply.through:
            beyond.add(revision)
        hold(type(key) is str, "a key")
        for one in (value, previous):
            hold(one is None or type(one) in (str, dict), "a value")
    hold(len(beyond) <= 1, "more than one revision that is not whole")


def _check_shape(message: object) -> None:
    assert is_dataclass(message)
    for one in fields(message):
        hold(depth(getattr(message, one.name)) < limits.JSON_DEPTH, f"{one.name} is too deep")
    hold(_is_count(getattr(message, "id", 0)), "id")


def _check_origin(reply: Results | ErrorReply) -> None:
    hold(_is_name(reply.node) and _is_count(reply.term), "node or term")
    hold(reply.leader is None or _is_name(reply.leader), "leader is no name")


def _check_address(address: Any) -> None:
    hold(type(address) is str and _ADDRESS.fullmatch(address) is not None, "an address")
    hold(0 < int(address.rpartition(":")[2]) < 65536, "a port")


def _is_name(value: object) -> bool:
    return type(value) is str and len(value) <= 253 and _NAME.fullmatch(value) is not None


def _is_count(value: object, most: int = _MOST) -> bool:
    return type(value) is int and 0 <= value <= most


def depth(value: Any) -> int:
    """How many lists and objects lie inside of one another; the recursion is bounded, because
    whoever asks holds the answer to be below 32."""
    deepest, level = 0, [value]
    while level := [one for one in level if isinstance(one, list | dict)]:
        deepest += 1
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, list | dict)
        ]
    return deepest


# Decoding and encoding again.


def encode_peer(message: PeerMessage) -> Parts:
    match message:
        case Hello():
            return tuple(encode_hello(message))
        case Welcome():
            return tuple(encode_welcome(message))
        case Envelope(cluster, inner):
            return tuple(encode_message(inner, cluster))


@dataclass(frozen=True, slots=True)
class Decoder:
    """A decoder, its inverse, and what holds of whatever it returns."""

    name: str
    corpus: Sequence[Parts]
    decode: Callable[[Parts], Any]
    encode: Callable[[Any], Parts]
    check: Callable[[Any], None]

    def mangler(self, seed: int) -> Mangler:
        return Mangler(seed, self.corpus, sealed=frozenset({1}))  # entries; nobody else has them

    def take(self, parts: Parts) -> str:
        """Decode; return "taken" or the reason of the refusal. Anything else is raised."""
        try:
            value = self.decode(parts)
        except WireError as error:
            hold(error.reason in REASONS, f"an unheard-of reason: {error.reason}")
            hold("\n" not in str(error) and len(str(error)) < 500, "not one line")
            hold(error.ids is None or all(map(_is_count, error.ids)), "ids that are none")
            return error.reason
        self.check(value)
        again = self.decode(self.encode(value))
        # By their text too, for 1 == 1.0 == True.
        hold(again == value and repr(again) == repr(value), f"means something else again: {again}")
        return "taken"


def _one(decode: Callable[[bytes], Any]) -> Callable[[Parts], Any]:
    """A client's message has one frame; the socket's side sees to that."""
    return lambda parts: decode(parts[0] if parts else b"")


PEERS: Final = Decoder("peer", PEER, decode_peer, encode_peer, check_peer)
REQUESTS: Final = Decoder(
    "request", REQUEST, _one(decode_request), lambda value: (encode_request(value),), check_request
)
REPLIES: Final = Decoder(
    "reply", REPLY, _one(decode_reply), lambda value: (encode_reply(value),), check_reply
)
DECODERS: Final = (PEERS, REQUESTS, REPLIES)


@dataclass(slots=True)
class Tally:
    """How many inputs were tried, and what came of them."""

    seed: int
    seconds: float = 0.0
    outcomes: dict[str, Counter[str]] = field(
        default_factory=lambda: {decoder.name: Counter() for decoder in DECODERS}
    )

    @property
    def inputs(self) -> int:
        return sum(counter.total() for counter in self.outcomes.values())

    @property
    def per_second(self) -> float:
        return self.inputs / self.seconds if self.seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "inputs": self.inputs,
            "seconds": round(self.seconds, 1),
            "per_second": round(self.per_second),
            "outcomes": {name: dict(c.most_common()) for name, c in self.outcomes.items()},
        }

    def line(self, count: int) -> str:
        return f"{self.inputs}/{count} inputs, {self.per_second:.0f} a second"


def run(
    count: int,
    seed: int,
    decoders: Sequence[Decoder] = DECODERS,
    progress: Callable[[Tally], None] = lambda _tally: None,
) -> Tally:
    """Try inputs 0 to `count` - 1 of the seed, on the decoders in turn. Raises Found."""
    tally = Tally(seed)
    manglers = [(decoder, decoder.mangler(seed)) for decoder in decoders]
    began = time.monotonic()
    for number in range(count):
        decoder, mangler = manglers[number % len(manglers)]
        try:
            outcome = decoder.take(mangler.input(number))
        except Exception as error:
            raise mangler.found(
                number, f"{decoder.name}: {type(error).__name__}: {error}"
            ) from error
        tally.outcomes[decoder.name][outcome] += 1
        if number % 1000 == 999:
            tally.seconds = time.monotonic() - began
            progress(tally)
    tally.seconds = time.monotonic() - began
    return tally
