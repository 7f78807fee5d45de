"""The messages of messages.py as frames, one each: PROTOCOL.md in this folder.

What arrives is untrusted. The checks are those of transport/frames.py, and any failure is a
WireError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from typing import Any, Final

import orjson

from raftzmq import limits
from raftzmq.errors import InvalidRequest, WireError
from raftzmq.transport.frames import (
    VERSION,
    check_depth,
    check_version,
    is_address,
    is_count,
    is_text,
    load_object,
)
from raftzmq.views import messages
from raftzmq.views.messages import Entry, Message
from raftzmq.views.store import validate
from raftzmq.views.view import Server, View, parse_server_name

_ID = re.compile(r"[0-9a-f]{16}")

_WORDS: Final = {
    getattr(messages, name): re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    for name in (
        *("Ping", "Pong", "ViewRequest", "ViewReply", "StatusRequest", "StatusReply"),
        *("Request", "Reply", "Forward", "Ack", "Chunk", "ChunkAck", "OldView"),
    )
}
"""Class -> its type on the wire: `ChunkAck` is chunk_ack."""


def encode(message: Message) -> bytes:
    """Return the frame of a message. Raises InvalidRequest for what JSON cannot hold."""
    cls = type(message)
    content = {name: getattr(message, name) for name in _NAMES[cls]}
    try:
        return orjson.dumps({"v": VERSION, "type": _WORDS[cls], **content}, default=_plain)
    except orjson.JSONEncodeError as error:
        raise InvalidRequest(f"cannot be sent as JSON: {error}") from None


def decode(frame: bytes) -> Message:
    """Return the message of a frame. Raises WireError, with the id to answer if there is one."""
    header = load_object(frame)
    ident = header.get("id")
    ids = [ident] if is_count(ident) else None
    check_depth(frame, header, ids)
    check_version(header, ids)
    word = header.get("type")
    found = _CLASSES.get(word) if type(word) is str else None
    if found is None:
        raise WireError("type", "unknown message type", ids)
    cls, readers = found
    try:
        message: Message = cls(*[read(header.get(name), name) for name, read in readers])
    except WireError as error:
        raise WireError(error.reason, str(error), ids) from None
    return message


def _plain(value: object) -> Any:
    """Named tuples are lists on the wire."""
    if isinstance(value, tuple):
        return list(value)
    raise TypeError


# -- reading fields -------------------------------------------------------------------------------


def _wrong(name: str, wanted: str) -> WireError:
    return WireError("form", f"{name} is not {wanted}")


def _count(value: object, name: str) -> int:
    if is_count(value):
        return value
    raise _wrong(name, "a whole number")


def _session(value: object, name: str) -> int:
    if is_count(value, limits.SESSION_MAX):
        return value
    raise _wrong(name, "the number of a session")


def _count_or_null(value: object, name: str) -> int | None:
    return None if value is None else _count(value, name)


def _flag(value: object, name: str) -> bool:
    if type(value) is bool:
        return value
    raise _wrong(name, "true or false")


def _text(value: object, name: str) -> str:
    if is_text(value):
        return value
    raise _wrong(name, "a short text")


def _random_id(value: object, name: str, *, may_lack: bool) -> str:
    if type(value) is str and (_ID.fullmatch(value) or (may_lack and not value)):
        return value
    raise _wrong(name, "an id of 16 hexadecimal digits")


def _server(value: object, name: str) -> Server:
    if type(value) is not list or len(value) != 3:
        raise _wrong(name, "[name, incarnation, address]")
    called, incarnation, address = value
    try:
        parse_server_name(called if type(called) is str else "")
    except InvalidRequest as error:
        raise WireError("form", f"{name}: {error}") from None
    if not is_address(address):
        raise _wrong(name, "at HOST:PORT")
    return Server(called, _random_id(incarnation, name, may_lack=False), address)


def _view(value: object, name: str) -> View | None:
    if value is None:
        return None
    if type(value) is not dict:
        raise _wrong(name, "a view or null")
    number = _count(value.get("number"), "number")
    backup = value.get("backup")
    if number == 0:
        raise _wrong("number", "above 0")
    return View(
        _random_id(value.get("service"), "service", may_lack=False),
        _random_id(value.get("reign"), "reign", may_lack=False),
        number,
        _server(value.get("primary"), "primary"),
        None if backup is None else _server(backup, "backup"),
    )


def _list(value: object, name: str) -> list[Any]:
    if type(value) is list:
        return value
    raise _wrong(name, "a list")


def _records(value: object, name: str) -> tuple[Any, ...]:
    return tuple(_list(value, name))


def _entries(value: object, name: str) -> tuple[Entry, ...]:
    entries = _list(value, name)
    if len(entries) > limits.OPERATIONS_PER_MESSAGE:
        raise _wrong(name, f"at most {limits.OPERATIONS_PER_MESSAGE} entries")
    return tuple(map(_entry, entries))


def _entry(value: object) -> Entry:
    if type(value) is not list or len(value) != 3:
        raise _wrong("an entry", "[time_ms, session, operation]")
    time_ms = _count(value[0], "time_ms")
    session = _session(value[1], "session")
    try:
        validate(value[2], session)
    except InvalidRequest as error:
        raise WireError("entries", str(error)) from None
    return Entry(time_ms, session, value[2])


def _status(value: object, name: str) -> dict[str, Any]:
    if type(value) is dict:
        return value
    raise _wrong(name, "an object")


def _any(value: object, _name: str) -> Any:
    return value


_READERS: Final[dict[str, Callable[[object, str], Any]]] = {
    "server": _server,
    "sender": _server,
    "reign": partial(_random_id, may_lack=True),
    "before": partial(_random_id, may_lack=True),
    "service": partial(_random_id, may_lack=True),
    "session": _session,
    "synced": _flag,
    "superseded": _flag,
    "last": _flag,
    "reason": _text,
    "code": _text,
    "status": _status,
    "entries": _entries,
    "records": _records,
    "op": _any,
    "body": _any,
}
"""Field -> its reader, in any message; all other fields are whole numbers."""

_EXCEPTIONS: Final[dict[tuple[str, str], Callable[[object, str], Any]]] = {
    ("ping", "view"): _view,
    ("pong", "view"): _view,
    ("view_reply", "view"): _view,
    ("reply", "id"): _count_or_null,
}

_NAMES: Final = {cls: tuple(field.name for field in fields(cls)) for cls in _WORDS}

_Readers = Sequence[tuple[str, Callable[[object, str], Any]]]


def _readers(cls: type[Any]) -> _Readers:
    word = _WORDS[cls]
    return [(n, _EXCEPTIONS.get((word, n)) or _READERS.get(n, _count)) for n in _NAMES[cls]]


_CLASSES: Final[dict[str, tuple[type[Any], _Readers]]] = {
    word: (cls, _readers(cls)) for cls, word in _WORDS.items()
}
