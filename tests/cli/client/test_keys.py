"""Prefixes and pages."""

import pytest

from raftzmq_cli.client import keys
from tests.cli.client.fakes import FakeClient, invocation


@pytest.mark.parametrize(
    ("prefix", "end"),
    [
        ("", ""),
        ("a", "b"),
        ("a/", "a0"),
        ("a\U0010ffff", "b"),
        ("\U0010ffff", ""),
        ("\ud7ff", "\ue000"),
    ],
)
def test_the_end_of_a_prefix_is_the_first_key_behind_it(prefix: str, end: str) -> None:
    assert keys.prefix_end(prefix) == end


def test_pages_are_read_until_all_is_there() -> None:
    client = FakeClient(page_size=3)
    for number in range(10):
        client.put(f"k{number}", str(number), timeout=1)
    run = invocation(client)
    found = [item.key for item in keys.pages(run, "", "", None, stale=False)]
    assert found == [f"k{number}" for number in range(10)]


def test_a_limit_holds_across_pages() -> None:
    client = FakeClient(page_size=3)
    for number in range(10):
        client.put(f"k{number}", str(number), timeout=1)
    run = invocation(client)
    found = [item.key for item in keys.pages(run, "k2", "k9", 5, stale=False)]
    assert found == ["k2", "k3", "k4", "k5", "k6"]
