"""The credential of a scope: where a token comes from, which headers it makes, and how it is kept out of every text.

Owns the secret. Nothing else of the package ever holds it as text: a credential gives headers to the client and takes
texts to redact; it shows neither in its repr. Knows no HTTP call.
"""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from inventory.errors import CredentialsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TOKEN_VARIABLE: Final = "HW_AUTH_TOKEN"  # noqa: S105 - the name of the variable
_SHORT: Final = 16
"""Characters. A shorter token may be part of an ordinary word; a part of a longer one gives it away."""
REDACTED: Final = "[redacted]"
"""Stands where a secret stood."""
# What the gateway's signature errors echo (api-facts.md section 3.3), and what any server may send back of our headers.
_ESCAPES: Final = re.compile(r"\\(?:u00([2-7][0-9a-fA-F])(?<!22)(?<!5[cC])|/)")
_RUNS: Final = re.compile(rf"[^\s\"'<>,;&\\]{{{_SHORT},}}")
_ECHOES: Final = re.compile(
    r"(?i)(\b(?:x-auth-token|x-subject-token|x-security-token|authorization|credential)\b[\"']?\s*[:=]\s*[\"']?"
    r"(?:(?:SDK-HMAC-SHA256|Bearer|Basic)\s+)?|\b(?:access=|signature=|ak[=:]|sk[=:])\s*)([^\s,;\"'<>&]+)"
)


class Token:
    """An IAM token, sent as ``X-Auth-Token``."""

    def __init__(self, value: str, origin: str) -> None:
        token = value.strip()
        if not token:
            raise CredentialsError(f"{origin} holds no token; put an IAM token there")
        if not token.isascii() or not token.isprintable() or " " in token:
            raise CredentialsError(f"{origin} holds more than a token: a token is one line of printable ASCII")
        self._token = token
        self._origin = origin
        spellings = dict.fromkeys((token, json.dumps(token)[1:-1]))  # a token with quotes looks other in JSON
        echo = "|".join(map(re.escape, spellings))
        # A short token may be part of an ordinary word, which stays; a long one goes wherever it stands.
        self._echo = re.compile(rf"(?<![A-Za-z0-9])(?:{echo})(?![A-Za-z0-9])" if len(token) < _SHORT else echo)
        self._raw = [] if len(token) < _SHORT else [spelling.encode() for spelling in spellings]
        self._parts = frozenset(token[at : at + _SHORT] for at in range(len(token) - _SHORT + 1))

    def __repr__(self) -> str:
        return f"Token(from {self._origin})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a token is not pickled: the other side reads its own")

    def headers(self) -> dict[str, str]:
        """The headers that a call needs to be accepted."""
        return {"X-Auth-Token": self._token}

    def redact(self, text: str) -> str:
        """Takes the token, and whatever looks like a key or a signature, out of a text of the server.

        A token that is spelled otherwise (percent-encoded, with HTML entities or JSON escapes) is found by undoing
        that; only then is the text kept in its plain spelling.
        """
        for spell in (str, unquote, html.unescape, _without_escapes):
            plain = spell(text)
            if self._echo.search(plain):
                text = self._echo.sub(REDACTED, plain)
        if self._parts:
            text = _RUNS.sub(self._without_parts, text)
        return _ECHOES.sub(rf"\g<1>{REDACTED}", text)

    def purge(self, body: bytes) -> bytes:
        """Takes the token out of an answer that is kept as it came; nothing else of it is touched."""
        for raw in self._raw:
            if raw in body:
                body = body.replace(raw, REDACTED.encode())
        return body

    def _without_parts(self, run: re.Match[str]) -> str:
        """A run of characters, or what stands for it where a part of the token is in it: a text that was cut short."""
        text = run[0]
        parts = (text[at : at + _SHORT] for at in range(len(text) - _SHORT + 1))
        return text if self._parts.isdisjoint(parts) else REDACTED


def _without_escapes(text: str) -> str:
    """Undoes the JSON escapes that need not be there: those of printable ASCII, but for quotes and backslashes."""
    return _ESCAPES.sub(lambda found: chr(int(found[1], 16)) if found[1] else "/", text)


def find_token(token_file: Path | None, environment: Mapping[str, str]) -> Token:
    """Finds the token: the file's if one is named, else the environment's.

    Raises:
        CredentialsError: there is none, or the file cannot be read.
    """
    if token_file is not None:
        try:
            return Token(token_file.read_text(encoding="utf-8"), f"--token-file {token_file}")
        except OSError as error:
            raise CredentialsError(f"--token-file {token_file} cannot be read: {error.strerror}") from None
        except UnicodeError:
            raise CredentialsError(f"--token-file {token_file} is not text") from None
    if not environment.get(TOKEN_VARIABLE, "").strip():
        raise CredentialsError(
            f"no credential: set {TOKEN_VARIABLE} to an IAM token, or give --token-file with a file that holds one"
        )
    return Token(environment[TOKEN_VARIABLE], TOKEN_VARIABLE)
