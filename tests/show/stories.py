"""Stories of Raft, each played by the real core: `just story` lists them, `just show` draws one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from raftzmq.core.config import Config
from raftzmq.core.entry import COMMAND
from raftzmq.core.messages import AppendEntries, HeartbeatReply, Message
from raftzmq.core.ready import HardState
from raftzmq.core.role import Role
from raftzmq.lines import encode_entry
from raftzmq.page.recording import Recorder
from tests.core.cluster import config_entry, membership, node_id
from tests.core.disk import Disk
from tests.show.stage import Stage

ONE_BY_ONE: Final = Config(max_append_entries=1, keep_entries=0)
Play = Callable[["Story"], Stage]


@dataclass(frozen=True, slots=True)
class Story:
    """`about` is the sentence that one chooses it by."""

    name: str
    title: str
    about: str
    play: Play

    def recorder(self) -> Recorder:
        return Recorder(self.title, self.about, source="story", name=self.name)

    def tell(self) -> Stage:
        """Play it; the stage has the recording, and where everybody stands at the end."""
        return self.play(self)


STORIES: dict[str, Story] = {}


def story(name: str, title: str, about: str) -> Callable[[Play], Play]:
    """Make a function that plays one of the stories."""

    def add(play: Play) -> Play:
        STORIES[name] = Story(name, title, about, play)
        return play

    return add


def terms_of(stage: Stage, name: str) -> list[int]:
    """The terms of the entries in a log, after the membership."""
    return [entry.term for entry in stage[name].log.entries[1:]]


@story(
    "election",
    "An election",
    "Three nodes choose a leader; it dies, the two others choose the next, and nothing is lost.",
)
def _election(story: Story) -> Stage:
    stage = Stage(story.recorder())
    stage.say("Three nodes have just started. Nobody leads yet; the timeout of a ends first.")
    stage.elect("a")
    stage.say(
        "a leads. Its first entry is empty: it commits what earlier terms have left.", "no-op"
    )
    stage.ask("a", "x = 1")
    stage.settle()
    stage.pass_ms(60)
    stage.say("Two of three have the write on their disks, so it is safe. Now a dies.", "commit")
    stage.crash("a")
    stage.pass_ms(150)
    stage.elect("b")
    stage.pass_ms(60)
    stage.say("b had everything that was committed: else c would not have voted for it.", "vote")
    stage.ask("b", "x = 2")
    stage.settle()
    stage.restart("a")
    stage.say("a comes back. It finds a later term, follows, and gets what it missed.", "restart")
    stage.pass_ms(240)
    return stage


@story(
    "split-vote",
    "A split vote",
    "Two of four nodes stand for election at once, and nobody gets three votes. A second try does.",
)
def _split_vote(story: Story) -> Stage:
    stage = Stage(story.recorder(), "abcd")
    stage.say("Four nodes: a majority is three. The timeouts of a and b end in the same moment.")
    stage.now_ms = max(stage[name].next_deadline_ms for name in "ab")
    for name in "cd":
        stage.tick(name, stage[name].next_deadline_ms - 1)
    for name in "ab":
        stage.tick(name, stage.now_ms)
    stage.when(lambda raft: raft.role is Role.CANDIDATE, "b")
    stage.settle()
    assert not stage.leaders()
    votes = {name: stage[name].vote for name in "abcd"}
    assert list(votes.values()).count(node_id("a")) == 2, votes
    stage.say("Two votes each. Nobody has three, so term 2 stays without a leader.", "vote")
    stage.say("The next timeouts are random and differ. That of a ends first.", "lost election")
    stage.elect("a")
    stage.pass_ms(60)
    return stage


@story(
    "conflict",
    "Conflict and repair",
    "A leader that is cut off goes on writing. Later its entries give way to committed ones.",
)
def _conflict(story: Story) -> Stage:
    stage = Stage(story.recorder())
    stage.elect("a")
    stage.pass_ms(60)
    stage.isolate("a")
    stage.say("a is cut off, and does not know it. It takes two writes that it cannot commit.")
    stage.ask("a", "lost 1", client="client-1")
    stage.ask("a", "lost 2", client="client-1")
    stage.settle()
    stage.elect("b")
    stage.ask("b", "kept", client="client-2")
    stage.settle()
    stage.say(
        "b leads a later term and has committed at 4, where a has something else. Nobody was told "
        "that the writes of a are done: client-1 has no answer.",
        "commit",
    )
    stage.heal()
    stage.pass_ms(240)
    stage.say("The log of a equals that of b again.", "conflict")
    return stage


def _disks(logs: dict[str, list[int]], term: int) -> list[Disk]:
    """Everybody is in `term`, with a log of the membership and then a write of each term given."""
    members = membership("".join(logs))
    disks = []
    for name, terms in logs.items():
        entries = [config_entry(members)]
        for index, of_term in enumerate(terms, 2):
            entries.append(encode_entry(index, of_term, 0, COMMAND, f"x = {of_term}"))
        disks.append(Disk(node_id(name), HardState(term), entries))
    return disks


def _figure_8(story: Story) -> Stage:
    """As in the thesis, figure 3.7, up to (c)."""
    disks = _disks({"a": [2], "b": [2], "c": [], "d": [], "e": [3]}, 3)
    stage = Stage(story.recorder(), config=ONE_BY_ONE, disks=disks)
    stage.say(
        "So it begins: a led term 2 and brought an entry to itself and b. e led term 3 and brought "
        "another to itself alone. Neither is committed."
    )
    stage.crash("e")
    stage.part("a", "d")

    def of_term_4(message: Message) -> bool:
        """Nobody gets an entry of term 4, except that c may say what it lacks before it."""
        new = isinstance(message, AppendEntries) and any(e.term == 4 for e in message.entries)
        return new and (message.to.name != "c" or stage["c"].log.last_index == 2)

    stage.hold = of_term_4
    stage.elect("a")
    assert [terms_of(stage, name) for name in "abc"] == [[2, 4], [2], [2]]
    stage.say(
        "a leads term 4 and has brought its old entry to c: three of five have it. It is of term "
        "2, so a does not commit it. Its own entry of term 4 is still on the way.",
        "commit",
    )
    assert stage["a"].commit_index == 0
    return stage


@story(
    "figure-8",
    "Figure 8: an old entry on a majority",
    "An entry that three of five nodes have is overwritten, and rightly: it was not committed.",
)
def _figure_8_overwritten(story: Story) -> Stage:
    stage = _figure_8(story)
    stage.crash("a")
    stage.lose_held()
    stage.restart("e")
    stage.say("a dies, and e comes back. Its last entry is of term 3, later than that of b and c.")
    stage.time_out("e")
    stage.elect("e")
    stage.pass_ms(120)
    assert [terms_of(stage, name) for name in "bcde"] == [[3, 5]] * 4
    stage.say(
        "The entry of term 2 was on a majority, and is gone. Had a counted the copies and called "
        "it committed, an acknowledged write would be lost now.",
        "commit",
    )
    return stage


@story(
    "figure-8-safe",
    "Figure 8, had it gone well",
    "The same, but an entry of the new term reaches a majority first. Nothing can take it away.",
)
def _figure_8_committed(story: Story) -> Stage:
    stage = _figure_8(story)
    stage.say("This time the entry of term 4 arrives before a dies.")
    stage.release()
    stage.settle()
    assert stage["a"].commit_index == 3
    stage.crash("a")
    stage.restart("e")
    stage.time_out("e")
    stage.time_out("e")
    assert stage["e"].role is not Role.LEADER
    stage.say("e cannot win: b and c end with term 4, and vote for nobody who has less.", "vote")
    return stage


@story(
    "stale-read",
    "A deposed leader is asked to read",
    "A leader that does not know it was replaced must not answer a read from what it has.",
)
def _stale_read(story: Story) -> Stage:
    stage = Stage(story.recorder())
    stage.elect("a")
    stage.ask("a", "x = old", client="client-1")
    stage.settle()
    stage.pass_ms(60)
    stage.isolate("a")
    stage.ask_read("a", client="client-1")
    stage.say("a may not answer yet: a majority must confirm that it leads, and none can.", "read")
    stage.elect("b")
    stage.ask("b", "x = new", client="client-2")
    stage.settle()
    assert stage["a"].role is Role.LEADER
    stage.say("Both think that they lead. Had a answered, client-1 would have read x = old.")
    stage.heal()
    stage.pass_ms(90)
    assert not stage.nodes["a"].reads
    return stage


@story(
    "pre-vote",
    "Why one asks before one stands",
    "A node that was cut off for long comes back, and disturbs nobody.",
)
def _pre_vote(story: Story) -> Stage:
    stage = Stage(story.recorder())
    stage.elect("a")
    stage.pass_ms(60)
    stage.isolate("c")
    stage.pass_ms(1000)
    assert stage["c"].term == 2
    stage.say("c has asked again and again, and nobody heard. Its term is still 2.", "pre-vote")
    stage.heal()
    stage.pass_ms(160)
    assert (stage.leader.id.name, stage.leader.term) == ("a", 2)
    stage.say("Had it raised its term each time, its first message would have deposed a.")
    return stage


@story(
    "snapshot",
    "A snapshot for one who fell behind",
    "While a node is down the others forget the entries that it lacks; it gets a snapshot instead.",
)
def _snapshot(story: Story) -> Stage:
    stage = Stage(story.recorder())
    stage.elect("a")
    stage.crash("c")
    for word in ("one", "two", "three"):
        stage.ask("a", word)
        stage.settle()
    stage.snapshot("a")
    stage.say(
        "a has a snapshot of what three writes led to, and has forgotten the writes.", "snapshot"
    )
    stage.restart("c")
    stage.ask("a", "four")
    stage.pass_ms(160)
    assert stage.nodes["c"].commands() == stage.nodes["a"].commands()
    return stage


@story(
    "transfer",
    "Leadership is handed over",
    "An operator wants another leader: the old one helps it, and there is no wait for a timeout.",
)
def _transfer(story: Story) -> Stage:
    stage = Stage(story.recorder())
    stage.elect("a")
    stage.pass_ms(60)
    stage.say("a is asked to hand over to b.", "transfer")
    stage["a"].transfer("b")
    stage.pass_ms(60)
    assert stage["b"].role is Role.LEADER
    return stage


@story(
    "new-member",
    "A fourth node joins",
    "It begins as a learner, without a vote, until it has what the others have.",
)
def _new_member(story: Story) -> Stage:
    stage = Stage(story.recorder())
    stage.elect("a")
    stage.ask("a", "x = 1")
    stage.settle()
    stage.pass_ms(60)
    stage.add("d")
    stage.say("d has an empty log, and is nobody's member. As a voter it could not help yet.")
    stage.change("a", membership("abc", learners="d"))
    stage.pass_ms(120)
    assert stage["d"].is_learner
    stage.say("d has caught up. Now it may become a voter.", "membership")
    stage.change("a", membership("abcd"))
    stage.pass_ms(120)
    assert stage["d"].is_voter
    return stage


@story(
    "lost-disk",
    "A node that lost its disk",
    "It comes back under its old name with nothing; it is somebody else, and may not vote.",
)
def _lost_disk(story: Story) -> Stage:
    stage = Stage(story.recorder())
    stage.elect("a")
    stage.ask("a", "x = 1")
    stage.settle()
    stage.pass_ms(60)
    stage.crash("c")
    stage.add("c", incarnation=2)
    stage.say(
        "c is back with an empty disk. It has forgotten its vote and what it acknowledged, so what "
        "is said to the old c is not for it.",
    )
    stage.pass_ms(200)
    stage.crash("b")
    stage.ask("a", "x = 2")
    stage.pass_ms(150)
    assert stage["a"].commit_index == 3
    stage.say("a and the new c are no majority: the old c counts, and will never answer.", "commit")
    stage.restart("b")
    stage.pass_ms(60)
    stage.say("With b there is one. The new c is taken in, as a learner first.", "membership")
    stage.change("a", stage["a"].membership.with_learner(node_id("c", 2), "c:6000"))
    stage.pass_ms(120)
    stage.change("a", stage["a"].membership.promoted("c"))
    stage.pass_ms(120)
    assert stage.nodes["c"].commands() == ["x = 1", "x = 2"]
    return stage


@story(
    "check-quorum",
    "A leader that nobody hears",
    "A leader that reaches no majority gives up by itself, so that clients look elsewhere.",
)
def _check_quorum(story: Story) -> Stage:
    stage = Stage(story.recorder())
    stage.elect("a")
    stage.pass_ms(60)
    stage.part("a", "bc")
    stage.part("b", "c")
    stage.ask_read("a")
    stage.say("All links are cut. For all that a knows, b and c have elected somebody meanwhile.")
    stage.pass_ms(750)
    assert stage["a"].role is not Role.LEADER
    assert stage.nodes["a"].failed_reads
    stage.say("Two election timeouts without a majority: a has stepped down.", "check quorum")
    stage.heal()
    stage.elect("c")
    stage.pass_ms(60)
    return stage


@story(
    "no-op",
    "Why a new leader writes nothing",
    "A new leader cannot know what is committed until an entry of its own term is.",
)
def _no_op(story: Story) -> Stage:
    disks = _disks({"a": [2, 2], "b": [2, 2], "c": [2]}, 2)
    stage = Stage(story.recorder(), disks=disks)
    stage.say("A leader of term 2 has died. Were its two writes committed? a and b have both.")
    stage.elect_slowly("a")
    stage.ask_read("a")
    assert stage["a"].commit_index == 0
    stage.say(
        "a leads, and most have what it has. Still it must not say that this is committed, nor "
        "answer the read: see figure-8. So it appends an empty entry of its own term.",
        "no-op",
    )
    stage.settle()
    assert stage["a"].commit_index == 4
    stage.say("The empty entry is on a majority, and with it all before it. The read is answered.")
    stage.pass_ms(60)
    assert stage.nodes["a"].reads
    return stage


@story(
    "figure-7",
    "Figure 7: six logs that differ",
    "A new leader meets followers who lack entries, have too many, or both, and makes them equal.",
)
def _figure_7(story: Story) -> Stage:
    logs = {
        "a": [1, 1, 1, 4, 4, 5, 5, 6, 6],
        "b": [1, 1, 1, 4],
        "c": [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        "d": [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        "e": [1, 1, 1, 4, 4, 4, 4],
        "f": [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
        "g": [1, 1, 1, 4, 4, 5, 5, 6, 6, 6],
    }
    stage = Stage(story.recorder(), disks=_disks(logs, 7))
    stage.say("The logs of the figure, each behind an entry with the members. g stands in term 8.")
    stage.elect("g")
    stage.say("c and d have more than g, and did not vote for it. Five of seven did.", "vote")
    stage.pass_ms(200)
    assert [terms_of(stage, name) for name in logs] == [[*logs["g"], 8]] * 7
    stage.say("All logs are equal. Each took a question or two, for whole terms are skipped.")
    return stage


@story(
    "membership-rollback",
    "A membership is taken back",
    "A membership is in force where it is appended, and gone where its entry is removed.",
)
def _membership_rollback(story: Story) -> Stage:
    stage = Stage(story.recorder())
    stage.elect("a")
    stage.pass_ms(60)
    stage.isolate("a")
    stage.change("a", membership("ab"))
    assert stage["a"].membership == membership("ab")
    stage.say(
        "a counts by the new members at once: itself and b. But it reaches nobody.", "membership"
    )
    stage.elect("b")
    stage.say("Old and new majorities share a node, so a alone has committed nothing.")
    stage.heal()
    stage.pass_ms(240)
    assert stage["a"].membership == membership("abc")
    stage.say("The entry of a has given way, and with it the membership: c never left.", "conflict")
    return stage


@story(
    "removes-itself",
    "A leader removes itself",
    "It leads until most of the others have its removal, does not count itself, and hands over.",
)
def _removes_itself(story: Story) -> Stage:
    stage = Stage(story.recorder())
    stage.elect("a")
    stage.pass_ms(60)
    stage.hold = lambda m: m.sender.name == "c" and not isinstance(m, HeartbeatReply)
    stage.change("a", membership("bc"))
    stage.settle()
    assert stage["a"].commit_index == 2
    stage.say(
        "b has the entry. a does not count itself any more, and b alone is no majority of two."
    )
    stage.release()
    stage.settle()
    assert stage["b"].role is Role.LEADER
    stage.say("Committed: a has stepped down, and told b to stand at once.", "transfer")
    stage.ask("b", "x = 1")
    stage.settle()
    stage.pass_ms(60)
    return stage
