"""What S3-compatible storage, or the way to it, answered instead of doing what it was asked: in the
words of a person, with what to do."""

from __future__ import annotations

import re
from typing import Final

_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_STATUS: Final = re.compile(r"status code: (\d{3})")
_MESSAGE: Final = re.compile(r"<Message>([^<]+)</Message>")

_PASSING: Final = re.compile(r"5\d\d|SlowDown|InternalError|ServiceUnavailable")

_KEY_WRONG: Final = "the storage does not know the key: see what AWS_ACCESS_KEY_ID is"
_SECRET_WRONG: Final = "AWS_SECRET_ACCESS_KEY is not that of AWS_ACCESS_KEY_ID: see what both are"
_DENIED: Final = "denied: give this key the rights to list, read, write and delete there"
_ELAPSED: Final = "the credentials have expired: get others"
_REGION: Final = "the bucket is in another region: say in AWS_REGION which"
_NO_BUCKET: Final = "there is no such bucket: make it, or name another"
_NO_OBJECT: Final = "there is no such object: name another"

_REASONS: Final = {
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "AccountProblem": _DENIED,
    "AuthorizationHeaderMalformed": _REGION,
    "ExpiredToken": _ELAPSED,
    "IllegalLocationConstraintException": _REGION,
    "InvalidAccessKeyId": _KEY_WRONG,
    "InvalidToken": _ELAPSED,
    "NoSuchBucket": _NO_BUCKET,
    "NoSuchKey": _NO_OBJECT,
    "PermanentRedirect": _REGION,
    "RequestTimeTooSkewed": "the clock of this machine is not the storage's: set it right",
    "SignatureDoesNotMatch": _SECRET_WRONG,
}
"""By the word that the storage gives; a table of the words is in the reference of Amazon S3."""

_STATUSES: Final = {301: _REGION, 307: _REGION, 401: _DENIED, 403: _DENIED, 404: _NO_OBJECT}
"""By the status of an answer without such a word: HEAD gets none."""


def explained(text: str, endpoint: str) -> str:
    """The reason in the text of an error of obstore, which tells in lines of debugging what lay
    behind it. `endpoint` is who was asked."""
    if code := _CODE.search(text):
        return _REASONS.get(code[1]) or _refused(text, code[1], endpoint)
    if status := _STATUS.search(text):
        return _STATUSES.get(int(status[1])) or _refused(text, status[1], endpoint)
    if "InvalidCertificate" in text or "invalid peer certificate" in text:
        return (
            f"the certificate of {endpoint} cannot be trusted: name the file of its authority in "
            "AWS_CA_BUNDLE"
        )
    if "kind: Connect" in text:
        return f"{endpoint} cannot be reached: is AWS_ENDPOINT_URL right, and does it run?"
    if "kind: Timeout" in text or "TimedOut" in text:
        return f"{endpoint} did not answer in time: try again"
    if "HTTP error" in text or "HttpError" in text:
        return f"the connection to {endpoint} was lost: try again"
    return " ".join(text.partition("Debug source")[0].split())


def _refused(text: str, word: str, endpoint: str) -> str:
    message = _MESSAGE.search(text)
    said = f"{word}: {message[1].strip()}" if message else word
    cure = "try again later" if _PASSING.match(word) else "its log may say more"
    return f"{endpoint} refused: {said}; {cure}"
