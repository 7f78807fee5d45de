"""`raftzmq client`: the group with the shared options, and the commands about keys and values."""

from __future__ import annotations

from typing import Annotated

import typer

from raftzmq_cli.client import coordination, members, nodes
from raftzmq_cli.common.invocation import Invocation, command, examples_text
from raftzmq_cli.common.settings import GroupEndpoints, GroupOutput, GroupTimeout

Key = Annotated[str, typer.Argument(metavar="KEY", help="The key.")]
Fence = Annotated[
    list[str] | None,
    typer.Option(
        "--fence",
        allow_from_autoenv=False,
        metavar="NAME:TOKEN",
        help="Only while this token holds a lock, semaphore or election of that name; else exit 4.",
    ),
]

app = typer.Typer(
    name="client",
    help="Talk to a cluster: keys and values, locks and watches, its state, its members.",
    epilog=examples_text(
        """
        raftzmq client put greeting hello
        raftzmq client get greeting -w json
        raftzmq client --endpoints 127.0.0.1:6001,127.0.0.1:6011 status
        raftzmq client shell

        The options stand before or after the command. Exit codes: 0 done; 1 the answer
        is no; 2 wrong usage; 3 no leader or no answer in time; 4 refused by the cluster.
        """
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def group(
    ctx: typer.Context,
    endpoints: GroupEndpoints = None,
    timeout: GroupTimeout = None,
    output: GroupOutput = None,
) -> None:
    invocation = Invocation(group=ctx)
    invocation.settings = invocation.settings.overridden(endpoints, timeout, output)
    ctx.obj = invocation
    ctx.call_on_close(invocation.close)


@command(
    app,
    "get",
    """
    raftzmq client get greeting
    raftzmq client get --prefix config/ -w json
    raftzmq client get a --range-end b --limit 100
    raftzmq client get backup.tar --raw > backup.tar
    """,
)
def get(
    run: Invocation,
    key: Key,
    *,
    stale: Annotated[
        bool,
        typer.Option("--stale", help="Let any node answer, with what it has applied so far."),
    ] = False,
    prefix: Annotated[
        bool, typer.Option("--prefix", help="All keys that start with KEY, which may be empty.")
    ] = False,
    range_end: Annotated[
        str | None,
        typer.Option(metavar="END", help="All keys from KEY up to, but without, END; '': no end."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many keys.")] = None,
    fail_missing: Annotated[
        bool, typer.Option("--fail-missing", help="Exit with 1 if there is no such key.")
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Just the value's bytes, without a newline at the end.")
    ] = False,
) -> None:
    """Print the value of a key; of a missing key, nothing.

    Reads are linearizable: they see every write that was done before, unless --stale.
    Of several keys, each line has key and value. Many keys are read a page at a time.
    """
    from raftzmq_cli.client import keys as data

    data.get(
        run,
        key,
        stale=stale,
        prefix=prefix,
        range_end=range_end,
        limit=limit,
        fail_missing=fail_missing,
        raw=raw,
    )


@command(
    app,
    "put",
    """
    raftzmq client put greeting hello
    raftzmq client put config @config.json
    date | raftzmq client put now -
    raftzmq client put balance -- -5
    raftzmq client put lock mine --if-absent
    raftzmq client put seen/worker-3 now --ttl 30
    raftzmq client put state ready --fence "$RAFTZMQ_LOCK_NAME:$RAFTZMQ_LOCK_TOKEN"
    """,
)
def put(
    run: Invocation,
    key: Key,
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE", help="The value; @FILE takes a file's content, - standard input."
        ),
    ],
    *,
    if_revision: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="Only if the key is at this revision (0: absent); else exit 1."
        ),
    ] = None,
    if_absent: Annotated[
        bool, typer.Option("--if-absent", help="Only if there is no such key; else exit 1.")
    ] = False,
    literal: Annotated[
        bool, typer.Option("--literal", help="Take VALUE as it is, even - or @FILE.")
    ] = False,
    ttl: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Delete the key then, unless it is written again."),
    ] = None,
    lease: Annotated[
        int | None,
        typer.Option(min=1, metavar="LEASE", help="Delete the key when this lease ends."),
    ] = None,
    fence: Fence = None,
) -> None:
    """Write a value. What is not UTF-8 text is stored as bytes."""
    from raftzmq_cli.client import keys as data

    data.put(
        run,
        key,
        value,
        if_revision=if_revision,
        if_absent=if_absent,
        literal=literal,
        ttl_s=ttl,
        lease=lease,
        fence=fence,
    )


@command(
    app,
    "delete",
    """
    raftzmq client delete greeting
    raftzmq client delete --prefix config/
    """,
)
def delete(
    run: Invocation,
    key: Key,
    prefix: Annotated[
        bool, typer.Option("--prefix", help="All keys that start with KEY, which may be empty.")
    ] = False,
    fence: Fence = None,
) -> None:
    """Delete a key, or all keys with a prefix. A missing key is no error."""
    from raftzmq_cli.client import keys as data

    data.delete(run, key, prefix, fence)


@command(
    app,
    "txn",
    """
    raftzmq client txn --if 'lock revision = 0' --then 'put lock me' --else 'get lock'
    raftzmq client txn --if 'a value = "x y"' --then 'put a z' --then 'delete b'
    raftzmq client txn txn.json
    echo '{"if": [["a","value","=","1"]], "then": [["put","a","2"]], "else": []}' |
        raftzmq client txn -
    """,
)
def txn(
    run: Invocation,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE",
            help='JSON {"if": [...], "then": [...], "else": [...]} as in PROTOCOL.md; -: stdin.',
        ),
    ] = None,
    compares: Annotated[
        list[str] | None,
        typer.Option(
            "--if",
            allow_from_autoenv=False,
            metavar="COMPARE",
            help="'KEY value|revision =|!=|<|> OPERAND'; all must hold. Repeatable.",
        ),
    ] = None,
    then: Annotated[
        list[str] | None,
        typer.Option(
            "--then",
            allow_from_autoenv=False,
            metavar="OPERATION",
            help="'put KEY VALUE', 'get KEY', 'delete KEY', 'delete_prefix PREFIX', "
            "'range START END LIMIT' or 'prefix PREFIX LIMIT'. Repeatable.",
        ),
    ] = None,
    otherwise: Annotated[
        list[str] | None,
        typer.Option(
            "--else",
            allow_from_autoenv=False,
            metavar="OPERATION",
            help="The same, if a compare does not hold. Repeatable.",
        ),
    ] = None,
    fence: Fence = None,
) -> int:
    """Compare, then do one of two lists of operations, all in one step.

    Exit code 0 if all compares held, 1 if not; either way the result is printed.
    """
    from raftzmq_cli.client import txn as transactions

    return transactions.txn(run, file, compares or [], then or [], otherwise or [], fence)


@command(app, "check", "raftzmq client check\nraftzmq client check -w json")
def check(run: Invocation) -> int:
    """Write, read and overwrite keys, and verify each; then delete them.

    Prints index, term and leader of every write; the last line says whether all passed.
    """
    from raftzmq_cli.client.check import check as run_check

    return run_check(run)


@command(
    app,
    "bench",
    """
    raftzmq client bench
    raftzmq client bench --op put --outstanding 256 --seconds 6 -w json
    raftzmq client bench --op stale --size 1000
    raftzmq client bench --op mixed --connections 4 --processes 2
    """,
)
def bench(
    run: Invocation,
    *,
    op: Annotated[
        str,
        typer.Option(
            metavar="put|get|stale|mixed",
            help="What to do; stale: reads by any node; mixed: puts and gets in turn.",
        ),
    ] = "put",
    outstanding: Annotated[
        int, typer.Option(min=1, max=16_000, help="Operations in flight at any time.")
    ] = 64,
    seconds: Annotated[float, typer.Option(min=0.1, max=86_400, help="For how long.")] = 5.0,
    size: Annotated[int, typer.Option(min=0, help="Bytes of a value.")] = 100,
    keys: Annotated[int, typer.Option(min=1, help="How many different keys.")] = 1000,
    connections: Annotated[
        int | None,
        typer.Option(
            min=1, max=1000, help="Connections, which share the operations; one a process."
        ),
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, max=64, help="Processes, which share the connections.")
    ] = 1,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the keys, raftzmq-bench/..., where they are.")
    ] = False,
) -> int:
    """Measure operations a second and their latency, in a closed loop.

    A new operation starts when one ends, so that always as many are in flight.
    """
    from raftzmq_cli.client.bench import bench as run_bench
    from raftzmq_cli.client.bench_loop import Plan

    plan = Plan(op, outstanding, seconds, size, keys, keep, connections or processes, processes)
    return run_bench(run, plan)


@command(
    app,
    "shell",
    """
    raftzmq client shell
    printf 'put a 1\\nget a\\n' | raftzmq client shell
    """,
)
def shell(run: Invocation) -> int:
    """An interactive session with history, help and completion; every client command works in it.

    An error is shown and does not end the session; Ctrl-D, exit or quit does.
    """
    from raftzmq_cli.client.shell import shell as run_shell

    return run_shell(run)


coordination.register(app)
nodes.register(app)
app.add_typer(members.app, name="member")
