"""Where the checkout is: image, manifests and the acceptance run are files of it, not of the wheel.

It is found from this package's own place (a plain editable install) or from the working directory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from raftzmq.errors import InvalidRequest

_SIGNS: Final = ("pyproject.toml", "containers/Dockerfile", "kube")


def root() -> Path:
    """The top directory of the checkout. Raises InvalidRequest if there is none."""
    here = Path.cwd()
    for directory in (Path(__file__).resolve().parents[3], here, *here.parents):
        if all((directory / sign).exists() for sign in _SIGNS):
            return directory
    raise InvalidRequest(
        "this command needs a checkout of raftzmq, for its containers/ and kube/: "
        "clone the repository and run it there"
    )
