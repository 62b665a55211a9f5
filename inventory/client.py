"""One GET over HTTP, and every way in which it can go wrong mapped to one typed error.

Owns the connection and the bounded reading of a body. What an answer means is :mod:`inventory.answer`'s; when a call
may be made, and whether again, is the scope's.
"""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
import urllib.request
import zlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from inventory import __version__
from inventory.answer import Answer, read_answer
from inventory.errors import BadAnswerError, CallConnectionError, CallTimeoutError
from inventory.listing import (
    MAX_CONFIGS,
    ConfigPage,
    FunctionPage,
    read_aliases,
    read_configs,
    read_functions,
    read_versions,
)
from inventory.models import read_config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection

    from inventory.auth import Credential

T = TypeVar("T")

MAX_BODY: Final = 1024 * 1024
"""Bytes of an answer, decompressed. A config is a few hundred; more is not read."""
MAX_LIST_BODY: Final = 64 * 1024 * 1024
"""The same for a list: 400 functions with all their environment variables."""
USER_AGENT: Final = f"functiongraph-inventory/{__version__}"
HEADERS: Final = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
"""Headers of every call; where calls are signed, the signature covers them."""
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_ZLIB_OR_GZIP: Final = 47


class _UnaskedError(aiohttp.ClientConnectionError):
    """A kept connection holds bytes that nobody asked for: the next call on it would take them for its answer."""


class _Request(aiohttp.ClientRequest):
    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Sends the call, unless the connection is not to be trusted: then it is closed, and nothing was sent."""
        if conn.protocol is not None and conn.protocol.should_close:
            raise _UnaskedError
        return await super().send(conn)


class _Response(aiohttp.ClientResponse):
    _came_by: ResponseHandler | None = None

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        """Remembers the connection, which aiohttp gives back as soon as the body has come."""
        self._came_by = connection.protocol
        return await super().start(connection)

    def distrust(self) -> None:
        """Makes no further call on the connection: what ended this answer too early may stand in it still."""
        if self._came_by is not None:
            self._came_by.force_close()


@asynccontextmanager
async def open_session(timeout: float) -> AsyncIterator[aiohttp.ClientSession]:  # noqa: ASYNC109 - handed to aiohttp
    """One session for a whole run, tuned for many small GETs.

    Args:
        timeout: seconds for one whole call. The connector sets no limit of its own (the pool bounds the calls), so that
            no call's time is spent waiting for a connection of another.
    """
    connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, keepalive_timeout=60)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, 10.0)),
        headers={"Accept": "application/json", "Accept-Encoding": "gzip, deflate", **HEADERS},
        auto_decompress=False,  # older versions of aiohttp unpack without a bound
        request_class=_Request,
        response_class=_Response,
    ) as session:
        # aiohttp repeats a GET once, unseen, when a connection breaks. A call that nobody counts would break the
        # ledger's word; our own retry makes it again. There is no public switch; a test watches that this one works.
        session._retry_connection = False  # noqa: SLF001
        yield session


class Client:
    """The API of one project in one region.

    Attributes:
        date: what the server's clock said last, as it was sent.
    """

    def __init__(self, session: aiohttp.ClientSession, endpoint: str, project_id: str, credential: Credential) -> None:
        self._session = session
        self._base = f"{endpoint}/v2/{quote(project_id, safe='')}/fgs/functions"
        self.date: str | None = None
        self._credential = credential
        self._redactor = credential.redactor
        self._proxy = proxy_for(endpoint)

    async def show_async_invoke_config(self, function_urn: str) -> Answer:
        """Asks for the async-invoke configuration of one function, version or alias.

        Source: ShowFunctionAsyncInvokeConfig, vendor page of 2025-07-31.

        Raises:
            CallError: no config came; see the tree in :mod:`inventory.errors`.
        """
        return await self._get(f"/{_in_path(function_urn)}/async-invoke-config", asked=function_urn)

    async def list_functions(self, marker: int, maxitems: int) -> FunctionPage:
        """Asks for a page of the project's functions.

        Source: ListFunctions; ``marker`` is an offset (api-facts.md section 5).

        Raises:
            CallError: no page came.
        """
        return await self._list(f"?marker={marker}&maxitems={maxitems}", read_functions)

    async def list_function_versions(self, function_urn: str) -> list[str]:
        """Asks for the names of a function's versions, ``latest`` among them.

        Source: ListFunctionVersions (api-facts.md section 5).

        Raises:
            CallError: no list came.
        """
        return await self._list(f"/{_in_path(function_urn)}/versions", read_versions)

    async def list_version_aliases(self, function_urn: str) -> list[str]:
        """Asks for the names of a function's aliases.

        Source: ListVersionAliases (api-facts.md section 5).

        Raises:
            CallError: no list came.
        """
        return await self._list(f"/{_in_path(function_urn)}/aliases", read_aliases)

    async def list_async_invoke_configs(self, function_urn: str, marker: int) -> ConfigPage:
        """Asks for a page of the async-invoke configurations of a function's versions.

        Source: ListFunctionAsyncInvokeConfig (api-facts.md section 5).

        Raises:
            CallError: no page came.
        """
        path = f"/{_in_path(function_urn)}/async-invoke-configs?limit={MAX_CONFIGS}&marker={marker}"
        found: list[ConfigPage] = []
        answer = await self._get(path, lambda body: found.append(read_configs(body)), MAX_LIST_BODY)
        return found[0]._replace(request_id=answer.request_id)

    async def _list(self, path: str, read: Callable[[bytes], T]) -> T:
        found: list[T] = []
        await self._get(path, lambda body: found.append(read(body)), MAX_LIST_BODY)
        return found[0]

    async def _get(
        self,
        path: str,
        check: Callable[[bytes], object] = read_config,
        max_body: int = MAX_BODY,
        asked: str | None = None,
    ) -> Answer:
        url = URL(f"{self._base}{path}", encoded=True)
        try:
            async with self._session.get(
                url, headers=self._credential.headers(url), allow_redirects=False, proxy=self._proxy
            ) as response:
                self.date = response.headers.get("Date")
                try:
                    body = self._redactor.purge(await _read_bounded(response, max_body))
                    return read_answer(response.status, response.headers, body, self._redactor.redact, check, asked)
                except BadAnswerError:
                    if isinstance(response, _Response):
                        response.distrust()
                    raise
        except _UnaskedError:
            return await self._get(path, check, max_body, asked)  # at most once for each kept connection
        except TimeoutError:
            raise CallTimeoutError("no whole answer in time") from None
        except aiohttp.ClientHttpProxyError as error:
            told = f"the proxy said {error.status}: {_first_line(error.message)}"
            raise CallConnectionError(self._redactor.redact(told)) from None
        except aiohttp.ClientResponseError as error:
            told = f"an answer that is not HTTP: {_first_line(error.message)}"
            raise BadAnswerError(self._redactor.redact(told)) from None
        except (aiohttp.ClientError, ssl.SSLError, OSError, UnicodeError, asyncio.IncompleteReadError) as error:
            raise CallConnectionError(self._redactor.redact(_sentence(error))) from None


def _first_line(message: str) -> str:
    return (message.strip().splitlines() or ["no reason given"])[0][:200]


def _in_path(function_urn: str) -> str:
    """A URN stands in the path as it is, as Terraform sends it; the SDK encodes ":" and "!", and both are accepted."""
    return quote(function_urn, safe=":!~")


async def _read_bounded(response: aiohttp.ClientResponse, max_body: int) -> bytes:
    body = await _received(response, max_body)
    encoding = response.headers.get("Content-Encoding")
    if encoding is None or not body:
        return body
    return _unpacked(body, encoding.strip().lower(), max_body, response.status)


async def _received(response: aiohttp.ClientResponse, max_body: int) -> bytes:
    length = response.content_length
    if length is not None and length <= max_body and "Transfer-Encoding" not in response.headers:
        return await response.read()
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > max_body:
            response.close()
            raise _too_long(max_body, response.status)
    return b"".join(chunks)


def _unpacked(body: bytes, encoding: str, max_body: int, status: int) -> bytes:
    if encoding == "identity":
        return body
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise BadAnswerError(f"an encoding that was not asked for: {encoding[:50]!a}", status_code=status)
    unpacker = zlib.decompressobj(wbits=_ZLIB_OR_GZIP)
    try:
        found = unpacker.decompress(body, max_body + 1)
    except zlib.error:
        raise BadAnswerError("a compressed answer that is broken", status_code=status) from None
    if len(found) > max_body:
        raise _too_long(max_body, status)
    if not unpacker.eof:
        raise BadAnswerError("a compressed answer that is not whole", status_code=status)
    return found


def _too_long(max_body: int, status: int) -> BadAnswerError:
    return BadAnswerError(f"an answer of more than {max_body} bytes", status_code=status)


def _sentence(error: BaseException) -> str:
    """What went wrong with a connection, without addresses of objects or our own request in it."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection before it answered"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer broke off"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection to {error.host}:{error.port}: {_reason(error.os_error)}"
    return f"the connection broke: {error}" if str(error) else f"the connection broke: {type(error).__name__}"


def _reason(error: OSError) -> str:
    """The system's words for an error number: event loops word it in different ways."""
    if isinstance(error, ssl.SSLError):  # its numbers are not the system's
        return f"TLS failed: {error.reason or error}"
    if error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno)
    return error.strerror or str(error)


def proxy_for(endpoint: str) -> str | None:
    """The proxy that the environment names for an endpoint, if any; looked up once, not per call."""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    if host in _LOOPBACK or urllib.request.proxy_bypass(host):
        return None
    proxy = urllib.request.getproxies().get(parts.scheme)
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy
