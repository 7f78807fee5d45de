"""Transactions from options and from JSON."""

import pytest

from raftzmq import (
    Compare,
    Delete,
    DeletePrefix,
    Get,
    GetPrefix,
    GetRange,
    Put,
)
from raftzmq.errors import InvalidRequest
from raftzmq_cli.client.txn import from_json, from_words

EVERYTHING = b"""
{"if": [["a", "revision", ">", 3], ["b", "value", "!=", null],
        ["c", "value", "=", {"b64": "/w=="}]],
 "then": [["put", "a", "x y"], ["put", "d", {"b64": "AA=="}], ["delete", "b"]],
 "else": [["delete_prefix", "p/"], ["get", "a"], ["range", "a", "", 7], ["prefix", "p", 8]]}
"""


def test_a_json_transaction_has_all_that_the_protocol_has() -> None:
    assert from_json(EVERYTHING) == (
        [
            Compare("a", "revision", ">", 3),
            Compare("b", "value", "!=", None),
            Compare("c", "value", "=", b"\xff"),
        ],
        [Put("a", "x y"), Put("d", b"\x00"), Delete("b")],
        [DeletePrefix("p/"), Get("a"), GetRange("a", "", 7), GetPrefix("p", 8)],
    )


def test_options_spell_the_same_in_words() -> None:
    assert from_words(
        ["a revision > 3", "b value != 'x y'"],
        ['put a "1 2"', "delete b", "delete_prefix p/"],
        ["get a", "range a '' 7", "prefix p 8"],
    ) == (
        [Compare("a", "revision", ">", 3), Compare("b", "value", "!=", "x y")],
        [Put("a", "1 2"), Delete("b"), DeletePrefix("p/")],
        [Get("a"), GetRange("a", "", 7), GetPrefix("p", 8)],
    )


def test_a_put_says_when_its_key_ends() -> None:
    words = ["put a 1 ttl=60", "put b 2 ttl=0.5", "put c 3 lease=173", "put d 4 keep_end"]
    document = b"""{"then": [["put", "a", "1", {"ttl": 60}], ["put", "b", "2", {"ttl": 0.5}],
        ["put", "c", "3", {"lease": 173}], ["put", "d", "4", {"keep_end": true}]]}"""
    expected = [
        Put("a", "1", ttl=60),
        Put("b", "2", ttl=0.5),
        Put("c", "3", lease=173),
        Put("d", "4", keep_end=True),
    ]
    assert from_words([], words, []) == from_json(document) == ([], expected, [])
    assert from_words([], [], words)[2] == expected
    assert from_words([], ["put a ttl=60"], [])[1] == [Put("a", "ttl=60")], "that is the value"


@pytest.mark.parametrize(
    "word",
    ["ttl=", "ttl", "ttl=soon", "ttl=nan", "ttl=-1", "lease=x", "lease=1.5", "keep_end=1", "ever"],
)
def test_what_says_no_end_is_refused(word: str) -> None:
    with pytest.raises(InvalidRequest, match=f"'{word}' is not ttl=SECONDS, lease=LEASE or keep_e"):
        from_words([], [f"put a 1 {word}"], [])


def test_a_put_of_what_is_missing_is_a_compare() -> None:
    with pytest.raises(InvalidRequest, match=r"\(if a key is missing: --if 'KEY revision = 0'\)$"):
        from_words([], ["put a 1 if_absent"], [])


def test_a_number_as_a_value_stays_text() -> None:
    assert from_words(["a value = 3"], ["put a 3"], []) == (
        [Compare("a", "value", "=", "3")],
        [Put("a", "3")],
        [],
    )


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (b"{", "JSON"),
        (b"[]", '"then"'),
        (b'{"when": []}', '"then"'),
        (b'{"then": {}}', "list"),
        (b'{"then": [["fly"]]}', "put, delete"),
        (b'{"then": ["put"]}', "put, delete"),
        (b'{"then": [["put", "a"]]}', "2 argument"),
        (b'{"then": [["put", "a", {"b64": "!"}]]}', "b64"),
        (b'{"then": [["put", "a", {"b64": "AA==", "x": 1}]]}', "b64"),
        (b'{"then": [["put", "a", {}]]}', "b64"),
        (b'{"then": [["put", "a", "1", 60]]}', "behind the value"),
        (b'{"then": [["put", "a", "1", {"until": 5}]]}', "behind the value"),
        (b'{"then": [["put", "a", "1", {"ttl": 60}, {}]]}', "2 argument"),
        (b'{"if": [["a", "value", "="]]}', "KEY"),
    ],
)
def test_what_is_no_transaction_is_refused(document: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        from_json(document)


def test_a_revision_in_words_must_be_a_number() -> None:
    with pytest.raises(InvalidRequest, match="whole number"):
        from_words(["a revision = x"], [], [])


def test_a_quote_that_is_not_closed_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="closing quotation"):
        from_words([], ["put a 'b"], [])
