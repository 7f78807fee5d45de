"""A leader whose own disk is full, or slow, hands over; and when it does not."""

from __future__ import annotations

from raftzmq import limits
from raftzmq.core.messages import AppendAccepted, TimeoutNow
from raftzmq.core.raft import Raft
from raftzmq.core.role import Role
from tests.core.cluster import Cluster, Node, membership
from tests.core.single import A, B, C, T, drain, settled_leader

SLOW_MS = limits.SLOW_SAVE_MS


class Disks(Cluster):
    """A cluster some of whose disks are full."""

    def __init__(self, voters: str = "abc") -> None:
        super().__init__(voters)
        self.recording = False
        self.full: set[str] = set()

    def may_save(self, node: Node, ready: object) -> bool:
        return node.name not in self.full


class TestFullDisk:
    def test_a_leader_whose_disk_alone_is_full_hands_over_and_reads_go_on(self) -> None:
        cluster = Disks()
        cluster.elect("a")
        cluster.full = {"a"}
        cluster.propose("a", "x")
        cluster.settle()
        cluster.read("a", "r")
        cluster.settle()
        cluster.pass_ms(20)
        assert cluster["a"].role is Role.FOLLOWER
        new = cluster.leader.id.name
        assert new in "bc"
        assert cluster.nodes["a"].failed_reads == ["r"], "it is told to ask another"
        cluster.read(new, "s")
        cluster.propose(new, "y")
        cluster.settle()
        assert [read.context for read in cluster.nodes[new].reads] == ["s"]
        assert cluster.nodes[new].commands() == ["x", "y"]

    def test_one_that_has_nothing_to_save_leads_on(self) -> None:
        cluster = Disks()
        cluster.elect("a")
        cluster.full = {"a"}
        cluster.read("a", "r")
        cluster.pass_ms(10 * T)
        assert cluster["a"].role is Role.LEADER
        assert [read.context for read in cluster.nodes["a"].reads] == ["r"]

    def test_where_no_majority_has_room_it_leads_on_and_serves_reads(self) -> None:
        for full in ("ab", "ac", "abc"):
            cluster = Disks()
            cluster.elect("a")
            term = cluster["a"].term
            cluster.full = set(full)
            cluster.propose("a", "x")
            cluster.pass_ms(10 * T)
            cluster.read("a", "r")
            cluster.settle()
            assert cluster["a"].role is Role.LEADER
            assert {cluster[name].term for name in "abc"} == {term}, "nobody stood in vain"
            assert [read.context for read in cluster.nodes["a"].reads] == ["r"]

    def test_two_voters_of_whom_one_is_full_keep_their_leader(self) -> None:
        cluster = Disks("ab")
        cluster.elect("a")
        cluster.full = {"a"}
        cluster.propose("a", "x")
        cluster.pass_ms(10 * T)
        assert cluster["a"].role is Role.LEADER

    def test_of_five_it_takes_the_three_others_that_have_room(self) -> None:
        cluster = Disks("abcde")
        cluster.elect("a")
        cluster.full = {"a", "b"}
        cluster.propose("a", "x")
        cluster.pass_ms(20)
        assert cluster.leader.id.name in "cde"

    def test_room_that_comes_back_elsewhere_is_noticed(self) -> None:
        cluster = Disks()
        cluster.elect("a")
        cluster.full = {"a", "b"}
        cluster.propose("a", "x")
        cluster.pass_ms(2 * T)
        assert cluster["a"].role is Role.LEADER
        cluster.full = {"a"}
        cluster.pass_ms(2 * T)
        assert cluster.leader.id.name in "bc"

    def test_one_after_the_other_is_tried(self) -> None:
        """Room for an entry need not be room for a vote."""
        raft = settled_leader()
        raft.propose(["x"])
        raft.ready()
        raft.save_failed()
        for voter in (B, C):
            raft.step(AppendAccepted(voter, A, raft.term, raft.log.last_index, 0))
        targets = []
        for _ in range(4):
            raft.tick(raft.now_ms + T)
            targets.append(raft.transferring_to)
            for voter in (B, C):  # both go on answering, and nobody is elected
                raft.step(AppendAccepted(voter, A, raft.term, raft.log.last_index, 0))
        assert set(targets[:2]) == {B, C}
        assert targets[2:] == targets[:2]

    def test_leadership_does_not_go_back_and_forth(self) -> None:
        """The successor's disk fills up too: the first one has stored less, and is not asked."""
        cluster = Disks()
        cluster.elect("a")
        cluster.full = {"a"}
        cluster.propose("a", "x")
        cluster.pass_ms(20)
        second = cluster.leader
        cluster.full |= {second.id.name}
        cluster.propose(second.id.name, "y")
        term = second.term
        cluster.pass_ms(10 * T)
        assert second.role is Role.LEADER
        assert second.term == term


def slow_save(raft: Raft, took_ms: int = SLOW_MS, *, ahead: bool = True) -> None:
    """Save an entry in `took_ms`; `ahead`: the answers of both others wait by then."""
    index = raft.propose(["x"])
    raft.ready()
    raft.saved(took_ms)
    if ahead:
        answer(raft, index)
    raft.tick(raft.now_ms + 10)
    drain(raft)
    if not ahead:
        answer(raft, index)
    drain(raft)


def answer(raft: Raft, index: int) -> None:
    for voter in (B, C):
        raft.step(AppendAccepted(voter, A, raft.term, index, 0))


class TestSlowDisk:
    def test_a_leader_that_is_slower_than_the_others_again_and_again_hands_over(self) -> None:
        raft = settled_leader()
        for _ in range(limits.SLOW_SAVES):
            assert raft.transferring_to is None
            slow_save(raft)
        assert raft.transferring_to in (B, C)

    def test_the_word_to_take_over_leaves_at_once(self) -> None:
        raft = settled_leader()
        for _ in range(limits.SLOW_SAVES - 1):
            slow_save(raft)
        index = raft.propose(["x"])
        raft.ready()
        raft.saved(SLOW_MS)
        answer(raft, index)
        raft.tick(raft.now_ms + 10)
        assert [m.to for m in raft.ready().messages if isinstance(m, TimeoutNow)] == [
            raft.transferring_to
        ]

    def test_a_disk_that_is_slow_for_all_alike_deposes_nobody(self) -> None:
        raft = settled_leader()
        for _ in range(10 * limits.SLOW_SAVES):
            slow_save(raft, ahead=False)
        assert raft.transferring_to is None

    def test_a_save_below_the_limit_is_not_slow(self) -> None:
        raft = settled_leader()
        for _ in range(10 * limits.SLOW_SAVES):
            slow_save(raft, SLOW_MS - 1)
        assert raft.transferring_to is None

    def test_a_few_that_lie_far_apart_are_forgiven(self) -> None:
        raft = settled_leader()
        for _ in range(3 * limits.SLOW_SAVES):
            slow_save(raft)
            raft.now_ms += limits.SLOW_SAVES_WITHIN_MS // (limits.SLOW_SAVES - 1) + 1
            answer(raft, raft.log.last_index)  # nobody is taken for dead
            raft.tick(raft.now_ms)
        assert raft.transferring_to is None

    def test_one_that_nobody_took_over_from_counts_anew(self) -> None:
        raft = settled_leader()
        for _ in range(limits.SLOW_SAVES):
            slow_save(raft)
        answer(raft, raft.log.last_index)
        raft.tick(raft.now_ms + T)
        assert raft.transferring_to is None
        slow_save(raft)
        assert raft.transferring_to is None

    def test_what_a_follower_saves_slowly_is_forgotten_when_it_leads(self) -> None:
        cluster = Cluster()
        cluster.recording = False
        cluster.elect("a")
        cluster.propose("a", "x")
        cluster.settle()
        cluster["b"].own_disk.slow_ms.extend([cluster.now_ms] * limits.SLOW_SAVES)
        cluster.elect("b")
        assert not cluster["b"].own_disk.slow_ms

    def test_alone_it_leads_on(self) -> None:
        cluster = Cluster("a")
        cluster.recording = False
        raft = cluster.elect("a")
        for _ in range(3 * limits.SLOW_SAVES):
            raft.propose(["x"])
            raft.ready()
            raft.saved(SLOW_MS)
            raft.tick(raft.now_ms + 10)
            drain(raft)
        assert raft.membership == membership("a")
        assert raft.role is Role.LEADER
        assert raft.transferring_to is None
