"""What a run is told: the options of an export, from the command line and from a settings file.

Owns names, defaults and limits of our settings ("config" always means the cloud's). Knows no secret: a token comes
from the environment or a file of its own.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec

from inventory.errors import SettingsError, UrnError
from inventory.urn import check_field

DEFAULT_ENDPOINT: Final = "https://functiongraph.{region}.myhuaweicloud.com"
"""Source: api-facts.md section 7."""
DEFAULT_IAM_ENDPOINT: Final = "https://iam.{region}.myhuaweicloud.com"
"""Source: api-facts.md section 6."""
GATEWAY_MAX_PER_SECOND: Final = 200.0
"""Calls per second and API that the vendor's gateway documents as its default."""
FORMATS: Final = ("parquet", "csv")

Format = Literal["parquet", "csv"]

_HOST_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)


class ExportSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """The options of one export; the keys of a settings file are the command line's.

    Units: ``timeout`` in seconds for one whole call; ``max_per_second`` in calls per second and scope, None for the
    gateway's documented default, 0 for no cap.
    """

    endpoint: str = DEFAULT_ENDPOINT
    iam_endpoint: str = DEFAULT_IAM_ENDPOINT
    region: str | None = None
    project_id: str | None = None
    token_file: str | None = None
    column: str | None = None
    format: tuple[Format, ...] = ("parquet",)
    max_workers: int = 64
    max_per_second: float | None = None
    timeout: float = 30.0
    attempts: int = 4
    naive_timezone: str | None = None

    def checked(self) -> ExportSettings:
        """Returns itself.

        Raises:
            SettingsError: a value cannot be used; the message names it, in the command line's words.
        """
        _check(1 <= self.max_workers <= 4096, "--max-workers", self.max_workers, "a number from 1 to 4096")  # noqa: PLR2004
        _check(self.attempts >= 1, "--attempts", self.attempts, "1 or more")
        _check(0 < self.timeout <= 3600, "--timeout", self.timeout, "seconds, from above 0 to 3600")  # noqa: PLR2004
        pace = self.max_per_second
        _check(pace is None or 0 <= pace <= 1e6, "--max-per-second", pace, "calls per second, or 0 for no cap")  # noqa: PLR2004
        formats: Any = self.format  # Python callers give what they like
        known = isinstance(formats, tuple | list) and bool(formats) and set(formats) <= set(FORMATS)
        _check(known, "--format", formats, "('parquet',), ('csv',) or both")
        _check_endpoint("--endpoint", self.endpoint, DEFAULT_ENDPOINT)
        _check_endpoint("--iam-endpoint", self.iam_endpoint, DEFAULT_IAM_ENDPOINT)
        for name, value in (("--region", self.region), ("--project-id", self.project_id)):
            _check(value is None or _is_field(value), name, repr(value), "one as it stands in a URN")
        self.zone()
        return self

    def zone(self) -> ZoneInfo | None:
        """The zone in which a time without a zone is read, or None: then it is not read."""
        if self.naive_timezone is None:
            return None
        try:
            return ZoneInfo(self.naive_timezone)
        except (KeyError, ValueError, OSError):
            raise SettingsError(
                f"--naive-timezone {self.naive_timezone!r} is no time zone of this machine; "
                "give a name such as UTC or Asia/Shanghai"
            ) from None

    def token_path(self) -> Path | None:
        """The file that holds the token, if one is named."""
        return None if self.token_file is None else Path(self.token_file)

    def endpoint_for(self, region: str) -> str:
        """The base URL that a region's calls go to.

        Raises:
            UrnError: the endpoint's host is made from the region, and this text cannot be part of a host name (it
                could lead the token to another host).
        """
        return _in_region(self.endpoint, region)

    def iam_endpoint_for(self, region: str) -> str:
        """IAM's base URL of a region, without the ``/v3`` that some write behind it.

        Raises:
            UrnError: as for :meth:`endpoint_for`.
        """
        return _in_region(self.iam_endpoint, region).removesuffix("/v3")


def _in_region(endpoint: str, region: str) -> str:
    if "{region}" not in endpoint:
        return endpoint.rstrip("/")
    if not _HOST_PART.fullmatch(region):
        raise UrnError(f"region {region!r} cannot be part of the endpoint's host name")
    return endpoint.replace("{region}", region).rstrip("/")


def _check(fits: bool, name: str, value: object, expected: str) -> None:  # noqa: FBT001 - the condition is the message's subject
    if not fits:
        raise SettingsError(f"{name} {value} cannot be used; give {expected}")


def _is_field(text: str) -> bool:
    try:
        check_field(text, "")
    except UrnError:
        return False
    return True


def _check_endpoint(name: str, endpoint: str, default: str) -> None:
    try:
        parts = urlsplit(endpoint.replace("{region}", "region"))
        usable = parts.scheme in ("http", "https") and _is_host(parts.hostname or "") and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not endpoint.isascii() or re.search(r"\s", endpoint):
        shown = re.sub(r"//[^/]*@", "//...@", endpoint)
        raise SettingsError(f"{name} {shown!r} is no URL such as {default}")
    if set(endpoint) & set("@?#"):
        raise SettingsError(
            f"{name} must hold no user, password, query or fragment: a scheme, a host, and maybe a port and path"
        )


def _is_host(host: str) -> bool:
    """Whether a name can be looked up: no part of it is empty or too long. An address in brackets is one part."""
    return ":" in host or all(
        _HOST_PART.fullmatch(part.replace("_", "-")) for part in host.removesuffix(".").split(".")
    )


def load_settings(path: Path) -> dict[str, Any]:
    """Reads a TOML settings file into the keyword arguments of :class:`ExportSettings`.

    Raises:
        SettingsError: it cannot be read, is no TOML, has a key that we do not know, or a value of another type.
    """
    try:
        sent = msgspec.toml.decode(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise SettingsError(f"{path} is no TOML: {error}") from None
    names = {field.encode_name: field.name for field in msgspec.structs.fields(ExportSettings)}
    for key in sent:
        if key not in names:
            near = difflib.get_close_matches(key.replace("_", "-"), names, n=1, cutoff=0)
            raise SettingsError(f"{path} has the key {key!r}, which is no setting; the nearest is {near[0]!r}")
    try:
        read = msgspec.convert(sent, ExportSettings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {error}") from None
    return {names[key]: getattr(read, names[key]) for key in sent}


def combine(path: Path | None, given: dict[str, Any], began_with: ExportSettings | None = None) -> ExportSettings:
    """Puts settings together: what a resumed run began with, a settings file, and what the command line gives.

    The later wins.

    Raises:
        SettingsError: something of it cannot be used.
    """
    before = {} if began_with is None else msgspec.structs.asdict(began_with)
    read = {} if path is None else load_settings(path)
    said = {name: value for name, value in given.items() if value is not None}
    return ExportSettings(**{**before, **read, **said}).checked()


def restore(described: dict[str, Any] | None) -> ExportSettings | None:
    """The settings that :func:`describe` described."""
    return None if described is None else msgspec.convert(described, ExportSettings)


def describe(settings: ExportSettings) -> dict[str, Any]:
    """The settings as plain values, for the ledger and the manifest. There is no secret among them."""
    plain: dict[str, Any] = {
        name: os.fsencode(value).decode("utf-8", "backslashreplace") if isinstance(value, str) else value
        for name, value in msgspec.structs.asdict(settings).items()
    }
    described: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(ExportSettings(**plain)))
    return described
