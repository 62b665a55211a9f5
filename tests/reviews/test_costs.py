"""Volumes and amounts by the reader's own numbers: against sums worked out by hand."""

import pandas as pd
import pytest
from snapshots import calls, destinations, functions, urn

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
KEPT = destinations(
    ("a", "on_success", {"obs_bucket": "ever", "obs_expires_days": 0}),
    ("a", "on_failure", {"obs_bucket": "week", "obs_expires_days": 15}),
    ("b", "on_failure", {"obs_bucket": "who-knows"}),
)


def given(**numbers):
    usual = {"events_per_month": 1000, "failing_share": 0.1, "object_kilobytes": 1000, "log_kilobytes_per_event": 2}
    return pd.DataFrame(
        [(name, "*", value) for name, value in {**usual, **numbers}.items()], columns=["quantity", "of", "value"]
    )


def test_volumes_are_the_readers_traffic_times_the_configuration():
    """1,000 events, a tenth failing: 2 retries make 200 calls, objects go by event, a log is written where it is on."""
    made = volumes(TABLE, KEPT, given()).set_index("urn")
    assert list(made.index) == [urn("a:latest"), urn("b:latest"), urn("unset:latest")]
    assert made["first calls"].tolist() == [1000] * 3
    assert made["retries"].tolist() == [200, 0, 0]
    assert made["OBS, never expires"].tolist() == pytest.approx([0.9, 0, 0])
    assert made["OBS, expires"].tolist() == pytest.approx([0.1 * 15 / 30, 0, 0])
    assert made["OBS, expiry not said"].tolist() == pytest.approx([0, 0.1, 0])
    assert made["status log"].tolist() == pytest.approx([0.002, 0, 0])


def test_calls_by_destinations_go_by_event_and_not_to_what_is_gone():
    """Successes call b nine times in ten; a target that is not found is not called."""
    table = functions({"a": {}, "b": {}, "gone": "not_found"})
    made = volumes(table, calls(("a", "on_success", "b"), ("b", "on_failure", "gone")), given())
    assert made["calls by destinations"].tolist() == pytest.approx([900, 0])


def test_the_closest_traffic_holds():
    """A URN's number goes before its package's, and that before everything's; no qualifier means latest."""
    closer = pd.DataFrame(
        [("events_per_month", "default", 7), ("events_per_month", urn("b"), 5)], columns=["quantity", "of", "value"]
    )
    table = functions({"a": {}, "b:latest": {}, "urn:fss:cn-north-4:p1:function:orders:c": {}})
    made = volumes(table, calls(), pd.concat([given(), closer]))
    assert made.set_index("function_name")["events"].to_dict() == {"a": 7, "b": 5, "c": 1000}


def test_money_appears_only_where_the_reader_names_a_price():
    """Without prices every amount is empty; with one, it is volume times price, calls by the million."""
    made = volumes(TABLE, KEPT, given())
    assert bill(made, given())["amount"].isna().all()
    priced = bill(made, given(price_per_million_calls=10, price_per_gigabyte_month=None)).set_index("item")["amount"]
    assert priced["first calls"] == pytest.approx(3000 / 1e6 * 10)
    assert priced["retries"] == pytest.approx(200 / 1e6 * 10)
    assert priced.isna().sum() == 4


def test_only_what_expires_stops_growing():
    """After 12 months, what never expires is 12 times its first month; what expires is as much as in the first."""
    stored = stored_gigabytes(volumes(TABLE, KEPT, given()), 12)
    assert stored.loc[12].tolist() == pytest.approx([12 * 0.9, 12 * 0.1, 0.05])
    assert stored.loc[1].tolist() == pytest.approx([0.9, 0.1, 0.05])


def test_zero_days_never_expire_and_no_days_say_nothing():
    """Only a 0 means never; what is missing, or below 0, is not said."""
    rows = [("a", "on_success", {"obs_expires_days": days}) for days in (0, 1, None, -1)]
    assert obs_retention(destinations(*rows))["kept"].tolist() == ["never", "expires", "not_said", "not_said"]


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"failing_share": 1.5}, "failing_share is 1.5"),
        ({"events_per_month": -1}, "events_per_month is -1"),
        ({"object_kilobytes": "much"}, "'much', not a number"),
        ({"log_kilobytes_per_event": None}, "has no log_kilobytes_per_event"),
    ],
)
def test_a_number_that_cannot_be_is_said(numbers, words):
    """The sentence names the row of the reader's table."""
    with pytest.raises(UsageError, match=words):
        volumes(TABLE, KEPT, given(**numbers))


def test_an_empty_snapshot_costs_nothing():
    """Every item of the bill is there, with a volume of 0."""
    made = volumes(TABLE.iloc[:0], KEPT.iloc[:0], given())
    assert bill(made, given())["volume"].tolist() == [0] * 7
    assert stored_gigabytes(made, 2).to_numpy().sum() == 0
