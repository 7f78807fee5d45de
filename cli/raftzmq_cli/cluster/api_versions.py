"""The API version in which an object is sent: that of the manifests, or an older server's.

The manifests name the newest version that they need. A server from before that version has the same
object under an older one, with the same fields as far as the manifests use them.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

SEPARATOR: Final = "---\n"


class Renamed(NamedTuple):
    """An API version that came with a version of Kubernetes, and what it was called before."""

    since: tuple[int, int]
    older: str


RENAMED: Final = {
    ("PodDisruptionBudget", "policy/v1"): Renamed((1, 21), "policy/v1beta1"),
    ("CronJob", "batch/v1"): Renamed((1, 21), "batch/v1beta1"),
}
"""By kind and API version, of all that the manifests have and Kubernetes 1.20 does not."""

_FIELD: Final = re.compile(r"^(apiVersion|kind): *(\S+) *$", re.MULTILINE)


def understood_by(server: tuple[int, int], text: str) -> str:
    """The objects of a YAML text as kustomize writes it, each in a version that the server has."""
    return SEPARATOR.join(_understood(server, document) for document in text.split(SEPARATOR))


def _understood(server: tuple[int, int], document: str) -> str:
    fields = dict(_FIELD.findall(document))
    version = fields.get("apiVersion", "")
    renamed = RENAMED.get((fields.get("kind", ""), version))
    if renamed is None or server >= renamed.since:
        return document
    return re.sub(
        rf"^apiVersion: *{re.escape(version)} *$",
        f"apiVersion: {renamed.older}",
        document,
        count=1,
        flags=re.MULTILINE,
    )
