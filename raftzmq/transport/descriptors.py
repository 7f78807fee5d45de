"""What the kernel says about this process's connections and memory, and how to cut a connection.

libzmq does not tell its descriptors, so this looks at all open ones. Only Linux has what this
needs; elsewhere no descriptor is found, and nothing is cut.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import socket
import struct
import sys
import termios
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

_SO_COOKIE: Final = 57
_TCP_INFO: Final = struct.Struct("=B119xQQ")  # state, bytes acknowledged, bytes received
_STATES: Final = (1, 8)  # established; the same, but the other side has closed
_LINUX: Final = sys.platform == "linux"


_MEMORY: Final = Path("/proc/self/statm")

# A filter of the kernel that lets no packet through. What was sent is sent again later.
_ATTACH_FILTER: Final = 26
_DETACH_FILTER: Final = 27
_NOTHING: Final = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0))  # return 0
_LETS_NOTHING_IN: Final = struct.pack("@HP", 1, ctypes.addressof(_NOTHING))


class Seen(NamedTuple):
    """What the kernel says about a connection."""

    cookie: bytes  # identifies this connection for ever, whatever its descriptor
    port: int  # the one it connected to
    acked: int  # bytes that the other side's kernel has
    read: int  # bytes that libzmq has


def open_descriptors() -> Sequence[int]:
    """All open descriptors, of any kind."""
    if not _LINUX:
        return ()
    try:
        with os.scandir("/proc/self/fd") as entries:
            return [int(entry.name) for entry in entries]
    except OSError:  # no descriptor is left even for that
        return range(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


@contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket]:
    """A descriptor of libzmq, which keeps it, as a socket. Raises OSError if it is not a socket."""
    handle = socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=descriptor)
    try:
        yield handle
    finally:
        handle.detach()  # otherwise it would be closed


def _cookie(handle: socket.socket) -> bytes:
    return handle.getsockopt(socket.SOL_SOCKET, _SO_COOKIE, 8)


def cookie_of(descriptor: int) -> bytes:
    """What tells a connection from all others that have had its descriptor; nothing of one that has
    ended, and where there is none."""
    try:
        with _borrowed(descriptor) as handle:
            return _cookie(handle)
    except OSError:
        return b""


def inspect_connection(descriptor: int) -> Seen | None:
    """What the kernel says about a descriptor; None if it is not a connection."""
    try:
        with _borrowed(descriptor) as handle:
            information = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
            state, acked, received = _TCP_INFO.unpack(information)
            if state not in _STATES:
                return None
            unread = int.from_bytes(fcntl.ioctl(handle, termios.FIONREAD, bytes(4)), sys.byteorder)
            return Seen(_cookie(handle), handle.getsockname()[1], acked, received - unread)
    except (OSError, struct.error):  # a file, or closed meanwhile; or no TCP socket
        return None


def cut_connection(descriptor: int, cookie: bytes) -> bool:
    """Shut a connection down, unless its descriptor was closed or is now another connection's."""
    try:
        with _borrowed(descriptor) as handle:
            if _cookie(handle) != cookie:
                return False
            handle.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False
    return True


def hold_back(ports: Container[int], *, held: bool) -> None:
    """Let nothing more in on the sockets that are bound to these ports, listening ones included; or
    let it in again. The other sides wait and repeat, as when packets are lost."""
    for descriptor in open_descriptors():
        with suppress(OSError, IndexError), _borrowed(descriptor) as handle:
            if handle.getsockname()[1] in ports:
                option = _ATTACH_FILTER if held else _DETACH_FILTER
                handle.setsockopt(socket.SOL_SOCKET, option, _LETS_NOTHING_IN)


def resident_bytes() -> int:
    """The memory of this process; 0 where the kernel does not say."""
    if not _LINUX:
        return 0
    try:
        return int(_MEMORY.read_bytes().split()[1]) * resource.getpagesize()
    except OSError:  # no descriptor is left even for that
        return 0
