"""Builds outcomes from answers and errors."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from inventory.errors import Status
from inventory.outcome import Outcome

if TYPE_CHECKING:
    from inventory.cloud.responses import Answer
    from inventory.errors import CallError
    from inventory.scheduling.retry import Attempts

_OK: Final = HTTPStatus.OK.value  # an enum's members are found slowly
_CONFIGURED: Final = Status.CONFIGURED


def success_outcome(urn: str, answer: Answer, operation: str, attempts: Attempts) -> Outcome:
    """The outcome of a received config."""
    return Outcome(
        urn,
        _CONFIGURED,
        None,
        _OK,
        None,
        None,
        answer.body,
        operation,
        attempts.attempts,
        attempts.throttled,
        answer.request_id,
        attempts.duration_ms,
        attempts.finished_at,
    )


def failure_outcome(urn: str, error: CallError, operation: str, attempts: Attempts) -> Outcome:
    """The outcome of a failed URN."""
    return Outcome(
        urn,
        error.status,
        error.kind,
        error.status_code,
        error.error_code,
        error.error_msg,
        error.body,
        operation,
        attempts.attempts,
        attempts.throttled,
        error.request_id,
        attempts.duration_ms,
        attempts.finished_at,
    )
