"""Clients that keep writing while something happens to the cluster, and remember every answer."""

from __future__ import annotations

import itertools
import threading
import time
from types import TracebackType
from typing import Self

from raftzmq import Client
from raftzmq.errors import OutcomeUnknown, Unavailable
from tests.system.processes import wait_for
from tests.system.raw import Stored

PATIENCE_S = 60.0
"""How long one write may take: longer than any failure in these tests lasts, and any wait of a
busy machine."""


class Load:
    """Threads that each put one key after another. Used as a context: leaving it stops them."""

    PREFIX = "load/"

    def __init__(self, client: Client, writers: int = 4) -> None:
        self.acknowledged: dict[str, Stored] = {}
        self.unknown: dict[str, str] = {}  # what was written, and may be there or not
        self.unavailable = 0
        self.errors: list[BaseException] = []
        self.longest_gap_s = 0.0  # between two acknowledgements, whoever got them
        self._client = client
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._last_s = time.monotonic()
        self._newest_begin_s = 0.0
        self._threads = [
            threading.Thread(target=self._write, args=(k,), name=f"writer-{k}")
            for k in range(writers)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.wait_for_progress()
        self.longest_gap_s = 0.0
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_progress(self) -> float:
        """Wait until a write that begins after this call is acknowledged; return the seconds."""
        began_s = time.monotonic()
        wait_for(
            "a new write is acknowledged",
            lambda: self._newest_begin_s > began_s or bool(self.errors),
        )
        assert not self.errors, self.errors
        return time.monotonic() - began_s

    def assert_kept(self, found: dict[str, Stored]) -> None:
        """Every acknowledged write is there as acknowledged, and nothing nobody wrote."""
        assert not self.errors, self.errors
        assert self.acknowledged
        lost = [key for key in self.acknowledged if key not in found]
        assert not lost, f"{len(lost)} acknowledged writes are lost, such as {lost[0]}"
        for key, stored in found.items():
            if key in self.acknowledged:
                assert stored == self.acknowledged[key], f"{key} was written a second time"
            else:
                assert stored.value == self.unknown.get(key), f"nobody wrote {key}"

    def _write(self, writer: int) -> None:
        for count in itertools.count():
            if self._stop.is_set():
                return
            key, value, begin_s = f"{self.PREFIX}{writer}/{count}", str(count), time.monotonic()
            try:
                written = self._client.put(key, value, timeout=PATIENCE_S)
            except OutcomeUnknown:
                with self._lock:
                    self.unknown[key] = value
            except Unavailable:
                with self._lock:
                    self.unavailable += 1
            except BaseException as error:  # shown by the test that waits
                self.errors.append(error)
                raise
            else:
                self._acknowledge(key, Stored(value, written.revision), begin_s)

    def _acknowledge(self, key: str, stored: Stored, begin_s: float) -> None:
        now_s = time.monotonic()
        with self._lock:
            self.acknowledged[key] = stored
            self._newest_begin_s = max(self._newest_begin_s, begin_s)
            self.longest_gap_s = max(self.longest_gap_s, now_s - self._last_s)
            self._last_s = now_s
