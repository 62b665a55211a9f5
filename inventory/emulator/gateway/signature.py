"""Verifies AK/SK signatures, their clock skew and the lock of a key.

Written from the vendor's description, not from the SDK that signs.

Source: api-facts.md sections 3.3 and 6.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ALGORITHM: Final = "SDK-HMAC-SHA256"
MAX_SKEW_SECONDS: Final = 15 * 60
MAX_FAILURES: Final = 5
LOCKED_SECONDS: Final = 5 * 60
_AUTHORIZATION: Final = re.compile(r"SDK-HMAC-SHA256 Access=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})")


class Keys:
    """The accepted access keys.

    Args:
        secrets: secret key by access key.
        security_tokens: required security token by access key, for temporary keys.
        now: seconds since 1970.
    """

    def __init__(
        self,
        secrets: Mapping[str, str],
        security_tokens: Mapping[str, str] | None = None,
        *,
        now: Callable[[], float],
    ) -> None:
        self._secrets = dict(secrets)
        self._security_tokens = dict(security_tokens or {})
        self._now = now
        self._failures: dict[str, int] = {}
        self._locked_until: dict[str, float] = {}

    def check(self, method: str, raw_path: str, headers: Mapping[str, str], body: bytes) -> str | None:
        """The message for a refused call, or None. ``raw_path`` includes the query; ``headers`` ignores case."""
        match = _AUTHORIZATION.fullmatch(headers.get("Authorization", ""))
        if match is None:
            return "verify aksk signature fail, authorization header is malformed"
        key, signed, signature = match.groups()
        if self._now() < self._locked_until.get(key, 0.0):
            return "AK access failed to reach the limit,forbidden"
        reason = self._find_fault(key, signed.split(";"), signature, (method, raw_path, headers, body))
        if reason is None:
            self._failures.pop(key, None)
            return None
        self._failures[key] = self._failures.get(key, 0) + 1
        if self._failures[key] > MAX_FAILURES:
            self._locked_until[key] = self._now() + LOCKED_SECONDS
            self._failures.pop(key)
        return reason

    def _find_fault(
        self, key: str, signed: list[str], signature: str, call: tuple[str, str, Mapping[str, str], bytes]
    ) -> str | None:
        method, raw_path, headers, body = call
        if key not in self._secrets:
            return f"ak {key} not exist"
        date = headers.get("X-Sdk-Date", "")
        try:
            sent = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError:
            return "verify aksk signature fail, x-sdk-date is missing or malformed"
        if abs(self._now() - sent) > MAX_SKEW_SECONDS:
            return "verify aksk signature fail, signature expired"
        expected_token = self._security_tokens.get(key)
        if expected_token is not None and headers.get("X-Security-Token") != expected_token:
            return "verify aksk signature fail, securityToken is invalid"
        canonical = canonical_request(method, raw_path, headers, signed, body)
        text = f"{ALGORITHM}\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        right = hmac.new(self._secrets[key].encode(), text.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(right, signature):
            # The real gateway echoes the canonical request: headers and key leak into logs.
            return f"verify aksk signature fail, canonicalRequest:{canonical.replace(chr(10), '|')},ak:{key}"
        return None


def canonical_request(method: str, raw_path: str, headers: Mapping[str, str], signed: list[str], body: bytes) -> str:
    """The signed text of a call: method, path with a final "/", query, signed headers, hash of the body."""
    path, _, query = raw_path.partition("?")
    segments = "/".join(quote(segment, safe="~") for segment in unquote(path).split("/"))
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    lines = [
        method.upper(),
        segments if segments.endswith("/") else f"{segments}/",
        "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs),
        *(f"{name}:{headers.get(name, '').strip()}" for name in signed),
        "",
        ";".join(signed),
        hashlib.sha256(body).hexdigest(),
    ]
    return "\n".join(lines)
