"""The command blocks of the runbook, and a shell in which they run word by word."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RUNBOOK: Final = Path(__file__).parents[2] / "docs/runbook.md"
_INDENT: Final = "    "


@dataclass(frozen=True, slots=True)
class Block:
    """The commands of an indented block, and the heading that it stands under."""

    heading: str
    commands: tuple[str, ...]


def _blocks() -> Iterator[Block]:
    heading = ""
    commands: list[str] = []
    for line in [*RUNBOOK.read_text().splitlines(), ""]:
        if line.startswith(_INDENT):
            commands.append(line.removeprefix(_INDENT))
            continue
        if commands:
            yield Block(heading, tuple(commands))
            commands = []
        if line.startswith("#"):
            heading = line.lstrip("# ")


BLOCKS: Final = tuple(_blocks())


def block(heading: str, beginning: str) -> Block:
    """The block under a heading whose first command begins so."""
    (found,) = (b for b in BLOCKS if b.heading == heading and b.commands[0].startswith(beginning))
    return found


def words_of(command: str) -> list[str]:
    """The words of a command, without its remark and what the shell does with it."""
    words = shlex.split(command, comments=True)
    return [word for word in words if word != "&"]


def run(
    commands: str, words: Mapping[str, str], path: Path, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run commands in bash, with words put in for those that stand for something. `path` is a
    directory whose programs come first; `raftzmq` is this one's."""
    for word, value in words.items():
        assert word in commands, f"{word} does not occur in {commands}"
        commands = commands.replace(word, value)
    program = path / "raftzmq"
    if not program.exists():
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m raftzmq_cli "$@"\n')
        program.chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAFTZMQ_")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        env={**kept, "PATH": f"{path}:{kept['PATH']}", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, (commands, done.stdout, done.stderr)
    return done
