"""`raftzmq node` whose clock stands still while there is a file beside the data directory."""

from __future__ import annotations

import sys
from pathlib import Path

from raftzmq.server import server
from raftzmq_cli.main import main

_now_ms = server.now_ms


def stop_file(data_dir: Path) -> Path:
    return data_dir.with_name(f"{data_dir.name}.clock")


class _Clock:
    def __init__(self, told: Path) -> None:
        self._told = told
        self._shown_ms = _now_ms()

    def now_ms(self) -> int:
        if not self._told.exists():
            self._shown_ms = _now_ms()
        return self._shown_ms


if __name__ == "__main__":
    clock = _Clock(stop_file(Path(sys.argv[sys.argv.index("--data-dir") + 1])))
    setattr(server, "now_ms", clock.now_ms)  # noqa: B010
    main()
