"""The examples in the docstrings of what users of the package meet."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any, Final

import raftzmq
from tests.site.api import HANDLES, members

_BLOCK: Final = re.compile(r"(?:^(?: {4}.*)?\n)+", re.MULTILINE)
_NO_DOCSTRING: Final = {"__version__", "Value"}
"""Text, and the name of a type."""


def documented() -> Iterator[tuple[str, Any]]:
    """Each public name, each method of a client, and what methods of a client return; what those of
    AsyncClient return has the methods of its sibling."""
    for name in {*raftzmq.__all__} - _NO_DOCSTRING - {f"Async{name}" for name in HANDLES}:
        yield name, getattr(raftzmq, name)
    for name, member in members(raftzmq.Client):
        yield f"Client.{name}", member
    for name, handle in HANDLES.items():
        yield name, handle


def example_of(found: Any) -> str:
    """The blocks of code in a docstring; empty if there are none."""
    text = (inspect.getdoc(found) or "") + "\n"
    blocks = (textwrap.dedent(block[0]).strip("\n") for block in _BLOCK.finditer(text))
    return "".join(f"{block}\n" for block in blocks if block.strip())


def examples() -> dict[str, str]:
    """Name -> code."""
    return {name: example_of(found) for name, found in sorted(documented(), key=lambda x: x[0])}
