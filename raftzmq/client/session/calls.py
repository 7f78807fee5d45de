"""One call of a caller, from submission to its outcome; the lane it waits in, and the batch that
carries it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from raftzmq.client.operations.arguments import Answer, Operation, Work, cached_call_ms, call_ms
from raftzmq.errors import RaftzmqError, WireError
from raftzmq.transport.client_wire import Single

REQUEST_BYTES: Final = 64
OPEN: Final = b'"open",'

OWN: Final = "own"
AWAITS: Final = "awaits"
WATCHES: Final = "watches"
"""Lanes that travel apart: of what the client does by itself, which never waits behind what its
callers do; of what nodes keep back; and of requests to watch."""

WINDOW_BYTES_LEAST: Final = 256 * 1024
WINDOW_BYTES_FIRST: Final = 4 * 1024 * 1024
WINDOW_BYTES_MOST: Final = 16 * 1024 * 1024
PROMPT_MS: Final = 150
"""How many bytes a lane has in flight: twice as many after an answer within this time, half as many
after one that took more than twice as long. What leaves next is answered in about that time, on
whatever link and however busy the nodes are: above all what keeps leases alive."""

BACKOFF_MS: Final = 20
BACKOFF_MOST_MS: Final = 100
OVERLOADED_MOST_MS: Final = 1000
"""Pauses after "try again": doubling up to a bound, each cut by a random part up to a half. The
bound is what an election takes longer, on the average by half of it, for those who wait for it."""


class Call:
    """What is asked, until when, and how it stands.

    A call waits in its lane's queue, or is in flight in the `batch` that carries it, or is done.
    """

    __slots__ = (
        "alone",
        "answer",
        "answered_by",
        "batch",
        "deadline_ms",
        "done",
        "error",
        "id",
        "in_doubt",
        "internal",
        "is_write",
        "lane",
        "numbered",
        "own",
        "refusal",
        "repeatable",
        "session",
        "silences",
        "size",
        "submitted_ms",
        "to_leader",
        "waiter",
        "work",
    )

    def __init__(
        self,
        work: Work,
        now_ms: int,
        timeout: float | None = None,
        *,
        internal: Callable[[Call, int], None] | None = None,
        own: bool = False,
    ) -> None:
        """`own` calls are the client's, to keep or end what its callers have: no bound of theirs
        refuses one. `timeout` is in seconds; None: that of the work. Raises InvalidRequest if it is
        not a positive number."""
        self.work = work
        self.own = own
        self.submitted_ms = now_ms
        timeout = work.timeout_s if timeout is None else timeout
        try:
            self.deadline_ms = now_ms + cached_call_ms(timeout)
        except TypeError:
            self.deadline_ms = now_ms + call_ms(timeout)  # says what is wrong
        if isinstance(work, Operation):
            self.size = len(work.tail)
            # Opening a session has no serial: once too often does no harm.
            self.is_write = self.numbered = work.is_write and not work.tail.startswith(OPEN)
            self.repeatable = True
            self.to_leader = not work.stale
            lane = AWAITS if work.hold_ms else ""
        else:
            self.size = REQUEST_BYTES
            self.is_write = not work.repeatable
            self.repeatable = work.repeatable
            self.to_leader = work.to_leader
            self.numbered = False  # its id is no serial of a session
            lane = work.lane
        self.lane = work.endpoint or lane or ("any" if not self.to_leader else OWN if own else "")
        self.internal = internal  # called, with the time, when done: the session's own call
        self.waiter: Any = None  # the shell's own: what to wake
        self.id = 0  # on the wire; 0 until first sent
        self.session = 0  # the session that the id is a serial of
        self.batch: Batch | None = None
        self.silences = 0  # how often it was sent again because no answer came
        self.in_doubt = False  # an earlier try was sent and may take effect; never taken back
        self.alone = False  # travels by itself: a message with it was refused as a whole
        self.refusal: RaftzmqError | None = None  # the last answer that says "not done, try again"
        self.done = False
        self.answer: Answer | Single | None = None
        self.error: RaftzmqError | None = None
        self.answered_by: str  # the endpoint, of a request that is a message of its own

    def result(self) -> Any:
        """Return what the call returns, or raise its error."""
        if self.error is not None:
            raise self.error
        decode: Callable[[Any], Any] = self.work.decode
        try:
            return decode(self.answer)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise WireError("body", f"an answer that is not of the protocol: {error}") from None


class TracedCall(Call):
    """A call that nodes are told the trace of, as W3C's traceparent; "" if there is none."""

    __slots__ = ("trace",)

    def __init__(self, work: Work, now_ms: int, trace: str) -> None:
        super().__init__(work, now_ms)
        self.trace = trace


@dataclass(slots=True, eq=False)
class Lane:
    """Calls that go to the same endpoint now: the leader's, anybody's, or one that was named
    (`fixed`)."""

    target: str
    fixed: bool = False
    stale: bool = False  # whoever is asked answers, from what it has applied
    own: bool = False  # of the client's own calls
    holds: bool = False  # nodes keep answers back: that they are owed says nothing of the load
    queue: deque[Call] = field(default_factory=deque)
    aimed_ms: int = 0
    resume_ms: int = 0
    failures: int = 0
    chases: int = 0
    confirmed: bool = False  # the target has answered as leader, and nothing said otherwise since
    messages: int = 0  # in flight
    bytes: int = 0  # in flight
    window_bytes: int = WINDOW_BYTES_FIRST  # beyond, nothing more is sent

    def aim(self, endpoint: str, now_ms: int) -> None:
        self.target = endpoint
        self.aimed_ms = now_ms
        self.confirmed = False

    def answered(self) -> None:
        """Progress: pauses and chases start from the beginning."""
        self.failures = 0
        self.chases = 0

    def paced(self, took_ms: int) -> None:
        """An answer took so long. What has not come near the bound says nothing for a higher."""
        if took_ms <= PROMPT_MS:
            if 2 * self.bytes >= self.window_bytes:
                self.window_bytes = min(2 * self.window_bytes, WINDOW_BYTES_MOST)
        elif took_ms > 2 * PROMPT_MS:
            self.window_bytes = max(self.window_bytes // 2, WINDOW_BYTES_LEAST)

    def pause(self, now_ms: int, random: Random, most_ms: int = BACKOFF_MOST_MS) -> None:
        """Send nothing for a while, a longer one each time in a row."""
        if now_ms < self.resume_ms:
            return
        backoff_ms = min(most_ms, BACKOFF_MS << min(self.failures, 16))
        self.resume_ms = now_ms + 1 + int(backoff_ms * (0.5 + random.random() / 2))
        self.failures += 1
        self.chases = 0

    def requeue(self, calls: list[Call]) -> None:
        """Put calls back in front, in their order."""
        self.queue.extendleft(reversed(calls))


@dataclass(slots=True, eq=False)
class Batch:
    """A message on its way. `pending` counts its calls that are still in flight in it; when the
    clock passes `silent_ms` (None: never), they are sent again."""

    endpoint: str
    lane: Lane
    calls: list[Call]
    frame: bytes
    sent_ms: int
    silent_ms: int | None
    pending: int

    def calls_in_flight(self) -> list[Call]:
        return [call for call in self.calls if call.batch is self]
