"""Sessions: a write that is sent again is not done again."""

from __future__ import annotations

import pytest

from raftzmq import limits
from raftzmq.errors import UnknownEntry
from raftzmq.machine import validate_write
from tests.machine.driver import Driver


@pytest.fixture
def db() -> Driver:
    return Driver()


def test_a_session_without_a_secret_is_numbered_by_the_index_of_its_entry(db: Driver) -> None:
    db.machine.advance(6, 0)
    db.index = 6
    assert db.open() == 7


def test_a_retry_returns_the_first_result_with_the_first_index(db: Driver) -> None:
    first = db.send(1, "cas", "k", "v", 0)
    db.send(2, "put", "k", "other")
    assert db.send(1, "cas", "k", "v", 0) == first == ("ok", 2, None)
    assert db.read("get", "k") == ["other", 3]


def test_a_retry_of_a_failed_compare_fails_though_it_would_hold_now(db: Driver) -> None:
    first = db.send(1, "cas", "k", "v", 3)
    db.send(2, "put", "k", "w")
    assert db.send(1, "cas", "k", "v", 3) == first == ("compare_failed", 2, None)


def test_a_retry_is_known_by_its_serial_whatever_it_says(db: Driver) -> None:
    first = db.send(1, "put", "k", "v")
    assert db.send(1, "delete", "k") == first
    assert db.read("get", "k") == ["v", 2]


def test_a_retry_after_a_snapshot_returns_the_first_result(db: Driver) -> None:
    first = [
        db.send(1, "put", "k", {"b64": "AA=="}),
        db.send(2, "cas", "k", "v", 0),
        db.send(3, "txn", [], [["get", "k"], ["prefix", "", 5]], []),
        db.send(4, "delete_prefix", "nothing"),
    ]
    db.machine = db.reborn()
    again = [
        db.send(1, "put", "k", "v"),
        db.send(2, "cas", "k", "v", 0),
        db.send(3, "txn", [], [["get", "k"], ["prefix", "", 5]], []),
        db.send(4, "delete_prefix", "nothing"),
    ]
    assert again == first
    assert db.read("get", "k") == [{"b64": "AA=="}, 2]


def test_serials_may_come_out_of_order_and_each_is_done_once(db: Driver) -> None:
    results = {serial: db.send(serial, "put", f"k{serial}", "v") for serial in (3, 1, 9, 2)}
    assert [result[1] for result in results.values()] == [2, 3, 4, 5]
    for serial in (1, 2, 3, 9):
        assert db.send(serial, "put", f"k{serial}", "v") == results[serial]


def test_two_sessions_have_serials_of_their_own(db: Driver) -> None:
    other = db.open()
    db.send(1, "put", "k", "v")
    assert db.send(1, "put", "k", "w", session=other)[1] == 4
    assert db.read("get", "k") == ["w", 4]


def test_an_acknowledged_serial_is_never_done_again(db: Driver) -> None:
    db.send(5, "put", "k", "v")
    db.send(6, "put", "k", "w", ack=6)
    code, index, body = db.send(5, "put", "k", "v", ack=5)
    assert (code, index) == ("invalid", 4)
    assert "acknowledged already" in body["message"]
    assert db.read("get", "k") == ["w", 3]


def test_a_serial_below_the_ack_it_comes_with_is_not_done(db: Driver) -> None:
    assert db.send(5, "put", "k", "v", ack=6)[0] == "invalid"
    assert db.read("get", "k") is None


def test_a_serial_skipped_and_acknowledged_is_not_done_later(db: Driver) -> None:
    db.send(2, "put", "k", "v", ack=2)
    assert db.send(1, "put", "k", "late")[0] == "invalid"


def test_an_older_ack_that_arrives_late_changes_nothing(db: Driver) -> None:
    db.send(1, "put", "k", "v", ack=1)
    db.send(9, "put", "k", "v", ack=9)
    db.send(10, "put", "k", "v", ack=2)
    assert db.send(8, "put", "k", "late", ack=2)[0] == "invalid"


@pytest.mark.parametrize("ack", [2, 5, 6, 10_000])
def test_an_ack_forgets_the_results_below_it_and_keeps_the_others(db: Driver, ack: int) -> None:
    serials = (5, 1, 2, 16_000)  # out of order and far apart
    for serial in serials:
        db.send(serial, "put", "k", "v")
    db.send(16_001, "put", "k", "v", ack=ack)
    kept = [record[2] for record in db.machine.snapshot() if record[0] == "result"]
    assert kept == sorted([serial for serial in serials if serial >= ack] + [16_001])


def test_a_write_without_a_session_is_told_to_open_one(db: Driver) -> None:
    code, index, body = db.apply(0, 0, [1, "put", "k", "v"])
    assert (code, index) == ("session_expired", 2)
    assert "open" in body["message"]


def test_a_write_of_an_unknown_session_does_nothing(db: Driver) -> None:
    assert db.send(1, "put", "k", "v", session=99)[0] == "session_expired"
    assert db.read("get", "k") is None


def test_a_closed_session_is_unknown(db: Driver) -> None:
    assert db.send(1, "close") == ("ok", 2, None)
    assert db.send(2, "put", "k", "v")[0] == "session_expired"
    assert db.send(3, "close")[0] == "session_expired"
    assert db.machine.session_count == 0


def test_a_serial_too_far_above_the_ack_is_not_done_until_the_ack_follows(db: Driver) -> None:
    far = 10 + limits.SESSION_OUTSTANDING
    db.send(10, "put", "a", "v", ack=10)
    assert db.send(far, "put", "b", "v")[0] == "ok"
    code, _, body = db.send(far + 1, "put", "c", "v")
    assert code == "overloaded"
    assert "acknowledge" in body["message"]
    assert db.read("get", "c") is None
    assert db.send(far + 1, "put", "c", "v", ack=11)[0] == "ok"


def test_results_that_take_too_much_are_acknowledged_before_anything_new_is_done(
    db: Driver,
) -> None:
    db.send(0, "put", "big", "v" * limits.VALUE_BYTES)
    codes = [db.send(serial, "cas", "big", "w", 0)[0] for serial in range(1, 17)]
    assert codes == ["compare_failed"] * 16
    assert db.send(17, "put", "k", "v")[0] == "overloaded"
    db.machine = db.reborn()
    assert db.send(17, "put", "k", "v")[0] == "overloaded"
    assert db.send(16, "put", "k", "v")[0] == "compare_failed"  # a retry is answered still
    assert db.send(17, "put", "k", "v", ack=2)[0] == "ok"


def test_a_session_unused_for_its_time_to_live_expires_by_an_entry(db: Driver) -> None:
    db.time_ms += limits.SESSION_TTL_MS - 1
    assert not db.machine.expiry_due(db.time_ms)
    assert db.expire() == 0
    db.time_ms += 1
    assert db.machine.expiry_due(db.time_ms)
    assert db.machine.session_count == 1
    assert db.expire() == 1
    assert db.send(1, "put", "k", "v")[0] == "session_expired"
    assert not db.machine.expiry_due(db.time_ms)


def test_without_an_expire_entry_no_time_ends_a_session(db: Driver) -> None:
    db.time_ms += 10 * limits.SESSION_TTL_MS
    assert db.send(1, "put", "k", "v")[0] == "ok"
    assert db.expire() == 0


def test_a_session_in_use_does_not_expire(db: Driver) -> None:
    idle = db.open()
    db.time_ms += limits.SESSION_TTL_MS // 2
    db.send(1, "put", "k", "v")
    db.time_ms += limits.SESSION_TTL_MS // 2
    assert db.machine.expiry_due(db.time_ms)
    assert db.expire() == 1
    assert db.send(1, "put", "k", "v", session=idle)[0] == "session_expired"
    assert db.send(2, "put", "k", "v")[0] == "ok"


def test_even_a_retry_keeps_a_session(db: Driver) -> None:
    db.send(1, "put", "k", "v")
    db.time_ms += limits.SESSION_TTL_MS // 2
    db.send(1, "put", "k", "v")
    db.time_ms += limits.SESSION_TTL_MS // 2
    assert db.expire() == 0


def test_expiry_is_the_same_after_a_snapshot(db: Driver) -> None:
    db.time_ms += 5
    db.open()
    db.time_ms += limits.SESSION_TTL_MS - 5
    db.machine = db.reborn()
    assert db.machine.expiry_due(db.time_ms)
    assert db.expire() == 1
    assert db.machine.session_count == 1


def test_a_full_table_gives_up_the_least_recently_used_idle_session(
    db: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SESSIONS", 3)
    second, third = db.open(), db.open()
    db.time_ms += 10
    db.send(1, "put", "k", "v")
    db.send(1, "put", "k", "v", session=third)
    db.time_ms += limits.SESSION_EVICTABLE_MS - 10
    db.open()
    assert db.machine.session_count == 3
    assert db.send(2, "put", "k", "v", session=second)[0] == "session_expired"
    assert db.send(2, "put", "k", "v", session=third)[0] == "ok"
    assert db.send(2, "put", "k", "v")[0] == "ok"


def test_of_equally_idle_sessions_the_oldest_gives_way(
    db: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SESSIONS", 2)
    second = db.open()
    db.time_ms += limits.SESSION_EVICTABLE_MS
    db.open()
    assert db.send(1, "put", "k", "v")[0] == "session_expired"
    assert db.send(1, "put", "k", "v", session=second)[0] == "ok"


def test_a_table_full_of_sessions_in_use_refuses_another(
    db: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SESSIONS", 2)
    db.open()
    db.time_ms += limits.SESSION_EVICTABLE_MS - 1
    code, index, body = db.try_open()
    assert (code, index) == ("overloaded", 3)
    assert "full" in body["message"]
    assert db.machine.session_count == 2


def test_the_table_stays_within_its_bound(db: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SESSIONS", 50)
    for _ in range(500):
        db.time_ms += limits.SESSION_EVICTABLE_MS // 10
        db.try_open()
    assert 10 <= db.machine.session_count <= 50


def test_sessions_that_are_opened_and_closed_leave_nothing_behind(db: Driver) -> None:
    for _ in range(1000):
        db.send(1, "close", session=db.open())
    assert db.machine.session_count == 1
    assert sum(1 for record in db.machine.snapshot() if record[0] == "session") == 1


class TestNumbers:
    """Nobody can use a session but who opened it."""

    SECRET = "5ec2e75ec2e75ec2"

    def opened(self, db: Driver, secret: str = SECRET) -> int:
        op = [0, "open", secret]
        validate_write(op)
        code, _, number = db.apply(0, 0, op)
        assert code == "ok"
        return int(number)

    def test_a_number_has_64_bits_that_follow_from_secret_and_revision(self) -> None:
        one, other, third = Driver(), Driver(), Driver()
        assert self.opened(one) == self.opened(other)
        assert self.opened(third, "0" * 16) not in one.machine.state.sessions.table
        numbers = [self.opened(one) for _ in range(500)]
        assert len({*numbers}) == 500
        assert all(0 < number < 2**64 for number in numbers)
        assert sum(number >= 2**63 for number in numbers) in range(200, 300)

    def test_an_open_that_comes_late_again_revives_no_session(self) -> None:
        db = Driver()
        number = self.opened(db)
        assert db.send(1, "put", "k", "first", session=number)[0] == "ok"
        assert db.apply(number, 0, [2, "close"])[0] == "ok"
        assert self.opened(db) != number
        assert db.send(1, "put", "k", "again", session=number)[0] == "session_expired"

    def test_the_next_serials_of_another_client_cannot_be_used_up(self) -> None:
        db = Driver()
        number = self.opened(db)
        for guess in range(db.machine.revision + 50):
            if guess != db.session:
                db.send(1, "put", "k", "stranger", session=guess or 10**6)
        assert db.send(1, "put", "k", "mine", session=number)[0] == "ok"
        assert db.read("get", "k")[0] == "mine"

    def test_no_open_takes_over_a_session(self) -> None:
        db = Driver()
        db.machine.state.sessions.open(db.index + 1, 0)  # as if the numbers met
        assert db.try_open()[0] == "overloaded"

    def test_an_older_log_without_secrets_means_what_it_meant(self) -> None:
        db = Driver()
        assert db.open() == db.machine.revision

    def test_a_snapshot_keeps_the_number(self) -> None:
        db = Driver()
        number = self.opened(db)
        db.send(1, "put", "k", "v", session=number)
        again = db.reborn()
        assert again.state_hash() == db.machine.state_hash()
        assert number in again.state.sessions.table

    @pytest.mark.parametrize("secret", [1, None, ["x"]])
    def test_a_secret_that_is_no_text_is_of_another_version(self, secret: object) -> None:
        db = Driver()
        with pytest.raises(UnknownEntry):
            db.apply(0, 0, [0, "open", secret] if secret is not None else [0, "open", "a", "b"])
