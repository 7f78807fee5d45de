"""Why a step is taken: the rules that a recording names, each with its section of the thesis."""

from __future__ import annotations

from typing import Final, NamedTuple


class Rule(NamedTuple):
    """`thesis` is the section of Ongaro's dissertation that the rule comes from."""

    text: str
    thesis: str


RULES: Final[dict[str, Rule]] = {
    "pre-vote": Rule(
        "A node that hears no leader first asks whether it could win. Asking changes no term, so a "
        "node that was cut off disturbs nobody when it returns.",
        "9.6",
    ),
    "candidate": Rule(
        "A candidate increments its term, votes for itself and asks all others for their votes.",
        "3.4",
    ),
    "vote": Rule(
        "A node has one vote in a term. It gives it to the first candidate that asks and whose log "
        "is at least as up-to-date as its own.",
        "3.4, 3.6.1",
    ),
    "leader": Rule(
        "A majority's votes make a leader. Two majorities share a node, which has one vote, so a "
        "term has one leader at most.",
        "3.4",
    ),
    "lost election": Rule(
        "A candidate that loses, or hears of a leader of its term, follows. A random timeout "
        "decides who tries next.",
        "3.4",
    ),
    "later term": Rule(
        "Whoever hears of a later term takes it over, and follows. So a leader that was replaced "
        "learns of it with the first message from anybody who knows.",
        "3.3",
    ),
    "check quorum": Rule(
        "A leader that hears from no majority steps down, so that its clients look elsewhere.",
        "6.2",
    ),
    "follow": Rule(
        "A message from the leader of its term tells a node whom to follow, and restarts its "
        "election timer.",
        "3.4",
    ),
    "no-op": Rule(
        "A new leader's first entry is empty. Once that is committed, so is all before it, and the "
        "leader knows what is committed.",
        "3.6.2, 6.4",
    ),
    "append": Rule(
        "An entry is accepted only right behind one that both logs have. So logs that agree on an "
        "entry agree on everything before it.",
        "3.5",
    ),
    "reject": Rule(
        "The entry before these is missing, or of another term. The leader goes back to the last "
        "place where both could agree, and tries again.",
        "3.5",
    ),
    "conflict": Rule(
        "Where an entry contradicts the leader's, it and all that follow are removed. They were "
        "never committed.",
        "3.5",
    ),
    "commit": Rule(
        "An entry of the own term of a leader that a majority has on disk is committed, and all "
        "before it with it. Copies of entries of earlier terms are not counted.",
        "3.6.2",
    ),
    "hear of commit": Rule(
        "Followers hear from the leader how far entries are committed, and apply them in order.",
        "3.5",
    ),
    "snapshot": Rule(
        "A snapshot of the state stands for the entries that led to it, so these can go.",
        "5.1",
    ),
    "install": Rule(
        "The leader has compacted away what a follower needs next, and sends a snapshot.",
        "5.3",
    ),
    "membership": Rule(
        "A membership is an entry, in force where it is appended. One voter comes or goes "
        "at a time, so old and new majorities share a node.",
        "4.1",
    ),
    "leaves": Rule(
        "A leader that is to leave leads until that is committed, without counting itself. Then it "
        "steps down.",
        "4.2.2",
    ),
    "restart": Rule(
        "Term, vote and log are on disk before anybody hears of them. The rest is learned anew.",
        "3.8",
    ),
    "read": Rule(
        "Before it answers a read, a leader has a majority confirm that it still leads.", "6.4"
    ),
    "transfer": Rule(
        "The leader has the target catch up, then tells it to stand for election at once.", "3.10"
    ),
}
