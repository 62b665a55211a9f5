"""The outcome of one URN, as the ledger stores it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from inventory.errors import ErrorKind, Status


class Outcome(NamedTuple):
    """The outcome of one URN.

    Units: ``duration_ms`` milliseconds of the last call; ``finished_at`` microseconds since 1970-01-01 UTC.

    Attributes:
        urn: the full function URN.
        status: how the URN ended.
        error_kind: the reason, if ``status`` is ``failed``.
        http_status: of the last answer; None if there was none.
        error_code: the vendor's code.
        error_msg: the vendor's text, redacted; without an answer, what happened.
        body: the raw config, or an error's body, redacted.
        operation: the API operation that returned the outcome.
        attempts: calls that used up an attempt, in all sessions of the run.
        throttled: calls that were answered 429 (they use up no attempt), in all sessions of the run.
        request_id: of the last answer.
        duration_ms: duration of the last call.
        finished_at: when the last answer came.
    """

    urn: str
    status: Status
    error_kind: ErrorKind | None
    http_status: int | None
    error_code: str | None
    error_msg: str | None
    body: bytes
    operation: str
    attempts: int
    throttled: int
    request_id: str | None
    duration_ms: float
    finished_at: int
