"""Values and other arguments: their form on the wire, their form in memory, and their size.

On the wire and in the log a value is a string, or `{"b64": "…"}` for bytes. In memory it is `str`
or `bytes`: both immutable, so that a snapshot needs references and no copies, and bytes are not
stored a third larger than they are.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from typing import Any

from raftzmq.errors import UnknownEntry

Value = str | bytes

Item = tuple[Value, int, int]
"""A key's value, its revision, which is the number of the command that wrote it, and its version:
how often it was written since it was created. 0: nobody knows, for nobody counted then."""

LIST_BYTES = 64
"""What a list adds to a body's size: more than its brackets, commas and one 16-digit revision
take on the wire, and near to what it takes in memory."""

_INTEGER = re.compile("0|-?[1-9][0-9]{0,15}")

_CONTROLS = bytes(range(32))


def from_wire(value: Any) -> Value:
    """Return the stored form of a validated value. Raises UnknownEntry for another form."""
    if type(value) is str:
        return value
    if type(value) is dict and len(value) == 1 and type(value.get("b64")) is str:
        return a2b_base64(value["b64"])
    raise UnknownEntry("a value is in a form that this version does not know")


def expect_text(argument: Any) -> str:
    """Return a string argument. Raises UnknownEntry if it is something else."""
    if type(argument) is not str:
        raise unknown_argument()
    return argument


def expect_integers(*arguments: Any) -> None:
    """Raises UnknownEntry unless all arguments are integers."""
    for argument in arguments:
        if type(argument) is not int:
            raise unknown_argument()


def unknown_argument() -> UnknownEntry:
    """Return the error about an argument that a newer version must have written."""
    return UnknownEntry("an argument is in a form that this version does not know")


def to_wire(value: Value) -> Any:
    """Return the JSON form of a stored value."""
    if isinstance(value, str):
        return value
    return {"b64": b2a_base64(value, newline=False).decode("ascii")}


def item_body(item: Item | None) -> list[Any] | None:
    """Return `[value, revision]` in JSON form, or None for an absent key."""
    return None if item is None else [to_wire(item[0]), item[1]]


def integer_of(value: Value) -> int | None:
    """Return the number that a text is in decimal, of at most 16 digits and in the one way to write
    it; None for anything else.

    >>> integer_of("-7"), integer_of("07"), integer_of(b"7")
    (-7, None, None)
    """
    return int(value) if type(value) is str and _INTEGER.fullmatch(value) else None


def text_size(text: str) -> int:
    """Return how many bytes a string takes in a JSON message, its quotes included.

    All control characters count six, though JSON has shorter forms for a few of them.
    """
    data = text.encode()
    controls = len(data) - len(data.translate(None, _CONTROLS))
    return 2 + len(data) + data.count(b'"') + data.count(b"\\") + 5 * controls


def binary_size(data: bytes) -> int:
    """Return how many bytes the wire form of a binary value takes in a JSON message."""
    return (len(data) + 2) // 3 * 4 + 10  # base64 needs no escapes; {"b64":""} is around it


def wire_size(value: Any) -> int:
    """Return how many bytes a value in its wire form takes in a JSON message."""
    if type(value) is str:
        return text_size(value)
    return len(value["b64"]) + 10


def body_size(body: Any) -> int:
    """Return an upper bound of a result body's size in a JSON message, in bytes."""
    if type(body) is list:
        size = LIST_BYTES
        for item in body:  # most are numbers, and a call for each costs more than the rest
            size += 17 if type(item) is int else body_size(item)
        return size
    if type(body) is str or type(body) is dict:
        return wire_size(body)
    return 17  # a number of up to 16 digits, true, false or null, and a comma
