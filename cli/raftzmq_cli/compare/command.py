"""`raftzmq views compare`: the same failures on both designs, and what each lost and how long it
paused, side by side."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from raftzmq.errors import InvalidRequest
from raftzmq_cli.common import exits, messages, printers
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.designs import Design
from raftzmq_cli.common.settings import GroupOutput, Output
from raftzmq_cli.compare.failures import FAILURES, Failure, Played, Theatre
from raftzmq_cli.compare.load import Outcome
from raftzmq_cli.compare.systems import RaftSystem, System, ViewsSystem, free_ports

COLUMNS: Final = ("lost", "wrong", "paused")
"""What is shown of each design."""

_INDENT: Final = " " * 4

commands = Commands()


@commands.command(
    "compare",
    """
    raftzmq views compare                    all failures, 90 seconds
    raftzmq views compare leader all         these two
    raftzmq views compare -w json
    """,
)
def compare(
    failures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FAILURE",
            help=f"One of {', '.join(failure.name for failure in FAILURES)} (default: all).",
            show_default=False,
        ),
    ] = None,
    output: GroupOutput = None,
) -> int:
    """Run the same failures against both designs, on this machine.

    A writer puts about 100 keys per second and a reader reads them while servers are killed.
    Lost: writes that were acknowledged but are missing in the end. Wrong: reads that missed such a
    write or found another value. Paused: the total time without an acknowledged write, counting
    gaps of more than 100 ms. This takes 90 seconds.
    """
    chosen = chosen_from(failures or [])
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        played = play_all(chosen)
    finally:
        signal.signal(signal.SIGTERM, before)
    show(output or Output.SIMPLE, chosen, played)
    return exits.DONE


def chosen_from(names: Sequence[str]) -> list[Failure]:
    """The failures of these names in their usual order, or all. Raises InvalidRequest."""
    known = [failure.name for failure in FAILURES]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidRequest(f"there is no failure {unknown[0]!r}: there are {', '.join(known)}")
    return [failure for failure in FAILURES if not names or failure.name in names]


def play_all(chosen: Sequence[Failure]) -> list[Played]:
    """Play them on one design and then on the other, saying on stderr what is being done."""
    makers = {Design.RAFT: RaftSystem, Design.VIEWS: ViewsSystem}
    played = []
    with tempfile.TemporaryDirectory(prefix="raftzmq-compare-") as directory:
        for design, make in makers.items():
            messages.say(f"{design}:")
            with Theatre(partial(_made, make), Path(directory) / design) as theatre:
                for number, failure in enumerate(chosen, 1):
                    messages.say(f"{number}/{len(chosen)}  {failure.name}: {failure.text}")
                    played.append(theatre.play(failure, _say))
                    _say(_summary(played[-1].outcome))
    return played


def show(output: Output, chosen: Sequence[Failure], played: Sequence[Played]) -> None:
    """Print what came of it: a row a failure, or everything as one JSON document."""
    rows = [_row(failure, [one for one in played if one.failure is failure]) for failure in chosen]
    headings = {"failure": "FAILURE"}
    for design in Design:
        headings |= {f"{design}_{column}": f"{design} {column}".upper() for column in COLUMNS}
    lines: list[str | bytes] = [*printers.aligned(rows, headings)]
    lines += ["", *(f"{failure.name}: {failure.text}" for failure in chosen)]
    lines += [
        f"{one.failure.name}, {one.design}: not whole again: {one.lacks}"
        for one in played
        if one.lacks
    ]
    if output is Output.TABLE:
        printers.show(output, rows, lines, list(headings))
    else:
        printers.show(output, [_document(one) for one in played], lines)


def _document(one: Played) -> dict[str, Any]:
    return {
        "failure": one.failure.name,
        "what": one.failure.text,
        "design": one.design,
        **asdict(one.outcome),
        "lacks": one.lacks,
    }


def _row(failure: Failure, played: Sequence[Played]) -> dict[str, str]:
    row = {"failure": failure.name}
    for one in played:
        cells = (_lost(one.outcome), str(one.outcome.wrong), _paused(one.outcome))
        row |= {f"{one.design}_{column}": cell for column, cell in zip(COLUMNS, cells, strict=True)}
    return row


def _lost(outcome: Outcome) -> str:
    if outcome.lost is None:
        return "out of reach"
    return f"{outcome.lost:,} of {outcome.acknowledged:,}"


def _paused(outcome: Outcome) -> str:
    return f"{outcome.standstill_ms:,.0f} ms" if outcome.resumed else "for good"


def _summary(outcome: Outcome) -> str:
    return f"lost {_lost(outcome)}, wrong {outcome.wrong}, paused {_paused(outcome)}"


def _made(make: Callable[[Path, int], System], directory: Path) -> System:
    return make(directory, free_ports())


def _say(text: str) -> None:
    messages.say(f"{_INDENT} {text}")
