"""Scans of the table of keys: pages of one moment, whatever is written between them."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftzmq.machine import Machine
from raftzmq.machine.tables import keys
from raftzmq.machine.tables.frozen_span import FrozenSpan
from raftzmq.prefixes import prefix_end
from tests.machine.key_changes import change


class Reader:
    """Reads a scan page by page, sometimes one again, as a client does that lost an answer."""

    def __init__(self, table: keys.KeyTable, prefix: str, revision: int) -> None:
        inside = [item for item in sorted(table.items.items()) if item[0].startswith(prefix)]
        self.expected: list[Any] = inside
        self.span = table.freeze_span(prefix, prefix_end(prefix), revision)
        self.read: list[Any] = []
        self.done = False

    def go_on(self, random: Random) -> None:
        if self.done:
            return
        after = self.read[-1][0] if self.read else ""
        for _ in range(random.choice((1, 1, 2))):
            page = self.span.page(after, random.randint(1, 9), random.choice((1, 20, 1000)))
        found = [*zip(page.keys, page.items, strict=True)]
        taken = random.randint(1, len(found)) if found else 0  # of the rest it may ask again
        self.read += found[:taken]
        self.done = page.last and taken == len(found)


def read_while_it_is_written(seed: int, bucket: int) -> None:
    random = Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "BUCKET_KEYS", bucket)
        names = [f"{letter}/{number:02}" for letter in "abc" for number in range(40)]
        table = keys.KeyTable(dict.fromkeys(random.sample(names, 60), ("v", 0, 0)))
        readers: list[Reader] = []
        for revision in range(10, 3000, 10):
            change(table, names, revision, random)
            if random.random() < 0.05:
                prefix = random.choice(("", "a/", "b/", "b/1", "bb", "c", "c/39"))
                readers.append(Reader(table, prefix, revision + 9))
            for reader in readers:
                if random.random() < 0.2:
                    reader.go_on(random)
        for reader in readers:
            while not reader.done:
                reader.go_on(random)
            assert reader.read == reader.expected
            reader.span.page(max(names), 1, 1)
            assert reader.span.kept_bytes == 0, "everything was passed, and something is kept"
        readers.clear()
        reader = Reader(keys.KeyTable(), "", 0)
        assert table.frozen_count == 0, "nobody reads any more, and it still costs"


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), bucket=st.integers(2, 20))
def test_all_pages_are_of_one_revision_whatever_is_written_between_them(
    seed: int, bucket: int
) -> None:
    read_while_it_is_written(seed, bucket)


@pytest.mark.parametrize(
    ("method", "planted"),
    [
        ("keep", lambda *_: None),  # what is written over is lost
        ("_pass", lambda span, after: span._replaced.clear()),  # more is given up than was read
    ],
)
def test_a_planted_bug_in_what_is_kept_is_found(
    method: str, planted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FrozenSpan, method, planted)

    def read_twenty() -> None:
        for seed in range(20):
            read_while_it_is_written(seed, 8)

    with pytest.raises((AssertionError, KeyError)):
        read_twenty()


def test_only_what_the_reader_wants_yet_is_kept() -> None:
    table = keys.KeyTable()
    for revision, key in enumerate(("a/1", "a/2", "a/3", "b/1"), 1):
        table.put(key, "v" * 100, revision)
    scan = table.freeze_span("a/", "a0", 4)
    assert scan.page("", 1, 1000) == (["a/1"], [("v" * 100, 1, 0)], False)
    table.put("b/1", "w", 5)
    assert scan.kept_bytes == 0, "it is outside"
    table.put("a/4", "w", 6)
    table.put("a/4", "w", 7)
    assert scan.kept_bytes == 0, "it came later"
    table.put("a/1", "w", 8)
    table.put("a/3", "w", 9)
    assert scan.kept_bytes > 200, "the first may be asked for again, the third is to come"
    before = scan.kept_bytes
    assert scan.page("a/1", 1, 1000) == (["a/2"], [("v" * 100, 2, 0)], False)
    assert scan.kept_bytes == before // 2, "the first has arrived"
    table.put("a/1", "w", 10)
    assert scan.kept_bytes == before // 2
    assert scan.page("a/2", 9, 1000) == (["a/3"], [("v" * 100, 3, 0)], True)
    assert scan.page("a/3", 9, 1000) == ([], [], True)
    assert scan.kept_bytes == 0


def test_a_page_has_as_much_as_was_asked_for_but_one_key_at_least() -> None:
    table = keys.KeyTable()
    for revision in range(1, 8):
        table.put(f"k{revision}", "v" * 98, revision)
    scan = table.freeze_span("", "", 7)
    assert scan.page("", 3, 1000).keys == ["k1", "k2", "k3"]
    assert scan.page("k3", 100, 300).keys == ["k4", "k5", "k6"]
    assert scan.page("k3", 100, 299).keys == ["k4", "k5"]
    assert scan.page("k5", 100, 1).keys == ["k6"]
    assert scan.page("k6", 1, 1).last
    with pytest.raises(AssertionError, match="goes back"):
        scan.page("k5", 1, 1)


@pytest.mark.parametrize("prefix", ["", "x", "\U0010ffff"])
def test_a_scan_of_nothing_ends_at_once(prefix: str) -> None:
    assert Machine().scan(prefix).page("", 1, 1) == ([], [], True)
    table = keys.KeyTable({"k": ("v", 1, 0)})
    assert table.freeze_span("l", "m", 1).page("", 1, 1) == ([], [], True)
    assert table.freeze_span("", "", 1).page("k", 1, 1) == ([], [], True)
