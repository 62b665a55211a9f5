"""Redactor: removes secrets from text and response bodies, in any encoding."""

from __future__ import annotations

import base64
import functools
import html.entities
import re
import weakref
from collections import deque
from typing import Final

from inventory import proxies

REDACTED: Final = "[redacted]"
"""Replacement of a secret."""
_SHORT: Final = 16
"""Characters. A shorter secret may be part of an ordinary word; for a longer one, a part is also secret."""
_PIECE: Final = _SHORT // 2
"""Characters. _SHORT characters of a secret always contain one whole aligned piece of this size."""
_SHORTEST: Final = 8
"""Characters. Shorter secrets remain in response bodies, because they may be ordinary words."""
_RUNS: Final = re.compile(rf"[^\s\"'<>,;&\\]{{{_SHORT},}}")
# Signature errors of the gateway (api-facts.md section 3.3), and request headers that a server may return.
_ECHOES: Final = re.compile(
    r"(?i)(\b(?:x-auth-token|x-subject-token|x-security-token|authorization|credential)\b\\{0,8}[\"']?\s*[:=]\s*\\{0,8}[\"']?"
    r"(?:(?:SDK-HMAC-SHA256|Bearer|Basic)\s+)?|\b(?:access=|signature=|ak[=:]|sk[=:])\s*)((?:[^\s,;\"'<>&\\]|\\/)+)"
)
# A word also starts after an escape sequence, whose last letter is not part of the word.
_WORD_START: Final = (
    r"(?:(?<![A-Za-z0-9])|(?<=%[0-9a-fA-F][0-9a-fA-F])|(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{2}[0-9a-fA-F]{2}))"
)
_WORD_END: Final = r"(?![A-Za-z0-9])"
# Escaped once or more. Bounded, with a fixed first character, so that a text full of escapes is searched fast.
_BACKSLASH: Final = r"\\\\{0,7}"
_PERCENT: Final = "%(?:25){0,3}"
_AMPERSAND: Final = "&(?:amp;){0,3}"
_BACKSLASHES: Final = r"(?:(?:\\\\){1,4}|\\(?!\")|(?=\\\"))"
"""One backslash, plain or escaped. One that escapes a quote is not included: JSON must remain JSON."""
_BACKSLASHES_WITHIN: Final = r"(?<!\\)(?:\\+(?![\\\"])|\\{2}(?=\")|\\{4}(?=\\\")|\\{8}(?=\\{3}\")|\\{16}(?=\\{7}\"))"
"""In the rest of a long secret: a run of backslashes, less those that escape a quote in JSON nested 1 to 4 times."""
_SHORT_ESCAPES: Final = {"\t": "t", "\n": "n", "\r": "r", "\b": "b", "\f": "f", '"': '"', "/": "/"}
_ESCAPED: Final = rf"{_PERCENT}[0-9a-fA-F]{{2}}|{_BACKSLASH}u[0-9a-fA-F]{{4}}|{_BACKSLASH}/|{_AMPERSAND}#?\w{{1,8}};"
_PLAIN: Final = re.compile(r"[A-Za-z0-9]{1,64}", re.ASCII)
_PLAIN_WORD: Final = re.compile(r"[A-Za-z0-9]")
_WORDS: Final = re.compile(r"[A-Za-z0-9]+|(?s:.)")
_HEXADECIMAL: Final = re.compile(r"[0-9a-f]+")
_HEXADECIMAL_RUNS: Final = re.compile(rf"[0-9a-f]{{{_PIECE},}}")
_KEPT_RENEWALS: Final = 4
_ENTITIES: Final = {text: name for name, text in html.entities.html5.items() if name.endswith(";") and len(text) == 1}


class Redactor:
    """Removes secrets from text, including those of the environment's proxies.

    Only the secret is replaced, so that JSON remains valid JSON.

    Args:
        secrets: permanent secrets.
        parent: another redactor, whose secrets are removed too.
    """

    def __init__(self, *secrets: str, parent: Redactor | None = None) -> None:
        self._parent = parent
        self._of_proxies = _of_proxies(proxies.find_secrets()) if parent is None else ()
        self._lasting: dict[str, _Secret] = {}
        self._renewed: deque[dict[str, _Secret]] = deque(maxlen=_KEPT_RENEWALS)
        self._own: tuple[_Secret, ...] = self._of_proxies
        for secret in secrets:
            self.add(secret)
        _ALIVE.add(self)

    def __repr__(self) -> str:
        return f"Redactor({len({secret.text for secret in self._secrets()})} secrets)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Redactor contains secrets and cannot be pickled")

    def add(self, secret: str) -> None:
        """Adds a permanent secret."""
        if secret and secret not in self._lasting:
            self._lasting[secret] = _Secret(secret)
            self._list_own()

    def renew(self, *secrets: str) -> None:
        """Adds the secrets of a renewed credential; the last renewals stay known for responses in progress."""
        self._renewed.append({secret: _Secret(secret) for secret in secrets if secret})
        self._list_own()

    def _list_own(self) -> None:
        renewed = (secret for secrets in self._renewed for secret in secrets.values())
        self._own = (*self._of_proxies, *self._lasting.values(), *renewed)

    def redact(self, text: str) -> str:
        """Removes secrets, and everything that looks like a key or signature."""
        secrets = self._secrets()
        if _PLAIN.fullmatch(text) is not None:
            for secret in secrets:
                if not secret.is_absent_from(text):
                    break
            else:
                return text
        for secret in secrets:
            text = secret.redact(text)
        if any(len(secret.text) >= _SHORT for secret in secrets):
            text = _RUNS.sub(
                lambda run: REDACTED if any(secret.has_part_in(run[0]) for secret in secrets) else run[0], text
            )
        return _ECHOES.sub(rf"\g<1>{REDACTED}", text)

    def redact_body(self, body: bytes) -> bytes:
        """Removes secrets in any encoding from a response body; changes nothing else."""
        text = ""
        for secret in self._secrets():
            if secret.is_in_bodies:
                # Text is searched in half of the time of bytes.
                text = text or body.decode("latin-1")
                if secret.may_be_in(text):
                    body, text = secret.redact_body(body), ""
        return body

    def _secrets(self) -> tuple[_Secret, ...]:
        return self._own if self._parent is None else self._parent._secrets() + self._own  # noqa: SLF001 - of the same class


class _Secret:
    """One secret and its search patterns, compiled when needed.

    Args:
        text: the secret.
        is_name: it may be an ordinary word, and remains in bodies.
    """

    __slots__ = (
        "_codes",
        "_hexadecimal",
        "_parts",
        "_patterns",
        "_purges",
        "_words",
        "is_in_bodies",
        "text",
    )

    def __init__(self, text: str, *, is_name: bool = False) -> None:
        self.text = text
        self.is_in_bodies = len(text) >= _SHORTEST and not is_name
        self._codes = _encodings_of(text) if self.is_in_bodies else []
        # Most texts contain no escapes and none of these words; this check is faster than the patterns.
        self._words = [_longest_word(word) for word in (text[:_SHORT], *self._codes)]
        self._parts = text if len(text) >= _SHORT else ""
        self._hexadecimal = " ".join(_HEXADECIMAL_RUNS.findall(self._parts))
        self._patterns: list[re.Pattern[str]] | None = None
        self._purges: list[re.Pattern[bytes]] | None = None

    def is_absent_from(self, text: str) -> bool:
        """A fast check for alphanumeric words such as request ids."""
        if text == self.text:
            return False
        for word in self._words:
            if word in text:
                return False
        parts = self._hexadecimal if self._parts and _HEXADECIMAL.fullmatch(text) else self._parts
        if parts:
            for at in range(0, len(text), _PIECE):
                if text[at : at + _PIECE] in parts:
                    return False
        return True

    def redact(self, text: str) -> str:
        if not self.may_be_in(text):
            return text
        if self._patterns is None:
            self._patterns = [re.compile(pattern) for pattern in self._sources()]
        for pattern in self._patterns:
            text = pattern.sub(self._replace_match, text)
        return text

    def may_be_in(self, text: str) -> bool:
        if "%" in text or "&" in text or "\\u" in text:
            return True
        for word in self._words:  # noqa: SIM110 - any() takes twice the time
            if word in text:
                return True
        return False

    def redact_body(self, body: bytes) -> bytes:
        if self._purges is None:
            self._purges = [re.compile(pattern.encode()) for pattern in self._sources()]
        for pattern in self._purges:
            body = pattern.sub(REDACTED.encode(), body)
        return body

    def has_part_in(self, run: str) -> bool:
        """Returns True if a run of characters contains a revealing part, as in truncated text."""
        parts = self._parts
        for at in range(0, len(run) - _PIECE + 1, _PIECE) if parts else ():
            if run[at : at + _PIECE] in parts:
                first = max(0, at - _PIECE + 1)
                last = min(at, len(run) - _SHORT)
                if any(run[start : start + _SHORT] in parts for start in range(first, last + 1)):
                    return True
        return False

    def _sources(self) -> list[str]:
        codes = "|".join(map(_encoded_pattern, self._codes))
        return [_pattern_of(self.text), *filter(None, [codes])]

    def _replace_match(self, match: re.Match[str]) -> str:
        rest, clean = match[0], ""
        while (end := _find_end(self.text, rest) if len(self.text) >= _SHORT else None) is not None:
            clean, rest = clean + REDACTED, rest[end:]
            following = match.re.search(rest)
            if following is None:
                return clean + rest
            clean, rest = clean + rest[: following.start()], rest[following.start() :]
        return clean + REDACTED


@functools.lru_cache(maxsize=1)
def _of_proxies(proxy_secrets: tuple[tuple[str, ...], tuple[str, ...]]) -> tuple[_Secret, ...]:
    passwords, users = proxy_secrets
    return (*map(_Secret, passwords), *(_Secret(user, is_name=True) for user in users))


_ALIVE: Final[weakref.WeakSet[Redactor]] = weakref.WeakSet()


def redact_everywhere(text: str) -> str:
    """Removes the secrets of every redactor of this process, for tracebacks."""
    for redactor in (Redactor(), *_ALIVE):
        text = redactor.redact(text)
    return text


def _find_end(secret: str, text: str) -> int | None:
    """Letters and digits must be plain, other characters may be in any spelling."""
    at = 0
    for word in _WORDS.findall(secret):
        if _PLAIN_WORD.match(word):
            end = at + len(word) if text.startswith(word, at) else None
        else:
            spelled = re.compile(_character_pattern(word)).match(text, at)
            end = None if spelled is None else spelled.end()
        if end is None:
            return None
        at = end
    return at


def _pattern_of(secret: str) -> str:
    """Any spelling; for a long secret, its beginning and any possible continuation."""
    pattern = "".join(map(_character_pattern, secret[:_SHORT]))
    if len(secret) < _SHORT:
        return f"{_WORD_START}{pattern}{_WORD_END}"
    escapes = [_ESCAPED, *(f"{_BACKSLASH}{_SHORT_ESCAPES[one]}" for one in sorted(set(secret) & set("\t\n\r\b\f")))]
    if "\\" in secret:
        escapes.append(_BACKSLASHES_WITHIN)
    others = "".join(map(re.escape, sorted(set(secret) - {"\\"})))
    return rf"{pattern}(?:{'|'.join(escapes)}|[A-Za-z0-9{others}])*"


def _encodings_of(secret: str) -> list[str]:
    """Base64 for each alignment, and hexadecimal; for a long secret, its beginning."""
    raw = secret.encode("utf-8", "surrogatepass")
    maximum = _SHORT if len(secret) >= _SHORT else None
    encodings = []
    for before in range(3):  # bytes before it in a group of three
        code = base64.b64encode(b"\0" * before + raw).decode()
        encodings.append(code[(8 * before + 5) // 6 : 8 * (before + len(raw)) // 6][:maximum])
    digits = raw[:_SHORT].hex()
    return [*encodings, digits, digits.upper()]


def _encoded_pattern(code: str) -> str:
    pattern = code.replace("+", r"(?:\+|-|%2[bB]|\\u002[bB])").replace("/", r"(?:/|_|%2[fF]|\\/|\\u002[fF])")
    return rf"{pattern}(?:[A-Za-z0-9+/_-]|%2[bBfF]|\\/)*(?:=|%3[dD]){{0,2}}"


def _longest_word(text: str) -> str:
    words: list[str] = re.findall(r"[A-Za-z0-9]*", text)
    return max(words, key=len)


def _character_pattern(character: str) -> str:
    code = ord(character)
    units = character.encode("utf-16-be", "surrogatepass").hex()
    spelled = [
        _BACKSLASHES if character == "\\" else re.escape(character),
        "".join(f"{_PERCENT}{_any_case(f'{byte:02x}')}" for byte in character.encode("utf-8", "surrogatepass")),
        "".join(f"{_BACKSLASH}u{_any_case(units[at : at + 4])}" for at in range(0, len(units), 4)),
        f"{_AMPERSAND}#(?:0{{0,5}}{code}|[xX]0{{0,5}}{_any_case(f'{code:x}')});",
    ]
    if character in _SHORT_ESCAPES:
        spelled.append(f"{_BACKSLASH}{_SHORT_ESCAPES[character]}")
    if character in _ENTITIES:
        spelled.append(f"{_AMPERSAND}{_ENTITIES[character]}")
    return f"(?:{'|'.join(spelled)})"


def _any_case(digits: str) -> str:
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in digits)
