"""`raftzmq snapshot restore`: the directories of a new cluster's nodes, made of a backup."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from raftzmq.client.discovery import NAME
from raftzmq.errors import InvalidRequest
from raftzmq.naming import parse_peers, parse_pod_name, service_address
from raftzmq_cli.common.backups import Backup, file_of, keys_text
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.printers import show
from raftzmq_cli.common.progress import Bar
from raftzmq_cli.common.settings import GroupOutput, Output

commands = Commands()


@commands.command(
    "restore",
    """
    raftzmq snapshot restore backup --data-dir d0 --peers raft-0=127.0.0.1:6000
    raftzmq snapshot restore backup --data-dir d0 --data-dir d1 --data-dir d2 \\
        --peers raft-0=db0:6000,raft-1=db1:6000,raft-2=db2:6000
    raftzmq snapshot restore backup --data-dir /data --service raft-service --namespace default
    """,
)
def restore(
    file: Backup,
    *,
    data_dir: Annotated[
        list[Path],
        typer.Option(
            "--data-dir",
            metavar="DIR",
            help="The directory to make for a node: missing or empty. One for each node, in the "
            "order of --peers.",
        ),
    ],
    peers: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=HOST:PORT,...",
            help="The nodes of the new cluster, as for `raftzmq node`.",
        ),
    ] = None,
    service: Annotated[
        str | None,
        typer.Option(
            help="In place of --peers: the headless Service of the pods NAME-0, NAME-1, and so on."
        ),
    ] = None,
    namespace: Annotated[str | None, typer.Option(help="The Service's namespace.")] = None,
    name: Annotated[str, typer.Option(help="With --service, NAME of the pods.")] = NAME,
    output: GroupOutput = None,
) -> None:
    """Make a backup the beginning of a new cluster: a data directory for each of its first nodes.

    Start a node on each directory then, with the same --peers. Further nodes join as usual.

    The new cluster has an id of its own, so nodes of the old one neither join it nor are heard.
    Revisions go on a billion above those of the backup. Leases have the time that they had left.
    Clients keep sessions, locks and fencing tokens; watches end, and say where to go on.
    """
    from raftzmq.offline import backups
    from raftzmq.storage import OsFiles

    addresses = _addresses(peers, service, namespace, name, len(data_dir))
    directories = dict(zip(addresses, data_dir, strict=True))
    if len({path.absolute() for path in data_dir}) < len(data_dir):
        raise InvalidRequest("the same --data-dir is given twice: each node needs its own")
    with file_of(file) as path, Bar("restoring", len(directories)) as bar:
        order = list(directories)
        cluster = backups.restore(
            OsFiles(),
            path,
            directories,
            addresses,
            lambda node, size, total: bar.show(
                order.index(node) + min(size / max(total, 1), 1), f" {node}"
            ),
        )
    state = cluster.machine.state
    made = [{"node": node, "data_dir": str(directories[node])} for node in directories]
    lines = [f"{one['node']}: {one['data_dir']}" for one in made]
    said = f"cluster {cluster.id}, {keys_text(len(state.keys))}, revision {state.revision}"
    show(
        output or Output.SIMPLE,
        {
            "cluster": cluster.id,
            "revision": state.revision,
            "keys": len(state.keys),
            "nodes": made,
        },
        [*lines, f"{said}; start each with `raftzmq node NAME --data-dir DIR --peers ...`"],
    )


def _addresses(
    peers: str | None, service: str | None, namespace: str | None, name: str, count: int
) -> Mapping[str, str]:
    """Name -> HOST:PORT of each node, in the order of the directories. Raises InvalidRequest."""
    if (peers is None) == (service is None):
        raise InvalidRequest(
            "say who the nodes are: either --peers NAME=HOST:PORT,... or --service SERVICE"
        )
    if peers is not None:
        addresses = parse_peers(peers)
    else:
        names = [f"{name}-{k}" for k in range(count)]
        parse_pod_name(names[0])
        addresses = {pod: service_address(pod, str(service), namespace) for pod in names}
    if len(addresses) != count:
        raise InvalidRequest(
            f"{count} times --data-dir, and {len(addresses)} nodes in --peers: give a directory "
            "for each node"
        )
    return addresses
