"""Classifies a FunctionGraph response: a config or one typed error."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.cloud.models import read_func_urn
from inventory.errors import (
    BadAnswerError,
    BadRequestError,
    BlockedError,
    CallError,
    CallTimeoutError,
    CredentialRefusedError,
    ForbiddenError,
    NotConfiguredError,
    NotFoundError,
    RateLimit,
    RefusedError,
    ServerError,
    ThrottledError,
    UrnError,
    WrongEndpointError,
)
from inventory.exact_json import json_text, read_json
from inventory.urn import LATEST, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inventory.urn import FunctionUrn

_OK: Final = HTTPStatus.OK.value  # an enum's member is found slowly
MAX_ERROR_BODY: Final = 16 * 1024
"""Maximum number of bytes of an error body that are kept."""
MAX_ERROR_MSG: Final = 2000
"""Maximum number of characters of an error message."""
MAX_REQUEST_ID: Final = 200
"""The vendor's ids have 32 characters."""
MISSING_FUNCTION: Final = "FSS.1051"
NOT_FOUND_CODES: Final = frozenset({MISSING_FUNCTION, "FSS.1052", "FSS.1053"})
"""Error codes for a missing function, version or alias."""
_NAMES: Final[list[tuple[str, ...]]] = [("error_code", "errorCode", "code"), ("error_msg", "errorMessage", "message")]
_NESTED_NAMES: Final[list[tuple[str, ...]]] = [("code", "type"), ("message",)]
_SECONDS: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_UNIT_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_LIMIT_TEXT: Final = re.compile(
    r"(?:policy\s+(\w{1,20})\s.*?)?limit:\s*(\d{1,9}),\s*time:\s*(\d{1,6})\s*(second|minute|hour|day)s?", re.IGNORECASE
)
_INTERMEDIARY: Final = "a proxy or web filter answered instead of the service"
_TAG: Final = re.compile(r"(?s)<(script|style)\b.*?</\1>|<[^>]*>")


class Answer(NamedTuple):
    """A valid response with status 200: raw body and request id."""

    body: bytes
    request_id: str | None


class ErrorBody(NamedTuple):
    """Vendor fields of an error body; ``rest`` has the remaining fields."""

    code: str | None
    msg: str | None
    request_id: str | None
    rest: dict[str, Any]


def classify_response(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    redact: Callable[[str], str],
    check: Callable[[bytes], object] | None = None,
    expected_urn: str | None = None,
    *,
    fault: str | None = None,
) -> Answer:
    """Returns a valid response or raises its error. The status decides first, then the error code.

    Args:
        status: HTTP status.
        headers: headers with case-insensitive lookup.
        body: complete body, decompressed.
        redact: removes secrets from text of the server.
        check: validates a 200 that is not a config; raises ValueError.
        expected_urn: URN that the config must belong to.
        fault: why the response is incomplete.

    Raises:
        CallError: the response is not what was requested.

    Source: api-facts.md sections 3 and 4.
    """
    if status == _OK:
        try:
            actual = read_func_urn(body) if check is None else check(body)
        except ValueError as reason:
            what = "not a config" if check is None else "not what was asked for"
            raise _create_error(status, headers, body, redact, problem=f"{what}: {reason}") from None
        if expected_urn is not None and isinstance(actual, str) and _belongs_to_other_function(actual, expected_urn):
            problem = f"not what was asked for: the config of {actual}"
            raise _create_error(status, headers, body, redact, problem=problem)
        return Answer(body, _request_id(headers, redact))
    error = _create_error(status, headers, body, redact, problem=_describe_problem(status, headers, body), fault=fault)
    if status == HTTPStatus.NOT_FOUND and _is_broken_json(headers, body):
        raise error  # the missing part tells service and gateway apart
    cls = _error_class(status, error.error_code or "")
    if error.error_code is None and is_from_intermediary(status, headers, error.body):
        message = f"{_INTERMEDIARY}: {error.error_msg}"[:MAX_ERROR_MSG]
        raise BlockedError(message, status_code=status, request_id=error.request_id, body=error.body)
    if cls is ThrottledError:
        raise error.as_kind(ThrottledError).with_hints(
            retry_after=parse_retry_after(headers), limit=read_limit(error.error_msg or "")
        )
    raise error.as_kind(cls)


def _belongs_to_other_function(actual_urn: str, expected_urn: str) -> bool:
    """A response may name a version for ``latest`` or an alias, and a region by another name."""
    if actual_urn in (expected_urn, f"{expected_urn}:{LATEST}"):  # the usual case, without parsing
        return False
    try:
        actual, expected = parse(actual_urn), parse(expected_urn)
    except UrnError:
        return False
    are_versions = (expected.qualifier_type, actual.qualifier_type) == (
        "version",
        "version",
    ) and expected.qualifier != LATEST
    return actual[1:4] != expected[1:4] or (are_versions and actual.qualifier != expected.qualifier)


def is_named_otherwise(actual_urn: str | None, expected_urn: str) -> bool:
    """Returns True if a config names another qualifier or region than requested."""
    if actual_urn is None or actual_urn in (expected_urn, f"{expected_urn}:{LATEST}"):
        return False
    try:
        actual, expected = parse(actual_urn), parse(expected_urn)
    except UrnError:
        return False
    is_plain = actual.qualifier is None
    return actual.region != expected.region or not (is_plain or _qualifier_of(actual) == _qualifier_of(expected))


def _qualifier_of(urn: FunctionUrn) -> tuple[str, str]:
    return urn.qualifier or LATEST, urn.qualifier_type or "version"


def read_error_body(body: bytes | str) -> ErrorBody:
    """Reads the vendor's fields from an error body.

    Source: api-facts.md sections 3.1 and 3.4.
    """
    try:
        sent = read_json(body)
    except ValueError:
        return ErrorBody(None, None, None, {})
    if not isinstance(sent, dict):
        return ErrorBody(None, None, None, {})
    rest = dict(sent)
    request_id = _as_text(rest.pop("request_id", None))
    code, msg = (_pop_first(rest, names) for names in _NAMES)
    for outer in ("error", "NeutronError"):
        if code is None and msg is None and isinstance(rest.get(outer), dict):
            inner = dict(rest[outer])
            code, msg = (_pop_first(inner, names) for names in _NESTED_NAMES)
            rest = {**rest, outer: inner} if inner else {name: rest[name] for name in rest if name != outer}
    return ErrorBody(code, msg, request_id, rest)


def _pop_first(fields: dict[str, Any], names: tuple[str, ...]) -> str | None:
    name = next((name for name in names if fields.get(name) is not None), names[0])
    return _as_text(fields.pop(name, None))


def _error_class(status: int, code: str) -> type[CallError]:  # noqa: PLR0911 - one line a row of the table
    service = code.startswith("FSS.")
    if status == HTTPStatus.UNAUTHORIZED:
        return RefusedError if service else CredentialRefusedError
    if status == HTTPStatus.FORBIDDEN:
        return ForbiddenError
    if status == HTTPStatus.NOT_FOUND:
        if code in NOT_FOUND_CODES:
            return NotFoundError
        return NotConfiguredError if service else WrongEndpointError
    if status == HTTPStatus.METHOD_NOT_ALLOWED and code.endswith((".0501", ".0502")):  # the account is frozen
        return ForbiddenError
    by_status: dict[int, type[CallError]] = {
        HTTPStatus.REQUEST_TIMEOUT: CallTimeoutError,
        HTTPStatus.IM_A_TEAPOT: BlockedError,
        HTTPStatus.TOO_MANY_REQUESTS: ThrottledError,
    }
    if status in by_status:
        return by_status[status]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerError
    return BadRequestError if status >= HTTPStatus.BAD_REQUEST else BadAnswerError


def is_from_intermediary(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Returns True for a refusal by a proxy or web filter; service and gateway refuse in JSON."""
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return True
    return status == HTTPStatus.FORBIDDEN and is_web_page(headers, body)


def is_web_page(headers: Mapping[str, str], body: bytes) -> bool:
    """Returns True for HTML, which neither service nor gateway sends."""
    is_html = "html" in headers.get("Content-Type", "").lower() or body.lstrip()[:1] == b"<"
    return is_html and bool(body.strip())


def _describe_problem(status: int, headers: Mapping[str, str], body: bytes) -> str | None:
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST and "Location" in headers:
        return f"a redirect to {_printable(headers['Location'])}, which is not followed"
    if status < HTTPStatus.BAD_REQUEST:
        return "an undocumented status"
    if status == HTTPStatus.NOT_FOUND and _is_broken_json(headers, body):
        return "incomplete JSON"
    return None


def _is_broken_json(headers: Mapping[str, str], body: bytes) -> bool:
    if not body or "json" not in headers.get("Content-Type", "").lower():
        return False
    try:
        read_json(body)
    except ValueError:
        return True
    return False


def _request_id(headers: Mapping[str, str], redact: Callable[[str], str]) -> str | None:
    sent = headers.get("X-Request-Id")
    return None if sent is None else redact(_printable(sent))[:MAX_REQUEST_ID]


def _printable(header: str) -> str:
    if header.isascii():
        return header
    return header.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _create_error(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    redact: Callable[[str], str],
    *,
    problem: str | None,
    fault: str | None = None,
) -> BadAnswerError:
    text = redact(body[:MAX_ERROR_BODY].decode("utf-8-sig", errors="replace"))
    error_body = read_error_body(text)
    if problem is None:
        problem = error_body.msg
        if problem is None and error_body.code is None:
            problem = " ".join(_TAG.sub(" ", text[:MAX_ERROR_MSG]).split()) or (None if fault else "an empty body")
    elif error_body.msg is not None:
        problem = f"{problem}: {error_body.msg}"
    if fault is not None:
        problem = fault if problem is None else f"{problem[: MAX_ERROR_MSG // 2]} ({fault})"
    return BadAnswerError(
        None if problem is None else redact(problem)[:MAX_ERROR_MSG],
        status_code=status,
        error_code=error_body.code,
        request_id=_request_id(headers, redact) or error_body.request_id,
        body=text.encode()[:MAX_ERROR_BODY],
    )


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds of ``Retry-After``, a number or a date, or None."""
    text = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(text):
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
        now = parsedate_to_datetime(headers["Date"]) if "Date" in headers else datetime.now(UTC)
        return max(0.0, (when - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _as_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json_text(value)


def read_limit(text: str) -> RateLimit | None:
    """Reads the gateway's ``policy P over ratelimit,limit:N,time:M unit``; None if the text has none.

    Source: api-facts.md section 3.6 (recorded throttling texts).
    """
    match = _LIMIT_TEXT.search(text)
    if not match:
        return None
    calls, seconds = int(match[2]), int(match[3]) * _UNIT_SECONDS[match[4].lower()]
    return RateLimit(calls, float(seconds), (match[1] or "").lower()) if calls and seconds else None
