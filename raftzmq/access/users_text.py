"""Changes to the text of a users.toml that leave the rest of it, and all comments, as they are.

Whatever the text looks like, the result is parsed, and refused unless it says exactly what it was
to say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from raftzmq.access.users import User, Users
from raftzmq.errors import InvalidRequest

_TABLE = re.compile(r"\s*\[")
_KEYS = re.compile(r"^[ \t]*keys[ \t]*=[ \t]*\[[^\]]*\][ \t]*$", re.MULTILINE)


def with_user(text: str, user: User) -> str:
    """Add a user. Raises InvalidRequest if there is one of that name."""
    before = Users.parse(text)
    if before.by_name(user.name) is not None:
        raise InvalidRequest(
            f"there is a user {user.name!r} already: change its rights in users.toml, or give it "
            f"another key with `raftzmq keys rotate {user.name}`"
        )
    end = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    return _checked(text + end + Users([user]).to_toml(), [*before, user])


def without_user(text: str, name: str) -> str:
    """Remove a user. The comments stay. Raises InvalidRequest if there is none."""
    before = Users.parse(text)
    existing(before, name)
    head, table, tail = _divided(text, name)
    comments = [line for line in table if not line.strip() or line.lstrip().startswith("#")]
    after = [user for user in before if user.name != name]
    return _checked("".join([*head, *comments, *tail]), after)


def with_keys(text: str, name: str, keys: Sequence[str]) -> str:
    """Give a user these keys in place of all others. Raises InvalidRequest if there is none."""
    before = Users.parse(text)
    existing(before, name)
    head, table, tail = _divided(text, name)
    lines = "".join(table)
    line = f"keys = {json.dumps(list(keys))}"
    found = _KEYS.search(lines)
    if found is not None and "#" not in found[0]:
        lines = lines[: found.start()] + line + lines[found.end() :]
    after = [replace(user, keys=tuple(keys)) if user.name == name else user for user in before]
    return _checked("".join([*head, lines, *tail]), after)


def existing(users: Users, name: str) -> User:
    """Return the user of that name. Raises InvalidRequest."""
    user = users.by_name(name)
    if user is None:
        names = ", ".join(user.name for user in users) or "nobody"
        raise InvalidRequest(f"there is no user {name!r}; there is {names}")
    return user


def _divided(text: str, name: str) -> tuple[list[str], list[str], list[str]]:
    """The lines before a user's table, those of it with its header, and those after it."""
    lines = text.splitlines(keepends=True)
    header = re.compile(rf"\s*\[\s*users\s*\.\s*[\"']?{re.escape(name)}[\"']?\s*\]")
    begin = next((k for k, line in enumerate(lines) if header.match(line)), len(lines))
    following = range(begin + 1, len(lines))
    end = next((k for k in following if _TABLE.match(lines[k])), len(lines))
    return lines[:begin], lines[begin:end], lines[end:]


def _checked(text: str, wanted: Iterable[User]) -> str:
    if [*Users.parse(text)] != [*wanted]:
        raise InvalidRequest(
            "users.toml is written in a way that this command cannot change: edit it by hand; "
            "nothing was changed"
        )
    return text
