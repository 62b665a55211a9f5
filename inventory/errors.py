"""Every error of this package, and the two flags that are the whole error policy.

The tree, which a test holds to the classes::

    InventoryError                    what a user or the cloud can cause; anything else is a bug
    ├── UsageError                    the command line asks for what cannot be done
    │   ├── SettingsError             a setting, or the settings file
    │   ├── SourceError               a list of URNs that cannot be read
    │   └── UrnError                  a text that is not a function URN (ends as a reject)
    ├── CredentialsError              no credential to call with
    ├── OutputError                   the output folder cannot be written or holds something else
    │   └── LedgerUnusableError       its ledger is damaged, or of another version
    ├── ListingError                  a list of functions that is not whole
    ├── OutOfTimeError                the time that a run was given is over
    ├── InterruptedRunError           SIGINT, SIGTERM or SIGHUP
    └── CallError                     a call that did not bring a config
        ├── NotConfiguredError        the service's 404: no config (or no such function)
        ├── NotFoundError             function, version or alias does not exist
        ├── ThrottledError            429
        ├── CallTimeoutError          no whole answer in time
        ├── CallConnectionError       no connection, or it broke
        │   └── CertificateRefusedError  the server's certificate is not trusted: no further call
        ├── ServerError               5xx
        ├── RefusedError              401: who is calling
        │   ├── CredentialRefusedError  the credential itself is dead: no further call
        │   └── CredentialExpiredError  it was renewed since: the call is made again
        ├── ForbiddenError            403: what the caller may do
        ├── BlockedError              418, and pages of a proxy or web filter: something before the service
        ├── BadRequestError           any other 4xx
        ├── BadAnswerError            an answer that is not what the documentation says
        └── WrongEndpointError        a 404 that is not the service's

This module owns the words of the errors. It knows no HTTP and no command line.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar

from inventory.printable import printable

if TYPE_CHECKING:
    from inventory.cloud.limits import Limit

_E = TypeVar("_E", bound="CallError")

_MAX_WORDS: Final = 500
"""Characters of a server that a message quotes."""


class ExitCode(IntEnum):
    """What the process says to the shell. Source: design.md section 4."""

    ANSWERED = 0
    SOME_FAILED = 1
    USAGE = 2
    CREDENTIALS = 3
    OUTPUT = 4
    STOPPED = 5
    BUG = 70
    SIGHUP = 129
    SIGINT = 130
    SIGTERM = 143


class Status(StrEnum):
    """How one URN ended. Every URN ends in exactly one."""

    CONFIGURED = "configured"
    NOT_CONFIGURED = "not_configured"
    NOT_FOUND = "not_found"
    FAILED = "failed"
    NOT_ATTEMPTED = "not_attempted"


class ErrorKind(StrEnum):
    """Why a URN is ``failed``."""

    THROTTLED = "throttled"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    SERVER_ERROR = "server_error"
    REFUSED = "refused"
    FORBIDDEN = "forbidden"
    BLOCKED = "blocked"
    BAD_REQUEST = "bad_request"
    BAD_ANSWER = "bad_answer"
    WRONG_ENDPOINT = "wrong_endpoint"


class InventoryError(Exception):
    """What a user or the cloud can cause. Its text is one printable sentence: what, where, what to do."""

    exit_code: ExitCode = ExitCode.USAGE

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message

    @property
    def message(self) -> str:
        """The sentence; text that it quotes is escaped, see :func:`inventory.printable.printable`."""
        return self._message

    @message.setter
    def message(self, text: str) -> None:
        self._message = printable(text)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore, (type(self), self.args, self.__dict__.copy()))


def _restore(cls: type[InventoryError], args: tuple[Any, ...], state: dict[str, Any]) -> InventoryError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def _storable(text: str | None) -> str | None:
    """A text that is UTF-8: a header may hold any bytes, which come as lone surrogates."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()


class UsageError(InventoryError):
    """The command line asks for what cannot be done."""


class SettingsError(UsageError):
    """A setting, or the settings file, is not usable."""


class SourceError(UsageError):
    """A list of URNs cannot be read."""


class UrnError(UsageError):
    """A text is not a function URN; ``message`` is the reason that the ``rejects`` table shows."""


class CredentialsError(InventoryError):
    """There is no credential to call with."""

    exit_code = ExitCode.CREDENTIALS


class OutputError(InventoryError):
    """The output folder cannot be written, or holds something that must not be written over."""

    exit_code = ExitCode.OUTPUT


class LedgerUnusableError(OutputError):
    """The ledger in the output folder is damaged, or was written by another version."""


class ListingError(InventoryError):
    """A list of functions broke off, or is shorter than the service says."""

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.STOPPED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class OutOfTimeError(InventoryError):
    """The time that a run was given is over."""

    exit_code = ExitCode.STOPPED


class InterruptedRunError(InventoryError):
    """A signal ended the run in good order.

    Attributes:
        signal_number: which signal.
        resumable: whether the cloud was asked already: what was answered is kept, and the run can go on.
    """

    def __init__(self, signal_number: int, *, resumable: bool = True) -> None:
        name = {1: "SIGHUP", 2: "SIGINT", 15: "SIGTERM"}.get(signal_number, f"signal {signal_number}")
        super().__init__(f"stopped by {name}" + ("; what was answered is kept" if resumable else ""))
        self.signal_number = signal_number
        self.resumable = resumable
        self.exit_code = ExitCode(128 + signal_number)


class CallError(InventoryError):
    """A call that did not bring a config. The fields hold the vendor's own words, already redacted.

    Attributes:
        status_code: the HTTP status, or None where no answer came.
        error_code: ``FSS.…`` of the service, ``APIGW.…``/``APIG.…`` of the gateway, or None.
        error_msg: the vendor's text, or what happened where none came.
        request_id: the ``X-Request-Id`` of the answer, or the body's.
        body: the raw answer, redacted and bounded; empty where none came.
    """

    status: ClassVar[Status] = Status.FAILED
    kind: ClassVar[ErrorKind | None] = None
    retryable: ClassVar[bool] = False
    stops_scope: ClassVar[bool] = False
    exit_code = ExitCode.STOPPED  # where it stops a scope; a URN that fails alone makes SOME_FAILED

    def __init__(
        self,
        error_msg: str | None = None,
        *,
        status_code: int | None = None,
        error_code: str | None = None,
        request_id: str | None = None,
        body: bytes = b"",
    ) -> None:
        super().__init__(error_msg or "")
        self.error_msg = _storable(error_msg)
        self.status_code = status_code
        self.error_code = _storable(error_code)
        self.request_id = _storable(request_id)
        self.body = body

    def __str__(self) -> str:
        words = [str(part) for part in (self.status_code, self.error_code, self.error_msg) if part is not None]
        return f"{self.kind or self.status}: {printable(' '.join(words), _MAX_WORDS) or 'no answer'}"

    def as_kind(self, cls: type[_E]) -> _E:
        """The same answer under another class, for what only the scope can know."""
        return cls(
            self.error_msg,
            status_code=self.status_code,
            error_code=self.error_code,
            request_id=self.request_id,
            body=self.body,
        )


class NotConfiguredError(CallError):
    """A 404 of the service that does not say that the function is gone."""

    status = Status.NOT_CONFIGURED


class NotFoundError(CallError):
    """A 404 with FSS.1051, FSS.1052 or FSS.1053: the function, version or alias does not exist."""

    status = Status.NOT_FOUND


class ThrottledError(CallError):
    """A 429: the whole scope must wait.

    Attributes:
        retry_after: seconds that the server asks to wait, or None.
        limit: what the gateway's text says of it, or None.
    """

    kind = ErrorKind.THROTTLED
    retryable = True
    retry_after: float | None = None
    limit: Limit | None = None

    def with_hints(self, *, retry_after: float | None, limit: Limit | None) -> Self:
        """Adds what the answer says about the wait."""
        self.retry_after = retry_after
        self.limit = limit
        return self


class CallTimeoutError(CallError):
    """No whole answer came in time."""

    kind = ErrorKind.TIMEOUT
    retryable = True


class CallConnectionError(CallError):
    """There was no connection, or it broke."""

    kind = ErrorKind.CONNECTION
    retryable = True


class CertificateRefusedError(CallConnectionError):
    """The certificate of the server is not trusted: asking again would bring the same."""

    retryable = False
    stops_scope = True


class ServerError(CallError):
    """A 5xx of the gateway or the service."""

    kind = ErrorKind.SERVER_ERROR
    retryable = True


class RefusedError(CallError):
    """A 401 of the service on one URN: no proof that the credential is dead."""

    kind = ErrorKind.REFUSED
    exit_code = ExitCode.CREDENTIALS


class CredentialRefusedError(RefusedError):
    """The credential itself is refused: further calls would only lock it."""

    stops_scope = True


class CredentialExpiredError(RefusedError):
    """The credential of this call was refused as too old, and there is a newer one by now."""

    retryable = True


class ForbiddenError(CallError):
    """A 403: this caller may not."""

    kind = ErrorKind.FORBIDDEN
    exit_code = ExitCode.CREDENTIALS


class BlockedError(CallError):
    """A firewall, web filter or proxy before the service: it blocks the caller, not the URN."""

    kind = ErrorKind.BLOCKED
    stops_scope = True


class BadRequestError(CallError):
    """Any other 4xx: asking again would bring the same."""

    kind = ErrorKind.BAD_REQUEST


class BadAnswerError(CallError):
    """An answer that is not what the documentation says: HTML, half a JSON, a redirect."""

    kind = ErrorKind.BAD_ANSWER
    retryable = True


class WrongEndpointError(CallError):
    """A 404 that is not the service's: the endpoint, the region or the path is wrong."""

    kind = ErrorKind.WRONG_ENDPOINT
