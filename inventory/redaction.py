"""How secrets are kept out of every text: what is known to be secret is taken out wherever it stands, however spelled.

Owns the finding of secrets in texts that a server sends. Knows not where a secret comes from.

A secret is found in its place, and nothing else of the text is touched: an answer that was JSON is JSON still, and so
the vendor's code can be read.
"""

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
_PLAIN_WORD: Final = re.compile(r"[A-Za-z0-9]")
_WORDS: Final = re.compile(r"[A-Za-z0-9]+|(?s:.)")
_HEXADECIMAL: Final = re.compile(r"[0-9a-f]+")
_HEXADECIMAL_RUNS: Final = re.compile(rf"[0-9a-f]{{{_PIECE},}}")
_KEPT: Final = 4
"""How many renewals of a credential stay known."""
_ENTITIES: Final = {text: name for name, text in html.entities.html5.items() if name.endswith(";") and len(text) == 1}


class Redactor:
    """Takes secrets out of texts, those of the environment's proxies among them.

    A secret costs a few kilobytes; its patterns are made when a text may hold it.

    Args:
        secrets: those that stay known.
        beside: another redactor, whose secrets are taken out too.
    """

    def __init__(self, *secrets: str, beside: Redactor | None = None) -> None:
        self._beside = beside
        self._of_proxies = _of_proxies(proxies.secrets()) if beside is None else ()
        self._lasting: dict[str, _Secret] = {}
        self._renewed: deque[dict[str, _Secret]] = deque(maxlen=_KEPT)
        for secret in secrets:
            self.add(secret)
        _ALIVE.add(self)

    def __repr__(self) -> str:
        return f"Redactor({len({secret.text for secret in self._secrets()})} secrets)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("secrets are not pickled: the other side reads its own")

    def add(self, secret: str) -> None:
        """Adds a secret that stays known."""
        if secret and secret not in self._lasting:
            self._lasting[secret] = _Secret(secret)

    def renew(self, *secrets: str) -> None:
        """Adds the secrets of a credential that was renewed.

        Those before stay known for the answers that are under way; of older ones the oldest are dropped.
        """
        self._renewed.append({secret: _Secret(secret) for secret in secrets if secret})

    def redact(self, text: str) -> str:
        """Takes the secrets, and whatever looks like a key or a signature, out of a text of the server."""
        secrets = self._secrets()
        if _PLAIN.fullmatch(text) and all(secret.is_absent_from(text) for secret in secrets):
            return text
        for secret in secrets:
            text = secret.taken_out_of(text)
        if any(len(secret.text) >= _SHORT for secret in secrets):
            text = _RUNS.sub(lambda run: REDACTED if any(one.has_part_in(run[0]) for one in secrets) else run[0], text)
        return _ECHOES.sub(rf"\g<1>{REDACTED}", text)

    def purge(self, body: bytes) -> bytes:
        """Takes the secrets, in any spelling, out of an answer that is kept as it came; nothing else is touched."""
        is_odd = b"%" in body or b"\\u" in body or b"&" in body
        for secret in self._secrets():
            body = secret.purged_from(body, is_odd=is_odd)
        return body

    def _secrets(self) -> list[_Secret]:
        found = [*self._of_proxies] if self._beside is None else self._beside._secrets()  # noqa: SLF001 - of the same class
        found += self._lasting.values()
        for renewed in self._renewed:
            found += renewed.values()
        return found


class _Secret:
    """One secret, and how it is found.

    Args:
        text: the secret.
        is_name: whether it is often a word that an answer holds by right, and stays in bodies.
    """

    __slots__ = ("_codes", "_hexadecimal", "_parts", "_patterns", "_purges", "_raw_words", "_words", "text")

    def __init__(self, text: str, *, is_name: bool = False) -> None:
        self.text = text
        self._codes = _codes_of(text) if len(text) >= _SHORTEST and not is_name else []
        # Nearly no text is spelled oddly or has one of these: to see that is quicker than to look for patterns.
        self._words = [_longest_word(word) for word in (text[:_SHORT], *self._codes)]
        self._raw_words = [word.encode() for word in self._words]
        self._parts = text if len(text) >= _SHORT else ""
        self._hexadecimal = " ".join(_HEXADECIMAL_RUNS.findall(self._parts))
        self._patterns: list[re.Pattern[str]] | None = None
        self._purges: list[re.Pattern[bytes]] | None = None

    def is_absent_from(self, text: str) -> bool:
        """Whether a plain word, such as the id of a call, has nothing of it: most have not, and there are many."""
        if text == self.text or any(word in text for word in self._words):
            return False
        parts = self._hexadecimal if _HEXADECIMAL.fullmatch(text) else self._parts
        return not parts or not any(text[at : at + _PIECE] in parts for at in range(0, len(text), _PIECE))

    def taken_out_of(self, text: str) -> str:
        """The text without it, whether plain, escaped or encoded."""
        is_odd = "%" in text or "\\u" in text or "&" in text
        if not is_odd and not any(word in text for word in self._words):
            return text
        if self._patterns is None:
            self._patterns = [re.compile(pattern) for pattern in self._sources()]
        for pattern in self._patterns:
            text = pattern.sub(self._without, text)
        return text

    def purged_from(self, body: bytes, *, is_odd: bool) -> bytes:
        """The body without it. One that is as short as any word is left."""
        if not self._codes or not (is_odd or any(word in body for word in self._raw_words)):
            return body
        if self._purges is None:
            self._purges = [re.compile(pattern.encode()) for pattern in self._sources()]
        for pattern in self._purges:
            body = pattern.sub(REDACTED.encode(), body)
        return body

    def has_part_in(self, run: str) -> bool:
        """Whether a part of it that gives it away is in a run of characters: in a text that was cut short."""
        parts = self._parts
        for at in range(0, len(run) - _PIECE + 1, _PIECE) if parts else ():
            if run[at : at + _PIECE] in parts:  # whatever part is there, one of these pieces is whole in it
                first = max(0, at - _PIECE + 1)
                last = min(at, len(run) - _SHORT)
                if any(run[start : start + _SHORT] in parts for start in range(first, last + 1)):
                    return True
        return False

    def _sources(self) -> list[str]:
        codes = "|".join(map(_any_code, self._codes))
        return [_beginning_of(self.text), *filter(None, [codes])]

    def _without(self, found: re.Match[str]) -> str:
        """What stands for a match: of a long secret that is whole, what hangs on to it stays."""
        rest, clean = found[0], ""
        while (end := _end_of(self.text, rest) if len(self.text) >= _SHORT else None) is not None:
            clean, rest = clean + REDACTED, rest[end:]
            following = found.re.search(rest)
            if following is None:
                return clean + rest
            clean, rest = clean + rest[: following.start()], rest[following.start() :]
        return clean + REDACTED


@functools.lru_cache(maxsize=1)
def _of_proxies(found: tuple[tuple[str, ...], tuple[str, ...]]) -> tuple[_Secret, ...]:
    """What all redactors have in common."""
    passwords, users = found
    return (*map(_Secret, passwords), *(_Secret(user, is_name=True) for user in users))


_ALIVE: Final[weakref.WeakSet[Redactor]] = weakref.WeakSet()


def redact_everywhere(text: str) -> str:
    """Takes the secrets of every redactor of this process out of a text, as of a traceback."""
    for redactor in (Redactor(), *_ALIVE):
        text = redactor.redact(text)
    return text


def _end_of(secret: str, text: str) -> int | None:
    """Where a secret ends that a text begins with, its letters and digits plain, the others in any spelling."""
    at = 0
    for word in _WORDS.findall(secret):
        if _PLAIN_WORD.match(word):
            end = at + len(word) if text.startswith(word, at) else None
        else:
            spelled = re.compile(_any_spelling(word)).match(text, at)
            end = None if spelled is None else spelled.end()
        if end is None:
            return None
        at = end
    return at


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


def _longest_word(text: str) -> str:
    words: list[str] = re.findall(r"[A-Za-z0-9]*", text)
    return max(words, key=len)


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
