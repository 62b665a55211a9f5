"""The emulator's HTTP server, and the order in which it judges a call."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack, contextmanager
from dataclasses import KW_ONLY, InitVar, dataclass, field
from hashlib import blake2b
from http import HTTPStatus
from threading import Thread
from typing import TYPE_CHECKING, Self

from aiohttp import web
from multidict import CIMultiDict

from inventory.emulator import debug_pages
from inventory.emulator.faults import transmission
from inventory.emulator.faults.plan import AttemptCounts, Fault, Faults, Plan, PlanSpec, Step
from inventory.emulator.faults.responses import FaultyCall, apply_fault
from inventory.emulator.gateway import routes
from inventory.emulator.gateway.authentication import Authenticator, Call
from inventory.emulator.gateway.iam import Iam
from inventory.emulator.gateway.rate_limit import Limit, Windows
from inventory.emulator.listener import Listener
from inventory.emulator.parsed_option import ParsedOption
from inventory.emulator.request_log import LoggedRequest, RequestLog
from inventory.emulator.responses import Reply
from inventory.emulator.service.operations import answer
from inventory.emulator.state.generated import GeneratedCloud
from inventory.emulator.state.interface import Cloud, Scope
from inventory.emulator.state.urn_list import UrnList
from inventory.errors import SettingsError, UrnError
from inventory.urn import FunctionUrn, parse

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Sequence

    from inventory.emulator.gateway.iam import User
    from inventory.emulator.gateway.signature import Keys

_HEADER_BYTES = 64 * 1024
"""Tokens are kilobytes long; aiohttp's default is 8 KiB."""
_LAST_PORT = 65535
_NO_FAULTS = Faults()


@dataclass(eq=False)
class Emulator:
    """A local FunctionGraph over HTTP, for trials and for tests of your pipelines.

    ``with Emulator() as cloud`` serves from a thread, ``async with Emulator() as cloud`` in the running event loop.
    Both listen at ``cloud.url`` until the block ends. ``cloud.urns()`` lists its function URNs.

    Examples:
        >>> with inventory.Emulator(functions=100) as cloud:  # doctest: +SKIP
        ...     os.environ["HW_AUTH_TOKEN"] = "any"
        ...     snapshot = inventory.export(cloud.urns(), endpoint=cloud.url)

    ``token``, ``expired_tokens``, ``keys``, ``faults``, ``limit``, ``pieces`` and ``plan`` can change at run time.

    Args:
        cloud: the functions to serve; default: a ``GeneratedCloud`` of ``functions`` and ``seed``.
        functions: size of the generated cloud.
        seed: seed of the generated cloud.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        token: the accepted token; None accepts any non-empty token, and signed calls without a check, unless ``keys``
            or ``users`` are set.
        keys: accepted access keys.
        users: users of the emulated IAM.
        token_lifetime: lifetime of IAM tokens in seconds.
        now: clock for signatures and tokens, in seconds since 1970.
        lists_aliases: whether the list of a function's configs includes its aliases (not documented by the vendor).
        limit: rate limit: a :class:`Limit`, or text such as ``"150/second"`` of each project, ``"150/second:ip"`` of
            all projects together, ``"150/second:api"`` of all callers of an operation.
        faults: faults by rate: :class:`Faults`, or text such as ``"latency=20ms,5xx=1%"``. Seed, URN and attempt
            determine a fault; a call that is refused before it reaches the service is no attempt.
        pieces: sizes in bytes of the pieces in which each answer is sent; the last size repeats. Empty: one piece.
        log_size: number of requests that the log keeps.
        clock: clock of the rate limit, in seconds.
    """

    cloud: InitVar[Cloud | None] = None
    _: KW_ONLY
    functions: InitVar[int] = 1000
    seed: InitVar[int] = 0
    host: str = "127.0.0.1"
    port: int = 0
    token: str | None = field(default=None, repr=False)
    keys: Keys | None = field(default=None, repr=False)
    users: InitVar[Sequence[User]] = ()
    token_lifetime: InitVar[float] = 86_400.0
    now: Callable[[], float] = field(default=time.time, repr=False)
    lists_aliases: bool = True
    limit: ParsedOption[Limit] = ParsedOption(Limit.parse)  # noqa: RUF009 - a descriptor
    faults: ParsedOption[Faults] = ParsedOption(Faults.parse)  # noqa: RUF009 - a descriptor
    pieces: Sequence[int] = ()
    log_size: InitVar[int] = 100_000
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    url: str = field(default="", init=False)
    expired_tokens: set[str] = field(default_factory=set, init=False, repr=False)
    state: Cloud = field(init=False)

    def __post_init__(
        self,
        cloud: Cloud | None,
        functions: int,
        seed: int,
        users: Sequence[User],
        token_lifetime: float,
        log_size: int,
    ) -> None:
        if not 0 <= self.port <= _LAST_PORT:
            raise SettingsError(f"port {self.port} does not lie between 0 and {_LAST_PORT}; give 0 for a free one")
        for name, value in (("functions", functions), ("seed", seed), ("log_size", log_size)):
            if not isinstance(value, int):
                raise SettingsError(f"{name} must be a whole number, not {type(value).__name__}")
        if log_size < 0:
            raise SettingsError(f"log_size: {log_size} is negative")
        if self.pieces and min(self.pieces) < 1:
            raise SettingsError("pieces: each has one byte or more")
        self.state = GeneratedCloud(functions, seed) if cloud is None else cloud
        self.iam = Iam(users, self.state.scopes, lifetime=token_lifetime, now=self.now)
        self._regions = {scope.project_id: scope.region for scope in self.state.scopes}
        self._log = RequestLog(log_size)
        self._number = 0
        self._attempts = AttemptCounts()
        self._plan: Plan | None = None
        self._windows: Windows | None = None
        self._listener: Listener | None = None
        self._thread = ExitStack()

    @property
    def requests(self) -> Sequence[LoggedRequest]:
        """The last ``log_size`` requests, in the order of their answers."""
        return self._log.copy()

    @property
    def counts(self) -> Counter[int | None]:
        """Requests by status since the last ``clear``; status None: no complete answer."""
        return self._log.counts

    def urns(self, limit: int | None = None) -> UrnList:
        """The URNs of this cloud, lazily: they can be read again, counted and sliced."""
        return UrnList(self.state, limit)

    def plan(self, spec: PlanSpec | None) -> None:
        """Plans the answers to the first calls of chosen URNs; the plan overrides ``faults``.

        Args:
            spec: maps a URN, as requested, to its steps; or a function of the URN and its number of earlier calls. A
                mapping also plans calls without a URN, by the end of their path, such as ``"quotas"``.
        """
        self._plan = None if spec is None else Plan(spec)

    def clear(self) -> None:
        """Resets log, counters, attempts, plan and rate limit, as between two tests."""
        self._log.clear()
        self._attempts = AttemptCounts()
        self._plan = None
        self._windows = None

    async def start(self) -> None:
        """Starts to listen.

        Raises:
            SettingsError: the address is not usable.
        """
        server = web.Server(
            self._handle,
            access_log=None,
            handler_cancellation=True,  # cancels the handler of a client that has left
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
        )
        listener = Listener(server, self.host, self.port)
        self.url = await listener.open()
        self._listener = listener

    async def stop(self) -> None:
        """Drops all connections and stops listening."""
        if self._listener is not None:
            await self._listener.close()
            self._listener = None

    def go_away(self, seconds: float) -> None:
        """Drops all connections, refuses new ones for ``seconds``, then listens again on the same port.

        Called from another thread, it returns when new connections are refused. It does nothing if the emulator does
        not run or is away already.
        """
        listener = self._listener
        if listener is None:
            return
        try:
            is_in_loop = asyncio.get_running_loop() is listener.loop
        except RuntimeError:
            is_in_loop = False
        if is_in_loop:
            listener.leave(seconds)
        else:
            asyncio.run_coroutine_threadsafe(_leave(listener, seconds), listener.loop).result()

    @property
    def is_away(self) -> bool:
        """Whether it refuses connections after :meth:`go_away`."""
        return self._listener is not None and self._listener.is_away

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.in_thread())
            self._thread = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.close()

    @contextmanager
    def in_thread(self) -> Iterator[Self]:
        """Serves from a thread until the block ends."""
        runner = asyncio.Runner()
        loop = runner.get_loop()

        def serve() -> None:
            with runner:
                loop.run_forever()

        thread = Thread(target=serve, name="emulator")
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self.start(), loop).result()
            try:
                yield self
            finally:
                asyncio.run_coroutine_threadsafe(self.stop(), loop).result()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path
        if path.startswith(debug_pages.PREFIX):
            return await debug_pages.show(request, self.state, self._log)
        self._number = number = self._number + 1
        arrived = time.monotonic()
        call = Call(request.method, path, request.headers, await request.read() if request.can_read_body else b"")
        route = routes.route(request.method, path)
        step = self._plan.step(route.urn, route.operation.value) if route and self._plan else None
        draw = self._attempts.draw(self.faults, path, number)
        step = step or draw.fault
        fault = step if isinstance(step, Fault) else None
        scope: Scope | None = None
        status: int | None = None
        try:
            if draw.latency:
                await asyncio.sleep(draw.latency)
            if fault in transmission.BEFORE_AN_ANSWER:
                response = await transmission.BEFORE_AN_ANSWER[fault](request)
                if fault is Fault.AWAY:
                    self.go_away((self.faults or _NO_FAULTS).absence)
                return response
            request_id = blake2b(b"%d" % number, digest_size=16, key=b"request").hexdigest()
            reply, scope, is_refused = self._judge(call, route, step, request_id)
            if is_refused:
                self._attempts.undo(draw)
                step = fault = None
            response = _response(reply, request_id)
            if fault not in transmission.INCOMPLETE and transmission.is_open(request):
                status = reply.status
            if fault in transmission.SENDERS:
                return await transmission.SENDERS[fault](request, response)
            return await transmission.send_in_pieces(request, response, self.pieces) if self.pieces else response
        except ConnectionError:  # the client left, or the emulator went away
            return await transmission.reset(request)
        finally:
            urn = (route.urn if route else None) or None
            name = str(fault) if fault else "planned" if step else None
            self._log.add(LoggedRequest(number, arrived, request.method, path, urn, scope, status, name))

    def _judge(
        self, call: Call, route: routes.Route | None, step: Step, request_id: str
    ) -> tuple[Reply, Scope | None, bool]:
        """The answer, the scope that the rate limit charged, and whether the gateway refused the call."""
        authenticator = Authenticator(self.token, self.expired_tokens, self.keys, self.iam, self.now)
        if route is None:
            reply = self.iam.answer(call.method, call.raw_path, call.body) or routes.unknown_api(request_id)
            if call.method == "POST" or reply.status == HTTPStatus.NOT_FOUND:
                return reply, None, False
            refusal = authenticator.check(call, None, request_id)
            return refusal or reply, None, refusal is not None
        refusal = authenticator.check(call, route.project_id, request_id)
        if refusal is not None:
            return refusal, None, True
        urn = self._urn(route)
        scope = Scope(urn.region if urn else self._regions.get(route.project_id, ""), route.project_id)
        if self.limit is not None:
            if self._windows is None or self._windows.limit is not self.limit:
                self._windows = Windows(self.limit, self.clock)
            wait = self._windows.count_call(scope, route.operation)
            if wait is not None:
                return routes.throttled(self.limit, wait, request_id), scope, True
        reply = step if isinstance(step, Reply) else self._answer(route, scope, urn)
        if isinstance(step, Fault):
            reply = apply_fault(step, reply, FaultyCall(route.urn, request_id, self.now(), self.limit))
        return reply, scope, False

    def _answer(self, route: routes.Route, scope: Scope, urn: FunctionUrn | None) -> Reply:
        return answer(self.state, route, scope, urn, lists_aliases=self.lists_aliases, now=self.now())

    def _urn(self, route: routes.Route) -> FunctionUrn | None:
        """The URN of a path; short forms get the project of the path and its region."""
        try:
            region = self._regions.get(route.project_id, "unknown")
            return parse(route.urn, region=region, project_id=route.project_id)
        except UrnError:
            return None


def _response(reply: Reply, request_id: str) -> web.Response:
    headers = CIMultiDict(reply.headers)
    headers.setdefault("X-Request-Id", request_id)
    return web.Response(status=reply.status, body=reply.body, headers=headers)


async def _leave(listener: Listener, seconds: float) -> None:
    listener.leave(seconds)
    await listener.wait_until_away()
