"""A client without its sockets: it finds the primary, retries, and knows what it does not know.

It does one operation after the other. Therefore a server can keep one result for each client, and
still never execute a retry twice. A write has a session and a serial. The client uses the same
serial until an answer comes, whichever server is primary by then.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from raftzmq.errors import (
    Denied,
    InvalidRequest,
    OutcomeUnknown,
    Overloaded,
    RaftzmqError,
    Refused,
    Unauthorized,
    Unavailable,
)
from raftzmq.views.messages import Message, Reply, Request, ViewReply, ViewRequest
from raftzmq.views.store import READ, validate
from raftzmq.views.view import View

VIEW_SERVER: Final = "view server"
"""Stands for the view server's address."""

SILENCE_MS: Final = 500
"""An answer that has not come after this time may never come: ask again, the view server too."""

BACKOFF_MS: Final = 20
BACKOFF_MOST_MS: Final = 200
"""Pauses after `not_primary` or `overloaded`: doubling up to a bound, with jitter."""

RECONNECT_MS: Final = 50
"""How often a message for which there is no connection is tried again."""

LONGEST_TIMEOUT_S: Final = 7 * 24 * 3600.0


@dataclass(eq=False, slots=True)
class Call:
    """What is asked, until when, and how it ended: with an `answer`, or an `error`."""

    name: str
    arguments: list[Any]
    deadline_ms: int
    answer: Reply | None = None
    error: RaftzmqError | None = None
    serial: int = 0
    session: int = 0
    unanswered: set[int] = field(default_factory=set)  # ids under which it may yet be executed
    in_doubt: bool = False  # an earlier try may have been executed, and no answer will say so

    @property
    def is_done(self) -> bool:
        return self.answer is not None or self.error is not None

    @property
    def is_write(self) -> bool:
        return self.name != READ


def call(name: str, arguments: list[Any], now_ms: int, timeout_s: float) -> Call:
    """Return a new call. Raises InvalidRequest, before anything is sent, for what a server would
    refuse and for an invalid timeout."""
    validate([1, name, *arguments], 1)
    if isinstance(timeout_s, bool) or not (
        isinstance(timeout_s, int | float) and math.isfinite(timeout_s) and timeout_s > 0
    ):
        raise InvalidRequest(f"timeout is a number of seconds above 0, not {timeout_s!r:.40}")
    return Call(name, arguments, now_ms + math.ceil(min(timeout_s, LONGEST_TIMEOUT_S) * 1000))


class ClientSession:
    """Takes calls and answers; returns messages and finished calls.

    The shell calls `submit`, `received` and `tick`, then sends what `outgoing` returns, each to the
    view server (VIEW_SERVER) or to an address; a message that cannot be sent is simply lost.
    """

    def __init__(self, random: Random, secrets: Random) -> None:
        """`random` is for pauses and ids, `secrets` for what nobody may guess."""
        self.view: View | None = None
        self._random = random
        self._secrets = secrets
        self._calls: deque[Call] = deque()
        self._opening: Call | None = None
        self._session = 0
        self._service = ""
        self._serial = 0
        self._ids = random.getrandbits(32)
        self._view_ids: set[int] = set()  # of questions to the view server, not answered yet
        self._ask_view_ms: int | None = 0  # when to ask the view server next; None: not needed
        self._send_ms = 0  # when to send the call next
        self._failures = 0
        self._said = "the view server has not answered"
        self._unsent = False
        self._overloaded = False  # the last reason given
        self._refusal: str | None = None  # why the primary does not let this client in
        self._finished: list[Call] = []

    # -- inputs -----------------------------------------------------------------------------------

    def submit(self, asked: Call, now_ms: int) -> None:
        """Take a call; those taken before it are done first."""
        self._calls.append(asked)
        if len(self._calls) == 1:
            self._begin(now_ms)

    def received(self, message: Message, now_ms: int) -> None:
        """Take an answer, whichever server sent it. A useless one is dropped."""
        if isinstance(message, ViewReply):
            self._told_view(message, now_ms)
        elif isinstance(message, Reply) and message.id is not None:
            current = self._current
            if current is not None and message.id in current.unanswered:
                self._answered(current, message, now_ms)

    def tick(self, now_ms: int) -> None:
        """End the calls whose timeout has passed."""
        for asked in [c for c in self._calls if now_ms >= c.deadline_ms]:
            self._end(asked, now_ms, error=self._too_late(asked))

    def cancel(self, asked: Call, now_ms: int) -> None:
        """Forget the call: its caller no longer waits."""
        if asked in self._calls:
            self._end(asked, now_ms, error=self._too_late(asked))

    def unsent(self, message: Message, now_ms: int) -> None:
        """A message of `outgoing` could not be sent, because there is no connection yet. It is
        tried again after `RECONNECT_MS`, or when `connected` is called."""
        self._unsent = True
        if isinstance(message, ViewRequest):
            self._ask_view_ms = now_ms + RECONNECT_MS
        elif isinstance(message, Request) and self._current is not None:
            self._current.unanswered.discard(message.id)
            self._said = "there is no connection to the primary"
            self._send_ms = now_ms + RECONNECT_MS
            if self._ask_view_ms is None:
                self._ask_view_ms = now_ms + RECONNECT_MS

    def connected(self, now_ms: int) -> None:
        """A connection is established on which a message could not be sent before."""
        if self._unsent:
            self._unsent = False
            self._send_ms = min(self._send_ms, now_ms)
            if self._ask_view_ms is not None:
                self._ask_view_ms = min(self._ask_view_ms, now_ms)

    def refused(self, to: str, why: str, now_ms: int) -> None:
        """The view server (VIEW_SERVER) or the server at an address does not let this client in.
        Where the view server does not, all calls end. A primary that does not may be another server
        by now: the view server is asked."""
        if to != VIEW_SERVER:
            self._refusal = why
            self._ask_view_ms = now_ms if self._ask_view_ms is None else self._ask_view_ms
            return
        for asked in list(self._calls):
            self._end(asked, now_ms, error=_undone(asked, Unauthorized(why)))

    def outgoing(self, now_ms: int) -> list[tuple[str, Message]]:
        """The messages to send now, each with its destination."""
        out: list[tuple[str, Message]] = []
        current = self._current
        if current is None:
            return out
        if self._ask_view_ms is not None and now_ms >= self._ask_view_ms:
            self._ids += 1
            self._view_ids.add(self._ids)
            self._ask_view_ms = now_ms + SILENCE_MS
            out.append((VIEW_SERVER, ViewRequest(self._ids)))
        view = self.view
        if view is not None and now_ms >= self._send_ms:
            if current.unanswered:  # silence: perhaps another server is primary by now
                self._said = f"{view.primary.name} does not answer"
                self._ask_view_ms = now_ms if self._ask_view_ms is None else self._ask_view_ms
            self._send_ms = now_ms + SILENCE_MS
            out.append((view.primary.address, self._request(current, view)))
        return out

    @property
    def wants_view(self) -> bool:
        """Whether the view server is to be asked, now or soon."""
        return self._ask_view_ms is not None

    @property
    def is_open(self) -> bool:
        """Whether the servers remember this client."""
        return self._session != 0

    # -- outputs ----------------------------------------------------------------------------------

    def next_deadline_ms(self) -> int | None:
        """When `tick` and `outgoing` are due."""
        if not self._calls:
            return None
        due = [c.deadline_ms for c in self._calls]
        if self._ask_view_ms is not None:
            due.append(self._ask_view_ms)
        if self.view is not None:
            due.append(self._send_ms)
        return min(due)

    def take_finished(self) -> list[Call]:
        """Return the calls that were done since the last time."""
        finished = self._finished
        self._finished = []
        return finished

    # -- inside -----------------------------------------------------------------------------------

    @property
    def _current(self) -> Call | None:
        """The operation to send: the opening of the session, if the first call needs it."""
        if self._opening is not None:
            return self._opening
        return self._calls[0] if self._calls else None

    def _begin(self, now_ms: int) -> None:
        """Start the first call."""
        self._opening = None
        self._failures = 0
        self._send_ms = now_ms
        if not self._calls:
            return
        if self.view is None:
            self._ask_view_ms = now_ms
        first = self._calls[0]
        if first.is_write and not self._session:
            secret = f"{self._secrets.getrandbits(64):016x}"
            self._opening = Call("open", [secret], first.deadline_ms)
        elif first.is_write:
            self._serial += 1
            first.serial = self._serial
            first.session = self._session

    def _request(self, current: Call, view: View) -> Request:
        self._ids += 1
        current.unanswered.add(self._ids)
        serial = current.serial if current.is_write else self._ids
        op = [serial, current.name, *current.arguments]
        return Request(self._ids, view.service, view.number, current.session, op)

    def _told_view(self, reply: ViewReply, now_ms: int) -> None:
        if reply.id not in self._view_ids:
            return
        self._view_ids.clear()
        self._ask_view_ms = None
        view = reply.view
        if view is None:
            self._said = f"the view server {reply.reason}" if reply.reason else "there is no view"
            self._ask_view_ms = now_ms + self._pause_ms()
            return
        if self._service and view.service != self._service:
            self._session_lost(now_ms)
        elif self.view is not None and view.number < self.view.number:
            return
        if self.view is None or view.primary != self.view.primary:
            self._send_ms = min(self._send_ms, now_ms)
            self._refusal = None
        self._service = view.service
        self.view = view

    def _answered(self, current: Call, reply: Reply, now_ms: int) -> None:
        current.unanswered.discard(reply.id or 0)
        message = reply.body.get("message", "") if isinstance(reply.body, dict) else ""
        self._said = str(message or reply.code)
        self._overloaded = reply.code == "overloaded"
        self._refusal = None
        match reply.code:
            case "ok" if current is self._opening:
                self._session = int(reply.body)
                self._serial = 0
                self._begin(now_ms)
            case "ok":
                self._end(current, now_ms, answer=reply)
            case "not_primary" | "view_changed":
                current.in_doubt |= reply.code == "view_changed"
                self._send_ms = now_ms + self._pause_ms()
                self._ask_view_ms = now_ms if self._ask_view_ms is None else self._ask_view_ms
            case "overloaded":
                self._send_ms = now_ms + self._pause_ms()
            case "session_expired":
                self._session_lost(now_ms)
            case "too_long":
                text = f"append: the value would have {reply.body} bytes, which is too long"
                self._end(current, now_ms, error=InvalidRequest(text))
            case "invalid" | "malformed" | "unsupported_version":
                self._end(current, now_ms, error=InvalidRequest(self._said))
            case "denied":  # perhaps only the opening of a session for the call
                first = self._calls[0]
                self._end(first, now_ms, error=_undone(first, Denied(self._said)))
            case _:
                self._end(current, now_ms, error=Refused(self._said))

    def _session_lost(self, now_ms: int) -> None:
        """The primary does not know the session: open another one, unless the current write may
        have been executed under the old one."""
        self._session = 0
        first = self._calls[0] if self._calls else None
        if first is None or not first.is_write or self._opening is not None:
            return
        if first.in_doubt or first.unanswered:
            text = "the servers have forgotten this client: the outcome of the write is unknown"
            self._end(first, now_ms, error=OutcomeUnknown(text))
        else:
            self._begin(now_ms)

    def _pause_ms(self) -> int:
        """How long to wait after one more answer that says `not_primary` or `overloaded`."""
        most = min(BACKOFF_MOST_MS, BACKOFF_MS << min(self._failures, 8))
        self._failures += 1
        return 1 + int(most * (0.5 + self._random.random() / 2))

    def _end(
        self,
        asked: Call,
        now_ms: int,
        answer: Reply | None = None,
        error: RaftzmqError | None = None,
    ) -> None:
        asked.answer = answer
        asked.error = error
        was_first = asked is self._calls[0]
        self._calls.remove(asked)
        self._finished.append(asked)
        if was_first:
            self._begin(now_ms)

    def _too_late(self, asked: Call) -> RaftzmqError:
        where = self._said
        if asked.is_write and (asked.in_doubt or asked.unanswered):
            return OutcomeUnknown(
                f"no answer in time; the outcome of the write is unknown: {where}"
            )
        if self._refusal is not None:
            return Unauthorized(self._refusal)
        if self._overloaded:
            return Overloaded(where)
        return Unavailable(f"no answer in time, and nothing was done: {where}")


def _undone(asked: Call, error: RaftzmqError) -> RaftzmqError:
    """The error of a call that ends with this one, unless an earlier try may have been executed."""
    if asked.is_write and (asked.in_doubt or asked.unanswered):
        return OutcomeUnknown(f"sent before, and may have been done; now {error}")
    return error
