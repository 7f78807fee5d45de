"""A watcher that holds a node to the protocol: no gap, no duplicate, all in order."""

from __future__ import annotations

from typing import Any

from raftzmq.transport.client_wire import Reply
from raftzmq.transport.watch_wire import Events, Watching, WatchLost, WatchRequest


class Watcher:
    """One watch, and what it has heard. `deaf`: it does not read, so that no events can be sent."""

    def __init__(
        self,
        key: str = "",
        *,
        prefix: bool = True,
        start: int | None = None,
        previous: bool = False,
        ident: int = 1,
        cluster: str = "",
    ) -> None:
        self.request = WatchRequest(ident, key, prefix, start, previous, cluster)
        self.position: int | None = None
        self.held: list[list[Any]] = []  # of the revision that has not come whole
        self.events: list[list[Any]] = []
        self.messages = 0  # with events in them
        self.progress = 0  # and without
        self.lost: WatchLost | None = None
        self.deaf = False

    def hears(self, reply: Reply) -> bool:
        """Take a message in. Fails for one that a client would have to take for a loss."""
        if self.deaf and isinstance(reply, Events):
            return False
        match reply:
            case Watching(ident, after):
                assert ident == self.request.id
                assert self.lost is None
                assert self.position in (None, after)
                if self.position is None and self.request.start is not None:
                    assert after == self.request.start - 1
                self.position = after
            case Events():
                self._take(reply)
            case WatchLost(ident):
                assert ident == self.request.id
                assert self.lost is None
                self.lost = reply
            case _:
                raise AssertionError(f"not for a watcher: {reply}")
        return True

    def _take(self, message: Events) -> None:
        assert message.id == self.request.id
        assert self.lost is None
        assert message.after == self.position, "a gap, or a duplicate"
        assert message.skip == len(self.held), "a gap within a revision"
        events = [list(event) for event in message.events]
        if events:
            self.messages += 1
        else:
            self.progress += 1
        whole = [event for event in events if event[0] <= message.through]
        if message.through > message.after:
            self.events += self.held + whole
            self.held = []
        self.held += events[len(whole) :]
        self.position = message.through
