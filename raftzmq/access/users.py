"""The users of a cluster, as users.toml has them: names, public keys, and what each may touch.

    [users.billing]
    keys = ["rzu5c3f…"]
    read = ["prices/"]
    write = ["billing/"]

A prefix is one of keys and of the names of locks, semaphores, counters and elections alike; ""
is a prefix of everything. What may be written may be read. An admin may do everything.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from raftzmq import limits
from raftzmq.errors import InvalidRequest

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_KEY: Final = re.compile(r"rzu[0-9a-f]{64}")
_RESERVED: Final = frozenset({"node", "server"})
"""Names of the key files that are not a user's: `keys rotate node` must mean one thing."""

_LISTS: Final = ("keys", "read", "write")
_FIELDS: Final = (*_LISTS, "admin")


@dataclass(frozen=True, slots=True)
class User:
    """A user, and the public keys by which the nodes know them: two while one replaces the
    other. `read` and `write` are prefixes."""

    name: str
    keys: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    admin: bool = False

    @property
    def readable(self) -> tuple[str, ...]:
        """The prefixes that may be read: those, and what may be written."""
        return self.read + self.write


ANYBODY: Final = User("", admin=True)
"""Whoever speaks to a node that runs without keys."""


class Users:
    """All users of a cluster, in order; never changed. Another file is another `Users`."""

    __slots__ = ("_by_key", "_by_name")

    def __init__(self, users: Iterable[User] = ()) -> None:
        """Raises InvalidRequest for a name or a prefix that none can have, and for a name or a
        key that is there twice."""
        self._by_name: dict[str, User] = {}
        self._by_key: dict[str, User] = {}
        for user in users:
            self._add(user)

    def _add(self, user: User) -> None:
        check_user_name(user.name)
        if user.name in self._by_name:
            raise InvalidRequest(f"user {user.name!r} is there twice: remove one of them")
        for prefix in (*user.read, *user.write):
            _check_prefix(user, prefix)
        for key in user.keys:
            self._add_key(user, key)
        self._by_name[user.name] = user

    def _add_key(self, user: User, key: str) -> None:
        if not _KEY.fullmatch(key):
            raise InvalidRequest(
                f"{key[:12]!r}… of user {user.name!r} is not a user's public key: it is rzu and 64 "
                "hexadecimal digits, as `raftzmq keys list` shows it"
            )
        other = self._by_key.setdefault(key, user)
        if other is not user:
            raise InvalidRequest(
                f"the key {key[:12]}… is that of user {other.name!r} and of user {user.name!r}: "
                "make a key of its own for one of them"
            )

    @classmethod
    def parse(cls, text: str) -> Users:
        """Return the users of a users.toml. Raises InvalidRequest: in which line, what is wrong,
        and what is right."""
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InvalidRequest(f"users.toml is not TOML: {error}") from None
        for word in document:
            if word != "users":
                raise InvalidRequest(
                    f"{_at(text, word)}: unknown {word!r}; a user is a table [users.NAME]"
                )
        tables = document.get("users", {})
        if type(tables) is not dict:
            raise InvalidRequest(f"{_at(text, 'users')}: a user is a table [users.NAME]")
        users = cls()
        for name, table in tables.items():
            try:
                users._add(_user_of(name, table))
            except InvalidRequest as error:
                raise InvalidRequest(f"{_at(text, name)}: {error}") from None
        return users

    def to_toml(self) -> str:
        """Return the text of which `parse` makes the same users."""
        return "\n".join(map(_table_of, self))

    def by_key(self, public: str) -> User | None:
        """Return whose key this is; None if it is nobody's."""
        return self._by_key.get(public)

    def by_name(self, name: str) -> User | None:
        """Return the user of that name; None if there is none."""
        return self._by_name.get(name)

    def now(self, name: str) -> User:
        """Return what has become of the user of that name: one who is gone has no rights at all.
        Whoever was let in without a key has no name, and stays what they are."""
        return (self._by_name.get(name) or User(name)) if name else ANYBODY

    def __iter__(self) -> Iterator[User]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)


def check_user_name(name: str) -> None:
    """Raises InvalidRequest if no user can have that name."""
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name[:80]!r} is not a user's name: it has 1 to 63 letters, digits, _ and -, and "
            "begins with a letter or a digit"
        )
    if name in _RESERVED:
        raise InvalidRequest(f"no user can be named {name!r}: {name}.key is the nodes'")


def _check_prefix(user: User, prefix: str) -> None:
    size = len(prefix.encode("utf-8", "surrogatepass"))
    if size > limits.KEY_BYTES:
        raise InvalidRequest(
            f"a prefix of user {user.name!r} has {size} bytes, a key has at most {limits.KEY_BYTES}"
        )


def _user_of(name: str, table: Any) -> User:
    if not isinstance(table, Mapping):
        raise InvalidRequest(f"user {name!r} must be a table [users.{name}]")
    for field, value in table.items():
        if field not in _FIELDS:
            raise InvalidRequest(
                f"user {name!r} has the unknown field {field!r}; there are {', '.join(_FIELDS)}"
            )
        if field == "admin":
            if type(value) is not bool:
                raise InvalidRequest(f"admin of user {name!r} must be true or false")
        elif type(value) is not list or any(type(item) is not str for item in value):
            raise InvalidRequest(
                f'{field} of user {name!r} must be a list of texts, such as ["billing/"]'
            )
    lists = {field: tuple(table.get(field, ())) for field in _LISTS}
    return User(name, **lists, admin=table.get("admin", False))


def _at(text: str, word: str) -> str:
    """In which line a table or a field begins, as far as a search can tell."""
    name = rf"[\"']?{re.escape(word)}[\"']?"
    begin = re.compile(rf"\s*\[+\s*(users\s*\.\s*)?{name}\s*[\].]|\s*(users\s*\.\s*)?{name}\s*[.=]")
    for number, line in enumerate(text.splitlines(), 1):
        if begin.match(line):
            return f"users.toml, line {number}"
    return "users.toml"


def _table_of(user: User) -> str:
    lines = [f"[users.{user.name}]"]
    for field in _LISTS:
        items = ", ".join(map(_quoted, getattr(user, field)))
        lines.append(f"{field} = [{items}]")
    lines.append(f"admin = {'true' if user.admin else 'false'}")
    return "".join(f"{line}\n" for line in lines)


def _quoted(text: str) -> str:
    """A basic string of TOML: JSON's escapes are among its own, and it escapes one more sign."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
