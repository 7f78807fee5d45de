"""What changed on a node, in words: each change with its kind and the rule behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from raftzmq.core.entry import CONFIG, NOOP
from raftzmq.page.logs import Row

Facts = dict[str, Any]
"""What is known of a node besides its log (DESIGN.md has the names)."""


class Step(NamedTuple):
    """One event: its kind, words, the name of a rule, and what it changes of the node."""

    kind: str
    text: str
    rule: str | None
    change: Facts


def _picked(change: Facts, *names: str) -> Facts:
    return {name: change[name] for name in names if name in change}


def steps(name: str, before: Facts, change: Facts, why: str | None = None) -> Iterator[Step]:
    """The steps of a change of facts, in the order in which one reads them. `why`: in which way
    the node went down or stands still, if somebody knows."""
    after = {**before, **change}
    if "paused" in change:
        text = why or "stands still" if after["paused"] else "runs again"
        yield Step("fault", f"{name} {text}", None, _picked(change, "paused"))
    if role := _picked(change, "role", "term", "vote", "leader"):
        yield _role(name, before, after, role)
    if member := _picked(change, "member"):
        what = {"voter": "is a voter", "learner": "is a learner"}.get(
            after["member"], "is no member"
        )
        yield Step("membership", f"{name} {what}", "membership", member)
    if snapshot := _picked(change, "snapshot"):
        behind = after["snapshot"] > before.get("commit", 0)
        how = "installs" if behind else "has"
        rule = "install" if behind else "snapshot"
        text = f"{name} {how} a snapshot of everything up to {after['snapshot']}"
        yield Step("snapshot", text, rule, snapshot)
    if commit := _picked(change, "commit", "applied"):
        yield _commit(name, before, after, commit)


def life(name: str, before: Facts, change: Facts, row: Row, why: str | None) -> Step:
    """The one step of a node that starts, or ends: the rest of its change comes with that."""
    if not change["up"]:
        return Step("fault", f"{name} {why or 'is down'}", None, change)
    known = f"term {change.get('term', before.get('term', 0))}, log to {row.last}"
    text = f"{name} starts, with {known}" if row.last else f"{name} starts, with an empty log"
    return Step("start", text, "restart" if "term" in before else None, change)


def _role(name: str, before: Facts, after: Facts, change: Facts) -> Step:
    role, was, term = after["role"], before.get("role"), after["term"]
    later = term > before.get("term", 0)
    if role == "pre-candidate" and (role != was or later):
        text = f"{name} hears no leader, and asks who would vote for it in term {term + 1}"
        return Step("election", text, "pre-vote", change)
    if role == "candidate" and (role != was or later):
        text = f"{name} stands for election in term {term} and votes for itself"
        return Step("election", text, "candidate", change)
    if role == "leader" and role != was:
        return Step("election", f"{name} wins, and leads term {term}", "leader", change)
    if was == "leader" and role != was:
        if later:
            return Step(
                "election", f"{name} steps down: there is a term {term}", "later term", change
            )
        rule = "check quorum" if after.get("member") else "leaves"
        return Step("election", f"{name} steps down from term {term}", rule, change)
    if change.get("vote"):
        return Step("vote", f"{name} votes for {after['vote']} in term {term}", "vote", change)
    if change.get("leader") and after["leader"] != name:
        text = f"{name} follows {after['leader']} in term {term}"
        return Step("vote", text, "follow", change)
    if was in ("candidate", "pre-candidate") and role == "follower":
        return Step("vote", f"{name} gives up, in term {term}", "lost election", change)
    if later:
        return Step("vote", f"{name} is in term {term} now", "later term", change)
    return Step("vote", f"{name} knows no leader of term {term}", None, change)


def _commit(name: str, before: Facts, after: Facts, change: Facts) -> Step:
    if "commit" not in change:
        return Step(
            "apply", f"{name} has applied everything up to {after['applied']}", None, change
        )
    leads = after["role"] == "leader"
    span = _span(before.get("commit", 0) + 1, after["commit"])
    are = "is" if span.startswith("entry") else "are"
    text = f"{name} commits {span}" if leads else f"{name} learns that {span} {are} committed"
    return Step("commit", text, "commit" if leads else "hear of commit", change)


def _span(low: int, high: int) -> str:
    return f"entry {high}" if low >= high else f"entries {low} to {high}"


def log_step(name: str, old_last: int, row: Row, facts: Facts, change: dict[str, Any]) -> Step:
    """The step of a change of the log, which `row` is after it."""
    removed = change["keep"] < old_last and row.base < old_last
    added = change["add"]
    first = max(change["keep"], change["base"]) + 1
    if removed:
        gone = _span(max(change["keep"], row.base) + 1, old_last)
        then = f", and takes {_span(first, row.last)}" if added else ""
        return Step("conflict", f"{name} removes {gone}{then}", "conflict", {"log": change})
    if not added:
        text = f"{name} forgets its entries up to {row.base}"
        return Step("compact", text, "snapshot", {"log": change})
    rule = "append"
    if facts.get("role") == "leader" and added[-1].kind == NOOP:
        rule = "no-op"
    elif added[-1].kind == CONFIG:
        rule = "membership"
    what = f": {added[-1].text}" if len(added) == 1 and added[-1].text else ""
    text = f"{name} appends {_span(first, row.last)} of term {added[-1].term}{what}"
    kind = "membership" if added[-1].kind == CONFIG else "log"
    return Step(kind, text, rule, {"log": change})
