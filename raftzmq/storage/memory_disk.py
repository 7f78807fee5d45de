"""A disk in memory: files and directories as a reader sees them, and what a crash leaves of them.

Names and bytes become durable separately, as on a real disk: a file's bytes when it is synced, a
name when its directory is.
"""

from __future__ import annotations

from random import Random


class File:
    """A file's bytes as a reader sees them, and how much of that a crash cannot undo.

    The first `synced` bytes are durable; but if the file was cut since, `before_cut` is.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.synced = 0
        self.before_cut: bytes | None = None

    @property
    def durable(self) -> bytes:
        return bytes(self.data[: self.synced]) if self.before_cut is None else self.before_cut

    def truncate(self, size: int) -> None:
        self.before_cut = self.durable
        self.data[size:] = bytes(max(0, size - len(self.data)))  # as the system does

    def sync(self) -> None:
        self.synced = len(self.data)
        self.before_cut = None

    def is_synced(self) -> bool:
        return self.before_cut is None and self.synced == len(self.data)


class Directory:
    """A directory's names, those that a crash cannot undo, and the changes between the two."""

    def __init__(self) -> None:
        self.names: dict[str, File | Directory] = {}
        self.durable: dict[str, File | Directory] = {}
        self.pending: list[Change] = []

    def set(self, name: str, node: File | Directory | None) -> None:
        """Point a name to `node`, or remove it."""
        Change([(self, name, node)])

    def sync(self) -> None:
        for change in list(self.pending):
            change.make_durable()


class Change:
    """Names changed in one step. A crash keeps all or none of them (a rename has two)."""

    def __init__(self, edits: list[tuple[Directory, str, File | Directory | None]]) -> None:
        self._edits = edits
        for directory, name, node in edits:
            _edit(directory.names, name, node)
            directory.pending.append(self)

    def make_durable(self) -> None:
        for directory, name, node in self._edits:
            _edit(directory.durable, name, node)
        self.forget()

    def forget(self) -> None:
        for directory, _, _ in self._edits:
            if self in directory.pending:
                directory.pending.remove(self)


def _edit(names: dict[str, File | Directory], name: str, node: File | Directory | None) -> None:
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node


def bytes_in(directory: Directory) -> int:
    """Bytes in all files below a directory."""
    return sum(
        bytes_in(node) if isinstance(node, Directory) else len(node.data)
        for node in directory.names.values()
    )


def crash_directory(directory: Directory, random: Random | None, keep: bool) -> None:
    """What was not synced is kept or lost, as `keep` says; with `random`, something in between."""
    for change in list(directory.pending):
        if keep if random is None else random.random() < 0.5:
            change.make_durable()
        else:
            change.forget()
    directory.names = dict(directory.durable)
    for node in directory.names.values():
        if isinstance(node, Directory):
            crash_directory(node, random, keep)
        else:
            _crash_file(node, random, keep)


def _crash_file(file: File, random: Random | None, keep: bool) -> None:
    if file.is_synced():
        return
    if random is not None:
        file.data[:] = _torn(file.durable, bytes(file.data), random)
    elif not keep:
        file.data[:] = file.durable
    file.sync()


def _torn(old: bytes, new: bytes, random: Random) -> bytes:
    """What may be left of a file that held `old` durably and `new` unsynced."""
    if new.startswith(old):  # bytes were appended: some, or some and then unwritten zeros
        size = random.randint(len(old), len(new))
        zeros = random.randint(0, len(new) - size) if random.random() < 0.3 else 0
        return new[:size] + bytes(zeros)
    kept = random.randint(0, len(new))  # it was cut, and perhaps rewritten: a mixture
    return new[:kept] + old[kept:]
