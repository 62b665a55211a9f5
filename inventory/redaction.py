"""How secrets are kept out of every text: what is known to be secret is taken out wherever it stands, however spelled.

Owns the finding of secrets in texts that a server sends. Knows not where a secret comes from.
"""

from __future__ import annotations

import html
import json
import re
from typing import Final
from urllib.parse import unquote

REDACTED: Final = "[redacted]"
"""Stands where a secret stood."""
_SHORT: Final = 16
"""Characters. A shorter secret may be part of an ordinary word; a part of a longer one gives it away."""
_SHORTEST: Final = 8
"""Characters. A shorter one is as good as any word, and is left in what is kept as it came."""
_ESCAPES: Final = re.compile(r"\\(?:u00([2-7][0-9a-fA-F])(?<!22)(?<!5[cC])|/)")
_RUNS: Final = re.compile(rf"[^\s\"'<>,;&\\]{{{_SHORT},}}")
# What the gateway's signature errors echo (api-facts.md section 3.3), and what any server may send back of our headers.
_ECHOES: Final = re.compile(
    r"(?i)(\b(?:x-auth-token|x-subject-token|x-security-token|authorization|credential)\b[\"']?\s*[:=]\s*[\"']?"
    r"(?:(?:SDK-HMAC-SHA256|Bearer|Basic)\s+)?|\b(?:access=|signature=|ak[=:]|sk[=:])\s*)([^\s,;\"'<>&]+)"
)


class Redactor:
    """Takes secrets out of texts. A secret that is renewed is added; the old one stays known."""

    def __init__(self, *secrets: str) -> None:
        self._spellings: dict[str, bool] = {}  # whether it goes wherever it stands
        self._in_bodies: list[re.Pattern[bytes]] = []
        self._parts: set[str] = set()
        self._echo: re.Pattern[str] | None = None
        for secret in secrets:
            self.add(secret)

    def __repr__(self) -> str:
        return f"Redactor({len(self._spellings)} spellings)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("secrets are not pickled: the other side reads its own")

    def add(self, secret: str) -> None:
        """Adds a secret to those that are taken out."""
        is_long = len(secret) >= _SHORT
        spellings = dict.fromkeys((secret, json.dumps(secret)[1:-1]), is_long)  # one with quotes looks other in JSON
        if not secret or spellings.keys() <= self._spellings.keys():
            return
        self._spellings.update(spellings)
        if len(secret) >= _SHORTEST:
            self._in_bodies.append(_in_any_spelling(secret))
        if is_long:
            self._parts |= {secret[at : at + _SHORT] for at in range(len(secret) - _SHORT + 1)}
        long = "|".join(re.escape(spelling) for spelling, goes in self._spellings.items() if goes)
        short = "|".join(re.escape(spelling) for spelling, goes in self._spellings.items() if not goes)
        # A short secret may be part of an ordinary word, which stays; a long one goes wherever it stands.
        alone = rf"(?<![A-Za-z0-9])(?:{short})(?![A-Za-z0-9])" if short else ""
        self._echo = re.compile("|".join(filter(None, (long, alone))))

    def redact(self, text: str) -> str:
        """Takes the secrets, and whatever looks like a key or a signature, out of a text of the server.

        A secret that is spelled otherwise (percent-encoded, with HTML entities or JSON escapes) is found by undoing
        that; only then is the text kept in its plain spelling.
        """
        if self._echo is not None:
            for spell in (str, unquote, html.unescape, _without_escapes):
                plain = spell(text)
                if self._echo.search(plain):
                    text = self._echo.sub(REDACTED, plain)
        if self._parts:
            text = _RUNS.sub(self._without_parts, text)
        return _ECHOES.sub(rf"\g<1>{REDACTED}", text)

    def purge(self, body: bytes) -> bytes:
        """Takes the secrets, in any spelling, out of an answer that is kept as it came; nothing else is touched."""
        for secret in self._in_bodies:
            body = secret.sub(REDACTED.encode(), body)
        return body

    def _without_parts(self, run: re.Match[str]) -> str:
        """A run of characters, or what stands for it where a part of a secret is in it: a text that was cut short."""
        text = run[0]
        parts = (text[at : at + _SHORT] for at in range(len(text) - _SHORT + 1))
        return text if self._parts.isdisjoint(parts) else REDACTED


def _in_any_spelling(secret: str) -> re.Pattern[bytes]:
    """Finds a secret, or its beginning and what hangs on to it, whether plain, percent-encoded or escaped."""
    start, rest = secret[:_SHORT], secret[_SHORT:]
    found = b"".join(map(_any_spelling, start))
    if rest:
        found += rb"(?:\\u00[0-9a-fA-F]{2}|\\/|&#?\w{1,6};|[^\s\"'<>,;\\])*"
    else:
        found = rb"(?<![A-Za-z0-9])" + found + rb"(?![A-Za-z0-9])"
    return re.compile(found)


def _any_spelling(character: str) -> bytes:
    code = f"{ord(character):02x}"
    digits = "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in code)
    spelled = [re.escape(character), f"%{digits}", rf"\\u00{digits}", f"&#(?:{ord(character)}|[xX]0*{digits});"]
    spelled += [rf"\\{re.escape(character)}"] * (character in '/"\\')
    spelled += [re.escape(html.escape(character))] * (html.escape(character) != character)
    return f"(?:{'|'.join(spelled)})".encode()


def _without_escapes(text: str) -> str:
    """Undoes the JSON escapes that need not be there: those of printable ASCII, but for quotes and backslashes."""
    return _ESCAPES.sub(lambda found: chr(int(found[1], 16)) if found[1] else "/", text)
