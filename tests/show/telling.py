"""A recording in a terminal: what happened, in lines."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, Final

QUIET: Final = frozenset({"message", "apply"})
EXPECTED: Final = frozenset({"hear of commit", "follow"})
"""Kinds of events, and rules, that a terminal does without."""
WIDTH: Final = 100
LINES_MAX: Final = 40
"""A story is no longer than a screen."""


def lines(document: dict[str, Any]) -> list[str]:
    """A title, and a line for each thing that happened; what several nodes do at about the same
    time is one line."""
    told = [document["title"], document["about"], ""]
    for at_ms, who, text in _merged(document):
        head = f"{at_ms / 1000:7.3f} s  "
        if not who:
            told += textwrap.wrap(text, WIDTH, initial_indent=head, subsequent_indent=" " * 11)
        else:
            colon = ":" if len(who) > 1 else ""
            told.append(f"{head}    {', '.join(who)}{colon} {text}")
    return told


def _merged(document: dict[str, Any]) -> Iterator[tuple[int, list[str], str]]:
    pending: list[tuple[int, list[str], str]] = []
    for event in document["events"]:
        if event["kind"] in QUIET or event.get("rule") in EXPECTED:
            continue
        text = event["text"]
        name = next(iter(event.get("nodes", {})), None)
        if name is None or not text.startswith(f"{name} "):
            yield from pending
            pending = [(event["at"], [], text)]
            continue
        text = text[len(name) + 1 :]
        for at_ms, who, same in pending:
            if who and same == text and name not in who and event["at"] - at_ms <= 10:
                who.append(name)
                break
        else:
            if pending and event["at"] - pending[-1][0] > 10:
                yield from pending
                pending = []
            pending.append((event["at"], [name], text))
    yield from pending
