"""What one HTTP answer means: a config, or one typed error.

Owns the classification: status first, then code, with service and gateway told apart. A pure function of the answer;
knows no connection and no retry.

Source: api-facts.md sections 3 and 4, where the vendor's documents are compared with what the service really says.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
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
from inventory.urn import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inventory.urn import FunctionUrn

MAX_ERROR_BODY: Final = 16 * 1024
"""Bytes of an error's body that are kept."""
MAX_ERROR_MSG: Final = 2000
"""Characters of an error's text that are kept."""
MAX_REQUEST_ID: Final = 200
"""Characters of a request id that are kept; the vendor's have 32."""
MISSING_FUNCTION: Final = "FSS.1051"
GONE: Final = frozenset({MISSING_FUNCTION, "FSS.1052", "FSS.1053"})
"""Codes that name what is missing: function, version, alias."""
LATEST: Final = "latest"
"""The version that a URN without a qualifier means."""
_NAMES: Final[list[tuple[str, ...]]] = [("error_code", "errorCode", "code"), ("error_msg", "errorMessage", "message")]
_NESTED_NAMES: Final[list[tuple[str, ...]]] = [("code", "type"), ("message",)]
_SECONDS: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_UNIT_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_LIMIT_TEXT: Final = re.compile(
    r"(?:policy\s+(\w{1,20})\s.*?)?limit:\s*(\d{1,9}),\s*time:\s*(\d{1,6})\s*(second|minute|hour|day)s?", re.IGNORECASE
)
_BETWEEN: Final = "something between here and the service answered (a proxy or a web filter)"
_TAG: Final = re.compile(r"(?s)<(script|style)\b.*?</\1>|<[^>]*>")


class Answer(NamedTuple):
    """A 200 with a config: its body as sent, and the id that the server gave the call."""

    body: bytes
    request_id: str | None


class ErrorBody(NamedTuple):
    """The vendor's words in an error's body."""

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
    asked: str | None = None,
    *,
    fault: str | None = None,
) -> Answer:
    """Tells what an answer means.

    Args:
        status: the HTTP status.
        headers: the headers, looked up without regard to case.
        body: the whole body, decompressed.
        redact: takes secrets out of what the server sent, before anything keeps it.
        check: reads the body of a 200 where something else than a config was asked for; a ValueError says why it is not
            that.
        asked: the URN whose config it must be; None where any will do.
        fault: why the answer is not whole, where its status alone says what it means.

    Raises:
        CallError: the answer is no config, or not what was asked for.
    """
    if status == 200:  # noqa: PLR2004
        try:
            named = read_func_urn(body) if check is None else check(body)
        except ValueError as reason:
            what = "not a config" if check is None else "not what was asked for"
            raise _error_of(status, headers, body, redact, words=f"{what}: {reason}") from None
        if asked is not None and isinstance(named, str) and _is_of_another(named, asked):
            words = f"not what was asked for: the config of {named}"
            raise _error_of(status, headers, body, redact, words=words)
        return Answer(body, _request_id(headers, redact))
    error = _error_of(status, headers, body, redact, words=_wrong_with(status, headers, body), fault=fault)
    if status == 404 and _is_broken_json(headers, body):  # noqa: PLR2004
        raise error  # the half that is missing says whether the service or the gateway spoke
    cls = _class_of(status, error.error_code or "")
    if error.error_code is None and _is_of_something_between(status, headers, error.body):
        told = f"{_BETWEEN}: {error.error_msg}"[:MAX_ERROR_MSG]
        raise BlockedError(told, status_code=status, request_id=error.request_id, body=error.body)
    if cls is ThrottledError:
        raise error.as_kind(ThrottledError).with_hints(
            retry_after=parse_retry_after(headers), limit=read_limit(error.error_msg or "")
        )
    raise error.as_kind(cls)


def _is_of_another(answered: str, asked: str) -> bool:
    """Whether an answer names another function, or another version, than the one that was asked about.

    The same function may be named in other words: with ``:latest`` or without, by the version that an alias or
    ``latest`` stands for, and, for all that is known, by another name of the region (the project's id says which it
    is). A name that is no full URN says nothing.
    """
    if answered in (asked, f"{asked}:{LATEST}"):  # without a look at the grammar: nearly always
        return False
    try:
        named, meant = parse(answered), parse(asked)
    except UrnError:
        return False
    is_one_version = (meant.qualifier_type, named.qualifier_type) == (
        "version",
        "version",
    ) and meant.qualifier != LATEST
    return named[1:4] != meant[1:4] or (is_one_version and named.qualifier != meant.qualifier)


def is_named_otherwise(answered: str | None, asked: str) -> bool:
    """Whether the config of a URN names another qualifier or region; ``latest`` goes without saying."""
    if answered is None or answered in (asked, f"{asked}:{LATEST}"):
        return False
    try:
        named, meant = parse(answered), parse(asked)
    except UrnError:
        return False
    is_plain = named.qualifier is None
    return named.region != meant.region or not (is_plain or _qualifier_of(named) == _qualifier_of(meant))


def _qualifier_of(urn: FunctionUrn) -> tuple[str, str]:
    return urn.qualifier or LATEST, urn.qualifier_type or "version"


def read_error_body(body: bytes | str) -> ErrorBody:
    """Reads the vendor's words from an error's body, in any of the shapes that are sent; ``rest`` is what is left.

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
    code, msg = (_taken(rest, names) for names in _NAMES)
    for outer in ("error", "NeutronError"):
        if code is None and msg is None and isinstance(rest.get(outer), dict):
            inner = dict(rest[outer])
            code, msg = (_taken(inner, names) for names in _NESTED_NAMES)
            rest = {**rest, outer: inner} if inner else {name: rest[name] for name in rest if name != outer}
    return ErrorBody(code, msg, request_id, rest)


def _taken(fields: dict[str, Any], names: tuple[str, ...]) -> str | None:
    """Takes the first of these fields that says something."""
    name = next((name for name in names if fields.get(name) is not None), names[0])
    return _as_text(fields.pop(name, None))


def _class_of(status: int, code: str) -> type[CallError]:  # noqa: PLR0911 - one line a row of the table
    """The table of api-facts.md section 3: status first, then code."""
    service = code.startswith("FSS.")
    if status == 401:  # noqa: PLR2004
        return RefusedError if service else CredentialRefusedError
    if status == 403:  # noqa: PLR2004
        return ForbiddenError
    if status == 404:  # noqa: PLR2004
        if code in GONE:
            return NotFoundError
        return NotConfiguredError if service else WrongEndpointError
    if status == 405 and code.endswith((".0501", ".0502")):  # noqa: PLR2004 - the account is frozen
        return ForbiddenError
    fixed: dict[int, type[CallError]] = {408: CallTimeoutError, 418: BlockedError, 429: ThrottledError}
    if status in fixed:
        return fixed[status]
    if status >= 500:  # noqa: PLR2004
        return ServerError
    return BadRequestError if status >= 400 else BadAnswerError  # noqa: PLR2004


def _is_of_something_between(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a refusal is a proxy's or a web filter's: service and gateway refuse in JSON."""
    if status == 407:  # noqa: PLR2004
        return True
    is_page = "html" in headers.get("Content-Type", "").lower() or body.lstrip()[:1] == b"<"
    return status == 403 and is_page and bool(body.strip())  # noqa: PLR2004


def _wrong_with(status: int, headers: Mapping[str, str], body: bytes) -> str | None:
    """What is wrong with an answer where its status alone does not say it."""
    if 300 <= status < 400 and "Location" in headers:  # noqa: PLR2004
        return f"a redirect to {_shown(headers['Location'])}, which is not followed"
    if status < 400:  # noqa: PLR2004
        return "a status that is not documented for this call"
    if status == 404 and _is_broken_json(headers, body):  # noqa: PLR2004
        return "not whole JSON"
    return None


def _is_broken_json(headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a body that is called JSON came in part; an empty one, and a web page, did not."""
    if not body or "json" not in headers.get("Content-Type", "").lower():
        return False
    try:
        read_json(body)
    except ValueError:
        return True
    return False


def _request_id(headers: Mapping[str, str], redact: Callable[[str], str]) -> str | None:
    sent = headers.get("X-Request-Id")
    return None if sent is None else redact(_shown(sent))[:MAX_REQUEST_ID]


def _shown(header: str) -> str:
    """A header's text; bytes that are no UTF-8 reach us as half characters, which no file takes."""
    return header.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _error_of(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    redact: Callable[[str], str],
    *,
    words: str | None,
    fault: str | None = None,
) -> BadAnswerError:
    """The answer as an error, with the vendor's words; ``words`` says what is wrong where the status does not."""
    text = redact(body[:MAX_ERROR_BODY].decode("utf-8-sig", errors="replace"))
    vendor = read_error_body(text)
    if words is None:
        words = vendor.msg
        if words is None and vendor.code is None:
            words = " ".join(_TAG.sub(" ", text[:MAX_ERROR_MSG]).split()) or (None if fault else "an empty body")
    elif vendor.msg is not None:
        words = f"{words}: {vendor.msg}"
    if fault is not None:
        words = fault if words is None else f"{words[: MAX_ERROR_MSG // 2]} ({fault})"
    return BadAnswerError(
        None if words is None else redact(words)[:MAX_ERROR_MSG],
        status_code=status,
        error_code=vendor.code,
        request_id=_request_id(headers, redact) or vendor.request_id,
        body=text.encode()[:MAX_ERROR_BODY],
    )


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of ``Retry-After``, which is a number or a date; None where there is none that can be read."""
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
