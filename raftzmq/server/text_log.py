"""The log that people read: one line an event on standard error.

As text a line is `time level node event key=value`, as JSON one object: time, level, node, message,
fields. JSON is ASCII without control characters, so whatever a detail holds, a line is a line.

A reader that stops reading must not stop the node. So lines go through a bounded queue to a thread
of their own. When the queue is full, lines are dropped and their number is logged later. For the
same reason the thread uses neither the logging module nor sys.stderr: it would hold their locks
while nobody reads, and the end of the process needs them.
Keys and values of clients never appear here.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import queue
import time
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from threading import Thread
from typing import Any, Final

QUEUE_LINES: Final = 2000

LAST_LINES_S: Final = 1.0
"""How long a node that ends waits for its last lines to be read."""

STDERR: Final = 2


class LogFormat(StrEnum):
    """How a line is written."""

    TEXT = "text"
    JSON = "json"


class _DroppingQueueHandler(logging.handlers.QueueHandler):
    def __init__(self, lines: queue.Queue[Any]) -> None:
        super().__init__(lines)
        self.dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            if self.dropped:
                record.details = {**_details(record), "lines_dropped": self.dropped}
            self.queue.put_nowait(record)
            self.dropped = 0
        except queue.Full:
            self.dropped += 1


class TextLog:
    """`log("became leader", term=3)` writes one line. Use as a context manager."""

    def __init__(self, node: str, level: str, log_format: str = LogFormat.TEXT) -> None:
        self._node = node
        self._as_json = log_format == LogFormat.JSON
        self._logger = logging.getLogger(f"raftzmq.{node}")
        self._logger.setLevel(level.upper())
        self._logger.propagate = False
        self._lines: queue.Queue[Any] = queue.Queue(QUEUE_LINES)
        self._handler = _DroppingQueueHandler(self._lines)
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

    def set_level(self, level: str) -> None:
        """Write only what is of this level or above, from now on."""
        self._logger.setLevel(level.upper())

    def _write_lines(self) -> None:
        for record in iter(self._lines.get, None):
            self._write(record)
        if self._handler.dropped:  # no line came through after them
            last = {"msg": "says no more", "levelname": "WARNING"}
            details = {"lines_dropped": self._handler.dropped}
            self._write(logging.makeLogRecord({**last, "details": details}))

    def _write(self, record: logging.LogRecord) -> None:
        made = _json_line if self._as_json else _text_line
        line = made(self._node, record).encode(errors="backslashreplace")
        with suppress(OSError):  # there is no reader
            while line:
                line = line[os.write(STDERR, line) :]

    def __call__(self, event: str, level: int = logging.INFO, **details: object) -> None:
        if self._logger.isEnabledFor(level):
            told = {key: _plain(value) for key, value in details.items()}
            self._logger.log(level, "%s", event, extra={"details": told})

    def warn(self, event: str, **details: object) -> None:
        self(event, logging.WARNING, **details)

    def debug(self, event: str, **details: object) -> None:
        self(event, logging.DEBUG, **details)


def _text_line(node: str, record: logging.LogRecord) -> str:
    pairs = "".join(f" {key}={_quoted(value)}" for key, value in _details(record).items())
    return f"{_time(record)} {record.levelname} {node} {record.getMessage()}{pairs}\n"


def _json_line(node: str, record: logging.LogRecord) -> str:
    document = {
        "time": _time(record),
        "level": record.levelname,
        "node": node,
        "message": record.getMessage(),
        "fields": _details(record),
    }
    return json.dumps(document, ensure_ascii=True).replace("\x7f", "\\u007f") + "\n"


def _time(record: logging.LogRecord) -> str:
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{at}.{int(record.msecs):03d}Z"


def _details(record: logging.LogRecord) -> Mapping[str, Any]:
    found: Mapping[str, Any] = getattr(record, "details", {})
    return found


def _plain(value: object) -> object:
    """The value as it is now: what changes later, or is no JSON, becomes text."""
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _quoted(value: object) -> str:
    text = str(value)
    return f'"{text}"' if " " in text or not text else text
