"""Everything that can go wrong, in one tree.

The law of this file: an exception says whose fault it is and carries its data as attributes. A
refusal knows the HTTP status and the public code it stands for; what may not leave the process
(the exact ``reason``) is kept apart from what may. That is all it knows of HTTP.

::

    CaptureError
    ├── Refused                     the request's fault; .status .code .reason .field .expected
    │   ├── MalformedRequest        .status and .code by what is wrong, see ANSWERS
    │   ├── UnknownSource           401 unknown-key
    │   ├── BadOrigin               403 bad-origin
    │   ├── UnknownActivity         404 not-found; .reason is unknown, disabled or archived
    │   ├── NotIdentified           400 not-identified
    │   │   └── NeedsVerified       401 needs-verified
    │   ├── BadToken                401 bad-session
    │   │   └── BadIdentity         401 bad-identity
    │   ├── InvalidAttributes       400 bad-attribute; .field .expected
    │   ├── RateLimited             429 rate-limit; .retry_after .quota
    │   ├── BadQuery                400 bad-query; .field .expected
    │   ├── ReportTooLong           422 too-long
    │   ├── ReportsBusy             429 busy; .retry_after
    │   └── Changed                 412 changed
    ├── BackendError                503 unavailable: a backend's fault; the cause is the driver's
    │   └── StorageFull             503 storage-full
    └── ConfigurationError          the operator's fault; .field, and the message says what to do
"""

from __future__ import annotations

from traceback import extract_tb
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import Quota


class CaptureError(Exception):
    """The root: ``except CaptureError`` catches everything this package raises on purpose."""


class CaptureWarning(UserWarning):
    """Something an operator should mend, though capture goes on."""


class Refused(CaptureError):
    """The request's own fault.

    :param reason: what exactly happened, for operators only (log, console); defaults to the code.
    :param field: the member of the request at fault; public.
    :param expected: what would have been right, never the value that was sent; public.
    """

    status: int = 400
    code: str = "bad-request"
    message: str = "the request does not have the expected shape"

    def __init__(
        self, reason: str | None = None, *, field: str | None = None, expected: str | None = None
    ) -> None:
        self.reason = reason or self.code
        self.field = field
        self.expected = expected
        #: Whose request it was, when that was known already; for operators only.
        self.person_id: str | None = None
        super().__init__(self.reason)

    def __str__(self) -> str:
        parts = [f"{self.code}: {self.message}"]
        if self.reason != self.code:
            parts.append(f"reason: {self.reason}")
        if self.field:
            parts.append(f"field: {self.field}")
        if self.expected:
            parts.append(f"expected: {self.expected}")
        return "; ".join(parts)


#: The answers of contract §4, rows 1 to 6: the status and the message of each code.
ANSWERS = {
    "bad-request": (400, "the request does not have the expected shape"),
    "method-not-allowed": (405, "this route does not take that method"),
    "too-large": (413, "the body is too large"),
    "unsupported-media-type": (415, "send UTF-8 JSON, uncompressed"),
    "incomplete": (400, "the body did not arrive whole"),
    "length-required": (411, "a Content-Length is needed"),
    "bad-json": (400, "the body is not one strict JSON object"),
    "not-found": (404, "not found"),
}


class MalformedRequest(Refused):
    """The request's shape is wrong (contract §4, rows 1 to 6); ``field`` names the member.

    :param code: one of :data:`ANSWERS`.
    :param allow: the methods that work here, of a ``method-not-allowed``.
    """

    def __init__(
        self,
        reason: str | None = None,
        *,
        code: str = "bad-request",
        field: str | None = None,
        allow: str | None = None,
    ) -> None:
        self.code = code
        self.status, self.message = ANSWERS[code]
        self.allow = allow
        super().__init__(reason, field=field)


class UnknownSource(Refused):
    """The capture key is none of the configured sources."""

    status = 401
    code = "unknown-key"
    message = "this capture key is not known here"


class BadOrigin(Refused):
    """The source lists origins and this one is not among them."""

    status = 403
    code = "bad-origin"
    message = "this origin may not use this capture key"


class UnknownActivity(Refused):
    """No such activity, or it may not be sent from websites; the answer is the same."""

    status = 404
    code = "not-found"
    message = "not found"


class NotIdentified(Refused):
    """No person is identified, so the activity would belong to none."""

    code = "not-identified"
    message = "identify the person first"


class NeedsVerified(NotIdentified):
    """The definition wants a person whom the host vouches for, and a browser only claimed one."""

    status = 401
    code = "needs-verified"
    message = "the host has to vouch for the person"


class BadToken(Refused):
    """A session token is forged, mangled or expired."""

    status = 401
    code = "bad-session"
    message = "the session token is not valid"


class BadIdentity(BadToken):
    """An identity token is forged, mangled or expired."""

    code = "bad-identity"
    message = "the identity token is not valid"


class InvalidAttributes(Refused):
    """An attribute does not fit the definition; ``expected`` says what would."""

    code = "bad-attribute"
    message = "an attribute does not fit the definition"


class RateLimited(Refused):
    """A quota is full; nothing was counted.

    ``retry_after`` is the exact number of seconds, ≥ 1, until that ``quota`` has room. The public
    answer carries ``public_retry_after`` instead: the time until the first of the quotas involved
    starts a new window, the same number whichever of them was full, so that it does not tell which.
    """

    status = 429
    code = "rate-limit"
    message = "rate limit"

    def __init__(
        self, reason: str, *, quota: Quota, retry_after: int, public_retry_after: int
    ) -> None:
        super().__init__(reason)
        self.quota = quota
        self.retry_after = retry_after
        self.public_retry_after = public_retry_after


class BadQuery(Refused):
    """A question cannot be asked like this; ``field`` names its member."""

    code = "bad-query"
    message = "the question cannot be asked like this"

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(field=field, expected=expected)


class ReportTooLong(Refused):
    """A report needs more time than one may take."""

    status = 422
    code = "too-long"
    message = "the report takes too long, ask for a shorter period"


class ReportsBusy(Refused):
    """Another report is made at this moment; ``retry_after`` says when to try again, in seconds."""

    status = 429
    code = "busy"
    message = "another report is being made, try again in a second"
    retry_after = 1


class Changed(Refused):
    """What was to be replaced or removed is another by now; nothing was written."""

    status = 412
    code = "changed"
    message = "it was changed meanwhile, look at it again"


class BackendError(CaptureError):
    """A backend did not do its work; nothing was acknowledged. The driver's error is the cause."""

    status: int = 503
    code: str = "unavailable"
    message: str = "try again shortly"


class StorageFull(BackendError):
    """A bound was reached: disk, quota or a memory cap. Existing data is untouched."""

    code = "storage-full"
    message = "storage is full, try again later"


class ConfigurationError(CaptureError, ValueError):
    """A setting or a definition is wrong; raised while building it, never while serving.

    :param field: the setting or member at fault.
    """

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(f"{field}: {message}")


def place(error: BaseException) -> str:
    """Where an exception was raised, as ``file:line``: what a log may say of one.

    Its message may hold what a visitor sent.
    """
    where = extract_tb(error.__traceback__)[-1]
    return f"{where.filename}:{where.lineno}"
