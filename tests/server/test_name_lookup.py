"""Names of silent peers that do not resolve."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from raftzmq.server.name_lookup import NameLookup
from tests.system.processes import wait_for

KNOWN = {"raft-1.raft-service"}


def resolver(host: str, _port: int) -> list[str]:
    if host not in KNOWN:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return ["10.0.0.1"]


@pytest.fixture
def names() -> Iterator[NameLookup]:
    names = NameLookup(resolver, look_s=0.01)
    yield names
    names.close()


def test_a_silent_peer_whose_name_has_no_address_is_told(names: NameLookup) -> None:
    names.silent = {"raft-1": "raft-1.raft-service:6000", "raft-2": "raft-2.raft-service:6000"}
    wait_for("the look-up", lambda: dict(names.unresolved) == {"raft-2": "raft-2.raft-service"})


def test_it_is_told_no_longer_once_the_name_resolves(
    names: NameLookup, monkeypatch: pytest.MonkeyPatch
) -> None:
    names.silent = {"raft-2": "raft-2.raft-service:6000"}
    wait_for("the look-up", lambda: names.unresolved)
    monkeypatch.setattr("tests.server.test_name_lookup.KNOWN", {"raft-2.raft-service"})
    wait_for("the next look-up", lambda: not names.unresolved)
    names.check()


def test_no_name_that_cannot_be_one_ends_the_thread() -> None:
    names = NameLookup(look_s=0.01)
    try:
        host = f"{'a' * 70}.example"  # no label of a name is longer than 63
        names.silent = {"raft-2": f"{host}:6000"}
        wait_for("the look-up", lambda: dict(names.unresolved) == {"raft-2": host})
        names.check()
    finally:
        names.close()


def test_a_thread_that_died_is_noticed() -> None:
    names = NameLookup(resolver, look_s=0.01)
    names.close()
    with pytest.raises(RuntimeError, match="names of peers"):
        wait_for("its end", names.check)
