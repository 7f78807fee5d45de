"""A real server of S3-compatible storage, rclone, which keeps objects as files; and what comes
between it and its client."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from tests.system.processes import wait_for

KEY, SECRET = "raftzmqtests", "of-no-use-elsewhere"
BUCKET: Final = "backups"
_SAID: Final = re.compile(r"server on \[(http://[0-9.:]+)/\]")
_BLOCK: Final = 64 * 1024


class S3Server:
    """`rclone serve s3` with one bucket, in `directory`."""

    def __init__(self, directory: Path, endpoint: str) -> None:
        self.bucket = directory / BUCKET
        self.endpoint = endpoint

    def environment(self, **more: str) -> dict[str, str]:
        """What a client needs."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            **more,
        }

    def objects(self) -> list[str]:
        """The keys of all objects, which are files, those among them that are being written."""
        files = (path for path in self.bucket.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.bucket)) for path in files)


def program() -> str:
    """rclone, which the dev extra installs. Skips without it."""
    beside = Path(sys.executable).with_name("rclone")
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if found is None:
        pytest.skip("rclone is not installed (pip install raftzmq[dev])")
    return found


@contextmanager
def s3_server(directory: Path) -> Iterator[S3Server]:
    """Runs one, whose files are in `directory`."""
    (directory / BUCKET).mkdir(parents=True)
    log = directory.with_name(f"{directory.name}.log")
    words = ["--config", "", "--addr", "127.0.0.1:0", "--auth-key", f"{KEY},{SECRET}"]
    words += ["--dir-cache-time", "0s"]  # tests change files behind its back
    with log.open("wb") as file:
        process = subprocess.Popen(
            [program(), "serve", "s3", *words, str(directory)],
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        said = wait_for(f"rclone serves, {log}", lambda: _SAID.search(log.read_text()))
        yield S3Server(directory, said[1])
    finally:
        process.terminate()
        process.wait(60)


class Link:
    """Connections through here to the server. `endpoint` is what the client is given.

    Once the client has sent `cut_after` bytes, all connections end, and no others are taken. Bytes
    from the server are replaced by `replace`, which must not change their number.
    """

    def __init__(
        self,
        server: S3Server,
        cut_after: int | None = None,
        replace: tuple[bytes, bytes] = (b"", b""),
    ) -> None:
        host, _, port = server.endpoint.removeprefix("http://").partition(":")
        self._behind = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent = 0
        self._cut_after = cut_after
        self._replace = replace
        self._open: list[socket.socket] = [self._listener]
        self._lock = threading.Lock()

    def __enter__(self) -> Link:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                front, _ = self._listener.accept()
                back = socket.create_connection(self._behind)
                self._open += [front, back]
                for way in (self._to_server, self._to_client):
                    threading.Thread(target=way, args=(front, back), daemon=True).start()

    def _to_server(self, front: socket.socket, back: socket.socket) -> None:
        with suppress(OSError):
            while data := front.recv(_BLOCK):
                with self._lock:
                    self.sent += len(data)
                if self._cut_after is not None and self.sent > self._cut_after:
                    self._cut()
                    return
                back.sendall(data)
            back.shutdown(socket.SHUT_WR)

    def _to_client(self, front: socket.socket, back: socket.socket) -> None:
        with suppress(OSError):
            while data := back.recv(_BLOCK):
                front.sendall(data.replace(*self._replace) if self._replace[0] else data)
            front.shutdown(socket.SHUT_WR)

    def _cut(self) -> None:
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
