from __future__ import annotations

from inventory.cloud.pages import Operation
from inventory.outcome import Outcome


def test_the_operation_has_the_vendors_name():
    """The ``calls`` table names the API operation as the vendor does."""
    assert Operation.SHOW_CONFIG == "ShowFunctionAsyncInvokeConfig"


def test_an_outcome_has_what_the_tables_need():
    """An outcome holds the cloud's words and how the call went, in the order in which the ledger keeps them."""
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
