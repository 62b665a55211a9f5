"""A local FunctionGraph over HTTP, for the demo, tests and users' pipelines.

It is an independent reading of the vendor's documents: it shares no code with the client, so that a mistake of the
client is not repeated here. The public names are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inventory.emulator.faults.plan import Fault, Faults
    from inventory.emulator.gateway.iam import User
    from inventory.emulator.gateway.rate_limit import Limit
    from inventory.emulator.gateway.signature import Keys
    from inventory.emulator.request_log import LoggedRequest
    from inventory.emulator.responses import Reply
    from inventory.emulator.server import Emulator
    from inventory.emulator.service.list_items import SECRET_PREFIX
    from inventory.emulator.state.file import FileCloud, load_state
    from inventory.emulator.state.generated import GeneratedCloud
    from inventory.emulator.state.interface import Answer, Cloud, Missing, Scope

__all__ = [
    "SECRET_PREFIX",
    "Answer",
    "Cloud",
    "Emulator",
    "Fault",
    "Faults",
    "FileCloud",
    "GeneratedCloud",
    "Keys",
    "Limit",
    "LoggedRequest",
    "Missing",
    "Reply",
    "Scope",
    "User",
    "load_state",
]

_HOME = {
    "SECRET_PREFIX": "service.list_items",
    "Answer": "state.interface",
    "Cloud": "state.interface",
    "Emulator": "server",
    "Fault": "faults.plan",
    "Faults": "faults.plan",
    "FileCloud": "state.file",
    "GeneratedCloud": "state.generated",
    "Keys": "gateway.signature",
    "Limit": "gateway.rate_limit",
    "LoggedRequest": "request_log",
    "Missing": "state.interface",
    "Reply": "responses",
    "Scope": "state.interface",
    "User": "gateway.iam",
    "load_state": "state.file",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module attribute may be anything
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
