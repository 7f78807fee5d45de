"""Keys as text: 32 bytes in hexadecimal, after letters that say whose they are.

    rzn…           the public key of the nodes, by which they know one another (port 6000)
    rzs…           the public key of the cluster, by which clients know it (port 6001)
    rzu…           a user's public key
    rzu-secret-…   the secret key that belongs to one; likewise rzn-secret-… and rzs-secret-…

A key file holds one key a line, and comments. The first key is the owner's own. `next` and
`previous` before a key mark the one that will replace it, and the one that it has replaced, while
keys are rotated. Here is text only; key_files.py reads and writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from raftzmq.errors import InvalidRequest

KEY_BYTES: Final = 32
SHORT: Final = 7
"""So many characters of a public key tell it apart for people."""

_KEY: Final = re.compile(r"(rzn|rzs|rzu)(-secret-)?([0-9a-fA-F]{64})")
_BARE: Final = re.compile(r"[0-9a-fA-F]{64}")


class Kind(StrEnum):
    """Whose key it is: the letters with which its text begins."""

    NODE = "rzn"
    SERVER = "rzs"
    USER = "rzu"


class Role(StrEnum):
    """What a key in a file is for."""

    CURRENT = ""
    NEXT = "next"
    PREVIOUS = "previous"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key, which anyone may see."""

    kind: Kind
    raw: bytes

    def __str__(self) -> str:
        return f"{self.kind}{self.raw.hex()}"

    @property
    def short(self) -> str:
        """Enough of it for a message: `rzu3f2a…`."""
        return short(str(self))


class SecretKey:
    """A secret key. It shows itself to nobody: only `reveal` and `raw` have its bytes."""

    __slots__ = ("kind", "raw")

    def __init__(self, kind: Kind, raw: bytes) -> None:
        self.kind = kind
        self.raw = raw

    def reveal(self) -> str:
        """The text for a key file, and for nothing else."""
        return f"{self.kind}-secret-{self.raw.hex()}"

    def __repr__(self) -> str:
        return f"{self.kind}-secret-…"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A secret key and the public one that belongs to it."""

    secret: SecretKey
    public: PublicKey


@dataclass(frozen=True, slots=True)
class Line:
    """A key in a file, and what it is for there."""

    key: PublicKey | SecretKey
    role: Role = Role.CURRENT

    def reveal(self) -> str:
        """The line for a key file."""
        text = self.key.reveal() if isinstance(self.key, SecretKey) else str(self.key)
        return f"{self.role} {text}".strip()


def short(text: str) -> str:
    """The beginning of a public key's text, for messages."""
    return f"{text[:SHORT]}…"


def parse_public(text: str, kind: Kind) -> PublicKey:
    """Return a public key of that kind; its letters may be left out. Raises InvalidRequest, which
    never repeats the text: it may be a secret."""
    text = text.strip()
    if _BARE.fullmatch(text):
        text = kind + text
    key = _parse(text)
    if isinstance(key, SecretKey):
        raise InvalidRequest(
            "that is a secret key: it stays with its owner; give the public key, which begins "
            f"with {kind}"
        )
    if key is None or key.kind is not kind:
        raise InvalidRequest(
            f"that is not the public key of a {kind.name.lower()}: it is {kind} and 64 "
            "hexadecimal digits"
        )
    return key


def parse_lines(text: str, where: str) -> list[Line]:
    """Return the keys of a key file in their order. Raises InvalidRequest, which names the file,
    `where`, and the line, and never repeats what is there."""
    return list(_lines(text, where))


def _lines(text: str, where: str) -> Iterator[Line]:
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        role = Role(words[0]) if words[0] in (Role.NEXT, Role.PREVIOUS) else Role.CURRENT
        key = _parse(words[-1])
        if key is None or len(words) != (1 if role is Role.CURRENT else 2):
            raise InvalidRequest(
                f"{where}, line {number}: not a key; a line is a key such as rzu… or rzu-secret-…, "
                "each with 64 hexadecimal digits, perhaps with `next` or `previous` before it"
            )
        yield Line(key, role)


def _parse(text: str) -> PublicKey | SecretKey | None:
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    kind, raw = Kind(match[1]), bytes.fromhex(match[3])
    return SecretKey(kind, raw) if match[2] else PublicKey(kind, raw)
