"""Users that come and go in users.toml, and keys that are replaced step by step."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftzmq.access.key_directory import KeyDirectory
from raftzmq.access.key_files import new_pair, read_client_key, replace
from raftzmq.access.keys import Kind
from raftzmq.access.node_keys import read_node_keys
from raftzmq.access.users import User
from raftzmq.access.users_text import with_keys, with_user, without_user
from raftzmq.errors import InvalidRequest

KEY, OTHER = "rzu" + "0a" * 32, "rzu" + "1b" * 32
TEXT = f"""# Who may do what.

[users.billing]   # asked for by accounting
# both until June
keys = ["{KEY}"]
write = ["billing/"]

# operators
[users.root]
admin = true
"""


@pytest.fixture
def keys(tmp_path: Path) -> KeyDirectory:
    directory = KeyDirectory(tmp_path / "keys")
    directory.create()
    return directory


def test_a_user_is_added_below_what_a_person_wrote() -> None:
    text = with_user(TEXT, User("web", (OTHER,), read=("a/",)))
    assert text.startswith(TEXT)
    with pytest.raises(InvalidRequest, match="there is a user 'billing' already"):
        with_user(TEXT, User("billing"))


def test_a_user_is_removed_and_every_comment_line_stays() -> None:
    text = without_user(TEXT, "billing")
    assert "[users.billing]" not in text
    for comment in ("# Who may do what.", "# both until June", "# operators"):
        assert comment in text
    with pytest.raises(InvalidRequest, match="no user 'nobody'; there is billing, root"):
        without_user(TEXT, "nobody")


def test_keys_are_replaced_in_place() -> None:
    text = with_keys(TEXT, "billing", [KEY, OTHER])
    assert text == TEXT.replace(f'["{KEY}"]', f'["{KEY}", "{OTHER}"]')


def test_a_text_that_cannot_be_changed_safely_is_left_alone() -> None:
    for text in (
        f'users.billing.keys = ["{KEY}"]\n',
        f'[users]\nbilling = {{keys = ["{KEY}"]}}\n',
        f'[users.billing]\nkeys = [ # mine\n"{KEY}"]\n',
    ):
        with pytest.raises(InvalidRequest, match="edit it by hand; nothing was changed"):
            with_keys(text, "billing", [OTHER])
    with pytest.raises(InvalidRequest, match="edit it by hand"):
        without_user(f'users.billing.keys = ["{KEY}"]\n', "billing")


def test_a_user_gets_a_key_file_and_loses_it(keys: KeyDirectory) -> None:
    path = keys.add(User("billing", write=("billing/",)), None)
    assert path is not None
    key = read_client_key(path)
    assert keys.users().by_key(str(key.own.public)) == User(
        "billing", (str(key.own.public),), write=("billing/",)
    )
    assert keys.remove("billing")
    assert not path.exists()
    assert keys.users().by_name("billing") is None


def test_a_user_whose_secret_is_elsewhere_gets_no_file(keys: KeyDirectory) -> None:
    assert keys.add(User("billing"), KEY) is None
    assert keys.users().by_key(KEY) == User("billing", (KEY,))
    assert not keys.remove("billing")


@pytest.mark.parametrize("name", ["node", "server", "", "../x", "a b"])
def test_a_name_that_no_user_can_have_makes_no_file(keys: KeyDirectory, name: str) -> None:
    before = sorted(keys.path.iterdir())
    with pytest.raises(InvalidRequest):
        keys.add(User(name), None)
    assert sorted(keys.path.iterdir()) == before


@pytest.mark.parametrize("name", ["node", "server"])
def test_a_key_of_the_nodes_is_replaced_in_three_steps(keys: KeyDirectory, name: str) -> None:
    def read() -> tuple[object, set[object]]:
        found = read_node_keys(keys.path)
        own = found.node if name == "node" else found.server
        return own.own.public, set(own.accepted)

    old, _ = read()
    assert not keys.rotate(name).is_last
    own, both = read()
    assert own == old
    assert len(both) == 2
    assert not keys.rotate(name).is_last
    new, accepted = read()
    assert accepted == both == {old, new}
    assert keys.rotate(name).is_last
    assert read() == (new, {new})


def test_every_users_file_learns_the_keys_of_the_cluster(keys: KeyDirectory) -> None:
    keys.add(User("billing"), None)
    for _ in range(3):
        keys.rotate("server")
        for name in ("admin", "billing"):
            known = read_client_key(keys.file_of(name)).servers
            assert known == read_node_keys(keys.path).server.accepted


def test_a_users_key_is_let_in_before_it_is_used_and_until_it_is_not(keys: KeyDirectory) -> None:
    seen = []
    for _ in range(4):
        own = str(read_client_key(keys.file_of("admin")).own.public)
        user = keys.users().by_key(own)
        assert user is not None
        seen.append((own, len(user.keys)))
        keys.rotate("admin")
    assert [count for _, count in seen] == [1, 2, 2, 1]
    assert seen[0][0] == seen[1][0] != seen[2][0] == seen[3][0]


def test_a_foreign_users_key_is_replaced_with_the_one_it_gives(keys: KeyDirectory) -> None:
    keys.add(User("billing"), KEY)
    with pytest.raises(InvalidRequest, match="its owner makes a new one"):
        keys.rotate("billing")
    keys.rotate("billing", OTHER)
    assert keys.users().by_name("billing") == User("billing", (KEY, OTHER))
    assert keys.rotate("billing").is_last
    assert keys.users().by_name("billing") == User("billing", (OTHER,))


def test_a_secret_that_is_given_as_public_is_not_taken(keys: KeyDirectory) -> None:
    secret = new_pair(Kind.USER).secret.reveal()
    with pytest.raises(InvalidRequest, match="stays with its owner") as told:
        keys.add(User("billing"), secret)
    assert secret[-64:] not in str(told.value)


def test_a_broken_users_toml_is_said_to_be_so(keys: KeyDirectory) -> None:
    replace(keys.path / "users.toml", "[users.x")
    with pytest.raises(InvalidRequest, match=r"users\.toml is not TOML"):
        keys.add(User("billing"), None)
