"""Prefixes in the order of keys, which is that of code points."""

from __future__ import annotations

from typing import Final

_LAST_CODE_POINT: Final = "\U0010ffff"
_BEFORE_SURROGATES: Final = "\ud7ff"
_AFTER_SURROGATES: Final = "\ue000"  # surrogates are no characters: no key has any


def prefix_end(prefix: str) -> str:
    """Return the first text after all that begin with `prefix`; "" if there is none.

    >>> prefix_end("jobs/")
    'jobs0'
    """
    stem = prefix.rstrip(_LAST_CODE_POINT)
    if not stem:
        return ""
    last = stem[-1]
    return stem[:-1] + (_AFTER_SURROGATES if last == _BEFORE_SURROGATES else chr(ord(last) + 1))
