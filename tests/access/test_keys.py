"""Keys as text: what is one, and that a secret never shows itself."""

from __future__ import annotations

import json
import pickle
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftzmq.access.key_files import new_pair, pair_of
from raftzmq.access.keys import (
    KeyPair,
    Kind,
    Line,
    PublicKey,
    Role,
    SecretKey,
    parse_lines,
    parse_public,
)
from raftzmq.errors import InvalidRequest

RAW = bytes(range(32))


@pytest.mark.parametrize("kind", Kind)
def test_a_public_key_is_the_kind_and_64_digits(kind: Kind) -> None:
    key = PublicKey(kind, RAW)
    assert str(key) == f"{kind}{RAW.hex()}"
    assert key.short == f"{kind}0001…"
    assert parse_public(str(key), kind) == key
    assert parse_public(RAW.hex(), kind) == key
    assert parse_public(f" {RAW.hex().upper()}\n", kind) == key


@pytest.mark.parametrize("kind", Kind)
def test_a_secret_key_shows_itself_to_nobody(kind: Kind) -> None:
    secret = SecretKey(kind, RAW)
    pair = KeyPair(secret, PublicKey(kind, bytes(32)))
    for shown in (repr(secret), str(secret), f"{pair}", repr(Line(secret)), repr([pair])):
        assert RAW.hex() not in shown
        assert repr(RAW) not in shown
    assert secret.reveal() == f"{kind}-secret-{RAW.hex()}"


@pytest.mark.parametrize("kind", Kind)
def test_the_public_key_follows_from_the_secret_one(kind: Kind) -> None:
    pair = new_pair(kind)
    assert pair_of(SecretKey(kind, pair.secret.raw)).public == pair.public
    assert new_pair(kind).public != pair.public


def test_what_is_no_public_key_is_refused_and_never_repeated() -> None:
    secret = new_pair(Kind.USER).secret
    with pytest.raises(InvalidRequest, match="secret key: it stays with its owner") as told:
        parse_public(secret.reveal(), Kind.USER)
    assert secret.raw.hex() not in str(told.value)
    for text in ("", "rzu", str(new_pair(Kind.SERVER).public), "rzu" + "0" * 63, "x" * 64):
        with pytest.raises(InvalidRequest, match="rzu and 64 hexadecimal digits"):
            parse_public(text, Kind.USER)


def test_a_file_has_a_key_a_line_with_comments_and_roles() -> None:
    old, new = new_pair(Kind.NODE), new_pair(Kind.NODE)
    text = f"# the nodes\n\n{old.secret.reveal()}  # since May\nnext {new.public}\n"
    first, second = parse_lines(text, "node.key")
    assert (first.role, second) == (Role.CURRENT, Line(new.public, Role.NEXT))
    assert isinstance(first.key, SecretKey)
    assert first.reveal() == old.secret.reveal()
    assert second.reveal() == f"next {new.public}"


@pytest.mark.parametrize("line", ["hello", "rzn12", "soon {}", "next", "{} {}", "next {} {}"])
def test_a_line_that_is_no_key_is_named_by_its_number_alone(line: str) -> None:
    secret = new_pair(Kind.NODE).secret.reveal()
    with pytest.raises(InvalidRequest, match=r"^node\.key, line 2: not a key") as told:
        parse_lines(f"# comment\n{line.format(secret, secret)}\n", "node.key")
    assert secret[-64:] not in str(told.value)


@given(st.text())
def test_any_text_is_keys_or_refused(text: str) -> None:
    with suppress(InvalidRequest):
        assert parse_lines(text, "a file") == []


def test_secrets_are_in_no_json_by_accident() -> None:
    with pytest.raises(TypeError):
        json.dumps(new_pair(Kind.USER).secret)
    assert pickle.loads(pickle.dumps(PublicKey(Kind.USER, RAW))) == PublicKey(Kind.USER, RAW)
