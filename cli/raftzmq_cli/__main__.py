"""The program `raftzmq`, also as `python -m raftzmq_cli`; an interrupt ends it with 130, always."""

from __future__ import annotations

import os
import signal
import sys
from typing import Final, NoReturn

_INTERRUPTED: Final = 130


def main() -> None:
    """The entry point of the installed program."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # and not ignored
        signal.signal(signal.SIGINT, _end)
    from raftzmq_cli import main as program  # which takes a while

    try:
        signal.signal(signal.SIGINT, before)
        program.main()
    except KeyboardInterrupt:  # another one, while the first was dealt with
        sys.exit(_INTERRUPTED)
    finally:
        # The command is done and its exit code is known. While Python ends, a signal would kill.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end(*_: object) -> NoReturn:
    """Nothing has begun that would have to be undone, and an import may swallow exceptions."""
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
