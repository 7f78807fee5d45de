"""Counting how long things take."""

from __future__ import annotations

from raftzmq.histogram import Histogram


def test_what_is_observed_is_counted_at_the_first_bound_that_is_not_below_it() -> None:
    histogram = Histogram((1.0, 2.0, 5.0))
    for value in (0.5, 1.0, 1.5, 5.0, 6.0):
        histogram.observe(value)
    assert histogram.tally().counts == (2, 1, 1, 1)
    assert histogram.tally().total == 14.0


def test_an_observation_may_stand_for_many() -> None:
    histogram = Histogram((1.0, 2.0))
    histogram.observe(1.5, 10)
    assert histogram.tally().counts == (0, 10, 0)
    assert histogram.tally().total == 15.0


def test_a_tally_does_not_change_with_what_comes_after() -> None:
    histogram = Histogram((1.0,))
    before = histogram.tally()
    histogram.observe(0.5)
    assert before.counts == (0, 0)
    assert histogram.tally().counts == (1, 0)
