"""What the nodes say of themselves, gathered into one list, and the verdict on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from raftzmq.errors import InvalidRequest, RaftzmqError, Unauthorized, Unavailable
from raftzmq.naming import client_address, parse_address, parse_pod_name
from raftzmq_cli.client.invocation import ClientInvocation
from raftzmq_cli.common import exits, messages
from raftzmq_cli.common.printers import aligned

TIMEOUT_S: Final = 2.0
"""Wait for a node that does not answer, unless --timeout says otherwise."""

FIELDS: Final = (
    "node",
    "role",
    "term",
    "leader",
    "commit_index",
    "applied_index",
    "last_index",
    "members",
    "version",
    "healthy",
)
"""What every document has; the other fields of PROTOCOL.md's status follow."""

HEADINGS: Final = {
    "node": "NODE",
    "role": "ROLE",
    "term": "TERM",
    "leader": "LEADER",
    "commit_index": "COMMIT",
    "applied_index": "APPLIED",
    "last_index": "LAST",
    "lag": "LAG",
    "version": "VERSION",
    "healthy": "HEALTHY",
    "endpoint": "ENDPOINT",
}

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """A node's client port, and the name it was found by."""

    endpoint: str
    name: str


def collect(run: ClientInvocation, timeout_s: float = TIMEOUT_S) -> list[Document]:
    """Ask the endpoints, and the members that are not among them; one document a node.

    A node that does not answer has `healthy` false and an `error`; its name is known only if some
    other node's membership has its address. `lag` is how many committed entries a node has not
    applied yet, and `reason` says why it is not healthy.
    """
    wait_s = run.settings.timeout_s(timeout_s)
    documents = _ask(run, run.settings.endpoints, wait_s)
    members = newest_members(documents)
    by_endpoint = {client_address(m["address"]): m["name"] for m in members}
    for document in documents:
        if document["node"] is None:
            document["node"] = by_endpoint.get(document["endpoint"])
    known = {document["node"] for document in documents}
    others = [endpoint for endpoint, name in by_endpoint.items() if name not in known]
    for document in documents:
        for name, address in (document.get("twice") or {}).items():
            endpoint = client_address(address)
            if endpoint not in by_endpoint:
                others.append(endpoint)
                by_endpoint[endpoint] = name
    if others:
        more = _ask(run, others, wait_s)
        for document in more:
            document["node"] = document["node"] or by_endpoint[document["endpoint"]]
        documents += more
    documents = sorted(_once(documents), key=_order)
    committed = max((d["commit_index"] for d in documents if "error" not in d), default=0)
    for document in documents:
        silent = "error" in document
        document["lag"] = None if silent else committed - document["applied_index"]
        document["reason"] = reason(document)
    return documents


def reason(document: Document) -> str | None:
    """Why a node is not healthy, in words; None if it is."""
    if document["healthy"]:
        return None
    if "error" in document:
        return messages.one_line(str(document["error"]))
    if document.get("stopping"):
        return "is stopping"
    if document.get("disk_full"):
        return "its disk is full: free space, writes resume by themselves"
    if document.get("out_of_files"):
        return "too many files are open in it: see its limit of open files and who is connected"
    if document["role"] == "joining":
        return "is joining, and not a member yet"
    if document["leader"] is None:
        return "knows no leader"
    if document.get("unheard"):
        return str(document["unheard"])
    if document.get("behind_ms"):
        lacks_s = document["behind_ms"] / 1000
        return f"lacks what is committed for {lacks_s:.0f} s: see its disk, and the network"
    return "is not a member"


def newest_members(documents: Sequence[Document]) -> list[Document]:
    """The membership as the node with the newest log has it."""
    answered = [document for document in documents if document["members"]]
    if not answered:
        return []
    newest = max(answered, key=lambda d: (d["role"] == "leader", d["term"], d["last_index"]))
    members: list[Document] = newest["members"]
    return members


def leader_of(documents: Sequence[Document]) -> Document | None:
    """The node that leads; of two that think so, the one of the newer term."""
    leaders = [document for document in documents if document["role"] == "leader"]
    return max(leaders, key=lambda document: document["term"], default=None)


def verdict(documents: Sequence[Document]) -> int:
    """Return the exit code: 0 all is well, 1 it is not (a full store too), 3 nobody answered, 4
    nobody lets this client in."""
    if all("error" in document for document in documents):
        return exits.REFUSED if refuse_all(documents) else exits.UNAVAILABLE
    well = all(document["healthy"] for document in documents)
    leader = leader_of(documents)
    return exits.DONE if well and leader and not leader.get("store_full") else exits.NO


def refuse_all(documents: Sequence[Document]) -> bool:
    """Whether no node lets this client in."""
    return all(document.get("code") == Unauthorized.code for document in documents)


def summary(documents: Sequence[Document]) -> str:
    """The same in a few words."""
    answered = [document for document in documents if "error" not in document]
    healthy = sum(bool(document["healthy"]) for document in answered)
    leader = leader_of(documents)
    leading = f"leader {leader['node']}, term {leader['term']}" if leader else "no leader yet"
    if len(answered) < len(documents):
        return f"{len(answered)} of {len(documents)} nodes answer; {leading}"
    forming = {name for document in answered for name in document.get("forming") or ()}
    waiting = f"; waiting for {', '.join(sorted(forming))}" if forming else ""
    return f"{healthy} of {len(documents)} nodes healthy; {leading}{waiting}"


def judgement(documents: Sequence[Document], cure: str = "start them, or see --endpoints") -> str:
    """What follows for whoever uses the cluster, in one line; with what to do if nobody answers."""
    answered = [document for document in documents if "error" not in document]
    if documents and refuse_all(documents):
        return f"UNAUTHORIZED: none of {len(documents)} nodes lets this client in"
    if not answered:
        return f"NO ANSWER: none of {len(documents)} nodes answers; {cure}"
    forming = sorted({name for document in answered for name in document.get("forming") or ()})
    if forming:
        return f"FORMING: waiting for {', '.join(forming)} to join; writes are refused"
    voters = {member["name"] for member in newest_members(documents) if member["voter"]}
    down = sorted(voters - {document["node"] for document in answered})
    missing = len(voters) // 2 + 1 - (len(voters) - len(down))
    if missing > 0:
        alive = f"{len(voters) - len(down)} of {len(voters)} voters"
        return f"NO QUORUM: {alive}; writes are refused; {_come_back(down, missing)}"
    leader = leader_of(documents)
    if leader is None:
        return "NO LEADER: writes wait for an election; if it takes long, see the nodes' logs"
    if leader.get("store_full"):
        taken, quota = leader["store_bytes"], leader["quota_bytes"]
        return (
            f"STORE FULL: it takes {taken} bytes, its quota is {quota}; what adds is refused; "
            "delete something, or start every node with a larger --quota"
        )
    healthy = sum(bool(document["healthy"]) for document in documents)
    nodes = f"{healthy} of {len(documents)} nodes healthy; leader {leader['node']}"
    return f"OK: {nodes}" if healthy == len(documents) else f"DEGRADED: {nodes}; writes go on"


def _come_back(down: Sequence[str], missing: int) -> str:
    if missing == len(down):
        return f"{' and '.join(down)} must come back"
    if missing == 1:
        return f"{' or '.join(down)} must come back"
    return f"{missing} of {', '.join(down)} must come back"


def show(run: ClientInvocation, documents: Sequence[Document], with_pid: bool = False) -> None:
    """Print a line on each node, why it is not healthy, and the judgement on them all."""
    headings = {"pid": "PID", **HEADINGS} if with_pid else dict(HEADINGS)
    lines: list[str | bytes] = [*aligned(documents, headings)]
    for document in documents:
        who = document["node"] or document["endpoint"]
        said = (document.get("reason"), document.get("waiting"))
        lines += [f"{who}: {messages.one_line(text)}" for text in said if text]
        for peer, address in (document.get("twice") or {}).items():
            lines.append(
                f"{peer}: runs twice, with copies of one data directory, once at {address}: "
                "stop one, delete its copy"
            )
        for peer, host in (document.get("unresolved") or {}).items():
            lines.append(f"{document['node']}: the name of {peer}, {host}, does not resolve now")
        for peer, why in (document.get("refusing") or {}).items():
            lines.append(f"{document['node']}: {peer} {messages.one_line(why)}")
    well = all(document["healthy"] for document in documents)
    lines.append(judgement(documents))
    run.show(documents, lines, [*headings] if well else [*headings, "reason"])
    if run.is_table:
        messages.line(judgement(documents))


def find(run: ClientInvocation, node: str | None) -> Found:
    """Return the client port of a node by its name or HOST:PORT; None: the first that answers.

    Raises InvalidRequest if there is no such node, Unavailable if it does not answer.
    """
    if node is not None and ":" in node:
        parse_address(node)
        return Found(node, node)
    if node is not None:
        parse_pod_name(node)
    documents = collect(run)
    answered = [document for document in documents if "error" not in document]
    if not answered:
        raise Unavailable("; ".join(f"{d['endpoint']}: {d['error']}" for d in documents))
    if node is None:
        return Found(answered[0]["endpoint"], answered[0]["node"])
    named = [document for document in documents if document["node"] == node]
    if not named:
        names = ", ".join(document["node"] or document["endpoint"] for document in documents)
        raise InvalidRequest(f"there is no node {node}; there are {names}")
    if "error" in named[0]:
        raise Unavailable(f"{node} at {named[0]['endpoint']}: {named[0]['error']}")
    return Found(named[0]["endpoint"], node)


def say_done(run: ClientInvocation, document: Document, message: str) -> None:
    """Print what a request to a node, or about a member, has led to."""
    run.show({**document, "message": message}, [message])


def _ask(run: ClientInvocation, endpoints: Sequence[str], wait_s: float) -> list[Document]:
    try:
        answers = run.client.statuses(endpoints, timeout=wait_s)
    except RaftzmqError as error:
        return [silent(endpoint, str(error)) for endpoint in endpoints]
    return [
        silent(answer.endpoint, answer.error or "no answer", unauthorized=answer.unauthorized)
        if answer.status is None
        else _document(answer.endpoint, answer.status)
        for answer in answers
    ]


def _document(endpoint: str, status: dict[str, Any]) -> Document:
    first = {field: status.get(field) for field in FIELDS}
    return {**first, **status, "endpoint": endpoint}


def silent(endpoint: str, error: str, *, unauthorized: bool = False) -> Document:
    """What is shown of a node that does not answer, or does not let this client in."""
    document: Document = dict.fromkeys(FIELDS)
    document |= {"members": [], "healthy": False, "endpoint": endpoint, "error": error}
    if unauthorized:
        document["code"] = Unauthorized.code
    return {**document, "lag": None, "reason": reason(document)}


def _once(documents: Sequence[Document]) -> list[Document]:
    """Leave out what two addresses of one node said twice."""
    seen: dict[tuple[Any, ...], Document] = {}
    for document in documents:
        silent = "error" in document
        told = (document["node"], document.get("incarnation"), document.get("process"))
        key = (document["endpoint"],) if silent else told
        seen.setdefault(key, document)
    return list(seen.values())


def _order(document: Document) -> tuple[str, int, str]:
    base, _, ordinal = (document["node"] or "").rpartition("-")
    return (base or "~", int(ordinal) if ordinal.isdigit() else 0, document["endpoint"])
