"""What stands for a value in help texts: N and TEXT, not the types that Typer knows."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any, Final

METAVARS: Final[dict[Any, str]] = {
    int: "N",
    float: "N",
    str: "TEXT",
    list[str]: "TEXT",
    Path: "PATH",
}


def use_plain_metavars(command: Any) -> None:
    """Name the values of every parameter of `command` and of the commands in it, where the
    declaration does not. Arguments have their names, and no type besides."""
    for param in command.params:
        kind = getattr(getattr(param, "type_descriptor", None), "annotation", None)
        if isinstance(kind, type) and issubclass(kind, Enum):
            name: str | None = "|".join(str(member.value) for member in kind)
        else:
            name = METAVARS.get(kind)
        if param.param_type_name == "argument":
            param.display_type_rich = lambda ctx: None  # noqa: ARG005
        elif param.metavar is None and name is not None:
            param.metavar = name
    for nested in getattr(command, "commands", {}).values():
        use_plain_metavars(nested)
