"""FunctionGraph behind the gateway: turns what the cloud holds into the service's answers.

Owns the FSS error codes and sentences. Must not know tokens, throttles or aiohttp.

Source: api-facts.md sections 1 to 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inventory.emulator import responses as reply
from inventory.emulator.responses import Reply
from inventory.emulator.state.interface import Missing

if TYPE_CHECKING:
    from inventory.emulator.state.interface import Cloud
    from inventory.urn import FunctionUrn

MISSING_FUNCTION = reply.service_error(404, "FSS.1051", "Not found the function")
INVALID_URN = reply.service_error(400, "FSS.1309", "Invalid function URN.")

_MISSING = {
    # The real code for "exists, has no config" is not public (api-facts.md section 4): FSS.0404 is the general one.
    Missing.CONFIG: reply.service_error(404, "FSS.0404", "The specified resource was not found."),
    Missing.FUNCTION: MISSING_FUNCTION,
    Missing.VERSION: reply.service_error(404, "FSS.1052", "Not found the function version"),
    # The documentation shows 1053 under 401 for ShowVersionAlias; 404 is what its siblings have.
    Missing.ALIAS: reply.service_error(404, "FSS.1053", "Not found the function alias"),
}


def show_async_invoke_config(cloud: Cloud, urn: FunctionUrn | None) -> Reply:
    """Answers ``ShowFunctionAsyncInvokeConfig``; ``urn`` is None where the text was no function URN.

    Where the project of the path and that of the URN differ, the URN's counts: no source says what the service does.
    """
    if urn is None:
        return INVALID_URN
    found = cloud.answer(urn)
    if isinstance(found, Missing):
        return _MISSING[found]
    return found if isinstance(found, Reply) else reply.config(found)
