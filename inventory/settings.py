"""Declares each option once: name, type, default, bounds, help.

The command line, the settings file, the Python keywords, their checks and the reference page follow from the fields
below. "config" always means the cloud's; ours are "settings". No setting holds a secret.
"""

from __future__ import annotations

from datetime import date  # noqa: TC003 - msgspec reads the types when it decodes
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args

import msgspec

from inventory.endpoints import expand_default_endpoint, expand_region
from inventory.errors import SettingsError
from inventory.option import Bounds, Option
from inventory.user_paths import expand_user

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

DEFAULT_ENDPOINT: Final = "https://functiongraph.{region}.myhuaweicloud.com"
"""Source: api-facts.md section 7."""
DEFAULT_IAM_ENDPOINT: Final = "https://iam.{region}.myhuaweicloud.com"
"""Source: api-facts.md section 6."""
GATEWAY_MAX_PER_SECOND: Final = 200.0
"""Default limit of calls per second and API that the vendor documents for its gateway."""
FORMATS: Final = ("parquet", "csv")
ACCOUNT_OVERRIDES: Final = ("endpoint", "iam_endpoint", "max_per_second", "max_workers")
"""Settings that an account may override."""

Format = Literal["parquet", "csv"]
LogFormat = Literal["text", "json"]
TransportChoice = Literal["auto", "direct", "session"]
TRANSPORTS: Final[tuple[TransportChoice, ...]] = get_args(TransportChoice)
Report = Literal["failures", "reserved", "quotas"]
REPORT_NAMES: Final[tuple[Report, ...]] = get_args(Report)
"""Reports about whole projects, each a table."""
Severity = Literal["critical", "high", "medium", "low", "info"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
"""Of a review's findings, most severe first."""


class AccountSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """One of several accounts: its scopes, the source of its credential, and the settings that it overrides.

    An account owns the scopes of its ``regions`` and ``projects``; an empty list means all.

    Attributes:
        name: its name in messages.
        environment: prefix of its environment variables, instead of ``HW``.
        profile: a file with its keys, in the format of the vendor's SDK.
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
        """Whether a scope belongs to this account; without a project, whether any scope of the region may."""
        of_region = not self.regions or region in self.regions
        return of_region and (project_id is None or not self.projects or project_id in self.projects)


class ExportSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """The options that a settings file may set, in the order of the command line; then those that only a file has."""

    format: Annotated[
        tuple[Format, ...],
        Option("Format of the tables (repeatable). Default: parquet.", is_repeatable=True, panel="Tables"),
    ] = ("parquet",)
    column: Annotated[
        str | None, Option("Column of the URNs. Default: function_urn, func_urn or urn.", panel="Input", metavar="NAME")
    ] = None
    endpoint: Annotated[
        str,
        Option(
            "Base URL; may contain {region}. Default: Huawei Cloud's endpoint of each region.",
            panel="Cloud",
            metavar="URL",
        ),
    ] = DEFAULT_ENDPOINT
    iam_endpoint: Annotated[str, Option("Base URL of IAM; may contain {region}.", panel="Cloud", metavar="URL")] = (
        DEFAULT_IAM_ENDPOINT
    )
    region: Annotated[
        str | None,
        Option(
            "Completes short forms of URNs; with --all, a region to list (repeatable).",
            is_repeatable=True,
            panel="Input",
            metavar="REGION",
        ),
    ] = None
    project_id: Annotated[
        str | None,
        Option(
            "Completes short forms of URNs; with --all, a project to list (repeatable).",
            is_repeatable=True,
            panel="Input",
            metavar="ID",
        ),
    ] = None
    token_file: Annotated[
        str | None,
        Option(
            "File with an IAM token. Default: the environment, see inventory/docs/credentials.md.",
            is_path=True,
            panel="Cloud",
            metavar="FILE",
        ),
    ] = None
    ca_bundle: Annotated[
        str | None,
        Option(
            "PEM file of certificate authorities. Default: SSL_CERT_FILE or the system's.",
            is_path=True,
            panel="Cloud",
            metavar="FILE",
        ),
    ] = None
    max_workers: Annotated[
        int,
        Option(
            "Maximum number of concurrent calls. Default: {default}.",
            Bounds("a number from 1 to 4096", 1, 4096),
            panel="Rate",
            metavar="N",
        ),
    ] = 64
    max_per_second: Annotated[
        float | None,
        Option(
            "Maximum calls per second and scope; 0: no cap. Default: 200, or the limit that the server reports.",
            Bounds("calls per second, or 0 for no cap", 0, 1e6),
            panel="Rate",
            metavar="CALLS",
        ),
    ] = None
    timeout: Annotated[
        float,
        Option(
            "Seconds for one whole call. Default: {default}.",
            Bounds("seconds, from above 0 to 3600", 0, 3600, excludes_minimum=True),
            panel="Rate",
            metavar="SECONDS",
        ),
    ] = 30.0
    transport: Annotated[
        TransportChoice,
        Option(
            "How calls are sent: direct, session (aiohttp), or auto (session through a proxy). Default: {default}.",
            panel="Cloud",
        ),
    ] = "auto"
    attempts: Annotated[
        int,
        Option("Maximum attempts for one URN. Default: {default}.", Bounds("1 or more", 1), panel="Rate", metavar="N"),
    ] = 4
    quota_share: Annotated[
        float,
        Option(
            "Share of the server's limit to use. Default: {default}, all of it.",
            Bounds("a share, from above 0 to 1", 0, 1, excludes_minimum=True),
            panel="Rate",
            metavar="SHARE",
        ),
    ] = 1.0
    max_time: Annotated[
        float | None,
        Option(
            "Seconds after which the run ends with the tables so far (exit code 5). Default: no limit.",
            Bounds("seconds, above 0", 0, excludes_minimum=True),
            panel="Run",
            metavar="SECONDS",
        ),
    ] = None
    naive_timezone: Annotated[
        str | None,
        Option(
            "Time zone of times that have none. Default: such a time is kept as text only.",
            panel="Tables",
            metavar="ZONE",
        ),
    ] = None
    rows_per_file: Annotated[
        int,
        Option(
            "Split a table of more rows into a folder of files, such as functions/part-00000.parquet; 0: one file.",
            Bounds("rows, or 0 for one file a table", 0),
            panel="Tables",
            metavar="ROWS",
        ),
    ] = 0
    drop_bodies: Annotated[
        bool,
        Option("Remove the raw answers from the ledger once every URN is answered.", is_action=True, panel="Tables"),
    ] = False
    batch: Annotated[
        bool,
        Option("Make one call for each URN, even where one call could answer many.", flag="no_batch", panel="Rate"),
    ] = True
    accounts: tuple[AccountSettings, ...] = ()
    region_endpoints: dict[str, str] = {}

    @property
    def pace(self) -> float:
        """Calls per second and scope; 0 for no cap."""
        return GATEWAY_MAX_PER_SECOND if self.max_per_second is None else self.max_per_second

    def account_of(self, region: str, project_id: str | None) -> AccountSettings | None:
        """The first account that owns a scope; None where there is none."""
        return next((account for account in self.accounts if account.owns(region, project_id)), None)

    def accounts_in(self, region: str) -> list[AccountSettings]:
        """The accounts that may own a scope of a region."""
        return [account for account in self.accounts if account.owns(region, None)]

    def for_scope(self, region: str, project_id: str | None) -> ExportSettings:
        """These settings, with the overrides of the scope's account."""
        account = self.account_of(region, project_id)
        return self if account is None else self.for_account(account)

    def for_account(self, account: AccountSettings) -> ExportSettings:
        """These settings, with the overrides of an account."""
        own = mark_explicit_endpoints({name: getattr(account, name) for name in ACCOUNT_OVERRIDES})
        own = {name: value for name, value in own.items() if value is not None}
        return msgspec.structs.replace(self, **own)

    def zone(self, name: str = "--naive-timezone") -> ZoneInfo | None:
        """The time zone of times that have none, if it is set.

        Raises:
            SettingsError: this machine does not have it; the message calls the setting by ``name``.
        """
        if self.naive_timezone is None:
            return None
        from zoneinfo import ZoneInfo  # noqa: PLC0415 - --help stays quick

        try:
            return ZoneInfo(self.naive_timezone)
        except (KeyError, ValueError, OSError):
            raise SettingsError(
                f"{name} {self.naive_timezone!r} is no time zone of this machine; "
                "give a name such as UTC or Asia/Shanghai"
            ) from None

    def token_path(self) -> Path | None:
        """The file that holds the token, if one is named."""
        return None if self.token_file is None else Path(expand_user(self.token_file))

    def endpoint_for(self, region: str) -> str:
        """The base URL for the calls of a region.

        Raises:
            UrnError: the endpoint contains ``{region}``, and this region cannot be part of a host name (it could lead
                the token to another host).
        """
        if self.endpoint != DEFAULT_ENDPOINT:
            return expand_region(self.endpoint, region)
        for name, endpoint in self.region_endpoints.items():
            if name.lower() == region.lower():
                return endpoint.rstrip("/")
        return expand_default_endpoint(DEFAULT_ENDPOINT, region)

    def iam_endpoint_for(self, region: str) -> str:
        """The base URL of IAM in a region, without a ``/v3`` at its end.

        Raises:
            UrnError: as for :meth:`endpoint_for`.
        """
        find = expand_default_endpoint if self.iam_endpoint == DEFAULT_IAM_ENDPOINT else expand_region
        return find(self.iam_endpoint, region).removesuffix("/v3")


class AssumedDefaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values that a review assumes for URNs without a configuration; None: unknown, as the vendor's pages differ.

    Units: ``age_s`` seconds.
    """

    retries: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    age_s: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    status_log: bool | None = None


class Suppression(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An accepted finding, or accepted findings of a rule.

    Attributes:
        reason: why they are accepted.
        until: the last day on which they are.
        by: who accepts them.
        rule: id of a rule, or a pattern with ``*`` and ``?``.
        subjects: patterns of the findings' subjects.
        finding: a ``finding_id``, instead of rule and subjects.
    """

    reason: str
    until: date
    by: str
    rule: str | None = None
    subjects: tuple[str, ...] = ()
    finding: str | None = None


class ReviewSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a review assumes, and the regions in which destinations may be; empty: not checked."""

    defaults: AssumedDefaults = AssumedDefaults()
    allowed_regions: tuple[str, ...] = ()


class ReviewSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sections of a settings file that ``inventory review`` reads.

    Attributes:
        rules: by id: ``severity``, ``enabled`` and parameters of a rule.
        suppress: accepted findings.
    """

    review: ReviewSection = ReviewSection()
    rules: dict[str, dict[str, Any]] = {}
    suppress: tuple[Suppression, ...] = ()


def mark_explicit_endpoints(values: dict[str, Any]) -> dict[str, Any]:
    """Appends a slash to each endpoint that equals the default's text.

    An endpoint that somebody set is so never equal to the default, also in the ledger of a resumed run.
    """
    defaults = {"endpoint": DEFAULT_ENDPOINT, "iam_endpoint": DEFAULT_IAM_ENDPOINT}
    own = {name: f"{text}/" for name, text in defaults.items() if values.get(name) == text}
    return {**values, **own}
