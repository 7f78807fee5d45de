"""Every form that nodes share, found in the code itself, to compare the table of versions with."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from raftzmq.core import messages
from raftzmq.core.entry import KINDS
from raftzmq.core.messages import Message
from raftzmq.machine import snapshots
from raftzmq.machine.commands.operation import Command
from raftzmq.machine.commands.table import COMMANDS, SESSIONLESS
from raftzmq.machine.commands.transactions import BRANCH
from raftzmq.storage import directory, records, snapshot_lines
from raftzmq.transport.peer_wire import Hello, Welcome


def forms() -> set[str]:
    """All of them, as raftzmq/versions.py names them."""
    return {
        *(f"entry {kind}" for kind in KINDS),
        *_operations(),
        *(f"branch {name}" for name in BRANCH),
        *(f"fenced {row.name}" for row in COMMANDS.values() if row.fenced),
        *(f"record {record}" for record in _records()),
        *_messages(),
        *_files(),
    }


def _operations() -> Iterator[str]:
    for row in (*COMMANDS.values(), *SESSIONLESS.values()):
        for count in _counts(row):
            yield f"operation {row.name}/{count}"


def _counts(row: Command) -> list[int]:
    most = len(row.arguments) + 2  # more than one beyond them no row takes
    return [count for count in range(most + 1) if row.takes(count)]


def _records() -> Iterator[str]:
    """The lists in the source that begin with a word: no state has all of them."""
    for node in ast.walk(ast.parse(inspect.getsource(snapshots))):
        if isinstance(node, ast.List) and node.elts:
            first = node.elts[0]
            if isinstance(first, ast.Constant) and type(first.value) is str:
                yield f"{first.value}/{len(node.elts)}"


def _messages() -> Iterator[str]:
    for cls in (*vars(messages).values(), Hello, Welcome):
        if not isinstance(cls, type) or not (issubclass(cls, Message) or cls in (Hello, Welcome)):
            continue
        yield f"message {cls.__name__}"
        own: Any = cls
        common = {field.name for field in fields(Message)} if issubclass(cls, Message) else set()
        for field in fields(own):
            if field.name in common and cls is not Message:
                continue
            yield f"field {cls.__name__}.{field.name}"


def _files() -> Iterator[str]:
    """The formats, the files of a directory, and the fields of the small ones."""
    layout = directory.Layout(Path())
    yield f"file format/{records.FORMAT}"
    yield f"file machine/{snapshots.FORMAT}"
    for name in layout.names:
        if not name.endswith(".new"):
            yield f"file {name}"
    for module, functions in (
        (records, ("write_identity", "write_hard_state")),
        (snapshot_lines, ("encode_header",)),
    ):
        for function in functions:
            tree = ast.parse(inspect.getsource(getattr(module, function)))
            for node in ast.walk(tree):
                if isinstance(node, ast.Dict):
                    for key in node.keys:
                        if isinstance(key, ast.Constant):  # remarks in a header are not read
                            yield f"file {function.partition('_')[2]}.{key.value!s}"
