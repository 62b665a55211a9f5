"""How one URN was settled: what the ledger keeps of it.

Owns the fields that pass from a scope to the ledger and from the ledger to the tables. Knows neither of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from inventory.errors import ErrorKind, Status

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
