"""`raftzmq keys add | remove | new`: users and their keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raftzmq.access import key_files
from raftzmq.access.key_directory import KeyDirectory
from raftzmq.access.keys import Kind, Line, PublicKey, parse_public
from raftzmq.access.users import User
from raftzmq_cli.common import messages, printers
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.messages import short
from raftzmq_cli.common.settings import GroupOutput, Output
from raftzmq_cli.keys.options import DEFAULT, Keys, Name, Public

commands = Commands()


@commands.command(
    "add",
    """
    raftzmq keys add billing --write billing/ --read prices/
    raftzmq keys add deploy --admin
    raftzmq keys add billing --public rzu5c3f… --write billing/
    """,
)
def add(
    name: Name,
    *,
    read: Annotated[
        list[str] | None,
        typer.Option(
            "--read", metavar="PREFIX", help="May read these keys and queues; '' is all of them."
        ),
    ] = None,
    write: Annotated[
        list[str] | None,
        typer.Option(
            "--write", metavar="PREFIX", help="May read and write these; '' is all of them."
        ),
    ] = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="May do everything, also stop nodes.")
    ] = False,
    public: Public = None,
    keys: Keys = DEFAULT,
    output: GroupOutput = None,
) -> None:
    """Add a user, and make its key file NAME.key; with --public its owner has made one.

    Nodes read users.toml again by themselves once it is changed where they run.
    """
    directory = KeyDirectory(keys)
    user = User(name, read=tuple(read or ()), write=tuple(write or ()), admin=admin)
    file = directory.add(user, public)
    found = directory.users().by_name(name)
    servers = [str(key) for key in directory.public_keys(Kind.SERVER)]
    document = {
        "name": name,
        "keys": list(found.keys if found else ()),
        "file": None if file is None else str(file),
        "servers": servers,
    }
    if file is not None:
        lines = [f"added {name}: give {short(file)} to its owner"]
    else:
        lines = [f"added {name}: its owner needs the cluster's public key in the key file:"]
        lines += [f"  {server}" for server in servers]
    lines.append(f"nodes elsewhere need the new {short(keys / key_files.USERS_FILE)}")
    printers.show(output or Output.SIMPLE, document, lines)


@commands.command("remove", "raftzmq keys remove billing")
def remove(name: Name, *, keys: Keys = DEFAULT, output: GroupOutput = None) -> None:
    """Remove a user. Nodes end its connections and watches once they have the new users.toml."""
    directory = KeyDirectory(keys)
    file = directory.remove(name)
    lines = [f"removed {name}{f', and deleted {name}.key' if file else ''}"]
    lines.append(f"nodes elsewhere need the new {short(keys / key_files.USERS_FILE)}")
    printers.show(output or Output.SIMPLE, {"name": name, "file_deleted": file}, lines)
    if not any(user.admin for user in directory.users()):
        messages.say("raftzmq: no user is an admin any more: `raftzmq keys add NAME --admin`")


@commands.command("new", "raftzmq keys new billing.key --server rzs81d0…")
def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The key file to make.")],
    *,
    server: Annotated[
        list[str],
        typer.Option(
            "--server", metavar="HEX", help="The cluster's public key, as `keys list` shows it."
        ),
    ],
    output: GroupOutput = None,
) -> None:
    """Make a key of your own, and print its public key, for `keys add NAME --public`.

    The secret key stays in FILE, which only you can read.
    """
    servers: list[PublicKey] = [parse_public(text, Kind.SERVER) for text in server]
    pair = key_files.new_pair(Kind.USER)
    name = file.name.removesuffix(".key")
    key_files.write_new(file, key_files.key_file_text([Line(pair.secret)], servers, name))
    document = {"file": str(file), "public": str(pair.public)}
    printers.show(output or Output.SIMPLE, document, [str(pair.public)])
