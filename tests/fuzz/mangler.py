"""Bad bytes from good ones: one seed and the number of an input say what the input is.

An input is a tuple of frames (or files). A mangled one is mostly right still, for what is wrong
from its first byte on is refused before it reaches anything interesting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, Final
from zlib import crc32

import orjson

Parts = tuple[bytes, ...]

Change = Callable[[Random, bytes, bytes], bytes]
"""(random, data, other) -> data with one thing wrong with it; `other` is valid, to borrow from."""

NUMBERS: Final = (
    *(b"0", b"-0", b"1", b"-1", b"2", b"31", b"33", b"00", b"+1", b"0x10", b"1_0"),
    *(b"9007199254740990", b"9007199254740991", b"9007199254740992", b"-9007199254740991"),
    *(b"9223372036854775807", b"9223372036854775808", b"18446744073709551615"),
    *(b"18446744073709551616", b"-9223372036854775809", b"1e400", b"-1e400", b"1e-400"),
    *(b"1.0", b"3.5", b"1e3", b"3E0", b"0.1e1", b"1e308", b"NaN", b"Infinity", b"-Infinity"),
)
WORDS: Final = (
    *(b"null", b"true", b"false", b"[]", b"{}", b'""', b"[null]", b'[["k"]]', b'{"b64":"YQ=="}'),
    *(b'{"b64":"Y"}', b'{"b64":1}', b'"raft-1"', b'"raft-01"', b'"RAFT-1"', b'"a-999999999"'),
    *(b'"\\u0000"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"', b'"\\r\\n"'),
    *(b'"h:0"', b'"h:65535"', b'"h:65536"', b'"[::1]:6000"', b'"../x"', b'"{}[]{}[]"'),
    *(b'"noop"', b'"command"', b'"config"', b'"put"', b'"open"', b'"expire"', b'"value"'),
    *(b"undefined", b"'x'", b'"\xff"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\x00"'),
)
BYTES: Final = (
    *(b"\x00", b"\xff", b"\n", b"\r", b"\r\n", b"\\", b'"', b"[", b"]", b"{", b"}", b",", b":"),
    *(b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc0\x80", b"\xe2\x80\xa8", b"\\ud800", b"\\u0000"),
)
DEPTHS: Final = (2, 20, 29, 30, 31, 32, 33, 200, 254, 255, 1000, 1023, 1024, 1025, 20_000)

_NUMBER = re.compile(rb"-?\d+")
_STRING = rb'"(?:[^"\\]|\\.)*"'
_SCALAR = re.compile(_STRING + rb"\s*:|(" + _STRING + rb"|-?\d+|\b(?:null|true|false)\b)")
_MARK = b'"the place"'
_COUNT = re.compile(rb'(?<!"v")(?<=:)\d+')
_FIELD = re.compile(rb'"[^"\\]*":')


class Found(AssertionError):
    """An input that was not refused as it should have been, or not taken as it should have been.

    Its text holds all that a test of that input needs.
    """

    def __init__(self, seed: int, number: int, parts: Parts, problem: str) -> None:
        super().__init__(f"seed {seed}, input {number}: {problem}\n{parts!r}")


def variants(document: bytes) -> Iterator[bytes]:
    """A JSON document with each of its values in turn, at any depth, replaced by each odd one."""
    for place in _places(orjson.loads(document)):
        text = orjson.dumps(place)
        for value in (*WORDS, *NUMBERS):
            yield text.replace(_MARK, value)


def _places(value: Any) -> Iterator[Any]:
    """The value with a mark in the place of each value in it, and of itself."""
    yield _MARK.decode()[1:-1]
    if not isinstance(value, dict | list):
        return
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        for changed in _places(value[key]):
            copy = value.copy()
            copy[key] = changed
            yield copy


def seal(lines: bytes) -> bytes:
    """Every line of `lines` with the checksum that its text has now."""
    return b"".join(
        b"%08x %b\n" % (crc32(line[9:]), line[9:]) for line in lines.split(b"\n") if line
    )


def _rearrange(random: Random, parts: list[bytes], other: Parts) -> None:
    """Lose, double or swap whole parts, or take one from another input."""
    match random.randrange(5):
        case 0 if parts:
            del parts[random.randrange(len(parts))]
        case 1 if parts:
            parts.append(random.choice(parts))
        case 2:
            random.shuffle(parts)
        case 3 if other:
            parts.insert(random.randint(0, len(parts)), random.choice(other))
        case _:
            parts.append(b"")


# The changes. Those that look for something in the data leave it alone when it is not there.


def _flip(random: Random, data: bytes, other: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8)) if data else 0):
        changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _cut(random: Random, data: bytes, other: bytes) -> bytes:
    start, end = _span(random, data)
    return data[:start] if random.random() < 0.3 else data[:start] + data[end:]


def _repeat(random: Random, data: bytes, other: bytes) -> bytes:
    start, end = _span(random, data)
    return data[:end] + data[start:end] * random.choice((1, 1, 2, 40)) + data[end:]


def _splice(random: Random, data: bytes, other: bytes) -> bytes:
    return data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]


def _insert(random: Random, data: bytes, other: bytes) -> bytes:
    at = random.randint(0, len(data))
    run = random.choice(BYTES) * random.choice((1, 1, 2, 64, 3000))
    return data[:at] + (run if random.random() < 0.8 else random.randbytes(8)) + data[at:]


def _overwrite(random: Random, data: bytes, other: bytes) -> bytes:
    start, end = _span(random, data)
    filler = random.choice((bytes(end - start), b" " * (end - start), random.randbytes(4)))
    return data[:start] + filler + data[end:]


def _number(random: Random, data: bytes, other: bytes) -> bytes:
    long = random.random() < 0.1
    value = b"9" * random.choice((20, 300, 5000)) if long else random.choice(NUMBERS)
    return _replace(random, data, _NUMBER, lambda _: value)


def _nudge(random: Random, data: bytes, other: bytes) -> bytes:
    step = random.choice((-1, 1, 1, 2, 256))
    return _replace(random, data, _NUMBER, lambda old: b"%d" % (int(old[:18]) + step))


def _miscount(random: Random, data: bytes, other: bytes) -> bytes:
    """A field that is a number, and stays one that is valid as such."""
    most = 2**53 - 1

    def changed(old: bytes) -> bytes:
        value = int(old[:18])
        return b"%d" % random.choice((0, 1, value // 2, value + 1, value + 7, most))

    return _replace(random, data, _COUNT, changed)


def _toggle(random: Random, data: bytes, other: bytes) -> bytes:
    swapped = data.replace(b":true", b":TRUE").replace(b":false", b":true")
    return swapped.replace(b":TRUE", b":false")


def _retype(random: Random, data: bytes, other: bytes) -> bytes:
    return _replace(random, data, _SCALAR, lambda _: random.choice((*WORDS, *NUMBERS)))


def _wrap(random: Random, data: bytes, other: bytes) -> bytes:
    depth = random.choice(DEPTHS)
    if random.random() < 0.5:
        return _replace(random, data, _SCALAR, lambda old: b"[" * depth + old + b"]" * depth)
    return _replace(random, data, _SCALAR, lambda old: b'{"a":' * depth + old + b"}" * depth)


def _again(random: Random, data: bytes, other: bytes) -> bytes:
    """A field twice, with another value the first time or the second."""
    value = random.choice((*WORDS, *NUMBERS))
    name = random.choice(_FIELD.findall(data) or [b'"v":'])
    if random.random() < 0.5:
        return _replace(random, data, _FIELD, lambda old: name + value + b"," + old)
    end = data.rfind(b"}")
    return data[:end] + b"," + name + value + data[end:] if end >= 0 else data


def _lines(random: Random, data: bytes, other: bytes) -> bytes:
    """Whole lines lost, doubled, swapped, or borrowed."""
    lines = data.splitlines(keepends=True)
    if len(lines) < 2:
        return _retype(random, data, other)
    at, to = random.randrange(len(lines)), random.randint(0, len(lines))
    match random.randrange(4):
        case 0:
            del lines[at]
        case 1:
            lines.insert(to, lines[at])
        case 2:
            lines.insert(to, lines.pop(at))
        case _:
            lines.insert(to, random.choice(other.splitlines(keepends=True) or [b"\n"]))
    return b"".join(lines)


BLIND: Final = (_flip, _cut, _repeat, _splice, _insert, _overwrite)
"""Changes that know nothing of JSON, and mostly leave none."""

KNOWING: Final = (_number, _nudge, _miscount, _retype, _wrap, _again, _lines)
"""Changes of a value, a field or a line, which mostly leave a message."""

CHANGES: Final[tuple[Change, ...]] = (*BLIND, *3 * KNOWING)

GENTLE: Final[tuple[Change, ...]] = (*6 * (_miscount,), _toggle, _again, _nudge)
"""Changes after which a message is mostly still one."""


def _span(random: Random, data: bytes) -> tuple[int, int]:
    """Where a piece of the data begins and ends; mostly a short one."""
    start = random.randint(0, len(data))
    length = random.choice((1, 2, 4, 16, 64, len(data)))
    return start, min(len(data), start + random.randint(0, length))


def _replace(
    random: Random, data: bytes, what: re.Pattern[bytes], by: Callable[[bytes], bytes]
) -> bytes:
    group = what.groups  # 1 where names of fields are passed over
    places = [match.span(group) for match in what.finditer(data) if match[group] is not None]
    if not places:
        return data
    start, end = random.choice(places)
    return data[:start] + by(data[start:end]) + data[end:]


class Mangler:
    """Mangled inputs, made of the valid ones in `corpus` by `changes`.

    `sealed` are the parts that consist of checksummed lines: in some inputs their checksums are
    put right after the damage, so that what lies behind them is tried too. `only` is the one part
    to change.
    """

    def __init__(
        self,
        seed: int,
        corpus: Sequence[Parts],
        *,
        sealed: frozenset[int] = frozenset(),
        changes: Sequence[Change] = CHANGES,
        only: int | None = None,
    ) -> None:
        self.seed = seed
        self._corpus = corpus
        self._sealed = sealed
        self._changes = changes
        self._only = only

    def input(self, number: int) -> Parts:
        """The input of that number: always the same one."""
        random = Random(self.seed << 40 | number)
        parts = list(random.choice(self._corpus))
        if random.random() < 0.05:
            _rearrange(random, parts, random.choice(self._corpus))
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            if not parts:
                break
            at = random.randrange(len(parts)) if self._only is None else self._only % len(parts)
            other = random.choice(self._corpus)
            borrowed = other[at % len(other)] if other else b""
            if at in self._sealed and random.random() < 0.6:
                parts[at] = self._resealed(random, parts[at], borrowed)
            else:
                parts[at] = random.choice(self._changes)(random, parts[at], borrowed)
        return tuple(parts)

    def _resealed(self, random: Random, data: bytes, other: bytes) -> bytes:
        lines = data.splitlines(keepends=True)
        if not lines or random.random() < 0.2:
            return seal(_lines(random, data, other))
        at = random.randrange(len(lines))
        text = random.choice(self._changes)(random, lines[at][9:].rstrip(b"\n"), other[9:])
        lines[at] = seal(b"00000000 " + text.replace(b"\n", b" "))
        return b"".join(lines)

    def found(self, number: int, problem: str) -> Found:
        """The failure that input `number` is."""
        return Found(self.seed, number, self.input(number), problem)
