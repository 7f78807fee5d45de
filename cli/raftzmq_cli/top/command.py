"""`raftzmq client top`: what a cluster does, live."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from typing import Annotated, Final

import typer

from raftzmq.errors import RaftzmqError
from raftzmq_cli.client import statuses
from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.client.queues import KINDS
from raftzmq_cli.common import exits
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.messages import one_line
from raftzmq_cli.common.standard_output import obeys_escapes
from raftzmq_cli.top.picture import picture
from raftzmq_cli.top.samples import Frame, Line, Sample, frame

ANSWER_S: Final = 1.0
"""Wait for a node that does not answer: the others are shown meanwhile no newer than that."""

QUEUES_S: Final = 5.0
"""Time between two lists of the queues: there may be many."""

QUEUES: Final = 10_000
"""The most of a kind that are listed."""

PIPE_COLUMNS: Final = 80

commands = Commands(shared=SHARED)


@commands.command("top", "raftzmq client top\nraftzmq client top --once -w json")
def top(
    run: ClientInvocation,
    *,
    once: Annotated[bool, typer.Option("--once", help="Print one frame and end.")] = False,
    interval: Annotated[
        float,
        typer.Option(min=0.5, max=3600, metavar="SECONDS", help="Time between two frames."),
    ] = 1.0,
) -> int:
    """Show what the cluster does, until q or Ctrl-C: rates, latencies, lag, the longest lines.

    Rates are counted over the interval, latencies over the last minute. One frame is printed if the
    output is no terminal. Exit code 0; 3 if no node answers to begin with, 4 if none lets this
    client in.
    """
    looks = _looks(run)
    first = next(looks)
    if code := _cannot_ask(first):
        run.show({"error": statuses.judgement(first.nodes)}, [statuses.judgement(first.nodes)])
        return code
    if once or not run.is_simple or not obeys_escapes(sys.stdout):
        time.sleep(interval)
        found = frame(first, next(looks))
        run.show(found.document(), picture(found, _columns()), [*found.document()])
        return exits.DONE
    _live(looks, first, interval)
    return exits.DONE


def _columns() -> int:
    return shutil.get_terminal_size((PIPE_COLUMNS, 24)).columns


def _cannot_ask(sample: Sample) -> int:
    """The exit code if no node answers; 0 if one does."""
    if any("error" not in node for node in sample.nodes):
        return exits.DONE
    return statuses.verdict(sample.nodes)


def _live(looks: Iterator[Sample], before: Sample, interval: float) -> None:
    from raftzmq_cli.top.screen import Screen

    screen = Screen()
    try:
        with screen.open():
            found: Frame = frame(before, before)
            while True:
                screen.show(picture(found, screen.columns, screen.rows))
                if screen.wants_to_end(interval):
                    return
                after = next(looks)
                found = frame(before, after)
                before = after
    except KeyboardInterrupt:
        return


def _looks(run: ClientInvocation) -> Iterator[Sample]:
    """One look at the cluster after the other."""
    lines: list[Line] = []
    remark: str | None = None
    due_s = 0.0
    while True:
        nodes = statuses.collect(run, ANSWER_S)
        if statuses.leader_of(nodes) is None:
            lines, remark, due_s = [], "unknown while no node leads", 0.0
        elif time.monotonic() >= due_s:
            lines, remark = _queues(run)
            due_s = time.monotonic() + QUEUES_S
        yield Sample(nodes=nodes, lines=lines, lines_remark=remark)


def _queues(run: ClientInvocation) -> tuple[list[Line], str | None]:
    """All queues, and why they are not all, if so."""
    lines: list[Line] = []
    remark = None
    for kind in KINDS:
        try:
            page = run.client.queues(kind, "", QUEUES, timeout=ANSWER_S)
        except RaftzmqError as error:
            return lines, one_line(str(error))
        lines += [
            Line(kind=kind, name=queue.name, held=queue.held, waiting=queue.waiting)
            for queue in page
        ]
        if page.more:
            remark = f"of the first {QUEUES:,} of each kind"
    return lines, remark
