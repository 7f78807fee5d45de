"""Prefixes and pages, and what deletes every key."""

import io
import sys
from collections.abc import Callable

import pytest

from raftzmq.errors import InvalidRequest
from raftzmq_cli.client import keys
from raftzmq_cli.client.txn import txn
from raftzmq_cli.common.exits import AnswerIsNo
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


@pytest.fixture
def filled() -> FakeClient:
    client = FakeClient()
    for name in ("a", "b", "c/1"):
        client.put(name, "x", timeout=1)
    return client


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Types an answer at what seems to be a terminal."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    return lambda answer: monkeypatch.setattr(sys, "stdin", Terminal(answer))


@pytest.mark.parametrize("on_a_terminal", [False, True])
def test_an_empty_prefix_deletes_nothing(
    filled: FakeClient, terminal: Callable[[str], None], on_a_terminal: bool
) -> None:
    """`delete --prefix "$UNSET"`, also with an answer at hand."""
    if on_a_terminal:
        terminal("y\n")
    with pytest.raises(InvalidRequest, match="--all"):
        keys.delete(invocation(filled), "", prefix=True)
    assert len(filled.items) == 3


@pytest.mark.parametrize("section", ["then", "otherwise"])
def test_an_empty_prefix_in_a_transaction_is_refused(filled: FakeClient, section: str) -> None:
    with pytest.raises(InvalidRequest, match="--all"):
        txn(invocation(filled), **{section: ["put x 1", "delete_prefix ''"]})  # type: ignore[arg-type]
    assert len(filled.items) == 3


def test_all_deletes_all_and_is_not_combined_with_a_key(filled: FakeClient) -> None:
    with pytest.raises(InvalidRequest, match="leave out KEY"):
        keys.delete(invocation(filled), "c/", prefix=True, every=True)
    assert len(filled.items) == 3
    keys.delete(invocation(filled), every=True)
    assert filled.items == {}


def test_on_a_terminal_all_says_how_many_and_asks(
    filled: FakeClient, terminal: Callable[[str], None], capfd: pytest.CaptureFixture[str]
) -> None:
    terminal("n\n")
    with pytest.raises(AnswerIsNo, match="nothing was deleted"):
        keys.delete(invocation(filled), every=True)
    assert len(filled.items) == 3
    assert "every key of the cluster, 3 keys now" in "".join(capfd.readouterr())
    terminal("y\n")
    keys.delete(invocation(filled), every=True)
    assert filled.items == {}


def test_on_a_terminal_nobody_is_asked_who_said_yes(
    filled: FakeClient, terminal: Callable[[str], None]
) -> None:
    terminal("")
    keys.delete(invocation(filled), every=True, yes=True)
    assert filled.items == {}
