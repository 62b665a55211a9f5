"""Endpoints of regions that the vendor's SDK is told elsewhere: variables, and a file.

Owns their names and forms. Knows no settings.

Source: api-facts.md section 7 (SDK 3.1.219, ``huaweicloudsdkcore.region``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from inventory.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICE: Final = "FUNCTIONGRAPH"
PREFIX: Final = f"HUAWEICLOUD_SDK_REGION_{SERVICE}_"
FILE_VARIABLE: Final = "HUAWEICLOUD_SDK_REGIONS_FILE"
IAM_VARIABLE: Final = "HUAWEICLOUD_SDK_IAM_ENDPOINT"
"""Where the SDK looks projects up, for every region."""
DEFAULT_FILE: Final = ".huaweicloud/regions.yaml"


def sdk_endpoints(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """FunctionGraph's endpoints by region, as the SDK would read them; a variable goes before the file.

    Of several endpoints of a region the first counts. A variable's name does not tell ``-`` from ``_``: regions are
    written with ``-``.

    Raises:
        SettingsError: the file is not of the SDK's form.
    """
    found = _of_file(Path(environment.get(FILE_VARIABLE) or home / DEFAULT_FILE))
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
