"""One page that plays a recording of a cluster: a file of HTML that needs nothing else."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final

from raftzmq.page.recording import encode

PLACE: Final = '<script type="application/json" id="recording">'
"""Where the page has its recording, between this and the end of the element."""


def html(recording: dict[str, Any] | None = None) -> str:
    """The page with a recording in it; without one it asks for a file."""
    page = (files("raftzmq.page") / "page.html").read_text("utf-8")
    if recording is None:
        return page
    # Whatever a key or a value holds, it neither ends the element nor begins another.
    text = encode(recording).decode().replace("<", "\\u003c")
    before, _, after = page.partition(PLACE)
    return before + PLACE + text + after
