"""Whose answers the client ports of a local cluster give: its own nodes', or somebody else's."""

from __future__ import annotations

from collections.abc import Sequence

from raftzmq_cli.client import statuses
from raftzmq_cli.client.statuses import Document
from raftzmq_cli.local.processes import LocalCluster, LocalNode


def own(cluster: LocalCluster, documents: Sequence[Document]) -> list[Document]:
    """What the cluster's own nodes say, and of members that were added to it by hand.

    A node of another directory that answers on a port of this one counts as no answer.
    """
    by_endpoint = {document["endpoint"]: document for document in documents}
    found = [
        _own(node, by_endpoint.get(endpoint) or statuses.silent(endpoint, "no answer"), endpoint)
        for node, endpoint in zip(cluster.nodes, cluster.endpoints, strict=True)
    ]
    known = {document["node"] for document in found}
    added = {member["name"] for member in statuses.newest_members(found)} - known
    return found + [
        document
        for document in documents
        if document["endpoint"] not in cluster.endpoints and document["node"] in added
    ]


def _own(node: LocalNode, document: Document, endpoint: str) -> Document:
    if "error" in document:
        return {**document, "node": node.name}
    identity = node.identity()
    if identity and document.get("incarnation") == identity.incarnation and node.pid():
        return document
    other = f"{document['node']} of cluster {document.get('cluster') or 'none'}"
    error = f"another node answers at {endpoint}, {other}"
    return {**statuses.silent(endpoint, error), "node": node.name}
