import pandas as pd
import pytest
from support.snapshots import calls, destinations, functions, urn

from inventory.errors import UsageError
from inventory.reviews import bill, obs_retention, stored_gigabytes, volumes

RETRIES = "max_async_retry_attempts"
TABLE = functions(
    {
        "a": {RETRIES: 2, "enable_async_status_log": True},
        "b": {RETRIES: 0, "enable_async_status_log": False},
        "unset": "not_configured",
        "broken": "failed",
    }
)
STORED = destinations(
    ("a", "on_success", {"obs_bucket": "ever", "obs_expires_days": 0}),
    ("a", "on_failure", {"obs_bucket": "week", "obs_expires_days": 15}),
    ("b", "on_failure", {"obs_bucket": "who-knows"}),
)


def cost_inputs(**numbers):
    defaults = {"events_per_month": 1000, "failing_share": 0.1, "object_kilobytes": 1000, "log_kilobytes_per_event": 2}
    return pd.DataFrame(
        [(name, "*", value) for name, value in {**defaults, **numbers}.items()], columns=["quantity", "of", "value"]
    )


def test_volumes_are_traffic_times_configuration():
    monthly = volumes(TABLE, STORED, cost_inputs()).set_index("urn")
    assert list(monthly.index) == [urn("a:latest"), urn("b:latest"), urn("unset:latest")]
    assert monthly["first calls"].tolist() == [1000] * 3
    assert monthly["retries"].tolist() == [200, 0, 0]
    assert monthly["OBS, never expires"].tolist() == pytest.approx([0.9, 0, 0])
    assert monthly["OBS, expires"].tolist() == pytest.approx([0.1 * 15 / 30, 0, 0])
    assert monthly["OBS, expiry not said"].tolist() == pytest.approx([0, 0.1, 0])
    assert monthly["status log"].tolist() == pytest.approx([0.002, 0, 0])


def test_calls_by_destinations_depend_on_the_event():
    table = functions({"a": {}, "b": {}, "deleted": "not_found"})
    monthly = volumes(table, calls(("a", "on_success", "b"), ("b", "on_failure", "deleted")), cost_inputs())
    assert monthly["calls by destinations"].tolist() == pytest.approx([900, 0])


def test_the_most_specific_traffic_is_used():
    specific = pd.DataFrame(
        [("events_per_month", "default", 7), ("events_per_month", urn("b"), 5)], columns=["quantity", "of", "value"]
    )
    table = functions({"a": {}, "b:latest": {}, "urn:fss:cn-north-4:p1:function:orders:c": {}})
    monthly = volumes(table, calls(), pd.concat([cost_inputs(), specific]))
    assert monthly.set_index("function_name")["events"].to_dict() == {"a": 7, "b": 5, "c": 1000}


def test_amounts_need_a_price():
    monthly = volumes(TABLE, STORED, cost_inputs())
    assert bill(monthly, cost_inputs())["amount"].isna().all()
    prices = {"price_per_million_calls": 10, "price_per_gigabyte_month": None}
    priced = bill(monthly, cost_inputs(**prices)).set_index("item")["amount"]
    assert priced["first calls"] == pytest.approx(3000 / 1e6 * 10)
    assert priced["retries"] == pytest.approx(200 / 1e6 * 10)
    assert priced.isna().sum() == 4


def test_only_objects_that_expire_stop_growing():
    stored = stored_gigabytes(volumes(TABLE, STORED, cost_inputs()), 12)
    assert stored.loc[12].tolist() == pytest.approx([12 * 0.9, 12 * 0.1, 0.05])
    assert stored.loc[1].tolist() == pytest.approx([0.9, 0.1, 0.05])


def test_only_zero_days_never_expire():
    rows = [("a", "on_success", {"obs_expires_days": days}) for days in (0, 1, None, -1)]
    assert obs_retention(destinations(*rows))["kept"].tolist() == ["never", "expires", "not_said", "not_said"]


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"failing_share": 1.5}, "failing_share is 1.5"),
        ({"events_per_month": -1}, "events_per_month is -1"),
        ({"object_kilobytes": "much"}, "'much', not a number"),
        ({"log_kilobytes_per_event": None}, "log_kilobytes_per_event of '\\*' is missing"),
    ],
)
def test_an_invalid_number_is_rejected(numbers, message):
    with pytest.raises(UsageError, match=message):
        volumes(TABLE, STORED, cost_inputs(**numbers))


def test_an_empty_snapshot_has_zero_volumes():
    monthly = volumes(TABLE.iloc[:0], STORED.iloc[:0], cost_inputs())
    assert bill(monthly, cost_inputs())["volume"].tolist() == [0] * 7
    assert stored_gigabytes(monthly, 2).to_numpy().sum() == 0
