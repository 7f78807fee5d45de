"""What becomes of a call that has changed nothing."""

from __future__ import annotations

from raftzmq.errors import Refused


class Rejected(Refused):
    """A method declined: it raises this itself, with words for its caller. Nothing was changed.

    if amount > self.accounts[payer]:
        raise Rejected(f"{payer} lacks {amount - self.accounts[payer]}")
    """

    code = "rejected"


class MethodFailed(Refused):
    """A method raised something else, or gave what is not JSON. Nothing was changed; the logs of
    the nodes have the traceback."""

    code = "method_failed"
