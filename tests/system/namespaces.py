"""A network of its own for each node of a cluster, whose links can be cut while it runs.

Each node has a network namespace of Linux, all are joined by a bridge in one more, and the machine
itself, where the tests' clients are, has one interface on that bridge. What is cut is dropped by
iptables inside the namespaces: of the machine's own network nothing changes but that interface.

    with Network(3) as network, NamespacedCluster(directory, network) as cluster:
        cluster.start()
        network.cut(cluster["raft-0"].host, cluster["raft-1"].host)
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.system.processes import Cluster, NodeProcess

PACKAGES: Final = {
    "ip": "iproute2",
    "iptables-restore": "iptables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}
"""Programs that are needed, and the packages that have them."""

NETWORKS: Final = [f"198.{18 + k // 256}.{k % 256}" for k in range(512)]
"""Addresses set apart for tests of networks (RFC 2544): nobody's machines are there."""

PORT: Final = 6000

LARGE_BYTES: Final = 700
"""A heartbeat takes less, and an append with a long value more."""

_NAME = re.compile(r"(?:raftzmq-|rz)(?P<id>(?P<pid>\d+)-\d+)")
_serials = itertools.count()
_locks: dict[str, socket.socket] = {}
_held = ExitStack()
atexit.register(_held.close)


@functools.cache
def missing() -> str | None:
    """Why there can be no networks here, and what would help; None if there can.

    Fails where nobody would notice that tests are skipped: in a continuous integration run (CI is
    set) as root, which has only to install something.
    """
    if os.geteuid() != 0:
        return "network namespaces take root: run as root"
    absent = {package for program, package in PACKAGES.items() if not shutil.which(program)}
    if absent:
        reason = f"network namespaces take: apt-get install {' '.join(sorted(absent))}"
        assert not os.environ.get("CI"), reason
        return reason
    try:
        with Network(2) as network:
            network.cut(*network.hosts)
            network.cut(*network.hosts, reject=True)
            network.lose(0.5)
    except OSError as error:
        return f"this kernel or container permits no network namespaces: {error}"
    return None


class Network:
    """A bridge, `hosts` joined by it, each in a namespace, and `clients`, which is this process's
    own end. All are IPv4 addresses. Used as a context, it leaves nothing behind.

    What is cut is dropped where it would arrive, without a word to the sender, in connections that
    stand as in new ones. The clients reach every node unless they are cut off by name.
    """

    def __init__(self, count: int) -> None:
        self._id = f"{os.getpid()}-{next(_serials)}"
        network = _free_network()
        self.clients = f"{network}.1"
        self.hosts = [f"{network}.{11 + k}" for k in range(count)]
        self._rules: dict[str, list[str]] = {host: [] for host in self.hosts}

    def __enter__(self) -> Self:
        remove_leftovers()
        try:
            self._make()
        except BaseException:
            _remove(self._id)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _remove(self._id)

    def within(self, host: str) -> list[str]:
        """The beginning of a command that is to run at `host`; it keeps its process id."""
        return ["nsenter", f"--net=/run/netns/{self._namespace(host)}", "--"]

    # -- faults -------------------------------------------------------------------------------

    def cut(self, one: str, other: str, *, reject: bool = False) -> None:
        """Let nothing through between the two. With `reject`, senders are told by a reset."""
        self._drop([(one, other), (other, one)], reject=reject)

    def cut_one_way(self, sender: str, receiver: str) -> None:
        """Let nothing of `sender` through to `receiver`. Not even its acknowledgements: what
        TCP sends the other way still arrives, until it waits for those."""
        self._drop([(sender, receiver)])

    def cut_calls(self, sender: str, receiver: str, *, reject: bool = False) -> None:
        """Let nothing through of the connections that `sender` makes to the node at `receiver`.
        What the latter calls, and the answers to that, still pass."""
        what = "REJECT --reject-with tcp-reset" if reject else "DROP"
        self._rules[receiver].append(f"-A INPUT -s {sender} -p tcp --dport {PORT} -j {what}")
        self._apply([receiver])

    def lose_large(self, sender: str, receiver: str) -> None:
        """Let nothing of `sender` through to `receiver` in packets of more than LARGE_BYTES."""
        large = f"-m length --length {LARGE_BYTES}:65535"
        self._rules[receiver].append(f"-A INPUT -s {sender} -p tcp {large} -j DROP")
        self._apply([receiver])

    def split(self, *groups: Iterable[str]) -> None:
        """Cut hosts of different groups from one another; a host in no group reaches all."""
        pairs = itertools.permutations([list(group) for group in groups], 2)
        self._drop([link for ours, theirs in pairs for link in itertools.product(ours, theirs)])

    def isolate(self, host: str) -> None:
        """Cut a host from all others, but not from the clients."""
        self.split([host], [other for other in self.hosts if other != host])

    def keep_only(self, links: Collection[tuple[str, str]]) -> None:
        """Cut all hosts that are not joined by one of `links`, either way round."""
        pairs = itertools.permutations(self.hosts, 2)
        self._drop([(a, b) for a, b in pairs if (a, b) not in links and (b, a) not in links])

    def lose(self, fraction: float) -> None:
        """Lose that fraction of the packets between hosts, at random."""
        for host, rules in self._rules.items():
            for other in self.hosts:
                chance = f"-m statistic --mode random --probability {fraction}"
                if other != host:
                    rules.append(f"-A INPUT -s {other} {chance} -j DROP")
        self._apply(self.hosts)

    def heal(self) -> None:
        """Let everything through again."""
        for rules in self._rules.values():
            rules.clear()
        self._apply(self.hosts)

    def move(self, host: str) -> str:
        """Give the machine at `host` a new address, and return it. Its old one is nobody's."""
        address = f"{host.rpartition('.')[0]}.{101 + len(self._rules)}"
        namespace = self._namespace(host)
        _run("ip", "-n", namespace, "address", "delete", f"{host}/24", "dev", "eth0")
        _run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", "eth0")
        self.hosts[self.hosts.index(host)] = address
        self._rules[address] = []
        return address

    def _drop(self, links: Collection[tuple[str, str]], *, reject: bool = False) -> None:
        # A reset must pass, for it is how the other side is told.
        what = "-p tcp ! --tcp-flags RST RST -j REJECT --reject-with tcp-reset"
        # The clients' end is the machine's own, which has no rules.
        for sender, receiver in links:
            at, chain = (
                (sender, "OUTPUT -d") if receiver == self.clients else (receiver, "INPUT -s")
            )
            other = receiver if at == sender else sender
            self._rules[at].append(f"-A {chain} {other} {what if reject else '-j DROP'}")
        self._apply({host for link in links for host in link} - {self.clients})

    def _apply(self, hosts: Iterable[str]) -> None:
        """Put the rules in force, all of a host at once and at all hosts at the same time."""
        commands = []
        for host in hosts:
            rules = "\n".join(["*filter", *self._rules[host], "COMMIT", ""])
            commands.append((_start(*self.within(host), "iptables-restore", "-w"), rules))
        for process, rules in commands:
            _finish(process, rules)

    # -- coming and going ---------------------------------------------------------------------

    def _make(self) -> None:
        _run("ip", "netns", "add", self._switch)
        _run("ip", "-n", self._switch, "link", "add", "bridge", "type", "bridge")
        _run("ip", "-n", self._switch, "link", "set", "bridge", "up")
        for host in self.hosts:
            namespace = self._namespace(host)
            _run("ip", "netns", "add", namespace)
            _run("ip", "-n", namespace, "link", "set", "lo", "up")
            self._plug_in(host, "eth0", namespace)
        self._plug_in(self.clients, f"rz{self._id}", None)

    def _plug_in(self, host: str, interface: str, namespace: str | None) -> None:
        """Join `host` to the bridge, by an interface in a namespace or in none."""
        port = f"port{host.rpartition('.')[2]}"
        inside = ["-n", namespace] if namespace else []
        peer = ["peer", "name", port, "netns", self._switch]
        _run("ip", *inside, "link", "add", interface, "type", "veth", *peer)
        _run("ip", *inside, "address", "add", f"{host}/24", "dev", interface)
        _run("ip", *inside, "link", "set", interface, "up")
        _run("ip", "-n", self._switch, "link", "set", port, "master", "bridge", "up")

    def _namespace(self, host: str) -> str:
        return f"raftzmq-{self._id}-{self.hosts.index(host)}"

    @property
    def _switch(self) -> str:
        return f"raftzmq-{self._id}-switch"


def remove_leftovers() -> None:
    """Remove the networks of test runs that died before they could."""
    for name in [*_namespaces(), *_interfaces()]:
        match = _NAME.match(name)
        if match and not Path("/proc", match["pid"]).exists():
            with suppress(OSError):  # another run may be removing the same
                _remove(match["id"])


class NamespacedCluster(Cluster):
    """Nodes that each have a host of a network. With `names` they know one another by host
    names, which are in a file that each node has as its /etc/hosts; then `move` can move one."""

    def __init__(
        self, directory: Path, network: Network, size: int = 3, *, names: bool = False
    ) -> None:
        self.network = network
        self._names = names
        self._hosts_file = directory / "hosts"
        super().__init__(directory, size, ["--insecure"])
        self.tell_names({})

    def make_node(self, name: str, directory: Path) -> NodeProcess:
        host = self.network.hosts[int(name.rpartition("-")[2])]
        node = NodeProcess(name, directory, PORT, host, self.network.within(host))
        if self._names:
            node.address = f"{name}.test:{PORT}"
            mount = 'mount --bind "$0" /etc/hosts && exec "$@"'
            bound = ["unshare", "--mount", "--", "sh", "-c", mount, str(self._hosts_file)]
            node.within = [*node.within, *bound]
        return node

    def move(self, node: NodeProcess) -> None:
        """Let a node that is down come back at another address, under the same name."""
        assert self._names
        assert not node.is_running
        node.host = self.network.move(node.host)
        node.endpoint = f"{node.host}:{PORT + 1}"
        self.tell_names({})

    def tell_names(self, wrong: dict[str, str]) -> None:
        """Say where each node is found; `wrong` has names and hosts that are not theirs."""
        # In place: the nodes see this very file, not its name.
        told = {node.name: node.host for node in self.nodes} | wrong
        self._hosts_file.write_text("".join(f"{told[name]} {name}.test\n" for name in told))


def hosts(nodes: Iterable[NodeProcess]) -> list[str]:
    """Where the nodes are."""
    return [node.host for node in nodes]


def _free_network() -> str:
    """The first three bytes of a network that this machine has no route to, and that no other run
    of the tests is about to make."""
    routes = _run("ip", "-4", "route")
    start = os.getpid() % len(NETWORKS)
    candidates = NETWORKS[start:] + NETWORKS[:start]
    return next(n for n in candidates if f"{n}." not in routes and _lock(n))


def _lock(network: str) -> bool:
    """Have the network for this process until it ends, if no other one has it."""
    if network not in _locks:
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0raftzmq-tests-{network}")
        except OSError:
            lock.close()
            return False
        _locks[network] = _held.enter_context(lock)
    return True


def _namespaces() -> list[str]:
    return [line.split()[0] for line in _run("ip", "netns", "list").splitlines() if line.strip()]


def _interfaces() -> list[str]:
    return [path.name for path in Path("/sys/class/net").iterdir()]


def _remove(network: str) -> None:
    """Remove what there is of the network of that id, and end what runs in it."""
    if f"rz{network}" in _interfaces():
        _run("ip", "link", "delete", f"rz{network}")
    for name in _namespaces():
        if name.startswith(f"raftzmq-{network}-"):
            # A namespace lives, whatever its name, as long as a process is in it.
            for pid in _run("ip", "netns", "pids", name).split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            _run("ip", "netns", "delete", name)


def _run(*command: str) -> str:
    """What the command printed. Raises OSError with what it complained of."""
    return _finish(_start(*command), "")


def _start(*command: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def _finish(process: subprocess.Popen[str], stdin: str) -> str:
    output, complaint = process.communicate(stdin)
    if process.returncode:
        command: Sequence[str] = process.args  # type: ignore[assignment]
        raise OSError(f"{' '.join(command)}: {complaint.strip() or process.returncode}")
    return output
