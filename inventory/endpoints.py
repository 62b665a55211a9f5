"""Endpoints by region: the vendor's defaults, and those configured for its SDK."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from inventory.errors import SettingsError, UrnError

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICE: Final = "FUNCTIONGRAPH"
PREFIX: Final = f"HUAWEICLOUD_SDK_REGION_{SERVICE}_"
FILE_VARIABLE: Final = "HUAWEICLOUD_SDK_REGIONS_FILE"
IAM_VARIABLE: Final = "HUAWEICLOUD_SDK_IAM_ENDPOINT"
"""The SDK's IAM endpoint, for every region."""
DEFAULT_FILE: Final = ".huaweicloud/regions.yaml"
REGIONS: Final = (
    *("cn-north-1", "cn-north-4", "cn-north-9", "cn-north-11", "cn-east-2", "cn-east-3", "cn-east-4"),
    *("cn-south-1", "cn-south-4", "cn-southwest-2", "cn-southwest-3"),
    *("ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5"),
    *("af-south-1", "sa-brazil-1", "la-south-2", "la-north-2", "na-mexico-1", "eu-west-101", "tr-west-1", "me-east-1"),
    *("my-kualalumpur-1", "ru-moscow-1", "ae-ad-1"),
)
"""Regions of FunctionGraph. Source: api-facts.md section 7."""
_REGION_WORDS: Final = frozenset(
    word
    for name in (*REGIONS, "north-south-east-west-central-northeast-northwest-southeast-southwest")
    for word in name.split("-")
)
_REGION_SIMILARITY: Final = 0.75
_HOST_PART: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)
_MAX_SHOWN: Final = 100
"""Characters of an invalid region in a message."""
_DOMAIN: Final = ".myhuaweicloud.com"
_EUROPE: Final = ("eu-west-1", ".myhuaweicloud.eu")
"""Prefix and domain of the isolated European partition; its tokens must not go to ``.com``.

Source: api-facts.md sections 7 and 10 (SDK's IAM table, Terraform provider #2239, Java SDK #74).
"""


def expand_default_endpoint(template: str, region: str) -> str:
    """Returns a default endpoint of the vendor for a region.

    Raises:
        UrnError: the region is invalid in a host name.
    """
    return expand_region(use_partition_domain(template, region), region)


def use_partition_domain(template: str, region: str) -> str:
    """Replaces the domain of a default endpoint by the domain of the region's partition."""
    prefix, domain = _EUROPE
    return template.replace(_DOMAIN, domain) if region.lower().startswith(prefix) else template


def expand_region(template: str, region: str) -> str:
    """Replaces ``{region}`` in an endpoint.

    Raises:
        UrnError: the region is invalid in a host name; the token could go to another host.
    """
    if "{region}" in template and not _HOST_PART.fullmatch(region):
        raise UrnError(f"region {region[:_MAX_SHOWN]!r} is invalid in the endpoint's host name")
    return template.replace("{region}", region).rstrip("/")


def nearest_region(region: str) -> str | None:
    """Returns the region that a misspelt region resembles.

    None: it is a region, resembles none, or consists of the words of regions and a number, as a new region would.
    """
    words = region.lower().split("-")
    is_plausible = len(words) > 2 and all(word in _REGION_WORDS for word in words[:-1]) and words[-1].isdigit()  # noqa: PLR2004 - such as cn-north-4
    if is_plausible or region.lower() in REGIONS:
        return None
    return next(iter(difflib.get_close_matches(region.lower(), REGIONS, 1, _REGION_SIMILARITY)), None)


def check_endpoint(name: str, endpoint: str, example: str) -> None:
    """Validates an endpoint.

    Raises:
        SettingsError: it is not a URL of scheme, host, and optional port and path.
    """
    try:
        parts = urlsplit(endpoint.replace("{region}", "region"))
        usable = parts.scheme in ("http", "https") and _is_host(parts.hostname or "") and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not endpoint.isascii() or re.search(r"\s", endpoint):
        shown = re.sub(r"//[^/]*@", "//...@", endpoint)
        raise SettingsError(f"{name} {shown!r} is not a URL such as {example}; give one with scheme and host")
    if set(endpoint) & set("@?#"):
        raise SettingsError(f"{name} must not contain user, password, query or fragment")


def _is_host(host: str) -> bool:
    return ":" in host or all(
        _HOST_PART.fullmatch(part.replace("_", "-")) for part in host.removesuffix(".").split(".")
    )


def sdk_endpoints(environment: Mapping[str, str], home: Path | None) -> dict[str, str]:
    """Returns FunctionGraph's endpoints by region as the SDK reads them; variables override the file.

    Raises:
        SettingsError: the file does not have the SDK's format.

    Source: api-facts.md section 7 (SDK 3.1.219, ``huaweicloudsdkcore.region``).
    """
    named = environment.get(FILE_VARIABLE)
    path = Path(named) if named else None if home is None else home / DEFAULT_FILE
    endpoints = {} if path is None else _of_file(path)
    for name, value in environment.items():
        if name.startswith(PREFIX) and value.strip():
            endpoints[name.removeprefix(PREFIX).replace("_", "-").lower()] = value.split(",")[0].strip()
    return endpoints


def _of_file(path: Path) -> dict[str, str]:
    try:
        content = path.read_bytes()
    except OSError:
        return {}  # as in the SDK
    import yaml  # noqa: PLC0415 - needed only for this file

    endpoints: dict[str, str] = {}
    try:
        document: Any = yaml.safe_load(content) or {}
        for service, regions in document.items():
            for region in (regions or ()) if service.upper() == SERVICE else ():
                candidates = [*(region.get("endpoints") or ()), region.get("endpoint")]
                first = next((endpoint for endpoint in candidates if endpoint), None)
                if region.get("id") and first:
                    endpoints[str(region["id"])] = str(first)
    except (yaml.YAMLError, AttributeError, TypeError, ValueError):
        raise SettingsError(f"{path} is not a list of regions in the format of the vendor's SDK") from None
    return endpoints
