"""The one loop that runs a node for real.

One thread, one poller. Each round receives what is there, peers first and clients up to a budget,
ticks, and runs one turn of the node. In that turn everything is sent, made durable with one fsync,
applied and answered. Disk and heartbeats share the loop on purpose: a leader whose disk stalls
loses its leadership instead of holding it.
"""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random, SystemRandom
from typing import Final, NoReturn

import zmq

from raftzmq import __version__, standard_streams
from raftzmq.core.messages import REPLIES, Message
from raftzmq.descriptors import limit_open_files
from raftzmq.errors import ClockStopped, DataError, WireError
from raftzmq.file_modes import restrict_new_files
from raftzmq.node import Node
from raftzmq.server.access import Access
from raftzmq.server.announcements import Announcements
from raftzmq.server.audit import AuditTrail, audit_of
from raftzmq.server.config import NOWHERE, ServerConfig
from raftzmq.server.exposure import opening_words
from raftzmq.server.figures import Figures
from raftzmq.server.following import Following
from raftzmq.server.peers import Peers
from raftzmq.server.ports import Ports
from raftzmq.server.probes import Probes
from raftzmq.server.process import calm_garbage_collector, keep_memory_private
from raftzmq.server.programs import program_of
from raftzmq.server.replica_feed import ReplicaFeed
from raftzmq.server.shutdown import Shutdown
from raftzmq.server.text_log import TextLog
from raftzmq.server.tracing import tracing_of
from raftzmq.server.vitals import Recorder
from raftzmq.storage import OsFiles, Storage
from raftzmq.transport.client_wire import (
    ErrorReply,
    Reply,
    Results,
    decode_request,
    encode_reply,
    encode_results,
)
from raftzmq.transport.guard import Guard
from raftzmq.transport.options import node_context
from raftzmq.transport.peer_wire import (
    Envelope,
    Hello,
    Welcome,
    decode_peer,
)
from raftzmq.transport.watch_wire import Events
from raftzmq.wakeups import woken_by_signals

PEER_BUDGET: Final = 1024
"""The most messages of peers taken in one turn."""

CLIENT_BUDGET: Final = 256
"""The most messages of clients taken in one turn; the rest wait, so that peers are heard again."""

LAST_ANSWERS_S: Final = 0.1
"""Time between the last answers and the end. What a client has not read when the connection closes
is lost to it, and it asks another node."""

STOP_ANSWER_S: Final = 1.0
"""The same after a stop that a client asked for. No other node can tell it that the stop was heard,
so even a client that waits for its processor must have time to read the answer."""

MAINTENANCE_MS: Final = 10
"""Time between two looks at connections, links, threads and figures."""

WAKE: Final = b"\0"
"""Wakes the loop; it is not the number of a signal."""


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def serve(config: ServerConfig) -> int:
    """Run a node until SIGTERM, SIGINT, SIGHUP, SIGQUIT or a stop request. Returns the exit code 0.

    Raises InvalidRequest for a port that would be open to everybody, KeyFileError for keys that
    cannot be used, DataError for a directory that cannot be used or a disk that fails, PortTaken
    for an endpoint that cannot be bound, ClockStopped when time stands still.
    """
    config.check_exposure()
    standard_streams.reserve()
    restrict_new_files()
    with ExitStack() as stack:
        log = stack.enter_context(TextLog(config.name, config.log_level, config.log_format))
        server = Server(config, log, stack)
        try:
            server.run()
        except OSError as error:
            # Never retried: after a failed fsync it is unknown what the disk holds.
            raise DataError(f"{config.data_dir}: {error}; stopping at once") from error
    return 0


class Server:
    """Sockets, storage and signals of one node; also its Outbox."""

    def __init__(self, config: ServerConfig, log: TextLog, stack: ExitStack) -> None:
        self._log = log
        limit_open_files()
        if config.rejoin:
            log.warn(set_aside_once(config.data_dir))
        files = OsFiles()
        storage = Storage(config.data_dir, files, config=config.storage_config)
        restored = storage.open(config.name)
        stack.callback(storage.close)
        for repair in restored.repairs:
            log.warn(repair)
        if config.keys is not None:
            keep_memory_private()
        self._audit = audit_of(config, log, stack)
        refused = None if self._audit is None else self._audit.handshake_refused
        self._access = Access(config.keys, log, refused, also_plain=config.also_plain)
        context = stack.enter_context(node_context())
        self._peers = Peers(context)
        stack.callback(self._peers.close)
        self._access.open(context)
        stack.callback(self._access.close)
        self._ports = Ports(context, config, self._access, self._peers)
        stack.callback(self._ports.close)
        self._ports.clients.wants_addresses = self._audit is not None
        self._held: list[tuple[bytes, Reply]] = []  # answers whose records are not written yet
        self._probes = Probes(config.http_endpoint, log, now_ms)
        stack.callback(self._probes.close)
        self._guard = Guard((self._ports.nodes.traffic, self._ports.clients.traffic))
        stack.callback(self._guard.close)
        self._guard.start()
        self._bell, self._wake = stack.enter_context(woken_by_signals())
        self._poller = zmq.Poller()
        for source in (*self._ports.sockets, *self._access.sockets, self._wake.fileno()):
            self._poller.register(source, zmq.POLLIN)
        self._warned: set[str] = set()
        self._stopped_by_signal = False
        settings = config.node_settings(
            program_of(config, log), may_form=not earlier_directories(config.data_dir)
        )
        random = Random(SystemRandom().getrandbits(128))
        self._now_ms = now_ms()
        self._next_maintenance_ms = self._now_ms
        self.node = Node(settings, storage, restored, random, self._now_ms, time.perf_counter)
        self._peers.node = self.node
        self._tracing = tracing_of(config, self.node, stack) if config.trace else None
        self.node.process_id = f"{random.getrandbits(64):016x}"
        self._announcements = Announcements(self.node, log)
        self._following = Following(self.node, self._peers.links, self._now_ms)
        self._replica_feed = self._watch_replicas(config, stack)
        self._shutdown = Shutdown(self.node, log, self._replica_feed, round(config.grace_s * 1000))
        counters = {
            **self._ports.counters,
            **self._access.counters,
            "links": self._peers.links.counters,
        }
        self._vitals = Recorder(
            self.node, files.sync_seconds, counters, config.data_dir, self._now_ms
        )
        Figures(
            config, self._vitals, self._access, self._peers, self._replica_feed
        ).serve_operators(self.node.admin, log)
        self._probes.start(lambda: self._vitals.latest)
        log(
            opening_words(keys=config.keys is not None, also_plain=config.also_plain),
            version=__version__,
            incarnation=restored.incarnation,
            cluster=restored.cluster or "none",
            nodes=config.peer_endpoint,
            clients=config.client_endpoint,
            http=config.http_endpoint or NOWHERE,
            data=config.data_dir,
            quota=config.quota_bytes,
            machine=config.machine or "none",
            keys=config.keys or "none",
        )

    def _watch_replicas(self, config: ServerConfig, stack: ExitStack) -> ReplicaFeed | None:
        """Start to watch the StatefulSet that decides the number of nodes, if there is one."""
        if config.statefulset is None:
            return None
        # Imported late: most nodes need neither asyncio nor an HTTP client.
        from raftzmq.server.statefulset import StatefulSetWatch

        def wake() -> None:
            with suppress(BlockingIOError):  # full, so awake already
                self._bell.send(WAKE)

        watch = StatefulSetWatch(config.statefulset, config.namespace, on_change=wake)
        stack.callback(watch.close)
        return ReplicaFeed(self.node, watch, self._log)

    def run(self) -> None:
        """Loop until stopped."""
        self._catch_signals()
        calm_garbage_collector()
        while not self._shutdown.may_end(self._now_ms, self, by_signal=self._stopped_by_signal):
            self._turn()
        self._vitals.publish(self._now_ms)
        self.node.finish(self)
        # A client that asks meanwhile learns who leads now, without waiting for the connection to
        # end.
        last_s = LAST_ANSWERS_S if self._stopped_by_signal else STOP_ANSWER_S
        last_ms = now_ms() + int(last_s * 1000)
        while now_ms() < last_ms:
            self._turn(last_ms)
        self._log("stopped")

    def _turn(self, by_ms: int | None = None) -> None:
        """Wait until there is something to do, but not beyond `by_ms`, and do it."""
        node = self.node
        maintenance_ms = max(self._next_maintenance_ms, self._vitals.due_ms)
        due_ms = min(node.next_deadline_ms, maintenance_ms)
        if by_ms is not None:
            due_ms = min(due_ms, by_ms)
        ready = {source for source, _ in self._poller.poll(max(0, due_ms - now_ms()))}
        self._now_ms = now_ms()
        if self._wake.fileno() in ready:
            self._receive_signals()
        node.wake(self._now_ms)
        # Asking a socket for a missing message costs as much as taking one.
        self._access.answer_handshakes(ready)
        if self._ports.nodes.socket in ready:
            self._receive_peers()
        else:
            self._ports.nodes.traffic.drained()
        if self._ports.clients.socket in ready:
            self._receive_clients()
        else:
            self._ports.clients.traffic.drained()
        if self._replica_feed is not None:
            self._replica_feed.look(self._now_ms)
        node.tick(self._now_ms)
        self._peers.open_links()
        node.turn(self)
        if self._audit is not None:
            self._write_audit(self._audit)
        if node.raft.clock_stands:
            self._end_without_a_clock()
        if self._now_ms >= self._next_maintenance_ms:
            self._next_maintenance_ms = self._now_ms + MAINTENANCE_MS
            self._maintain()

    def _write_audit(self, audit: AuditTrail) -> None:
        """Write the records of the turn; then the answers that had to wait for that leave."""
        audit.turn()
        self.node.unrecorded = audit.fault if audit.required else ""
        held, self._held = self._held, []
        for client, reply in held:
            self._send_reply(client, reply)

    def _end_without_a_clock(self) -> NoReturn:
        """Nothing that depends on time is done any more, even what reports that. Raises
        ClockStopped."""
        self.node.finish(self)
        raise ClockStopped(
            "the monotonic clock of this machine stands still or has gone back, and without it a "
            "node can neither lead nor follow: see to the clock source of the machine, then start "
            "the node again"
        )

    def _maintain(self) -> None:
        """Work that is not due in every turn."""
        for reason in self._guard.cuts():
            self._warn_once("cut a connection", reason)
        self._peers.maintain(self._now_ms, self._announcements.silent)
        self._following.turn(self._now_ms)
        self._ports.check()
        self._ports.reread_keys(self._now_ms, self.node.users_changed)
        self._announcements.tell()
        self._log.check()
        self._probes.check()
        self._guard.check()
        self._vitals.turn(self._now_ms)
        if self._tracing is not None:
            self._tracing.export(self.node.traces.take())

    # -- receiving ----------------------------------------------------------------------------

    def _receive_peers(self) -> None:
        nodes = self._ports.nodes
        nodes.wants_addresses = self._peers.wants_addresses
        for number, frames in enumerate(nodes.receive(PEER_BUDGET)):
            try:
                received = decode_peer(frames)
            except WireError as error:
                self._drop(error)
                continue
            if nodes.addresses:
                self._peers.spoke(received, nodes.addresses[number], self._now_ms)
            if isinstance(received, Envelope):
                if type(received.message) in REPLIES:
                    self._peers.answered(received.message.sender.name)
                self.node.receive(received)
            else:
                if isinstance(received, Welcome):
                    self._peers.answered(received.sender.name)
                self.node.greeted(received, self._now_ms)

    def _receive_clients(self) -> None:
        for client, frame, user_id, address in self._ports.clients.receive(CLIENT_BUDGET):
            user = self._access.user(user_id)
            if user is None:  # let in with a key that has been removed since
                self.node.dropped["unauthorized"] += 1
                self._ports.clients.cut({user_id})
                continue
            try:
                request = decode_request(frame)
            except WireError as error:
                self._drop(error)
                self.reply(client, self._error_reply(error))
                continue
            if self._audit is not None:
                self._audit.asked(client, request, user, address)
            self.node.request(client, request, len(frame), self._now_ms, user)

    def _error_reply(self, error: WireError) -> ErrorReply:
        leader, address = self.node.leader_hint()
        return ErrorReply(
            ids=error.ids,
            code=error.code,
            message=str(error),
            node=self.node.name,
            term=self.node.raft.term,
            leader=leader,
            address=address,
        )

    def _drop(self, error: WireError) -> None:
        self.node.dropped[error.reason] += 1
        self._warn_once("dropped a message", error.reason)

    def _warn_once(self, what: str, reason: str) -> None:
        if reason not in self._warned:
            self._warned.add(reason)
            self._log.warn(f"{what} (logged once per reason)", reason=reason)
        else:
            self._log.debug(what, reason=reason)

    # -- Outbox -------------------------------------------------------------------------------

    def send(self, address: str | None, cluster: str, message: Message) -> bool:
        return address is not None and self._peers.send(address, cluster, message, self._now_ms)

    def greet(self, name: str, address: str, greeting: Hello | Welcome) -> None:
        self._peers.greet(name, address, greeting, self._now_ms)

    def reply(self, client: bytes, reply: Reply) -> bool:
        if isinstance(reply, Events):
            return self._ports.clients.tell(client, encode_reply(reply))
        if self._audit is not None:
            self._audit.answered(client, reply)
            if self._audit.required:
                self._held.append((client, reply))
                return True
        return self._send_reply(client, reply)

    def _send_reply(self, client: bytes, reply: Reply) -> bool:
        if isinstance(reply, Results):
            frames = encode_results(reply)
        else:
            frames = [encode_reply(reply)]
            if isinstance(reply, ErrorReply):
                self._log.debug("refused", code=reply.code, requests=len(reply.ids or ()))
        sent = [self._ports.clients.send(client, frame) for frame in frames]
        if self.node.traces.active:
            self.node.traces.answered(client, reply)
        return all(sent)

    # -- signals ---------------------------------------------------------------------

    def _catch_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGTERM:
                signal.signal(number, lambda *_: None)  # nohup has SIGHUP ignored

    def _receive_signals(self) -> None:
        with suppress(BlockingIOError):
            if self._wake.recv(64).strip(WAKE):
                self._stopped_by_signal = True
                self.node.stop_requested = True


def earlier_directories(data_dir: Path) -> list[Path]:
    """What --rejoin has set aside in a data directory."""
    return sorted(data_dir.glob("aside-*"))


def set_aside_once(data_dir: Path) -> str:
    """Do what --rejoin asks for, and return what was done. Raises DataError.

    Only once for a directory: an option left in a manifest must not throw a node's data away at
    every start.
    """
    earlier = earlier_directories(data_dir)
    if earlier:
        return (
            f"--rejoin is ignored: {earlier[-1]} exists from the last time; "
            "to set this directory aside again, move that elsewhere first, and keep it until the "
            "cluster is whole"
        )
    aside = Storage.set_aside(data_dir)
    return f"--rejoin: set what was there aside in {aside}" if aside else "--rejoin: nothing there"
