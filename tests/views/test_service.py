"""The view service, rule by rule."""

from __future__ import annotations

from dataclasses import replace

from raftzmq.views.messages import Ping, Pong
from raftzmq.views.service import SERVERS_MOST, ViewService
from raftzmq.views.view import Server, Timing, View

TIMING = Timing(ping_ms=100, dead_ms=500, forming_ms=1000)
REIGN, SERVICE = "a" * 16, "b" * 16


def server(name: str, run: int = 0) -> Server:
    return Server(name, f"{run:016x}", f"{name}:7001")


A, B, C = server("a"), server("b"), server("c")


class Pinged:
    """A view service, its clock, and servers that say what they have seen."""

    def __init__(self, reign: str = REIGN) -> None:
        self.now_ms = 0
        self.service = ViewService(reign, SERVICE, TIMING, 0)
        self._serials = 0

    def ping(
        self, who: Server, view: View | None = None, *, synced: bool = False, before: str = ""
    ) -> Pong | None:
        self._serials += 1
        reign = self.service.reign
        return self.service.ping(
            Ping(self._serials, who, reign, before, view, synced, 0), self.now_ms
        )

    def see(self, who: Server, *, synced: bool = False) -> View:
        """A ping that carries the newest view; returns what is the newest after it."""
        self.ping(who, self.service.view, synced=synced)
        assert self.service.view is not None
        return self.service.view

    def passes(self, ms: int, *alive: Server) -> None:
        """Time passes, in which these ping without a word of views."""
        end_ms = self.now_ms + ms
        while self.now_ms < end_ms:
            self.now_ms += 100
            for who in alive:
                known = self.service._known.get(who.name)
                self.ping(who, known.view if known else None, synced=bool(known and known.synced))
            self.service.tick(self.now_ms)


def with_backup() -> Pinged:
    """A is primary, B its backup with everything, C idle."""
    world = Pinged()
    world.passes(1000, A, B, C)
    world.see(A)
    world.see(A, synced=True)
    view = world.service.view
    assert view is not None
    assert (view.number, view.primary, view.backup) == (2, A, B)
    return world


def test_nobody_is_primary_before_all_had_time_to_be_heard() -> None:
    world = Pinged()
    world.passes(900, A, B)
    assert world.service.view is None
    world.passes(100, A, B)
    assert world.service.view == View(SERVICE, REIGN, 1, A, None)


def test_a_view_does_not_change_before_its_primary_has_acknowledged_it() -> None:
    world = Pinged()
    world.passes(2000, A, B, C)
    assert world.service.view is not None
    assert world.service.view.number == 1
    assert "has not acknowledged" in world.service.reason
    assert world.see(A).backup == B


def test_the_backup_takes_a_dead_primarys_place_and_an_idle_server_the_backups() -> None:
    world = with_backup()
    world.passes(600, B, C)
    view = world.service.view
    assert view is not None
    assert (view.number, view.primary, view.backup) == (3, B, C)


def test_a_backup_that_lacks_the_state_takes_nobodys_place() -> None:
    world = Pinged()
    world.passes(1000, A, B, C)
    world.see(A)
    world.see(A)
    world.passes(2000, B, C)
    assert world.service.view is not None
    assert world.service.view.primary == A
    assert "does not have the whole state" in world.service.reason


def test_an_idle_server_never_becomes_primary() -> None:
    world = with_backup()
    world.passes(3000, C)
    assert world.service.view is not None
    assert world.service.view.primary == A
    assert not world.service.is_healthy


def test_a_dead_backup_gives_way_to_an_idle_server() -> None:
    world = with_backup()
    world.passes(600, A, C)
    view = world.service.view
    assert view is not None
    assert (view.number, view.primary, view.backup) == (3, A, C)


def test_a_primary_that_restarted_is_dead_at_once_though_its_name_answers() -> None:
    world = with_backup()
    world.ping(server("a", 1))
    view = world.service.view
    assert view is not None
    assert (view.number, view.primary) == (3, B)


def test_a_late_ping_of_an_earlier_process_changes_nothing() -> None:
    world = with_backup()
    world.ping(server("c", 1))
    pong = world.ping(C)
    assert pong is not None
    assert pong.superseded
    assert world.service.status()["idle"] == ["c"]


def test_a_ping_that_another_has_overtaken_is_not_answered() -> None:
    world = Pinged()
    late = Ping(1, A, "", "", None, False, 0)
    assert world.service.ping(replace(late, serial=2), 0) is not None
    assert world.service.ping(late, 0) is None


def test_nobody_dies_because_the_view_server_stood_still() -> None:
    world = with_backup()
    world.now_ms += 10_000
    world.service.tick(world.now_ms)
    assert world.see(B).number == 2


def test_there_is_a_bound_on_the_servers_that_are_known() -> None:
    world = Pinged()
    for n in range(SERVERS_MOST):
        world.ping(server(f"s{n}"))
    pong = world.ping(server("one-more"))
    assert pong is not None
    assert "are not taken" in pong.reason


# -- after a restart of the view server -----------------------------------------------------------

LAST = "c" * 16
TWO = View(SERVICE, LAST, 2, A, B)
THREE = View(SERVICE, LAST, 3, B, C)


def restarted(*reports: tuple[Server, View | None, str]) -> View | None:
    """The view that a new view server arrives at by these reports."""
    world = Pinged()
    for _ in range(12):
        for who, view, before in reports:
            world.ping(who, view, before=before)
        world.now_ms += 100
        world.service.tick(world.now_ms)
    return world.service.view


def test_the_view_that_its_primary_and_its_backup_report_is_in_force() -> None:
    assert restarted((A, TWO, LAST), (B, TWO, LAST), (C, None, "")) == TWO


def test_without_the_backups_report_it_waits_for_that_may_lead_a_later_view() -> None:
    assert restarted((A, TWO, LAST), (C, TWO, LAST)) is None


def test_without_the_primarys_report_it_waits() -> None:
    assert restarted((B, TWO, LAST), (C, TWO, LAST)) is None


def test_a_view_that_its_primary_has_not_seen_is_in_force_too() -> None:
    assert restarted((B, TWO, LAST), (C, THREE, LAST)) == THREE


def test_but_not_if_that_one_has_obeyed_another_view_server_since() -> None:
    assert restarted((B, TWO, "d" * 16), (C, THREE, LAST)) is None


def test_servers_of_two_services_are_not_mixed() -> None:
    other = replace(TWO, service="e" * 16, primary=C, backup=None)
    assert restarted((A, TWO, LAST), (B, TWO, LAST), (C, other, LAST)) is None
