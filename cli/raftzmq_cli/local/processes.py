"""The nodes of a local cluster as plain detached processes, and the directory they live in.

DIR/cluster.json        how many nodes, from which port on, and where their keys are
DIR/lock                held by a `raftzmq local` command while it works
DIR/raft-0/node.pid     the process
DIR/raft-0/node.log     what it says
DIR/raft-0/data/        its data directory
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from raftzmq.access.key_directory import ADMIN, KeyDirectory
from raftzmq.client.discovery import (
    LOCAL_DIRECTORY,
    LOCAL_STEP,
    NAME,
    described,
    local_endpoints,
)
from raftzmq.errors import DataError, InvalidRequest, Refused
from raftzmq.file_modes import restrict, restrict_new_files
from raftzmq.storage.directory import Layout
from raftzmq.storage.files import OsFiles
from raftzmq.storage.records import Identity, read_identity
from raftzmq_cli.common import exits, messages
from raftzmq_cli.common.designs import Design
from raftzmq_cli.common.messages import short

DIRECTORY: Final = LOCAL_DIRECTORY
STOP_GRACE_S: Final = 10.0
_POLL_S: Final = 0.05
# Settings that a local node takes from the environment; the rest is the cluster's own affair.
_PASSED_ON: Final = (
    "RAFTZMQ_LOG_LEVEL",
    "RAFTZMQ_ELECTION_TIMEOUT_MS",
    "RAFTZMQ_HEARTBEAT_MS",
    "RAFTZMQ_PING_MS",
    "RAFTZMQ_DEAD_MS",
    "RAFTZMQ_MACHINE",
    "RAFTZMQ_CHECK_MACHINE",
)


@dataclass(slots=True)
class LocalNode:
    """One node's directory and process."""

    name: str
    port: int
    directory: Path
    peers: str
    keys: Path | None = None
    child: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    rejoin: bool = False
    is_first_start: bool = field(default=False, repr=False, compare=False)

    @property
    def pid_file(self) -> Path:
        return self.directory / "node.pid"

    @property
    def log_file(self) -> Path:
        return self.directory / "node.log"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def ports(self) -> tuple[int, ...]:
        """Of nodes, of clients, and for probes."""
        return (self.port, self.port + 1, self.port + 2)

    @property
    def mark(self) -> str:
        """A word of its command line that no other process has, but for its name."""
        return str(self.data)

    @property
    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "raftzmq_cli", "node", self.name),
            *("--data-dir", str(self.data)),
            *("--peers", self.peers),
            *("--listen", f"tcp://127.0.0.1:{self.port}"),
            *(["--keys", str(self.keys)] if self.keys else []),
            *(["--rejoin"] if self.rejoin else []),
        ]

    def pid(self) -> int | None:
        """The process that runs this node, or None. A reused number is not taken for it."""
        if self.child is not None:  # of a process that is ending, the command line is empty already
            return self.child.pid if self.child.poll() is None else None
        try:
            pid = int(self.pid_file.read_text())
        except (OSError, ValueError):
            return None
        words = command_line(pid)
        return pid if self.name in words and self.mark in words else None

    def start(self) -> None:
        """Start the process, apart from this terminal, with its output appended to the log."""
        self.is_first_start = not self.data.exists()
        restrict_new_files()  # the node's too
        self.directory.mkdir(parents=True, exist_ok=True)
        for made_before in (self.directory, self.log_file, self.pid_file):
            restrict(made_before)
        environ = {k: v for k, v in os.environ.items() if not k.startswith("RAFTZMQ_")}
        environ |= {k: os.environ[k] for k in _PASSED_ON if k in os.environ}
        if "RAFTZMQ_MACHINE" in environ:  # its module may be here, and the node runs elsewhere
            places = [str(Path.cwd()), environ.get("PYTHONPATH")]
            environ["PYTHONPATH"] = os.pathsep.join(filter(None, places))
        with self.log_file.open("ab") as log:
            self.child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=environ,
                start_new_session=True,
            )
        self.pid_file.write_text(f"{self.child.pid}\n")

    def set_aside_at_start(self) -> None:
        """Let the node set its data aside when it starts. A node does so once for a directory, so
        what it set aside before moves out of the directory; nothing is removed."""
        self.rejoin = True
        for earlier in sorted(self.data.glob("aside-*")):
            taken = len(list(self.directory.glob("set-aside-*")))
            earlier.rename(self.directory / f"set-aside-{taken + 1}")

    def exit_code(self) -> int | None:
        """The exit code, if this command started the process and it has ended."""
        return None if self.child is None else self.child.poll()

    def identity(self) -> Identity | None:
        """Whose data directory it is, or None if there is none yet, or it is damaged."""
        try:
            return read_identity(OsFiles(), Layout(self.data).node)
        except (DataError, OSError):
            return None

    def last_log_lines(self, count: int = 8) -> list[str]:
        try:
            return self.log_file.read_text(errors="replace").splitlines()[-count:]
        except OSError:
            return []

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal to the node; return whether there was a process."""
        pid = self.pid()
        if pid is None:
            return False
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class LocalCluster:
    """A directory with the nodes of one cluster."""

    directory: Path
    size: int
    base_port: int
    keys: Path | None = None
    """The directory of keys, or None if whoever reaches a port may do everything."""

    @property
    def nodes(self) -> list[LocalNode]:
        ports = [self.base_port + LOCAL_STEP * k for k in range(self.size)]
        peers = ",".join(f"{NAME}-{k}=127.0.0.1:{port}" for k, port in enumerate(ports))
        return [
            LocalNode(f"{NAME}-{k}", port, self.directory / f"{NAME}-{k}", peers, self.keys)
            for k, port in enumerate(ports)
        ]

    @property
    def endpoints(self) -> tuple[str, ...]:
        return local_endpoints(self.size, self.base_port)

    @property
    def design(self) -> Design:
        return Design.RAFT

    @property
    def client_key(self) -> Path | None:
        """The key file of a user who may do everything, as `keys create` makes it."""
        return KeyDirectory(self.keys).file_of(ADMIN) if self.keys else None

    @property
    def security(self) -> str:
        """For people: whether the nodes have keys, and which."""
        return f"with the keys in {short(self.keys)}" if self.keys else "without keys"

    def make_keys(self) -> None:
        """Make the directory of keys if there is none. Raises InvalidRequest, OSError."""
        if self.keys and not self.keys.exists():
            KeyDirectory(self.keys).create()

    @property
    def file(self) -> Path:
        return self.directory / "cluster.json"

    def document(self) -> dict[str, Any]:
        """What cluster.json says."""
        document = {"format": 1, "nodes": self.size, "base_port": self.base_port}
        return {**document, **({"keys": str(self.keys)} if self.keys else {})}

    def write(self) -> None:
        temporary = self.file.with_suffix(".new")
        temporary.write_text(json.dumps(self.document()) + "\n")
        temporary.replace(self.file)

    @property
    def is_running(self) -> bool:
        return any(node.pid() is not None for node in self.nodes)

    @property
    def is_whole(self) -> bool:
        return all(node.pid() is not None for node in self.nodes)

    def forget_unformed(self, started: Sequence[LocalNode]) -> None:
        """Forget a cluster that never formed, so that the next `up` may choose. Logs stay."""
        identities = [node.identity() for node in self.nodes]
        if any(identity is not None and identity.cluster for identity in identities):
            return
        for node in started:
            if node.is_first_start:
                shutil.rmtree(node.data, ignore_errors=True)
        self.file.unlink(missing_ok=True)

    def purge(self) -> None:
        """Remove what `up` has made, and nothing else."""
        for node in self.nodes:
            shutil.rmtree(node.directory, ignore_errors=True)
        self.file.unlink(missing_ok=True)
        (self.directory / "lock").unlink(missing_ok=True)
        if self.directory.is_dir() and not any(self.directory.iterdir()):
            self.directory.rmdir()


def load(directory: Path) -> LocalCluster | None:
    """Return the cluster that lives in `directory`, or None. Raises InvalidRequest."""
    directory = directory.resolve()
    try:
        document = json.loads((directory / "cluster.json").read_text())
        if "design" in document:
            raise InvalidRequest(
                f"{directory} belongs to another design: give --design {document['design']}"
            )
        return LocalCluster(directory, *described(document))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise InvalidRequest(
            f"{directory / 'cluster.json'} is damaged: write "
            '{"nodes": 3, "base_port": 6000} into it, with the numbers of this cluster'
        ) from None


def require_keys(cluster: LocalCluster, keys: Path | None) -> None:
    """Raises InvalidRequest if a cluster was made with other keys than those that are asked for."""
    if keys is not None and keys.resolve() != cluster.keys:
        raise InvalidRequest(
            f"what is in {short(cluster.directory)} was made {cluster.security}: leave out --keys, "
            "give another --dir, or 'local down --purge' first"
        )


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep a second `raftzmq local` out of the directory meanwhile. Raises Refused."""
    restrict_new_files()
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                f"another 'raftzmq local' command is at work in {directory}: wait for it to end"
            ) from None
        yield


def command_line(pid: int) -> list[str]:
    """The words of a running process's command, empty if it is gone or a zombie."""
    if Path("/proc/self").exists():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return []
        return [os.fsdecode(word) for word in words]
    done = subprocess.run(  # systems without /proc
        ["ps", "-o", "args=", "-p", str(pid)], capture_output=True, check=False
    )
    return os.fsdecode(done.stdout).split()


def say_who_died(dead: list[LocalNode]) -> int:
    """Say why processes ended that were to go on; return the exit code."""
    for node in dead:
        messages.say(
            f"raftzmq: {node.name} ended at once with exit code {node.exit_code()}; "
            f"the end of {short(node.log_file)}:"
        )
        for text in node.last_log_lines():
            messages.say(f"  {text}")
        node.pid_file.unlink(missing_ok=True)
    return exits.NO


@contextmanager
def given_up(cluster: LocalCluster, started: list[LocalNode], *, is_new: bool) -> Iterator[None]:
    """If the block does not get to its end, stop what it has started, and keep nothing of a new
    cluster that blocks the next try. The block may add to `started`."""
    try:
        yield
    except BaseException:
        if stop(started):
            messages.say("raftzmq: what this command had started is stopped again")
        if is_new:
            cluster.forget_unformed(started)
        raise


def stop(nodes: list[LocalNode], grace_s: float = STOP_GRACE_S) -> list[str]:
    """Stop the nodes; return a line about each one that ran. After `grace_s` they are killed."""
    running = [(node, node.pid()) for node in nodes]  # asked first: it may stop at once
    stopping = [(node, pid) for node, pid in running if node.signal(signal.SIGTERM)]
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and any(node.pid() for node, _ in stopping):
        time.sleep(_POLL_S)
    lines = []
    for node, pid in stopping:
        if node.signal(signal.SIGKILL):
            lines.append(
                f"{node.name} did not stop within {grace_s:g} s and was killed (pid {pid})"
            )
            while node.pid():
                time.sleep(_POLL_S)
        else:
            lines.append(f"{node.name} stopped (pid {pid})")
        node.pid_file.unlink(missing_ok=True)
    return lines
