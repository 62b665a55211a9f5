"""Credential providers: where credentials are found, and in which order."""

from __future__ import annotations

import configparser
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from inventory.cloud.credentials import TokenCredential, read_token_file
from inventory.cloud.koocli import find_koocli_keys
from inventory.errors import CredentialRefusedError, CredentialsError, UrnError
from inventory.option import VARIABLE_PREFIX
from inventory.redaction import Redactor
from inventory.user_paths import expand_user

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inventory.cloud.access_keys import AccessKeys
    from inventory.cloud.credentials import Credential
    from inventory.cloud.iam import IamUser
    from inventory.cloud.transport import HttpSession
    from inventory.settings import ExportSettings

PREFIX: Final = "HW"
"""Default prefix of the variables, as for the Terraform provider."""
_TOKEN_FILE_VARIABLE: Final = f"{VARIABLE_PREFIX}TOKEN_FILE"
_CONTROL_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


class CredentialProvider(Protocol):
    """Provides the credential of each scope."""

    def credential(self, session: HttpSession, region: str, project_id: str) -> Credential:
        """Returns the credential of one scope."""

    def iam_credential(self, session: HttpSession, region: str) -> Credential:
        """Returns the credential that can list a region's projects in IAM."""


class TokenProvider:
    """Provides one token for every scope."""

    def __init__(self, token: TokenCredential) -> None:
        self._token = token

    def __repr__(self) -> str:
        return repr(self._token)

    def credential(self, _session: HttpSession, _region: str, _project_id: str) -> Credential:
        """Returns the token."""
        return self._token

    def iam_credential(self, _session: HttpSession, _region: str) -> Credential:
        """Returns the token."""
        return self._token


class PasswordProvider:
    """Provides a token for each project, from a user name and password."""

    def __init__(self, user: IamUser, iam_endpoint: Callable[[str], str]) -> None:
        self._user = user
        self._iam_endpoint = iam_endpoint

    def __repr__(self) -> str:
        return repr(self._user)

    def with_endpoint(self, iam_endpoint: Callable[[str], str]) -> PasswordProvider:
        """Returns a provider with another IAM endpoint; the shared user tries a wrong password once."""
        return PasswordProvider(self._user, iam_endpoint)

    def credential(self, session: HttpSession, region: str, project_id: str) -> Credential:
        """Returns the project's token."""
        return self._token(session, region, {"project": {"id": project_id}})

    def iam_credential(self, session: HttpSession, region: str) -> Credential:
        """Returns the domain's token."""
        return self._token(session, region, {"domain": {"name": self._user.domain}})

    def _token(self, session: HttpSession, region: str, scope: Mapping[str, Mapping[str, str]]) -> Credential:
        try:
            endpoint = self._iam_endpoint(region)
        except UrnError as error:
            return MissingCredentials(f"the IAM endpoint of the region is invalid: {error}; give --iam-endpoint")
        from inventory.cloud.iam import IamTokenCredential  # noqa: PLC0415 - only with user and password

        return IamTokenCredential(session, endpoint, self._user, scope)


class AccessKeyProvider:
    """Provides signatures with access keys."""

    def __init__(self, keys: AccessKeys, headers: Mapping[str, str]) -> None:
        self._keys = keys
        self._headers = headers

    def __repr__(self) -> str:
        return repr(self._keys)

    def credential(self, _session: HttpSession, _region: str, project_id: str) -> Credential:
        """Returns the signature for one project's calls."""
        from inventory.cloud.access_keys import SigningCredential  # noqa: PLC0415 - the SDK is slow to import

        return SigningCredential(self._keys, project_id, self._headers)

    def iam_credential(self, session: HttpSession, region: str) -> Credential:
        """Returns the signature for calls without a project."""
        return self.credential(session, region, "")


class MissingCredentials:
    """Refuses every call before it is made."""

    def __init__(self, reason: str) -> None:
        self.redactor = Redactor()
        self.generation = 0
        self.lockout = None
        self.is_ready = False
        self._reason = reason

    def credential(self, _session: HttpSession, _region: str, _project_id: str) -> Credential:
        """Returns itself."""
        return self

    def iam_credential(self, _session: HttpSession, _region: str) -> Credential:
        """Returns itself."""
        return self

    async def prepare(self) -> None:
        """Raises CredentialRefusedError with the reason."""
        raise CredentialRefusedError(self._reason)

    def headers(self, _url: str) -> Mapping[str, str]:
        """Returns no headers."""
        return {}

    async def renew(self, _generation: int) -> bool:
        """Returns False."""
        return False


class AccountsProvider:
    """Selects the account of each scope."""

    def __init__(self, settings: ExportSettings, accounts: Mapping[str, CredentialProvider]) -> None:
        self._settings = settings
        self._accounts = dict(accounts)

    def credential(self, session: HttpSession, region: str, project_id: str) -> Credential:
        """Returns the credential of the scope's account."""
        return self._owner(region, project_id).credential(session, region, project_id)

    def iam_credential(self, session: HttpSession, region: str) -> Credential:
        """Returns the credential of the first account with a scope in the region."""
        return self._owner(region, None).iam_credential(session, region)

    def named(self, name: str) -> CredentialProvider:
        """Returns the provider of an account."""
        return self._accounts[name]

    def _owner(self, region: str, project_id: str | None) -> CredentialProvider:
        owner = self._settings.account_of(region, project_id)
        if owner is None:
            return MissingCredentials(
                f"no account in the settings file covers {region}/{project_id or '...'}; add it there"
            )
        return self._accounts[owner.name]


def select_account(account: CredentialProvider, name: str) -> CredentialProvider:
    """Returns the provider of one account; the provider itself if there is only one."""
    return account.named(name) if isinstance(account, AccountsProvider) else account


def find_credentials(
    settings: ExportSettings, environment: Mapping[str, str], signed_headers: Mapping[str, str]
) -> CredentialProvider:
    """Finds the credentials of all accounts of the settings, or of the only account.

    An account without a credential refuses only its own scopes. May block for some seconds.

    Raises:
        CredentialsError: the settings have no accounts, and no credential was found.
    """
    if not settings.accounts:
        return find_account_credentials(settings.token_path(), environment, settings.iam_endpoint_for, signed_headers)
    providers: dict[str, CredentialProvider] = {}
    by_source: dict[tuple[str | None, ...], CredentialProvider] = {}
    for account in settings.accounts:
        account_settings = settings.for_account(account)
        source = (account.token_file, account.profile, account.environment or PREFIX)
        if source in by_source:  # accounts share the secret
            shared = by_source[source]
            providers[account.name] = (
                shared.with_endpoint(account_settings.iam_endpoint_for)
                if isinstance(shared, PasswordProvider)
                else shared
            )
            continue
        token_file = None if account.token_file is None else Path(expand_user(account.token_file))
        try:
            if account.profile is not None:
                providers[account.name] = AccessKeyProvider(
                    _read_profile(Path(expand_user(account.profile))), signed_headers
                )
            else:
                prefix = account.environment or PREFIX
                providers[account.name] = find_account_credentials(
                    token_file, environment, account_settings.iam_endpoint_for, signed_headers, prefix=prefix
                )
            by_source[source] = providers[account.name]
        except CredentialsError as error:
            providers[account.name] = MissingCredentials(f"account {account.name!r}: {error}")
    return AccountsProvider(settings, providers)


def find_account_credentials(
    token_file: Path | None,
    environment: Mapping[str, str],
    iam_endpoint: Callable[[str], str],
    signed_headers: Mapping[str, str],
    *,
    prefix: str = PREFIX,
) -> CredentialProvider:
    """Finds credentials: token file, token, user and password, access keys, the vendor's SDK, KooCLI's profile.

    A profile of KooCLI that a variable names comes before the SDK.

    May block for some seconds: the SDK queries the instance metadata last.

    Args:
        token_file: ``--token-file``.
        environment: environment variables.
        iam_endpoint: returns IAM's base URL for a region.
        signed_headers: headers of every call, which a signature covers.
        prefix: prefix of the variables; the SDK is used only with ``HW``.

    Raises:
        CredentialsError: no complete credential was found.
    """
    if token_file is not None:
        variable = environment.get(_TOKEN_FILE_VARIABLE, "").strip()
        is_variable = bool(variable) and Path(expand_user(variable)) == token_file
        return TokenProvider(read_token_file(token_file, _TOKEN_FILE_VARIABLE if is_variable else "--token-file"))
    read = _Variables(environment, prefix)
    token = read("AUTH_TOKEN")
    if token:
        return TokenProvider(TokenCredential(token, f"{prefix}_AUTH_TOKEN"))
    if read("USER_NAME") or read("USER_PASSWORD"):
        name, password, domain = read.require_lines("USER_NAME", "USER_PASSWORD", "DOMAIN_NAME")
        from inventory.cloud.iam import IamUser  # noqa: PLC0415 - only with user and password

        return PasswordProvider(IamUser(name, password, domain), iam_endpoint)
    return AccessKeyProvider(_keys(read, prefix, environment), signed_headers)


def _read_profile(path: Path) -> AccessKeys:
    from inventory.cloud.access_keys import create_access_keys  # noqa: PLC0415 - the SDK is slow to import

    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"))
        profile = parser["basic"]
    except OSError as error:
        raise CredentialsError.from_os_error(f"profile {path}", "cannot be read", error) from None
    except (configparser.Error, UnicodeError, KeyError):  # their messages quote the file
        raise CredentialsError(f"profile {path} is not an INI file with a section [basic]") from None
    if not profile.get("ak") or not profile.get("sk"):
        raise CredentialsError(f"profile {path} has no ak and sk in its section [basic]")
    return create_access_keys(profile["ak"], profile["sk"], profile.get("security_token", ""), f"profile {path}")


def _keys(read: _Variables, prefix: str, environment: Mapping[str, str]) -> AccessKeys:
    from inventory.cloud.access_keys import create_access_keys, find_access_keys  # noqa: PLC0415 - the SDK is slow to import

    if read("ACCESS_KEY") or read("SECRET_KEY"):
        key, secret = read.require("ACCESS_KEY", "SECRET_KEY")
        return create_access_keys(key, secret, read("SECURITY_TOKEN"), f"{prefix}_ACCESS_KEY")
    if prefix != PREFIX:
        raise CredentialsError(
            f"no credential: set {prefix}_AUTH_TOKEN, or {prefix}_USER_NAME, {prefix}_USER_PASSWORD and "
            f"{prefix}_DOMAIN_NAME, or {prefix}_ACCESS_KEY and {prefix}_SECRET_KEY"
        )
    if (named := find_koocli_keys(environment, only_named=True)) is not None:
        return named
    keys, problems = find_access_keys()
    if keys is None:
        try:
            keys = find_koocli_keys(environment, only_named=False)
        except CredentialsError as error:
            problems.append(str(error))
    if keys is None and problems:
        raise CredentialsError(f"no credential: {'; '.join(problems)}")
    if keys is None:
        raise CredentialsError(
            f"no credential: set {PREFIX}_AUTH_TOKEN to an IAM token, or give --token-file; "
            f"{PREFIX}_USER_NAME, {PREFIX}_USER_PASSWORD and {PREFIX}_DOMAIN_NAME, {PREFIX}_ACCESS_KEY and "
            f"{PREFIX}_SECRET_KEY, and everything that the vendor's SDK reads (HUAWEICLOUD_SDK_AK and ..._SK, "
            "~/.huaweicloud/credentials, the metadata of an ECS), and the profiles of KooCLI, work too"
        )
    return keys


class _Variables:
    def __init__(self, environment: Mapping[str, str], prefix: str = PREFIX) -> None:
        self._environment = environment
        self._prefix = prefix

    def __call__(self, name: str) -> str:
        return self._environment.get(f"{self._prefix}_{name}", "").strip()

    def require(self, *names: str) -> list[str]:
        """Raises CredentialsError if one is missing."""
        missing = [f"{self._prefix}_{name}" for name in names if not self(name)]
        if missing:
            there = ", ".join(f"{self._prefix}_{name}" for name in names if self(name))
            raise CredentialsError(f"{there} alone is not a credential; also set {' and '.join(missing)}")
        return [self(name) for name in names]

    def require_lines(self, *names: str) -> list[str]:
        """Also raises CredentialsError for control characters."""
        values = self.require(*names)
        for name, value in zip(names, values, strict=True):
            if any(unicodedata.category(character) in _CONTROL_CATEGORIES for character in value):
                raise CredentialsError(
                    f"{self._prefix}_{name} contains a line break or control character; enter it again"
                )
        return values
