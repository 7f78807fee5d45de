"""Commands are declared in files of their own, and imported when they are named."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from raftzmq_cli.client import group as client
from raftzmq_cli.cluster import group as cluster
from raftzmq_cli.common.commands import Commands, Group
from raftzmq_cli.main import FILES
from raftzmq_cli.views import client as views_client
from raftzmq_cli.views import group as views
from tests.cli.conftest import LIMIT_S

Words = Annotated[str | None, typer.Option("--words")]


class Settings:
    """Shared options, which remember what they were made of."""

    def __init__(self, *words: str | None) -> None:
        self.words = words

    def overridden(self, words: str | None) -> Settings:
        return Settings(*self.words, words)

    def call(self, command: Any, **options: Any) -> Any:
        return command(self, **options)


def start(ctx: typer.Context) -> None:
    ctx.obj = Settings()


def call(group: Group, *words: str) -> Any:
    (command,) = group.built().values()
    with command.make_context("program", list(words)) as context:
        return context.command.invoke(context)


def test_shared_options_stand_before_or_after_the_command() -> None:
    inner = Group("inner", "A group in a group.", shared={"words": Words})
    seen: list[tuple[object, int]] = []

    @inner.command("do")
    def do(run: Settings, *, count: int = 1) -> int:
        seen.append((run.words, count))
        return 7

    context: dict[str, Any] = {"obj": Settings()}
    (command,) = inner.built().values()
    for words in (["do"], ["--words", "a", "do", "--count", "2"], ["do", "--words", "b"]):
        with command.make_context("inner", list(words), **context) as made:
            assert made.command.invoke(made) == 7
    assert seen == [((None, None), 1), (("a", None), 2), ((None, "b"), 1)]


def test_an_option_is_a_variable_of_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group("group", "A group.", callback=start, variables="PROGRAM")
    seen: list[int] = []

    @group.command("do")
    def do(*, count: int = 1) -> None:
        seen.append(count)

    monkeypatch.setenv("PROGRAM_COUNT", "5")
    call(group, "do")
    assert seen == [5]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory whose modules can be imported, and are forgotten after the test."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_the_file_of_a_command_is_imported_when_it_is_named(files: Path) -> None:
    declared = """
from raftzmq_cli.common.commands import Commands
commands = Commands()

@commands.command("{name}")
def function() -> int:
    return {code}
"""
    for name, code in (("first", 1), ("second", 2)):
        (files / f"file_of_{name}.py").write_text(declared.format(name=name, code=code))
    group = Group("g", "A group.", files={"first": "file_of_first", "second": "file_of_second"})
    assert call(group, "second") == 2
    assert "file_of_second" in sys.modules
    assert "file_of_first" not in sys.modules


@pytest.mark.parametrize(
    "files",
    [FILES, client.FILES, cluster.FILES, views.FILES, views_client.FILES],
    ids=["raftzmq", "client", "cluster", "views", "views client"],
)
def test_every_command_is_declared_in_the_file_that_its_group_names(files: dict[str, str]) -> None:
    declared: list[str] = []
    for file in dict.fromkeys(files.values()):
        commands: Commands = import_module(file).commands
        declared += commands.built()
        assert all(files[name] == file for name in commands.built())
    assert sorted(declared) == sorted(files)


def test_a_command_imports_nothing_of_the_others() -> None:
    """Run in a process of its own, for the tests have imported everything."""
    script = (
        "import sys; from raftzmq_cli.main import run; "
        "run(['client', '--endpoints', 'nonsense', 'get', 'a']); "
        "print(*(name for name in sys.modules if name.startswith('raftzmq_cli.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    imported = set(done.stdout.split())
    assert "raftzmq_cli.client.keys" in imported
    others = {*client.FILES.values(), *FILES.values()} - {
        "raftzmq_cli.client.group",
        "raftzmq_cli.client.keys",
    }
    assert not imported & others
