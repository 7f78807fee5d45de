"""Fences: a write that is done only while places of queues hold.

A `fence` is a lock, semaphore or election that is held, a name and a token, or several of these.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

from raftzmq import limits
from raftzmq.client.operations.arguments import Operation, check_name, check_token, quoted, write
from raftzmq.errors import InvalidRequest

T = TypeVar("T")

Fence = tuple[str, int]
"""The name of a queue, and the token of a place that must hold in it."""


class Fencing(ABC):
    """What holds places of a queue, that a write may be made to depend on."""

    name: str

    @property
    @abstractmethod
    def token(self) -> int:
        """The newest. Raises NotHeld if there is none."""

    @property
    @abstractmethod
    def tokens(self) -> tuple[int, ...]: ...


AnyFence = Fencing | Fence | Sequence[Fencing | Fence] | None
"""What must hold for a write to be done: locks and the like that are held, or names and tokens."""


def guarded(operation: Operation[T], fence: AnyFence) -> Operation[T]:
    """The write, to be done only if what `fence` names holds. Raises NotHeld if it does not even
    here."""
    return operation if fence is None else fenced(_fences(fence), operation)


def fenced(fences: Sequence[Fence], operation: Operation[T]) -> Operation[T]:
    """The write, done only if every one of the tokens holds; without any, the write as it is."""
    if not fences:
        return operation
    if len(fences) > limits.FENCES:
        raise InvalidRequest(f"a write has at most {limits.FENCES} fences, not {len(fences)}")
    guards = [[check_name(name), check_token(token)] for name, token in fences]
    return write("fenced", [guards, operation.as_part], operation.decode, operation.timeout_s)


def _fences(fence: Any) -> list[Fence]:
    if isinstance(fence, Fencing):
        return [(fence.name, token) for token in fence.tokens] or [(fence.name, fence.token)]
    if isinstance(fence, tuple) and len(fence) == 2 and isinstance(fence[0], str):
        return [(fence[0], fence[1])]
    if isinstance(fence, list | tuple) and fence:
        return [pair for part in fence for pair in _fences(part)]
    raise InvalidRequest(
        f"a fence is a lock that is held, or (name, token), or several, not {quoted(fence)}"
    )
