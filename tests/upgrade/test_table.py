"""The table of versions has every form that nodes share, and nothing else."""

from __future__ import annotations

import pytest

from raftzmq.machine import WRITES
from raftzmq.machine.commands.upgrades import HOLDINGS
from raftzmq.versions import FIRST, SINCE, SPOKEN, Spoken, later_than, since
from tests.upgrade.forms import forms


def test_no_form_is_missing_in_the_table() -> None:
    missing = sorted(forms() - SINCE.keys())
    assert not missing, (
        f"raftzmq/versions.py does not say since which cluster version there is: {missing}"
    )


def test_the_table_has_no_form_that_does_not_exist() -> None:
    assert SINCE.keys() - forms() == set()


def test_a_form_is_found_by_what_it_is_and_not_by_what_it_is_called() -> None:
    found = forms()
    assert {"entry noop", "operation put/2", "record key/4", "message Heartbeat"} <= found
    assert {"field Hello.nonce", "file node.json", "branch get", "fenced cas"} <= found
    for name in WRITES:
        assert any(form.startswith(f"operation {name}/") for form in found)


def test_versions_follow_one_another_and_the_highest_is_spoken() -> None:
    versions = set(SINCE.values())
    assert versions <= set(range(FIRST.lowest, SPOKEN.highest + 1))
    assert SPOKEN.lowest == FIRST.lowest, "a build reads what every release wrote"


def test_records_of_later_versions_say_what_is_in_the_way_of_a_downgrade() -> None:
    later = {f"record {name}" for name in later_than(FIRST.highest, "record")}
    assert later == HOLDINGS.keys()


def test_what_is_not_in_the_table_cannot_be_asked_for() -> None:
    assert since("entry noop") == 1
    with pytest.raises(KeyError):
        since("entry unheard-of")


@pytest.mark.parametrize(
    ("spoken", "words"),
    [(Spoken(1, 1), "cluster version 1"), (Spoken(1, 2), "cluster versions 1 to 2")],
)
def test_what_is_spoken_is_told_in_words(spoken: Spoken, words: str) -> None:
    assert str(spoken) == words
    assert spoken.highest in spoken
    assert spoken.highest + 1 not in spoken
    assert True not in spoken
