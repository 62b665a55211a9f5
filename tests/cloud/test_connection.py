from __future__ import annotations

import pytest

from inventory.cloud.broken_calls import BrokenCalls
from inventory.cloud.connection import Headers
from inventory.cloud.request_head import check_fields, encode_fields, encode_request_line
from inventory.cloud.wire_errors import InvalidRequestError, describe_parse_error


def test_headers_are_found_in_any_case_and_without_surrounding_spaces():
    headers = Headers({b"x-request-id": b"r-1 \t", b"x-name": b"\xff"})
    assert (headers["X-Request-Id"], headers.get("X-REQUEST-ID"), headers.get("Date"), headers.get("Date", "")) == (
        "r-1",
        "r-1",
        None,
        "",
    )
    assert "x-name" in headers
    assert headers["X-Name"] == "\udcff"
    assert list(headers) == ["x-request-id", "x-name"]
    with pytest.raises(KeyError):
        headers["Date"]


def test_given_headers_replace_the_default_ones():
    sent = encode_fields("h", {"content-type": "text/plain", "host": "other", "X": "1"}).decode()
    assert sent.lower().count("content-type:") == sent.lower().count("host:") == 1
    assert "content-type: text/plain\r\n" in sent
    assert sent.endswith("\r\n\r\n")


def test_request_line_has_a_length_only_with_content():
    assert encode_request_line("GET", "/a", None) == b"GET /a HTTP/1.1\r\n"
    assert encode_request_line("POST", "/a", b"") == b"POST /a HTTP/1.1\r\nContent-Length: 0\r\n"


@pytest.mark.parametrize("headers", [{"X": "a\rb"}, {"X\n": "a"}, {"X": "\0"}, {":X": "a"}])
def test_field_that_would_be_two_lines_is_refused(headers):
    with pytest.raises(InvalidRequestError):
        check_fields(headers)


def test_a_broken_call_is_known_until_its_next_attempt():
    broken = BrokenCalls()
    broken.add("/a")
    assert (broken.remove("/b"), broken.remove("/a"), broken.remove("/a")) == (False, True, False)


def test_broken_calls_that_are_never_repeated_do_not_pile_up():
    broken = BrokenCalls()
    for number in range(10_000):
        broken.add(f"/{number}")
    assert sum(broken.remove(f"/{number}") for number in range(10_000)) <= 4096


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Missing expected CR after response line", "an invalid status line"),
        ("Expected HTTP/, RTSP/ or ICE/", "an invalid status line"),
        ("Duplicate Content-Length", "an invalid Content-Length"),
        ("Invalid character in chunk size", "an invalid chunk"),
        ("Invalid header value char:\n\n  b'X: secret'", "an invalid header"),
        ("something new", "a response that is not HTTP"),
    ],
)
def test_texts_of_the_parser_become_ours_and_quote_nothing(message, words):
    assert words in describe_parse_error(message)
    assert "secret" not in describe_parse_error(message)
