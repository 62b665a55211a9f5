"""The emulator as a server: the life of the loop, and the order in which a call is judged.

Owns what becomes of a call. Must not know what a cloud holds, what the gateway's and the service's words are, nor how
a fault looks on the wire.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack, contextmanager
from dataclasses import KW_ONLY, InitVar, dataclass, field
from hashlib import blake2b
from threading import Thread
from typing import TYPE_CHECKING, Self

from aiohttp import web
from multidict import CIMultiDict

from inventory.emulator import debug_pages
from inventory.emulator.faults import transmission
from inventory.emulator.faults.plan import Fault, Faults, Plan, PlanSpec, Step
from inventory.emulator.faults.responses import FaultyCall, apply_fault
from inventory.emulator.gateway import routes
from inventory.emulator.gateway.authentication import Call, Door
from inventory.emulator.gateway.iam import Iam
from inventory.emulator.gateway.rate_limit import Limit, Windows
from inventory.emulator.listener import Listener
from inventory.emulator.parsed_option import ParsedOption
from inventory.emulator.request_log import LoggedRequest, RequestLog
from inventory.emulator.responses import Reply
from inventory.emulator.service import async_config, listings
from inventory.emulator.state.generated import GeneratedCloud
from inventory.emulator.state.interface import Cloud, Scope
from inventory.errors import SettingsError, UrnError
from inventory.urn import FunctionUrn, parse

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Sequence

    from inventory.emulator.gateway.iam import User
    from inventory.emulator.gateway.signature import Keys

_HEADER_BYTES = 64 * 1024
"""Tokens are kilobytes long: aiohttp's own limit of 8 KiB would refuse some."""
_LAST_PORT = 65535
_NO_FAULTS = Faults()


@dataclass(eq=False)
class Emulator:
    """A FunctionGraph of one's own, over real HTTP on this machine: for trials and for the tests of your pipelines.

    ``with Emulator() as cloud`` serves from a thread of its own, ``async with Emulator() as cloud`` in the running
    loop; both listen at ``cloud.url`` until the block is left. ``cloud.urns()`` lists what there is to ask for.

    Examples:
        >>> with inventory.Emulator(functions=100) as cloud:  # doctest: +SKIP
        ...     os.environ["HW_AUTH_TOKEN"] = "any"
        ...     snapshot = inventory.export(cloud.urns(), endpoint=cloud.url)

    ``token``, ``expired_tokens``, ``keys``, ``faults``, ``limit``, ``pieces``, ``plan`` may be changed while it runs.

    Args:
        cloud: the state to serve; without it a ``GeneratedCloud`` of ``functions`` and ``seed``.
        functions: size of the generated cloud.
        seed: seed of the generated cloud.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        token: the token that is accepted; None accepts any that is not empty, and signed calls unchecked, as long as
            there are neither keys nor users.
        keys: access keys that signed calls may come with.
        users: who may ask the emulator's IAM for tokens.
        token_lifetime: of IAM's tokens, in seconds.
        now: seconds since 1970, for signatures and for IAM's tokens.
        lists_aliases: whether the list of a function's configs has those of its aliases: nobody has said.
        limit: throttle of each scope, as a :class:`Limit` or as the command has it: ``"150/second"``.
        faults: faults by rate, as :class:`Faults` or as the command has them: ``"latency=20ms,5xx=1%"``.
        pieces: bytes of the pieces in which each answer of any operation is sent, the last size again and again; none:
            answers are sent at once.
        log_size: requests that the log keeps.
        clock: seconds, for the throttle's windows.
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
            raise SettingsError(f"port {self.port} does not lie between 0 and {_LAST_PORT}")
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
        self._plan: Plan | None = None
        self._windows: Windows | None = None
        self._listener: Listener | None = None
        self._thread = ExitStack()

    @property
    def requests(self) -> Sequence[LoggedRequest]:
        """A copy of the request log: the last ``log_size`` requests, in the order of their answers."""
        return self._log.copy()

    @property
    def counts(self) -> Counter[int | None]:
        """Requests by status since the start or the last ``clear``; None where no whole answer was sent."""
        return self._log.counts

    def urns(self, limit: int | None = None) -> Iterator[str]:
        """A request list for this cloud, lazily."""
        return self.state.urns(limit)

    def plan(self, spec: PlanSpec | None) -> None:
        """Says what the first calls of chosen URNs bring; it goes before the faults by rate.

        Args:
            spec: URN, as it is asked for, to its steps; or a function of the URN and of how often it was asked before.
        """
        self._plan = None if spec is None else Plan(spec)

    def clear(self) -> None:
        """Forgets log, counters, plan and used windows, as between two tests."""
        self._log.clear()
        self._plan = None
        self._windows = None

    async def start(self) -> None:
        """Begins to listen.

        Raises:
            SettingsError: the address cannot be listened on.
        """
        server = web.Server(
            self._handle,
            access_log=None,
            handler_cancellation=True,  # a client that has left leaves no task behind
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
        )
        listener = Listener(server, self.host, self.port)
        self.url = await listener.open()
        self._listener = listener

    async def stop(self) -> None:
        """Drops every connection and stops listening; nothing stays behind."""
        if self._listener is not None:
            await self._listener.close()
            self._listener = None

    def go_away(self, seconds: float) -> None:
        """Drops every connection and refuses new ones for a while, then listens again on the same port.

        May be called in the emulator's loop, which needs a few turns for it, and, where that runs in a thread, from any
        other: then it is gone when this returns. A server that does not run, or is away already, is left as it is.
        """
        listener = self._listener
        if listener is None:
            return
        try:
            here = asyncio.get_running_loop() is listener.loop
        except RuntimeError:
            here = False
        if here:
            listener.leave(seconds)
        else:
            asyncio.run_coroutine_threadsafe(_left(listener, seconds), listener.loop).result()

    @property
    def is_away(self) -> bool:
        """Whether it has gone away and is not back yet."""
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
        """The same for synchronous code: a thread of its own, which has ended when the block is left."""
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
        step = self._plan.step(route.urn) if route and route.urn and self._plan else None
        latency, drawn = self.faults.draw(number) if self.faults else (0.0, None)
        step = step or drawn
        fault = step if isinstance(step, Fault) else None
        scope: Scope | None = None
        status: int | None = None
        try:
            if latency:
                await asyncio.sleep(latency)
            if fault in transmission.BEFORE_AN_ANSWER:
                none = await transmission.BEFORE_AN_ANSWER[fault](request)
                if fault is Fault.AWAY:
                    self.go_away((self.faults or _NO_FAULTS).absence)
                return none
            request_id = blake2b(b"%d" % number, digest_size=16, key=b"request").hexdigest()
            reply, scope = self._judge(call, route, step, request_id)
            response = _response(reply, request_id)
            if fault not in transmission.NOT_WHOLE and transmission.is_open(request):
                status = reply.status
            if fault in transmission.SENDERS:
                return await transmission.SENDERS[fault](request, response)
            return await transmission.send_in_pieces(request, response, self.pieces) if self.pieces else response
        except ConnectionError:  # the client left, or we went away
            return await transmission.reset(request)
        finally:
            urn = (route.urn if route else None) or None
            name = str(fault) if fault else "planned" if step else None
            self._log.add(LoggedRequest(number, arrived, request.method, path, urn, scope, status, name))

    def _judge(self, call: Call, route: routes.Route | None, step: Step, request_id: str) -> tuple[Reply, Scope | None]:
        """What the call brings, judged in the gateway's order; and the scope that it was charged to."""
        door = Door(self.token, self.expired_tokens, self.keys, self.iam, self.now)
        if route is None:
            reply = self.iam.answer(call.method, call.raw_path, call.body)
            if reply is None:
                return routes.unknown_api(request_id), None
            asks_for_token = call.method == "POST"
            return (None if asks_for_token else door.refuse(call, None, request_id)) or reply, None
        refusal = door.refuse(call, route.project_id, request_id)
        if refusal is not None:
            return refusal, None
        urn = self._urn(route)
        region = urn.region if urn else self._regions.get(route.project_id, "")
        scope = Scope(region, route.project_id)
        if self.limit is not None:
            if self._windows is None or self._windows.limit is not self.limit:
                self._windows = Windows(self.limit, self.clock)
            wait = self._windows.refuse(scope)
            if wait is not None:
                return routes.throttled(self.limit, wait, request_id), scope
        reply = step if isinstance(step, Reply) else self._answer(route, scope, urn)
        if isinstance(step, Fault):
            reply = apply_fault(step, reply, FaultyCall(route.urn, request_id, self.now(), self.limit))
        return reply, scope

    def _answer(self, route: routes.Route, scope: Scope, urn: FunctionUrn | None) -> Reply:
        """What the service says."""
        match route.operation:
            case routes.Operation.LIST_FUNCTIONS:
                return listings.list_functions(self.state, scope, route.query)
            case routes.Operation.LIST_CONFIGS:
                return listings.list_async_invoke_configs(self.state, urn, route.query, aliases=self.lists_aliases)
            case routes.Operation.LIST_VERSIONS:
                return listings.list_versions(self.state, urn)
            case routes.Operation.LIST_ALIASES:
                return listings.list_aliases(self.state, urn)
        return async_config.show_async_invoke_config(self.state, urn)

    def _urn(self, route: routes.Route) -> FunctionUrn | None:
        """The URN of a path; short forms are completed with the path's project and its region."""
        try:
            region = self._regions.get(route.project_id, "unknown")
            return parse(route.urn, region=region, project_id=route.project_id)
        except UrnError:
            return None


def _response(reply: Reply, request_id: str) -> web.Response:
    headers = CIMultiDict(reply.headers)
    headers.setdefault("X-Request-Id", request_id)
    return web.Response(status=reply.status, body=reply.body, headers=headers)


async def _left(listener: Listener, seconds: float) -> None:
    listener.leave(seconds)
    await listener.left()
