"""IamClient: requests to one IAM endpoint, with shared throttling and retries."""

from __future__ import annotations

import asyncio
import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from yarl import URL

from inventory.cloud.responses import is_from_intermediary, is_web_page, parse_retry_after, read_error_body
from inventory.cloud.wire_errors import FAILURES, ProxyRefusalError, to_call_error
from inventory.errors import (
    BadAnswerError,
    BlockedError,
    CallConnectionError,
    CallError,
    CallTimeoutError,
    CredentialRefusedError,
    ErrorKind,
    ServerError,
    ThrottledError,
    WrongEndpointError,
)
from inventory.exact_json import read_json
from inventory.scheduling.circuit_breaker import Outage, is_throttled_too_long
from inventory.scheduling.retry import Attempts, RetryPolicy
from inventory.scheduling.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from inventory.cloud.response_body import RawResponse
    from inventory.cloud.transport import HttpSession
    from inventory.redaction import Redactor

T = TypeVar("T")

MAX_CALLS: Final = 32
"""Maximum calls in flight to one IAM endpoint."""
_WAIT_SECONDS: Final = 1.0
_MAX_BODY: Final = 64 * 1024 * 1024
"""A project has about 300 bytes, a role of a token 100."""
_MAX_MESSAGE_READ: Final = 16 * 1024
_MAX_MESSAGE: Final = 500
_NO_RESPONSE: Final = frozenset({ErrorKind.CONNECTION, ErrorKind.TIMEOUT, ErrorKind.SERVER_ERROR})
_ERROR_CLASSES: Final[Mapping[int, type[CallError]]] = {
    HTTPStatus.BAD_REQUEST: CredentialRefusedError,
    HTTPStatus.UNAUTHORIZED: CredentialRefusedError,
    HTTPStatus.FORBIDDEN: CredentialRefusedError,
    HTTPStatus.REQUEST_TIMEOUT: CallTimeoutError,
    HTTPStatus.IM_A_TEAPOT: BlockedError,
    HTTPStatus.TOO_MANY_REQUESTS: ThrottledError,
}


class IamRequest(NamedTuple):
    """One request to IAM.

    Attributes:
        method: HTTP method.
        target: path and query, percent-encoded.
        headers: creates the headers for each attempt.
        redactor: removes secrets from the response.
        body: JSON value to send, or None.
    """

    method: str
    target: str
    headers: Callable[[str], Mapping[str, str]]
    redactor: Redactor
    body: Any = None


class IamClient:
    """IAM at one endpoint, shared by all callers of a session.

    A 429 pauses all of them. If IAM does not respond, it is probed with increasing pauses.

    Attributes:
        endpoint: base URL.
        origin: scheme, host and port.
    """

    def __init__(
        self,
        endpoint: str,
        session: HttpSession,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self.endpoint = endpoint
        self._session = session
        self.origin = URL(endpoint).origin()
        self._clock = clock
        self._sleep = sleep
        self._throttle = Throttle(0.0, clock=clock, sleep=self._wait)
        self._outage = Outage()
        self._places = asyncio.Semaphore(MAX_CALLS)
        self._refusals = 0  # number of 429, and seconds waited, since the last success
        self._waited = 0.0
        self._last_error: CallError | None = None
        self._was_accepted = False
        self._blocked: BlockedError | None = None

    @property
    def paused_for(self) -> float:
        """Seconds until the next call is allowed."""
        return self._throttle.paused_for

    async def run(self, call: Callable[[], Awaitable[T]], tries: int) -> T:
        """Runs a call with retries. A 429 is waited for and is not counted as an attempt.

        Raises:
            CallError: the last error; it stops the scope if IAM is given up or its responses are unusable.
        """
        from tenacity import wait_incrementing  # noqa: PLC0415 - slow to import

        counts = Attempts(self._clock())
        wait = wait_incrementing(_WAIT_SECONDS, _WAIT_SECONDS, tries * _WAIT_SECONDS)
        retry = RetryPolicy(tries, clock=self._clock, sleep=self._sleep, wait=wait)
        try:
            return await retry.run(
                lambda: self._run_once(call, counts), counts, is_closed=lambda: tries == 1 or self._is_given_up()
            )
        except CallError as error:
            if self._is_given_up() or (tries > 1 and isinstance(error, BadAnswerError)):
                vars(error).update(retryable=False, stops_scope=True)
            raise

    async def fetch(self, request: IamRequest) -> Any:  # noqa: ANN401 - JSON
        """Sends a request once; returns the JSON of the response.

        Raises:
            CallError: the response is not as documented.
        """
        return self.read(request, await self.send(request))

    def read(self, request: IamRequest, response: RawResponse) -> Any:  # noqa: ANN401 - JSON
        """Returns the JSON of a response.

        Raises:
            CallError: the response is not as documented.
        """
        if response.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
            raise self._create_error(response, request.redactor)
        fault = response.fault
        if response.status == HTTPStatus.OK and is_web_page(response.headers, response.body):
            advice = "see that the IAM endpoint is right, and that no proxy or web filter answers for it"
            raise BlockedError(f"IAM at {self.origin}: a web page and not JSON; {advice}")
        if fault is None:
            try:
                return read_json(response.body)
            except ValueError:
                fault = "a response that is not JSON"
        raise BadAnswerError(request.redactor.redact(f"IAM at {self.origin}: {fault}"))

    async def _run_once(self, call: Callable[[], Awaitable[T]], counts: Attempts) -> T:
        self._give_up()
        if self._blocked is not None:  # a further call would send the password to the web filter again
            raise self._blocked
        queued = self._clock()
        sent_at = await self._throttle.acquire()
        counts.waited += sent_at - queued
        try:
            answer = await call()
        except CallError as error:
            self._record_error(error, sent_at, counts)
            raise
        except BaseException:
            self._throttle.record_no_answer(sent_at)
            raise
        self._record_success(sent_at)
        self._was_accepted = True
        return answer

    def _record_error(self, error: CallError, sent_at: float, counts: Attempts) -> None:
        self._last_error = error
        if isinstance(error, BlockedError) and not self._was_accepted:
            self._blocked = error
        if isinstance(error, ThrottledError):
            self._outage.record_answer()
            counts.throttled += 1
            self._refusals += 1
            self._throttle.record_throttled(sent_at, error)
            return
        counts.record_failure(error, is_probe=False)
        if error.kind not in _NO_RESPONSE:
            self._record_success(sent_at)
            return
        self._throttle.record_no_answer(sent_at)
        pause = self._outage.record_silence(sent_at, self._clock())
        if pause:
            self._throttle.pause(pause)

    def _record_success(self, sent_at: float) -> None:
        self._last_error = None
        self._refusals, self._waited = 0, 0.0
        self._outage.record_answer()
        self._throttle.record_accepted(sent_at)

    def _is_given_up(self) -> bool:
        is_refused = is_throttled_too_long(self._refusals, self._waited)
        return is_refused or self._outage.is_too_long(self._clock())

    def _give_up(self) -> None:
        """Raises the last error at once during the pause; after it, calls try again."""
        if self._last_error is not None and self.paused_for > 0 and self._is_given_up():
            raise self._last_error

    async def _wait(self, seconds: float) -> None:
        self._give_up()
        self._waited += seconds
        await self._sleep(seconds)

    async def send(self, request: IamRequest) -> RawResponse:
        """Sends a request once, outside the throttle.

        Raises:
            CallError: no response with a readable status arrived.
        """
        url = URL(f"{self.endpoint}{request.target}", encoded=True)
        redact, server = request.redactor.redact, f"IAM at {self.origin}"
        headers = request.headers(str(url))
        content = None if request.body is None else json.dumps(request.body).encode()
        try:
            transport = self._session.transport(str(self.origin))
            async with self._places:
                return await transport.request(
                    url.raw_path_qs, headers, _MAX_BODY, lambda response: response, request.method, content
                )
        except ProxyRefusalError as error:
            raise CallConnectionError(redact(f"{server}: the proxy returned {error.status}")) from None
        except BadAnswerError as error:
            raise BadAnswerError(redact(f"{server}: {error.error_msg}")) from None
        except FAILURES as error:
            raise to_call_error(error, server, redact, prefix=f"{server}: ") from None

    def _create_error(self, response: RawResponse, redactor: Redactor) -> CallError:
        status = response.status
        error_body = read_error_body(response.body)
        message = error_body.msg or response.fault or "no reason"
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST and "Location" in response.headers:
            message = f"a redirect to {response.headers['Location']}, which is not followed"
        is_foreign = error_body.code is None and is_from_intermediary(status, response.headers, response.body)
        if is_foreign:
            message = "a proxy or web filter answered instead of IAM"
        message = redactor.redact(f"IAM at {self.origin} returned {status}: {message[:_MAX_MESSAGE_READ]}")[
            :_MAX_MESSAGE
        ]
        code = None if error_body.code is None else redactor.redact(error_body.code[:_MAX_MESSAGE])
        cls = _ERROR_CLASSES.get(status) or (
            ServerError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else WrongEndpointError
        )
        error = (BlockedError if is_foreign else cls)(message, error_code=code)
        if isinstance(error, ThrottledError):
            error.with_hints(retry_after=parse_retry_after(response.headers), limit=None)
        return error


_CLIENTS: Final[WeakKeyDictionary[HttpSession, dict[str, IamClient]]] = WeakKeyDictionary()


def get_iam_client(
    endpoint: str, session: HttpSession, *, sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep
) -> IamClient:
    """Returns the client of an endpoint, one for each session."""
    clients = _CLIENTS.setdefault(session, {})
    if endpoint not in clients:
        clients[endpoint] = IamClient(endpoint, session, sleep=sleep)
    return clients[endpoint]
