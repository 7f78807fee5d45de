"""Descriptors 0 to 2 belong to the standard streams, also when these were closed.

A program that is started with `2>&-` gets descriptor 2 for the next file that it opens. Whatever is
printed to stderr then lands in that file, which may be the log of a node.
"""

from __future__ import annotations

import os
import sys
from typing import Final

_STREAMS: Final = ("stdin", "stdout", "stderr")


def reserve() -> None:
    """Take those of the descriptors 0 to 2 that are closed, and make streams of them for Python.

    Call it before anything is opened. What is written to such a stream is dropped. Reading one
    raises OSError: end of file would be an empty value to whoever reads a value.
    """
    for descriptor, name in enumerate(_STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest that is free, and so this one.
            taken = os.open(os.devnull, os.O_WRONLY)
            assert taken == descriptor, f"descriptor {descriptor} went to somebody else"
            os.set_inheritable(descriptor, True)
        if getattr(sys, name) is None:  # Python found it closed
            mode = "r" if name == "stdin" else "w"
            stream = open(  # noqa: SIM115 -- a descriptor, for the rest of the process
                descriptor, mode, encoding="utf-8", errors="backslashreplace", closefd=False
            )
            setattr(sys, name, stream)
