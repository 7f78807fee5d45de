"""Signals wake a loop, whichever thread gets them, and write into nothing else."""

from __future__ import annotations

import select
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from raftzmq.wakeups import woken_by_signals

LIMIT_S = 30


@pytest.fixture
def usr1() -> Iterator[list[int]]:
    """SIGUSR1 is handled, and counted, during a test."""
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    yield seen
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture(autouse=True)
def _nothing_is_left() -> None:
    """The pair is this process's, and what came before may have left something in it."""
    with woken_by_signals() as (_, ear), suppress(BlockingIOError):
        while ear.recv(4096):
            pass


def test_a_signal_wakes_whichever_thread_gets_it(usr1: list[int]) -> None:
    with woken_by_signals() as (_, ear):
        for ident in (lambda: threading.main_thread().ident, threading.get_ident):
            thread = threading.Thread(
                target=lambda of=ident: signal.pthread_kill(of() or 0, signal.SIGUSR1)
            )
            thread.start()
            assert select.select([ear], [], [], LIMIT_S)[0]
            assert ear.recv(64) == bytes([signal.SIGUSR1])
            thread.join()
    assert len(usr1) == 2


def test_a_descriptor_that_was_there_before_gets_its_place_back(usr1: list[int]) -> None:
    with woken_by_signals() as (_, ear):
        with woken_by_signals():
            pass
        signal.raise_signal(signal.SIGUSR1)
        assert ear.recv(64)
    signal.raise_signal(signal.SIGUSR1)
    with pytest.raises(BlockingIOError):
        ear.recv(64)
    assert len(usr1) == 2


def test_the_pair_outlives_its_block() -> None:
    """A signal that another thread gets may be written when the block has ended already."""
    with woken_by_signals() as (first, _):
        number = first.fileno()
    first.send(b"late")
    with woken_by_signals() as (second, ear):
        assert second.fileno() == number
        assert ear.recv(64) == b"late"
