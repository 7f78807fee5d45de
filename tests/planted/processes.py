"""Bugs that show only on real processes: a loop that is blocked, a part that is dead.

Each has a probe that a healthy node passes, under the same conditions, and a defective one fails.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
import zmq

from raftzmq import Client
from raftzmq.core.identity import NodeId
from raftzmq.transport.peer_wire import Hello, encode_hello
from tests.planted.launch import FATAL_KEY, HANGS, VARIABLE
from tests.system.processes import Cluster, NodeProcess, wait_for
from tests.system.raw import NoAnswer, Raw

PATIENT_S: Final = 60.0
"""How long a healthy node may take for what takes a moment."""

SHORT_S: Final = 4.0
"""How long a defective one is waited for. What is blocked is so for ever; to wait longer would
only show once more that it is not caught by chance."""

Planted = tuple[str, ...]
"""Names of conditions and defects of tests.planted.launch."""


def nobody_reads_its_stderr(directory: Path, planted: Planted, patience_s: float) -> None:
    """It goes on serving, stops when it is told to, and ends when it must."""
    pipe = directory / "stderr"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # and never read
    try:
        for size in (4096, 1):
            with suppress(BlockingIOError):
                while True:
                    os.write(reading, b"." * size)
        to_pipe = ("sh", "-c", f'exec "$0" "$@" 2>"{pipe}"')
        with Cluster(directory, 1) as cluster:
            node = _start(cluster, planted, to_pipe)
            _serves(node, "nobody reads its stderr", patience_s)
            node.terminate()
            assert node.wait(patience_s) == 0
            (node.data_dir / "state.json").write_bytes(b"damaged")
            node.start()
            assert node.wait(patience_s) not in (0, 2)
    finally:
        os.close(reading)


def a_peers_name_is_not_found(directory: Path, planted: Planted, patience_s: float) -> None:
    """Somebody says hello and gives an address whose lookup hangs; the answer is to go there."""
    with Cluster(directory, 1) as cluster:
        node = _start(cluster, planted)
        _serves(node, "it is left alone", PATIENT_S)
        hello = encode_hello(Hello("", NodeId("raft-9", "0" * 16), f"{HANGS}:6000", "0" * 16))
        with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
            stranger.connect(f"tcp://{node.address}")
            stranger.send_multipart(hello)
            stranger.send(b"no message, and told of in the log: then the hello was taken too")
            wait_for("the hello has arrived", lambda: "dropped a message" in node.output())
        _serves(node, "the name of a peer is being looked up", patience_s)


def somebody_sends_a_long_number(directory: Path, planted: Planted, patience_s: float) -> None:
    """Some megabytes of digits, as often as it takes to block a fast parser too."""
    with Cluster(directory, 1) as cluster:
        node = _start(cluster, planted)
        _serves(node, "it is left alone", PATIENT_S)
        with Raw(node.endpoint) as raw:
            for _ in range(4):
                raw.send(b'{"v":1,"type":"status","id":%b}' % (b"7" * 7_000_000))
            _serves(node, "it is sent long numbers", patience_s)
            try:
                answers = [raw.receive(patience_s) for _ in range(4)]
            except NoAnswer:
                raise AssertionError(f"no answer in {patience_s:g} s to a long number") from None
        assert [answer["code"] for answer in answers] == ["malformed"] * 4


def its_loop_raises(directory: Path, planted: Planted, patience_s: float) -> None:
    """The process ends, with a word on why."""
    with Cluster(directory, 1) as cluster:
        node = _start(cluster, planted)
        _serves(node, "it is left alone", PATIENT_S)
        with Raw(node.endpoint) as raw:
            raw.send(
                b'{"v":1,"type":"operations","session":0,"ack":0,"stale":true,'
                b'"ops":[[1,"get","%b"]]}' % FATAL_KEY.encode()
            )
            wait_for("the loop has died", lambda: "part of the loop fails" in node.output())
        _ends(node, "the loop", patience_s)


def its_log_thread_raises(directory: Path, planted: Planted, patience_s: float) -> None:
    """The process ends, even if everything else would go on without the thread."""
    with Cluster(directory, 1) as cluster:
        node = _start(cluster, planted)
        wait_for("the thread has died", lambda: "MemoryError" in node.output())
        _ends(node, "the log's thread", patience_s)


def its_guard_raises(directory: Path, planted: Planted, patience_s: float) -> None:
    """The process ends: without its guard anybody could fill its memory."""
    with Cluster(directory, 1) as cluster:
        node = _start(cluster, planted)
        wait_for("the thread has died", lambda: "MemoryError" in node.output())
        _ends(node, "its guard", patience_s)


def _start(cluster: Cluster, planted: Planted, within: tuple[str, ...] = ()) -> NodeProcess:
    (node,) = cluster.nodes
    node.program = "tests.planted.launch"
    node.within = ("env", f"{VARIABLE}={' '.join(planted)}", *within)
    node.start()
    return node


def _serves(node: NodeProcess, when: str, patience_s: float) -> None:
    """It says that it leads and is healthy, and it does write and read."""

    def leads() -> bool:
        assert node.is_running, f"{node.name} has ended when {when}"
        status = node.status(timeout_s=1.0)
        return status is not None and status["role"] == "leader" and bool(status["healthy"])

    wait_for(f"{node.name} leads, when {when}", leads, patience_s)
    with Client([node.endpoint]) as client:
        client.put("key", when, timeout=patience_s)
        item = client.get("key", timeout=patience_s)
        assert item is not None
        assert item.value == when


def _ends(node: NodeProcess, part: str, patience_s: float) -> None:
    try:
        code = node.wait(patience_s)
    except AssertionError:
        status = node.status(SHORT_S)
        health = f"says healthy: {status['healthy']}" if status else "answers nothing"
        raise AssertionError(
            f"{node.name} still runs {patience_s:g} s after {part} died, and {health}"
        ) from None
    assert code not in (0, 2), f"{node.name} ends with {code}, as if all were well"


@dataclass(frozen=True, slots=True)
class ProcessDefect:
    """A bug that a probe of a real process catches; see tests.planted.defect for the others."""

    number: int
    title: str
    defect: str
    """The name of the function in tests.planted.launch that plants it."""
    conditions: Planted
    """What happens to the node, defective or not."""
    probe: Callable[[Path, Planted, float], None]
    """Raises AssertionError if the node fails it."""
    told: str
    """A regular expression that the failure must match: found for the right reason."""
    half: str = ""
    here: Callable[[pytest.MonkeyPatch], None] | None = None
    """Plants it in this process, where the client runs, instead."""

    def passed(self) -> None:
        """A healthy node passes the probe. Raises AssertionError."""
        self._try(self.conditions, PATIENT_S)

    def caught(self) -> str:
        """A defective one does not; return what was told. Raises AssertionError."""
        try:
            with pytest.MonkeyPatch.context() as patch:
                if self.here is not None:
                    self.here(patch)
                self._try((*self.conditions, *filter(None, [self.defect])), SHORT_S)
        except AssertionError as error:
            told = str(error)
            assert re.search(self.told, told), f"{self.title}: not for this reason: {told}"
            return told
        raise AssertionError(f"not caught: {self.title}")

    def _try(self, planted: Planted, patience_s: float) -> None:
        with TemporaryDirectory() as directory:
            self.probe(Path(directory), planted, patience_s)


DEFECTS: Final = (
    ProcessDefect(
        17,
        "the loop is blocked by a full stderr",
        "log_straight_to_stderr",
        (),
        nobody_reads_its_stderr,
        told="leads, when nobody reads its stderr",
        half="a",
    ),
    ProcessDefect(
        17,
        "the loop is blocked by the lookup of a name",
        "look_names_up_in_the_loop",
        ("name_server_hangs",),
        a_peers_name_is_not_found,
        told="leads, when the name of a peer is being looked up",
        half="b",
    ),
    ProcessDefect(
        17,
        "the loop is blocked by JSON that takes ever longer to parse",
        "parse_numbers_of_any_length",
        (),
        somebody_sends_a_long_number,
        told="leads, when it is sent long numbers|no answer",
        half="c",
    ),
    ProcessDefect(
        19,
        "the loop dies in a thread, and the process lives on",
        "loop_in_a_thread",
        ("loop_fails",),
        its_loop_raises,
        told="still runs .* after the loop died, and answers nothing",
        half="a",
    ),
    ProcessDefect(
        19,
        "what the loop raises is swallowed",
        "swallow_what_the_loop_raises",
        ("loop_fails",),
        its_loop_raises,
        told="still runs .* after the loop died, and says healthy: True",
        half="b",
    ),
    ProcessDefect(
        19,
        "the thread of the log dies, and nobody minds",
        "nobody_minds_the_log_thread",
        ("log_thread_fails",),
        its_log_thread_raises,
        told="still runs .* after the log's thread died, and says healthy: True",
        half="c",
    ),
    ProcessDefect(
        19,
        "the guard of the connections dies, and nobody minds",
        "nobody_minds_the_guard",
        ("guard_thread_fails",),
        its_guard_raises,
        told="still runs .* after its guard died, and says healthy: True",
        half="d",
    ),
)
