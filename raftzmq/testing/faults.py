"""Errors that a test orders for calls to come."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from raftzmq.client.session.calls import Call
from raftzmq.errors import InvalidRequest, OutcomeUnknown, RaftzmqError

Ordered = RaftzmqError | type[RaftzmqError]


@dataclass(slots=True)
class Fault:
    """What a call is to raise, whether it is `done` all the same, and how many go well before."""

    error: RaftzmqError
    done: bool
    skip: int

    @property
    def only_writes(self) -> bool:
        """Whether no read can end so."""
        return isinstance(self.error, OutcomeUnknown)


class Faults:
    """The faults that are ordered and have not happened. The first one is the next."""

    def __init__(self) -> None:
        self._ordered: deque[Fault] = deque()

    def order(self, error: Ordered, *, done: bool, skip: int, times: int) -> None:
        """Have `times` calls raise it, after `skip` that do not. Raises InvalidRequest."""
        if not _is_ordered(error):
            raise InvalidRequest("fail_next takes an error of raftzmq, or its class")
        if skip < 0 or times < 1:
            raise InvalidRequest("fail_next: skip is 0 or more, and times 1 or more")
        made = _made(error)
        if done and not isinstance(made, OutcomeUnknown):
            raise InvalidRequest(
                f"{type(made).__name__} says that nothing was done: only OutcomeUnknown may have "
                "done=True"
            )
        self._ordered.extend(Fault(made, done, skip if n == 0 else 0) for n in range(times))

    def next_for(self, call: Call | None) -> Fault | None:
        """The fault of this call, or of what is acquired (None); None: there is none for it."""
        if not self._ordered:
            return None
        fault = self._ordered[0]
        if fault.only_writes and (call is None or not call.is_write):
            return None
        if fault.skip:
            fault.skip -= 1
            return None
        return self._ordered.popleft()


def _is_ordered(error: object) -> bool:
    return isinstance(error, RaftzmqError) or (
        isinstance(error, type) and issubclass(error, RaftzmqError)
    )


def _made(error: Ordered) -> RaftzmqError:
    """The error itself, or one of the class."""
    if isinstance(error, RaftzmqError):
        return error
    try:
        return error(f"{error.__name__}, as the test ordered")
    except TypeError:
        raise InvalidRequest(
            f"{error.__name__} says more than a text: give fail_next the error itself"
        ) from None
