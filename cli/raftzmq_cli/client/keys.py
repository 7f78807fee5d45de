"""What the commands about keys and values do."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raftzmq import limits
from raftzmq.errors import InvalidRequest
from raftzmq_cli.common import exits, printers, standard_input
from raftzmq_cli.common.exits import AnswerIsNo
from raftzmq_cli.common.invocation import Invocation
from raftzmq_cli.common.settings import Output

if TYPE_CHECKING:
    from raftzmq import CasResult, Item, Written
    from raftzmq_cli.client.statuses import Found

Value = str | bytes


def get(
    run: Invocation,
    key: str,
    *,
    stale: bool,
    prefix: bool,
    range_end: str | None,
    limit: int | None,
    fail_missing: bool,
    raw: bool,
) -> None:
    if prefix and range_end is not None:
        raise InvalidRequest("--prefix and --range-end exclude each other")
    several = prefix or range_end is not None
    if limit is not None and not several:
        raise InvalidRequest("--limit goes with --prefix or --range-end")
    if raw and (several or not run.is_simple):
        raise InvalidRequest("--raw prints the value of one key, without -w")
    key = text(key, "key")
    if several:
        end = prefix_end(key) if prefix else text(range_end or "", "range end")
        items = list(pages(run, key, end, limit, stale=stale))
    else:
        item = run.client.get(key, stale=stale, timeout=run.timeout_s)
        items = [] if item is None else [item]
    if raw:
        for item in items:
            printers.write(as_bytes(item.value))
    else:
        show_items(run, items, with_keys=several)
    if fail_missing and not items:
        raise AnswerIsNo(f"there is no key {key!r}" + (" with this prefix" if prefix else ""))


def put(
    run: Invocation,
    key: str,
    word: str,
    *,
    if_revision: int | None,
    if_absent: bool,
    literal: bool,
    ttl_s: float | None,
    lease: int | None,
    fence: Sequence[str] | None,
) -> None:
    if if_absent and if_revision is not None:
        raise InvalidRequest("--if-revision and --if-absent exclude each other")
    if (if_absent or if_revision is not None) and (ttl_s is not None or lease is not None):
        raise InvalidRequest("--if-revision and --if-absent take no --ttl or --lease")
    if word == "-" and run.in_shell and not literal:
        raise InvalidRequest("standard input is this session; use @FILE, or --literal for a dash")
    key = text(key, "key")
    value = literal_value(word) if literal else read_value(word)
    expected = 0 if if_absent else if_revision
    guards = fences(fence)
    if expected is None:
        written = run.client.put(
            key, value, ttl=ttl_s, lease=lease, fence=guards, timeout=run.timeout_s
        )
        show_written(run, written)
        return
    result = run.client.cas(key, value, expected, fence=guards, timeout=run.timeout_s)
    if result.succeeded:
        show_written(run, result)
        return
    if run.settings.output is Output.JSON:
        printers.write_json({"succeeded": False, **_written(result)})
    found = f"is at revision {result.revision}" if result.revision else "is absent"
    wanted = f"revision {expected}" if expected else "absent"
    raise AnswerIsNo(f"{key!r} {found}, not {wanted}: nothing was written")


def delete(run: Invocation, key: str, prefix: bool, fence: Sequence[str] | None) -> None:
    key = text(key, "key")
    delete_one_or_many = run.client.delete_prefix if prefix else run.client.delete
    result = delete_one_or_many(key, fence=fences(fence), timeout=run.timeout_s)
    document = {
        "deleted": result.count,
        "index": result.index,
        "term": result.term,
        "leader": result.leader,
    }
    keys = "key" if result.count == 1 else "keys"
    run.show(document, [f"{result.count} {keys} deleted, index {result.index}"])


def dump(run: Invocation, found: Found) -> None:
    items = list(pages(run, "", "", None, stale=True, endpoint=found.endpoint))
    show_items(run, items, with_keys=True)
    keys = "key" if len(items) == 1 else "keys"
    exits.say(f"{found.name}: {len(items)} {keys}, as this node has them")


def pages(
    run: Invocation,
    start: str,
    end: str,
    limit: int | None,
    *,
    stale: bool,
    endpoint: str | None = None,
) -> Iterator[Item]:
    """Read a range a page at a time; `limit` None reads all of it."""
    left = limit
    while left is None or left > 0:
        size = limits.RANGE_LIMIT if left is None else min(left, limits.RANGE_LIMIT)
        page = run.client.range(
            start, end, size, stale=stale, endpoint=endpoint, timeout=run.timeout_s
        )
        yield from page
        if not page.more or not page.items:
            return
        start = page.items[-1].key + "\0"
        left = None if left is None else left - len(page)


def prefix_end(prefix: str) -> str:
    """The first key behind all that start with `prefix`; "" (no end) if there is none."""
    while prefix:
        code = ord(prefix[-1]) + 1
        if 0xD800 <= code <= 0xDFFF:
            code = 0xE000  # surrogates are no characters
        if code <= sys.maxunicode:
            return prefix[:-1] + chr(code)
        prefix = prefix[:-1]
    return ""


def fences(words: Sequence[str] | None) -> list[tuple[str, int]] | None:
    """What `--fence NAME:TOKEN` stands for; None if it was not given. Raises InvalidRequest."""
    pairs = []
    for word in words or ():
        name, _, token = word.rpartition(":")
        if not (name and token.isascii() and token.isdigit()):
            raise InvalidRequest(f"--fence must be NAME:TOKEN, such as nightly:12, not {word!r}")
        pairs.append((text(name, "name"), int(token)))
    return pairs or None


def text(word: str, what: str) -> str:
    """An argument that must be text. Raises InvalidRequest for bytes that are not UTF-8."""
    try:
        word.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidRequest(f"the {what} is not UTF-8 text") from None
    return word


def read_value(word: str) -> Value:
    """The value that an argument stands for: @FILE, - for standard input, or itself."""
    if word == "-":
        return from_bytes(standard_input.read_bytes(limits.VALUE_BYTES + 1))
    if word.startswith("@"):
        path = Path(word[1:])
        try:
            with path.open("rb") as file:
                return from_bytes(file.read(limits.VALUE_BYTES + 1))
        except OSError as error:
            raise InvalidRequest(
                f"{path}: {error.strerror or error}; --literal takes {word!r} as it is"
            ) from None
    return literal_value(word)


def literal_value(word: str) -> Value:
    """An argument as a value; the shell hands over bytes, which need not be UTF-8."""
    return from_bytes(os.fsencode(word))


def from_bytes(data: bytes) -> Value:
    """Text if it is UTF-8, else bytes."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data


def as_bytes(value: Value) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8")


def item_document(item: Item) -> dict[str, Any]:
    return {
        "key": item.key,
        "value": printers.value_document(item.value),
        "revision": item.revision,
    }


def show_items(run: Invocation, items: Iterable[Item], *, with_keys: bool) -> None:
    documents = [item_document(item) for item in items]
    lines = (
        item.key.encode("utf-8") + b"\t" + as_bytes(item.value) if with_keys else item.value
        for item in items
    )
    run.show(documents, lines, ["key", "value", "revision"])


def show_written(run: Invocation, result: Written | CasResult) -> None:
    line = f"index {result.index}, term {result.term}, leader {result.leader}"
    run.show(_written(result), [line])


def _written(result: Written | CasResult) -> dict[str, Any]:
    return {
        "index": result.index,
        "term": result.term,
        "leader": result.leader,
        "revision": result.revision,
    }
