"""One GET over HTTP, and every way in which it can go wrong mapped to one typed error.

Owns the paths of the API and the words for what goes wrong below HTTP. How bytes come and go is
:mod:`transport`'s, what an answer means :mod:`responses`'s; when a call may be made, and whether again, is
the scope's.
"""

from __future__ import annotations

import errno
import os
import ssl
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote

import aiohttp
from aiohttp.http import HttpProcessingError
from yarl import URL

from inventory.certificates import to_certificate_error
from inventory.cloud.pages import (
    MAX_CONFIGS,
    ConfigPage,
    FunctionPage,
    read_aliases,
    read_configs,
    read_functions,
    read_versions,
)
from inventory.cloud.response_body import describe_parse_error
from inventory.cloud.responses import Answer, classify_response
from inventory.cloud.transport import create_transport
from inventory.errors import BadAnswerError, BlockedError, CallConnectionError, CallError, CallTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from inventory.cloud.credentials import Credential
    from inventory.cloud.response_body import RawResponse

T = TypeVar("T")

MAX_BODY: Final = 1024 * 1024
"""Bytes of an answer, decompressed. A config is a few hundred; more is not read."""
MAX_LIST_BODY: Final = 64 * 1024 * 1024
"""The same for a list: 400 functions with all their environment variables."""
_OF_THE_PROXY: Final = {
    403: "have the proxy's owner allow this endpoint, or name it in NO_PROXY",
    407: "give the proxy's user and password in HTTPS_PROXY",
}
"""What to do where a proxy refuses to connect."""


class Client:
    """The API of one project in one region.

    Attributes:
        date: what the server's clock said last, as it was sent.
    """

    def __init__(self, session: aiohttp.ClientSession, endpoint: str, project_id: str, credential: Credential) -> None:
        url = URL(endpoint)
        self._wire = create_transport(endpoint, session)
        self._origin = str(url.origin())
        self._functions = f"{url.raw_path.rstrip('/')}/v2/{quote(project_id, safe='')}/fgs/functions"
        self.date: str | None = None
        self._credential = credential
        self._redactor = credential.redactor

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
        check: Callable[[bytes], object] | None = None,
        max_body: int = MAX_BODY,
        asked: str | None = None,
    ) -> Answer:
        target = self._functions + path

        def read(reply: RawResponse) -> Answer:
            self.date = reply.headers.get("Date")
            body = self._redactor.purge(reply.body)
            return classify_response(
                reply.status, reply.headers, body, self._redactor.redact, check, asked, fault=reply.fault
            )

        try:
            headers = self._credential.headers(self._origin + target)
            return await self._wire.get(target, headers, max_body, read)
        except (TimeoutError, aiohttp.ClientError, HttpProcessingError, OSError, UnicodeError) as error:
            raise _named(error, self._origin, self._redactor.redact) from None


def _named(error: BaseException, origin: str, redact: Callable[[str], str]) -> CallError:
    """What went wrong below HTTP as one typed error."""
    if isinstance(error, TimeoutError):
        return CallTimeoutError("no whole answer in time")
    refused = to_certificate_error(error, URL(origin).authority)
    if refused is not None:
        return refused
    if isinstance(error, aiohttp.ClientHttpProxyError):
        told = redact(f"the proxy said {error.status}: {_first_line(error.message)}")
        if error.status in _OF_THE_PROXY:
            return BlockedError(f"{told}; {_OF_THE_PROXY[error.status]}")
        return CallConnectionError(told)
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        return BadAnswerError(redact(describe_parse_error(error.message)))
    return CallConnectionError(redact(_sentence(error)))


def _first_line(message: str) -> str:
    return (message.strip().splitlines() or ["no reason given"])[0][:200]


def _in_path(function_urn: str) -> str:
    """A URN stands in the path as it is, as Terraform sends it; the SDK encodes ":" and "!", and both are accepted."""
    return quote(function_urn, safe=":!~")


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
