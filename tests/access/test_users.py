"""users.toml: what it may say, and what is said of what it may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftzmq.access.users import ANYBODY, User, Users
from raftzmq.errors import InvalidRequest

KEY = "rzu" + "0a" * 32
OTHER = "rzu" + "1b" * 32

TEXT = f"""
[users.billing]
keys = ["{KEY}", "{OTHER}"]
read = ["prices/"]
write = ["billing/"]

[users.root]
admin = true
"""


def test_users_are_found_by_name_and_by_each_of_their_keys() -> None:
    users = Users.parse(TEXT)
    billing = User("billing", (KEY, OTHER), ("prices/",), ("billing/",))
    assert list(users) == [billing, User("root", admin=True)]
    assert users.by_name("billing") == users.by_key(KEY) == users.by_key(OTHER) == billing
    assert users.by_name("nobody") is users.by_name("") is users.by_key("rzu") is None
    assert len(users) == 2


def test_an_empty_file_has_no_users() -> None:
    assert list(Users.parse("# nobody yet\n")) == [] == list(Users())


def test_anybody_has_a_name_that_no_user_can_have() -> None:
    assert ANYBODY.admin
    with pytest.raises(InvalidRequest):
        Users([ANYBODY])


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", fullmatch=True).filter(
    lambda name: name not in {"node", "server"}
)
PREFIXES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=3)


@given(
    st.dictionaries(NAMES, st.tuples(PREFIXES, PREFIXES, st.booleans()), max_size=4),
)
def test_what_is_written_is_read_again(
    tables: dict[str, tuple[list[str], list[str], bool]],
) -> None:
    users = Users(
        User(name, (f"rzu{number:064x}",), tuple(read), tuple(write), admin)
        for number, (name, (read, write, admin)) in enumerate(tables.items())
    )
    assert list(Users.parse(users.to_toml())) == list(users)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[users.a]\nread = [", r"not TOML: .*(line 2|end of document)"),
        ("\n[user.a]", r"line 2: unknown 'user'; a user is a table \[users.NAME\]"),
        ("users = 3", r"line 1: a user is a table"),
        ("[users]\na = 3", r"line 2: user 'a' must be a table \[users.a\]"),
        ("[users.node]", r"line 1: no user can be named 'node': node.key is the nodes'"),
        ("[users.server]", r"line 1: no user can be named 'server'"),
        ("[users.a]\n[users.'b/c']", r"line 2: 'b/c' is not a user's name"),
        ("[users.'']", r"'' is not a user's name"),
        (
            "[users.a]\nwrites = ['x']",
            r"line 1: user 'a' has the unknown field 'writes'; there are",
        ),
        ("[users.a]\nwrite = 'x'", r"write of user 'a' must be a list of texts"),
        ("[users.a]\nread = [3]", r"read of user 'a' must be a list of texts"),
        ("[users.a]\nadmin = 1", r"admin of user 'a' must be true or false"),
        ("[users.a]\nkeys = ['rzn00']", r"'rzn00'… of user 'a' is not a user's public key"),
        (f"[users.a]\nkeys = ['{KEY.upper()}']", r"is not a user's public key"),
        (f"[users.a]\nread = ['{'x' * 4097}']", r"a prefix of user 'a' has 4097 bytes"),
        (
            f"[users.a]\nkeys = ['{KEY}']\n[users.b]\nkeys = ['{KEY}']",
            r"line 3: the key rzu0a0a0a0a0… is that of user 'a' and of user 'b'",
        ),
        ("[users.a]\n[users.a]", r"not TOML: .*line 2"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as caught:
        Users.parse(text)
    assert "\n" not in str(caught.value)


def test_a_name_is_there_once() -> None:
    with pytest.raises(InvalidRequest, match="user 'a' is there twice"):
        Users([User("a"), User("a", admin=True)])
