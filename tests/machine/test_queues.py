"""Locks, semaphores, counters and elections: permits, and the line of those who wait for them."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq import limits
from raftzmq.machine.tables.places import KINDS
from tests.machine.audit import audit
from tests.machine.driver import Driver


class Queues(Driver):
    """A driver with leases of its own, and with short words for what is done to queues."""

    def __init__(self) -> None:
        super().__init__()
        self.time_ms = 1_000_000
        self.anna, self.ben, self.carl = (self.lease() for _ in range(3))

    def lease(self) -> int:
        return int(self.write("lease_grant", 10_000)[2])

    def ask(
        self,
        kind: str,
        lease: int,
        permits: int = 1,
        *,
        capacity: int = 0,
        wait: bool = True,
        value: str | None = None,
        name: str = "q",
    ) -> tuple[str, Any]:
        """Return code and body of an `acquire`."""
        code, _, body = self.write("acquire", kind, name, lease, permits, capacity, wait, value)
        return code, body

    def join(self, kind: str, lease: int, permits: int = 1, **others: Any) -> int:
        """Take a place and return its token."""
        code, body = self.ask(kind, lease, permits, **others)
        assert code == "ok"
        return int(body[0])

    def release(self, kind: str, token: int) -> str:
        return self.write("release", kind, "q", token)[0]

    def holds(self, kind: str, token: int) -> Any:
        """True: it holds; False: it waits; None: it has no place."""
        code, _, body = self.machine.read([1, "await", kind, "q", token, 0])
        return body if code == "ok" else None

    def describe(self, kind: str) -> Any:
        return self.read("describe", kind, "q")


@pytest.fixture
def db() -> Queues:
    return Queues()


def unchanged(db: Queues, *write: Any) -> tuple[str, Any]:
    """Return what a write is refused with, once it is certain that it did nothing else."""
    kinds = ("key", "bond", "lease", "queue", "place")
    before = [record for record in db.machine.snapshot() if record[0] in kinds]
    code, _, body = db.write(*write)
    assert [record for record in db.machine.snapshot() if record[0] in kinds] == before
    assert code != "ok"
    audit(db.machine)
    return code, body["message"]


# -- locks --------------------------------------------------------------------------------------


def test_a_free_lock_is_granted_at_once_with_the_revision_as_token(db: Queues) -> None:
    assert db.ask("lock", db.anna) == ("ok", [db.index, True])
    assert db.describe("lock") == {
        "capacity": 1,
        "free": 0,
        "held": 1,
        "waiting": 0,
        "holders": [[db.index, db.anna, 1, None]],
        "waiters": [],
    }


def test_a_lock_goes_to_those_who_wait_in_their_order(db: Queues) -> None:
    tokens = [db.join("lock", lease) for lease in (db.anna, db.ben, db.carl)]
    assert [db.holds("lock", token) for token in tokens] == [True, False, False]
    db.release("lock", tokens[0])
    assert [db.holds("lock", token) for token in tokens] == [None, True, False]
    db.release("lock", tokens[1])
    assert [db.holds("lock", token) for token in tokens] == [None, None, True]
    assert tokens == sorted(tokens), "a token only grows"


def test_a_lock_that_nobody_wants_is_forgotten(db: Queues) -> None:
    first = db.join("lock", db.anna)
    db.release("lock", first)
    assert db.describe("lock") is None
    assert db.machine.queue_count == 0
    assert db.join("lock", db.anna) > first


def test_who_will_not_wait_is_told_and_takes_no_place(db: Queues) -> None:
    db.join("lock", db.anna)
    code, message = unchanged(db, "acquire", "lock", "q", db.ben, 1, 0, False, None)
    assert (code, message) == ("busy", "1 wanted, and others hold or wait")


def test_who_leaves_the_line_is_passed_over(db: Queues) -> None:
    tokens = [db.join("lock", lease) for lease in (db.anna, db.ben, db.carl)]
    assert db.release("lock", tokens[1]) == "ok"
    db.release("lock", tokens[0])
    assert db.holds("lock", tokens[2]) is True


def test_kinds_have_names_of_their_own(db: Queues) -> None:
    lock, election = db.join("lock", db.anna), db.join("election", db.ben)
    assert db.holds("lock", lock)
    assert db.holds("election", election)
    assert unchanged(db, "release", "lock", "q", election)[0] == "not_held"


def test_a_lease_that_ends_gives_up_what_it_holds_and_where_it_waits(db: Queues) -> None:
    held = db.join("lock", db.anna)
    waiting = db.join("lock", db.ben)
    db.join("lock", db.carl, name="other")
    gone = db.join("lock", db.anna, name="other")
    last = db.join("lock", db.carl)
    db.write("lease_revoke", db.anna)
    assert [db.holds("lock", token) for token in (held, waiting, last)] == [None, True, False]
    assert unchanged(db, "release", "lock", "other", gone)[0] == "not_held"
    audit(db.machine)


def test_nothing_is_granted_to_who_ends_in_the_same_moment(db: Queues) -> None:
    db.write("signal", "q", 2)
    db.join("counter", db.anna, 3)
    db.join("counter", db.anna, 2)
    late = db.lease()
    db.time_ms += 1
    db.write("lease_keep", late)
    survivor = db.join("counter", late, 2)
    db.time_ms += 9_999
    assert db.expire() == 3
    assert db.holds("counter", survivor) is True, "the dead have consumed nothing"


# -- semaphores ---------------------------------------------------------------------------------


def test_a_semaphore_is_made_by_the_first_who_says_how_many_permits(db: Queues) -> None:
    message = "there is no semaphore 'q': create it with a capacity"
    assert unchanged(db, "acquire", "semaphore", "q", db.anna, 1, 0, True, None) == (
        "not_found",
        message,
    )
    assert db.ask("semaphore", db.anna, 2, capacity=3)[1][1] is True
    assert db.ask("semaphore", db.ben, 1)[1][1] is True
    assert db.ask("semaphore", db.carl, 1, capacity=3)[1][1] is False


def test_who_means_another_number_of_permits_is_told(db: Queues) -> None:
    db.write("resize", "q", 3)
    code, message = unchanged(db, "acquire", "semaphore", "q", db.anna, 1, 4, True, None)
    assert (code, message) == ("invalid", "semaphore 'q' has 3 permits: resize it")


@pytest.mark.parametrize("capacity", [0, 3])
def test_nobody_waits_for_more_permits_than_there_are(db: Queues, capacity: int) -> None:
    db.write("resize", "q", 3)
    refused = unchanged(db, "acquire", "semaphore", "q", db.anna, 4, capacity, True, None)
    assert refused == ("invalid", "4 permits of a semaphore that has 3")


def test_nobody_makes_a_semaphore_that_is_too_small_for_himself(db: Queues) -> None:
    refused = unchanged(db, "acquire", "semaphore", "q", db.anna, 4, 3, True, None)
    assert refused == ("invalid", "4 permits of a semaphore that has 3")


def test_the_first_in_line_is_never_overtaken_by_one_who_wants_less(db: Queues) -> None:
    holder = db.join("semaphore", db.anna, 2, capacity=3)
    greedy = db.join("semaphore", db.ben, 3)
    modest = db.join("semaphore", db.carl, 1)
    assert not db.holds("semaphore", modest), "one is free, and the line is strict"
    assert db.ask("semaphore", db.anna, wait=False)[0] == "busy"
    db.release("semaphore", greedy)
    assert db.holds("semaphore", modest)
    db.release("semaphore", holder)
    assert db.describe("semaphore")["free"] == 2


def test_permits_that_come_back_go_to_as_many_as_they_do_for(db: Queues) -> None:
    first = db.join("semaphore", db.anna, 3, capacity=3)
    waiting = [db.join("semaphore", lease) for lease in [db.ben, db.carl] * 2]
    db.release("semaphore", first)
    assert [db.holds("semaphore", token) for token in waiting] == [True, True, True, False]


def test_a_semaphore_that_shrinks_takes_nothing_away(db: Queues) -> None:
    tokens = [db.join("semaphore", db.anna, capacity=3) for _ in range(3)]
    waiting = db.join("semaphore", db.ben)
    assert db.write("resize", "q", 1)[0] == "ok"
    assert db.describe("semaphore")["free"] == -2
    assert all(db.holds("semaphore", token) for token in tokens)
    for token in tokens[:2]:
        db.release("semaphore", token)
    assert db.holds("semaphore", waiting) is False
    db.release("semaphore", tokens[2])
    assert db.holds("semaphore", waiting) is True


@pytest.mark.parametrize("line", [[3, 1, 1], [1, 3, 1], [3, 3, 2], [2, 3], [3], [1, 1, 3]])
@pytest.mark.parametrize("size", [1, 2])
def test_who_waits_for_more_than_a_shrunk_semaphore_has_leaves_the_line(
    db: Queues, line: list[int], size: int
) -> None:
    holders = [db.join("semaphore", db.anna, capacity=3) for _ in range(3)]
    tokens = [db.join("semaphore", db.ben, permits) for permits in line]
    assert db.write("resize", "q", size)[0] == "ok"
    audit(db.machine)
    there = [None if permits > size else False for permits in line]
    assert [db.holds("semaphore", token) for token in tokens] == there
    for token in holders:
        db.release("semaphore", token)
    for token, permits in zip(tokens, line, strict=True):
        if permits <= size:
            assert db.holds("semaphore", token) is True
            db.release("semaphore", token)
    assert db.describe("semaphore")["free"] == size, "the line does not stand still"
    assert unchanged(db, "acquire", "semaphore", "q", db.ben, 3, 0, True, None) == (
        "invalid",
        f"3 permits of a semaphore that has {size}",
    )


def test_those_behind_one_that_waits_for_too_much_go_on_at_once(db: Queues) -> None:
    holder = db.join("semaphore", db.anna, 1, capacity=3)
    greedy, modest = db.join("semaphore", db.ben, 3), db.join("semaphore", db.carl, 1)
    db.write("resize", "q", 2)
    assert [db.holds("semaphore", token) for token in (holder, greedy, modest)] == [
        True,
        None,
        True,
    ]


def test_whoever_awaits_a_place_that_is_no_more_is_told(db: Queues) -> None:
    db.machine.observe_decisions(True)
    db.join("semaphore", db.anna, 1, capacity=3)
    greedy = db.join("semaphore", db.ben, 3)
    db.machine.take_decisions()
    db.write("resize", "q", 2)
    assert db.machine.take_decisions() == [("semaphore", "q", greedy)]


def test_a_semaphore_that_grows_lets_the_next_in(db: Queues) -> None:
    db.join("semaphore", db.anna, capacity=1)
    waiting = [db.join("semaphore", db.ben) for _ in range(3)]
    db.write("resize", "q", 3)
    assert [db.holds("semaphore", token) for token in waiting] == [True, True, False]


def test_a_semaphore_stays_until_it_is_forgotten(db: Queues) -> None:
    token = db.join("semaphore", db.anna, capacity=2)
    assert unchanged(db, "forget", "semaphore", "q") == (
        "busy",
        "semaphore 'q' has 1 holders and 0 waiters",
    )
    db.release("semaphore", token)
    assert db.describe("semaphore")["free"] == 2
    assert db.write("forget", "semaphore", "q")[0] == "ok"
    assert unchanged(db, "forget", "semaphore", "q")[0] == "not_found"


# -- counters -----------------------------------------------------------------------------------


def test_a_counter_gives_what_was_signalled_by_whomever(db: Queues) -> None:
    token = db.join("counter", db.anna, 2, capacity=1)
    assert db.holds("counter", token) is False
    assert db.write("signal", "q", 1)[2] == 0, "it went to the one who waited"
    assert db.holds("counter", token) is True
    assert db.write("signal", "q", 5)[2] == 5


def test_what_a_counter_gave_is_consumed(db: Queues) -> None:
    tokens = [db.join("counter", db.anna, 2, capacity=3), db.join("counter", db.ben)]
    for token in tokens:
        db.release("counter", token)
    db.write("lease_revoke", db.ben)
    assert db.describe("counter") == {
        "capacity": 0,
        "free": 0,
        "held": 0,
        "waiting": 0,
        "holders": [],
        "waiters": [],
    }


@pytest.mark.parametrize("leave", ["cancel", "lease_revoke", "expire"])
def test_what_a_counter_granted_and_nobody_took_goes_to_the_next(db: Queues, leave: str) -> None:
    token = db.join("counter", db.anna, 2, capacity=1)
    late = db.lease()
    waiting = db.join("counter", late, 2)
    db.write("signal", "q", 1)
    assert [db.holds("counter", place) for place in (token, waiting)] == [True, False]
    if leave == "cancel":
        assert db.write("cancel", "counter", "q", token)[0] == "ok"
    elif leave == "lease_revoke":
        db.write("lease_revoke", db.anna)
    else:
        db.time_ms += 9_999
        db.write("lease_keep", late)
        db.time_ms += 1
        assert db.expire() == 3
    assert [db.holds("counter", place) for place in (token, waiting)] == [None, True]
    db.write("cancel", "counter", "q", waiting)
    assert db.describe("counter")["free"] == 2, "none of them is lost"
    audit(db.machine)


@pytest.mark.parametrize("kind", KINDS)
def test_who_cancels_leaves_the_line_or_gives_back_what_he_holds(db: Queues, kind: str) -> None:
    capacity = 1 if kind in ("semaphore", "counter") else 0
    tokens = [db.join(kind, lease, capacity=capacity) for lease in (db.anna, db.ben, db.carl)]
    for token in (tokens[1], tokens[0]):
        assert db.write("cancel", kind, "q", token)[0] == "ok"
        assert unchanged(db, "cancel", kind, "q", token)[0] == "not_held"
    assert db.holds(kind, tokens[2]) is True
    audit(db.machine)


def test_the_capacity_that_one_says_of_a_counter_is_where_it_begins(db: Queues) -> None:
    assert db.write("signal", "q", 2)[2] == 2
    assert db.ask("counter", db.anna, 1, capacity=7)[1][1] is True
    assert db.describe("counter")["free"] == 1


def test_who_will_not_wait_makes_no_counter_that_is_too_small(db: Queues) -> None:
    assert unchanged(db, "acquire", "counter", "q", db.anna, 2, 1, False, None)[0] == "busy"


def test_a_counter_has_a_bound(db: Queues) -> None:
    db.write("signal", "q", limits.PERMITS)
    code, message = unchanged(db, "signal", "q", 1)
    assert code == "invalid"
    assert "more than 1000000" in message


def test_the_bound_of_a_counter_stands_in_nobodys_way(db: Queues) -> None:
    db.write("signal", "q", limits.PERMITS - 1)
    token = db.join("counter", db.anna, limits.PERMITS)
    assert db.write("signal", "q", 3) == ("ok", db.index, 2), "it went to the one who waited"
    assert db.holds("counter", token) is True


# -- elections ----------------------------------------------------------------------------------


def test_an_observer_learns_of_each_leader_with_term_and_address(db: Queues) -> None:
    assert db.read("observe", "q", 0, 0) is False, "nobody yet"
    first = db.join("election", db.anna, value="anna:80")
    second = db.join("election", db.ben, value="ben:80")
    assert db.read("observe", "q", 0, 0) == [first, "anna:80"]
    assert db.read("observe", "q", first, 0) is False
    db.write("lease_revoke", db.anna)
    assert db.read("observe", "q", first, 0) == [second, "ben:80"]
    db.release("election", second)
    assert db.read("observe", "q", second, 0) is None
    assert db.read("observe", "q", 0, 0) is False


def test_a_leader_is_known_by_another_value_and_goes_on_leading(db: Queues) -> None:
    first = db.join("election", db.anna, value="anna:80")
    second = db.join("election", db.ben, value="ben:80")
    assert db.read("proclaimed", "q", first, "anna:80", 0) is False
    assert db.write("proclaim", "q", first, "anna:81")[0] == "ok"
    assert db.read("observe", "q", first, 0) is False, "older clients would ask again at once"
    assert db.read("proclaimed", "q", first, "anna:80", 0) == [first, "anna:81"]
    assert db.read("proclaimed", "q", first, "anna:81", 0) is False
    assert db.read("describe", "election", "q")["holders"][0][3] == "anna:81"
    assert db.write("proclaim", "q", first, None)[0] == "ok"
    assert db.read("proclaimed", "q", first, "anna:81", 0) == [first, None]
    db.write("lease_revoke", db.anna)
    assert db.read("proclaimed", "q", first, None, 0) == [second, "ben:80"]
    db.release("election", second)
    assert db.read("proclaimed", "q", second, "ben:80", 0) is None
    assert db.read("proclaimed", "q", 0, None, 0) is False


def test_who_does_not_lead_proclaims_nothing(db: Queues) -> None:
    deposed = db.join("election", db.anna, value="anna:80")
    waits = db.join("election", db.ben, value="ben:80")
    db.join("lock", db.ben)
    lock = db.index
    assert db.write("proclaim", "q", waits, "x")[0] == "fenced", "a candidate"
    assert db.write("proclaim", "q", lock, "x")[0] == "fenced", "the holder of a lock"
    assert db.write("proclaim", "other", deposed, "x")[0] == "fenced", "of another election"
    db.write("lease_revoke", db.anna)
    code, _, body = db.write("proclaim", "q", deposed, "x")
    assert (code, body["message"]) == (
        "fenced",
        f"fenced: token {deposed} does not hold 'q'; nothing was written",
    )
    holders = db.read("describe", "election", "q")["holders"]
    assert [place[3] for place in holders] == ["ben:80"]


# -- fences -------------------------------------------------------------------------------------


def test_a_fenced_write_is_done_while_the_token_holds(db: Queues) -> None:
    token = db.join("lock", db.anna)
    assert db.write("fenced", [["q", token]], ["put", "k", "v"])[0] == "ok"
    assert db.read("get", "k") == ["v", db.index]
    assert db.write("fenced", [["q", token]], ["delete", "k"]) == ("ok", db.index, 1)
    txn = ["txn", [["k", "revision", "=", 0]], [["put", "k", "w"]], []]
    assert db.write("fenced", [["q", token]], txn) == ("ok", db.index, [True, [None]])
    assert db.write("fenced", [["q", token]], ["cas", "k", "x", 1])[0] == "compare_failed"
    assert db.write("fenced", [["q", token]], ["put_leased", "k", "x", 99])[0] == "lease_expired"


def test_a_token_of_any_kind_is_a_fence(db: Queues) -> None:
    fences = []
    for kind in KINDS:
        capacity = 2 if kind in ("semaphore", "counter") else 0
        fences.append(["q", db.join(kind, db.anna, capacity=capacity)])
    assert db.write("fenced", fences, ["put", "k", "v"])[0] == "ok"


def test_a_token_that_waits_or_was_released_or_has_expired_writes_nothing(db: Queues) -> None:
    released = db.join("lock", db.anna)
    expired = db.join("lock", db.ben)
    holding = db.join("lock", db.carl)
    waiting = db.join("lock", db.carl)
    db.release("lock", released)
    db.write("lease_revoke", db.ben)
    assert db.holds("lock", holding)
    never = db.index
    for token in (released, expired, waiting, never):
        code, message = unchanged(db, "fenced", [["q", holding], ["q", token]], ["put", "k", "v"])
        assert code == "fenced"
        assert message == f"fenced: token {token} does not hold 'q'; nothing was written"
    assert unchanged(db, "fenced", [["r", holding]], ["delete_prefix", ""])[0] == "fenced"


# -- bounds and what is not there ---------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_takes_a_place_with_a_lease_that_is_not_there(db: Queues, kind: str) -> None:
    capacity = 3 if kind in ("semaphore", "counter") else 0
    refused = unchanged(db, "acquire", kind, "q", 99, 1, capacity, True, None)
    assert refused == ("lease_expired", "lease 99 has ended or never was: grant another")


@pytest.mark.parametrize("kind", KINDS)
def test_what_one_does_not_hold_one_cannot_release(db: Queues, kind: str) -> None:
    code, message = unchanged(db, "release", kind, "q", 99)
    assert (code, message) == ("not_held", f"{kind} 'q' has no place with token 99")
    token = db.join("lock", db.anna, name="other")
    assert unchanged(db, "release", "lock", "q", token)[0] == "not_held"
    assert unchanged(db, "release", "lock", "other", db.anna)[0] == "not_held"


def test_a_place_is_released_once(db: Queues) -> None:
    token = db.join("semaphore", db.anna, 2, capacity=3)
    assert db.release("semaphore", token) == "ok"
    assert unchanged(db, "release", "semaphore", "q", token)[0] == "not_held"
    assert db.describe("semaphore")["free"] == 3


def test_a_retry_takes_no_second_place(db: Queues) -> None:
    acquire = ("acquire", "lock", "q", db.anna, 1, 0, True, None)
    first = db.send(50, *acquire, ack=50)
    assert db.send(50, *acquire, ack=50) == first
    assert db.machine.place_count == 1


@pytest.mark.parametrize(("limit", "name"), [("PLACES", "places"), ("QUEUES", "queues")])
def test_full_tables_take_nothing_more(
    db: Queues, monkeypatch: pytest.MonkeyPatch, limit: str, name: str
) -> None:
    token = db.join("semaphore", db.anna, capacity=3)
    monkeypatch.setattr(limits, limit, 1)
    acquire = ("acquire", "lock", "r", db.anna, 1, 0, True, None)
    assert unchanged(db, *acquire) == (
        "overloaded",
        f"there are 1 {name} already: retry later",
    )
    if limit == "QUEUES":
        assert unchanged(db, "signal", "r", 1)[0] == "overloaded"
        assert unchanged(db, "resize", "r", 1)[0] == "overloaded"
        assert db.write("resize", "q", 4)[0] == "ok", "it is there already"
    db.release("semaphore", token)
    db.write("forget", "semaphore", "q")
    assert db.write(*acquire)[0] == "ok"


def test_queues_are_listed_in_order_as_far_as_asked(db: Queues) -> None:
    db.write("resize", "b", 3)
    db.write("resize", "ab", 5)
    db.join("semaphore", db.anna, 4, name="ab")
    db.join("semaphore", db.ben, 4, name="ab")
    db.write("signal", "a", 7)
    assert db.read("queues", "semaphore", "", 9) == [[["ab", 5, 1, 1], ["b", 3, 0, 0]], False]
    assert db.read("queues", "semaphore", "", 1) == [[["ab", 5, 1, 1]], True]
    assert db.read("queues", "semaphore", "b", 1) == [[["b", 3, 0, 0]], False]
    assert db.read("queues", "counter", "", 1) == [[["a", 7, 0, 0]], False]
    assert db.read("queues", "lock", "", 1) == [[], False]


def test_a_list_of_queues_fits_a_message(db: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RANGE_BYTES", 250)
    for letter in "abc":
        db.write("resize", letter * 100, 1)
    names, more = db.read("queues", "semaphore", "", 9)
    assert [name for name, *_ in names] == ["a" * 100, "b" * 100]
    assert more


def test_a_description_says_how_many_there_are_and_lists_as_many_as_fit(
    db: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DESCRIBED_PLACES", 2)
    for _ in range(7):
        db.join("semaphore", db.anna, capacity=4)
    body = db.describe("semaphore")
    assert (body["held"], body["waiting"]) == (4, 3)
    assert (len(body["holders"]), len(body["waiters"])) == (2, 2)
