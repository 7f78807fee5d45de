"""`json` of both clients: values as JSON, plain, and of models of pydantic and msgspec."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pydantic
import pytest

from raftzmq import AsyncClient, Client, InvalidRequest, InvalidValue, RaftzmqError
from tests.client.conftest import Connect
from tests.client.fake_cluster import FakeCluster

if TYPE_CHECKING:
    from typing import assert_type

    from raftzmq import CasResult, Item, Range, Written


class Job(pydantic.BaseModel):
    page: int
    owner: str | None = None


class Task(msgspec.Struct):
    page: int
    owner: str | None = None


@dataclass
class Step:
    page: int
    owner: str | None = None


MODELS: list[Any] = [Job, Task, Step]


@pytest.fixture
def db(connect: Connect, cluster: FakeCluster) -> Any:
    return connect(cluster.endpoints)


@pytest.mark.parametrize("value", [None, True, 7, 1.5, "text", [1, "a"], {"a": {"b": [None]}}])
def test_what_was_put_is_what_one_gets(db: Any, value: Any) -> None:
    written = db.json.put("k", value)
    item = db.json.get("k")
    assert (item.key, item.value, item.revision) == ("k", value, written.revision)
    assert type(item.value) is type(value)
    assert type(db.get("k").value) is str, "the command shows it as text"
    assert db.json.get("absent") is None


@pytest.mark.parametrize("model", MODELS)
def test_a_model_comes_back_as_an_instance(db: Any, model: Any) -> None:
    jobs = db.json(model)
    written = jobs.put("jobs/1", model(page=1, owner="é"))
    assert jobs.get("jobs/1").value == model(page=1, owner="é")
    assert db.json.get("jobs/1").value == {"page": 1, "owner": "é"}
    changed = jobs.cas("jobs/1", model(page=2), written.revision)
    assert (changed.succeeded, changed.current.value) == (True, model(page=2))
    refused = jobs.cas("jobs/1", model(page=3), written.revision)
    assert (refused.succeeded, refused.current.value) == (False, model(page=2))
    assert jobs.put_if_absent("jobs/2", model(page=5)).succeeded
    there = jobs.put("jobs/2", model(page=6), if_absent=True)
    assert (there.succeeded, there.current.value) == (False, model(page=5))
    pages = [(item.key, item.value.page) for item in jobs.prefix("jobs/").items]
    assert pages == [("jobs/1", 2), ("jobs/2", 5)]
    assert [item.value.page for item in jobs.range("jobs/2", limit=1).items] == [5]


@pytest.mark.parametrize("model", MODELS)
def test_models_may_stand_within_plain_values(db: Any, model: Any) -> None:
    db.json.put("k", {"jobs": [model(page=1)]})
    assert db.json.get("k").value == {"jobs": [{"page": 1, "owner": None}]}


@pytest.mark.parametrize("options", [{"ttl": 60}, {"fence": ("nobody", 5)}, {"timeout": 0}])
def test_the_options_are_those_of_the_client(db: Any, options: Any) -> None:
    """What each does is told elsewhere; here, that none is left out."""

    def outcome(view: Any, value: Any) -> object:
        try:
            return view.put("k", value, **options).succeeded
        except RaftzmqError as error:
            return type(error), str(error)

    assert outcome(db.json, "text") == outcome(db, "text")
    db.json.put("ends", 1, ttl=60)
    assert 0 < db.json.get("ends", details=True).remaining <= 60
    db.json.put("ends", 2, keep_end=True)
    assert 0 < db.json.get("ends", details=True).remaining <= 60
    assert db.json.get("ends", stale=True).value == 2


@pytest.mark.parametrize("text", ["", "{", "nul", b"\xff", '{"a":1}]'])
def test_what_is_no_json_is_named_by_its_key(db: Any, text: Any) -> None:
    revision = db.put("jobs/9", text).revision
    view = db.json
    for read in (
        partial(view.get, "jobs/9"),
        partial(view.prefix, "jobs/"),
        partial(view.cas, "jobs/9", 1, revision + 1),
        partial(view.put, "jobs/9", 1, if_absent=True),
    ):
        with pytest.raises(
            InvalidValue, match=r"^key 'jobs/9' at revision \d+ is not JSON: ."
        ) as e:
            read()
        assert (e.value.key, e.value.revision) == ("jobs/9", revision)
        assert "\n" not in str(e.value)
    assert db.get("jobs/9").revision == revision, "nothing was changed"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("text", ['{"page":"seven"}', "{}", "[]", "null", "7", "{"])
def test_what_is_not_of_the_model_is_named_too(db: Any, model: Any, text: str) -> None:
    db.put("jobs/9", text)
    with pytest.raises(InvalidValue, match=f"'jobs/9' at revision .* is not a {model.__name__}: ."):
        db.json(model).get("jobs/9")


def test_the_reason_says_where_in_the_value(db: Any) -> None:
    db.put("k", '{"page":"seven"}')
    with pytest.raises(InvalidValue, match=r"is not a Job: page: Input should be a valid integer"):
        db.json(Job).get("k")
    with pytest.raises(InvalidValue, match=r"is not a Task: Expected `int`, got `str` - at `\$.pa"):
        db.json(Task).get("k")


@pytest.mark.parametrize(
    "value",
    [object(), {1: 2}, 2**64, "\ud800", b"bytes", {"a": {1}}, float],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_say_is_not_written(db: Any, value: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^the value is no JSON: ."):
        db.json.put("k", value)
    assert db.get("k") is None


@pytest.mark.parametrize("model", MODELS)
def test_what_is_not_of_the_model_is_not_written(db: Any, model: Any) -> None:
    for value in ({"page": 1}, None, "text"):
        with pytest.raises(InvalidRequest, match=f"^a value of this view is a {model.__name__}, "):
            db.json(model).put("k", value)
    assert db.get("k") is None


@pytest.mark.parametrize("model", [5, "Job", None, Job(page=1), dict, list[int]])
def test_what_is_no_model_is_said_at_once(db: Any, model: Any) -> None:
    with pytest.raises(
        InvalidRequest, match=r"^a model is a class of pydantic or msgspec, or a da"
    ):
        db.json(model)


def test_a_timeout_of_the_client_is_one_of_its_views() -> None:
    with Client("127.0.0.1:1", timeout=0.05) as db, pytest.raises(RaftzmqError, match=r"0\.05 s"):
        db.json.get("k")


def test_neither_library_is_imported_unless_it_is_used() -> None:
    script = (
        "import sys\n"
        "from raftzmq import Client\n"
        "assert Client('127.0.0.1:1').json is not None\n"
        "assert not {'pydantic', 'msgspec', 'typing_extensions'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_a_dataclass_without_msgspec_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgspec.json", None)
    with pytest.raises(InvalidRequest, match=r"dataclass Step takes msgspec: pip install msgspec$"):
        Client("127.0.0.1:1").json(Step)


if TYPE_CHECKING:
    # What mypy must see of both.

    def _types_of_the_blocking_one(db: Client) -> None:
        jobs = db.json(Job)
        assert_type(jobs.get("k"), Item[Job] | None)
        assert_type(jobs.put("k", Job(page=1)), Written[Job])
        assert_type(jobs.cas("k", Job(page=1), 0), CasResult[Job])
        assert_type(jobs.prefix("k"), Range[Job])
        assert_type(db.json(Task).get("k"), Item[Task] | None)
        assert_type(db.json.get("k"), Item[Any] | None)
        assert_type(db.get("k"), Item | None)
        jobs.put("k", 5)  # type: ignore[arg-type]

    async def _types_of_the_asyncio_one(db: AsyncClient) -> None:
        jobs = db.json(Job)
        assert_type(await jobs.get("k"), Item[Job] | None)
        assert_type(await jobs.put("k", Job(page=1)), Written[Job])
        assert_type(await db.json.prefix("k"), Range[Any])
        await jobs.put("k", 5)  # type: ignore[arg-type]
