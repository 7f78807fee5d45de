"""The settings of a node process."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from raftzmq.core.config import Config
from raftzmq.errors import InvalidRequest
from raftzmq.machine import Program
from raftzmq.naming import client_address, literal, parse_address, parse_pod_name, service_address
from raftzmq.node.programs import offered
from raftzmq.node.state import HELLO_INTERVAL_MS, LOG_SHARE, NodeSettings
from raftzmq.server.exposure import check_exposure
from raftzmq.server.quota import LEAST_BYTES, default_quota
from raftzmq.storage import StorageConfig

_TIMING = Config()

GRACE_S: Final = 25.0
"""Kubernetes kills a pod 30 s after telling it to stop, unless its manifest says otherwise."""

NOWHERE: Final = "none"
"""In place of an endpoint for HTTP."""

TEXT_LOG: Final = ("-", "log")
"""In place of a file for the audit trail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """A node's settings. Times in milliseconds, unless they end in `_s`.

    `peers` maps the initial members' names to HOST:PORT of their node ports. If it is empty, they
    are NAME-0 … NAME-(replicas-1) of the headless Service. `listen` and `client_listen` are ZeroMQ
    endpoints. By default they are on the port at which the peers know this node and the next one,
    and on that host where it is an IP address or localhost. A name may move, and may have several
    addresses: behind one a node listens on all interfaces, as it does in a pod (`in_pod`).
    `http_listen`, for probes and metrics, is by default beside `listen` on the port after that of
    the clients; "none" disables it.

    `advertise` is the HOST:PORT under which others reach this node. By default it is what `peers`
    say, for a node that they do not name it is where it listens, and in a pod it is its name in the
    Service.

    `keys` is a directory with node.key, server.key and users.toml. Without it, whoever reaches a
    port may do everything, so the ports must be on loopback addresses, unless `insecure`. With
    keys and `also_plain` it takes connections without a key too, and connects so to nodes that have
    none: for the time in which all nodes and clients of a cluster get their keys.

    `statefulset` names the StatefulSet whose spec.replicas decides the membership. If a node beyond
    that number is told to stop, it goes on for at most `grace_s` seconds, until it has been
    removed.

    `audit` is the file of the audit trail, or "log" or "-" for the text log; without it there is
    none. If it is required, nothing is done that cannot be recorded.

    A node that is not a member yet greets the others, and again after `first_hellos_ms`, which
    grows up to HELLO_INTERVAL_MS.

    `machine` names the class of a state machine of the users' own, PACKAGE.MODULE:CLASS. With
    `check_machine` the node ends where a method does what another node would not do alike.

    `quota` is how many bytes the store may take. By default it is two thirds of the memory that the
    process may use, after 96 MiB for the node itself.
    """

    name: str
    data_dir: Path
    peers: dict[str, str] = field(default_factory=dict)
    service: str | None = None
    namespace: str | None = None
    replicas: int = 3
    listen: str | None = None
    client_listen: str | None = None
    http_listen: str | None = None
    advertise: str | None = None
    in_pod: bool = False
    keys: Path | None = None
    also_plain: bool = False
    insecure: bool = False
    rejoin: bool = False
    statefulset: str | None = None
    grace_s: float = GRACE_S
    election_timeout_ms: int = _TIMING.election_timeout_ms
    heartbeat_ms: int = _TIMING.heartbeat_ms
    first_hellos_ms: int = HELLO_INTERVAL_MS
    log_level: str = "INFO"
    log_format: str = "text"
    trace: bool = False
    quota: int | None = None
    machine: str | None = None
    check_machine: bool = False
    audit: str | None = None
    audit_required: bool = False
    storage: StorageConfig = field(default_factory=StorageConfig)

    def __post_init__(self) -> None:
        parse_pod_name(self.name)
        if self.replicas < 1:
            raise InvalidRequest("--replicas must be at least 1")
        if self.quota is not None and self.quota < LEAST_BYTES:
            raise InvalidRequest(f"--quota must be at least {LEAST_BYTES} bytes: 1MiB")
        if self.check_machine and self.machine is None:
            raise InvalidRequest("--check-machine needs --machine PACKAGE.MODULE:CLASS")
        if self.audit_required and self.audit in (None, *TEXT_LOG):
            raise InvalidRequest(
                "--audit-required needs a file: give --audit FILE (the text log may lose lines)"
            )
        if not 0 < self.heartbeat_ms * 2 < self.election_timeout_ms:
            raise InvalidRequest(
                "--election-timeout-ms must be more than twice --heartbeat-ms, and both positive"
            )
        if self._own_address is None:
            raise InvalidRequest(
                f"--peers does not name {self.name}, so nobody knows where it is: give --advertise "
                "HOST:PORT, where the others reach it, or --listen with an IP address of this "
                "machine, such as tcp://192.0.2.7:6000"
            )

    def check_exposure(self) -> None:
        """Raises InvalidRequest for a node that would let everybody in from other machines."""
        if self.also_plain and self.keys is None:
            raise InvalidRequest("--also-plain is for nodes that have keys: give --keys DIR too")
        check_exposure(self.keys, self.peer_endpoint, self.client_endpoint, insecure=self.insecure)

    @property
    def initial(self) -> dict[str, str]:
        """Name -> address of the initial members (which need not include this node)."""
        if self.peers:
            return dict(self.peers)
        base = parse_pod_name(self.name).base
        return {f"{base}-{k}": self.address_of(f"{base}-{k}") for k in range(self.replicas)}

    @property
    def quota_bytes(self) -> int:
        """How much memory the store may take, as it was told or as it finds it."""
        return default_quota() if self.quota is None else self.quota

    @property
    def storage_config(self) -> StorageConfig:
        """What `storage` says, with a log that fits into memory beside the store."""
        return replace(self.storage, log_memory_bytes=self.quota_bytes // LOG_SHARE)

    def node_settings(self, program: Program | None, *, may_form: bool) -> NodeSettings:
        """What the node itself is told of all this. `program` runs what `machine` names."""
        return NodeSettings(
            name=self.name,
            address=self.address,
            initial=self.initial,
            may_form=may_form,
            raft=Config(
                election_timeout_ms=self.election_timeout_ms,
                heartbeat_ms=self.heartbeat_ms,
                program=offered(program),
            ),
            quota_bytes=self.quota_bytes,
            program=program,
            first_hellos_ms=self.first_hellos_ms,
        )

    def address_of(self, name: str) -> str:
        """The address of a node that is not among `peers`, by the Service's names."""
        service = self.service or f"{parse_pod_name(name).base}-service"
        return service_address(name, service, self.namespace)

    @property
    def address(self) -> str:
        """The address that this node gives to others."""
        assert self._own_address is not None  # or it could not have been made
        return self._own_address

    @property
    def _own_address(self) -> str | None:
        given = self.advertise or self.initial.get(self.name) or self._listening_address
        if given is None and (self.in_pod or self.service or not self.peers):
            return self.address_of(self.name)
        return given

    @property
    def _listening_address(self) -> str | None:
        """HOST:PORT of `listen`, if others can reach that."""
        if self.listen is None or not self.peers:
            return None
        address = self.listen.removeprefix("tcp://")
        ip = literal(address.rpartition(":")[0])
        return None if ip is None or ip.is_unspecified else address

    @property
    def peer_endpoint(self) -> str:
        host, port = parse_address(self.address)
        if host == "localhost":
            host = "127.0.0.1"
        if self.in_pod or literal(host) is None:
            host = "*"
        return self.listen or f"tcp://{host}:{port}"

    @property
    def client_endpoint(self) -> str:
        return self.client_listen or self._beside(self.peer_endpoint)

    @property
    def http_endpoint(self) -> str | None:
        """The endpoint of probes and metrics, or None."""
        if self.http_listen == NOWHERE:
            return None
        return self.http_listen or self._beside(self.client_endpoint)

    def _beside(self, endpoint: str) -> str:
        """The host of the node port, with the port after that of `endpoint`."""
        host = self.peer_endpoint.rpartition(":")[0]
        return f"{host}:{int(endpoint.rpartition(':')[2]) + 1}"

    @property
    def client_address(self) -> str:
        return client_address(self.address)
