from __future__ import annotations

import json
import os
import pickle
import traceback
from urllib.parse import quote

import pytest

from inventory.auth import Token, find_token
from inventory.errors import CredentialsError

SECRET = "MIIRxgYJKoZIhvcNAQcCoIIR+tz-CCEbMCAQExDTALBglghkgBZQM/AQ=="


def test_the_token_of_the_environment():
    """Without a file the token is HW_AUTH_TOKEN's, and goes out as X-Auth-Token."""
    assert find_token(None, {"HW_AUTH_TOKEN": SECRET}).headers() == {"X-Auth-Token": SECRET}


def test_a_token_file_goes_before_the_environment(tmp_path):
    """A file that is named is used, without the line end that editors add."""
    path = tmp_path / "token"
    path.write_text(f"\n  {SECRET}\r\n")
    assert find_token(path, {"HW_AUTH_TOKEN": "other-token"}).headers() == {"X-Auth-Token": SECRET}


@pytest.mark.parametrize("environment", [{}, {"HW_AUTH_TOKEN": ""}, {"HW_AUTH_TOKEN": " \n"}])
def test_no_token_says_where_to_put_one(environment):
    """Without a credential the message names both places."""
    with pytest.raises(CredentialsError, match=r"HW_AUTH_TOKEN.*--token-file"):
        find_token(None, environment)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no token"),
        (b" \n\t\n", "holds no token"),
        (b"\xff\xfe\x00\x01", "is not text"),
        (b"secretline1\nsecretline2\n", "more than a token"),
        (b"secretline1 secretline2", "more than a token"),
        ("secretline1é".encode(), "more than a token"),
        (b"secretline1\x00secretline2", "more than a token"),
    ],
)
def test_a_file_without_one_token_is_refused_and_not_quoted(tmp_path, content, words):
    """Empty, binary, several lines: the message says which, names the file, and repeats nothing of it."""
    path = tmp_path / "token.txt"
    path.write_bytes(content)
    with pytest.raises(CredentialsError, match=words) as caught:
        find_token(path, {"HW_AUTH_TOKEN": SECRET})
    assert "token.txt" in str(caught.value)
    assert "secretline" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_token_file_that_cannot_be_read_is_named(tmp_path, name):
    """A file that was named and cannot be read is an error, even where the environment has a token."""
    with pytest.raises(CredentialsError, match="cannot be read"):
        find_token(tmp_path / name, {"HW_AUTH_TOKEN": SECRET})


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for root")
def test_an_unreadable_token_file(tmp_path):
    """A file without the right to read it is named with the system's reason."""
    path = tmp_path / "token"
    path.write_text(SECRET)
    path.chmod(0)
    with pytest.raises(CredentialsError, match="Permission denied"):
        find_token(path, {})


def test_a_token_shows_itself_nowhere():
    """Neither repr nor str nor a pickle nor a traceback gives the secret away."""
    token = Token(SECRET, "HW_AUTH_TOKEN")
    assert SECRET not in repr(token) + str(token) + f"{token}"
    with pytest.raises(TypeError, match="not pickled") as caught:
        pickle.dumps(token)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        SECRET.replace("/", "\\/"),
    ],
)
@pytest.mark.parametrize("frame", ["{}", "bad token {}, go away", '{{"t":"{}"}}', "x{}x"])
def test_a_token_is_taken_out_in_every_form(form, frame):
    """As it is, quoted for a URL, or escaped in JSON: where the token stood, a mark stands."""
    redacted = Token(SECRET, "x").redact(frame.format(form))
    assert redacted == frame.format("[redacted]")


def test_a_token_quoted_in_lower_case_is_taken_out():
    """Percent-encoding has two cases of hexadecimal digits, and some servers write the lower one."""
    form = SECRET.replace("+", "%2b").replace("/", "%2f").replace("=", "%3d")
    assert "MIIRxgYJKoZIhvcNAQcCoIIR" not in Token(SECRET, "x").redact(f"path /{form} not found")


@pytest.mark.parametrize(
    ("text", "gone", "stays"),
    [
        ("X-Auth-Token: abc.def", "abc.def", "X-Auth-Token: [redacted]"),
        ('{"X-Auth-Token":"abcdef"}', "abcdef", '{"X-Auth-Token":"[redacted]"}'),
        ("x-security-token=abcdef&x=1", "abcdef", "&x=1"),
        ("x-subject-token:abcdef", "abcdef", "x-subject-token:"),
        (
            "Authorization: SDK-HMAC-SHA256 Access=AKID99, SignedHeaders=host;x-sdk-date, Signature=cafe01",
            "AKID99",
            "SignedHeaders=host;x-sdk-date",
        ),
        ("SDK-HMAC-SHA256 Access=AKID99, Signature=cafe01", "cafe01", "SDK-HMAC-SHA256 Access="),
        ("Get secretKey failed,ak:AKID99,err:ak not exist", "AKID99", "err:ak not exist"),
    ],
)
def test_echoes_of_signatures_are_taken_out(text, gone, stays):
    """The gateway's signature errors echo headers and keys (api-facts.md section 3.3)."""
    redacted = Token(SECRET, "x").redact(text)
    assert gone not in redacted
    assert stays in redacted


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect IAM authentication information: x-auth-token not found",
        "Incorrect IAM authentication information: decrypt token fail",
        "The token must be updated",
        "urn:fss:cn-north-4:p:function:default:stoke",
        "Not found the function version",
    ],
)
@pytest.mark.parametrize("token", ["t", "to", "tok", "fun"])
def test_a_short_token_does_not_eat_ordinary_words(text, token):
    """A token of a test bench may be part of a word; the vendor's text stays readable."""
    assert Token(token, "x").redact(text) == text


def test_a_short_token_is_taken_out_where_it_stands_alone():
    """Short or not: a token between other characters than letters and digits is a token."""
    assert Token("demo-1", "x").redact('bad "demo-1"; demo-12') == 'bad "[redacted]"; demo-12'


@pytest.mark.parametrize("part", [SECRET[:16], SECRET[:30], SECRET[7:30], SECRET[-16:]])
@pytest.mark.parametrize("frame", ["bad token {}", '{{"t":"{}..."}}', "x={}&y=1"])
def test_a_part_of_a_token_is_taken_out(part, frame):
    """A server that cuts a long token short gives away a part of it: sixteen characters in a row are too many."""
    redacted = Token(SECRET, "x").redact(frame.format(part))
    assert part not in redacted
    assert "[redacted]" in redacted


@pytest.mark.parametrize(
    "text",
    [
        "urn:fss:cn-north-4:0123456789abcdef0123456789abcdef:function:default:f:latest",
        "The throttling threshold has been reached: policy user over ratelimit,limit:200,time:5 minute",
        f"starts alike: {SECRET[:15]}",
    ],
)
def test_long_words_that_are_no_part_of_the_token_stay(text):
    """URNs, ids and sentences are as long as a part of a token, and stay as they are."""
    assert Token(SECRET, "x").redact(text) == text


def test_a_token_with_quotes_is_found_in_json():
    """In JSON a quote has a backslash before it."""
    token = Token('ab"cd<ef&gh"ij', "x")
    for text in ('ab"cd<ef&gh"ij', json.dumps({"t": 'ab"cd<ef&gh"ij'})):
        assert "cd<ef" not in token.redact(text)


def test_a_good_answer_is_purged_of_the_token_alone():
    """The body of a 200 is kept as it came, but for the token itself: spelled plainly or as JSON spells it."""
    body = b'{"func_urn": "u",  "echo":"' + SECRET.encode() + b'", "authorization=x": 1}'
    assert Token(SECRET, "x").purge(body) == body.replace(SECRET.encode(), b"[redacted]")
    assert Token("any", "x").purge(b'{"param": "any"}') == b'{"param": "any"}'
