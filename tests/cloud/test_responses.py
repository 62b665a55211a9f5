from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from support.project import DATA

from inventory.cloud.responses import classify_response, is_named_otherwise, read_error_body
from inventory.errors import BadAnswerError, CallError
from inventory.redaction import Redactor

RECORDED = [
    entry for entry in json.loads((DATA / "real_answers.json").read_text()) if entry["kind"] in ("error", "throttle")
]
IAM = "Incorrect IAM authentication information: "
OVER = "The throttling threshold has been reached: policy user over ratelimit,"
# In the order of the file: class, status of the URN, kind, HTTP status, code, text.
EXPECTED = [
    ("BadRequestError", "failed", "bad_request", 400, "FSS.0400", "Invalid RequestId"),
    ("BadRequestError", "failed", "bad_request", 400, "FSS.0401", "not permit"),
    ("RefusedError", "failed", "refused", 401, "FSS.0401", "not permit"),
    ("ForbiddenError", "failed", "forbidden", 403, "FSS.0401", "not permit"),
    ("RefusedError", "failed", "refused", 401, "FSS.0401", "invalid token"),
    ("ForbiddenError", "failed", "forbidden", 403, "FSS.0403", "invalid token"),
    ("NotConfiguredError", "not_configured", None, 404, "FSS.0404", "can not find tracing aksk"),
    ("NotFoundError", "not_found", None, 404, "FSS.1051", "Not found the function"),
    ("NotFoundError", "not_found", None, 404, "FSS.1052", "Not found the function version"),
    ("NotConfiguredError", "not_configured", None, 404, "FSS.1059", "The function template does not exist."),
    ("BadRequestError", "failed", "bad_request", 409, "FSS.1061", "The function has existed"),
    ("ThrottledError", "failed", "throttled", 429, "FSS.0429", "api is busy now"),
    ("ServerError", "failed", "server_error", 500, "FSS.0500", "xxx"),
    ("ServerError", "failed", "server_error", 500, "FSS.0500", None),
    ("BadRequestError", "failed", "bad_request", 400, "FSS.1011", "zip: not a valid zip file"),
    ("CredentialRefusedError", "failed", "refused", 401, "APIGW.0301", IAM + "ak access_key_id not exist"),
    (
        "CredentialRefusedError",
        "failed",
        "refused",
        401,
        "APIGW.0301",
        IAM + "verify aksk signature fail, <echoes canonicalRequest with headers and AK>",
    ),
    (
        "CredentialRefusedError",
        "failed",
        "refused",
        401,
        "APIGW.0301",
        IAM + "AK access failed to reach the limit,forbidden",
    ),
    ("CredentialRefusedError", "failed", "refused", 401, "APIGW.0301", IAM + "decrypt token fail"),
    (
        "CredentialRefusedError",
        "failed",
        "refused",
        401,
        "APIGW.0301",
        IAM + "Get secretKey failed,ak:[redacted],err:ak not exist",
    ),
    ("CredentialRefusedError", "failed", "refused", 401, "APIGW.0301", IAM + "x-auth-token not found"),
    ("CredentialRefusedError", "failed", "refused", 401, "APIGW.0307", "The token must be updated"),
    ("ServerError", "failed", "server_error", 502, "APIGW.0201", "Backend unavailable"),
    ("BadRequestError", "failed", "bad_request", 414, "APIGW.0201", "Request URI too large"),
    ("BadRequestError", "failed", "bad_request", 494, "APIGW.0201", "Request headers too large"),
    ("ServerError", "failed", "server_error", 504, "APIG.0203", "Backend timeout"),
    ("ThrottledError", "failed", "throttled", 429, "APIGW.0308", OVER + "limit:200,time:5 minute"),
    ("ThrottledError", "failed", "throttled", 429, "APIG.0308", OVER + "limit:60,time:1 minute"),
    ("ThrottledError", "failed", "throttled", 429, "APIGW.0308", OVER + "limit:100,time:1 minute"),
]


def ask(status: int, body: object, token: str = "token-of-the-tests", **headers: str) -> CallError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    with pytest.raises(CallError) as caught:
        classify_response(status, named, raw, Redactor(token).redact)
    return caught.value


def said(error: CallError) -> tuple[object, ...]:
    return type(error).__name__, error.status, error.kind, error.status_code, error.error_code, error.error_msg


@pytest.mark.parametrize(
    ("entry", "expected"),
    list(zip(RECORDED, EXPECTED, strict=True)),
    ids=[f"{n}-{e['status']}-{e['body']['error_code']}" for n, e in enumerate(RECORDED)],
)
def test_recorded_error_is_classified(entry, expected):
    assert said(ask(entry["status"], entry["body"])) == expected


def test_throttling_keeps_the_request_id_of_the_body():
    error = ask(RECORDED[26]["status"], RECORDED[26]["body"])
    assert (error.request_id, error.limit, error.retry_after) == (
        "d4e8174b8df00840aef0c6907ec0e384",
        (200, 300.0, "user"),
        None,
    )


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (404, "FSS.1053", "not_found"),
        (404, "FSS.1400", "not_configured"),
        (404, "APIGW.0101", "wrong_endpoint"),
        (404, "APIGW.0103", "wrong_endpoint"),
        (404, "APIG.0101", "wrong_endpoint"),
        (404, "VPC.0101", "wrong_endpoint"),
        (404, None, "wrong_endpoint"),
        (404, "", "wrong_endpoint"),
        (400, "FSS.1309", "bad_request"),
        (400, "FSS.1128", "bad_request"),
        (400, "APIGW.0104", "bad_request"),
        (405, "POST.1", "bad_request"),
        (405, "APIGW.0501", "forbidden"),
        (405, "APIG.0502", "forbidden"),
        (410, "FSS.0410", "bad_request"),
        (413, "APIGW.0201", "bad_request"),
        (403, "APIGW.0302", "forbidden"),
        (403, "FSS.1126", "forbidden"),
        (403, None, "forbidden"),
        (401, "APIGW.0305", "refused"),
        (401, "FSS.1053", "refused"),
        (408, "FSS.0408", "timeout"),
        (418, None, "blocked"),
        (429, None, "throttled"),
        (500, "APIGW.0601", "server_error"),
        (502, "APIGW.0610", "server_error"),
        (503, "APIGW.0613", "server_error"),
        (599, None, "server_error"),
        (204, None, "bad_answer"),
        (206, None, "bad_answer"),
        (302, None, "bad_answer"),
        (304, None, "bad_answer"),
    ],
)
def test_status_and_code_select_the_class(status, code, expected):
    error = ask(status, {} if code is None else {"error_code": code, "error_msg": "words"})
    assert (error.kind or error.status, error.status_code) == (expected, status)


@pytest.mark.parametrize(
    ("status", "code", "stops"),
    [
        (401, "APIGW.0301", True),
        (401, "APIG.0301", True),
        (401, None, True),
        (401, "FSS.0401", False),
        (403, "FSS.0403", False),
        (418, None, True),
        (404, "APIGW.0101", False),
        (429, "APIGW.0308", False),
    ],
)
def test_caller_errors_stop_the_scope(status, code, stops):
    assert ask(status, {"error_code": code, "error_msg": "x"}).stops_scope is stops


@pytest.mark.parametrize(
    ("body", "code", "msg"),
    [
        ({"error_code": "A.1", "error_msg": "words"}, "A.1", "words"),
        ({"errorCode": "A.1", "errorMessage": "words"}, "A.1", "words"),
        ({"code": "A.1", "message": "words"}, "A.1", "words"),
        ({"error": {"code": 401, "message": "words", "title": "Unauthorized"}}, "401", "words"),
        ({"NeutronError": {"type": "QuotaExceeded", "message": "words", "detail": ""}}, "QuotaExceeded", "words"),
        (b"", None, "an empty body"),
        (b"<html><head><title>\xe8\xae\xbf\xe9\x97\xae</title></head><h1>no</h1></html>", None, "访问 no"),
        (b"plain  text\n", None, "plain text"),
        (b"[]", None, "[]"),
        (b"null", None, "null"),
        (b"\xff\xfe", None, "��"),
    ],
)
def test_error_body_of_any_form_is_read(body, code, msg):
    error = ask(500, body)
    assert (error.error_code, error.error_msg) == (code, msg)


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ({"error_code": "A", "error_msg": "m", "details": {"error_msg": "d"}}, {"details": {"error_msg": "d"}}),
        (
            {"error_code": "A", "error_msg": "m", "encoded_authorization_message": "e"},
            {"encoded_authorization_message": "e"},
        ),
        ({"error_code": "A", "error_msg": "m", "request_id": "r"}, {}),
    ],
)
def test_unknown_fields_remain(body, left):
    vendor = read_error_body(json.dumps(body))
    assert (vendor.code, vendor.msg) == ("A", "m")
    assert vendor.rest == left


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": "A", "message": "m", "title": "left over"}},
        {"NeutronError": {"type": "A", "message": "m", "detail": "left over"}},
        {"error": {"code": "A", "message": "m"}, "trace": "left over"},
    ],
)
def test_unknown_fields_of_a_nested_error_remain(body):
    assert "left over" in json.dumps(read_error_body(json.dumps(body)).rest)


def test_outer_code_has_priority():
    error = ask(404, {"error_code": "FSS.1051", "error_msg": "gone", "error": {}})
    assert (error.status, error.error_code) == ("not_found", "FSS.1051")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"<html>login</html>",
        b'{"func_urn":',
        b'"text"',
        b"12",
        b'{"a":1}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_200_without_config_is_a_bad_answer(body):
    error = ask(200, body)
    assert (type(error).__name__, error.kind, error.status_code, error.retryable) == (
        "BadAnswerError",
        "bad_answer",
        200,
        True,
    )
    assert error.error_msg.startswith("not a config: ")


def test_error_with_status_200_keeps_code_and_message():
    error = ask(200, {"error_code": "APIGW.0308", "error_msg": "over"})
    assert (error.kind, error.error_code) == ("bad_answer", "APIGW.0308")
    assert "over" in error.error_msg


def test_config_is_returned_unchanged():
    answer = classify_response(200, CIMultiDict({"x-request-id": "r-1"}), b' {"func_urn": "u"} ', str)
    assert (answer.body, answer.request_id) == (b' {"func_urn": "u"} ', "r-1")


@pytest.mark.parametrize("body", [b"<html>not found</html>", b"", b'{"error_code":"Other.404"}', b"[]"])
def test_foreign_404_is_a_wrong_endpoint(body):
    assert type(ask(404, body)).__name__ == "WrongEndpointError"


@pytest.mark.parametrize("size", range(1, 60, 7))
def test_incomplete_404_is_retryable(size):
    whole = b'{"error_code":"FSS.0404","error_msg":"can not find function"}'
    error = ask(404, whole[:size], Content_Type="application/json; charset=utf-8")
    assert (type(error).__name__, error.retryable, error.status_code) == ("BadAnswerError", True, 404)
    assert error.error_msg.startswith("incomplete JSON")
    assert type(ask(404, whole, Content_Type="application/json")).__name__ == "NotConfiguredError"


@pytest.mark.parametrize("body", [b"", b'{"message":"no route"}', b"[]"])
def test_empty_or_foreign_404_is_a_wrong_endpoint(body):
    assert type(ask(404, body, Content_Type="application/json")).__name__ == "WrongEndpointError"


def test_redirect_message_has_the_target():
    error = ask(301, b"", Location="https://fg.example/v2")
    assert error.error_msg == "a redirect to https://fg.example/v2, which is not followed"


def test_request_id_of_the_header_has_priority():
    assert ask(500, {"request_id": "body"}, X_Request_Id="header").request_id == "header"
    assert ask(500, {"request_id": "body"}).request_id == "body"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("1.5", 1.5), (" 0 ", 0.0), ("", None), ("soon", None), ("-5", None), ("٣", None), ("1e3", None)],
)
def test_retry_after_number_is_read(text, seconds):
    assert ask(429, {}, Retry_After=text).retry_after == seconds


@pytest.mark.parametrize(("shift", "seconds"), [(90, 90.0), (-90, 0.0)])
def test_retry_after_date_is_read(shift, seconds):
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    later = format_datetime(now + timedelta(seconds=shift), usegmt=True)
    assert ask(429, {}, Retry_After=later, Date=format_datetime(now, usegmt=True)).retry_after == seconds


@pytest.mark.parametrize("date", ["", "rubbish", "Thu, 01 Jan 2026 12:00:00"])
def test_retry_after_with_a_broken_date_is_ignored(date):
    error = ask(429, {}, Retry_After="Thu, 01 Jan 2026 12:00:30 GMT", Date=date)
    assert type(error).__name__ == "ThrottledError"


SECRET = "MIIRxgYJKoZIhvcNAQcC+oIIRtzCCEbMCAQ/ExDTAL=="


@pytest.mark.parametrize(
    "echo",
    [
        json.dumps({"error_code": "APIGW.0301", "error_msg": f"bad token {SECRET}"}),
        json.dumps({"error_code": "APIGW.0301", "error_msg": f"bad token {SECRET}"}).replace("/", "\\/"),
        json.dumps({"error_code": "APIGW.0301", "error_msg": f"bad token {SECRET}"}).replace("=", "\\u003d"),
        json.dumps({"error_code": f"x {SECRET}", "error_msg": "m", "more": [SECRET]}),
        f"<html>X-Auth-Token: {SECRET}</html>",
    ],
    ids=["plain", "escaped-slash", "escaped-equals", "other-fields", "html"],
)
def test_echoed_token_is_redacted(echo):
    error = ask(401, echo.encode(), token=SECRET)
    start = SECRET[:24]
    assert start not in f"{error.error_msg}{error.error_code}{error.request_id}"
    assert start.encode() not in error.body
    assert start not in str(error)


@pytest.mark.parametrize("status", [200, 401])
def test_echoed_token_in_the_request_id_is_redacted(status):
    headers = CIMultiDict({"X-Request-Id": f"id-{SECRET}-{'x' * 5000}"})
    try:
        kept = classify_response(status, headers, b'{"func_urn":"u"}', Redactor(SECRET).redact).request_id
    except CallError as error:
        kept = error.request_id
    assert SECRET[:16] not in kept
    assert len(kept) <= 200


def test_kept_error_is_limited():
    error = ask(500, {"error_code": "A", "error_msg": "ä" * 500_000})
    assert len(error.error_msg) == 2000
    assert len(error.body) == 16 * 1024


@given(st.integers(100, 599).filter(lambda status: status != 200), st.binary(max_size=200))
def test_any_response_is_one_call_error(status, body):
    error = ask(status, body)
    assert error.status_code == status
    assert (error.kind is None) == (error.status in ("not_configured", "not_found"))


def test_invalid_header_bytes_are_escaped():
    with pytest.raises(CallError) as caught:
        classify_response(302, {"X-Request-Id": "a\udcffb", "Location": "/\udcfe"}, b"", str)
    assert caught.value.request_id == r"a\xffb"
    assert r"a redirect to /\xfe, which is not followed" in caught.value.error_msg


def test_huge_error_page_is_read_fast():
    for body in (b"<" * 1_000_000, b"<script" * 150_000):
        with pytest.raises(CallError) as caught:
            classify_response(502, {}, body, str)
        assert len(caught.value.error_msg) <= 2000


def test_object_message_becomes_json():
    with pytest.raises(CallError) as caught:
        classify_response(500, {}, b'{"error_code":"FSS.0500","error_msg":{"a":[true,null]}}', str)
    assert caught.value.error_msg == '{"a":[true,null]}'


ASKED = "urn:fss:cn-north-4:p0:function:default:f:!prod"


def config_of(named):
    return json.dumps({"func_urn": named, "max_async_retry_attempts": 1}).encode()


@pytest.mark.parametrize(
    "named",
    [
        ASKED,
        "urn:fss:cn-north-4:p0:function:default:f",
        "urn:fss:cn-north-4:p0:function:default:f:latest",
        "urn:fss:cn-north-4:p0:function:default:f:v1",
        "urn:fss:cn-north-4:p0:function:default:f:!other",
        "urn:fss:cn-north-4_a:p0:function:default:f:latest",
        "f",
        "",
        None,
        5,
        ["urn:fss:cn-north-4:p0:function:default:g"],
        "urn:fss:cn-north-4:p0:function:default",
        "urn:fss:cn-north-4:p0:function:default:g h",
    ],
)
@pytest.mark.parametrize("asked", [ASKED, "urn:fss:cn-north-4:p0:function:default:f"])
def test_config_may_name_the_function_differently(asked, named):
    body = config_of(named)
    assert classify_response(200, {}, body, str, expected_urn=asked).body == body


@pytest.mark.parametrize(
    "named",
    [
        "urn:fss:cn-north-4:p0:function:default:g:!prod",
        "urn:fss:cn-north-4:p0:function:default:ff:!prod",
        "urn:fss:cn-north-4:p0:function:default:F:!prod",
        "urn:fss:cn-north-4:p0:function:orders:f:!prod",
        "urn:fss:cn-north-4:p1:function:default:f:!prod",
    ],
)
def test_config_of_another_function_is_a_bad_answer(named):
    with pytest.raises(BadAnswerError, match=f"not what was asked for: the config of {re.escape(named)}$") as caught:
        classify_response(200, {}, config_of(named), str, expected_urn=ASKED)
    assert (caught.value.retryable, caught.value.status_code, caught.value.body) == (True, 200, config_of(named))


def test_name_of_another_function_is_redacted():
    named = "urn:fss:cn-north-4:p0:function:default:secret"
    with pytest.raises(BadAnswerError) as caught:
        classify_response(200, {}, config_of(named), lambda text: text.replace("secret", "***"), expected_urn=ASKED)
    assert "secret" not in f"{caught.value}{caught.value.body}"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, b"<html><body>Access denied by the web filter</body></html>", "blocked"),
        (403, b" \r\n<!DOCTYPE html><title>Blocked</title>", "blocked"),
        (403, b'{"error_code":"FSS.1126","error_msg":"<html>"}', "forbidden"),
        (403, b"", "forbidden"),
        (403, b"no", "forbidden"),
        (407, b"", "blocked"),
        (401, b"<html>log in", "refused"),
        (502, b"<html>bad gateway", "server_error"),
    ],
)
def test_page_of_a_web_filter_is_blocked(status, body, kind):
    error = ask(status, body)
    assert error.kind == kind
    assert error.error_msg.startswith("a proxy or web filter answered instead") is (kind == "blocked")


def test_message_contains_body_and_fault():
    with pytest.raises(CallError) as caught:
        classify_response(503, CIMultiDict(), b"<html>Busy</html>", str, fault="the response was cut off")
    assert caught.value.error_msg == "Busy (the response was cut off)"


F = "urn:fss:r:p:function:default:f"


@pytest.mark.parametrize(
    ("asked", "answered", "is_another", "is_otherwise"),
    [
        ("v1", "v1", False, False),
        ("v1", "v2", True, True),
        ("v1", "latest", True, True),
        ("v1", None, False, False),
        ("v1", "!prod", False, True),
        ("!prod", "v2", False, True),
        ("!prod", "!prod", False, False),
        ("!prod", None, False, False),
        ("latest", "v7", False, True),
        ("latest", None, False, False),
        (None, "latest", False, False),
        (None, "v7", False, True),
    ],
)
def test_other_version_is_refused(asked, answered, is_another, is_otherwise):
    urn, named = (F if one is None else f"{F}:{one}" for one in (asked, answered))
    body = json.dumps({"func_urn": named}).encode()
    assert is_named_otherwise(named, urn) is is_otherwise
    if not is_another:
        assert classify_response(200, CIMultiDict(), body, str, expected_urn=urn).body == body
        return
    with pytest.raises(BadAnswerError, match=f"the config of {named}"):
        classify_response(200, CIMultiDict(), body, str, expected_urn=urn)


def test_name_in_another_region_is_counted():
    assert is_named_otherwise(F.replace(":r:", ":s:"), F)
    assert not is_named_otherwise("f", F)
    assert not is_named_otherwise(None, F)


def test_byte_order_mark_is_skipped():
    error = ask(401, b'\xef\xbb\xbf{"error_code":"FSS.0401","error_msg":"not permit"}')
    assert (type(error).__name__, error.error_code) == ("RefusedError", "FSS.0401")
    assert ask(503, b"\xef\xbb\xbf<html>Busy").error_msg == "Busy"
    assert ask(403, b"\xef\xbb\xbf<html>Busy").kind == "blocked"
