from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.cloud.models import _read_softly, parse_int, read_config, read_func_urn
from inventory.exact_json import REPEATED, json_text, read_json, read_quickly

DOCUMENTED = {
    "func_urn",
    "max_async_event_age_in_seconds",
    "max_async_retry_attempts",
    "destination_config",
    "created_time",
    "last_modified",
    "enable_async_status_log",
}
SET = {"destination": "SMN", "param": '{"topic_urn":"t"}'}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def config(**fields: object):
    return read_config(json.dumps({"func_urn": "u", **fields}).encode())


@pytest.mark.parametrize(
    ("sent", "value", "extra"),
    [
        (60, 60, {}),
        (0, 0, {}),
        (-(2**63), -9223372036854775808, {}),
        (2**63 - 1, 9223372036854775807, {}),
        (None, None, {}),
        ("60", 60, {"max_async_retry_attempts": "60"}),
        (" 60 ", 60, {"max_async_retry_attempts": " 60 "}),
        ("", None, {"max_async_retry_attempts": ""}),
        ("many", None, {"max_async_retry_attempts": "many"}),
        ("٣", None, {"max_async_retry_attempts": "٣"}),
        (3.0, 3, {"max_async_retry_attempts": 3.0}),
        (3.5, None, {"max_async_retry_attempts": 3.5}),
        (1e300, None, {"max_async_retry_attempts": 1e300}),
        (True, None, {"max_async_retry_attempts": True}),
        ({"n": 1}, None, {"max_async_retry_attempts": {"n": 1}}),
        ([3], None, {"max_async_retry_attempts": [3]}),
        (2**63, None, {"max_async_retry_attempts": 2**63}),
    ],
)
def test_integer_of_another_type_is_read(sent, value, extra):
    read = config(max_async_retry_attempts=sent)
    assert (read.max_async_retry_attempts, read.extra) == (value, extra)


@pytest.mark.parametrize(
    ("sent", "value", "extra"),
    [
        (True, True, {}),
        (False, False, {}),
        (None, None, {}),
        ("false", False, {"enable_async_status_log": "false"}),
        ("True", True, {"enable_async_status_log": "True"}),
        ("", None, {"enable_async_status_log": ""}),
        ("yes", None, {"enable_async_status_log": "yes"}),
        (0, None, {"enable_async_status_log": 0}),
        (1, None, {"enable_async_status_log": 1}),
    ],
)
def test_boolean_text_is_read(sent, value, extra):
    read = config(enable_async_status_log=sent)
    assert (read.enable_async_status_log, read.extra) == (value, extra)


@pytest.mark.parametrize("name", ["func_urn", "created_time", "last_modified"])
@pytest.mark.parametrize(("sent", "text"), [(1571989047, "1571989047"), ({"a": [1]}, '{"a":[1]}'), (False, "false")])
def test_text_of_another_type_becomes_json(name, sent, text):
    read = config(**{name: sent})
    assert (getattr(read, name), read.extra) == (text, {name: sent})


def test_integer_beyond_64_bits_stays_in_extra():
    read = read_config(
        b'{"max_async_retry_attempts": 123456789012345678901234567890, "x": 340282366920938463463374607431768211456}'
    )
    assert read.max_async_retry_attempts is None
    assert json_text(read.extra) == (
        '{"max_async_retry_attempts":123456789012345678901234567890,"x":340282366920938463463374607431768211456}'
    )


@pytest.mark.parametrize(
    "side",
    [None, {}, "", "{}", " {} ", {"destination": "", "param": ""}, {"destination": "", "param": "{}"}, {"param": None}],
)
@pytest.mark.parametrize("other", [{}, {"on_success": SET}])
def test_empty_side_is_no_destination(side, other):
    read = config(destination_config={"on_failure": side, **other})
    assert read.on_failure is None
    assert (read.on_success is None) == (not other)
    assert read.extra == {}


@pytest.mark.parametrize("sent", [None, {}, "", "{}", {"on_success": None}, {"on_success": {}, "on_failure": {}}])
def test_empty_destination_config_is_no_destination(sent):
    read = config(destination_config=sent)
    assert (read.on_success, read.on_failure, read.extra) == (None, None, {})


@pytest.mark.parametrize(
    "side",
    [
        {"destination": "", "param": '{"topic_urn":"t"}'},
        {"destination": None, "param": '{"bucket":"b"}'},
        {"param": '{"bucket":"b"}'},
        {"destination": "", "param": "", "new": 1},
        {"new": 1},
        "SMN",
        ["SMN"],
        False,
        7,
    ],
)
def test_unknown_side_stays_in_extra(side):
    read = config(destination_config={"on_success": side})
    assert read.on_success is None
    assert read.extra == {"destination_config": {"on_success": side}}


@pytest.mark.parametrize("sent", ["SMN", ["x"], 7, False])
def test_destination_config_of_another_type_stays_in_extra(sent):
    assert config(destination_config=sent).extra == {"destination_config": sent}


def test_unknown_event_stays_in_extra():
    read = config(destination_config={"on_success": SET, "on_timeout": SET})
    assert read.on_success.destination == "SMN"
    assert read.extra == {"destination_config": {"on_timeout": SET}}


@pytest.mark.parametrize(
    ("param", "text", "parsed", "extra"),
    [
        ('{"bucket":"b"}', '{"bucket":"b"}', {"bucket": "b"}, {}),
        ("{}", "{}", {}, {}),
        ("", "", None, {}),
        (None, None, None, {}),
        ("not JSON", "not JSON", None, {}),
        ("[1]", "[1]", None, {}),
        ("null", "null", None, {}),
        ('{"a":', '{"a":', None, {}),
        ({"bucket": "b"}, '{"bucket":"b"}', {"bucket": "b"}, {"param": {"bucket": "b"}}),
        ([1], "[1]", None, {"param": [1]}),
        (5, "5", None, {"param": 5}),
    ],
)
def test_param_is_kept_unchanged(param, text, parsed, extra):
    side = config(destination_config={"on_failure": {"destination": "OBS", "param": param}}).on_failure
    assert (side.destination, side.param, side.param_object, side.extra) == ("OBS", text, parsed, extra)


def test_destination_of_another_type_keeps_its_row():
    side = config(destination_config={"on_success": {"destination": {"k": "Rocket"}, "param": "{}"}}).on_success
    assert (side.destination, side.extra) == ('{"k":"Rocket"}', {"destination": {"k": "Rocket"}})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "an empty body"),
        (b"null", "JSON null"),
        (b"[]", "JSON array"),
        (b'"x"', "JSON text"),
        (b"true", "JSON boolean"),
        (b"1", "JSON number"),
        (b"{}", "without a field"),
        (b'{"functions":[]}', "without a field"),
        (b"<html>", "broken JSON"),
        (b'{"func_urn":"u"', "broken JSON"),
        (b'{"func_urn":"u"} trailing', "broken JSON"),
        (b'{"func_urn":"\xff"}', "UTF-8|broken JSON"),
        (b"[" * 200_000, "nested too deeply|broken JSON"),
    ],
)
def test_invalid_config_is_named(body, words):
    with pytest.raises(ValueError, match=words):
        read_config(body)


def test_json_text_has_sorted_keys():
    assert json_text({"b": {"d": 1, "c": 2}, "a": "é"}) == json_text({"a": "é", "b": {"c": 2, "d": 1}})
    assert json_text({"b": 1, "a": [None, True]}) == '{"a":[null,true],"b":1}'


@pytest.mark.parametrize("value", ["+7", "-7", "007"])
def test_integer_text_is_parsed(value):
    assert parse_int(value) == (int(value), False)


@given(st.dictionaries(st.text(max_size=12) | st.sampled_from(sorted(DOCUMENTED)), JSON, max_size=8))
def test_any_object_keeps_its_unknown_fields(sent):
    body = json.dumps(sent).encode()
    if DOCUMENTED.isdisjoint(sent):
        with pytest.raises(ValueError, match="without a field"):
            read_config(body)
        return
    read = read_config(body)
    unknown = {name: value for name, value in sent.items() if name not in DOCUMENTED}
    assert {name: value for name, value in read.extra.items() if name not in DOCUMENTED} == unknown
    assert read_json(json_text(read.extra)) == read.extra


SIDE = st.none() | st.fixed_dictionaries(
    {"destination": st.sampled_from(["OBS", "SMN", "DIS", "FunctionGraph", "RocketMQ", ""]), "param": st.text()},
    optional={"extra": JSON},
)
NEARLY = st.fixed_dictionaries(
    {"func_urn": st.text()},
    optional={
        "max_async_event_age_in_seconds": st.none() | st.integers() | st.floats(allow_nan=False) | st.booleans(),
        "max_async_retry_attempts": st.none() | st.integers(0, 8) | st.text(max_size=3),
        "destination_config": st.none() | st.dictionaries(st.sampled_from(["on_success", "on_failure", "x"]), SIDE),
        "created_time": st.none() | st.text() | st.integers(),
        "enable_async_status_log": st.none() | st.booleans() | st.just("true"),
        "unknown": JSON,
    },
)


@given(NEARLY)
def test_fast_and_tolerant_readers_agree(sent):
    body = json.dumps(sent).encode()
    try:
        softly = _read_softly(read_json(body))
    except ValueError:
        with pytest.raises(ValueError, match="broken JSON"):
            read_config(body)
        return
    assert read_config(body) == softly
    assert read_func_urn(body) == softly.func_urn


@given(st.binary(max_size=100))
def test_any_bytes_are_a_config_or_a_value_error(body):
    reason = ""
    try:
        read = read_config(body)
    except ValueError as error:
        read, reason = None, str(error)
    assert (read is None) == bool(reason)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("func_urn", '"first"'),
        ("max_async_retry_attempts", "7"),
        ("on_success", '{"destination":"SMN","param":""}'),
        ("destination", '"SMN"'),
        ("param", '"first"'),
        ("x", "[]"),
    ],
)
def test_repeated_key_is_kept(name, first):
    sides = '"on_success":{"destination":"OBS","param":"{\\"param\\":1,\\"func_urn\\":2}"}'
    body = f'{{"func_urn":"u","max_async_retry_attempts":1,"destination_config":{{{sides}}}}}'
    body = body if name != "x" else body.replace("{", '{"x":5,', 1)
    config = read_config(body.replace(f'"{name}":', f'"{name}":{first},"{name}":', 1).encode())
    kept = json_text([config.extra, *(side.extra for side in (config.on_success, config.on_failure) if side)])
    assert f'"{REPEATED}":{{"{name}":[{first}]}}' in kept
    assert REPEATED not in json_text(read_config(body.encode()).extra)


def test_lone_surrogate_keeps_other_fields():
    side = r'{"destination":"OBS","param":"{\"bucket\":\"b\\ud83d\",\"expires\":5}"}'
    body = r'{"func_urn":"u\ud83d","y\udc00":1,"destination_config":{"on_failure":@}}'.replace("@", side)
    config = read_config(body.encode())
    assert (config.func_urn, config.extra) == ("u\\ud83d", {"y\\udc00": 1})
    assert config.on_failure.param_object == {"bucket": "b\\ud83d", "expires": 5}


def test_number_format_is_kept_in_extra():
    config = read_config(b'{"max_async_retry_attempts":-0,"max_async_event_age_in_seconds":3600.00,"x":1e400}')
    assert (config.max_async_retry_attempts, config.max_async_event_age_in_seconds) == (0, 3600)
    assert '"max_async_event_age_in_seconds":3600.00' in json_text(config.extra)
    assert '"x":1e400' in json_text(config.extra)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("max_async_event_age_in_seconds", "-0"),
        ("max_async_retry_attempts", " -0"),
        ("max_async_retry_attempts", "1.0"),
    ],
)
def test_fast_and_exact_reading_agree(name, number):
    config = read_config(f'{{"func_urn":"u-0","{name}":{number},"created_time":"2025-01-01"}}'.encode())
    assert json_text(config.extra) == f'{{"{name}":{number.strip()}}}'


def test_digits_of_a_parameter_are_exact():
    param = '{\\"expires\\":3.00000000000000000001}'
    body = f'{{"destination_config":{{"on_failure":{{"destination":"OBS","param":"{param}"}}}}}}'
    expires = read_config(body.encode()).on_failure.param_object["expires"]
    assert parse_int(expires) == (None, False)


@pytest.mark.parametrize(
    "number",
    [
        "1E400",
        "60.00000000000000000001",
        "9223372036854775807.0",
        "1e-999999999",
        "1e999999999999999999999",
        "9" * 5000,
    ],
)
def test_a_number_that_no_cell_holds_is_in_extra(number):
    read = read_config(f'{{"func_urn":"u","max_async_event_age_in_seconds":{number}}}'.encode())
    assert read.max_async_event_age_in_seconds is None
    assert json_text(read.extra) == f'{{"max_async_event_age_in_seconds":{number}}}'


def test_a_repeated_key_with_an_escape_is_kept():
    read = read_config(b'{"func_urn":"u","func\\u005furn":"v","max_async_retry_attempts":1}')
    assert read.extra == {REPEATED: {"func_urn": ["u"]}}


def test_a_sent_field_with_our_name_is_kept():
    read = read_config(f'{{"func_urn":"u","{REPEATED}":{{"b":7}},"a":1,"a":2}}'.encode())
    assert read.extra == {"a": 2, REPEATED: {REPEATED: [{"b": 7}], "a": [1]}}


@given(
    st.lists(
        st.sampled_from(
            [
                '"func_urn":"u"',
                '"func_urn":"\\u0076"',
                '"func_urn":"\\/"',
                '"func\\u005furn":"w"',
                '"max_async_retry_attempts":-0',
                '"max_async_retry_attempts":1',
                '"max_async_retry_attempts":1e9',
                '"created_time":"\\b"',
                '"created_time":null',
                '"destination_config":{}',
                '"destination_config":{"on_success":{"destination":"SMN","param":"","param":"x"}}',
                '"destination_config":{"on_success":null,"on_success":{"param":"\\t","destination":"OBS"}}',
            ]
        ),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["", " "]),
)
def test_no_spelling_of_a_config_is_taken_for_another_one(fields, space):
    body = f"{{{f',{space}'.join(fields)}}}".encode()
    assert read_config(body) == _read_softly(read_json(body))


@given(st.dictionaries(st.text(max_size=3), st.none() | st.text(max_size=3) | st.integers() | JSON, max_size=3))
def test_a_flat_parameter_is_read_as_any_other_one(param):
    text = json.dumps(param)
    read = read_config(
        json.dumps({"destination_config": {"on_success": {"destination": "OBS", "param": text}}}).encode()
    )
    assert json_text(read.on_success.param_object) == json_text(read_quickly(text))
