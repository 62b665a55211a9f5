"""Compares a resource of a state with the cloud, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inventory.exact_json import same_text
from inventory.terraform.configs import EVENTS, Config
from inventory.urn import split_urn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inventory.terraform.configs import Side
    from inventory.terraform.state import StateSide, Values


def differences(config: Config, values: Values) -> Iterator[str]:
    """Words each field of which state and cloud differ; of ``param`` no value, as it may be sensitive.

    Null and false are one value of ``enable_async_status_log``, as for the provider.
    """
    region = split_urn(config.urn).region
    numbers = {
        "region": (values.region or region, region),
        "max_async_event_age_in_seconds": (values.max_async_event_age_in_seconds, config.age_s),
        "max_async_retry_attempts": (values.max_async_retry_attempts, config.retries),
        "enable_async_status_log": (bool(values.enable_async_status_log), bool(config.status_log)),
    }
    for name, (before, now) in numbers.items():
        if before != now:
            yield f"{name}: state {_word(before)}, cloud {_word(now)}"
    for event in EVENTS:
        yield from _of_side(event, _only(getattr(values, event)), config.sides.get(event))


def _only(sides: list[StateSide] | None) -> StateSide | None:
    """The destination of a block; older providers write an empty one where there is none."""
    return next((side for side in sides or () if side.destination or side.param), None)


def _of_side(event: str, before: StateSide | None, now: Side | None) -> Iterator[str]:
    if (before is None) != (now is None):
        yield f"{event}: state {_word(before and before.destination)}, cloud {_word(now and now.destination)}"
    elif before is not None and now is not None:
        if before.destination != now.destination:
            yield f"{event}.destination: state {_word(before.destination)}, cloud {_word(now.destination)}"
        if (before.param or "") != (now.param or ""):
            is_same = same_text(before.param, now.param)
            yield f"{event}.param: {'the same JSON in another text' if is_same else 'the values differ'}"


def _word(value: object) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
