"""Items of the list operations, with every field of the vendor's models.

The URN determines the values. Each field that an export must not keep contains :data:`SECRET_PREFIX` and its name.

Source: models ``ListFunctionResult``, ``ListFunctionVersionResult`` and ``ListVersionAliasResult`` of the vendor's SDK.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from inventory.emulator.state.dice import Dice
from inventory.emulator.state.interface import LATEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inventory.urn import FunctionUrn

SECRET_PREFIX: Final = "never-to-be-exported"  # noqa: S105 - no password
"""Prefix of each secret in a listing; the name of its field follows."""

_RUNTIMES = (
    *("Python3.9", "Python3.9", "Python3.10", "Python3.6", "Node.js16.17", "Node.js18.15", "Node.js14.18"),
    *("Java11", "Java8", "Go1.x", "PHP7.3", "C#(.NET Core 3.1)", "Custom", "http", "Custom Image"),
)
_CUSTOM = frozenset({"Custom", "http", "Custom Image"})
_TIMEOUTS = (3, 3, 10, 30, 30, 30, 60, 60, 120, 300, 900)
_LONG_TIMEOUTS = (3600, 43_200, 259_200)
_MEMORY_SIZES = (128, 128, 128, 256, 256, 512, 512, 768, 1024, 2048, 4096)
_GPU_MEMORY_SIZES = (1024, 4096, 8192, 16_384)
_LIMITS = (-1,) * 6 + (1, 10, 50, 100, 100, 400)
_CONCURRENT_NUMS = (1,) * 9 + (10, 50, 1000)
_AGENCIES = ("fgs-default-agency", "fgs-destinations", "serverless-trust", "fgs-obs-smn-dis")
_WEIGHTS = (1, 5, 10, 20, 50)
_FAILURES = (1, 1, 2, 3, 8, 21, 144, 987, 6765)
_DAY = 86_400
_OLD, _RECENT = 1_609_459_200, 1_767_225_600
"""Times from which versions and latest ones were last modified: 2021 and 2026."""
_DATED_VERSION = re.compile(r"v(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)")
_DOMAIN_ID = blake2b(b"domain", digest_size=16).hexdigest()


def function_item(urn: FunctionUrn, config: object) -> dict[str, Any]:
    """An item of ``ListFunctions``: 41 fields, and ``func_code`` of inline code.

    Args:
        urn: URN with version.
        config: async-invoke config of this version, or anything else.
    """
    item, dice = _build(urn, config)
    is_disabled = item["strategy_config"]["concurrency"] == 0
    project = _project_ids(urn.project_id)
    log_group = dice.pick(("", project[3], project[3]))
    item |= {
        "resource_id": f"{_DOMAIN_ID}:{urn.project_id}:function:{urn.package}:{urn.function_name}",
        "gpu_memory": dice.pick(_GPU_MEMORY_SIZES) if item["runtime"] in _CUSTOM and dice.below(3) == 0 else 0,
        "description": _secret("description"),
        "extend_config": _secret_json("extend_config"),
        "log_group_id": log_group,
        "log_stream_id": log_group and project[4],
        "fail_count": 0 if dice.below(7) or is_disabled else dice.pick(_FAILURES),
        "is_bridge_function": dice.below(60) == 0,
        "bind_bridge_funcUrns": [] if dice.below(4) else [f"{_plain(urn)}-{_secret('bind_bridge_funcUrns')}"],
    }
    return item


def version_item(urn: FunctionUrn, config: object, age: int) -> dict[str, Any]:
    """An item of ``ListFunctionVersions``: 40 fields, and ``func_code`` of inline code.

    Args:
        urn: URN with version.
        config: async-invoke config of this version, or anything else.
        age: number of newer versions, without ``latest``.
    """
    item, dice = _build(urn, config, age)
    item |= {
        **item["strategy_config"],
        "function_async_config": _without_urn(config) if isinstance(config, dict) else None,
        "enable_dynamic_memory": dice.below(20) == 0,
        "is_stateful_function": dice.below(20) == 0,
        "enable_auth_in_header": dice.below(20) == 0,
        "custom_image": _custom_image(is_enabled=item["runtime"] == "Custom Image"),
        "reserved_instance_idle_mode": dice.below(20) == 0,
    }
    return item


def alias_item(urn: FunctionUrn, versions: Sequence[str]) -> dict[str, Any]:
    """An item of ``ListVersionAliases``.

    Args:
        urn: URN with alias.
        versions: versions of the function, oldest first, without ``latest``.
    """
    dice = fact_dice(str(urn))
    choice = dice.below(8)
    newest = versions[-1] if versions else LATEST
    version = LATEST if choice == 0 else dice.pick(versions) if choice == 1 and versions else newest
    others = [other for other in versions if other != version]
    weights: dict[str, int] | None = dice.pick((None, None, {}))
    if others and dice.below(2):
        gray: str = dice.pick(others)
        weights = {gray: dice.pick(_WEIGHTS)}
    return {
        "name": urn.qualifier,
        "version": version,
        "description": _secret("description"),
        "last_modified": _time(_RECENT + dice.below(300 * _DAY), dice.below(100)),
        "alias_urn": str(urn),
        "additional_version_weights": weights,
    }


def fact_dice(text: str) -> Dice:
    """The dice that a text determines."""
    return Dice(_digest(text))


def _build(urn: FunctionUrn, config: object, age: int = 0) -> tuple[dict[str, Any], Dice]:
    """The fields that both listings of a version have, and the dice for the others."""
    digest = _digest(str(urn))
    own, function = Dice(digest), fact_dice(str(_plain(urn)))
    is_long, runtime = function.below(40) == 0, function.pick(_RUNTIMES)
    timeouts = _LONG_TIMEOUTS if is_long else _TIMEOUTS
    memory_size, timeout = function.pick(_MEMORY_SIZES), function.pick(timeouts)
    if urn.qualifier != LATEST and own.below(2):  # half of the versions have the settings of latest
        memory_size, timeout = own.pick(_MEMORY_SIZES), own.pick(timeouts)
    has_initializer = function.below(3) == 0
    vpc, enterprise = function.below(3), function.below(4)
    code_type = "Custom-Image-Swr" if runtime == "Custom Image" else function.pick(("inline", "zip", "zip", "obs"))
    project = _project_ids(urn.project_id)
    item: dict[str, Any] = {
        "func_urn": str(_plain(urn)),
        "func_name": urn.function_name,
        "domain_id": _DOMAIN_ID,
        "namespace": urn.project_id,
        "project_name": urn.region,
        "package": urn.package,
        "runtime": runtime,
        "timeout": timeout,
        "memory_size": memory_size,
        "cpu": memory_size * 100 // 128,
        "code_type": code_type,
        "code_size": 200 + own.below(1 << own.below(26)),
        "digest": digest.hex(),
        "version": urn.qualifier,
        "image_name": f"{urn.qualifier}-{own.below(1 << 20):05x}@{own.below(1 << 20):05x}",
        "xrole": _agency(function, config),
        "app_xrole": "" if function.below(6) else function.pick(_AGENCIES),
        "last_modified": _modified(urn.qualifier or LATEST, age, own),
        "func_vpc_id": project[vpc] if vpc else "",
        "strategy_config": {
            "concurrency": function.pick(_LIMITS) if function.below(25) else 0,
            "concurrent_num": function.pick(_CONCURRENT_NUMS),
        },
        "initializer_timeout": function.pick((3, 30, 300)) if has_initializer else 0,
        "pre_stop_timeout": function.pick((0, 0, 30)),
        "enterprise_project_id": project[0] if enterprise == 0 else "0",
        "long_time": is_long,
        "type": "v1" if function.below(40) == 0 else "v2",
        **_SECRETS,
    }
    if code_type == "inline":
        item["func_code"] = {"file": _secret("func_code"), "link": _secret("func_code")}
    return item, function


def _agency(dice: Dice, config: object) -> str:
    """Rarely none although a destination needs one."""
    is_missing, is_spare, name = dice.below(12) == 0, dice.below(3) == 0, dice.pick(_AGENCIES)
    return name if not is_missing and (is_spare or _has_destination(config)) else ""


def _has_destination(config: object) -> bool:
    sides = config.get("destination_config") if isinstance(config, dict) else None
    return isinstance(sides, dict) and any(
        isinstance(side, dict) and side.get("destination") for side in sides.values()
    )


def _custom_image(*, is_enabled: bool) -> dict[str, Any]:
    texts = {name: _secret(name) if is_enabled else "" for name in ("image", "command", "args", "working_dir")}
    user = "1003" if is_enabled else ""
    return {"enabled": is_enabled, **texts, "uid": user, "gid": user, "is_public": False}


def _without_urn(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in {"func_urn", "enable_async_status_log"}}


def _modified(version: str, age: int, dice: Dice) -> str:
    style, offset = dice.below(100), dice.below(300 * _DAY)
    dated = _DATED_VERSION.fullmatch(version)
    if dated is not None:
        year, month, day, hour, minute, second = dated.groups()
        return f"{year}-{month}-{day}T{hour}:{minute}:{second}"
    return _time((_RECENT if version == LATEST else max(_OLD, _RECENT - (age + 1) * 365 * _DAY)) + offset, style)


def _time(seconds: int, style: int) -> str:
    """Mostly without a zone, as in the documentation's example; the vendor's SDK reads no other zone than Z."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
    return text if style < 80 else f"{text}Z"  # noqa: PLR2004 - percent of the times without a zone


def _plain(urn: FunctionUrn) -> FunctionUrn:
    return urn._replace(qualifier=None, qualifier_type=None)


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=64, key=b"facts").digest()


@lru_cache(maxsize=64)
def _project_ids(project_id: str) -> list[str]:
    """An enterprise project, two VPCs, a log group and a log stream."""
    return [str(UUID(bytes=_digest(f"{project_id}:{number}")[:16], version=4)) for number in range(5)]


def _secret(field: str) -> str:
    return f"{SECRET_PREFIX}-{field}"


def _secret_json(field: str) -> str:
    return f'{{"DB_PASSWORD":"{_secret(field)}"}}'


_SECRETS: Final = {
    "handler": f"{_secret('handler')}.handler",
    "code_url": f"https://functions.obs.myhuaweicloud.com/{_secret('code_url')}.zip",
    "code_filename": f"{_secret('code_filename')}.zip",
    "user_data": _secret_json("user_data"),
    "encrypted_user_data": _secret_json("encrypted_user_data"),
    "initializer_handler": f"{_secret('initializer_handler')}.initializer",
    "pre_stop_handler": f"{_secret('pre_stop_handler')}.pre_stop",
}
