"""Whom a server lets in without a key: what it refuses to be started as, and what its log says."""

from __future__ import annotations

from pathlib import Path

from raftzmq.errors import InvalidRequest
from raftzmq.naming import literal


def check_exposure(keys: Path | None, *endpoints: str, insecure: bool) -> None:
    """Raises InvalidRequest unless there are keys, all ZeroMQ endpoints are on loopback addresses,
    or it is said to be meant."""
    if keys is not None and insecure:
        raise InvalidRequest("--keys and --insecure contradict each other: leave one out")
    if keys is not None or insecure:
        return
    for endpoint in endpoints:
        if not is_loopback(endpoint):
            raise InvalidRequest(
                f"{endpoint} is open to other machines, and without keys to everybody: give "
                "--keys DIR (`raftzmq keys create` makes one), or --insecure if that is meant"
            )


def opening_words(*, keys: bool, also_plain: bool = False) -> str:
    """How the first line of a server's log begins."""
    if not keys:
        return "starting without keys: all who reach it may do all"
    if also_plain:
        return "starting with keys, and for now without: all who reach it may do all (--also-plain)"
    return "starting"


def is_loopback(endpoint: str) -> bool:
    """Whether only this machine reaches an endpoint to listen on."""
    host = endpoint.removeprefix("tcp://").rpartition(":")[0]
    ip = literal(host)
    return host == "localhost" if ip is None else ip.is_loopback
