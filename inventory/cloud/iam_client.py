"""The calls to one IAM: how its answers are read, and when it is asked again.

Owns the pace of all that asks one endpoint of IAM in a session: its 429 pauses every project and user behind it, and
an IAM that does not answer is probed, not hammered. Knows neither tokens nor projects.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.http import HttpProcessingError
from tenacity import wait_incrementing
from yarl import URL

from inventory.certificates import to_certificate_error
from inventory.cloud.response_body import RawResponse, StatusOnlyError, describe_parse_error, read_response
from inventory.cloud.responses import parse_retry_after, read_error_body
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
from inventory.proxies import AUTHENTICATION_REQUIRED, proxy_for
from inventory.scheduling.circuit_breaker import Outage, is_throttled_too_long
from inventory.scheduling.retry import Attempts, RetryPolicy
from inventory.scheduling.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from inventory.redaction import Redactor

T = TypeVar("T")

_WAIT_SECONDS: Final = 1.0
_MAX_BODY: Final = 64 * 1024 * 1024
"""Bytes of an answer, unpacked: a project takes some 300, a role of a token some 100."""
_MAX_READ: Final = 16 * 1024
_MAX_WORDS: Final = 500
"""Characters of IAM's words that are read, and that are kept."""
_OF_NO_ANSWER: Final = frozenset({ErrorKind.CONNECTION, ErrorKind.TIMEOUT, ErrorKind.SERVER_ERROR})
_CLASSES: Final[Mapping[int, type[CallError]]] = {
    400: CredentialRefusedError,
    401: CredentialRefusedError,
    403: CredentialRefusedError,
    408: CallTimeoutError,
    418: BlockedError,
    429: ThrottledError,
}


class IamRequest(NamedTuple):
    """One call of IAM.

    Attributes:
        method: of HTTP.
        target: path and query behind the endpoint, percent-encoded.
        headers: makes the headers, each time that the call is made.
        redactor: takes secrets out of what IAM sends.
        body: what is sent as JSON; None: nothing.
    """

    method: str
    target: str
    headers: Callable[[str], Mapping[str, str]]
    redactor: Redactor
    body: Any = None


class IamClient:
    """IAM at one endpoint, shared by all that ask it in a session.

    Attributes:
        endpoint: its base URL.
        origin: its scheme, host and port.
    """

    def __init__(
        self,
        endpoint: str,
        session: aiohttp.ClientSession,
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
        self._refusals = 0  # since a call was accepted, and the seconds waited since
        self._waited = 0.0
        self._failed: CallError | None = None

    @property
    def paused_for(self) -> float:
        """Seconds for which IAM is not asked."""
        return self._throttle.paused_for

    async def run(self, ask: Callable[[], Awaitable[T]], tries: int) -> T:
        """Asks IAM, and again where that may help. A 429 is waited for and uses up no try.

        Raises:
            CallError: the last one; where IAM is waited for no more, it stops the scope.
        """
        counts = Attempts(self._clock())
        wait = wait_incrementing(_WAIT_SECONDS, _WAIT_SECONDS, tries * _WAIT_SECONDS)
        retry = RetryPolicy(tries, clock=self._clock, sleep=self._sleep, wait=wait)
        try:
            return await retry.run(
                lambda: self._ask(ask, counts), counts, is_closed=lambda: tries == 1 or self._is_given_up()
            )
        except CallError as error:
            if self._is_given_up():
                vars(error).update(retryable=False, stops_scope=True)
            raise

    async def fetch(self, call: IamRequest) -> Any:  # noqa: ANN401 - JSON
        """Makes a call once, for :meth:`run`; the JSON of its answer.

        Raises:
            CallError: the answer is none of those that are documented.
        """
        return self.read(call, await self.exchange(call))

    def read(self, call: IamRequest, reply: RawResponse) -> Any:  # noqa: ANN401 - JSON
        """The JSON of an answer.

        Raises:
            CallError: the answer is none of those that are documented.
        """
        if reply.status not in (200, 201):
            raise self._error_of(reply, call.redactor)
        fault = reply.fault
        if fault is None:
            try:
                return read_json(reply.body)
            except ValueError:
                fault = "an answer that is no JSON"
        raise BadAnswerError(call.redactor.redact(f"IAM at {self.origin}: {fault}"))

    async def _ask(self, ask: Callable[[], Awaitable[T]], counts: Attempts) -> T:
        """Asks once, in the line of all that ask this IAM; what came of it is counted."""
        self._give_up()
        asked = self._clock()
        began = await self._throttle.acquire()
        counts.waited += began - asked
        try:
            answer = await ask()
        except CallError as error:
            self._learn(error, began, counts)
            raise
        except BaseException:
            self._throttle.record_no_answer(began)
            raise
        self._accept(began)
        return answer

    def _learn(self, error: CallError, sent: float, counts: Attempts) -> None:
        self._failed = error
        if isinstance(error, ThrottledError):
            self._outage.record_answer()
            counts.throttled += 1
            self._refusals += 1
            self._throttle.record_throttled(sent, error)
            return
        counts.record_failure(error, is_probe=False)
        if error.kind not in _OF_NO_ANSWER:
            self._accept(sent)
            return
        self._throttle.record_no_answer(sent)
        pause = self._outage.record_silence(sent, self._clock())
        if pause:
            self._throttle.pause(pause)

    def _accept(self, sent: float) -> None:
        self._failed = None
        self._refusals, self._waited = 0, 0.0
        self._outage.record_answer()
        self._throttle.record_accepted(sent)

    def _is_given_up(self) -> bool:
        """Whether IAM is waited for no more: for too long it said nothing but 429, or did not answer."""
        is_refused = is_throttled_too_long(self._refusals, self._waited)
        return is_refused or self._outage.is_too_long(self._clock())

    def _give_up(self) -> None:
        """Where IAM is given up, nobody waits until it may be asked again; who comes then asks it."""
        if self._failed is not None and self.paused_for > 0 and self._is_given_up():
            raise self._failed

    async def _wait(self, seconds: float) -> None:
        """Sleeps in the line; who stands in it when IAM is given up does not wait for a probe of its own."""
        self._give_up()
        self._waited += seconds
        await self._sleep(seconds)

    async def exchange(self, call: IamRequest) -> RawResponse:
        """Makes a call once, outside of the line; where the status alone says what the answer means, it may be broken.

        Raises:
            CallError: no answer came, or one that has no status.
        """
        url = URL(f"{self.endpoint}{call.target}", encoded=True)
        redact, place = call.redactor.redact, f"IAM at {self.origin}"
        headers = call.headers(str(url))
        data = None if call.body is None else json.dumps(call.body).encode()
        proxy = proxy_for(str(self.origin))
        options = {} if proxy is None else proxy.options(url.scheme)
        if proxy is not None:
            headers = {**headers, **proxy.request_headers(url.scheme)}
        try:
            async with self._session.request(
                call.method, url, headers=headers, data=data, allow_redirects=False, **options
            ) as response:
                if proxy is not None and response.status == AUTHENTICATION_REQUIRED:
                    raise CallConnectionError(f"{place}: the proxy said {response.status}")
                return await read_response(response.status, response.headers, response.content, _MAX_BODY)
        except TimeoutError:
            raise CallTimeoutError(f"{place}: no whole answer in time") from None
        except aiohttp.ClientHttpProxyError as error:  # its own words hold the proxy's URL
            raise CallConnectionError(redact(f"{place}: the proxy said {error.status}")) from None
        except (aiohttp.ClientResponseError, HttpProcessingError) as error:
            raise BadAnswerError(redact(f"{place}: {describe_parse_error(error.message)}")) from None
        except BadAnswerError as error:
            raise BadAnswerError(redact(f"{place}: {error.error_msg}")) from None
        except StatusOnlyError as error:
            return error.reply
        except (aiohttp.ClientError, OSError) as error:
            refused = to_certificate_error(error, place)
            raise refused or CallConnectionError(redact(f"{place}: {error}")) from None

    def _error_of(self, reply: RawResponse, redactor: Redactor) -> CallError:
        status = reply.status
        vendor = read_error_body(reply.body)
        words = vendor.msg or reply.fault or "no reason"
        if 300 <= status < 400 and "Location" in reply.headers:  # noqa: PLR2004
            words = f"a redirect to {reply.headers['Location']}, which is not followed"
        message = redactor.redact(f"IAM at {self.origin} said {status}: {words[:_MAX_READ]}")[:_MAX_WORDS]
        code = None if vendor.code is None else redactor.redact(vendor.code[:_MAX_WORDS])
        cls = _CLASSES.get(status) or (ServerError if status >= 500 else WrongEndpointError)  # noqa: PLR2004
        error = cls(message, error_code=code)
        if isinstance(error, ThrottledError):
            error.with_hints(retry_after=parse_retry_after(reply.headers), limit=None)
        return error


_CLIENTS: Final[WeakKeyDictionary[aiohttp.ClientSession, dict[str, IamClient]]] = WeakKeyDictionary()


def get_iam_client(
    endpoint: str, session: aiohttp.ClientSession, *, sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep
) -> IamClient:
    """The client of an endpoint that all share who ask it in a session."""
    clients = _CLIENTS.setdefault(session, {})
    if endpoint not in clients:
        clients[endpoint] = IamClient(endpoint, session, sleep=sleep)
    return clients[endpoint]
