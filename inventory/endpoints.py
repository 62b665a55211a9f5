"""Endpoints of regions: the vendor's own, and those that the vendor's SDK is told elsewhere: variables, and a file.

Owns their names and forms. Knows no settings.

Source: api-facts.md section 7 (SDK 3.1.219, ``huaweicloudsdkcore.region``).
"""

from __future__ import annotations

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
"""Where the SDK looks projects up, for every region."""
DEFAULT_FILE: Final = ".huaweicloud/regions.yaml"


_HOST_PART: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)
_DOMAIN: Final = ".myhuaweicloud.com"
_EUROPE: Final = ("eu-west-1", ".myhuaweicloud.eu")
"""How the regions of the isolated European partition begin, and their domain.

Source: api-facts.md sections 7 and 10: the SDK's IAM table, the prefix in the Terraform provider's ``getCloudDomain``
(and its #2239), the Java SDK's #74, and two of the SDK's builds for FunctionGraph. The others say ``.com``, where a
token of the partition does not belong.
"""


def expand_default_endpoint(template: str, region: str) -> str:
    """A default endpoint of the vendor in a region.

    Raises:
        UrnError: as for :func:`expand_region`.
    """
    return expand_region(use_partition_domain(template, region), region)


def use_partition_domain(template: str, region: str) -> str:
    """A default endpoint of the vendor, under the domain of a region's partition."""
    prefix, domain = _EUROPE
    return template.replace(_DOMAIN, domain) if region.startswith(prefix) else template


def expand_region(template: str, region: str) -> str:
    """An endpoint with a region in the place of ``{region}``.

    Raises:
        UrnError: the region cannot be part of a host name (it could lead the token to another host).
    """
    if "{region}" in template and not _HOST_PART.fullmatch(region):
        raise UrnError(f"region {region!r} cannot be part of the endpoint's host name")
    return template.replace("{region}", region).rstrip("/")


def check_endpoint(name: str, endpoint: str, example: str) -> None:
    """Makes sure that calls can go to an endpoint.

    Raises:
        SettingsError: it is no URL of a scheme, a host, and maybe a port and a path.
    """
    try:
        parts = urlsplit(endpoint.replace("{region}", "region"))
        usable = parts.scheme in ("http", "https") and _is_host(parts.hostname or "") and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not endpoint.isascii() or re.search(r"\s", endpoint):
        shown = re.sub(r"//[^/]*@", "//...@", endpoint)
        raise SettingsError(f"{name} {shown!r} is no URL such as {example}")
    if set(endpoint) & set("@?#"):
        raise SettingsError(
            f"{name} must hold no user, password, query or fragment: a scheme, a host, and maybe a port and path"
        )


def _is_host(host: str) -> bool:
    """Whether a name can be looked up: no part of it is empty or too long. An address in brackets is one part."""
    return ":" in host or all(
        _HOST_PART.fullmatch(part.replace("_", "-")) for part in host.removesuffix(".").split(".")
    )


def sdk_endpoints(environment: Mapping[str, str], home: Path | None) -> dict[str, str]:
    """FunctionGraph's endpoints by region, as the SDK would read them; a variable goes before the file.

    Of several endpoints of a region the first counts. A variable's name does not tell ``-`` from ``_``: regions are
    written with ``-``. Without a home folder there is no file but a named one.

    Raises:
        SettingsError: the file is not of the SDK's form.
    """
    named = environment.get(FILE_VARIABLE)
    path = Path(named) if named else None if home is None else home / DEFAULT_FILE
    found = {} if path is None else _of_file(path)
    for name, value in environment.items():
        if name.startswith(PREFIX) and value.strip():
            found[name.removeprefix(PREFIX).replace("_", "-").lower()] = value.split(",")[0].strip()
    return found


def _of_file(path: Path) -> dict[str, str]:
    try:
        content = path.read_bytes()
    except OSError:
        return {}  # the SDK takes no notice either
    import yaml  # noqa: PLC0415 - the SDK's own; only where there is such a file

    found: dict[str, str] = {}
    try:
        sent: Any = yaml.safe_load(content) or {}
        for service, regions in sent.items():
            for region in (regions or ()) if service.upper() == SERVICE else ():
                told = [*(region.get("endpoints") or ()), region.get("endpoint")]
                first = next((one for one in told if one), None)
                if region.get("id") and first:
                    found[str(region["id"])] = str(first)
    except (yaml.YAMLError, AttributeError, TypeError, ValueError):
        raise SettingsError(f"{path} is no list of regions as the vendor's SDK reads it") from None
    return found
