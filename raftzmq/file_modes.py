"""Who may read what a node writes: its user, and its group. Nobody else, whatever the umask."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

FILE_MODE: Final = 0o640
DIRECTORY_MODE: Final = 0o750

_FOR_OTHERS: Final = 0o027
_SPECIAL: Final = 0o7000


def restrict_new_files() -> None:
    """From now on this process, and those it starts, make no file that is less private."""
    os.umask(os.umask(0o077) | _FOR_OTHERS)


def restrict(path: Path) -> None:
    """Take from a file or directory the rights that are too many; never give any. Symbolic links,
    and what belongs to somebody else, are left alone."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            mode = os.fstat(descriptor).st_mode
            most = DIRECTORY_MODE | _SPECIAL if stat.S_ISDIR(mode) else FILE_MODE
            if stat.S_IMODE(mode) & ~most:
                os.fchmod(descriptor, stat.S_IMODE(mode) & most)
        finally:
            os.close(descriptor)
