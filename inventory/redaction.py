"""How secrets are kept out of every text: what is known to be secret is taken out wherever it stands, however spelled.

Owns the finding of secrets in texts that a server sends. Knows not where a secret comes from.

A secret is found in its place, and nothing else of the text is touched: an answer that was JSON is JSON still, and so
the vendor's code can be read.
"""

from __future__ import annotations

import base64
import html.entities
import re
from typing import Final

REDACTED: Final = "[redacted]"
"""Stands where a secret stood."""
_SHORT: Final = 16
"""Characters. A shorter secret may be part of an ordinary word; a part of a longer one gives it away."""
_PIECE: Final = _SHORT // 2
"""Characters. Whatever part of a secret is in a text, cut into such pieces, one of them is whole in that part."""
_SHORTEST: Final = 8
"""Characters. A shorter one is as good as any word, and is left in what is kept as it came."""
_RUNS: Final = re.compile(rf"[^\s\"'<>,;&\\]{{{_SHORT},}}")
# What the gateway's signature errors echo (api-facts.md section 3.3), and what any server may send back of our headers.
_ECHOES: Final = re.compile(
    r"(?i)(\b(?:x-auth-token|x-subject-token|x-security-token|authorization|credential)\b\\{0,8}[\"']?\s*[:=]\s*\\{0,8}[\"']?"
    r"(?:(?:SDK-HMAC-SHA256|Bearer|Basic)\s+)?|\b(?:access=|signature=|ak[=:]|sk[=:])\s*)((?:[^\s,;\"'<>&\\]|\\/)+)"
)
# A word begins behind these too: the end of an escape is no letter of the word that follows it.
_BEGINS: Final = (
    r"(?:(?<![A-Za-z0-9])|(?<=%[0-9a-fA-F][0-9a-fA-F])|(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{2}[0-9a-fA-F]{2}))"
)
_ENDS: Final = r"(?![A-Za-z0-9])"
# Escaped once or more. Bounded, and beginning with one certain character: a text of nothing but these is quickly read.
_BACKSLASH: Final = r"\\\\{0,7}"
_PERCENT: Final = "%(?:25){0,3}"
_AMPERSAND: Final = "&(?:amp;){0,3}"
_ESCAPED: Final = rf"{_PERCENT}[0-9a-fA-F]{{2}}|{_BACKSLASH}u[0-9a-fA-F]{{4}}|{_BACKSLASH}/|{_AMPERSAND}#?\w{{1,8}};"
_PLAIN: Final = re.compile(r"[A-Za-z0-9]{1,64}", re.ASCII)
_ENTITIES: Final = {text: name for name, text in html.entities.html5.items() if name.endswith(";") and len(text) == 1}


class Redactor:
    """Takes secrets out of texts. A secret that is renewed is added; the old one stays known."""

    def __init__(self, *secrets: str) -> None:
        self._known: set[str] = set()
        self._in_texts: dict[str, re.Pattern[str]] = {}  # secrets that begin alike have patterns in common
        self._in_bodies: list[re.Pattern[bytes]] = []
        self._words: list[bytes] = []  # of which one is there wherever a pattern for bodies fits
        self._parts: set[str] = set()
        self._pieces: set[str] = set()
        for secret in secrets:
            self.add(secret)

    def __repr__(self) -> str:
        return f"Redactor({len(self._known)} secrets)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("secrets are not pickled: the other side reads its own")

    def add(self, secret: str) -> None:
        """Adds a secret to those that are taken out."""
        if not secret or secret in self._known:
            return
        self._known.add(secret)
        codes = _codes_of(secret) if len(secret) >= _SHORTEST else []
        patterns = {_beginning_of(secret): [secret[:_SHORT]], "|".join(map(_any_code, codes)): codes}
        for pattern in filter(None, (_whole(secret), *patterns)):
            self._in_texts.setdefault(pattern, re.compile(pattern))
        for pattern, words in patterns.items() if codes else ():
            self._in_bodies.append(re.compile(pattern.encode()))
            self._words += map(_longest_word, words)
        if len(secret) >= _SHORT:
            self._parts |= {secret[at : at + _SHORT] for at in range(len(secret) - _SHORT + 1)}
            self._pieces |= {secret[at : at + _PIECE] for at in range(len(secret) - _PIECE + 1)}

    def redact(self, text: str) -> str:
        """Takes the secrets, and whatever looks like a key or a signature, out of a text of the server."""
        if _PLAIN.fullmatch(text) and self._is_harmless(text):
            return text
        for secret in self._in_texts.values():
            text = secret.sub(REDACTED, text)
        if self._parts:
            text = _RUNS.sub(self._without_parts, text)
        return _ECHOES.sub(rf"\g<1>{REDACTED}", text)

    def purge(self, body: bytes) -> bytes:
        """Takes the secrets, in any spelling, out of an answer that is kept as it came; nothing else is touched."""
        # Nearly no answer is spelled oddly or has a word of a secret: to see that is quicker than to look for patterns.
        if b"%" not in body and b"\\u" not in body and b"&" not in body:
            for word in self._words:
                if word in body:
                    break
            else:
                return body
        for secret in self._in_bodies:
            body = secret.sub(REDACTED.encode(), body)
        return body

    def _is_harmless(self, text: str) -> bool:
        """Whether a plain word, such as the id of a call, has nothing of a secret in it: most are, and are many."""
        if not self._pieces.isdisjoint([text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]):
            return False
        plain = text.encode()
        return not any(word in plain for word in self._words) and text not in self._known

    def _without_parts(self, run: re.Match[str]) -> str:
        """A run of characters, or what stands for it where a part of a secret is in it: a text that was cut short."""
        text = run[0]
        parts = (text[at : at + _SHORT] for at in range(len(text) - _SHORT + 1))
        return text if self._parts.isdisjoint(parts) else REDACTED


def _whole(secret: str) -> str:
    """Finds a secret from its beginning to its end, its letters and digits plain, the others in any spelling."""
    found = "".join(one if one.isascii() and one.isalnum() else _any_spelling(one) for one in secret)
    return found if len(secret) >= _SHORT else f"{_BEGINS}{found}{_ENDS}"


def _beginning_of(secret: str) -> str:
    """Finds a secret in any spelling; of a long one the beginning, and what hangs on to it and could be its rest."""
    found = "".join(map(_any_spelling, secret[:_SHORT]))
    if len(secret) < _SHORT:
        return f"{_BEGINS}{found}{_ENDS}"
    return rf"{found}(?:{_ESCAPED}|[A-Za-z0-9{''.join(map(re.escape, sorted(set(secret))))}])*"


def _codes_of(secret: str) -> list[str]:
    """What a secret looks like in base64, wherever in the encoded text it begins, and in hexadecimal digits.

    Of a long one the beginning.
    """
    raw = secret.encode("utf-8", "surrogatepass")
    most = _SHORT if len(secret) >= _SHORT else None
    found = []
    for before in range(3):  # bytes of a group of three that stand before it
        code = base64.b64encode(b"\0" * before + raw).decode()
        found.append(code[(8 * before + 5) // 6 : 8 * (before + len(raw)) // 6][:most])  # without its neighbours' part
    digits = raw[:_SHORT].hex()
    return [*found, digits, digits.upper()]


def _any_code(code: str) -> str:
    """Finds such a beginning, and what hangs on to it and could be its rest."""
    found = code.replace("+", r"(?:\+|-|%2[bB]|\\u002[bB])").replace("/", r"(?:/|_|%2[fF]|\\/|\\u002[fF])")
    return rf"{found}(?:[A-Za-z0-9+/_-]|%2[bBfF]|\\/)*(?:=|%3[dD]){{0,2}}"


def _longest_word(text: str) -> bytes:
    words: list[str] = re.findall(r"[A-Za-z0-9]*", text)
    return max(words, key=len).encode()


def _any_spelling(character: str) -> str:
    """A character plain, percent-encoded, escaped as in JSON, or as an entity of HTML; each also more than once."""
    code = ord(character)
    units = character.encode("utf-16-be", "surrogatepass").hex()
    spelled = [
        re.escape(character),
        "".join(f"{_PERCENT}{_any_case(f'{byte:02x}')}" for byte in character.encode("utf-8", "surrogatepass")),
        "".join(f"{_BACKSLASH}u{_any_case(units[at : at + 4])}" for at in range(0, len(units), 4)),
        f"{_AMPERSAND}#(?:0{{0,5}}{code}|[xX]0{{0,5}}{_any_case(f'{code:x}')});",
    ]
    if character in '/"\\':
        spelled.append(f"{_BACKSLASH}{re.escape(character)}")
    if character in _ENTITIES:
        spelled.append(f"{_AMPERSAND}{_ENTITIES[character]}")
    return f"(?:{'|'.join(spelled)})"


def _any_case(digits: str) -> str:
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in digits)
