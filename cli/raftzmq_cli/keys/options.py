"""Options and arguments that several commands of `raftzmq keys` have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

DEFAULT: Final = Path("raftzmq-keys")

Keys = Annotated[
    Path,
    typer.Option(
        "--keys",
        metavar="DIR",
        envvar="RAFTZMQ_KEYS",
        show_envvar=False,
        help="The directory of keys. [RAFTZMQ_KEYS]",
    ),
]
Directory = Annotated[Path, typer.Argument(metavar="DIR", envvar="RAFTZMQ_KEYS", show_envvar=False)]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A user's name.")]
Public = Annotated[
    str | None,
    typer.Option(
        "--public",
        metavar="HEX",
        help="The public key, rzu…, of a user whose secret key stays with its owner.",
    ),
]
