"""The rules about what lies on this machine: a data directory, and a directory of keys."""

from __future__ import annotations

from raftzmq_cli.doctor.facts import Facts
from raftzmq_cli.doctor.node_rules import DISK_FREE_SHARE
from raftzmq_cli.doctor.verdicts import Check, attention, failing, ok


def directory(facts: Facts) -> Check | None:
    """Whether a node could start from the directory, and if not, what is damaged and where."""
    found = facts.directory
    if found is None:
        return None
    if not found.exists:
        return attention(
            "directory",
            f"{found.path} does not exist",
            "name the data directory with --data-dir; a node that starts there begins with nothing",
        )
    whose = f"of {found.node}" if found.node else "of no node yet"
    if found.damage:
        return failing("directory", found.damage, "docs/runbook.md, A volume is lost, or damaged")
    if found.held_by:
        return ok("directory", f"{found.path}, {whose}: {found.held_by} runs on it")
    if found.empty:
        return attention(
            "directory",
            f"there is no node's data in {found.path}",
            "name the directory of node.json; a node that starts here begins with nothing",
        )
    return ok("directory", f"{found.path}, {whose}: every line was read, nothing is damaged")


def file_modes(facts: Facts) -> Check | None:
    """Who else may read the data. There is nothing to say while nobody may."""
    found = facts.directory
    if found is None or not found.readable_by_others:
        return None
    names = ", ".join(found.readable_by_others)
    return attention(
        "file modes",
        f"others may read {names} in {found.path}",
        f"`chmod -R o-rwx {found.path}`",
    )


def room(facts: Facts) -> Check | None:
    """Room beside the data."""
    found = facts.directory
    if found is None or found.free_bytes is None or not found.size_bytes:
        return None
    share = found.free_bytes / found.size_bytes
    if share < DISK_FREE_SHARE:
        return attention(
            "room",
            f"{share:.0%} of the file system of {found.path} is free",
            "free space or give the volume more (docs/runbook.md, A volume is full)",
        )
    return ok("room", f"{share:.0%} of the file system of {found.path} is free")


def key_files(facts: Facts) -> Check | None:
    """Whether a node could use the keys in a directory, and whether others may read them."""
    found = facts.keys
    if found is None:
        return None
    if found.problem:
        return failing("key files", found.problem, "docs/keys.md")
    if found.rotating:
        name = found.rotating[0]
        return attention(
            "key files",
            f"a change of keys is unfinished: {', '.join(found.rotating)}",
            f"`raftzmq keys rotate {name} --keys {found.path}` says which step is next",
        )
    return ok("key files", f"{found.path}: complete, and readable by their owner alone")
