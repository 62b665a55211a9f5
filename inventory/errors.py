"""The error tree, exit codes, statuses of a URN, error kinds.

A test compares this drawing with the classes::

    InventoryError                    caused by a user or by the cloud; anything else is a bug
    ├── UsageError                    the command line asks for something impossible
    │   ├── SettingsError             a setting or the settings file
    │   ├── SourceError               a list of URNs cannot be read
    │   └── UrnError                  a text is not a function URN (becomes a reject)
    ├── CredentialsError              no credential for calls
    ├── OutputError                   the output cannot be read or written, or contains something else
    │   └── LedgerUnusableError       the ledger is damaged, or of another version
    ├── ListingError                  a list of functions is incomplete
    ├── OutOfTimeError                the time limit of the run is over
    ├── UnansweredError               a finished run in which URNs have no answer
    ├── InterruptedRunError           SIGINT, SIGTERM or SIGHUP
    └── CallError                     a call that returned no config
        ├── NotConfiguredError        the service's 404: no config (or no such function)
        ├── NotFoundError             function, version or alias does not exist
        ├── ThrottledError            429
        ├── CallTimeoutError          no complete answer in time
        ├── CallConnectionError       no connection, or it broke
        │   └── CertificateRefusedError  the server's certificate is not trusted: no further call
        ├── ServerError               5xx
        ├── RefusedError              401: the caller is not accepted
        │   ├── CredentialRefusedError  the credential itself is refused: no further call
        │   └── CredentialExpiredError  a newer credential exists: the call is repeated
        ├── ForbiddenError            403: the caller has no permission
        ├── BlockedError              418, and pages of a proxy or web filter before the service
        ├── BadRequestError           any other 4xx
        ├── BadAnswerError            an answer that contradicts the documentation
        └── WrongEndpointError        a 404 that is not the service's
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any, ClassVar, Final, NamedTuple, Self, TypeVar

from inventory.os_errors import remedy_for
from inventory.printable import error_text, printable

_E = TypeVar("_E", bound="CallError")
_MAX_QUOTED: Final = 500  # characters of a server's text in a message


class ExitCode(IntEnum):
    """Exit code of the process."""

    ANSWERED = 0
    SOME_FAILED = 1
    USAGE = 2
    CREDENTIALS = 3
    OUTPUT = 4
    STOPPED = 5
    COVERAGE = 6
    BUG = 70
    SIGHUP = 129
    SIGINT = 130
    SIGTERM = 143


class Status(StrEnum):
    """Status of a URN. Every URN has exactly one."""

    CONFIGURED = "configured"
    NOT_CONFIGURED = "not_configured"
    NOT_FOUND = "not_found"
    FAILED = "failed"
    NOT_ATTEMPTED = "not_attempted"


class ErrorKind(StrEnum):
    """Reason of the status ``failed``."""

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


class RateLimit(NamedTuple):
    """A limit of the gateway: calls per seconds, under the policy of that name."""

    calls: int
    seconds: float
    policy: str = ""

    @property
    def per_second(self) -> float:
        """Calls per second."""
        return self.calls / self.seconds


class InventoryError(Exception):
    """An error caused by a user or by the cloud. Its text is one printable sentence: what, where, what to do."""

    exit_code: ExitCode = ExitCode.USAGE

    def __init__(self, message: str, exit_code: ExitCode | None = None) -> None:
        self.message = message
        super().__init__(self.message)
        self.exit_code = self.exit_code if exit_code is None else exit_code

    def __str__(self) -> str:
        return self.message

    @property
    def message(self) -> str:
        """The sentence; unprintable characters are escaped."""
        return self._message

    @message.setter
    def message(self, text: str) -> None:
        self._message = printable(text)

    @classmethod
    def from_os_error(cls, subject: object, problem: str, error: OSError, hint: str = "") -> Self:
        """Makes "subject problem: reason; hint"; ``{remedy}`` in the hint becomes advice for the reason."""
        reason = "a file of that name exists" if isinstance(error, FileExistsError) else error.strerror
        reason, advice = reason or str(error).partition("\n")[0], hint.replace("{remedy}", remedy_for(error))
        return cls(f"{subject} {problem}: {reason}" + (f"; {advice}" if advice else ""))

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore, (type(self), self.args, self.__dict__.copy()))


def _restore(cls: type[InventoryError], args: tuple[Any, ...], state: dict[str, Any]) -> InventoryError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


def _as_utf8(text: str | None) -> str | None:
    # Bytes of a header that are not UTF-8 are decoded to lone surrogates.
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()


class UsageError(InventoryError):
    """The command line asks for something impossible."""


class SettingsError(UsageError):
    """A setting or the settings file is invalid."""


class SourceError(UsageError):
    """A list of URNs cannot be read."""


class UrnError(UsageError):
    """A text is not a function URN; ``message`` is the reason in the ``rejects`` table."""


class CredentialsError(InventoryError):
    """There is no credential for calls."""

    exit_code = ExitCode.CREDENTIALS


class OutputError(InventoryError):
    """The output cannot be read or written, or contains something that must not be overwritten."""

    exit_code = ExitCode.OUTPUT


class LedgerUnusableError(OutputError):
    """The ledger is damaged, or another version wrote it."""


class ListingError(InventoryError):
    """A list of functions is incomplete."""

    exit_code = ExitCode.STOPPED


class OutOfTimeError(InventoryError):
    """The time limit of the run is over."""

    exit_code = ExitCode.STOPPED


class UnansweredError(InventoryError):
    """A finished run has URNs without an answer; ``exit_code`` is that of the run, whose tables exist."""


class InterruptedRunError(InventoryError):
    """A signal ended the run; ``resumable``: calls were made, and their answers are kept."""

    def __init__(self, signal_number: int, *, resumable: bool = True) -> None:
        name = {1: "SIGHUP", 2: "SIGINT", 15: "SIGTERM"}.get(signal_number, f"signal {signal_number}")
        super().__init__(f"stopped by {name}" + ("; what was answered is kept" if resumable else ""))
        self.signal_number, self.resumable = signal_number, resumable
        self.exit_code = ExitCode(128 + signal_number)


class CallError(InventoryError):
    """A call that returned no config. ``retryable`` and ``stops_scope`` of its classes are the retry policy.

    Attributes:
        status_code: HTTP status; None without an answer.
        error_code: ``FSS.…`` of the service, ``APIGW.…``/``APIG.…`` of the gateway, or None.
        error_msg: the vendor's text, redacted; without an answer, what happened.
        request_id: ``X-Request-Id`` of the answer, or the body's.
        body: the raw answer, redacted and truncated; empty without an answer.
    """

    status: ClassVar[Status] = Status.FAILED
    kind: ClassVar[ErrorKind | None] = None
    retryable: ClassVar[bool] = False
    stops_scope: ClassVar[bool] = False
    exit_code = ExitCode.STOPPED  # if it stops a scope; a single failed URN gives SOME_FAILED

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
        self.error_msg = _as_utf8(error_msg)
        self.status_code, self.body = status_code, body
        self.error_code, self.request_id = _as_utf8(error_code), _as_utf8(request_id)

    def __str__(self) -> str:
        text = error_text(self.status_code, self.error_code, self.error_msg)
        return f"{self.kind or self.status}: {printable(text, _MAX_QUOTED) or 'no answer'}"

    def as_kind(self, cls: type[_E]) -> _E:
        """Returns the same error as another class."""
        error = cls(self.error_msg, status_code=self.status_code, error_code=self.error_code)
        error.request_id, error.body = self.request_id, self.body
        return error


class NotConfiguredError(CallError):
    """A 404 of the service: the function may exist, it has no config."""

    status = Status.NOT_CONFIGURED


class NotFoundError(CallError):
    """A 404 with FSS.1051, FSS.1052 or FSS.1053: the function, version or alias does not exist."""

    status = Status.NOT_FOUND


class ThrottledError(CallError):
    """A 429: the whole scope waits. ``retry_after`` is in seconds."""

    kind = ErrorKind.THROTTLED
    retryable = True
    retry_after: float | None = None
    limit: RateLimit | None = None

    def with_hints(self, *, retry_after: float | None, limit: RateLimit | None) -> Self:
        """Sets ``retry_after`` and ``limit``."""
        self.retry_after, self.limit = retry_after, limit
        return self


class CallTimeoutError(CallError):
    """No complete answer came in time."""

    kind = ErrorKind.TIMEOUT
    retryable = True


class CallConnectionError(CallError):
    """There was no connection, or it broke."""

    kind = ErrorKind.CONNECTION
    retryable = True


class CertificateRefusedError(CallConnectionError):
    """The server's certificate is not trusted."""

    retryable = False
    stops_scope = True


class ServerError(CallError):
    """A 5xx of the gateway or the service."""

    kind = ErrorKind.SERVER_ERROR
    retryable = True


class RefusedError(CallError):
    """A 401 of the service for one URN; other URNs may succeed."""

    kind = ErrorKind.REFUSED
    exit_code = ExitCode.CREDENTIALS


class CredentialRefusedError(RefusedError):
    """The credential itself is refused; further calls could lock the account."""

    stops_scope = True


class CredentialExpiredError(RefusedError):
    """The credential of this call has expired, and a newer one exists."""

    retryable = True


class ForbiddenError(CallError):
    """A 403: the caller has no permission."""

    kind = ErrorKind.FORBIDDEN
    exit_code = ExitCode.CREDENTIALS


class BlockedError(CallError):
    """A firewall, web filter or proxy blocks the caller."""

    kind = ErrorKind.BLOCKED
    stops_scope = True


class BadRequestError(CallError):
    """Any other 4xx: a repeated call would fail too."""

    kind = ErrorKind.BAD_REQUEST


class BadAnswerError(CallError):
    """An answer that contradicts the documentation: HTML, truncated JSON, a redirect."""

    kind = ErrorKind.BAD_ANSWER
    retryable = True


class WrongEndpointError(CallError):
    """A 404 that is not the service's: endpoint, region or path is wrong."""

    kind = ErrorKind.WRONG_ENDPOINT
