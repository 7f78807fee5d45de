"""`raftzmq recover`: what the survivors of a lost majority have, and a new cluster from one."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from raftzmq.errors import DataError, InvalidRequest
from raftzmq.machine import Program
from raftzmq.naming import parse_address, parse_pod_name
from raftzmq.offline.founding import NewCluster
from raftzmq.offline.recovery import confirmation, recover, repeats
from raftzmq.offline.survivors import Survivor, newest, objections, survey
from raftzmq.storage.files import OsFiles
from raftzmq_cli.common import exits, messages, printers
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.messages import short
from raftzmq_cli.common.settings import GroupOutput, Output

commands = Commands()

COLUMNS: Final = {
    "directory": "DIRECTORY",
    "node": "NODE",
    "cluster": "CLUSTER",
    "last_term": "LAST TERM",
    "last_index": "LAST INDEX",
    "snapshot_index": "SNAPSHOT",
    "revision": "REVISION",
    "keys": "KEYS",
    "torn_bytes": "TORN",
    "newest": "NEWEST",
    "state": "STATE",
}


@commands.command(
    "recover",
    """
    raftzmq recover d0 d2                what is left of a cluster in these data directories
    raftzmq recover d2 d0 --as-new-cluster --confirm "lose everything after revision 1234"
    """,
)
def command(
    directories: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...",
            help="The data directories that are left; with --as-new-cluster the first is used.",
        ),
    ],
    *,
    as_new_cluster: Annotated[
        bool,
        typer.Option(
            "--as-new-cluster",
            help="Make the first DIR that of the only node of a new cluster. What was in it is "
            "kept in a folder aside-N there.",
        ),
    ] = False,
    confirm: Annotated[
        str,
        typer.Option(metavar="TEXT", help="What is lost, in the words that `recover DIR` says."),
    ] = "",
    name: Annotated[
        str, typer.Option(metavar="POD", help="The node's name from now on (default: as it was).")
    ] = "",
    address: Annotated[
        str,
        typer.Option(metavar="HOST:PORT", help="Where other nodes reach it (default: as it was)."),
    ] = "",
    even_so: Annotated[
        bool,
        typer.Option(
            "--even-so",
            help="Although another DIR is newer or cannot be read, or they are a majority.",
        ),
    ] = False,
    machine: Annotated[
        str,
        typer.Option(
            envvar="RAFTZMQ_MACHINE",
            metavar="MODULE:CLASS",
            help="The class of a state machine of your own, as the nodes had it: their logs have "
            "calls of its methods.",
        ),
    ] = "",
    output: GroupOutput = None,
) -> int:
    """Show what the data directories of stopped nodes have, when a majority is lost for good.

    It says which is the newest, and what may be lost, and changes nothing. With --as-new-cluster it
    makes a new cluster of one node from all that the first DIR has. Its id differs: nodes of
    the old cluster that come back are not let in. Others join it with empty directories.
    """
    _check(name, address)
    files = OsFiles()
    program = _program_of(machine)
    survivors = [survey(files, directory, program) for directory in dict.fromkeys(directories)]
    if not as_new_cluster:
        return _show(survivors, machine, output or Output.SIMPLE)
    chosen, others = survivors[0], survivors[1:]
    if chosen.damage:
        raise DataError(chosen.damage)
    repeated = repeats(files, chosen.path, chosen.cluster, confirm, program)
    found = [] if repeated else objections(chosen, others)
    if found and not even_so:
        raise InvalidRequest(f"{'; '.join(found)}. Use that one, or say --even-so")
    cluster = recover(
        files, chosen.path, confirm=confirm, name=name, address=address, program=program
    )
    _show_recovered(chosen, cluster, repeated, output or Output.SIMPLE)
    return exits.DONE


def _check(name: str, address: str) -> None:
    if name:
        parse_pod_name(name)
    if address:
        parse_address(address)


def _program_of(machine: str) -> Program | None:
    """What runs the calls in the logs. Raises InvalidRequest."""
    if not machine:
        return None
    # Imported late: most clusters have none.
    from raftzmq.state_machine.loading import host_of

    return host_of(machine)


def _show(survivors: Sequence[Survivor], machine: str, output: Output) -> int:
    best = newest(survivors)
    rows = [_row(survivor, best) for survivor in survivors]
    if best is None:
        printers.show(output, {"survivors": rows, "newest": None}, _lines(rows), list(COLUMNS))
        return exits.NO
    others = [survivor for survivor in survivors if survivor is not best]
    next_command = _next_command(best, others, machine)
    document = {
        "survivors": rows,
        "newest": str(best.path),
        "lost_after": {"index": best.last_index, "revision": best.revision},
        "objections": objections(best, others),
        "confirm": confirmation(best.revision),
        "command": shlex.join(next_command),
    }
    if output is Output.TABLE:
        printers.show(output, rows, (), list(COLUMNS))
        return exits.DONE
    printers.show(output, document, [*_lines(rows), "", *_verdict(best, others, next_command)])
    return exits.DONE


def _row(survivor: Survivor, best: Survivor | None) -> dict[str, Any]:
    return {
        "directory": short(survivor.path),
        "node": survivor.node or None,
        "incarnation": survivor.incarnation or None,
        "cluster": survivor.cluster or None,
        "term": survivor.term,
        "last_term": survivor.last_term,
        "last_index": survivor.last_index,
        "snapshot_index": survivor.snapshot_index,
        "revision": survivor.revision,
        "keys": survivor.keys,
        "torn_bytes": survivor.torn_bytes,
        "voters": sorted(voter.name for voter in survivor.voters),
        "newest": survivor is best,
        "process": survivor.user or None,
        "damage": survivor.damage or None,
        "state": _state(survivor),
    }


def _state(survivor: Survivor) -> str:
    if survivor.damage:
        return survivor.damage
    words = []
    if survivor.user:
        words.append(f"in use by {survivor.user}")
    if survivor.interrupted:
        words.append("a recovery was interrupted: run it again, it goes on")
    if survivor.lacks_index:
        words.append(f"an old copy: it lacks entries up to {survivor.lacks_index}")
    return ", ".join(words) or "ok"


def _lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    return printers.aligned(rows, COLUMNS)


def _next_command(best: Survivor, others: Sequence[Survivor], machine: str) -> list[str]:
    directories = [str(best.path), *(str(other.path) for other in others)]
    confirm = ["--confirm", confirmation(best.revision)]
    own = ["--machine", machine] if machine else []
    return ["raftzmq", "recover", *directories, "--as-new-cluster", *confirm, *own]


def _verdict(best: Survivor, others: Sequence[Survivor], command: Sequence[str]) -> list[str]:
    """What a person has to know before they go on."""
    here = {best.node, *(other.node for other in others)}
    absent = sorted({voter.name for voter in best.voters} - here)
    lost_index = max(best.last_index, best.lacks_index)
    lines = [
        f"newest    {short(best.path)}, of {best.node}",
        f"kept      all {best.keys} keys up to revision {best.revision}, also writes of which "
        "nobody knows whether they were acknowledged",
        f"lost      what was written after revision {best.revision} (entry {lost_index}), and "
        "acknowledged, on nodes whose directories are gone; how much cannot be known",
    ]
    if absent:
        lines.append(f"not seen  {', '.join(absent)}: if their directories exist, name them too")
    lines += [f"careful   {objection}" for objection in objections(best, others)]
    if best.user:
        lines.append(f"first     stop {best.user}, which runs on {short(best.path)}")
    return [*lines, f"go on     {shlex.join(command)}"]


def _show_recovered(chosen: Survivor, cluster: NewCluster, repeated: bool, output: Output) -> None:
    member = cluster.membership.members[0]
    document = {
        "cluster": cluster.id,
        "node": member.id.name,
        "incarnation": member.id.incarnation,
        "address": member.address,
        "revision": cluster.machine.revision,
        "repeated": repeated,
        "old_cluster": chosen.cluster,
        "old_revision": chosen.revision,
    }
    others = sorted({voter.name for voter in chosen.voters} - {member.id.name})
    done = "was recovered before" if repeated else "recovered"
    lines = [
        f"{done} {short(chosen.path)}: {member.id.name} is the only node of cluster "
        f"{cluster.id}, and revisions go on after {cluster.machine.revision}",
        f"start it as before; {messages.program()} client status shows it as leader",
    ]
    lines += [
        f"start {other} with an empty directory, then: {messages.program()} client member add "
        f"{other}   (a StatefulSet's nodes are let in by themselves)"
        for other in others
    ]
    printers.show(output, document, lines)
