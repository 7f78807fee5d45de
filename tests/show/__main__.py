"""python -m tests.show story [NAME] | show STORY|SEED|FILE.json [-o FILE] [--drawn] [--nodes N] …

`story` lists the stories, or tells one. `show` writes the page that plays one, or a simulated world
or a recording; with -o FILE.json the recording itself.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final

from raftzmq.errors import DataError
from raftzmq.page import html
from raftzmq.page.recording import decode, encode
from tests import told
from tests.show.stories import STORIES
from tests.show.telling import lines
from tests.show.world import RecordedWorld
from tests.sim.__main__ import add_world, world_of
from tests.sim.story import ROOT, SimFailure

PLACE: Final = ROOT / ".raftzmq" / "show"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.show", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    story = commands.add_parser("story", help="list the stories, or tell one")
    story.add_argument("name", nargs="?", choices=STORIES, metavar="NAME")
    show = commands.add_parser("show", help="write the page that plays it")
    show.add_argument("what", metavar="STORY|SEED|FILE.json")
    show.add_argument("-o", "--output", type=Path, metavar="FILE", help=f"default: in {PLACE}")
    show.add_argument("--drawn", action="store_true", help="the world as `sim SEED` plays it")
    add_world(show)
    arguments = parser.parse_args()
    return _story(arguments.name) if arguments.command == "story" else _show(arguments)


def _story(name: str | None) -> int:
    if name is None:
        width = max(map(len, STORIES))
        told.tell("\n".join(f"{one.name:<{width}}  {one.about}" for one in STORIES.values()))
        told.tell("\n`just story NAME` tells one, `just show NAME` draws it.")
    else:
        told.tell("\n".join(lines(STORIES[name].tell().recorder.document())))
    return 0


def _show(arguments: argparse.Namespace) -> int:
    what, failed = arguments.what, False
    if what in STORIES:
        document = STORIES[what].tell().recorder.document()
    elif what.isdecimal():
        document, failed = _world(arguments)
    elif what.endswith(".json"):
        try:
            document = decode(Path(what).read_bytes())
        except (OSError, DataError) as error:
            raise SystemExit(f"{what}: {error}") from error
    else:
        raise SystemExit(f"{what!r} is no story, seed or file; `just story` lists the stories")
    target = arguments.output or PLACE / f"{Path(what).stem}.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix == ".json":
        target.write_bytes(encode(document))
    else:
        target.write_text(html(document), "utf-8")
    told.tell(f"{target}, {target.stat().st_size // 1024} KiB: open it in a browser")
    return 1 if failed else 0


def _world(arguments: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """The recording of a world, and whether it broke a rule; then that is the end of it."""
    arguments.seed = int(arguments.what)
    arguments.plain = not arguments.drawn
    seconds, options = world_of(arguments)
    world = RecordedWorld(arguments.seed, seconds, options)
    try:
        world.run()
    except SimFailure as failure:
        told.tell(str(failure), sys.stderr)
        world.recorder.add(world.now_ms, "note", f"A rule is broken: {failure.problem}")
        return world.recorder.document(), True
    return world.recorder.document(), False


if __name__ == "__main__":
    sys.exit(told.run(main))
