"""The probes of a node, asked over HTTP, whatever becomes of its loop."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import closing, suppress
from http.client import HTTPException

import pytest

from raftzmq.errors import PortTaken
from raftzmq.server.health import LOOP_STALLED_MS
from raftzmq.server.probes import Probes
from raftzmq.server.text_log import TextLog
from raftzmq.server.vitals import Vitals
from tests.server.samples import LEADER, vitals
from tests.system.ports import free_ports
from tests.system.processes import wait_for

PATIENCE_S = 60.0


class Loop:
    """What the loop of a node would say, and its clock."""

    def __init__(self) -> None:
        self.vitals = LEADER
        self.now_ms = LEADER.at_ms

    def latest(self) -> Vitals:
        return self.vitals

    def clock_ms(self) -> int:
        return self.now_ms


class Asked:
    """Probes that run on a port."""

    def __init__(self, log: TextLog) -> None:
        self.loop = Loop()
        self.port = free_ports()
        self.probes = Probes(f"tcp://127.0.0.1:{self.port}", log, self.loop.clock_ms)
        self.probes.start(self.loop.latest)

    def get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        with closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()


@pytest.fixture
def log() -> Iterator[TextLog]:
    with TextLog("raft-0", "ERROR") as made:
        yield made


@pytest.fixture
def asked(log: TextLog) -> Iterator[Asked]:
    made = Asked(log)
    with closing(made.probes):
        yield made


def test_a_healthy_node_answers_all_three(asked: Asked) -> None:
    assert asked.get("/livez") == (200, "ok loop\nok text_log\n")
    assert asked.get("/readyz")[0] == 200
    status, page = asked.get("/metrics")
    assert status == 200
    assert "\nraftzmq_term 7.0\n" in page
    asked.probes.check()


def test_a_loop_that_hangs_fails_both_probes_while_metrics_still_tell_of_it(asked: Asked) -> None:
    asked.loop.now_ms += LOOP_STALLED_MS + 1
    status, text = asked.get("/livez")
    assert status == 503
    assert "FAILED loop: it stands still for 15 s" in text
    assert asked.get("/readyz")[0] == 503
    assert asked.get("/metrics")[0] == 200
    asked.loop.vitals = vitals(at_ms=asked.loop.now_ms)
    assert asked.get("/livez")[0] == 200


def test_metrics_are_those_of_the_newest_vitals(asked: Asked) -> None:
    asked.get("/metrics")
    asked.loop.vitals = vitals(term=8)
    assert "\nraftzmq_term 8.0\n" in asked.get("/metrics")[1]


def test_a_node_without_a_leader_is_live_but_not_ready(asked: Asked) -> None:
    asked.loop.vitals = vitals(leader=None, role="candidate")
    assert asked.get("/livez")[0] == 200
    status, text = asked.get("/readyz")
    assert status == 503
    assert "FAILED leader: none is known in term 7" in text


def test_a_part_that_has_died_fails_liveness(asked: Asked) -> None:
    asked.probes.parts["scaling"] = lambda: False
    status, text = asked.get("/livez")
    assert status == 503
    assert "FAILED scaling: its thread has died" in text


def test_a_log_that_has_ended_fails_liveness(log: TextLog) -> None:
    with TextLog("raft-1", "ERROR") as ended:
        made = Asked(ended)
    with closing(made.probes):
        assert made.get("/livez")[0] == 503


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_death_of_the_thread_that_answers_is_told(asked: Asked) -> None:
    def dies() -> bool:
        raise SystemExit

    asked.probes.parts["scaling"] = dies
    with suppress(OSError, HTTPException):
        asked.get("/livez")
    with pytest.raises(RuntimeError, match="the thread that answers probes has died"):
        wait_for("its end", asked.probes.check)


def test_without_an_endpoint_there_is_nothing_to_ask_and_nothing_to_die(log: TextLog) -> None:
    loop = Loop()
    with closing(Probes(None, log, loop.clock_ms)) as probes:
        probes.start(loop.latest)
        probes.check()


def test_a_taken_port_is_told_before_the_node_starts(asked: Asked, log: TextLog) -> None:
    with pytest.raises(PortTaken):
        Probes(f"tcp://127.0.0.1:{asked.port}", log, asked.loop.clock_ms)
