"""Backups in a bucket of a real server: there and back, kept and removed, and what goes wrong."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raftzmq import Unavailable
from raftzmq.errors import DataError
from raftzmq.offline import backups
from raftzmq.storage import OsFiles
from raftzmq_cli.common.buckets import PART_BYTES, PARTS_AT_ONCE, Bucket
from raftzmq_cli.main import run
from tests.amounts import sample
from tests.system.keyed import PATIENCE_S
from tests.system.processes import STEADY, Cluster, wait_for
from tests.system.s3_server import BUCKET, Link, S3Server, s3_server
from tests.system.test_restores import asked, cli, command

pytestmark = pytest.mark.system

SAVE = ("client", "snapshot", "save")
KEYS, VALUE = 12, "v" * 900_000
"""Three parts."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3") / "storage") as server:
        yield server


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster"), arguments=STEADY) as cluster:
        cluster.start()
        with cluster.client() as db:
            for k in range(KEYS):
                db.put(f"large/{k}", VALUE, timeout=PATIENCE_S)
        yield cluster


def raftzmq(
    cluster: Cluster | None,
    *words: object,
    server: S3Server,
    link: Link | None = None,
    code: int = 0,
) -> subprocess.CompletedProcess[bytes]:
    """The program with what it needs for the server, or for the link to it."""
    settings = server.environment()
    if link is not None:
        settings["AWS_ENDPOINT_URL"] = link.endpoint
    return cli(cluster, *words, code=code, piped=None, **settings)


def objects(server: S3Server, prefix: str) -> list[str]:
    return [one.removeprefix(prefix) for one in server.objects() if one.startswith(prefix)]


def test_a_backup_goes_there_and_comes_back(
    nodes: Cluster, server: S3Server, tmp_path: Path
) -> None:
    """In several parts: it is one object, as a file would be."""
    url = "s3://backups/there and/back %41é"
    said = raftzmq(nodes, *SAVE, url, "-w", "json", server=server)
    saved: dict[str, Any] = json.loads(said.stdout)
    assert (saved["file"], saved["verified"], saved["keys"]) == (url, False, KEYS)
    _, machine = backups.load(OsFiles(), server.bucket / "there and/back %41é")
    assert machine.revision == saved["revision"]
    told = raftzmq(None, "snapshot", "status", url, "-w", "json", server=server)
    status = json.loads(told.stdout)
    assert (status["bytes"], status["checksum"]) == (saved["bytes"], saved["checksum"])
    words = ("--data-dir", tmp_path / "d0", "--peers", "raft-0=127.0.0.1:6000")
    said = raftzmq(None, "snapshot", "restore", url, *words, "-w", "json", server=server)
    assert json.loads(said.stdout)["keys"] == KEYS
    again = raftzmq(nodes, *SAVE, url, code=2, server=server)
    assert b"is there already" in again.stderr
    noted = [(node.status() or {})["last_backup"]["revision"] for node in nodes.nodes]
    assert noted == [saved["revision"]] * 3


@pytest.mark.parametrize(
    "into", ["s3://backups/raft/a/", pytest.param("s3://backups", marks=pytest.mark.proof)]
)
def test_the_newest_are_kept_and_each_is_verified(
    nodes: Cluster, server: S3Server, into: str
) -> None:
    prefix = into.removeprefix("s3://backups").lstrip("/")
    others = ("mine", "raftzmq-20200101T000000Z-r1.backup/of-others")
    older = ("raftzmq-20200102T000000Z-r2.backup", "raftzmq-20200103T000000Z-r3.backup")
    for name in (*others, *older):
        path = server.bucket / prefix / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("of before")
    said = raftzmq(nodes, *SAVE, "--into", into, "--keep", "2", "--verify", server=server)
    first, second = said.stdout.decode().splitlines()
    assert second == f"removed s3://backups/{prefix}{older[0]}"
    new = first.partition(": ")[0].removeprefix(f"s3://backups/{prefix}")
    assert {new, older[1], *others} <= set(objects(server, prefix))
    assert older[0] not in objects(server, prefix)


WRONG: dict[str, tuple[dict[str, str], str, int, str]] = {
    "no such bucket": ({}, "s3://others/a", 1, "s3://others: there is no such bucket: make it"),
    "a wrong secret": (
        {"AWS_SECRET_ACCESS_KEY": "wrong"},
        "s3://backups/a",
        1,
        "s3://backups: AWS_SECRET_ACCESS_KEY is not that of AWS_ACCESS_KEY_ID",
    ),
    "an unknown key": (
        {"AWS_ACCESS_KEY_ID": "unknown"},
        "s3://backups/a",
        1,
        "s3://backups: the storage does not know the key",
    ),
    "no credentials": (
        {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
        "s3://backups/a",
        2,
        "no credentials for s3://: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    "nobody listens": (
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
        "s3://backups/a",
        1,
        "s3://backups: http://127.0.0.1:1 cannot be reached: is AWS_ENDPOINT_URL right",
    ),
    "no such host": (
        {"AWS_ENDPOINT_URL": "http://nowhere.invalid"},
        "s3://backups/a",
        1,
        "s3://backups: http://nowhere.invalid cannot be reached",
    ),
    "no TLS there": (
        {"AWS_ENDPOINT_URL": "https"},
        "s3://backups/a",
        1,
        "cannot be reached",
    ),
    "no certificates": (
        {"AWS_CA_BUNDLE": "/etc/hostname"},
        "s3://backups/a",
        1,
        "s3://backups: No certificates found",
    ),
}


@pytest.mark.parametrize("name", sample(list(WRONG), 2))
def test_what_is_wrong_is_told_in_one_line_before_a_node_is_asked(
    server: S3Server,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    changed, url, code, wanted = WRONG[name]
    monkeypatch.setenv("RAFTZMQ_ENDPOINTS", "127.0.0.1:1")
    for variable, value in server.environment(**changed).items():
        endpoint = server.endpoint.replace("http://", "https://")
        monkeypatch.setenv(variable, endpoint if value == "https" else value)
    assert run([*SAVE, url]) == code
    said = capfd.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("raftzmq: ")
    assert wanted in said.err


@pytest.mark.proof
def test_what_is_not_there_and_what_is_damaged_is_told(
    nodes: Cluster, server: S3Server, tmp_path: Path
) -> None:
    status = ("snapshot", "status")
    said = raftzmq(None, *status, "s3://backups/none", code=1, server=server)
    assert said.stderr.startswith(b"raftzmq: s3://backups/none: there is no such object")
    said = raftzmq(None, *status, "s3://others/none", code=1, server=server)
    assert said.stderr.startswith(b"raftzmq: s3://others/none: there is no such bucket")
    raftzmq(nodes, *SAVE, "s3://backups/damaged", server=server)
    file = server.bucket / "damaged"
    data = file.read_bytes()
    file.write_bytes(data[:-200] + b"?" + data[-199:])
    for words in (status, ("snapshot", "restore", "--data-dir", tmp_path, "--peers", "a-0=h:1")):
        said = raftzmq(None, *words, "s3://backups/damaged", code=1, server=server)
        assert said.stderr.startswith(b"raftzmq: s3://backups/damaged, line ")
        assert b", byte " in said.stderr


@pytest.mark.proof
def test_what_does_not_come_back_as_it_went_removes_nothing(
    nodes: Cluster, server: S3Server
) -> None:
    """The whole object is read again: what the storage has, and not what was sent to it."""
    old = "changed/raftzmq-20200101T000000Z-r1.backup"
    (server.bucket / old).parent.mkdir()
    (server.bucket / old).write_text("the only one")
    words = (*SAVE, "--into", "s3://backups/changed", "--keep", "1", "--verify")
    with Link(server, replace=(b"vvvvvvvv", b"vvvwvvvv")) as link:
        said = raftzmq(nodes, *words, code=1, server=server, link=link)
    assert said.stderr.startswith(b"raftzmq: s3://backups/changed/raftzmq-")
    assert b", line " in said.stderr
    assert old in server.objects()


@pytest.mark.proof
def test_a_connection_that_is_lost_in_the_middle_leaves_nothing(
    nodes: Cluster, server: S3Server
) -> None:
    with Link(server, cut_after=KEYS * len(VALUE) // 2) as link:
        said = raftzmq(
            nodes,
            *(*SAVE, "s3://backups/lost/backup"),
            code=1,
            server=server,
            link=link,
        )
    assert link.sent > len(VALUE)
    assert link.endpoint.encode() in said.stderr
    assert said.stderr.startswith(b"raftzmq: s3://backups/lost/backup: ")
    assert "backup" not in objects(server, "lost/")


@pytest.mark.proof
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_interrupted_leaves_nothing(
    nodes: Cluster, server: S3Server, number: signal.Signals
) -> None:
    with Link(server) as link:
        words = command(*SAVE, f"s3://backups/{number.name}/backup")
        settings = asked(nodes, **server.environment(AWS_ENDPOINT_URL=link.endpoint))
        process = subprocess.Popen(words, env=settings)
        try:
            wait_for("it sends", lambda: link.sent > 1_000_000)
            process.send_signal(number)
            assert process.wait(60) == 130
        finally:
            process.kill()
            process.wait()
    assert objects(server, f"{number.name}/") in ([], ["backup"])


@pytest.fixture
def bucket(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Bucket, Link]]:
    """The prefix `parts` of the bucket, and the link over which it is reached."""
    with Link(server) as link:
        for name, value in server.environment(AWS_ENDPOINT_URL=link.endpoint).items():
            monkeypatch.setenv(name, value)
        yield Bucket(BUCKET, "parts"), link


def test_what_breaks_off_is_raised_as_it_is_and_leaves_nothing(
    server: S3Server, bucket: tuple[Bucket, Link]
) -> None:
    def broken() -> Iterator[bytes]:
        yield bytes(PART_BYTES + 1)
        raise Unavailable("the node is gone")

    with pytest.raises(Unavailable, match="the node is gone"):
        bucket[0].write("broken", broken(), len)
    with pytest.raises(DataError, match="the snapshot has come damaged: take another"):
        bucket[0].write("damaged", [bytes(PART_BYTES), b"no trailer"], len)
    assert objects(server, "parts/") == []


@pytest.mark.proof
def test_a_few_parts_are_in_memory_and_not_the_backup(bucket: tuple[Bucket, Link]) -> None:
    location, link = bucket
    held: list[int] = []

    def parts() -> Iterator[bytes]:
        for given in range(12):
            held.append(given * PART_BYTES - link.sent)
            yield bytes(PART_BYTES)

    with pytest.raises(DataError, match="damaged"):
        location.write("large", parts(), len)
    assert len(held) == 12
    assert max(held) <= (PARTS_AT_ONCE + 1) * PART_BYTES
