"""Destination types: which parameter fills which column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from inventory.cloud.models import parse_int

if TYPE_CHECKING:
    from collections.abc import Callable


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: object) -> int | None:
    return parse_int(value)[0]


PARAMETERS: Final[dict[str, dict[str, tuple[str, Callable[[object], object]]]]] = {
    "OBS": {
        "bucket": ("obs_bucket", _text),
        "prefix": ("obs_prefix", _text),
        "expires": ("obs_expires_days", _integer),
    },
    "SMN": {"topic_urn": ("smn_topic_urn", _text)},
    "DIS": {"stream_name": ("dis_stream_name", _text)},
    "FunctionGraph": {"func_urn": ("target_function_urn", _text)},
}
"""Parameters of each destination type, each with its column in ``destinations`` and its reader."""


class Parameters:
    """The typed cells of one destination; null where the type has no such parameter.

    A value of another type is null here and stays in ``param``.
    """

    def read_parameters(self, destination: str, param: dict[str, Any]) -> None:
        """Sets the cells of a destination type."""
        for name, (column, read) in PARAMETERS.get(destination, {}).items():
            if name in param:
                setattr(self, column, read(param[name]))


for _parameters in PARAMETERS.values():
    for _column, _ in _parameters.values():
        setattr(Parameters, _column, None)
