"""Converting the command line's words to str, int, float, bool, Path and enums, quickly.

Recent versions of Typer convert every argument by pydantic, and importing that takes longer than
everything else a command does. The types that this program uses need no such help. Where Typer
has no such conversion to replace, nothing happens and Typer's own is used: the results are equal.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

import typer

_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE = frozenset({"0", "false", "f", "no", "n", "off"})


class PlainCoercion:
    """Converts one parameter's words; the method is the one that Typer's own converters have."""

    def __init__(self, kind: Any) -> None:
        self.many = kind == list[str]
        self.kind: Any = str if self.many else kind

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if self.many:
            return () if value is None else tuple(self._one(word, param, ctx) for word in value)
        return None if value is None else self._one(value, param, ctx)

    def _one(self, value: Any, param: Any, ctx: Any) -> Any:
        try:
            converted = convert(value, self.kind)
        except ValueError as error:
            raise typer.BadParameter(str(error), ctx=ctx, param=param) from None
        low = getattr(param, "min", None)
        high = getattr(param, "max", None)
        if low is not None and not converted >= low:
            raise typer.BadParameter(f"{value} is below {low}.", ctx=ctx, param=param)
        if high is not None and not converted <= high:
            raise typer.BadParameter(f"{value} is above {high}.", ctx=ctx, param=param)
        return converted


def convert(value: Any, kind: Any) -> Any:
    """Return `value` as a `kind`. Raises ValueError with a sentence for the user."""
    if isinstance(value, kind):
        return value
    if kind is bool:
        word = str(value).strip().lower()
        if word not in _TRUE | _FALSE:
            raise ValueError(f"{value!r} is neither yes nor no.")
        return word in _TRUE
    if issubclass(kind, Enum):
        words = [str(member.value) for member in kind]
        if value not in words:
            raise ValueError(f"{value!r} is not one of {', '.join(words)}.")
        return kind(value)
    if kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            sort = "a whole number" if kind is int else "a number"
            raise ValueError(f"{value!r} is not {sort}.") from None
    return kind(value)


def use_plain_coercion(command: Any) -> None:
    """Replace Typer's conversion of every parameter of `command`, and of the commands in it."""
    help_option = command.get_help_option(typer.Context(command))
    for param in [*command.params, help_option]:
        kind = getattr(getattr(param, "type_descriptor", None), "annotation", None)
        plain = kind in (str, int, float, bool, Path) or kind == list[str]
        is_enum = isinstance(kind, type) and issubclass(kind, Enum)
        if getattr(param, "_runtime_param", "absent") is None and (plain or is_enum):
            param._runtime_param = PlainCoercion(kind)
    for nested in getattr(command, "commands", {}).values():
        use_plain_coercion(nested)
