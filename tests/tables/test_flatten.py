from __future__ import annotations

import json
from datetime import UTC, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.project import DATA

from inventory.outcome import Outcome
from inventory.tables import schema
from inventory.tables.destinations import PARAMETERS
from inventory.tables.flatten import flatten, read_time

RECORDED = [entry for entry in json.loads((DATA / "real_answers.json").read_text()) if entry["kind"] == "response"]
URN = "urn:fss:cn-north-4:p0:function:default:f:!prod"
NAMES = (URN, "cn-north-4", "p0", "default", "f", "prod", "alias")
SIDE = (URN, "cn-north-4", "p0", "f", "prod")
TARGET = "urn:fss:{region}:5691ba790e2b46ceb38316xxxxxxxxxx:function:default:testPython:latest"
TARGET_PARAM = '{"func_urn":"' + TARGET + '"}'
T_14_50_02 = 1614840602000000  # 2021-03-04T06:50:02Z in microseconds, by `date -u -d 2021-03-04T06:50:02Z +%s`
NEW_YEAR_2017 = 1483228800000000


def settled(body: object, status: str = "configured", **fields: object) -> Outcome:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    values = {"error_kind": None, "http_status": 200, "error_code": None, "error_msg": None} | fields
    return Outcome(URN, status, *values.values(), raw, "ShowFunctionAsyncInvokeConfig", 1, 0, "r-1", 12.5, 1_000_000)


def target(event: str) -> tuple[object, ...]:
    kinds = (None, None, None, None, None, TARGET, None)
    return (*SIDE, event, "FunctionGraph", TARGET_PARAM, True, *kinds)


@pytest.mark.parametrize(
    ("number", "last_modified", "raw"), [(0, None, "2021-03-04 14:50:02"), (1, T_14_50_02, "2021-03-04T14:50:02+08:00")]
)
def test_the_documented_answers(number, last_modified, raw):
    rows = flatten(URN, settled(RECORDED[number]["body"]))
    answered = "urn:fss:xxxxxxxxx:7aad83af3e8d42e99ac194xxxxxxxxxx:function:default:test:latest"
    assert rows.function == (
        *NAMES,
        *("configured", None, 200, None, None, answered, 60, 1, None, "FunctionGraph", "FunctionGraph"),
        *(T_14_50_02, "2021-03-04T14:50:02+08:00", last_modified, raw, None, True),
    )
    assert rows.destinations == [target("on_failure"), target("on_success")]
    assert rows.call == (URN, "ShowFunctionAsyncInvokeConfig", 1, 0, "r-1", 12.5, 1_000_000)


def test_the_documented_item_of_the_list_api():
    rows = flatten(URN, settled(RECORDED[2]["body"]["async_invoke_configs"][0]))
    assert rows.function[7:] == (
        *("configured", None, 200, None, None),
        "urn:fss:{region}:5691ba790e2b46ceb38316xxxxxxxxxx:function:default:test_async:latest",
        *(60, 1, None, "FunctionGraph", "FunctionGraph"),
        *(T_14_50_02, "2021-03-04T14:50:02+08:00", T_14_50_02, "2021-03-04T14:50:02+08:00"),
        '{"count":2,"page_info":{"current_count":2,"next_marker":2,"previous_marker":0}}',
        True,
    )
    assert rows.destinations == [target("on_failure"), target("on_success")]


FRAGMENTS = {
    3: ("OBS", '{"bucket": "b", "prefix": "/success", "expires": 5}', True, "b", "/success", 5, None, None, None, None),
    4: (
        *("SMN", '{"topic_urn": "urn:smn:cn-north-4:<project_id>:<topic>"}', True, None, None, None),
        *("urn:smn:cn-north-4:<project_id>:<topic>", None, None, None),
    ),
    5: ("DIS", '{"stream_name": "<stream>"}', True, None, None, None, None, "<stream>", None, None),
    6: (
        *("OBS", '{"bucket":"fgs-invoke","prefix":"/function1/","expires":1}', True),
        *("fgs-invoke", "/function1/", 1, None, None, None, None),
    ),
}


@pytest.mark.parametrize("number", FRAGMENTS)
@pytest.mark.parametrize("event", ["on_success", "on_failure"])
def test_the_recorded_destinations(number, event):
    assert RECORDED[number]["api"] == "FuncDestinationConfig fragment"
    rows = flatten(URN, settled({"func_urn": "u", "destination_config": {event: RECORDED[number]["body"]}}))
    assert rows.destinations == [(*SIDE, event, *FRAGMENTS[number])]
    typed = {"on_success": rows.function[16], "on_failure": rows.function[17]}
    assert typed.pop(event) == FRAGMENTS[number][0]
    assert list(typed.values()) == [None]


@pytest.mark.parametrize("number", [2, 7, 8, 9, 10, 11, 12, 13])
def test_recorded_answers_of_other_operations_are_no_config(number):
    body = RECORDED[number]["body"]
    if number == 11:
        rows = flatten(URN, settled(body))
        assert rows.function[20:22] == (1572493078000000, "2019-10-31T11:37:58+08:00")
        assert json.loads(rows.function[22]) == {name: body[name] for name in body if name != "last_modified"}
    else:
        with pytest.raises(ValueError, match="config"):
            flatten(URN, settled(body))


def test_every_recorded_response_is_a_case():
    assert len(RECORDED) == 14
    assert {0, 1, 2, *FRAGMENTS, 7, 8, 9, 10, 11, 12, 13} == set(range(14))


@pytest.mark.parametrize(
    "side", [None, {}, "", "{}", {"destination": "", "param": ""}, {"destination": "", "param": "{}"}]
)
def test_an_empty_side_makes_no_row(side):
    sides = {"on_success": side, "on_failure": {"destination": "SMN", "param": '{"topic_urn":"t"}'}}
    rows = flatten(URN, settled({"destination_config": sides}))
    assert [row[5:8] for row in rows.destinations] == [("on_failure", "SMN", '{"topic_urn":"t"}')]
    assert (rows.function[16], rows.function[17], rows.function[22]) == (None, "SMN", None)


def test_an_empty_destination_with_a_param_is_kept():
    side = {"destination": "", "param": '{"bucket":"b"}'}
    rows = flatten(URN, settled({"destination_config": {"on_success": side}}))
    assert rows.destinations == []
    assert json.loads(rows.function[22]) == {"destination_config": {"on_success": side}}


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        (
            {"destination": "ROCKETMQ", "param": '{"topic":"t"}'},
            ("ROCKETMQ", '{"topic":"t"}', True, None, None, None, None, None, None, None),
        ),
        ({"destination": "SMN", "param": "oops"}, ("SMN", "oops", False, None, None, None, None, None, None, None)),
        ({"destination": "SMN"}, ("SMN", None, False, None, None, None, None, None, None, None)),
        (
            {"destination": "OBS", "param": '{"bucket":5,"prefix":null,"expires":"7"}'},
            ("OBS", '{"bucket":5,"prefix":null,"expires":"7"}', True, None, None, 7, None, None, None, None),
        ),
        (
            {"destination": "OBS", "param": '{"expires":0,"topic_urn":"t"}'},
            ("OBS", '{"expires":0,"topic_urn":"t"}', True, None, None, 0, None, None, None, None),
        ),
        (
            {"destination": "DIS", "param": {"stream_name": "s"}, "new": 1},
            (
                "DIS",
                '{"stream_name":"s"}',
                True,
                None,
                None,
                None,
                None,
                "s",
                None,
                '{"new":1,"param":{"stream_name":"s"}}',
            ),
        ),
    ],
)
def test_destinations_that_are_not_as_documented(side, expected):
    rows = flatten(URN, settled({"destination_config": {"on_failure": side}}))
    assert rows.destinations == [(*SIDE, "on_failure", *expected)]


@pytest.mark.parametrize(
    ("text", "zone", "microseconds"),
    [
        ("2021-03-04T14:50:02+08:00", None, T_14_50_02),
        ("2021-03-04T06:50:02Z", None, T_14_50_02),
        ("2021-03-04T06:50:02.000001Z", None, T_14_50_02 + 1),
        (" 2021-03-04T06:50:02Z ", None, T_14_50_02),
        ("2021-03-04 14:50:02", None, None),
        ("2021-03-04 14:50:02", ZoneInfo("Asia/Shanghai"), T_14_50_02),
        ("2021-03-04 06:50:02", UTC, T_14_50_02),
        ("2021-03-04T06:50:02Z", ZoneInfo("Asia/Shanghai"), T_14_50_02),
        ("1969-12-31T23:59:59Z", None, -1_000_000),
        ("2021-03-04t06:50:02z", None, T_14_50_02),
        ("20210304T065002z", None, T_14_50_02),
        ("2016-12-31T23:59:60Z", None, NEW_YEAR_2017),
        ("2016-12-31t23:59:60z", None, NEW_YEAR_2017),
        ("20161231T235960Z", None, NEW_YEAR_2017),
        ("2017-01-01T07:59:60+08:00", None, NEW_YEAR_2017),
        ("2016-12-31T23:59:60.25Z", None, NEW_YEAR_2017 + 250_000),
        ("2017-01-01 07:59:60", ZoneInfo("Asia/Shanghai"), NEW_YEAR_2017),
        ("2017-01-01 07:59:60", None, None),
        ("2016-12-31T22:59:60Z", None, None),  # no leap second then
        ("2016-12-30T23:59:60Z", None, None),
        ("2017-01-01T07:59:60Z", None, None),
        ("2016-12-31T23:59:601Z", None, None),
        ("2016-12-31T23:59:61Z", None, None),
        ("9999-12-31T23:59:60Z", None, None),
        ("2021-03-04T24:00:00Z", None, None),
        ("2021-03-04T06:50:02zz", None, None),
        ("2021-03-04T06:50:02xZ", None, None),  # Python reads it
        ("2021-03-04T06:50:02:5Z", None, None),
        ("2021-03-04T06:50:02 +08:00", None, T_14_50_02 - 8 * 3600 * 1_000_000),
        ("2021-03-04T06:50:02.1234567-0030", None, T_14_50_02 + 1800_123_456),
        ("0001-01-01T00:00:00+14:00", None, None),  # the tables' readers have no year 0 or 10000
        ("9999-12-31T23:59:59-14:00", None, None),
        ("0001-01-01 00:00:00", timezone(timedelta(hours=14)), None),
        ("9999-12-31T23:59:59Z", None, 253402300799000000),
        ("2019-10-29171553", None, None),
        ("1571989047", None, None),
        ("2021-13-04T14:50:02Z", None, None),
        ("", UTC, None),
        ("yesterday", UTC, None),
        (None, UTC, None),
    ],
)
def test_times(text, zone, microseconds):
    assert read_time(text, zone) == microseconds


def test_the_raw_time_stays_beside_the_typed_one():
    body = {"created_time": "2021-03-04 14:50:02", "last_modified": "soon"}
    row = flatten(URN, settled(body), ZoneInfo("Asia/Shanghai")).function
    assert row[18:22] == (T_14_50_02, "2021-03-04 14:50:02", None, "soon")


def test_a_urn_that_was_not_attempted():
    rows = flatten("urn:fss:r:p:function:d:f", None)
    assert rows.function == ("urn:fss:r:p:function:d:f", "r", "p", "d", "f", None, None, "not_attempted", *[None] * 16)
    assert (rows.destinations, rows.call) == ([], None)


def test_an_error_keeps_the_vendors_words_and_the_rest():
    body = {"error_code": "FSS.1051", "error_msg": "gone", "request_id": "r", "details": {"error_msg": "d"}}
    outcome = settled(body, "not_found", error_kind=None, http_status=404, error_code="FSS.1051", error_msg="gone")
    assert flatten(URN, outcome).function == (
        *NAMES,
        *("not_found", None, 404, "FSS.1051", "gone"),
        *[None] * 10,
        '{"details":{"error_msg":"d"}}',
        False,
    )


@pytest.mark.parametrize(
    ("status", "code", "known", "listed"),
    [
        ("configured", None, True, True),
        ("not_configured", "FSS.0404", None, True),
        ("not_found", "FSS.1051", False, False),
        ("not_found", "FSS.1052", None, True),
        ("failed", "FSS.0500", None, True),
        (None, None, None, True),
    ],
)
def test_whether_a_function_exists_is_said_or_not_known(status, code, known, listed):
    outcome = status and settled({"func_urn": "x"}, status, error_code=code)
    assert flatten(URN, outcome).function[-1] is known
    assert flatten(URN, outcome, listed=True).function[-1] is listed


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error_code":"FSS.0500', b"\xff"])
def test_an_error_without_json_makes_a_row(body):
    outcome = settled(body, "failed", error_kind="server_error", http_status=502)
    assert flatten(URN, outcome).function[7:] == ("failed", "server_error", 502, None, None, *[None] * 12)


SIDES = st.fixed_dictionaries(
    {},
    optional={
        "destination": st.sampled_from(["OBS", "SMN", "DIS", "FunctionGraph", "X", "", None]) | st.integers(),
        "param": st.none() | st.text(max_size=10) | st.sampled_from(['{"bucket":1}', '{"expires":1e400}', "{}"]),
        "more": st.booleans(),
    },
)
VALUES = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=9) | st.lists(st.text(max_size=3))
)


@given(
    st.fixed_dictionaries(
        {"func_urn": VALUES},
        optional={
            "max_async_retry_attempts": VALUES,
            "enable_async_status_log": VALUES,
            "created_time": VALUES | st.datetimes().map(str),
            "destination_config": VALUES
            | st.dictionaries(st.sampled_from(["on_success", "on_failure", "x"]), SIDES | VALUES),
        },
    ),
    st.dictionaries(st.text(st.characters(categories=["Lu"]), min_size=1, max_size=5), VALUES, max_size=3),
)
def test_flattening_is_total(known, unknown):
    rows = flatten(URN, settled({**known, **unknown}), UTC)
    assert len(rows.function) == 24
    assert [len(row) for row in rows.destinations] == [16] * len(rows.destinations)
    assert [row[5] for row in rows.destinations] == sorted({row[5] for row in rows.destinations})
    extra = json.loads(rows.function[22] or "{}")
    assert {name: extra[name] for name in unknown} == unknown


ALL_KEYS = {
    "bucket": "b",
    "prefix": "p",
    "expires": 3,
    "topic_urn": "urn:smn:cn-north-4:p0:t",
    "stream_name": "s",
    "func_urn": "urn:fss:cn-north-4:p0:function:default:g:latest",
}


@pytest.mark.parametrize(
    ("destination", "columns"),
    [
        ("OBS", {"obs_bucket", "obs_prefix", "obs_expires_days"}),
        ("SMN", {"smn_topic_urn"}),
        ("DIS", {"dis_stream_name"}),
        ("FunctionGraph", {"target_function_urn"}),
        ("RocketMQ", set()),
        ("obs", set()),
    ],
)
def test_a_destination_fills_the_columns_of_its_own_type_only(destination, columns):
    side = {"destination": destination, "param": json.dumps(ALL_KEYS)}
    (row,) = flatten(URN, settled({"destination_config": {"on_failure": side}})).destinations
    names = [column.name for column in schema.DESTINATIONS.columns]
    own = {name for keys in PARAMETERS.values() for name, _ in keys.values()}
    assert {name for name, cell in zip(names, row, strict=True) if name in own and cell is not None} == columns
