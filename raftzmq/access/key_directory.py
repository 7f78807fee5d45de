"""A directory of keys, as `raftzmq keys` makes and changes it.

Keys are replaced without a pause in three steps: the new key is made known, then used, then the old
one is forgotten. Between two steps the files go to where they are needed. Which step is next stands
in the files: `next` before a key, or `previous`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from raftzmq.access import key_files, users_text
from raftzmq.access.key_files import NODE_FILE, SERVER_FILE, USERS_FILE, KeyFileError
from raftzmq.access.keys import KeyPair, Kind, Line, PublicKey, Role, SecretKey, parse_public
from raftzmq.access.node_keys import read_users
from raftzmq.access.users import User, Users, check_user_name

ADMIN: Final = "admin"
USERS_MODE: Final = 0o640

_OWN: Final = {"node": (NODE_FILE, Kind.NODE), "server": (SERVER_FILE, Kind.SERVER)}
_COMMENTS: Final = {
    Kind.NODE: "raftzmq: the key of the nodes, by which they know one another; keep it secret",
    Kind.SERVER: "raftzmq: the key of the cluster, by which clients know it; keep it secret",
}


@dataclass(frozen=True, slots=True)
class Step:
    """What a step of a rotation has done, which files have changed, and what to do then. `is_last`:
    the key is replaced once that is done."""

    done: str
    changed: tuple[Path, ...]
    then: str
    is_last: bool


class KeyDirectory:
    """Raises KeyFileError and other InvalidRequest, each with what to do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file_of(self, name: str) -> Path:
        """The key file of a user."""
        return self.path / f"{name}.key"

    def create(self) -> None:
        """Make the directory, the keys, and a user who may do everything. Nothing that is there is
        overwritten."""
        key_files.make_directory(self.path)
        files = [NODE_FILE, SERVER_FILE, USERS_FILE, f"{ADMIN}.key"]
        for file in files:
            if (self.path / file).exists():
                raise KeyFileError(
                    f"{self.path / file} exists and is not overwritten: choose another directory, "
                    "or `raftzmq keys add` and `keys rotate` to change what is there"
                )
        server = key_files.new_pair(Kind.SERVER)
        admin = key_files.new_pair(Kind.USER)
        self._write_own(NODE_FILE, key_files.new_pair(Kind.NODE))
        self._write_own(SERVER_FILE, server)
        self._write_user(ADMIN, admin, [server.public])
        users = Users([User(ADMIN, (str(admin.public),), admin=True)])
        key_files.write_new(self.path / USERS_FILE, users.to_toml(), USERS_MODE)

    def users(self) -> Users:
        """Read users.toml."""
        return read_users(self.path)

    def public_keys(self, kind: Kind) -> tuple[PublicKey, ...]:
        """The public keys of the nodes, or of the cluster; the first is in use."""
        file = NODE_FILE if kind is Kind.NODE else SERVER_FILE
        lines = key_files.read_lines(self.path / file, kind)
        return tuple(key_files.public_of(line.key) for line in lines)

    def add(self, user: User, public: str | None) -> Path | None:
        """Add a user. Make a key file, and return its path; or take the public key of whoever has
        made one, and return None."""
        check_user_name(user.name)
        text = self._users_text()
        if public is not None:
            key = parse_public(public, Kind.USER)
            self._replace_users(users_text.with_user(text, replace(user, keys=(str(key),))))
            return None
        pair = key_files.new_pair(Kind.USER)
        text = users_text.with_user(text, replace(user, keys=(str(pair.public),)))
        file = self._write_user(user.name, pair, self.public_keys(Kind.SERVER))
        try:
            self._replace_users(text)
        except KeyFileError:
            file.unlink()
            raise
        return file

    def remove(self, name: str) -> bool:
        """Remove a user, and the key file if there is one here. Return whether there was one."""
        self._replace_users(users_text.without_user(self._users_text(), name))
        with contextlib.suppress(FileNotFoundError):
            self.file_of(name).unlink()
            return True
        return False

    # -- rotation -----------------------------------------------------------------------------

    def rotate(self, name: str, public: str | None = None) -> Step:
        """Take the next step in replacing the key of `node`, `server` or a user. `public`: the new
        key of a user whose secret is not here."""
        if name in _OWN:
            if public is not None:
                raise KeyFileError("--public is for users: the nodes need their secret key")
            return self._rotate_own(name)
        users_text.existing(self.users(), name)
        if public is not None or not self.file_of(name).exists():
            return self._rotate_foreign(name, public)
        return self._rotate_user(name)

    def _rotate_own(self, name: str) -> Step:
        file, kind = _OWN[name]
        path = self.path / file
        lines = key_files.read_lines(path, kind)
        lines, done, then = _turned(lines, kind)
        key_files.replace(path, key_files.text_of(lines, _COMMENTS[kind]))
        changed = [path]
        again = f"`raftzmq keys rotate {name}` again"
        if kind is Kind.SERVER:
            changed += self._tell_users([key_files.public_of(line.key) for line in lines])
        where = "every node" if kind is Kind.NODE else "every node, and each user's to its owner"
        return Step(
            f"the {name} key: {done}",
            tuple(changed),
            f"take these files to {where}" + (f"; when all have them, {again}" if then else ""),
            then is None,
        )

    def _tell_users(self, servers: Sequence[PublicKey]) -> list[Path]:
        """Put the cluster's public keys into the key files of the users."""
        changed = []
        for user in self.users():
            path = self.file_of(user.name)
            if path.exists():
                self._replace_user(user.name, _own_lines(path), servers)
                changed.append(path)
        return changed

    def _rotate_user(self, name: str) -> Step:
        path = self.file_of(name)
        lines, done, then = _turned(_own_lines(path), Kind.USER)
        keys = [str(key_files.public_of(line.key)) for line in lines]
        # A key is let in before it is used, and forgotten after it was.
        changed = [self.path / USERS_FILE]
        if then is None:
            self._replace_user(name, lines, self.public_keys(Kind.SERVER))
            self._replace_keys(name, keys)
            return Step(f"the key of {name}: {done}", tuple(changed), "take it to every node", True)
        self._replace_keys(name, keys)
        self._replace_user(name, lines, self.public_keys(Kind.SERVER))
        if then == "use":
            wait = "take it to every node; when all have it"
        else:
            changed = [path]
            wait = f"take it to where {name} works; when nobody uses the old one"
        again = f"{wait}, `raftzmq keys rotate {name}` again"
        return Step(f"the key of {name}: {done}", tuple(changed), again, False)

    def _rotate_foreign(self, name: str, public: str | None) -> Step:
        user = users_text.existing(self.users(), name)
        changed = (self.path / USERS_FILE,)
        if public is not None:
            key = str(parse_public(public, Kind.USER))
            self._replace_keys(name, [*user.keys, key])
            return Step(
                f"the key of {name}: a second one is let in",
                changed,
                f"take it to every node; when {name} uses the new key, "
                f"`raftzmq keys rotate {name}` again",
                False,
            )
        if len(user.keys) < 2:
            raise KeyFileError(
                f"the secret key of {name} is not in {self.path}: its owner makes a new one with "
                f"`raftzmq keys new`; then `raftzmq keys rotate {name} --public` its public key"
            )
        self._replace_keys(name, user.keys[-1:])
        done = f"the key of {name}: only the newest is let in"
        return Step(done, changed, "take it to every node", True)

    # -- files --------------------------------------------------------------------------------

    def _users_text(self) -> str:
        self.users()  # says what is wrong
        return (self.path / USERS_FILE).read_text(encoding="utf-8")

    def _replace_users(self, text: str) -> None:
        key_files.replace(self.path / USERS_FILE, text)

    def _replace_keys(self, name: str, keys: Sequence[str]) -> None:
        self._replace_users(users_text.with_keys(self._users_text(), name, keys))

    def _write_own(self, file: str, pair: KeyPair) -> None:
        text = key_files.text_of([Line(pair.secret)], _COMMENTS[pair.secret.kind])
        key_files.write_new(self.path / file, text)

    def _write_user(self, name: str, pair: KeyPair, servers: Sequence[PublicKey]) -> Path:
        path = self.file_of(name)
        key_files.write_new(path, key_files.key_file_text([Line(pair.secret)], servers, name))
        return path

    def _replace_user(self, name: str, own: Sequence[Line], servers: Sequence[PublicKey]) -> None:
        key_files.replace(self.file_of(name), key_files.key_file_text(own, servers, name))


def _own_lines(path: Path) -> list[Line]:
    """The lines of a user's own keys in a key file."""
    lines = key_files.read_lines(path, Kind.USER, Kind.SERVER)
    return [line for line in lines if line.key.kind is Kind.USER]


def _turned(lines: Sequence[Line], kind: Kind) -> tuple[list[Line], str, str | None]:
    """Take the next step: the lines after it, what was done in words, and which step follows."""
    current = [line for line in lines if line.role is Role.CURRENT]
    coming = [line for line in lines if line.role is Role.NEXT]
    if coming:
        first = [Line(line.key) for line in coming]
        old = [Line(line.key, Role.PREVIOUS) for line in current]
        return [*first, *old], "step 2 of 3, the new one is in use", "forget"
    if any(line.role is Role.PREVIOUS for line in lines):
        return current, "step 3 of 3, the old one is forgotten", None
    secrets = [line for line in current if isinstance(line.key, SecretKey)]
    fresh = Line(key_files.new_pair(kind).secret, Role.NEXT)
    return [*secrets, fresh], "step 1 of 3, a new one is known beside it", "use"
