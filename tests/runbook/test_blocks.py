"""Every command of the runbook is run by a test. One that none runs fails here."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from functools import cache
from typing import Final

import pytest

from tests.runbook.blocks import BLOCKS, Block, words_of

NODES: Final = "tests.runbook.test_nodes"
FILES: Final = "tests.runbook.test_files"


TESTED: Final[dict[tuple[str, str], tuple[str, str]]] = {
    ("The log holds lines of text", "cp -a"): (
        "tests.storage.test_rescue",
        "test_a_log_with_text_in_it_is_whole_again_after_the_runbooks_command",
    ),
    ("Every node has set its data aside", "mkdir"): (FILES, "test_what_was_set_aside_is_put_back"),
    ("The store is full", "raftzmq client dump"): (NODES, "test_what_takes_the_room"),
    ("A majority is gone for good", "raftzmq cluster recover"): (
        "tests.cli.cluster.test_recovery",
        "test_the_words_of_the_runbook",
    ),
    ("A majority is gone for good", "raftzmq recover"): (
        FILES,
        "test_two_directories_of_five_are_left",
    ),
    ("A majority is gone for good", "raftzmq client member add"): (
        "tests.system.test_recovery",
        "test_two_of_three_are_lost_and_the_third_goes_on_as_a_new_cluster",
    ),
    ("The only survivor is damaged", "cp -a"): (FILES, "test_the_only_survivor_is_damaged"),
    ("A new image, a new setting", "raftzmq cluster apply"): (
        "tests.acceptance.test_acceptance",
        "test_on_kubernetes",
    ),
    ("Remove everything", "raftzmq cluster remove"): (
        "tests.acceptance.test_acceptance",
        "test_on_kubernetes",
    ),
}
"""Heading and first words of a block of raftzmq or the shell -> module and test that runs it. A
line that begins with `kubectl exec client` is run by test_nodes.py, which finds them by itself."""


def is_of_kubectl(block: Block) -> bool:
    """Whether its commands are kubectl's, or go through it."""
    return all(command.split()[0] in ("kubectl", "curl") for command in block.commands)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.heading)
def test_a_test_runs_it(block: Block) -> None:
    if is_of_kubectl(block) or block.commands[0].startswith("kubectl exec client"):
        return
    found = [
        where
        for (heading, beginning), where in TESTED.items()
        if block.heading == heading and block.commands[0].startswith(beginning)
    ]
    assert len(found) == 1, f"no test runs {block}: write one, and name it in TESTED"
    module, test = found[0]
    assert hasattr(importlib.import_module(module), test), f"{module} has no {test}"


def test_no_block_is_named_that_there_is_not() -> None:
    gone = [
        key
        for key in TESTED
        if not any(b.heading == key[0] and b.commands[0].startswith(key[1]) for b in BLOCKS)
    ]
    assert not gone


KUBECTL_ONLY: Final = [
    command
    for block in BLOCKS
    for command in block.commands
    if command.startswith("kubectl ") and not command.startswith("kubectl exec client")
]


@cache
def help_of(*verb: str) -> str:
    """What kubectl says of a verb and of the options that every verb takes."""
    said = [["kubectl", *verb, "--help"], ["kubectl", "options"]]
    return "".join(
        subprocess.run(words, capture_output=True, text=True, check=True).stdout for words in said
    )


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl")
@pytest.mark.parametrize("command", KUBECTL_ONLY)
def test_kubectl_knows_what_it_is_told(command: str) -> None:
    """The acceptance run does most of it on a real Kubernetes. This is about the words."""
    words = words_of(command)
    verb = words[1:3] if words[1] == "rollout" else words[1:2]
    known = help_of(*verb)
    options = [word.partition("=")[0] for word in words if word.startswith("-")]
    for option in options:
        assert f" {option}=" in known or f"{option}, " in known or f"    {option}" in known, option
