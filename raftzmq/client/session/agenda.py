"""When each of many things is due: moved and taken back in little time, however many there are."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final, Generic, TypeVar

NEVER_MS: Final = 2**62

T = TypeVar("T")


class Agenda(Generic[T]):
    """Each item has one time, or none. `due_ms` is the earliest; NEVER_MS if there is none."""

    def __init__(self) -> None:
        self._times: dict[T, int] = {}
        self._heap: list[tuple[int, int, T]] = []  # also of times that are no longer right
        self._entries = 0
        self.due_ms = NEVER_MS

    def set(self, item: T, due_ms: int) -> None:
        """The item is due then, and at no other time."""
        if self._times.get(item) == due_ms:
            return
        self._times[item] = due_ms
        self._entries += 1  # items of one time in their order
        heappush(self._heap, (due_ms, self._entries, item))
        self._drop_outdated()

    def remove(self, item: T) -> None:
        """The item is not due any more."""
        if self._times.pop(item, None) is not None:
            self._drop_outdated()

    def take(self, now_ms: int) -> list[T]:
        """Return what is due by now, the earliest first; it is not due any more."""
        due = []
        while self.due_ms <= now_ms:
            item = heappop(self._heap)[2]
            del self._times[item]
            due.append(item)
            self._drop_outdated()
        return due

    def _drop_outdated(self) -> None:
        heap, times = self._heap, self._times
        while heap and times.get(heap[0][2]) != heap[0][0]:
            heappop(heap)
        self.due_ms = heap[0][0] if heap else NEVER_MS
