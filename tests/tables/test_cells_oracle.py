"""Cells of random answers against a second reading of docs/tables.md that shares no code with the product."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.outcome import Outcome
from inventory.tables import schema
from inventory.tables.flatten import flatten

URN = "urn:fss:cn-north-4:p0:function:default:f:v1"
OWN = {
    "OBS": ("bucket", "prefix", "expires"),
    "SMN": ("topic_urn",),
    "DIS": ("stream_name",),
    "FunctionGraph": ("func_urn",),
}
COLUMN_OF = {
    "bucket": "obs_bucket",
    "prefix": "obs_prefix",
    "expires": "obs_expires_days",
    "topic_urn": "smn_topic_urn",
    "stream_name": "dis_stream_name",
    "func_urn": "target_function_urn",
}
YEARS = (datetime.fromisoformat("1971-01-01"), datetime.fromisoformat("2099-01-01"))
EVENTS = ("on_failure", "on_success")
TYPED = (
    "max_async_event_age_in_seconds",
    "max_async_retry_attempts",
    "enable_async_status_log",
    "created_time",
    "last_modified",
)

whole = st.integers(-(2**64), 2**64) | st.integers(-5, 90_000)
odd = (
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | st.sampled_from(["30", " 7 ", "-1", "1.5", "", "x", "true", "False", "1e3", "9" * 25])
    | st.lists(st.integers(0, 3), max_size=2)
)
moments = st.builds(
    lambda moment, hours: moment.replace(microsecond=0).isoformat() + f"{hours:+03d}:00",
    st.datetimes(*YEARS),
    st.integers(-12, 14),
)
naive = st.datetimes(*YEARS).map(lambda moment: moment.strftime("%Y-%m-%d %H:%M:%S"))
params = st.dictionaries(
    st.sampled_from([*COLUMN_OF, "other"]), st.text(max_size=4) | st.integers(-3, 400) | odd, max_size=4
).map(json.dumps) | st.sampled_from(["", "{}", "[1]", "{", "null", '"x"'])
sides = (
    st.fixed_dictionaries(
        {"destination": st.sampled_from([*OWN, "RocketMQ", ""])}, optional={"param": params, "new": st.integers(0, 2)}
    )
    | st.none()
    | st.just({})
)
configs = st.fixed_dictionaries(
    {"func_urn": st.just(URN)},
    optional={
        "max_async_event_age_in_seconds": whole | odd,
        "max_async_retry_attempts": whole | odd,
        "enable_async_status_log": st.booleans() | odd,
        "created_time": moments | naive | st.none(),
        "last_modified": moments | naive | st.none(),
        "destination_config": st.fixed_dictionaries({}, optional=dict.fromkeys(EVENTS, sides)),
        "new_field": st.integers(0, 9),
    },
)


def as_integer(value):
    """The cell, and whether it was sent as such."""
    if value is None:
        return None, True
    if isinstance(value, bool):
        return None, False
    if isinstance(value, str):
        text = value.strip()
        digits = text.lstrip("+-")
        is_number = digits.isascii() and digits.isdigit() and len(text) - len(digits) <= 1 and len(digits) <= 19
        number = int(text) if is_number else None
        return (number if number is not None and -(2**63) <= number < 2**63 else None), False
    if isinstance(value, float):
        is_whole = math.isfinite(value) and value == int(value) and -(2**63) <= int(value) < 2**63
        return (int(value) if is_whole else None), False
    if isinstance(value, int):
        return (value, True) if -(2**63) <= value < 2**63 else (None, False)
    return None, False


def as_boolean(value):
    if value is None or isinstance(value, bool):
        return value, True
    return ({"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None), False


def as_moment(text):
    if text is None or "T" not in text:
        return None
    return (datetime.fromisoformat(text).astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )


def expected_cells(config):
    extra = {name: value for name, value in config.items() if name not in (*TYPED, "func_urn", "destination_config")}
    cells = {}
    for name in TYPED[:2]:
        cells[name], exact = as_integer(config.get(name))
        if not exact:
            extra[name] = config[name]
    cells[TYPED[2]], exact = as_boolean(config.get(TYPED[2]))
    if not exact:
        extra[TYPED[2]] = config[TYPED[2]]
    for name in TYPED[3:]:
        cells[f"{name}_raw"] = config.get(name)
        cells[name] = as_moment(config.get(name))
    unread = {}
    for event in EVENTS:
        side = (config.get("destination_config") or {}).get(event)
        kind = (side or {}).get("destination") or None
        cells[f"{event}_destination"] = kind
        if (
            side
            and kind is None
            and (set(side) - {"destination", "param"} or side.get("param") not in (None, "", "{}"))
        ):
            unread[event] = side
    if unread:
        extra["destination_config"] = unread
    return cells, extra


def expected_destination(side):
    cells = dict.fromkeys(COLUMN_OF.values())
    param = side.get("param")
    try:
        parsed = None if param is None else json.loads(param)
    except ValueError:
        parsed = None
    cells["param_valid"] = isinstance(parsed, dict)
    for name in OWN.get(side["destination"], ()) if isinstance(parsed, dict) else ():
        value = parsed.get(name)
        cells[COLUMN_OF[name]] = (
            as_integer(value)[0] if name == "expires" else value if isinstance(value, str) else None
        )
    return {**cells, "destination": side["destination"], "param": param}


@given(configs)
@settings(max_examples=400, deadline=None)
def test_cells_are_those_of_a_second_reading(config):
    outcome = Outcome(URN, "configured", None, 200, None, None, json.dumps(config).encode(), "Show", 1, 0, "r", 1.0, 1)
    rows = flatten(URN, outcome)
    function = dict(zip((column.name for column in schema.FUNCTIONS.columns), rows.function, strict=True))
    cells, extra = expected_cells(config)
    assert {name: function[name] for name in cells} == cells
    assert (function["extra"] and json.loads(function["extra"])) == (extra or None)
    assert (function["status"], function["answered_urn"], function["function_exists"]) == ("configured", URN, True)
    names = [column.name for column in schema.DESTINATIONS.columns]
    destinations = {row[names.index("event")]: dict(zip(names, row, strict=True)) for row in rows.destinations}
    sides = {event: (config.get("destination_config") or {}).get(event) for event in EVENTS}
    assert set(destinations) == {event for event, side in sides.items() if side and side["destination"]}
    for event, row in destinations.items():
        expected = expected_destination(sides[event])
        assert {name: row[name] for name in expected} == expected
        assert (row["extra"] and json.loads(row["extra"])) == (
            {"new": sides[event]["new"]} if "new" in sides[event] else None
        )
