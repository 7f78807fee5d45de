"""Key files: made with a mode that keeps others out, and refused with one that does not.

A directory of keys has node.key, server.key and users.toml, which the nodes need, and a NAME.key
for each user whose secret was made here: the user's secret key and the public keys of the cluster.
Kubernetes mounts Secrets as symbolic links to files of mode 0440, so links and a group that may
read are allowed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import zmq
from zmq.utils import z85

from raftzmq.access.keys import (
    KEY_BYTES,
    KeyPair,
    Kind,
    Line,
    PublicKey,
    Role,
    SecretKey,
    parse_lines,
)
from raftzmq.errors import InvalidRequest

NODE_FILE: Final = "node.key"
SERVER_FILE: Final = "server.key"
USERS_FILE: Final = "users.toml"

SECRET_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700
FILE_BYTES: Final = 1024 * 1024
"""No file of keys or users is longer; reading ends there."""

OTHERS_MAY_READ: Final = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP
OTHERS_MAY_WRITE: Final = stat.S_IWOTH | stat.S_IWGRP


class KeyFileError(InvalidRequest):
    """A file of keys that is missing, open to others, or not what it should be."""


# -- keys ------------------------------------------------------------------------------------


def new_pair(kind: Kind) -> KeyPair:
    """Make a new key."""
    return pair_of(SecretKey(kind, secrets.token_bytes(KEY_BYTES)))


def pair_of(secret: SecretKey) -> KeyPair:
    """Return a secret key with its public key."""
    public: bytes = z85.decode(zmq.curve_public(z85.encode(secret.raw)))
    return KeyPair(secret, PublicKey(secret.kind, public))


def public_of(key: PublicKey | SecretKey) -> PublicKey:
    """Return the public key that a line of a file stands for."""
    return pair_of(key).public if isinstance(key, SecretKey) else key


# -- what is in the files ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A NAME.key: the user's own key, and the keys by which a cluster may prove itself."""

    name: str
    own: KeyPair
    servers: tuple[PublicKey, ...]


def read_lines(path: Path, *kinds: Kind) -> list[Line]:
    """Read a key file whose keys are of these kinds. Raises KeyFileError."""
    try:
        lines = parse_lines(read_text(path, OTHERS_MAY_READ, "read"), str(path))
    except KeyFileError:
        raise
    except InvalidRequest as error:
        raise KeyFileError(str(error)) from None
    for line in lines:
        if line.key.kind not in kinds:
            raise KeyFileError(
                f"{path} has a key of a {line.key.kind.name.lower()}, {line.key.kind}…, which does "
                "not belong there: is it the right file?"
            )
    return lines


def read_client_key(path: Path) -> ClientKey:
    """Read a user's NAME.key. Raises KeyFileError."""
    lines = read_lines(path, Kind.USER, Kind.SERVER)
    own = [line.key for line in lines if isinstance(line.key, SecretKey)]
    servers = [line.key for line in lines if isinstance(line.key, PublicKey)]
    servers = [key for key in servers if key.kind is Kind.SERVER]
    if not own or own[0].kind is not Kind.USER:
        raise KeyFileError(
            f"{path} has no secret key of a user, rzu-secret-…: `raftzmq keys add` makes such files"
        )
    if not servers:
        raise KeyFileError(
            f"{path} has no public key of a cluster, rzs…: add the one that `raftzmq keys list` "
            "shows"
        )
    return ClientKey(path.name.removesuffix(".key"), pair_of(own[0]), tuple(servers))


# -- reading and writing -----------------------------------------------------------------------


def read_text(path: Path, forbidden: int, what: str) -> str:
    """Read a file whose mode has no `forbidden` bit: with one, others could do `what` to it. Raises
    KeyFileError."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(FILE_BYTES)
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise KeyFileError(f"{path} is not a file")
    if mode & forbidden:
        raise KeyFileError(
            f"others can {what} {path}, its mode is {stat.S_IMODE(mode):04o}: "
            f"`chmod {'600' if what == 'read' else '644'} {path}`, and replace keys that others "
            "may have seen"
        )
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise KeyFileError(f"{path} is not text") from None


def make_directory(path: Path) -> None:
    """Make a directory that only its owner may enter. Raises KeyFileError if it is there and others
    may write to it, or cannot be made."""
    try:
        path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        mode = path.stat().st_mode
    except OSError as error:
        raise KeyFileError(f"cannot make {path}: {error.strerror}") from None
    if mode & OTHERS_MAY_WRITE:
        raise KeyFileError(f"others can write to {path}: `chmod 700 {path}`, or choose another")


def write_new(path: Path, text: str, mode: int = SECRET_MODE) -> None:
    """Create a file, durably and whole or not at all. Raises KeyFileError if there is one."""
    with _written(path, text, mode) as temporary:
        try:
            path.hardlink_to(temporary)  # unlike a rename, this never replaces a file
        except FileExistsError:
            raise KeyFileError(
                f"{path} exists and is not overwritten: move it away, or choose another directory"
            ) from None


def replace(path: Path, text: str) -> None:
    """Put another text in place of a file's, durably and at once; the mode stays. Raises
    KeyFileError."""
    real = path.resolve()  # a link stays one
    try:
        mode = stat.S_IMODE(real.stat().st_mode)
    except OSError as error:
        raise KeyFileError(f"cannot replace {path}: {error.strerror}") from None
    with _written(real, text, mode) as temporary:
        temporary.replace(real)


@contextlib.contextmanager
def _written(path: Path, text: str, mode: int) -> Iterator[Path]:
    """A durable file with this text beside `path`, which is gone at the end if it has not got that
    name."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                os.fchmod(descriptor, mode)  # whatever the umask is
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            yield temporary
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
        _sync_directory(path.parent)
    except OSError as error:
        raise KeyFileError(f"cannot write {path}: {error.strerror}") from None


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def text_of(lines: Iterable[Line], *comments: str) -> str:
    """The text of a key file."""
    return "".join(
        f"{line}\n"
        for line in [*(f"# {comment}" for comment in comments), *(one.reveal() for one in lines)]
    )


def key_file_text(own: Sequence[Line], servers: Sequence[PublicKey], name: str) -> str:
    """The text of the NAME.key of a user."""
    lines = [*own, *(Line(key, Role.CURRENT) for key in servers)]
    return text_of(lines, f"raftzmq: the secret key of user {name}, and the cluster's public key")


class ClientKeyFile:
    """A user's NAME.key, read again when it has changed: a key that is replaced there needs no new
    client."""

    def __init__(self, path: Path | str) -> None:
        """Raises KeyFileError."""
        self._path = Path(path)
        self._stamp = stamp([self._path])
        self.key = read_client_key(self._path)

    def refresh(self) -> ClientKey:
        """Return the key as it is now; what is wrong, or gone, changes nothing. Any thread may
        ask."""
        now = stamp([self._path])
        if now != self._stamp:
            with contextlib.suppress(KeyFileError):
                self.key = read_client_key(self._path)
            self._stamp = now  # last: a thread that finds it must find the key, too
        return self.key


class KeySource(Protocol):
    """Where the key of whoever connects is, as a ClientKeyFile is one: it may change."""

    @property
    def key(self) -> ClientKey:
        """The key as it was last seen."""

    def refresh(self) -> ClientKey:
        """Return the key as it is now. Any thread may ask."""


KeyPath = Path | str | None


def key_file(path: KeyPath) -> ClientKeyFile | None:
    """Open a user's key file; None: there is none. Raises KeyFileError."""
    return None if path is None else ClientKeyFile(path)


Stamp = tuple[tuple[int, int, int, int] | None, ...]


def stamp(paths: Iterable[Path]) -> Stamp:
    """Something that changes when one of the files does, also by way of a symbolic link."""
    return tuple(map(_stamp, paths))


def _stamp(path: Path) -> tuple[int, int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
