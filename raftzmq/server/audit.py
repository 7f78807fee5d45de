"""The audit trail of a node: one line of JSON for each record, in a file or in the text log.

Records of a turn are written together, after the turn. A file is moved aside when it is long, and
only so many are kept. What cannot be written (a full disk) is counted, and the count is written as
soon as there is room; the node goes on. With `required` nothing is lost: the records are durable
before the answers leave, and while they cannot be written the node refuses what it would record.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from raftzmq.access.keys import Kind, PublicKey
from raftzmq.errors import DataError, Unauthorized
from raftzmq.node.audit import Audit, Record
from raftzmq.server.config import TEXT_LOG, ServerConfig
from raftzmq.server.text_log import TextLog
from raftzmq.transport.curve import NODES
from raftzmq.transport.zap import Handshake

FILE_BYTES: Final = 64 * 1024 * 1024
FILES: Final = 8
"""A file that has this much is moved aside, FILE to FILE.1 and so on; the oldest is deleted."""

HANDSHAKES_PER_S: Final = 10
"""The most refused handshakes that are written in a second, each by itself. The others are counted:
strangers must not drive out of the files what users have done."""

WAITING_LINES: Final = 100_000
"""The most lines that wait to be written, if they are required. What is refused meanwhile is no
record, but who asks for what they may not is."""

_encode_ascii: Final = json.JSONEncoder(separators=(",", ":")).encode

_MODE: Final = 0o640


class AuditTrail(Audit):
    """Made and used by the loop. Raises DataError if the file cannot be opened."""

    def __init__(
        self,
        node: str,
        target: str,
        log: TextLog,
        *,
        required: bool = False,
        file_bytes: int = FILE_BYTES,
        files: int = FILES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.required = required
        self.fault = ""
        """Why nothing can be written; "" if it can."""
        self._node = node
        self._log = log
        self._file = None if target in TEXT_LOG else _RotatedFile(Path(target), file_bytes, files)
        self._lines: list[str] = []  # those that are not written yet
        self._lost = 0
        self._clock = clock
        self._second = 0  # in which this many handshakes were written
        self._handshakes = self._more_handshakes = 0

    def close(self) -> None:
        """Write what there is, and close the file."""
        self.turn()
        if self._file is not None:
            self._file.close()

    def handshake_refused(self, handshake: Handshake) -> None:
        """Somebody was not let in."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._handshakes = second, 0
        self._handshakes += 1
        if self._handshakes > HANDSHAKES_PER_S:
            self._more_handshakes += 1
            return
        key = PublicKey(Kind.NODE if handshake.domain == NODES else Kind.USER, handshake.key)
        subject: dict[str, Any] = {"key": str(key), "port": handshake.domain}
        if self._more_handshakes:
            subject["others_before"] = self._more_handshakes
            self._more_handshakes = 0
        refused = Record("", handshake.address, "handshake", subject, 0, Unauthorized.code)
        self._lines.append(self._line(refused, _now()))

    def turn(self) -> None:
        """Write the records of a turn. Nothing is raised: `fault` says what is wrong."""
        if records := self.take():
            now = _now()
            self._lines += [self._line(record, now) for record in records]
        if not self._lines and not self.fault:
            return
        if self._file is None:
            for line in self._lines:
                self._log(f"audit {line}")
            self._lines.clear()
            return
        lines = list(self._lines)
        if self._lost:
            lost = {"time": _now(), "node": self._node, "operation": "audit", "lost": self._lost}
            lines.insert(0, _json(lost))
        try:
            self._file.write(lines, durable=self.required)
        except OSError as error:
            self._failed(error)
            return
        if self.fault:
            self._log("the audit trail is written again", lost=self._lost)
        self.fault = ""
        self._lost = 0
        self._lines.clear()

    def _failed(self, error: OSError) -> None:
        assert self._file is not None
        if not self.fault:
            self._log.warn("the audit trail cannot be written", file=self._file.path, error=error)
        self.fault = (
            f"the audit trail of {self._node} cannot be written ({error.strerror}), and it is "
            "required: free space, writes resume by themselves"
        )
        kept = WAITING_LINES if self.required else 0
        self._lost += max(0, len(self._lines) - kept)
        del self._lines[kept:]

    def _line(self, record: Record, now: str) -> str:
        user, address, operation, subject, revision, outcome = record
        return _json(
            {
                "time": now,
                "node": self._node,
                "user": user,
                "address": address,
                "operation": operation,
                **subject,
                "revision": revision,
                "outcome": outcome,
            }
        )


class _RotatedFile:
    """A file that lines are added to. Its methods raise OSError."""

    def __init__(self, path: Path, most_bytes: int, files: int) -> None:
        self.path = path
        self._most_bytes = most_bytes
        self._files = files
        try:
            self._descriptor = self._opened(path)
            self._size = os.fstat(self._descriptor).st_size
        except OSError as error:
            raise DataError(
                f"--audit {path}: {error.strerror}; give a file in a directory that this node may "
                "write to"
            ) from None

    @staticmethod
    def _opened(path: Path) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
        return os.open(path, flags, _MODE)

    def write(self, lines: Iterable[str], *, durable: bool) -> None:
        """Add lines, all or none. What was written of them is cut off again if there is no room."""
        if self._size >= self._most_bytes:
            self._rotate()
        data = "".join(f"{line}\n" for line in lines).encode("ascii")
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
            if durable:
                os.fdatasync(self._descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)

    def _rotate(self) -> None:
        """Begin a new file. It is made first: if it cannot be, the others stay where they are."""
        new = self._named("new")
        descriptor = self._opened(new)
        for number in range(self._files - 1, 1, -1):
            with suppress(FileNotFoundError):
                self._named(number - 1).replace(self._named(number))
        with suppress(FileNotFoundError):  # somebody has moved it away
            self.path.replace(self._named(1))
        new.replace(self.path)
        os.close(self._descriptor)
        self._descriptor = descriptor
        self._size = 0

    def _named(self, suffix: object) -> Path:
        return self.path.with_name(f"{self.path.name}.{suffix}")

    def close(self) -> None:
        os.close(self._descriptor)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(record: dict[str, Any]) -> str:
    """ASCII alone, and no control character: whatever a key holds, a line is a line, and no
    terminal obeys it."""
    data = orjson.dumps(record)
    if data.isascii() and b"\x7f" not in data:
        return data.decode("ascii")
    return _encode_ascii(record).replace("\x7f", "\\u007f")


def audit_of(config: ServerConfig, log: TextLog, stack: ExitStack) -> AuditTrail | None:
    """Return the audit trail that a node was told to keep, if any; it is closed with the stack."""
    if not config.audit:
        return None
    trail = AuditTrail(config.name, config.audit, log, required=config.audit_required)
    stack.callback(trail.close)
    return trail
