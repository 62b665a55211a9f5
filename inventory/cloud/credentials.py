"""The credential of a scope: which headers make its calls welcome, and how it is renewed.

Owns the door that every kind of credential has, and the kind that needs no other service: an IAM token that somebody
else got. A credential shows its secret in no repr; its ``redactor`` keeps it out of what servers send back. Makes no
HTTP call.
"""

from __future__ import annotations

import stat
import time
from typing import TYPE_CHECKING, Final, Protocol

from inventory.errors import CredentialsError
from inventory.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from inventory.scheduling.lockout import Lockout

TOKEN_VARIABLE: Final = "HW_AUTH_TOKEN"  # noqa: S105 - the name of the variable
_LOOK_SECONDS: Final = 1.0
"""How often a token file is looked at."""
_MAX_FILE: Final = 1024 * 1024
"""Bytes of a token file; a token has a few thousand."""


class Credential(Protocol):
    """What makes the calls of one scope welcome."""

    @property
    def redactor(self) -> Redactor:
        """Takes its secrets out of what a server sends."""

    @property
    def generation(self) -> int:
        """A number that changes with the secret: a call knows with which one it was made."""

    @property
    def lockout(self) -> Lockout | None:
        """What keeps scopes from trying one secret at once; None where nothing is locked when it is refused."""

    async def prepare(self) -> None:
        """Gets or renews what the next call needs, if need be; all who wait share one renewal.

        Raises:
            CallError: there is none to be had.
        """

    def headers(self, url: str) -> Mapping[str, str]:
        """The headers with which a GET of this URL, percent-encoded as it is sent, is accepted."""

    async def renew(self, generation: int) -> bool:
        """A call of this generation was told that its credential must be updated: whether a newer one is there now."""


class TokenCredential:
    """An IAM token, sent as ``X-Auth-Token``. With a file, it is read again when the file has changed.

    Raises:
        CredentialsError: there is no token in it.
    """

    def __init__(
        self,
        value: str,
        origin: str,
        *,
        file: Path | None = None,
        stamp: tuple[int, int, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._origin = origin
        self._file = file
        self._stamp = stamp or _stamp(file)
        self._clock = clock
        self._look_at = clock() + _LOOK_SECONDS
        self._token = _checked(value, origin)
        self._headers = {"X-Auth-Token": self._token}
        self.redactor = Redactor()
        self.redactor.renew(self._token)
        self.lockout = None
        self.generation = 0

    def __repr__(self) -> str:
        return f"TokenCredential(from {self._origin})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a token is not pickled: the other side reads its own")

    async def prepare(self) -> None:
        """Reads the file again where it has changed."""
        if self._file is not None and self._clock() >= self._look_at:
            self._look_at = self._clock() + _LOOK_SECONDS
            self._read_again(self._file)

    def headers(self, _url: str) -> Mapping[str, str]:
        """The token's header."""
        return self._headers

    async def renew(self, generation: int) -> bool:
        """Whether the file holds another token by now."""
        if generation == self.generation and self._file is not None:
            self._stamp = None  # a file system with coarse times shows no change
            self._read_again(self._file)
        return generation != self.generation

    def _read_again(self, file: Path) -> None:
        """Takes the file's token; one that is just being written, or is gone, leaves the old one."""
        stamp = _stamp(file)
        if stamp is None or stamp == self._stamp:
            return
        try:
            token = _checked(_text_of(file), self._origin)
        except CredentialsError:
            return
        self._stamp = stamp
        if token != self._token:
            self._token = token
            self._headers = {"X-Auth-Token": token}
            self.redactor.renew(token)
            self.generation += 1


def read_token_file(path: Path) -> TokenCredential:
    """The token that a file holds.

    Raises:
        CredentialsError: it holds none, or cannot be read.
    """
    stamp = _stamp(path)  # before the text: what is written in between is read later
    return TokenCredential(_text_of(path), f"--token-file {path}", file=path, stamp=stamp)


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE).decode("utf-8-sig")
    except OSError as error:
        raise CredentialsError.from_os_error(f"--token-file {path}", "cannot be read", error) from None
    except UnicodeError:
        raise CredentialsError(f"--token-file {path} is not text in UTF-8") from None


def is_one_word(secret: str) -> bool:
    """Whether a secret can be sent in a header: printable ASCII without spaces."""
    return secret.isascii() and secret.isprintable() and " " not in secret


def _checked(value: str, origin: str) -> str:
    token = value.strip()
    if not token:
        raise CredentialsError(f"{origin} holds no token; put an IAM token there")
    if not is_one_word(token):
        raise CredentialsError(f"{origin} holds more than a token: a token is one line of printable ASCII")
    return token


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    """What changes with a file's content; None where it is no file that can be read twice."""
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
