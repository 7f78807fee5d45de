"""`check` passes where a cluster works, and notices where it does not."""

import json
from typing import Any

import pytest

from raftzmq import Item, Written
from raftzmq.errors import Unavailable
from raftzmq_cli.client.check import check
from raftzmq_cli.common.settings import Output
from tests.cli.client.fakes import FakeClient, invocation

Capture = pytest.CaptureFixture[str]


class Forgetful(FakeClient):
    """Acknowledges an overwrite without doing it."""

    def put(self, key: str, value: str | bytes, *, timeout: float, **_: Any) -> Written:
        if key in self.items:
            return Written(self.index, 1, "raft-0", self.items[key].revision)
        return super().put(key, value, timeout=timeout)


class Leaderless(FakeClient):
    def get(self, key: str, *, stale: bool = False, timeout: float) -> Item | None:
        raise Unavailable("no leader within 5 s")


def test_a_working_cluster_passes(capfd: Capture) -> None:
    client = FakeClient()
    assert check(invocation(client)) == 0
    lines = capfd.readouterr().out.splitlines()
    writes = [line for line in lines if "write" in line]
    reads = [line for line in lines if "  read " in line]
    assert len(writes) >= 4
    assert len(reads) >= 4
    assert all("index" in line and "term 1" in line and "leader raft-0" in line for line in writes)
    assert any("overwrite" in line for line in writes)
    assert "passed" in lines[-1]
    assert client.items == {}


def test_a_lost_write_is_noticed(capfd: Capture) -> None:
    assert check(invocation(Forgetful())) == 1
    lines = capfd.readouterr().out.splitlines()
    assert any(line.startswith("FAIL") and "read first" in line for line in lines)
    assert lines[-1].startswith("NOT PASSED")


def test_json_has_every_step(capfd: Capture) -> None:
    assert check(invocation(FakeClient(), Output.JSON)) == 0
    document: dict[str, Any] = json.loads(capfd.readouterr().out)
    assert document["passed"] is True
    assert {"step", "ok", "index", "term", "leader", "revision", "detail"} == set(
        document["steps"][0]
    )


def test_without_a_leader_nothing_is_claimed(capfd: Capture) -> None:
    with pytest.raises(Unavailable):
        check(invocation(Leaderless()))
    assert capfd.readouterr().out.splitlines()[-1].startswith("NOT PASSED")
