"""How the programs of the proofs print: what becomes of their output decides nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO

from raftzmq_cli.common import exits
from raftzmq_cli.common.messages import say
from raftzmq_cli.common.standard_output import CannotWrite, forget, install


class Unheard(BaseException):
    """The output cannot be written. No Exception: a world would take that for its own failure."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


def tell(text: str, stream: TextIO | None = None) -> None:
    """Print from inside a proof. Raises Unheard."""
    try:
        print(text, file=stream)
    except OSError as error:
        raise Unheard(error) from None


def run(main: Callable[[], int]) -> int | str | None:
    """Run a program; return what it exits with. A reader that leaves ends it."""
    install()
    try:
        code = _code_of(main)
        sys.stdout.flush()
    except (BrokenPipeError, CannotWrite, Unheard) as caught:
        error = caught.error if isinstance(caught, Unheard) else caught
        for stream in (sys.stdout, sys.stderr) if isinstance(error, BrokenPipeError) else ():
            forget(stream)
        if isinstance(error, BrokenPipeError):
            return exits.BROKEN_PIPE
        forget(sys.stdout)
        say(f"{error}; this says nothing about what was tried")
        return exits.CANNOT_WRITE
    return code


def _code_of(main: Callable[[], int]) -> int | str | None:
    try:
        return main()
    except SystemExit as end:  # of --help and wrong usage
        return end.code
