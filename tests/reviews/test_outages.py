import pytest
from support.snapshots import functions

from inventory.reviews import outage_losses

AGE = "max_async_event_age_in_seconds"


def test_an_outage_loses_the_events_that_expire():
    table = functions(
        {
            "hour": {AGE: 3600, "on_failure_destination": "OBS"},
            "minute": {AGE: 60},
            "zero": {AGE: 0},
            "no_age": {},
            "unset": "not_configured",
        }
    )
    losses = outage_losses(table, [0, 60, 120, 7200]).set_index("outage_s")
    assert losses["urns_that_lose"].tolist() == [0, 1, 2, 3]
    assert losses["lost_share"].tolist() == pytest.approx([0, 1 / 3, (0.5 + 1) / 3, (0.5 + 7140 / 7200 + 1) / 3])
    assert losses.loc[7200, "untold_share"] == pytest.approx((7140 / 7200 + 1) / 3)


def test_shares_are_nan_without_a_known_age():
    assert outage_losses(functions({"a": {}}).iloc[:0], [60])["lost_share"].isna().all()
