"""What a run is told: the options of an export, from the command line and from a settings file.

Owns names, defaults and limits of our settings ("config" always means the cloud's). Knows no secret: a token comes
from the environment or a file of its own.
"""

from __future__ import annotations

import difflib
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec

from inventory.certificates import context_of
from inventory.endpoints import IAM_VARIABLE, check_endpoint, default_in_region, in_region, sdk_endpoints
from inventory.errors import SettingsError, UrnError
from inventory.home import at_home, home
from inventory.proxies import check_proxies, is_loopback
from inventory.urn import check_field

DEFAULT_ENDPOINT: Final = "https://functiongraph.{region}.myhuaweicloud.com"
"""Source: api-facts.md section 7."""
DEFAULT_IAM_ENDPOINT: Final = "https://iam.{region}.myhuaweicloud.com"
"""Source: api-facts.md section 6."""
GATEWAY_MAX_PER_SECOND: Final = 200.0
"""Calls per second and API that the vendor's gateway documents as its default."""
FORMATS: Final = ("parquet", "csv")

_OF_ACCOUNTS: Final = ("endpoint", "iam_endpoint", "max_per_second", "max_workers")
"""What an account may have of its own."""

Format = Literal["parquet", "csv"]

_PREFIX = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class AccountSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """One account of several: which scopes are its own, where its credential comes from, and what is different there.

    A scope is an account's where its region and its project are among those named; where none are named, all are.

    Attributes:
        name: what it is called in words.
        environment: what its variables begin with, in the place of ``HW``.
        profile: a file of the SDK's form with its keys.
        token_file: a file with its token.
    """

    name: str
    environment: str | None = None
    profile: str | None = None
    token_file: str | None = None
    regions: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    endpoint: str | None = None
    iam_endpoint: str | None = None
    max_per_second: float | None = None
    max_workers: int | None = None

    def owns(self, region: str, project_id: str | None) -> bool:
        """Whether a scope is this account's; without a project, whether some scope of the region may be."""
        of_region = not self.regions or region in self.regions
        return of_region and (project_id is None or not self.projects or project_id in self.projects)


class ExportSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """The options of one export; the keys of a settings file are the command line's.

    Units: ``timeout`` in seconds for one whole call, ``max_time`` for the listing and asking of the whole run;
    ``max_per_second`` in calls per second and scope, None for the gateway's documented default, 0 for no cap;
    ``quota_share`` the part of a learnt limit that is used; ``rows_per_file`` rows of a table, 0 for one file each.
    ``region_endpoints`` are base URLs by region, where ``endpoint`` is not set. ``ca_bundle`` names a file or folder of
    the authorities that are trusted, instead of those of the system and the environment.
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
    quota_share: float = 1.0
    max_time: float | None = None
    naive_timezone: str | None = None
    rows_per_file: int = 0
    drop_bodies: bool = False
    batch: bool = True
    accounts: tuple[AccountSettings, ...] = ()
    region_endpoints: dict[str, str] = {}
    ca_bundle: str | None = None

    @property
    def pace(self) -> float:
        """Calls per second and scope; 0 for no cap."""
        return GATEWAY_MAX_PER_SECOND if self.max_per_second is None else self.max_per_second

    def account_of(self, region: str, project_id: str | None) -> AccountSettings | None:
        """The first account that owns a scope; None where none does, or where there are no accounts."""
        return next((account for account in self.accounts if account.owns(region, project_id)), None)

    def accounts_in(self, region: str) -> list[AccountSettings]:
        """The accounts that may own a scope of a region."""
        return [account for account in self.accounts if account.owns(region, None)]

    def for_scope(self, region: str, project_id: str | None) -> ExportSettings:
        """These settings, with what the scope's account has of its own."""
        account = self.account_of(region, project_id)
        return self if account is None else self.for_account(account)

    def for_account(self, account: AccountSettings) -> ExportSettings:
        """These settings, with what an account has of its own."""
        own = _with_own_endpoints({name: getattr(account, name) for name in _OF_ACCOUNTS})
        own = {name: value for name, value in own.items() if value is not None}
        return msgspec.structs.replace(self, **own)

    def checked(self) -> ExportSettings:
        """Returns itself.

        Raises:
            SettingsError: a value cannot be used; the message names it, in the command line's words.
        """
        _check_shared("--", self)
        _check(self.attempts >= 1, "--attempts", self.attempts, "1 or more")
        _check(0 < self.timeout <= 3600, "--timeout", self.timeout, "seconds, from above 0 to 3600")  # noqa: PLR2004
        _check(0 < self.quota_share <= 1, "--quota-share", self.quota_share, "a part, from above 0 to 1")
        _check(self.max_time is None or self.max_time > 0, "--max-time", self.max_time, "seconds, above 0")
        _check(self.rows_per_file >= 0, "--rows-per-file", self.rows_per_file, "rows, or 0 for one file a table")
        formats: Any = self.format  # Python callers give what they like
        known = isinstance(formats, tuple | list) and bool(formats) and set(formats) <= set(FORMATS)
        _check(known, "--format", formats, "('parquet',), ('csv',) or both")
        for name, value in (("--region", self.region), ("--project-id", self.project_id)):
            _check(value is None or _is_field(value), name, repr(value), "one as it stands in a URN")
        self.zone()
        for region, endpoint in self.region_endpoints.items():
            check_endpoint(f"the endpoint of {region}", endpoint, DEFAULT_ENDPOINT)
        for account in self.accounts:
            _check_account(account)
        repeated = [name for name, count in Counter(account.name for account in self.accounts).items() if count > 1]
        _check(not repeated, "accounts: the name", ", ".join(repeated), "each a name of its own")
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
        return None if self.token_file is None else Path(at_home(self.token_file))

    def endpoint_for(self, region: str) -> str:
        """The base URL that a region's calls go to.

        Raises:
            UrnError: the endpoint's host is made from the region, and this text cannot be part of a host name (it
                could lead the token to another host).
        """
        if self.endpoint != DEFAULT_ENDPOINT:
            return in_region(self.endpoint, region)
        if region in self.region_endpoints:
            return self.region_endpoints[region].rstrip("/")
        return default_in_region(DEFAULT_ENDPOINT, region)

    def iam_endpoint_for(self, region: str) -> str:
        """IAM's base URL of a region, without the ``/v3`` that some write behind it.

        Raises:
            UrnError: as for :meth:`endpoint_for`.
        """
        find = default_in_region if self.iam_endpoint == DEFAULT_IAM_ENDPOINT else in_region
        return find(self.iam_endpoint, region).removesuffix("/v3")

    def warnings(self) -> list[str]:
        """What a user must know before calls are made: each host that a credential goes to without TLS."""
        endpoints = [self.endpoint, self.iam_endpoint]
        endpoints += self.region_endpoints.values() if self.endpoint == DEFAULT_ENDPOINT else ()
        for account in self.accounts:
            endpoints += filter(None, (account.endpoint, account.iam_endpoint))
        parts = [urlsplit(endpoint) for endpoint in endpoints]
        hosts = dict.fromkeys(part.hostname or "" for part in parts if part.scheme == "http")
        return [
            f"warning: the credential goes to {host} over plain http, which others on the way can read; use https"
            for host in hosts
            if not is_loopback(host)
        ]


def _check(fits: bool, name: str, value: object, expected: str) -> None:  # noqa: FBT001 - the condition is the message's subject
    if not fits:
        raise SettingsError(f"{name} {value} cannot be used; give {expected}")


def _is_field(text: str) -> bool:
    try:
        check_field(text, "")
    except UrnError:
        return False
    return True


def _check_account(account: AccountSettings) -> None:
    place = f"account {account.name!r}:"
    prefix = account.environment
    _check(prefix is None or bool(_PREFIX.fullmatch(prefix)), f"{place} environment", prefix, "a word such as PROD")
    sources = sum(source is not None for source in (account.environment, account.profile, account.token_file))
    _check(sources <= 1, f"{place} {sources} sources of a credential", "", "one of environment, profile and token-file")
    _check_shared(f"{place} ", account)


def _check_shared(prefix: str, part: ExportSettings | AccountSettings) -> None:
    """Checks what a run and each of its accounts may say."""
    workers, pace = part.max_workers, part.max_per_second
    _check(workers is None or 1 <= workers <= 4096, f"{prefix}max-workers", workers, "a number from 1 to 4096")  # noqa: PLR2004
    _check(pace is None or 0 <= pace <= 1e6, f"{prefix}max-per-second", pace, "calls per second, or 0 for no cap")  # noqa: PLR2004
    for name, endpoint, default in (
        ("endpoint", part.endpoint, DEFAULT_ENDPOINT),
        ("iam-endpoint", part.iam_endpoint, DEFAULT_IAM_ENDPOINT),
    ):
        if endpoint is not None:
            check_endpoint(f"{prefix}{name}", endpoint, default)


def load_settings(path: Path) -> dict[str, Any]:
    """Reads a TOML settings file into the keyword arguments of :class:`ExportSettings`.

    Raises:
        SettingsError: it cannot be read, is no TOML, has a key that we do not know, or a value of another type.
    """
    try:
        sent = msgspec.toml.decode(path.read_bytes())
    except OSError as error:
        raise SettingsError.from_os_error(path, "cannot be read", error) from None
    except (msgspec.DecodeError, ValueError) as error:
        raise SettingsError(f"{path} is no TOML: {error}") from None
    names = _known_keys(sent, ExportSettings, str(path))
    accounts = sent.get("accounts")
    for account in accounts if isinstance(accounts, list) else ():
        if isinstance(account, dict):
            _known_keys(account, AccountSettings, f"{path}: account {account.get('name')!r}")
    try:
        read = msgspec.convert(sent, ExportSettings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {error}") from None
    return {names[key]: getattr(read, names[key]) for key in sent}


def _known_keys(sent: dict[str, Any], cls: type[msgspec.Struct], place: str) -> dict[str, str]:
    names = {field.encode_name: field.name for field in msgspec.structs.fields(cls)}
    for key in sent:
        if key not in names:
            near = difflib.get_close_matches(key.replace("_", "-"), names, n=1, cutoff=0)
            raise SettingsError(f"{place} has the key {key!r}, which is no setting; the nearest is {near[0]!r}")
    return names


def combine(path: Path | None, given: dict[str, Any], began_with: ExportSettings | None = None) -> ExportSettings:
    """Puts settings together: what a resumed run began with, a settings file, and what the command line gives.

    The later wins.

    Raises:
        SettingsError: something of it, or a proxy of the environment, cannot be used.
    """
    check_proxies()
    before = {} if began_with is None else msgspec.structs.asdict(began_with)
    read = {} if path is None else load_settings(path)
    if "region_endpoints" not in read:  # a file's endpoints of single regions go before its default
        read = _with_own_endpoints(read)
    said = {name: value for name, value in given.items() if value is not None}
    if began_with is None and "region_endpoints" not in read:
        said["region_endpoints"] = sdk_endpoints(os.environ, home())
    if "iam_endpoint" not in {**before, **read} and os.environ.get(IAM_VARIABLE):
        said.setdefault("iam_endpoint", os.environ[IAM_VARIABLE])
    combined = ExportSettings(**{**before, **read, **_with_own_endpoints(said)})
    if combined.ca_bundle is not None:
        combined = msgspec.structs.replace(combined, ca_bundle=at_home(combined.ca_bundle))
    context_of(combined.ca_bundle, os.environ)  # what cannot be read is said before anything is asked or written
    if combined.accounts and given.get("token_file") is not None:
        raise SettingsError(
            "--token-file is of one account, and the settings file has several: name it there, as token-file"
        )
    return _with_the_last_word(combined, given).checked()


def _with_own_endpoints(given: dict[str, Any]) -> dict[str, Any]:
    """Settings in which an endpoint that was given is never the default's text: what equals it gets a slash.

    So it is told from the default wherever that gives way to something else, also in a ledger that is gone on with.
    """
    defaults = {"endpoint": DEFAULT_ENDPOINT, "iam_endpoint": DEFAULT_IAM_ENDPOINT}
    own = {name: f"{text}/" for name, text in defaults.items() if given.get(name) == text}
    return {**given, **own}


def _with_the_last_word(settings: ExportSettings, given: dict[str, Any]) -> ExportSettings:
    """Settings in which an account has nothing of its own where the command line says something."""
    none = dict.fromkeys(name for name in _OF_ACCOUNTS if given.get(name) is not None)
    return msgspec.structs.replace(
        settings, accounts=tuple(msgspec.structs.replace(account, **none) for account in settings.accounts)
    )


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
