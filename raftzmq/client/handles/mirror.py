"""A mirror in the hands of its user: a mapping that follows the cluster."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Self

from raftzmq.client.forks import Origin
from raftzmq.client.handles.exclusive import Exclusive
from raftzmq.client.handles.notices import Notices, OnChange
from raftzmq.client.operations.arguments import call_ms, timeout_ms
from raftzmq.client.results import Item, Value
from raftzmq.client.session.mirrors import Mirrored
from raftzmq.client.shell import Action, Shell, in_this_process
from raftzmq.errors import InvalidRequest, Unavailable


class Mirror(Mapping[str, Value]):
    """All keys with a prefix and their values, as a mapping that follows the cluster: the names of
    keys without the prefix. Made by `mirror` of a client.

    At each moment it is what the cluster held at one `revision`. Without a connection it stays as
    it was, and is not `current`. Reading raises Denied once its user may not read all of the
    prefix, and Unavailable once the client is closed; of a closed mirror one can go on reading.
    """

    def __init__(self, shell: Shell, prefix: str, on_change: OnChange, timeout: float) -> None:
        notices = None if on_change is None else Notices(shell, on_change)
        self._shell = shell
        # It must know neither this object nor the shell: what nobody holds can go then.
        self._state = Mirrored(prefix, None if notices is None else notices.changed)
        self._within_s = call_ms(timeout) / 1000
        self._began = False
        self._closed = False
        self._origin = Origin()
        self._waiting = Exclusive(
            shell, "another thread or task waits for this mirror: make one for each"
        )

    @property
    def prefix(self) -> str:
        """What all its keys begin with."""
        return self._state.key

    @property
    def revision(self) -> int:
        """The revision of the cluster that it shows."""
        return self._read().revision

    @property
    def current(self) -> bool:
        """Whether a node is connected that tells of each change. That node may itself be cut off
        for a while: ask `get` of the client for what must be the newest."""
        state = self._state
        followed = self._origin.is_here and not self._closed
        return followed and state.is_current(self._shell.now_ms())

    @property
    def age(self) -> float:
        """For how many seconds no node has said that nothing is missing; about 1 at most as long
        as one is connected."""
        state = self._read()
        return max(0, self._shell.now_ms() - state.heard_ms) / 1000

    def copy(self) -> dict[str, Value]:
        """What it holds at one revision, as a dictionary."""
        start = len(self.prefix)
        items = self._read().items.copy()  # one step to other threads
        return {key[start:]: item.value for key, item in items.items() if item is not None}

    def item(self, name: str) -> Item | None:
        """The key, its value and the revision that wrote it; None if there is none."""
        return self._read().items.get(self.prefix + name)

    def __getitem__(self, name: str) -> Value:
        if not isinstance(name, str) or (item := self.item(name)) is None:
            raise KeyError(name)
        return item.value

    def __iter__(self) -> Iterator[str]:
        return iter(self.copy())

    def __len__(self) -> int:
        return len(self.copy())

    def __repr__(self) -> str:
        state = self._state
        return f"<mirror of {self.prefix!r} at revision {state.revision}>"

    __hash__ = object.__hash__  # it changes, and is itself

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Mirror):
            return self is other
        return isinstance(other, Mapping) and self.copy() == dict(other)

    def close(self) -> None:
        """Follow no longer. May be repeated."""
        self._check_origin()
        self._shell.check_caller()
        self._closed = True
        if self._began:
            self._shell.post(_leave(self._state))

    async def _open(self) -> Self:
        """Return once it is whole. Raises Unavailable if it is not in time, Denied, Overloaded if
        this client has too many watches already, InvalidRequest if it was closed."""
        state = self._state
        self._check_origin()
        if self._closed:
            raise InvalidRequest("this mirror was closed: make another")
        if not self._began:
            self._began = True
            self._origin = Origin()
            self._shell.post(lambda session, now: session.mirror(state, now))
            leave = weakref.finalize(self, self._shell.post_from_collector, _leave(state))
            leave.atexit = False
        with self._waiting:
            there = partial(_is_there, state)
            if not await self._shell.wait_for_news(state, there, self._within_s):
                raise Unavailable(
                    f"could not read all that begins with {self.prefix[:40]!r} within "
                    f"{self._within_s:g} s"
                )
        state.check()
        return self

    async def _enter(self) -> Self:
        """As `open`, for those who have nothing to close if this fails."""
        try:
            return await self._open()
        except BaseException:
            self.close()
            raise

    async def _wait(self, *, after: int, timeout: float | None = None) -> int:
        """Wait until it has changed more than `after` times; return how often it has. As many:
        there was no change within `timeout` seconds, or it was closed."""
        state = self._state
        within_ms = timeout_ms(timeout)
        self._read()

        def ready() -> bool:
            return state.changes > after or state.error is not None or self._closed

        with self._waiting:
            within_s = None if within_ms is None else within_ms / 1000
            await self._shell.wait_for_news(state, ready, within_s)
        self._read()
        return state.changes

    def _read(self) -> Mirrored:
        """What it holds. Raises InvalidRequest before it is open, and what ended it."""
        self._check_origin()
        if not self._closed:
            self._state.check()
        if not self._state.whole:
            raise InvalidRequest("this mirror is not open: await it, or use `async with`")
        return self._state

    def _check_origin(self) -> None:
        """Raise ForkedClient in a process forked from the one in which it began."""
        if self._began:
            self._origin.check("this mirror")


def _leave(state: Mirrored) -> Action:
    """Of a function of its own: it must not hold the mirror, or that would never be garbage."""
    return in_this_process(lambda session, now: session.mirror_no_more(state, now))


def _is_there(state: Mirrored) -> bool:
    return state.whole or state.error is not None
