"""A recording played without the page: what must be the state of all nodes after each event."""

from __future__ import annotations

from typing import Any

from raftzmq.page.logs import Cell, Row

Nodes = dict[str, tuple[dict[str, Any], Row]]
"""name -> its facts, its log."""


def play(document: dict[str, Any], events: int | None = None) -> Nodes:
    """The state after so many events of a recording; of all where none is given."""
    nodes: Nodes = {name: ({}, Row()) for name in document["nodes"]}
    for event in document["events"][:events]:
        for name, change in event.get("nodes", {}).items():
            facts, row = nodes[name]
            for key, value in change.items():
                if key == "log":
                    row = applied(row, value)
                else:
                    facts = {**facts, key: value}
            nodes[name] = facts, row
    return nodes


def applied(row: Row, change: dict[str, Any]) -> Row:
    """A log after a change, as DESIGN.md of raftzmq/page says it."""
    kept = [
        cell
        for index, cell in enumerate(row.cells, row.base + 1)
        if change["base"] < index <= change["keep"]
    ]
    added = [Cell(*cell) for cell in change["add"]]
    return Row(change["base"], change["base_term"], [*kept, *added])


def described(name: str, facts: dict[str, Any], row: Row) -> str:
    """A node in the words in which the page says what it draws."""
    role = facts.get("role", "follower")
    if not facts.get("up"):
        role = "down"
    elif facts.get("paused"):
        role = "stands still"
    elif facts.get("member") != "voter":
        role = "learner" if facts.get("member") == "learner" else "no member"
    numbers = (facts.get(key, 0) for key in ("term", "commit", "applied"))
    term, commit, done = numbers
    return f"{name}: {role}, term {term}, committed {commit}, applied {done}, log to {row.last}"
