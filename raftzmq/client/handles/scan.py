"""A scan in the hands of its reader: the keys with a prefix at one revision, one after another."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from raftzmq import limits
from raftzmq.client.forks import Origin
from raftzmq.client.handles.exclusive import Exclusive
from raftzmq.client.operations import scans
from raftzmq.client.operations.arguments import TIMEOUT_S, call_ms, check_bound, quoted
from raftzmq.client.session.calls import Call
from raftzmq.client.session.session import Session
from raftzmq.client.shell import Action, Shell, in_this_process
from raftzmq.errors import InvalidRequest, RaftzmqError, Unavailable, Unsupported
from raftzmq.naming import check_endpoint

T = TypeVar("T")

FRESH_MS: Final = limits.SCAN_UNUSED_MS // 4
"""A page that is older is asked for again from where the reader is: so the node, which forgets a
scan that nobody uses, learns that this one is."""


class Scan(Generic[T]):
    """The keys that begin with a prefix, in order, as they were at one revision, which is no older
    than the newest write that was answered before. Made by `scan` of a client; iterate, in one
    thread or task.

    However many there are, the client and the node have a message of them in memory, and the node
    besides what is written over while the scan is read, up to a bound. Reading begins it; what is
    left before the end is to be closed: `close`, `with`, or the garbage collector does that.
    """

    def __init__(
        self,
        shell: Shell,
        prefix: str,
        make: Callable[[Any], T],
        *,
        after: str,
        limit: int | None,
        keys_only: bool,
        stale: bool,
        endpoint: str | None,
        timeout: float | None,
    ) -> None:
        """`make` makes what the reader gets, of an item, or of a key if `keys_only`."""
        timeout = TIMEOUT_S if timeout is None else timeout
        call_ms(timeout)
        if limit is not None and (type(limit) is not int or not 0 < limit <= limits.INDEX_MAX):
            raise InvalidRequest(f"a limit is a whole number above 0, or None, not {quoted(limit)}")
        self._shell = shell
        self._prefix = check_bound("prefix", prefix)
        self._make = make
        self._after = check_bound("after", after)
        self._left = limit
        self._keys_only = _check_flag("keys_only", keys_only)
        self._stale = _check_flag("stale", stale)
        self._endpoint = None if endpoint is None else check_endpoint(endpoint)
        self._timeout = timeout
        self._page: deque[Any] = deque()
        self._got_ms = 0
        self._begun: scans.Page | None = None
        self._done = False
        """Nothing comes behind the page."""
        self._count = 0
        self._origin = Origin()
        self._reading = Exclusive(
            shell, "another thread or task reads this scan: make a scan for each"
        )
        self._end: Callable[[], object] = _nothing
        """Have the node forget it, once."""

    @property
    def revision(self) -> int:
        """The revision of what is read: a watch from the next one goes on from here without a gap.
        Raises InvalidRequest before the beginning."""
        return self._there.revision

    @property
    def node(self) -> str:
        """The name of the node that it comes from. Raises InvalidRequest before the beginning."""
        return self._there.node

    @property
    def _there(self) -> scans.Page:
        if self._begun is None:
            raise InvalidRequest("the scan has not begun: use `with`, or iterate first")
        return self._begun

    async def _open(self) -> None:
        """Begin. Raises Denied without the right to read the prefix, Unsupported if a node is of an
        older release, Overloaded if the node holds too many scans, Unavailable."""
        if self._begun is None and not self._done:
            with self._reading:
                await self._begin()

    async def _begin(self) -> None:
        self._origin = Origin()
        cluster, start = "", 0
        if not self._stale:
            newest = scans.newest(self._prefix, timeout=self._timeout)
            cluster, start = await self._shell.run(newest)
        begin = scans.begin(
            self._endpoint,
            cluster,
            start,
            self._prefix,
            self._after,
            self._left,
            keys_only=self._keys_only,
            timeout=self._timeout,
        )
        (call,) = await self._shell.run_all([begin])
        try:
            page: scans.Page = call.result()
        except InvalidRequest as error:
            raise _too_old(error) from None
        self._endpoint = endpoint = call.answered_by
        self._begun = page
        self._take_page(page)
        if not page.done:
            end = _end(endpoint, page.scan)
            finalizer = weakref.finalize(self, self._shell.post_from_collector, end)
            finalizer.atexit = False
            self._end = finalizer

    async def _has_more(self) -> bool:
        """Have something for `_take`; False at the end. Raises as `open`, and Unavailable once the
        node has gone or has let the scan go: read again then."""
        if self._begun is None:
            await self._open()
        elif not (self._done or self._is_ready()):
            self._origin.check("this scan")
            with self._reading:
                await self._go_on()
        return bool(self._page)

    def _is_ready(self) -> bool:
        """Whether `_take` has something, and the node need not be asked."""
        if not self._page:
            return False
        return self._done or self._shell.now_ms() - self._got_ms < FRESH_MS

    async def _go_on(self) -> None:
        begun = self._there
        assert self._endpoint is not None
        work = scans.go_on(
            self._endpoint,
            begun.scan,
            self._after,
            self._left,
            keys_only=self._keys_only,
            timeout=self._timeout,
        )
        try:
            page = await self._shell.run(work)
        except (InvalidRequest, Unavailable) as error:
            raise Unavailable(
                f"the scan of {self._prefix!r} broke off after {self._count} keys, at revision "
                f"{begun.revision}: {error}; read it again"
            ) from error
        if page.revision != begun.revision:
            raise Unavailable(f"the scan of {self._prefix!r} broke off: another answered")
        self._take_page(page)
        if page.done:
            self._end()

    def _take_page(self, page: scans.Page) -> None:
        self._page = deque(page.items)
        self._done = page.done
        self._got_ms = self._shell.now_ms()

    def _take(self) -> T:
        """The next one, which is there."""
        raw = self._page.popleft()
        self._after = raw if self._keys_only else raw.key
        self._count += 1
        if self._left is not None:
            self._left -= 1
        return self._make(raw)

    def close(self) -> None:
        """Read no more: the node forgets the scan. May be repeated."""
        self._page.clear()
        self._done = True
        self._end()


def _check_flag(what: str, flag: bool) -> bool:
    if type(flag) is not bool:
        raise InvalidRequest(f"{what} is True or False, not {quoted(flag)}")
    return flag


def unchanged(raw: Any) -> Any:
    """What the client's own scan makes of an item, or of a key."""
    return raw


def _nothing() -> None:
    pass


def _end(endpoint: str, scan: int) -> Action:
    """Of a function of its own: it must not hold the scan, or that would never be garbage."""

    def end(session: Session, now_ms: int) -> None:
        work = scans.end(endpoint, scan)
        session.submit(Call(work, now_ms, internal=lambda *_: None, own=True), now_ms)

    return in_this_process(end)


def _too_old(error: InvalidRequest) -> RaftzmqError:
    """What a node means that finds the request malformed."""
    if "unknown request type" not in str(error):
        return error
    return Unsupported(
        "the node that was asked runs an older build, which knows no scans: upgrade every node, or "
        "read page by page with `range`; nothing was read"
    )
