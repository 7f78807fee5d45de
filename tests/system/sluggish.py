"""`raftzmq node` on a slow disk: a sync takes as many seconds longer as the file beside the data
directory says, if there is one."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from raftzmq_cli.main import main

_sync = os.fdatasync


def delay_file(data_dir: Path) -> Path:
    return data_dir.with_name(f"{data_dir.name}.delay")


def _slowly(descriptor: int, told: Path) -> None:
    if told.exists():
        time.sleep(float(told.read_text()))
    _sync(descriptor)


if __name__ == "__main__":
    place = delay_file(Path(sys.argv[sys.argv.index("--data-dir") + 1]))
    setattr(os, "fdatasync", lambda descriptor: _slowly(descriptor, place))  # noqa: B010
    main()
