"""Openings of connections that no library sends: ZMTP with each of its fields made wrong in turn.

A greeting is a signature of 10 bytes, a version of 2, a mechanism of 20, a byte for the role, and
31 of nothing. Then come commands, the last of which ends the handshake, and then messages.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from random import Random
from typing import Final

from tests.system.zmtp import frame

MORE: Final = 1
LONG: Final = 2
COMMAND: Final = 4

STATUS: Final = frame(b'{"v":1,"type":"status","id":1}')
SOCKET_TYPES: Final = (
    *("REQ", "REP", "DEALER", "ROUTER", "PUB", "SUB", "XPUB", "XSUB", "PUSH", "PULL", "PAIR"),
    *(
        "STREAM",
        "SERVER",
        "CLIENT",
        "RADIO",
        "DISH",
        "",
        "dealer",
        "D" * 255,
        "DEALER\0",
        "\xff\xfe",
    ),
)
IDENTITIES: Final = (
    *(b"", b"\0", b"\0" * 5, b"\0\0\0\0\1", b"\0" * 255, b"i" * 254, b"i" * 255, b"i" * 256),
    *(b"i" * 70_000, b'{"v":1}', b"\xff" * 5),
)
MECHANISMS: Final = (
    *(b"NULL", b"PLAIN", b"CURVE", b"GSSAPI", b"", b"null", b"NULL2", b"N", b"NULL\0CURVE"),
    *(b"\xff" * 20, b"NULL".ljust(20, b" "), b"A" * 20),
)


def greeting(
    *,
    signature: bytes = b"\xff" + bytes(8) + b"\x7f",
    version: bytes = b"\x03\x01",
    mechanism: bytes = b"NULL",
    role: bytes = b"\0",
    filler: bytes = bytes(31),
) -> bytes:
    return signature + version + mechanism.ljust(20, b"\0") + role + filler


def command(name: bytes, body: bytes = b"") -> bytes:
    return frame(bytes([len(name)]) + name + body, COMMAND)


def long_command(name: bytes, body: bytes = b"") -> bytes:
    """With a length of eight bytes, however short it is."""
    content = bytes([len(name)]) + name + body
    return struct.pack(">BQ", COMMAND | LONG, len(content)) + content


def prop(name: bytes, value: bytes, length: int | None = None) -> bytes:
    return (
        bytes([len(name)])
        + name
        + struct.pack(">I", len(value) if length is None else length)
        + value
    )


def ready(*properties: bytes) -> bytes:
    return command(b"READY", b"".join(properties))


TYPE: Final = prop(b"Socket-Type", b"DEALER")
READY: Final = ready(TYPE, prop(b"Identity", b""))
OPEN: Final = greeting() + READY


def greetings() -> Iterator[bytes]:
    """Each field of the greeting made wrong, and each cut short; what follows is right."""
    for position in range(10):
        for value in (0x00, 0x01, 0x7E, 0x7F, 0x80, 0xFF):
            signature = bytearray(greeting()[:10])
            signature[position] = value
            yield greeting(signature=bytes(signature)) + READY + STATUS
    for major in (0, 1, 2, 3, 4, 127, 255):
        for minor in (0, 1, 2, 255):
            yield greeting(version=bytes([major, minor])) + READY + STATUS
    for old in (b"\x00", b"\x01", b"\x02"):  # without a mechanism: a revision and a socket type
        for kind in range(13):
            yield b"\xff" + bytes(8) + b"\x7f" + old + bytes([kind]) + frame(b"") + STATUS
    for mechanism in MECHANISMS:
        for role in (b"\0", b"\1", b"\xff"):
            yield greeting(mechanism=mechanism, role=role) + READY + STATUS
    yield greeting(filler=b"\xff" * 31) + READY + STATUS
    for length in range(64):
        yield greeting()[:length]
    for plain in (b"", b"\0", b"\5admin\6secret", b"\xff" * 9, b"\5ad"):
        yield greeting(mechanism=b"PLAIN") + command(b"HELLO", plain) + command(b"INITIATE", TYPE)
    for size in (0, 1, 191, 192, 193, 194, 250, 1000):
        hello = command(b"HELLO", (b"\1\0" + bytes(72) + b"k" * 120)[:size].ljust(size, b"x"))
        yield greeting(mechanism=b"CURVE") + hello + command(b"INITIATE", b"x" * 248)
    for size in (0, 4, 100, 70_000):
        yield greeting(mechanism=b"GSSAPI") + command(b"INITIATE", b"t" * size)


def handshakes() -> Iterator[bytes]:
    """Right greetings, and wrong commands after them."""
    for kind in SOCKET_TYPES:
        yield greeting() + ready(prop(b"Socket-Type", kind.encode("latin-1"))) + STATUS
    for identity in IDENTITIES:
        yield greeting() + ready(TYPE, prop(b"Identity", identity)) + STATUS
    for length in (0, 1, 5, 7, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1):
        yield greeting() + ready(TYPE, prop(b"Identity", b"abcdef", length)) + STATUS
        yield greeting() + ready(prop(b"Socket-Type", b"DEALER", length)) + STATUS
        yield greeting() + ready(TYPE, prop(b"X-Anything", b"abcdef", length)) + STATUS
    yield greeting() + ready() + STATUS
    yield greeting() + ready(TYPE, TYPE) + STATUS
    yield greeting() + ready(TYPE, *[prop(b"Identity", bytes([n])) for n in range(50)]) + STATUS
    yield greeting() + ready(TYPE, *[prop(b"P%d" % n, b"v" * 50) for n in range(2000)]) + STATUS
    yield greeting() + ready(TYPE, prop(b"", b"")) + STATUS
    yield greeting() + ready(TYPE, prop(b"n" * 255, b"v")) + STATUS
    yield greeting() + ready(TYPE) + ready(TYPE) + STATUS
    for cut in range(len(READY)):
        yield greeting() + READY[:cut]
    for name in (
        b"READY",
        b"ERROR",
        b"HELLO",
        b"WELCOME",
        b"INITIATE",
        b"PING",
        b"PONG",
        b"",
        b"x" * 255,
    ):
        for body in (b"", b"\0", b"\3bad", b"\xffbad", b"x" * 300):
            yield greeting() + command(name, body) + READY + STATUS
            yield greeting() + long_command(name, body) + READY + STATUS
    for length in (0, 1, 4, 5, 6, 200, 255):  # the length of a name that the command has not
        yield greeting() + frame(bytes([length]) + b"READY" + TYPE, COMMAND) + STATUS
    yield greeting() + frame(b"", COMMAND) + READY
    yield greeting() + STATUS + READY
    yield greeting() + frame(b"READY", 0) + STATUS
    for flags in range(256):
        yield greeting() + bytes([flags, 5]) + b"\5READ" + READY + STATUS


def traffic() -> Iterator[bytes]:
    """Right handshakes, and wrong frames after them."""
    for flags in range(256):
        yield OPEN + bytes([flags, 3]) + b"abc" + STATUS
        yield OPEN + struct.pack(">BQ", flags, 3) + b"abc" + STATUS
    for length in (0, 255, 2**16, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1):
        for flags in (LONG, LONG | MORE, LONG | COMMAND, LONG | COMMAND | MORE):
            yield OPEN + struct.pack(">BQ", flags, length) + b"x" * 300
    for name in (
        b"SUBSCRIBE",
        b"CANCEL",
        b"ERROR",
        b"READY",
        b"HELLO",
        b"JOIN",
        b"LEAVE",
        b"x" * 255,
    ):
        for body in (b"", b"topic", b"\xff" * 300):
            yield OPEN + command(name, body) + STATUS
            yield OPEN + long_command(name, body) + STATUS
            yield OPEN + frame(b"part", MORE) + command(name, body) + frame(b"rest") + STATUS
    for size in range(40):
        yield OPEN + command(b"PING", b"t" * size) + STATUS
        yield OPEN + command(b"PONG", b"t" * size) + STATUS
        yield OPEN + frame(b"part", MORE) + command(b"PING", b"t" * size) + frame(b"rest")
    for ttl in (0, 1, 10, 0xFFFF):
        yield OPEN + command(b"PING", struct.pack(">H", ttl) + b"c" * 16) * 20 + STATUS
    for old in (b"\0", b"\1topic"):  # subscriptions as ZMTP 2 has them
        yield OPEN + frame(old) * 10
    for length in range(6):  # names of commands that are cut short
        yield OPEN + frame(b"\4PING"[:length], COMMAND) + frame(b"\x09SUBSCRIBE"[:length], COMMAND)


def noise(count: int, seed: int) -> Iterator[bytes]:
    """A right conversation of which single bytes are changed, left out or said twice."""
    random = Random(seed)
    right = OPEN + command(b"PING", b"\0\1context") + frame(b"a", MORE) + frame(b"b") + STATUS
    for _ in range(count):
        said = bytearray(right)
        for _ in range(random.randint(1, 4)):
            place = random.randrange(len(said))
            said[place : place + random.choice((0, 1, 1, 1, 8))] = random.choice(
                (b"", random.randbytes(1), random.randbytes(8), said[place : place + 9])
            )
        yield bytes(said)


def openings(count: int, seed: int) -> list[bytes]:
    """All of them, `count` noisy ones among them."""
    return [*greetings(), *handshakes(), *traffic(), *noise(count, seed)]
