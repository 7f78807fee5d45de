"""Whatever arrives: a message within the limits that means the same again, or a WireError."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftzmq import limits
from raftzmq.errors import WireError
from raftzmq.transport.peer_wire import decode_peer
from tests.amounts import amount
from tests.fuzz import __main__ as command
from tests.fuzz.corpus import PEER, REPLY, REQUEST
from tests.fuzz.decoders import DECODERS, PEERS, REASONS, REPLIES, REQUESTS, Decoder, Tally, run
from tests.fuzz.mangler import CHANGES, Found, Mangler, seal, variants
from tests.progress import Progress
from tests.transport.samples import json_values, nodes

COUNT = amount(5_000, 100_000)
SEED = 3

examples = settings(max_examples=amount(25, 600), deadline=None)


@pytest.fixture(scope="module")
def tally() -> Tally:
    progress = Progress("mangled messages", COUNT)
    return run(COUNT, SEED, progress=lambda done: progress.at(done.inputs))


def test_mangled_messages_are_refused_or_mean_what_they_say(tally: Tally) -> None:
    assert tally.inputs == COUNT


def test_the_mangled_messages_reach_every_refusal_and_many_are_still_messages(
    tally: Tally,
) -> None:
    reached = {reason for counter in tally.outcomes.values() for reason in counter}
    assert reached == (REASONS - {"oversize"}) | {"taken"}
    for name, counter in tally.outcomes.items():
        assert counter["taken"] > counter.total() / 10, name
        assert counter["json"] < counter.total() / 2, name


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)
def test_what_is_valid_is_taken(decoder: Decoder) -> None:
    for parts in decoder.corpus:
        assert decoder.take(parts) == "taken", parts


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)
def test_every_value_of_every_message_replaced_by_every_odd_one(decoder: Decoder) -> None:
    outcomes: Counter[str] = Counter()
    for parts in decoder.corpus:
        for frame in islice(variants(parts[0]), 0, None, amount(5, 1)):
            try:
                outcomes[decoder.take((frame, *parts[1:]))] += 1
            except Exception as error:
                raise AssertionError(f"{(frame, *parts[1:])!r}") from error
    assert outcomes["form"] > 500
    assert outcomes["taken"] > 100


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name)
def test_a_frame_beyond_the_limit_is_refused_before_it_is_read(decoder: Decoder) -> None:
    head = decoder.corpus[0][0][:-1] + b',"x":"'
    longest = head + b"x" * (limits.FRAME_BYTES - len(head) - 2) + b'"}'
    assert decoder.take((longest,)) == "taken"
    assert decoder.take((longest + b" ",)) == "oversize"
    assert decoder.take((b"[" * (limits.FRAME_BYTES + 1),)) == "oversize"
    assert decoder.take((b"[" * limits.FRAME_BYTES,)) == "json"
    assert decoder.take((b'{"v":' + b"9" * (limits.FRAME_BYTES - 6) + b"}",)) == "json"


def test_entries_beyond_the_limit_are_refused_before_they_are_read() -> None:
    header = next(parts[0] for parts in PEER if b"append_entries" in parts[0])
    assert PEERS.take((header, b"\n" * (limits.FRAME_BYTES + 1))) == "oversize"
    assert PEERS.take((header, b"\n" * limits.FRAME_BYTES)) == "checksum"


# Documents of the right outer shape, with anything in the places of the values.

FIELDS = sorted(
    {key for corpus in (PEER, REQUEST, REPLY) for parts in corpus for key in orjson.loads(parts[0])}
)
TYPES = sorted(
    {orjson.loads(parts[0])["type"] for corpus in (PEER, REQUEST, REPLY) for parts in corpus}
)

numbers = st.integers() | st.floats() | st.sampled_from([0, 1, -1, 2**53 - 1, 2**53, 2**64])
anything = json_values | numbers | nodes.map(list) | st.just([[1, "get", "k"]])
documents = st.fixed_dictionaries(
    {"v": st.just(1) | anything, "type": st.sampled_from(TYPES) | anything},
    optional={name: anything for name in FIELDS if name not in {"v", "type"}},
)
entry_lists = st.lists(
    st.tuples(
        st.integers(1, 4) | anything,
        st.integers(1, 3) | anything,
        st.integers(0, 9) | anything,
        st.sampled_from(["noop", "command", "config"]) | anything,
        st.none() | st.just([1, 2, [3, "put", "k", "v"]]) | anything,
    ),
    max_size=4,
)


def text_of(value: Any) -> bytes:
    """JSON as loosely as Python writes it: NaN, Infinity, long numbers, lone surrogates."""
    return json.dumps(value).encode()


@examples
@given(documents, st.none() | st.binary(max_size=60))
def test_documents_of_the_right_shape(document: dict[str, Any], body: bytes | None) -> None:
    frame = text_of(document)
    PEERS.take((frame,) if body is None else (frame, body))
    REQUESTS.take((frame,))
    REPLIES.take((frame,))


@examples
@given(st.data())
def test_a_valid_message_with_any_of_its_fields_replaced(data: st.DataObject) -> None:
    decoder = data.draw(st.sampled_from(DECODERS))
    parts = data.draw(st.sampled_from(decoder.corpus))
    document = orjson.loads(parts[0])
    names = data.draw(st.lists(st.sampled_from(sorted(document)), max_size=2, unique=True))
    for name in names:
        document[name] = data.draw(anything)
    decoder.take((text_of(document), *parts[1:]))


@examples
@given(entry_lists, st.integers(0, 3))
def test_entries_of_the_right_shape_under_right_checksums(
    entries: list[tuple[Any, ...]], prev_index: int
) -> None:
    header = orjson.loads(next(parts[0] for parts in PEER if b"append_entries" in parts[0]))
    header |= {"prev_index": prev_index, "prev_term": 0}
    lines = seal(b"".join(b"00000000 " + text_of(entry) + b"\n" for entry in entries))
    PEERS.take((orjson.dumps(header), lines))


@examples
@given(st.lists(st.binary(max_size=40), max_size=4))
def test_any_frames(frames: list[bytes]) -> None:
    for decoder in DECODERS:
        decoder.take(tuple(frames))


# The mangler itself.


def test_an_input_depends_on_its_seed_and_number_alone() -> None:
    one, other = (Mangler(5, PEER, sealed=frozenset({1})) for _ in range(2))
    inputs = [one.input(number) for number in range(300)]
    assert [other.input(number) for number in reversed(range(300))] == inputs[::-1]
    assert [Mangler(6, PEER).input(number) for number in range(300)] != inputs
    assert len(set(inputs)) > 250


def test_every_kind_of_change_changes_something() -> None:
    for change in CHANGES:
        mangler = Mangler(1, PEER, changes=(change,))
        changed = sum(mangler.input(number) not in PEER for number in range(100))
        assert changed > 50, change


def test_what_was_sealed_has_right_checksums() -> None:
    lines = next(parts[1] for parts in PEER if len(parts) > 1)
    assert seal(lines) == lines
    assert seal(lines.replace(b'"noop"', b'"Noop"')) != lines.replace(b'"noop"', b'"Noop"')
    changed = (b'{"v":1}', seal(b"00000000 [1]\n00000000 []\n"))
    with pytest.raises(WireError):
        decode_peer(changed)


def forgetful(parts: tuple[bytes, ...]) -> Iterator[bytes]:
    raise RecursionError("too deep")


def test_a_failure_says_how_to_keep_the_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Decoder("peer", PEER, forgetful, PEERS.encode, PEERS.check)
    with pytest.raises(Found) as caught:
        run(10, 77, (broken,))
    said, literal = str(caught.value).split("\n")
    assert said == "seed 77, input 0: peer: RecursionError: too deep"
    assert eval(literal) == broken.mangler(77).input(0)
    monkeypatch.setattr(PEERS.__class__, "take", lambda *_: 1 / 0)
    monkeypatch.setattr("sys.argv", ["fuzz", "10"])
    assert command.main() == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_the_command_tells_what_it_did(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["fuzz", "300", "--seed", "9", "-w", "json"])
    assert command.main() == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["seed"], told["inputs"]) == (9, 300)
    assert sum(sum(outcomes.values()) for outcomes in told["outcomes"].values()) == 300
