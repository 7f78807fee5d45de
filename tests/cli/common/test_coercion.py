"""The quick conversion of arguments gives what Typer's own gives."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from raftzmq_cli.common.coercion import use_plain_coercion


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def build(seen: list[Any]) -> Any:
    app = typer.Typer(rich_markup_mode=None)

    @app.command()
    def command(
        words: Annotated[list[str] | None, typer.Argument()] = None,
        *,
        count: Annotated[int, typer.Option(min=1, max=9)] = 3,
        share: float | None = None,
        path: Path = Path("here"),
        colour: Colour = Colour.RED,
        flag: Annotated[bool, typer.Option("--flag", envvar="THE_FLAG")] = False,
    ) -> None:
        seen.append((words, count, share, path, colour, flag))

    return typer.main.get_command(app)


def outcome(arguments: list[str], plain: bool) -> Any:
    """What the command is called with; for arguments that it refuses, "refused"."""
    seen: list[Any] = []
    command = build(seen)
    if plain:
        use_plain_coercion(command)
    try:
        with command.make_context("command", list(arguments)) as context:
            command.invoke(context)
    except typer.BadParameter:
        return "refused"
    return seen


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a", "", "b c"],
        ["--count", "7", "--share", "0.5", "--path", "/x", "--colour", "blue", "--flag"],
        ["--count", "x"],
        ["--count", "1.5"],
        ["--count", "0"],
        ["--count", "10"],
        ["--share", "half"],
        ["--colour", "green"],
    ],
)
def test_both_conversions_agree(arguments: list[str]) -> None:
    assert outcome(arguments, plain=True) == outcome(arguments, plain=False)


@pytest.mark.parametrize("word", ["1", "true", "no", "0", "perhaps"])
def test_both_conversions_agree_on_flags_from_the_environment(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_FLAG", word)
    assert outcome([], plain=True) == outcome([], plain=False)
