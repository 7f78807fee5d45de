"""Writing a snapshot of the state machine a little at a time, between turns of the loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from raftzmq.core.ready import SnapshotMeta
from raftzmq.storage.files import Files, is_full, refusal
from raftzmq.storage.snapshot_files import (
    WRITING,
    SnapshotFile,
    snapshot_path,
)
from raftzmq.storage.snapshot_lines import SnapshotLines, encode_header


class SnapshotWriter:
    """Made by Storage.begin_snapshot. Call step until it returns True, or abort."""

    def __init__(
        self,
        files: Files,
        directory: Path,
        meta: SnapshotMeta,
        records: Iterator[list[Any]],
        finished: Callable[[int | None], None],
    ) -> None:
        """`finished` is called once: with the size in bytes, or None if it was given up."""
        self.meta = meta
        self._directory = directory
        self._lines = SnapshotLines(encode_header(meta), records)
        self._finished = finished
        self._open = True
        self._file = SnapshotFile(files, directory / f"{WRITING}{meta.index}-{meta.term}")

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._file.size

    def step(self, max_bytes: int) -> bool:
        """Write about `max_bytes` more; return whether the snapshot is durable and in place.

        Raises DiskFull, and has then aborted; OSError.
        """
        if not self._open:
            return True
        try:
            self._file.write(self._lines.take(max_bytes))
            if not self._lines.done:
                return False
            self._file.sync()
            meta = self.meta
            self._file.put_in_place(snapshot_path(self._directory, meta.index, meta.term))
        except OSError as error:
            self.abort()
            if is_full(error):
                raise refusal(error, f"a snapshot in {self._directory}") from error
            raise
        self._open = False
        self._finished(self._file.size)
        return True

    def abort(self) -> None:
        """Give up: remove the unfinished file. Nothing happens after the last step."""
        if self._open:
            self._open = False
            self._lines = SnapshotLines(b"", iter(()))  # nobody reads the frozen tables any more
            self._file.discard()
            self._finished(None)
