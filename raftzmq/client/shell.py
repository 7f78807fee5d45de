"""What handles and methods need of a client, whichever way it waits.

Handles are coroutines over a Shell. Those of the asyncio client's shell suspend. Those of the
blocking client's block and never suspend, so that `finish` runs what is made of them from its
beginning to its end in one step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar

from raftzmq.client.forks import Origin, begin_anew_in_children
from raftzmq.client.operations.arguments import NodeRequest, Operation, Work
from raftzmq.client.results import Deleted
from raftzmq.client.session.calls import Call
from raftzmq.client.session.session import Session
from raftzmq.client.session.subscriptions import Subscription
from raftzmq.client.session.tasks import Task
from raftzmq.errors import OutcomeUnknown, RaftzmqError, Refused, Unavailable

T = TypeVar("T")
P = ParamSpec("P")

Action = Callable[[Session, int], None]
"""What is done where the session is: it gets the session, and the time."""


def in_this_process(action: Action) -> Action:
    """The same, and nothing in a process that is forked from this one: its parent does it."""
    origin = Origin()

    def act(session: Session, now_ms: int) -> None:
        if origin.is_here:
            action(session, now_ms)

    return act


OnLost = Callable[[], object] | None
"""Called once when what was held is lost: by the blocking client in a thread of its own, by the
asyncio client in its event loop, where it may be a coroutine function."""


Teller = Callable[[], object] | None


class Flag(Protocol):
    """threading.Event or asyncio.Event."""

    def set(self) -> object: ...
    def clear(self) -> object: ...
    def is_set(self) -> bool: ...


class Shell(ABC):
    """Runs a session: sockets, clock, and waiting.

    Whoever holds a shell keeps its client's sockets open. The session does not: what it calls later
    are the static methods here, so that a client that nobody holds can go.
    """

    traced = False
    """Whether nodes are told of the traces of calls."""

    has_tasks = False
    """Whether callers are tasks: they can be cancelled, and await what they call."""

    def __init__(self) -> None:
        self._closed = False  # no call is taken any more
        begin_anew_in_children(self.forget_parent)

    def check_open(self) -> None:
        """Raise Unavailable once it is closed."""
        if self._closed:
            raise Unavailable("this client is closed: make another")

    @abstractmethod
    def forget_parent(self) -> None:
        """In a forked child: begin anew. What there was is the parent's, and is not touched."""

    @staticmethod
    @abstractmethod
    def now_ms() -> int:
        """Monotonic time in milliseconds."""

    @staticmethod
    @abstractmethod
    def time_of_day() -> str:
        """The date and time in UTC, as RFC 3339 has it: for people, and never compared."""

    @staticmethod
    @abstractmethod
    def flag() -> Flag:
        """A new flag, which is not set."""

    @staticmethod
    @abstractmethod
    def teller(on_lost: OnLost) -> Teller:
        """How to have `on_lost` called soon, where it may take its time; None: it is None. Raises
        InvalidRequest."""

    @staticmethod
    @abstractmethod
    def caller() -> object:
        """The thread or the task that runs."""

    @abstractmethod
    def check_caller(self) -> None:
        """Raise InvalidRequest where `post` would: what is given up is still had then."""

    @abstractmethod
    async def run(self, work: Operation[T] | NodeRequest[T]) -> T:
        """Have it done within its time; return its result or raise its error."""

    @abstractmethod
    async def run_all(self, works: Sequence[Work]) -> list[Call]:
        """Have all of them done at the same time; return the calls when all are done."""

    @abstractmethod
    async def perform(self, task: Task) -> None:
        """Have a task done, or raise its error. What interrupts the wait gives the task up."""

    @abstractmethod
    async def wait_for_news(
        self, subscription: Subscription, ready: Callable[[], bool], timeout: float | None
    ) -> bool:
        """Wait until something is `ready`, as news of the subscription may make it; False: it was
        not within `timeout` seconds. Raises Unavailable once there can be no more news."""

    @abstractmethod
    def post(self, action: Action) -> None:
        """Have something done where the session is, soon. Nothing, if the client is closed. Raises
        ForkedClient."""

    @abstractmethod
    def post_from_collector(self, action: Action) -> None:
        """As `post`, but it may be called in any thread, in the middle of anything, and at any
        time: where the garbage collector runs. Raises nothing."""


async def run_steps(shell: Shell, step: Operation[Deleted]) -> Deleted:
    """Have a step of a deletion done again and again, until there is nothing more to delete. Raises
    Refused, or OutcomeUnknown whatever the cause, if some keys were deleted before."""
    count = 0
    while True:
        try:
            done = await shell.run(step)
        except RaftzmqError as error:
            if count == 0:
                raise
            kind = type(error) if isinstance(error, Refused) else OutcomeUnknown
            raise kind(f"{count} keys are deleted; then: {error}") from error
        count += done.count
        if not done.more:
            return replace(done, count=count)


def finish(steps: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends."""
    try:
        steps.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    steps.close()
    raise RuntimeError("a coroutine of the blocking client was suspended")


def blocking(coroutine: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """A coroutine function as the method that the blocking client has."""

    @wraps(coroutine)
    def method(*args: P.args, **kwargs: P.kwargs) -> T:
        return finish(coroutine(*args, **kwargs))

    return method
