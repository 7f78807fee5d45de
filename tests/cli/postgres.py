"""A real PostgreSQL server, of Debian's package postgresql or what is on the PATH."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from tests.system.processes import wait_for

LIMIT_S = 120


def programs() -> Path | None:
    """Where initdb and postgres are; None if there are none."""
    on_path = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return Path(on_path).parent if on_path else debian[-1].parent if debian else None


def _other_than_root() -> dict[str, Any]:
    """Whom the server runs as, for it refuses to be root's."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise AssertionError("there is no user to run PostgreSQL as")


@contextmanager
def postgres(where: Path) -> Iterator[str]:
    """A server that listens to a socket in a directory of its own, with `where` its programs.
    Gives what to connect to."""
    whose = _other_than_root()
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:  # pytest's are for root alone
        directory = Path(name)
        if whose:
            os.chown(directory, whose["user"], whose["group"])
        data = directory / "data"
        options: dict[str, Any] = {"cwd": directory, "env": {"LC_ALL": "C", "TZ": "UTC"}, **whose}
        words = [f"{where}/initdb", "-D", f"{data}", "-U", "tester", "-A", "trust", "--no-sync"]
        done = subprocess.run(
            words, **options, capture_output=True, text=True, check=False, timeout=LIMIT_S
        )
        assert done.returncode == 0, done.stderr
        settings = ["listen_addresses=", f"unix_socket_directories={directory}", "fsync=off"]
        words = [f"{where}/postgres", "-D", f"{data}", *(w for s in settings for w in ("-c", s))]
        with (directory / "output").open("wb") as output:
            server = subprocess.Popen(words, **options, stdout=output, stderr=output)
        dsn = f"host={directory} user=tester dbname=postgres"

        def answers() -> bool:
            assert server.poll() is None, (directory / "output").read_text()
            with suppress(psycopg.OperationalError), psycopg.connect(dsn):
                return True
            return False

        try:
            wait_for("PostgreSQL answers", answers, LIMIT_S)
            yield dsn
        finally:
            server.send_signal(signal.SIGINT)  # it ends its connections, and then itself
            server.wait(LIMIT_S)
