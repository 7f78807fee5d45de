"""The log that people read: one line an event on standard error, `time level node event key=value`.

A reader that stops reading must not stop the node. So lines go through a bounded queue to a thread
of their own. When the queue is full, lines are dropped and their number is logged later. For the
same reason the thread uses neither the logging module nor sys.stderr: it would hold their locks
while nobody reads, and the end of the process needs them.
Keys and values of clients never appear here.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import time
from contextlib import suppress
from threading import Thread
from typing import Any, Final

QUEUE_LINES: Final = 2000

LAST_LINES_S: Final = 1.0
"""How long a node that ends waits for its last lines to be read."""

STDERR: Final = 2


class _DroppingQueueHandler(logging.handlers.QueueHandler):
    def __init__(self, lines: queue.Queue[Any]) -> None:
        super().__init__(lines)
        self.dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            if self.dropped:
                record.msg += f" lines_dropped={self.dropped}"
            self.queue.put_nowait(record)
            self.dropped = 0
        except queue.Full:
            self.dropped += 1


class TextLog:
    """`log("became leader", term=3)` writes one line. Use as a context manager."""

    def __init__(self, node: str, level: str) -> None:
        self._node = node
        self._logger = logging.getLogger(f"raftzmq.{node}")
        self._logger.setLevel(level.upper())
        self._logger.propagate = False
        self._lines: queue.Queue[Any] = queue.Queue(QUEUE_LINES)
        self._handler = _DroppingQueueHandler(self._lines)
        self._formatter = logging.Formatter(
            "%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S"
        )
        self._formatter.converter = time.gmtime
        self._thread = Thread(target=self._write_lines, name="text-log", daemon=True)

    def __enter__(self) -> TextLog:
        self._logger.addHandler(self._handler)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self._handler)
        deadline_s = time.monotonic() + LAST_LINES_S
        with suppress(queue.Full):
            self._lines.put(None, timeout=LAST_LINES_S)
            self._thread.join(max(0.0, deadline_s - time.monotonic()))

    @property
    def is_alive(self) -> bool:
        """Whether the thread that writes the lines is alive."""
        return self._thread.is_alive()

    def check(self) -> None:
        """Raise RuntimeError if the thread that writes the lines has died."""
        if not self.is_alive:
            raise RuntimeError("the thread that writes the log of the node has died")

    def _write_lines(self) -> None:
        for record in iter(self._lines.get, None):
            self._write(record)
        if self._handler.dropped:  # no line came through after them
            last = f"{self._node} says no more lines_dropped={self._handler.dropped}"
            self._write(logging.makeLogRecord({"msg": last, "levelname": "WARNING"}))

    def _write(self, record: logging.LogRecord) -> None:
        line = f"{self._formatter.format(record)}\n".encode(errors="backslashreplace")
        with suppress(OSError):  # there is no reader
            while line:
                line = line[os.write(STDERR, line) :]

    def __call__(self, event: str, level: int = logging.INFO, **details: object) -> None:
        if self._logger.isEnabledFor(level):
            pairs = "".join(f" {key}={_quoted(value)}" for key, value in details.items())
            self._logger.log(level, "%s", f"{self._node} {event}{pairs}")

    def warn(self, event: str, **details: object) -> None:
        self(event, logging.WARNING, **details)


def _quoted(value: object) -> str:
    text = str(value)
    return f'"{text}"' if " " in text or not text else text
