"""Whole stories, each with its transcript in tests/core/transcripts to be read beside it."""

from __future__ import annotations

import pytest

from raftzmq.core.config import Config
from raftzmq.core.messages import AppendEntries, HeartbeatReply, Message, SnapshotChunk
from raftzmq.core.progress import ProgressState
from raftzmq.core.ready import HardState
from raftzmq.core.role import Role
from raftzmq.errors import Refused
from tests.core import transcript
from tests.core.cluster import Cluster, log_of, membership, node_id
from tests.core.disk import Disk
from tests.core.single import role

ONE_BY_ONE = Config(max_append_entries=1, keep_entries=0)


def cluster_with_logs(logs: dict[str, list[int]], config: Config = ONE_BY_ONE) -> Cluster:
    """A node for each name, whose log has the membership (term 1), then entries of those terms."""
    members = membership("".join(logs))
    return Cluster(
        config=config,
        disks=[
            Disk(node_id(name), HardState(max([1, *terms])), log_of(members, terms))
            for name, terms in logs.items()
        ],
    )


def terms_of(cluster: Cluster, name: str) -> list[int]:
    """The terms of the entries in the log of `name`, after the membership."""
    return [entry.term for entry in cluster[name].log.entries[1:]]


def test_a_cluster_elects_a_leader_and_commits_a_write() -> None:
    cluster = Cluster("abc")
    cluster.elect("a")
    cluster.propose("a", "x")
    cluster.settle()
    cluster.pass_ms(60)
    assert {name: node.commands() for name, node in cluster.nodes.items()} == {
        "a": ["x"],
        "b": ["x"],
        "c": ["x"],
    }
    transcript.check("election_and_write", cluster.lines)


def test_entries_of_a_cut_off_leader_give_way_to_committed_ones() -> None:
    cluster = Cluster("abc")
    cluster.elect("a")
    cluster.isolate("a")
    cluster.propose("a", "lost 1", "lost 2")
    cluster.elect("b")
    cluster.propose("b", "kept")
    cluster.settle()
    cluster.heal()
    cluster.pass_ms(240)
    assert role(cluster["a"]) is Role.FOLLOWER
    assert [node.commands() for node in cluster.nodes.values()] == [["kept"]] * 3
    transcript.check("conflict", cluster.lines)


def figure_8_until_c() -> Cluster:
    """Thesis figure 3.7 (paper figure 8), c: the entry of term 2 is on a majority, not committed.

    a led term 2 and stored an entry on a and b; e led term 3 and stored another on itself; now a
    leads term 4 and has brought its old entry to c.
    """
    cluster = cluster_with_logs({"a": [2], "b": [2], "c": [], "d": [], "e": [3]})
    for name in "abc":
        cluster.nodes[name].disk.hard_state = HardState(3)
        cluster.restart(name)
    cluster.crash("e")
    cluster.cut("a", "d")

    def of_term_4(message: Message) -> bool:
        """Nobody gets an entry of term 4, except that c may say what it lacks before it."""
        new = isinstance(message, AppendEntries) and any(e.term == 4 for e in message.entries)
        return new and (message.to.name != "c" or cluster["c"].log.last_index == 2)

    cluster.hold = of_term_4
    cluster.elect("a")
    assert [terms_of(cluster, name) for name in "abc"] == [[2, 4], [2], [2]]
    return cluster


def test_figure_8_an_old_entry_on_a_majority_is_not_committed_and_may_be_overwritten() -> None:
    cluster = figure_8_until_c()
    assert cluster["a"].commit_index == 0
    cluster.crash("a")
    cluster.restart("e")
    cluster.hold = lambda message: False
    cluster.held.clear()
    cluster.time_out("e")  # it has slept through term 4, and learns of it
    cluster.elect("e")
    cluster.pass_ms(120)
    assert [terms_of(cluster, name) for name in "bcde"] == [[3, 5]] * 4
    transcript.check("figure_8_overwritten", cluster.lines)


def test_figure_8_once_an_entry_of_the_new_term_is_on_a_majority_the_old_one_is_safe() -> None:
    cluster = figure_8_until_c()
    cluster.release()
    cluster.settle()
    assert cluster["a"].commit_index == 3
    cluster.crash("a")
    cluster.restart("e")
    cluster.time_out("e")  # it has slept through term 4, and learns of it
    cluster.time_out("e")
    assert cluster["e"].term == 4
    assert role(cluster["e"]) is not Role.LEADER, "b and c hold an entry of term 4"
    transcript.check("figure_8_committed", cluster.lines)


def test_a_far_behind_follower_is_found_in_few_round_trips() -> None:
    """Figure 7 of the paper, made long: terms are skipped whole."""
    config = Config(keep_entries=0)
    leader = [1] * 30 + [4] * 20 + [5] * 20 + [6] * 30
    follower = [1] * 30 + [2] * 30 + [3] * 50
    cluster = cluster_with_logs({"a": leader, "b": leader, "c": follower}, config)
    probes = 0

    def count(message: Message) -> bool:
        nonlocal probes
        probes += isinstance(message, AppendEntries) and message.to.name == "c"
        return False

    cluster.hold = count
    cluster.elect("a")
    assert terms_of(cluster, "c") == [*leader, cluster["a"].term]
    assert probes <= 3
    lines = [line for line in cluster.lines if "AppendRejected" in line]
    transcript.check("far_behind", lines)


def test_a_lagging_follower_gets_the_snapshot_in_chunks_and_then_the_entries() -> None:
    cluster = Cluster("abc")
    cluster.elect("a")
    cluster.crash("c")
    for word in ("one", "two", "three"):
        cluster.propose("a", f"{word} for the snapshot")
        cluster.settle()
    cluster.snapshot("a")
    cluster.restart("c")
    cluster.propose("a", "after it")
    cluster.pass_ms(120)
    assert cluster.nodes["c"].commands() == cluster.nodes["a"].commands()
    assert cluster["c"].log.base_index == 5
    assert cluster["a"].progress[node_id("c")].state is ProgressState.REPLICATE
    transcript.check("snapshot", cluster.lines)


def test_lost_and_repeated_chunks_only_cost_time() -> None:
    cluster = Cluster("abc")
    cluster.chunk_bytes = 20
    cluster.elect("a")
    cluster.crash("c")
    cluster.propose("a", *range(40))
    cluster.settle()
    cluster.snapshot("a")
    cluster.restart("c")
    lost = 0

    def lose_every_third(message: Message) -> bool:
        nonlocal lost
        lost += isinstance(message, SnapshotChunk)
        return isinstance(message, SnapshotChunk) and lost % 3 == 0

    cluster.hold = lose_every_third
    cluster.pass_ms(6000)
    assert cluster.nodes["c"].commands() == list(range(40))
    chunks = lost
    for message in list(cluster.held):  # all of them arrive after all
        cluster.deliver(message)
    cluster.settle()
    assert lost == chunks
    assert cluster.nodes["c"].commands() == list(range(40))


def test_a_damaged_snapshot_is_sent_again() -> None:
    cluster = Cluster("abc")
    cluster.elect("a")
    cluster.crash("c")
    cluster.propose("a", *range(40))
    cluster.settle()
    cluster.snapshot("a")
    cluster.restart("c")
    cluster.nodes["c"].disk.damage_next_snapshot = True
    cluster.pass_ms(300)
    assert cluster.nodes["c"].commands() == list(range(40))


def test_a_snapshot_replaced_twice_while_it_is_sent_gives_way_to_the_newest() -> None:
    cluster = Cluster("abc")
    cluster.elect("a")
    cluster.crash("c")
    cluster.propose("a", "first")
    cluster.settle()
    cluster.snapshot("a")
    cluster.hold = lambda message: isinstance(message, SnapshotChunk)
    cluster.restart("c")
    cluster.pass_ms(120)
    for word in ("second", "third"):
        cluster.propose("a", word)
        cluster.settle()
        cluster.snapshot("a")
    cluster.held.clear()
    cluster.hold = lambda message: False
    cluster.pass_ms(120)
    assert cluster.nodes["c"].commands() == ["first", "second", "third"]


def test_a_new_node_becomes_a_learner_and_then_a_voter() -> None:
    cluster = Cluster("ab")
    cluster.elect("a")
    cluster.pass_ms(60)
    cluster.add("c")
    cluster.change("a", membership("ab", learners="c"))
    cluster.settle()
    assert cluster["c"].is_learner
    cluster.change("a", membership("abc"))
    cluster.settle()
    cluster.pass_ms(60)
    assert cluster["c"].is_voter
    assert cluster["c"].membership_index <= cluster["c"].commit_index
    transcript.check("membership_add", cluster.lines)


def test_a_leader_that_removes_itself_leads_until_that_is_committed_and_then_steps_down() -> None:
    cluster = Cluster("abc")
    cluster.elect("a")
    cluster.pass_ms(60)
    cluster.hold = lambda m: m.sender.name == "c" and not isinstance(m, HeartbeatReply)
    cluster.change("a", membership("bc"))
    cluster.settle()
    assert role(cluster["a"]) is Role.LEADER, "b alone is no majority of b and c"
    assert cluster["a"].commit_index == 2
    cluster.release()
    cluster.settle()
    assert role(cluster["a"]) is Role.FOLLOWER
    assert role(cluster["b"]) is Role.LEADER, "it was told to take over at once"
    cluster.propose("b", "without a")
    cluster.settle()
    cluster.pass_ms(60)
    assert cluster.nodes["c"].commands() == ["without a"]
    transcript.check("leader_removes_itself", cluster.lines)


def test_a_membership_is_taken_back_when_its_entry_is_truncated() -> None:
    cluster = Cluster("abc")
    cluster.elect("a")
    cluster.pass_ms(60)
    cluster.isolate("a")
    cluster.change("a", membership("ab"))
    assert cluster["a"].membership == membership("ab")
    cluster.elect("b")
    cluster.heal()
    cluster.pass_ms(240)
    assert cluster["a"].membership == membership("abc")
    assert cluster["a"].membership_index == 1
    transcript.check("membership_rollback", cluster.lines)


def test_a_removed_voter_may_be_the_only_one_that_can_win() -> None:
    """Thesis figure 4.6: a removed itself from {a, b} and restarted before b heard of it."""
    cluster = Cluster("ab")
    cluster.elect("a")
    cluster.pass_ms(60)
    cluster.cut("a", "b")
    cluster.change("a", membership("b"))
    cluster.crash("a")
    cluster.restart("a")
    cluster.heal()
    cluster.time_out("b")
    assert role(cluster["b"]) is not Role.LEADER, "a, which it needs, knows more"
    cluster.time_out("a")
    cluster.settle()
    assert role(cluster["b"]) is Role.LEADER
    assert cluster["b"].membership == membership("b")
    transcript.check("removed_but_needed", cluster.lines)


def test_a_transfer_makes_the_target_leader_at_once() -> None:
    cluster = Cluster("abc")
    cluster.elect("a")
    cluster.cut("a", "b")
    cluster.propose("a", "x")
    cluster.settle()
    cluster.heal()
    cluster["a"].transfer("b")
    with pytest.raises(Refused, match="handed to b"):
        cluster.propose("a", "y")
    cluster.pass_ms(4 * cluster["a"].config.heartbeat_ms)  # after three, what was lost comes again
    assert role(cluster["b"]) is Role.LEADER
    assert role(cluster["a"]) is Role.FOLLOWER
    assert cluster["b"].term == 3
    transcript.check("transfer", cluster.lines)


def test_a_transfer_to_a_dead_node_is_given_up_after_an_election_timeout() -> None:
    cluster = Cluster("abc")
    cluster.elect("a")
    cluster.crash("b")
    cluster["a"].transfer("b")
    cluster.pass_ms(290)
    assert cluster["a"].transferring_to == node_id("b")
    cluster.pass_ms(20)
    assert cluster["a"].transferring_to is None
    cluster.propose("a", "goes on")
    cluster.settle()
    assert cluster.nodes["a"].commands() == ["goes on"]


def test_a_node_back_with_a_later_term_does_not_stay_outside_for_ever() -> None:
    """Pre-vote and stickiness together could lock it out: nobody supports it, and it ignores the
    leader. Its answer to the leader's next word ends that."""
    cluster = Cluster("abc")
    cluster.elect("a")
    cluster.crash("c")
    cluster.nodes["c"].disk.hard_state = HardState(7)
    cluster.restart("c")
    cluster.pass_ms(60)
    assert role(cluster["a"]) is Role.FOLLOWER
    cluster.pass_ms(1500)
    assert len(cluster.leaders()) == 1
    assert cluster.leader.term > 7
    cluster.propose(cluster.leader.id.name, "all three")
    cluster.settle()
    cluster.pass_ms(60)
    assert [node.commands() for node in cluster.nodes.values()] == [["all three"]] * 3


def test_a_partitioned_node_does_not_disturb_when_it_returns() -> None:
    cluster = Cluster("abc")
    cluster.elect("a")
    cluster.isolate("c")
    cluster.pass_ms(3000)
    assert cluster["c"].term == 2, "pre-votes that nobody answers raise no term"
    cluster.heal()
    cluster.pass_ms(600)
    assert (cluster.leader.id.name, cluster.leader.term) == ("a", 2)
    assert cluster["c"].leader == node_id("a")


def test_a_deposed_leader_answers_no_read() -> None:
    cluster = Cluster("abc")
    cluster.elect("a")
    cluster.pass_ms(60)
    cluster.isolate("a")
    cluster.read("a", "stale")
    cluster.elect("b")
    cluster.propose("b", "newer")
    cluster.settle()
    assert role(cluster["a"]) is Role.LEADER, "it does not know yet"
    cluster.heal()
    cluster.pass_ms(60)
    assert cluster.nodes["a"].reads == []
    assert cluster.nodes["a"].failed_reads == ["stale"]
    transcript.check("read_of_a_deposed_leader", cluster.lines)


def test_a_wiped_node_is_somebody_else_until_it_is_admitted() -> None:
    cluster = Cluster("abc")
    cluster.elect("a")
    cluster.propose("a", "x")
    cluster.settle()
    cluster.crash("c")
    cluster.add("c", incarnation=2)
    cluster.pass_ms(600)
    assert cluster["c"].log.last_index == 0, "what is for its predecessor is not for it"
    cluster.crash("b")
    cluster.propose("a", "y")
    cluster.pass_ms(200)
    assert cluster["a"].commit_index == 3, "an old voter and a stranger are no majority"
    cluster.restart("b")
    cluster.pass_ms(60)
    cluster.change("a", cluster["a"].membership.with_learner(node_id("c", 2), "c:6000"))
    cluster.pass_ms(120)
    cluster.change("a", cluster["a"].membership.promoted("c"))
    cluster.pass_ms(120)
    assert cluster["c"].is_voter
    assert cluster.nodes["c"].commands() == ["x", "y"]


def test_a_cluster_of_one_elects_itself_commits_and_reads_at_once() -> None:
    cluster = Cluster("a")
    cluster.tick("a", cluster.now_ms)
    assert role(cluster["a"]) is Role.LEADER
    cluster.read("a", "r1")
    cluster.propose("a", "x")
    cluster.read("a", "r2")
    node = cluster.nodes["a"]
    assert node.commands() == ["x"]
    assert [(read.context, read.index) for read in node.reads] == [("r1", 2), ("r2", 3)]
