"""Mirrors: all keys with a prefix, read once and kept up to date by a watch.

    reading -> catching up -> whole

It is read in pages, each of the newest state. The watch begins with what follows the first page, so
what the later pages have already comes again, and is left out. The mirror is whole once it has
everything up to the last page: from then on it is, at each moment, what the cluster held at one
revision. If no node remembers what it needs next, it is read anew, and keeps its last state until
then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from raftzmq.client.operations import keys
from raftzmq.client.operations.arguments import LONGEST_TIMEOUT_S, TIMEOUT_S, Operation
from raftzmq.client.results import Event, Item, Range
from raftzmq.client.session.agenda import Agenda
from raftzmq.client.session.calls import Call
from raftzmq.client.session.outstanding import Outstanding
from raftzmq.client.session.subscriptions import Subscription
from raftzmq.client.session.tasks import copy_of
from raftzmq.client.session.watches import SILENCE_MS, Watches
from raftzmq.errors import RaftzmqError, Unavailable, WatchLost
from raftzmq.prefixes import prefix_end

PAGE_KEYS: Final = 1000
RETRY_MS: Final = 1000
"""When to read anew what could not be read."""

Items = dict[str, Item | None]


class Mirrored(Subscription):
    """One mirror. `items` is what it holds once it is `whole`, at `revision`.

    The session's thread alone changes `items`, while others read: all changes of a revision by one
    `update`, which is one step to other threads. A key that is deleted is None there, for the
    moment until it is taken out.
    """

    __slots__ = (
        "behind",
        "call",
        "changes",
        "fresh",
        "heard_ms",
        "items",
        "lost",
        "on_change",
        "pending",
        "revision",
        "target",
        "whole",
    )

    def __init__(self, prefix: str, on_change: Callable[[], object] | None = None) -> None:
        """`on_change` is called in the session's thread, and must not wait. Raises
        InvalidRequest."""
        super().__init__(None, prefix, None, False)
        page_from(self.key, prefix)  # what is wrong with it, the caller learns now
        self.items: Items = {}
        self.whole = False
        self.revision = 0
        self.changes = 0  # how often `items` has changed
        self.heard_ms = 0
        self.on_change = on_change
        self.fresh: Items | None = None  # what is being read, until it takes the place of `items`
        self.target = 0  # the revision at which that is whole
        self.pending: deque[Event] = deque()  # of a revision that has not come whole
        self.call: Call | None = None
        self.lost: Callable[[], None] = lambda: None  # set by the session

    def check(self) -> None:
        """Raise what ended it."""
        if self.error is not None:
            raise copy_of(self.error)

    def is_current(self, now_ms: int) -> bool:
        """Whether a node tells it of every change, as far as can be known now."""
        return self.whole and self.error is None and now_ms - self.heard_ms < SILENCE_MS

    # -- in the session's thread --------------------------------------------------------------

    def begin_at(self, revision: int) -> None:
        """Be a subscription to what follows a revision."""
        self.start = revision + 1
        self.after = self.through = revision
        self.opened = False
        self.pending.clear()

    def deliver(self, events: tuple[Event, ...], through: int) -> None:  # noqa: ARG002 (see `reached`)
        self.pending.extend(event for event in events if event.revision > self.after)

    def reached(self, through: int, now_ms: int) -> None:
        """Everything up to a revision has come."""
        self.heard_ms = now_ms
        items = self.items if self.fresh is None else self.fresh
        changed: Items = {}
        while self.pending and self.pending[0].revision <= through:
            event = self.pending.popleft()
            known = changed.get(event.key, items.get(event.key))
            if known is None or known.revision < event.revision:
                changed[event.key] = _item(event)
        if changed:
            items.update(changed)
        if self.fresh is None:
            self.revision = max(self.revision, through)
        for key, item in changed.items():
            if item is None:
                del items[key]
        if self.fresh is not None and through >= self.target:
            self.replace(self.fresh, through)
        elif changed and self.fresh is None:
            self.note_change()

    def replace(self, items: Items, revision: int) -> None:
        """Hold other items from now on."""
        same = self.whole and items == self.items
        first, self.whole = not self.whole, True
        self.fresh = None
        self.items, self.revision = items, revision
        if first:
            self.changes += 1
        elif not same:
            self.note_change()

    def note_change(self) -> None:
        self.changes += 1
        if self.on_change is not None:
            self.on_change()

    def end(self, error: RaftzmqError) -> None:
        self.stream = None
        if isinstance(error, WatchLost):
            self.lost()  # what it lacks is read
        else:
            self.error = error


class Mirrors:
    """All of a client's. `due_ms` is when `tick` is wanted next."""

    def __init__(self, calls: Outstanding, watches: Watches) -> None:
        self._calls = calls
        self._watches = watches
        self._all: dict[Mirrored, None] = {}
        self._again: Agenda[Mirrored] = Agenda()

    @property
    def due_ms(self) -> int:
        return self._again.due_ms

    def begin(self, mirror: Mirrored, now_ms: int) -> None:
        """Read, and follow from then on."""
        self._all[mirror] = None
        # At once, unless it was whole a moment ago: then nodes forget faster than it reads.
        mirror.lost = lambda: self._again.set(mirror, mirror.heard_ms + RETRY_MS)
        self._read(mirror, now_ms)

    def end(self, mirror: Mirrored, now_ms: int) -> None:
        """Follow no longer."""
        self._all.pop(mirror, None)
        self._again.remove(mirror)
        call, mirror.call = mirror.call, None
        if call is not None:
            self._calls.cancel(call, now_ms)
        self._watches.unsubscribe(mirror, now_ms)

    def tick(self, now_ms: int) -> None:
        for mirror in self._again.take(now_ms):
            self._read(mirror, now_ms)

    def close(self, why: str) -> None:
        """End all."""
        for mirror in list(self._all):
            self._fail(mirror, Unavailable(f"{why}: it is no mirror any more"))

    def _read(self, mirror: Mirrored, now_ms: int) -> None:
        mirror.fresh = {}
        self._read_page(mirror, mirror.key, 0, now_ms)

    def _read_page(self, mirror: Mirrored, start: str, first: int, now_ms: int) -> None:
        """Read from the key `start` on; `first` is the revision of the first page."""
        work = page_from(start, mirror.key)

        def answered(call: Call, now: int) -> None:
            if mirror.call is call:
                mirror.call = None
                self._page(mirror, call, first, now)

        mirror.call = Call(work, now_ms, LONGEST_TIMEOUT_S, internal=answered)
        self._calls.submit(mirror.call, now_ms)

    def _page(self, mirror: Mirrored, call: Call, first: int, now_ms: int) -> None:
        try:
            page: Range = call.result()
        except RaftzmqError as error:
            if mirror.whole and not _is_final(error):
                self._again.set(mirror, now_ms + RETRY_MS)
            else:
                self._fail(mirror, error)
            return
        assert mirror.fresh is not None
        mirror.fresh.update({item.key: item for item in page.items})
        first = first or page.revision
        if page.more:
            # With the last key once more: behind one of the greatest length nothing can begin.
            self._read_page(mirror, page.items[-1].key, first, now_ms)
            return
        mirror.target = page.revision
        mirror.begin_at(first)
        if first == page.revision:
            mirror.heard_ms = now_ms
            mirror.replace(mirror.fresh, first)
        self._watches.subscribe(mirror, now_ms)
        self._watches.tell(mirror)

    def _fail(self, mirror: Mirrored, error: RaftzmqError) -> None:
        self._all.pop(mirror, None)
        mirror.error = mirror.error or error
        self._watches.tell(mirror)


def page_from(start: str, prefix: str, timeout: float = TIMEOUT_S) -> Operation[Range]:
    """What reads the keys with a prefix, from the key `start` on. Raises InvalidRequest."""
    return keys.range_(start, prefix_end(prefix), PAGE_KEYS, timeout=timeout)


def _is_final(error: RaftzmqError) -> bool:
    """Whether to ask again would change nothing."""
    return error.code in {"denied", "invalid", "unauthorized"}


def _item(event: Event) -> Item | None:
    return None if event.value is None else Item(event.key, event.value, event.revision)
