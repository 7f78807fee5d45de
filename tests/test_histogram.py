"""Counting how long things take."""

from __future__ import annotations

from raftzmq.histogram import Histogram, Tally


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


def test_a_quantile_is_interpolated_between_the_bounds() -> None:
    tally = Tally((1.0, 2.0, 4.0), (50, 0, 50, 0), 0.0)
    assert tally.quantile(0.25) == 0.5
    assert tally.quantile(0.5) == 1.0
    assert tally.quantile(0.75) == 3.0
    assert tally.quantile(1.0) == 4.0


def test_a_quantile_above_the_last_bound_is_that_bound_and_of_nothing_there_is_none() -> None:
    assert Tally((1.0, 2.0), (0, 1, 99), 0.0).quantile(0.99) == 2.0
    assert Tally((1.0, 2.0), (0, 0, 0), 0.0).quantile(0.99) is None


def test_what_was_counted_since_an_earlier_tally() -> None:
    histogram = Histogram((1.0,))
    histogram.observe(0.5)
    before = histogram.tally()
    histogram.observe(3.0, 2)
    assert histogram.tally().since(before) == Tally((1.0,), (0, 2), 6.0)
