"""Client: one method for each API operation of a project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote

from yarl import URL

from inventory.cloud.pages import (
    MAX_CONFIGS,
    ConfigPage,
    FunctionPage,
    read_aliases,
    read_configs,
    read_functions,
    read_versions,
)
from inventory.cloud.responses import Answer, classify_response
from inventory.cloud.wire_errors import FAILURES, to_call_error

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from inventory.cloud.credentials import Credential
    from inventory.cloud.listed_fields import ListedItem
    from inventory.cloud.project_reports import ProjectReport, ReportPage
    from inventory.cloud.response_body import RawResponse
    from inventory.cloud.transport import HttpSession

T = TypeVar("T")

_UNQUOTED: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-:!~"
"""Characters of a URN that a path contains as they are."""
MAX_BODY: Final = 1024 * 1024
"""Maximum size in bytes of a decompressed config response."""
MAX_LIST_BODY: Final = 64 * 1024 * 1024
"""Maximum size in bytes of a decompressed list; 400 functions with all environment variables fit."""


class Client:
    """The FunctionGraph API of one project in one region."""

    def __init__(self, session: HttpSession, endpoint: str, project_id: str, credential: Credential) -> None:
        url = URL(endpoint)
        self._transport = session.transport(endpoint)
        self._origin = str(url.origin())
        self._project = f"{url.raw_path.rstrip('/')}/v2/{quote(project_id, safe='')}/fgs"
        self._last_headers: Mapping[str, str] = {}
        self._credential = credential
        self._redactor = credential.redactor

    @property
    def date(self) -> str | None:
        """The ``Date`` header of the last response."""
        return self._last_headers.get("Date")

    def show_async_invoke_config(self, function_urn: str) -> Coroutine[None, None, Answer]:
        """Returns the async-invoke config of one function, version or alias.

        Raises:
            CallError: no valid config was received.

        Source: ShowFunctionAsyncInvokeConfig, vendor page of 2025-07-31.
        """
        return self._get(f"/functions/{_in_path(function_urn)}/async-invoke-config", expected_urn=function_urn)

    async def list_functions(self, marker: int, maxitems: int) -> FunctionPage:
        """Returns a page of the project's functions; ``marker`` is an offset.

        Source: ListFunctions (api-facts.md section 5).
        """
        return await self._list(f"/functions?marker={marker}&maxitems={maxitems}", read_functions)

    async def list_function_versions(self, function_urn: str) -> list[ListedItem]:
        """Returns a function's versions, including ``latest``.

        Source: ListFunctionVersions (api-facts.md section 5).
        """
        return await self._list(f"/functions/{_in_path(function_urn)}/versions", read_versions)

    async def list_version_aliases(self, function_urn: str) -> list[ListedItem]:
        """Returns a function's aliases.

        Source: ListVersionAliases (api-facts.md section 5).
        """
        return await self._list(f"/functions/{_in_path(function_urn)}/aliases", read_aliases)

    async def list_async_invoke_configs(self, function_urn: str, marker: int) -> ConfigPage:
        """Returns a page of the async-invoke configs of a function's versions.

        Source: ListFunctionAsyncInvokeConfig (api-facts.md section 5).
        """
        path = f"/functions/{_in_path(function_urn)}/async-invoke-configs?limit={MAX_CONFIGS}&marker={marker}"
        pages: list[ConfigPage] = []
        answer = await self._get(path, lambda body: pages.append(read_configs(body)), MAX_LIST_BODY)
        return pages[0]._replace(request_id=answer.request_id)

    async def show_report(self, report: ProjectReport, marker: int = 0) -> ReportPage:
        """Returns a page of a report about the project.

        Source: see :data:`inventory.cloud.project_reports.REPORTS`.
        """
        return await self._list(report.path.format(marker=marker), report.read)

    async def _list(self, path: str, read: Callable[[bytes], T]) -> T:
        pages: list[T] = []
        await self._get(path, lambda body: pages.append(read(body)), MAX_LIST_BODY)
        return pages[0]

    async def _get(
        self,
        path: str,
        check: Callable[[bytes], object] | None = None,
        max_body: int = MAX_BODY,
        expected_urn: str | None = None,
    ) -> Answer:
        target = self._project + path

        def read(response: RawResponse) -> Answer:
            self._last_headers = response.headers
            body = self._redactor.redact_body(response.body)
            return classify_response(
                response.status,
                response.headers,
                body,
                self._redactor.redact,
                check,
                expected_urn,
                fault=response.fault,
            )

        try:
            headers = self._credential.headers(self._origin + target)
            return await self._transport.request(target, headers, max_body, read)
        except FAILURES as error:
            raise to_call_error(error, URL(self._origin).authority, self._redactor.redact) from None


def _in_path(function_urn: str) -> str:
    is_plain = not function_urn.encode().translate(None, _UNQUOTED)  # quote() takes four times as long
    return function_urn if is_plain else quote(function_urn, safe=":!~")
