"""Credential protocol, and TokenCredential for an existing IAM token."""

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
_CHECK_SECONDS: Final = 1.0
"""Interval between checks of a token file."""
_MAX_FILE: Final = 1024 * 1024
"""Maximum size in bytes of a token file; a token has a few thousand."""


class Credential(Protocol):
    """Authenticates the calls of one scope. Its secret appears in no repr."""

    @property
    def redactor(self) -> Redactor:
        """Removes the credential's secrets from text of the server."""

    @property
    def generation(self) -> int:
        """Increases when the secret changes; a call remembers the generation that it used."""

    @property
    def lockout(self) -> Lockout | None:
        """What keeps scopes from trying one secret at once; None where nothing is locked when it is refused."""

    @property
    def is_ready(self) -> bool:
        """Whether :meth:`prepare` has nothing to do; it need not be called then."""

    async def prepare(self) -> None:
        """Gets or renews the secret if needed; concurrent callers share one renewal.

        Raises:
            CallError: no secret is available.
        """

    def headers(self, url: str) -> Mapping[str, str]:
        """Returns the authentication headers of a GET to this percent-encoded URL."""

    async def renew(self, generation: int) -> bool:
        """Called after a refusal; returns True if a newer secret is available."""


class TokenCredential:
    """An IAM token, sent as ``X-Auth-Token``. A token file is read again after it changes.

    Raises:
        CredentialsError: the value is not a token.
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
        self._file_version = stamp or _file_version(file)
        self._clock = clock
        self._check_at = clock() + _CHECK_SECONDS
        self._token = _checked(value, origin)
        self._headers = {"X-Auth-Token": self._token}
        self.redactor = Redactor()
        self.redactor.renew(self._token)
        self.lockout = None
        self.generation = 0

    def __repr__(self) -> str:
        return f"TokenCredential(from {self._origin})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a credential cannot be pickled")

    @property
    def is_ready(self) -> bool:
        """Whether there is no file to check."""
        return self._file is None or self._clock() < self._check_at

    async def prepare(self) -> None:
        """Reads the token file again if it changed."""
        if self._file is not None and self._clock() >= self._check_at:
            self._check_at = self._clock() + _CHECK_SECONDS
            self._reload(self._file)

    def headers(self, _url: str) -> Mapping[str, str]:
        """Returns the token header."""
        return self._headers

    async def renew(self, generation: int) -> bool:
        """Reads the token file again; returns True if the token is newer."""
        if generation == self.generation and self._file is not None:
            self._file_version = None  # coarse file times may hide the change
            self._reload(self._file)
        return generation != self.generation

    def _reload(self, file: Path) -> None:
        stamp = _file_version(file)
        if stamp is None or stamp == self._file_version:
            return
        try:
            token = _checked(_text_of(file, self._origin), self._origin)
        except CredentialsError:
            return
        self._file_version = stamp
        if token != self._token:
            self._token = token
            self._headers = {"X-Auth-Token": token}
            self.redactor.renew(token)
            self.generation += 1


def read_token_file(path: Path, option: str = "--token-file") -> TokenCredential:
    """Reads a token from a file; messages call it by the option or variable that names it.

    Raises:
        CredentialsError: the file cannot be read or contains no token.
    """
    stamp = _file_version(path)  # before the read, so that a later change is noticed
    return TokenCredential(_text_of(path, f"{option} {path}"), f"{option} {path}", file=path, stamp=stamp)


def _text_of(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE).decode("utf-8-sig")
    except OSError as error:
        raise CredentialsError.from_os_error(
            name, "cannot be read", error, "name another file, or set HW_AUTH_TOKEN"
        ) from None
    except UnicodeError:
        raise CredentialsError(f"{name} is not text in UTF-8; copy the token again") from None


def is_header_safe(secret: str) -> bool:
    """Returns True if a secret is printable ASCII without spaces."""
    return secret.isascii() and secret.isprintable() and " " not in secret


def _checked(value: str, origin: str) -> str:
    token = value.strip()
    if not token:
        raise CredentialsError(f"{origin} contains no token; put an IAM token there")
    if not is_header_safe(token):
        raise CredentialsError(f"{origin} contains more than a token; a token is one line of printable ASCII")
    return token


def _file_version(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        info = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(info.st_mode):
        return None
    return info.st_mtime_ns, info.st_size, info.st_ino
