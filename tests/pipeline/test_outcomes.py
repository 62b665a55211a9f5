from __future__ import annotations

import pytest

from inventory.cloud.responses import Answer
from inventory.errors import (
    CallConnectionError,
    ErrorKind,
    NotConfiguredError,
    NotFoundError,
    ServerError,
    Status,
)
from inventory.outcome import Outcome
from inventory.pipeline.outcomes import failure_outcome, success_outcome
from inventory.scheduling.retry import Attempts

URN = "urn:fss:cn-north-4:p0:function:default:f"


def attempts():
    made = Attempts(0.0)
    made.attempts, made.throttled, made.duration_ms, made.finished_at = 3, 2, 4.5, 1_700_000_000_000_006
    return made


def test_a_config_is_the_body_of_a_configured_urn():
    assert success_outcome(URN, Answer(b'{"a":1}', "id-7"), "List", attempts()) == Outcome(
        urn=URN,
        status=Status.CONFIGURED,
        error_kind=None,
        http_status=200,
        error_code=None,
        error_msg=None,
        body=b'{"a":1}',
        operation="List",
        attempts=3,
        throttled=2,
        request_id="id-7",
        duration_ms=4.5,
        finished_at=1_700_000_000_000_006,
    )


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (NotConfiguredError, Status.NOT_CONFIGURED, None),
        (NotFoundError, Status.NOT_FOUND, None),
        (ServerError, Status.FAILED, ErrorKind.SERVER_ERROR),
    ],
)
def test_an_error_is_the_outcome_of_its_class_with_the_vendors_fields(error, status, kind):
    failed = error("no", status_code=404, error_code="FSS.0404", request_id="id-8", body=b"{}")
    assert failure_outcome(URN, failed, "Show", attempts()) == Outcome(
        urn=URN,
        status=status,
        error_kind=kind,
        http_status=404,
        error_code="FSS.0404",
        error_msg="no",
        body=b"{}",
        operation="Show",
        attempts=3,
        throttled=2,
        request_id="id-8",
        duration_ms=4.5,
        finished_at=1_700_000_000_000_006,
    )


def test_a_call_without_an_answer_has_neither_status_nor_code():
    failed = failure_outcome(URN, CallConnectionError("reset"), "Show", attempts())
    assert (failed.http_status, failed.error_code, failed.request_id, failed.body) == (None, None, None, b"")
    assert (failed.status, failed.error_kind, failed.error_msg) == (Status.FAILED, ErrorKind.CONNECTION, "reset")
