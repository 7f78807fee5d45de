"""Draw the README's picture: a real cluster, the commands a newcomer would try, what they said.

    just picture        writes docs/demo.svg; needs the ports of a local cluster (from 6000) free

Every line in the picture was printed by the command above it, on the machine that drew it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

COLUMNS = 100
TITLE = "raftzmq: three nodes, the leader killed, nothing lost"
THEME = TerminalTheme(
    (24, 26, 31),
    (214, 218, 226),
    [
        (24, 26, 31),
        (224, 108, 117),
        (152, 195, 121),
        (229, 192, 123),
        (97, 175, 239),
        (198, 120, 221),
        (86, 182, 194),
        (171, 178, 191),
    ],
    [(127, 132, 142)] * 8,  # bright colours: only grey is used, for notes
)
FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
FONT = "font-family: Fira Code, monospace"
FONTS = "font-family: 'Fira Code', 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"


@dataclass(frozen=True, slots=True)
class Shell:
    """Runs commands in `directory` and records what a person would have seen."""

    directory: Path
    console: Console

    def note(self, text: str) -> None:
        self.console.print(Text(f"# {text}", style="bright_black italic"))

    def run(self, command: str, codes: Sequence[int] = (0,)) -> None:
        """Run a command and show it with its output. Raises CalledProcessError for other codes."""
        prompt = Text("$ ", style="bold green")
        self.console.print(prompt.append(command, style="bold"))
        said = self.quietly(command, codes)
        if said.strip():
            self.console.print(Text.from_ansi(said.rstrip("\n")))
        self.console.print()

    def quietly(self, command: str, codes: Sequence[int] = (0,)) -> str:
        """Run a command and return its output, both streams as they came."""
        programs = str(Path(sys.executable).parent)
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("RAFTZMQ_")
        }
        environment |= {"PATH": f"{programs}:{os.environ['PATH']}", "COLUMNS": str(COLUMNS)}
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode not in codes:
            print(done.stdout, file=sys.stderr)
            done.check_returncode()
        return done.stdout

    def leader(self) -> tuple[str, int]:
        """The name and the process id of the node that leads."""
        nodes = json.loads(self.quietly("raftzmq local status -w json"))
        return next((n["node"], n["pid"]) for n in nodes if n["role"] == "leader")


def perform(shell: Shell) -> None:
    """The commands of the picture, in order."""
    try:
        shell.run("raftzmq local up")
        shell.run("raftzmq client put greeting hello")
        shell.run("raftzmq client get greeting")
        shell.run("raftzmq client status")
        name, pid = shell.leader()
        shell.note(f"{name} leads: kill it, and write at once")
        shell.run(f"kill -9 {pid}")
        shell.run("raftzmq client put greeting 'still here'")
        shell.run("raftzmq client status", codes=[0, 1])  # 1: not all nodes are healthy
        shell.note(f"start what is down: {name} comes back with its state and catches up")
        shell.run("raftzmq local up")
        shell.run("raftzmq client get greeting")
    finally:
        shell.run("raftzmq local down")


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as directory, Path(os.devnull).open("w") as nowhere:
        console = Console(
            record=True, width=COLUMNS, file=nowhere, force_terminal=True, highlight=False
        )
        perform(Shell(Path(directory), console))
        svg = console.export_svg(title=TITLE, theme=THEME, unique_id="demo")
    # Without the link to a web font: an image in a page may not load one, and need not.
    svg = FONT_FACE.sub("", svg).replace(FONT, FONTS)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(svg)
    print(f"wrote {target}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
