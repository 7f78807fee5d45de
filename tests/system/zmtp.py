"""ZeroMQ's wire protocol by hand, for what no library would send; and what a process holds."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import Final

GREETING: Final = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
TIMEOUT_S: Final = 10.0


def frame(body: bytes, flags: int = 0) -> bytes:
    """One frame; flags: 1 more parts follow, 4 a command."""
    if len(body) < 256:
        return bytes([flags, len(body)]) + body
    return struct.pack(">BQ", flags | 2, len(body)) + body


def ready(identity: bytes = b"") -> bytes:
    """The command that ends the handshake of a DEALER."""
    properties = ((b"Socket-Type", b"DEALER"), (b"Identity", identity))
    return frame(
        b"\x05READY"
        + b"".join(
            bytes([len(name)]) + name + struct.pack(">I", len(value)) + value
            for name, value in properties
        ),
        flags=4,
    )


def connect(port: int, *first: bytes) -> socket.socket:
    """A connection on which `first` was sent. Raises OSError."""
    connection = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
    for data in first:
        connection.sendall(data)
    return connection


def speak(port: int, identity: bytes = b"") -> socket.socket:
    """A connection whose handshake is complete: messages may follow. Raises OSError."""
    connection = connect(port, GREETING, ready(identity))
    try:
        heard = b""
        while len(heard) < len(GREETING) + 2 or len(heard) < len(GREETING) + 2 + heard[65]:
            data = connection.recv(4096)
            if not data:
                raise ConnectionError("closed during the handshake")
            heard += data
    except OSError:
        connection.close()
        raise
    return connection


def pour(port: int, data: bytes, total: int, *, at_once: int = 1) -> None:
    """Send `total` bytes, `data` again and again, over `at_once` connections in turn; where one is
    cut, over a new one."""
    connections: dict[int, socket.socket] = {}
    try:
        for number in range(total // len(data)):
            place = number % at_once
            try:
                if place not in connections:
                    connections[place] = speak(port)
                    # Who was cut with a full window is not told, but waits for ever.
                    connections[place].settimeout(1.0)
                connections[place].sendall(data)
            except OSError:
                if place in connections:
                    connections.pop(place).close()
    finally:
        for connection in connections.values():
            connection.close()


def resident_bytes(pid: int, field: str = "VmRSS") -> int:
    """Memory of a process: now, or at most so far (VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {field} in /proc/{pid}/status")


def open_files(pid: int) -> int:
    with os.scandir(f"/proc/{pid}/fd") as entries:
        return sum(1 for _ in entries)
