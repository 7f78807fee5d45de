"""`raftzmq client get | put | delete`: keys and values."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final

import typer

from raftzmq import limits
from raftzmq.errors import InvalidRequest
from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.client.options import All, Fence, Prefix, fences, refuse_empty_prefix
from raftzmq_cli.common import printers
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.escaping import escaped, fields, quoted
from raftzmq_cli.common.exits import AnswerIsNo
from raftzmq_cli.common.values import (
    Key,
    Literal,
    ValueWord,
    as_bytes,
    item_document,
    read_value,
    show_items,
    text,
    written_document,
    written_line,
)

if TYPE_CHECKING:
    from raftzmq import CasResult, Item, Written

commands = Commands(shared=SHARED)


@commands.command(
    "get",
    """
    raftzmq client get greeting
    raftzmq client get --prefix config/ -w json
    raftzmq client get --prefix jobs/ --count
    raftzmq client get seen/order-7 --details -w json
    raftzmq client get a --range-end b --limit 100
    raftzmq client get backup.tar --raw > backup.tar
    """,
)
def get(
    run: ClientInvocation,
    key: Key,
    *,
    stale: Annotated[
        bool,
        typer.Option("--stale", help="Any node may answer, with what it has applied so far."),
    ] = False,
    prefix: Prefix = False,
    range_end: Annotated[
        str | None,
        typer.Option(
            metavar="END", help="All keys from KEY up to, not including, END; '': no end."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Return at most N keys.")
    ] = None,
    fail_missing: Annotated[
        bool, typer.Option("--fail-missing", help="Exit with 1 if the key is missing.")
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Print the bytes of the value alone, without a newline.")
    ] = False,
    counted: Annotated[
        bool, typer.Option("--count", help="With --prefix: print how many keys there are.")
    ] = False,
    keys_only: Annotated[
        bool, typer.Option("--keys-only", help="With --prefix: print the keys alone.")
    ] = False,
    details: Annotated[
        bool, typer.Option("--details", help="Print the key's lease, time and version too.")
    ] = False,
) -> None:
    """Print the value of a key, or nothing if it is missing.

    Reads are linearizable, unless --stale: they see every write that completed before.
    With --prefix or --range-end each line has a key and its value. Keys are read in pages: each
    page is a point in time, all of them together are not. 'client scan' prints keys of one moment.

    Control characters are shown as escapes in such lines, in tables and on a terminal. A single
    value goes to a file or a pipe as it is, and -w json is exact.
    """
    if prefix and range_end is not None:
        raise InvalidRequest("--prefix and --range-end cannot be combined")
    several = prefix or range_end is not None
    if limit is not None and not several:
        raise InvalidRequest("--limit requires --prefix or --range-end")
    if raw and (several or not run.is_simple):
        raise InvalidRequest(
            "--raw prints the value of one key: leave out -w, --prefix and --range-end"
        )
    key = text(key, "key")
    if counted or keys_only or details:
        chosen = {"--count": counted, "--keys-only": keys_only, "--details": details}
        (option, *others) = [name for name, given in chosen.items() if given]
        unfit = (details and prefix) or (counted and limit is not None)
        if others or raw or fail_missing or range_end is not None or unfit:
            raise InvalidRequest(f"{option} stands alone, or beside {_BESIDE[option]}")
        if not (prefix or details):
            raise InvalidRequest(f"{option} requires --prefix")
        _show_part(run, option, key, limit, stale=stale)
        return
    if several:
        end = prefix_end(key) if prefix else text(range_end or "", "range end")
        items = list(pages(run, key, end, limit, stale=stale))
    else:
        item = run.client.get(key, stale=stale, timeout=run.timeout_s)
        items = [] if item is None else [item]
    if raw:
        for item in items:
            printers.write_value(as_bytes(item.value))
    else:
        show_items(run, items, with_keys=several)
    if fail_missing and not items:
        raise AnswerIsNo(f"there is no key{' with prefix' if prefix else ''} {quoted(key)}")


_BESIDE: Final = {
    "--count": "--prefix and --stale",
    "--keys-only": "--prefix, --limit and --stale",
    "--details": "--stale",
}
"""What each option that shows a part goes together with."""


def _show_part(
    run: ClientInvocation, option: str, key: str, limit: int | None, *, stale: bool
) -> None:
    """Print how many keys there are, or the keys alone, or all about one key."""
    timeout_s = run.timeout_s
    if option == "--count":
        count = run.client.count(key, stale=stale, timeout=timeout_s)
        run.show({"count": count}, [str(count)])
    elif option == "--keys-only":
        keys = list(_keys(run, key, limit, stale=stale))
        run.show([{"key": each} for each in keys], map(escaped, keys), ["key"])
    else:
        item = run.client.get(key, details=True, stale=stale, timeout=timeout_s)
        found = [] if item is None else [item]
        documents = [
            {
                **item_document(each),
                "lease": each.lease,
                "ttl_s": each.remaining,
                "version": each.version,
            }
            for each in found
        ]
        lines = (fields(each.value, *_ending(each), _version(each)) for each in found)
        run.show(documents, lines, ["key", "value", "revision", "lease", "ttl_s", "version"])


def _ending(item: Item) -> tuple[str, str]:
    lease = "no lease" if item.lease is None else f"lease {item.lease}"
    return lease, "stays" if item.remaining is None else f"ends in {item.remaining:g} s"


def _version(item: Item) -> str:
    return "version unknown" if item.version is None else f"version {item.version}"


def _keys(run: ClientInvocation, prefix: str, limit: int | None, *, stale: bool) -> Iterator[str]:
    """Read keys without their values, a page at a time; `limit` None reads all of them."""
    after, left = "", sys.maxsize if limit is None else limit
    while left:
        size = min(left, limits.RANGE_LIMIT)
        page = run.client.keys(prefix, after, size, stale=stale, timeout=run.timeout_s)
        yield from page
        if not page.more:
            return
        after, left = page.items[-1], left - len(page)


@commands.command(
    "put",
    """
    raftzmq client put greeting hello
    raftzmq client put config @config.json
    date | raftzmq client put now -
    raftzmq client put balance -- -5
    raftzmq client put config/version 1 --if-absent
    raftzmq client put seen/worker-3 now --ttl 30
    raftzmq client put seen/order-7 worker-3 --if-absent --ttl 86400
    raftzmq client put state ready --fence "$RAFTZMQ_LOCK_NAME:$RAFTZMQ_LOCK_TOKEN"
    """,
    writes=True,
)
def put(
    run: ClientInvocation,
    key: Key,
    value: ValueWord,
    *,
    if_revision: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="Only if the key is at revision N (0: missing); else exit 1."
        ),
    ] = None,
    if_absent: Annotated[
        bool, typer.Option("--if-absent", help="Only if the key is missing; else exit 1.")
    ] = False,
    literal: Literal = False,
    ttl: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Delete the key after SECONDS, 0.5 to ten years, unless it is written again.",
        ),
    ] = None,
    lease: Annotated[
        int | None,
        typer.Option(min=1, metavar="LEASE", help="Delete the key when this lease ends."),
    ] = None,
    keep_end: Annotated[
        bool,
        typer.Option("--keep-end", help="The key keeps the time to live or lease that it has."),
    ] = False,
    fence: Fence = None,
) -> None:
    """Write a value. A value that is not UTF-8 text is stored as bytes."""
    if if_absent and if_revision is not None:
        raise InvalidRequest("--if-revision and --if-absent cannot be combined")
    if (ttl is not None) + (lease is not None) + keep_end > 1:
        raise InvalidRequest("--ttl, --lease and --keep-end: give one of them")
    if value == "-" and run.in_shell and not literal:
        raise InvalidRequest("standard input is this shell: use @FILE, or --literal for a dash")
    key = text(key, "key")
    content = read_value(value, literal)
    expected = 0 if if_absent else if_revision
    guards = fences(fence)
    if expected is None:
        written = run.client.put(
            key,
            content,
            ttl=ttl,
            lease=lease,
            keep_end=keep_end,
            fence=guards,
            timeout=run.timeout_s,
        )
        _show_written(run, written)
        return
    result = run.client.cas(
        key,
        content,
        expected,
        ttl=ttl,
        lease=lease,
        keep_end=keep_end,
        fence=guards,
        timeout=run.timeout_s,
    )
    if result.succeeded:
        _show_written(run, result)
        return
    if run.is_json:
        printers.write_json({"succeeded": False, **written_document(result)})
    found = f"is at revision {result.revision}" if result.revision else "is absent"
    wanted = f"revision {expected}" if expected else "absent"
    raise AnswerIsNo(f"{quoted(key)} {found}, not {wanted}: nothing was written")


@commands.command(
    "delete",
    """
    raftzmq client delete greeting
    raftzmq client delete --prefix config/
    raftzmq client delete --all             (asks first on a terminal)
    """,
    writes=True,
)
def delete(
    run: ClientInvocation,
    key: Annotated[
        str | None, typer.Argument(metavar="KEY", show_default=False, help="The key.")
    ] = None,
    *,
    prefix: Annotated[
        bool,
        typer.Option(
            "--prefix",
            help="All keys that start with KEY, which is not empty.",
        ),
    ] = False,
    every: All = False,
    previous: Annotated[
        bool, typer.Option("--previous", help="Of one key: print what it was, too.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, on a terminal.")] = False,
    fence: Fence = None,
) -> None:
    """Delete a key, or all keys with a prefix. A missing key is not an error.

    Up to 2,048 keys are deleted at one moment, more in steps of so many, in order. Each step has
    --timeout.

    An empty prefix is refused: --all deletes every key. On a terminal it says how many, and asks.
    """
    guards = fences(fence)
    if previous and (every or prefix):
        raise InvalidRequest("--previous is for one key: leave out --prefix and --all")
    if every:
        if key:
            raise InvalidRequest("--all deletes every key of the cluster: leave out KEY")
        if not yes and sys.stdin.isatty():
            _ask_before_all(run)
        result = run.client.delete_prefix("", fence=guards, timeout=run.timeout_s)
    elif key is None:
        raise InvalidRequest("delete needs a KEY (see 'raftzmq client delete --help')")
    elif prefix:
        refuse_empty_prefix(key)
        result = run.client.delete_prefix(text(key, "key"), fence=guards, timeout=run.timeout_s)
    else:
        result = run.client.delete(
            text(key, "key"), previous=previous, fence=guards, timeout=run.timeout_s
        )
    document = {"deleted": result.count, **written_document(result)}
    lines = [f"{_count(result.count)} deleted; {written_line(result)}"]
    if previous:
        was = result.previous
        document["previous"] = None if was is None else item_document(was)
        lines += [] if was is None else [f"previous: {escaped(was.value)}"]
    run.show(document, lines)


def _ask_before_all(run: ClientInvocation) -> None:
    """Say how many keys there are, and ask. Raises AnswerIsNo."""
    count = sum(1 for _ in pages(run, "", "", None, stale=False))
    question = f"This deletes every key of the cluster, {_count(count)} now. Go on?"
    if not typer.confirm(question, err=True):
        raise AnswerIsNo("nothing was deleted")


def _count(keys: int) -> str:
    return "1 key" if keys == 1 else f"{keys} keys"


def pages(
    run: ClientInvocation,
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
        start = next_key(page.items[-1].key)
        left = None if left is None else left - len(page)


def next_key(key: str) -> str:
    """The first key behind `key`; "" if there is none."""
    longer = key + "\0"
    return longer if _is_short_enough(longer) else prefix_end(key)


def prefix_end(prefix: str) -> str:
    """The first key behind all that start with `prefix`; "" (no end) if there is none."""
    while prefix:
        code = ord(prefix[-1]) + 1
        if 0xD800 <= code <= 0xDFFF:
            code = 0xE000  # surrogates are no characters
        prefix = prefix[:-1]
        if code <= sys.maxunicode and _is_short_enough(prefix + chr(code)):
            return prefix + chr(code)
    return ""


def _is_short_enough(key: str) -> bool:
    return len(key.encode()) <= limits.KEY_BYTES


def _show_written(run: ClientInvocation, result: Written | CasResult) -> None:
    run.show(written_document(result), [written_line(result)])
