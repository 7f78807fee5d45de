"""What the nodes say, gathered; the verdict; and finding a node by its name."""

from typing import Any

import pytest

from raftzmq import NodeStatus
from raftzmq.errors import InvalidRequest, Unavailable
from raftzmq_cli.client import statuses
from raftzmq_cli.client.invocation import ClientInvocation
from tests.cli.client.fakes import FakeClient, invocation, silent, status


def cluster(*answers: NodeStatus) -> ClientInvocation:
    client = FakeClient()
    client.answers = {answer.endpoint: answer for answer in answers}
    return invocation(client)


def healthy() -> ClientInvocation:
    return cluster(status("raft-2", 6021), status("raft-0", 6001, "leader"), status("raft-1", 6011))


def names(documents: list[dict[str, Any]]) -> list[str | None]:
    return [document["node"] for document in documents]


def test_nodes_are_listed_in_the_order_of_their_ordinals() -> None:
    assert names(statuses.collect(healthy())) == ["raft-0", "raft-1", "raft-2"]


def test_every_document_has_the_promised_fields() -> None:
    run = cluster(
        status("raft-0", 6001, "leader"), silent("127.0.0.1:6011"), silent("127.0.0.1:6021")
    )
    for document in statuses.collect(run):
        assert set(statuses.FIELDS) <= set(document)


def test_all_is_well() -> None:
    assert statuses.verdict(statuses.collect(healthy())) == 0


def test_a_node_that_does_not_answer_is_named_by_the_others() -> None:
    run = cluster(
        status("raft-0", 6001, "leader"), silent("127.0.0.1:6011"), status("raft-2", 6021)
    )
    documents = statuses.collect(run)
    assert names(documents) == ["raft-0", "raft-1", "raft-2"]
    assert documents[1]["healthy"] is False
    assert "no answer" in documents[1]["error"]
    assert statuses.verdict(documents) == 1


def test_a_node_that_was_told_to_stop_is_no_more_counted_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    leaving = status("raft-1", 6011, healthy=False, stopping=True)
    run = cluster(status("raft-0", 6001, "leader"), leaving, status("raft-2", 6021))
    documents = statuses.collect(run)
    assert statuses.verdict(documents) == 1
    statuses.show(run, documents)
    assert "raft-1: is stopping" in capsys.readouterr().out


def test_an_unhealthy_node_is_a_no() -> None:
    run = cluster(status("raft-0", 6001, "leader"), status("raft-1", 6011, healthy=False))
    assert statuses.verdict(statuses.collect(run)) == 1


def test_no_leader_is_a_no() -> None:
    run = cluster(*(status(f"raft-{k}", 6001 + 10 * k) for k in range(3)))
    assert statuses.verdict(statuses.collect(run)) == 1


def test_a_full_store_is_a_no_though_every_node_is_healthy() -> None:
    full = {"store_full": True, "store_bytes": 1001, "quota_bytes": 1000}
    run = cluster(status("raft-0", 6001, "leader", **full), status("raft-1", 6011))
    documents = statuses.collect(run)
    assert statuses.verdict(documents) == 1
    assert statuses.judgement(documents).startswith("STORE FULL: it takes 1001 bytes, its quota")


def test_silence_everywhere_is_unavailable() -> None:
    documents = statuses.collect(cluster(silent("127.0.0.1:6001"), silent("127.0.0.1:6011")))
    assert statuses.verdict(documents) == 3
    assert names(documents) == [None, None]


def test_a_member_that_is_no_endpoint_is_asked_as_well() -> None:
    client = FakeClient()
    client.answers = {"": status("raft-0", 6001, "leader"), "1": status("raft-1", 6011)}
    client.others = {"127.0.0.1:6021": status("raft-2", 6021)}
    run = invocation(client)
    assert names(statuses.collect(run)) == ["raft-0", "raft-1", "raft-2"]


def test_a_node_with_two_addresses_is_listed_once() -> None:
    twice = NodeStatus("localhost:6001", status("raft-0", 6001, "leader").status, None)
    run = cluster(
        status("raft-0", 6001, "leader"), twice, status("raft-1", 6011), status("raft-2", 6021)
    )
    assert names(statuses.collect(run)) == ["raft-0", "raft-1", "raft-2"]


def test_of_two_leaders_the_one_of_the_newer_term_counts() -> None:
    run = cluster(
        status("raft-0", 6001, "leader"),
        status("raft-1", 6011, "leader", term=3),
        status("raft-2", 6021),
    )
    leader = statuses.leader_of(statuses.collect(run))
    assert leader is not None
    assert leader["node"] == "raft-1"


def test_a_node_is_found_by_name_by_address_and_by_default() -> None:
    assert statuses.find(healthy(), "raft-1").endpoint == "127.0.0.1:6011"
    assert statuses.find(healthy(), "elsewhere:99").endpoint == "elsewhere:99"
    assert statuses.find(healthy(), None).name == "raft-0"


def test_an_unknown_node_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InvalidRequest, match="raft-0, raft-1, raft-2"):
        statuses.find(healthy(), "raft-7")


def test_a_silent_node_is_unavailable() -> None:
    run = cluster(
        status("raft-0", 6001, "leader"), silent("127.0.0.1:6011"), status("raft-2", 6021)
    )
    with pytest.raises(Unavailable, match=r"raft-1 at 127\.0\.0\.1:6011"):
        statuses.find(run, "raft-1")


def test_the_summary_tells_who_is_waited_for() -> None:
    run = cluster(
        status("raft-0", 6001, "leader", healthy=False, forming=["raft-2"]),
        status("raft-1", 6011),
        status("raft-2", 6021),
    )
    text = statuses.summary(statuses.collect(run))
    assert text == "2 of 3 nodes healthy; leader raft-0, term 2; waiting for raft-2"


def said_of(run: ClientInvocation, capsys: pytest.CaptureFixture[str]) -> list[str]:
    statuses.show(run, statuses.collect(run))
    return capsys.readouterr().out.splitlines()


def test_status_ends_with_what_is_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert said_of(healthy(), capsys)[-1] == "OK: 3 of 3 nodes healthy; leader raft-0"
    down = silent("127.0.0.1:6021")
    one_down = cluster(status("raft-0", 6001, "leader"), status("raft-1", 6011), down)
    last = "DEGRADED: 2 of 3 nodes healthy; leader raft-0; writes go on"
    assert said_of(one_down, capsys)[-1] == last
    alone = cluster(status("raft-2", 6021, leader=None, healthy=False))
    assert said_of(alone, capsys)[-1] == (
        "NO QUORUM: 1 of 3 voters; writes are refused; raft-0 or raft-1 must come back"
    )
    leaderless = cluster(*(status(f"raft-{k}", 6001 + 10 * k) for k in range(3)))
    assert said_of(leaderless, capsys)[-1].startswith("NO LEADER: writes wait")
    forming = cluster(status("raft-0", 6001, "leader", healthy=False, forming=["raft-2"]))
    last = "FORMING: waiting for raft-2 to join; writes are refused"
    assert said_of(forming, capsys)[-1] == last
    nobody = cluster(silent("127.0.0.1:6001"), silent("127.0.0.1:6011"))
    assert said_of(nobody, capsys)[-1].startswith("NO ANSWER: none of 2 nodes answers")


def test_of_five_voters_so_many_must_come_back_as_a_majority_lacks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    members = [
        {"name": f"raft-{k}", "incarnation": f"{k}", "address": f"127.0.0.1:60{k}0", "voter": k < 5}
        for k in range(6)
    ]
    alone = cluster(status("raft-0", 6001, leader=None, healthy=False, members=members))
    assert said_of(alone, capsys)[-1] == (
        "NO QUORUM: 1 of 5 voters; writes are refused; "
        "2 of raft-1, raft-2, raft-3, raft-4 must come back"
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"disk_full": True}, "its disk is full: free space, writes resume by themselves"),
        (
            {"out_of_files": True},
            "too many files are open in it: see its limit of open files and who is connected",
        ),
        ({"leader": None}, "knows no leader"),
        ({"role": "joining", "leader": None}, "is joining, and not a member yet"),
        ({"stopping": True}, "is stopping"),
        ({}, "is not a member"),
    ],
)
def test_status_says_why_a_node_is_not_healthy(
    changes: dict[str, Any], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = cluster(
        status("raft-0", 6001, "leader"),
        status("raft-1", 6011, healthy=False, **changes),
        status("raft-2", 6021),
    )
    assert f"raft-1: {reason}" in said_of(run, capsys)
    assert statuses.collect(run)[1]["reason"] == reason


def test_status_shows_the_version_and_how_far_a_node_is_behind(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = cluster(
        status("raft-0", 6001, "leader", commit_index=12, applied_index=12),
        status("raft-1", 6011, version="0.2"),
        status("raft-2", 6021),
    )
    heading, _, second = said_of(run, capsys)[:3]
    assert heading.split()[7:9] == ["LAG", "VERSION"]
    assert second.split()[7:9] == ["3", "0.2"]


def test_a_copy_of_a_node_that_runs_shows(capsys: pytest.CaptureFixture[str]) -> None:
    run = cluster(
        status("raft-0", 6001, "leader", twice={"raft-1": "127.0.0.1:7010"}, process="a"),
        status("raft-1", 6011, process="b"),
        status("raft-1", 6011, process="b"),
        status("raft-2", 6021, process="c"),
    )
    copy = status("raft-1", 7011, process="d", waiting="raft-1 runs elsewhere")
    fake = run.client
    assert isinstance(fake, FakeClient)
    fake.others[copy.endpoint] = copy
    documents = statuses.collect(run)
    assert names(documents) == ["raft-0", "raft-1", "raft-1", "raft-2"]
    statuses.show(run, documents)
    assert "raft-1: runs twice" in capsys.readouterr().out
