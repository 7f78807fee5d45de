"""Who has a place in a queue, in words for people."""

from __future__ import annotations

import os


def this_process() -> str:
    """This process, as HOST:PID: what a place says of its owner who says nothing of himself.

    A host name that is no text is shown as far as it is.
    """
    import socket  # only who claims something needs it

    host = socket.gethostname().encode("utf-8", "replace").decode()
    return f"{host}:{os.getpid()}"
