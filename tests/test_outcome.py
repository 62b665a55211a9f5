from __future__ import annotations

from inventory.cloud.pages import Operation
from inventory.outcome import Outcome


def test_the_operation_has_the_vendors_name():
    assert Operation.SHOW_CONFIG == "ShowFunctionAsyncInvokeConfig"


def test_an_outcome_has_what_the_tables_need():
    assert Outcome._fields == (
        "urn",
        "status",
        "error_kind",
        "http_status",
        "error_code",
        "error_msg",
        "body",
        "operation",
        "attempts",
        "throttled",
        "request_id",
        "duration_ms",
        "finished_at",
    )
