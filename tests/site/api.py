"""The reference of the Python package, made of docstrings and signatures at run time.

Most methods of the clients are made of functions that say what they ask, so a reader of the source
alone would not find them. `inspect` does.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any, Final

import raftzmq
from raftzmq import errors, testing
from raftzmq.client import aio, blocking, results, transactions
from raftzmq.client.handles.rwlock import ReadWriteLock

HANDLES: Final[dict[str, type]] = {"ReadWriteLock": ReadWriteLock} | {
    name: found
    for name, found in vars(blocking).items()
    if getattr(found, "__module__", "").startswith(blocking.__name__) and hasattr(aio, name)
    if inspect.isclass(found) and found not in blocking.Client.__mro__
}
"""What methods of a client return, besides results."""

WIDTH: Final = 88


class _Words:
    """An annotation as it is written in the source."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def page_of_clients() -> str:
    """The page of both clients."""
    return "\n".join(
        [
            "# Client and AsyncClient\n",
            "`AsyncClient` has the methods of `Client`. Those that wait are coroutines.\n",
            *_class("Client", raftzmq.Client),
            *_head("AsyncClient", raftzmq.AsyncClient),
        ]
    )


def page_of_handles() -> str:
    """The page of what a client's methods return to be held, entered or iterated."""
    parts = [
        "# Locks, leases, watches and the like\n",
        "Methods of a client return these. `AsyncClient` returns its own, with the same methods: "
        "those that wait are coroutines, `with` is `async with`, and `for` is `async for`.\n",
        "All can be imported from `raftzmq`, for annotations; only clients make them.\n",
    ]
    for name, handle in HANDLES.items():
        parts += _class(name, handle)
        if sibling := getattr(raftzmq, f"Async{name}", None):
            parts += _head(f"Async{name}", sibling)
    return "\n".join(parts)


def page_of_results() -> str:
    """The page of what calls return."""
    return "\n".join(["# Results\n", inspect.getdoc(results) or "", "", *_all(results)])


def page_of_transactions() -> str:
    """The page of the parts of a transaction."""
    return "\n".join(["# Transactions\n", *_all(transactions)])


def page_of_errors() -> str:
    """The page of the errors."""
    return "\n".join(["# Errors\n", inspect.getdoc(errors) or "", "", *_all(errors)])


def page_of_testing() -> str:
    """The page of what tests of applications use."""
    return "\n".join(
        [
            "# raftzmq.testing\n",
            inspect.getdoc(testing) or "",
            "",
            *_all(testing, "raftzmq.testing"),
        ]
    )


def _all(module: Any, home: str = "raftzmq") -> Iterator[str]:
    for name in module.__all__:
        found = getattr(module, name)
        if inspect.isclass(found):
            yield from _class(name, found, home)
        else:
            yield f"## {name}\n\n    {name} = {found}\n"


def _class(name: str, found: type, home: str = "raftzmq") -> Iterator[str]:
    yield from _head(name, found)
    for member_name, member in members(found, home):
        yield f"### {name}.{member_name}\n"
        if not isinstance(member, property):
            yield _signature(member_name, member)
        yield (inspect.getdoc(member) or "") + "\n"


def _head(name: str, found: type) -> Iterator[str]:
    yield f"## {name}\n"
    if issubclass(found, BaseException):
        yield f"    class {name}({found.__bases__[0].__name__})\n"
    else:
        yield _signature(name, found)
    yield (inspect.getdoc(found) or "") + "\n"
    if not is_dataclass(found) and "__init__" in vars(found):
        yield (inspect.getdoc(vars(found)["__init__"]) or "") + "\n"


def members(found: type, home: str = "raftzmq") -> Iterator[tuple[str, Any]]:
    """The public methods and properties that the package `home` has for it."""
    seen: dict[str, Any] = {}
    for base in found.__mro__:
        if base.__module__.startswith(home):
            for name, member in vars(base).items():
                if not name.startswith("_") and (
                    inspect.isfunction(member) or isinstance(member, property)
                ):
                    seen.setdefault(name, member)
    yield from seen.items()


def _signature(name: str, called: Any) -> str:
    """A block with the signature, in as many lines as it needs."""
    seen = inspect.signature(called)
    parameters = [
        parameter.replace(annotation=_words(parameter.annotation))
        for parameter in seen.parameters.values()
        if parameter.name != "self"
    ]
    returns = "" if inspect.isclass(called) else seen.return_annotation
    arrow = f" -> {returns}" if isinstance(returns, str) and returns else ""
    line = f"{name}({', '.join(_parts(parameters))}){arrow}"
    if len(line) <= WIDTH:
        return f"    {line}\n"
    lines = [f"{name}(", *(f"    {part}," for part in _parts(parameters)), f"){arrow}"]
    return "\n".join(f"    {line}" for line in lines) + "\n"


def _parts(parameters: list[inspect.Parameter]) -> list[str]:
    """The parameters as they are written, with the star before those that are named."""
    parts: list[str] = []
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        parts.append(str(parameter))
    return parts


def _words(annotation: Any) -> Any:
    return _Words(annotation) if isinstance(annotation, str) else annotation
