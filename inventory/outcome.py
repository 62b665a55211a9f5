"""How one URN was settled: what the ledger keeps of it.

Owns the fields that pass from a scope to the ledger and from the ledger to the tables. Knows neither of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inventory.errors import Status

if TYPE_CHECKING:
    from inventory.cloud.responses import Answer
    from inventory.errors import CallError, ErrorKind
    from inventory.scheduling.retry import Attempts

SHOW = "ShowFunctionAsyncInvokeConfig"
"""The vendor's name of the operation that settles a URN by a call of its own."""
LIST_CONFIGS = "ListFunctionAsyncInvokeConfig"
"""The same of the one that tells the configs of all versions of a function."""


class Outcome(NamedTuple):
    """One settled URN.

    Units: ``duration_ms`` milliseconds of the last call; ``finished_at`` microseconds since 1970-01-01 UTC.

    Attributes:
        urn: the full function URN that was asked for.
        status: how it ended.
        error_kind: why, where ``status`` is ``failed``.
        http_status: of the last answer; None where none came.
        error_code: the vendor's code.
        error_msg: the vendor's text, redacted; or what happened where no answer came.
        body: the raw answer: the config as sent, or an error's body, redacted.
        operation: the API operation that settled it.
        attempts: calls that used up an attempt; in the ledger, of all sessions of the run.
        throttled: calls that were answered 429, which use up none; the same.
        request_id: of the last answer.
        duration_ms: how long the last call took.
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


def settled(urn: str, answer: Answer, operation: str, counts: Attempts) -> Outcome:
    """The outcome of a URN whose config came."""
    return Outcome(
        urn,
        Status.CONFIGURED,
        None,
        200,
        None,
        None,
        answer.body,
        operation,
        counts.attempts,
        counts.throttled,
        answer.request_id,
        counts.duration_ms,
        counts.finished_at,
    )


def failed(urn: str, error: CallError, operation: str, counts: Attempts) -> Outcome:
    """The outcome of a URN for which no config came, in the error's words."""
    return Outcome(
        urn,
        error.status,
        error.kind,
        error.status_code,
        error.error_code,
        error.error_msg,
        error.body,
        operation,
        counts.attempts,
        counts.throttled,
        error.request_id,
        counts.duration_ms,
        counts.finished_at,
    )
