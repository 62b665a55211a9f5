"""ShowFunctionAsyncInvokeConfig of the emulated service.

Source: api-facts.md sections 1 to 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inventory.emulator import responses
from inventory.emulator.responses import Reply
from inventory.emulator.state.interface import Missing

if TYPE_CHECKING:
    from inventory.emulator.state.interface import Cloud
    from inventory.urn import FunctionUrn

MISSING_FUNCTION = responses.service_error(404, "FSS.1051", "Not found the function")
INVALID_URN = responses.service_error(400, "FSS.1309", "Invalid function URN.")

_MISSING = {
    # The real code of "no config" is not public (api-facts.md section 4); FSS.0404 is the general one.
    Missing.CONFIG: responses.service_error(404, "FSS.0404", "The specified resource was not found."),
    Missing.FUNCTION: MISSING_FUNCTION,
    Missing.VERSION: responses.service_error(404, "FSS.1052", "Not found the function version"),
    # The documentation shows 1053 under 401 for ShowVersionAlias; related codes have 404.
    Missing.ALIAS: responses.service_error(404, "FSS.1053", "Not found the function alias"),
}


def show_async_invoke_config(cloud: Cloud, urn: FunctionUrn | None) -> Reply:
    """``ShowFunctionAsyncInvokeConfig``; ``urn`` is None for an invalid URN.

    If the projects of path and URN differ, the URN's counts (not documented by the vendor).
    """
    if urn is None:
        return INVALID_URN
    answer = cloud.answer(urn)
    if isinstance(answer, Missing):
        return _MISSING[answer]
    return answer if isinstance(answer, Reply) else responses.config(answer)
