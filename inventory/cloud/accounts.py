"""Which credential an export calls with: where it is looked for, in which order, and what each scope gets of it.

Owns that order and the names of the variables. Knows no FunctionGraph.
"""

from __future__ import annotations

import configparser
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from inventory.cloud.credentials import TokenCredential, read_token_file
from inventory.cloud.iam import IamTokenCredential, IamUser
from inventory.errors import CredentialRefusedError, CredentialsError, UrnError
from inventory.redaction import Redactor
from inventory.user_paths import expand_user

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import aiohttp

    from inventory.cloud.access_keys import AccessKeys
    from inventory.cloud.credentials import Credential
    from inventory.settings import ExportSettings

PREFIX: Final = "HW"
"""How the variables begin: those that Terraform users have."""
_NO_TEXT: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, bytes that are no UTF-8, and separators of lines and paragraphs."""


class CredentialProvider(Protocol):
    """Who calls: gives each scope its credential."""

    def credential(self, session: aiohttp.ClientSession, region: str, project_id: str) -> Credential:
        """The credential of one scope."""

    def iam_credential(self, session: aiohttp.ClientSession, region: str) -> Credential:
        """The credential that may ask IAM for the projects of a region."""


class TokenProvider:
    """One token for every scope."""

    def __init__(self, token: TokenCredential) -> None:
        self._token = token

    def __repr__(self) -> str:
        return repr(self._token)

    def credential(self, _session: aiohttp.ClientSession, _region: str, _project_id: str) -> Credential:
        """The token."""
        return self._token

    def iam_credential(self, _session: aiohttp.ClientSession, _region: str) -> Credential:
        """The token."""
        return self._token


class PasswordProvider:
    """A name and a password: a token of its own for each project."""

    def __init__(self, user: IamUser, iam_endpoint: Callable[[str], str]) -> None:
        self._user = user
        self._iam_endpoint = iam_endpoint

    def __repr__(self) -> str:
        return repr(self._user)

    def beside(self, iam_endpoint: Callable[[str], str]) -> PasswordProvider:
        """The same user at another IAM: a wrong password is not tried by each of its accounts."""
        return PasswordProvider(self._user, iam_endpoint)

    def credential(self, session: aiohttp.ClientSession, region: str, project_id: str) -> Credential:
        """The project's token."""
        return self._token(session, region, {"project": {"id": project_id}})

    def iam_credential(self, session: aiohttp.ClientSession, region: str) -> Credential:
        """The domain's token."""
        return self._token(session, region, {"domain": {"name": self._user.domain}})

    def _token(self, session: aiohttp.ClientSession, region: str, scope: Mapping[str, Mapping[str, str]]) -> Credential:
        try:
            endpoint = self._iam_endpoint(region)
        except UrnError as error:
            return MissingCredentials(
                f"IAM's endpoint, which is made from the region, cannot be had: {error}; give --iam-endpoint"
            )
        return IamTokenCredential(session, endpoint, self._user, scope)


class AccessKeyProvider:
    """Access keys: every call is signed."""

    def __init__(self, keys: AccessKeys, headers: Mapping[str, str]) -> None:
        self._keys = keys
        self._headers = headers

    def __repr__(self) -> str:
        return repr(self._keys)

    def credential(self, _session: aiohttp.ClientSession, _region: str, project_id: str) -> Credential:
        """The signature of one project's calls."""
        from inventory.cloud.access_keys import SigningCredential  # noqa: PLC0415 - the SDK is loaded only for keys

        return SigningCredential(self._keys, project_id, self._headers)

    def iam_credential(self, session: aiohttp.ClientSession, region: str) -> Credential:
        """The signature of calls that no project is named in."""
        return self.credential(session, region, "")


class MissingCredentials:
    """No account, or one whose credential cannot be had: its scopes are refused before a call is made."""

    def __init__(self, reason: str) -> None:
        self.redactor = Redactor()
        self.generation = 0
        self.lockout = None
        self._reason = reason

    def credential(self, _session: aiohttp.ClientSession, _region: str, _project_id: str) -> Credential:
        """One that is never ready."""
        return self

    def iam_credential(self, _session: aiohttp.ClientSession, _region: str) -> Credential:
        """The same."""
        return self

    async def prepare(self) -> None:
        """Says why there is none.

        Raises:
            CredentialRefusedError: always.
        """
        raise CredentialRefusedError(self._reason)

    def headers(self, _url: str) -> Mapping[str, str]:
        """None: no call is made."""
        return {}

    async def renew(self, _generation: int) -> bool:
        """Never."""
        return False


class AccountsProvider:
    """Several accounts, each with the scopes that the settings say are its own."""

    def __init__(self, settings: ExportSettings, accounts: Mapping[str, CredentialProvider]) -> None:
        self._settings = settings
        self._accounts = dict(accounts)

    def credential(self, session: aiohttp.ClientSession, region: str, project_id: str) -> Credential:
        """That of the scope's account."""
        return self._owner(region, project_id).credential(session, region, project_id)

    def iam_credential(self, session: aiohttp.ClientSession, region: str) -> Credential:
        """That of the first account that has something in the region."""
        return self._owner(region, None).iam_credential(session, region)

    def named(self, name: str) -> CredentialProvider:
        """The account of that name."""
        return self._accounts[name]

    def _owner(self, region: str, project_id: str | None) -> CredentialProvider:
        owner = self._settings.account_of(region, project_id)
        if owner is None:
            return MissingCredentials(
                f"no account of the settings file owns {region}/{project_id or '...'}: name it there"
            )
        return self._accounts[owner.name]


def select_account(account: CredentialProvider, name: str) -> CredentialProvider:
    """One of several accounts."""
    return account.named(name) if isinstance(account, AccountsProvider) else account


def find_credentials(
    settings: ExportSettings, environment: Mapping[str, str], signed_headers: Mapping[str, str]
) -> CredentialProvider:
    """Finds who calls: the accounts of the settings file, or the one that there is without one.

    An account whose credential is not found refuses its own scopes; the others go on. May block for some seconds.

    Raises:
        CredentialsError: there are no accounts in the settings, and no credential.
    """
    if not settings.accounts:
        return find_account_credentials(settings.token_path(), environment, settings.iam_endpoint_for, signed_headers)
    found: dict[str, CredentialProvider] = {}
    known: dict[tuple[str | None, ...], CredentialProvider] = {}
    for one in settings.accounts:
        own = settings.for_account(one)
        source = (one.token_file, one.profile, one.environment or PREFIX)
        if source in known:  # accounts with one secret try it together
            same = known[source]
            found[one.name] = same.beside(own.iam_endpoint_for) if isinstance(same, PasswordProvider) else same
            continue
        token_file = None if one.token_file is None else Path(expand_user(one.token_file))
        try:
            if one.profile is not None:
                found[one.name] = AccessKeyProvider(_keys_of_profile(Path(expand_user(one.profile))), signed_headers)
            else:
                prefix = one.environment or PREFIX
                found[one.name] = find_account_credentials(
                    token_file, environment, own.iam_endpoint_for, signed_headers, prefix=prefix
                )
            known[source] = found[one.name]
        except CredentialsError as error:
            found[one.name] = MissingCredentials(f"account {one.name!r}: {error}")
    return AccountsProvider(settings, found)


def find_account_credentials(
    token_file: Path | None,
    environment: Mapping[str, str],
    iam_endpoint: Callable[[str], str],
    signed_headers: Mapping[str, str],
    *,
    prefix: str = PREFIX,
) -> CredentialProvider:
    """Finds who calls: a token file, a token, a user and password, access keys, or what the vendor's SDK finds.

    May block for some seconds: the SDK asks the machine's metadata last.

    Args:
        token_file: ``--token-file``.
        environment: the variables.
        iam_endpoint: IAM's base URL of a region.
        signed_headers: the headers that every call has, which a signature covers.
        prefix: what the variables begin with. Behind another than ``HW`` the SDK is not asked: it has one account.

    Raises:
        CredentialsError: there is no credential, or half of one.
    """
    if token_file is not None:
        return TokenProvider(read_token_file(token_file))
    read = _Variables(environment, prefix)
    token = read("AUTH_TOKEN")
    if token:
        return TokenProvider(TokenCredential(token, f"{prefix}_AUTH_TOKEN"))
    if read("USER_NAME") or read("USER_PASSWORD"):
        name, password, domain = read.texts("USER_NAME", "USER_PASSWORD", "DOMAIN_NAME")
        return PasswordProvider(IamUser(name, password, domain), iam_endpoint)
    return AccessKeyProvider(_keys(read, prefix), signed_headers)


def _keys_of_profile(path: Path) -> AccessKeys:
    """The keys of a file of the SDK's form: an INI file with ``[basic]``, ``ak`` and ``sk``."""
    from inventory.cloud.access_keys import create_access_keys  # noqa: PLC0415 - the SDK is loaded only for keys

    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"))
        profile = parser["basic"]
    except OSError as error:
        raise CredentialsError.from_os_error(f"profile {path}", "cannot be read", error) from None
    except (configparser.Error, UnicodeError, KeyError):  # their texts quote the file
        raise CredentialsError(f"profile {path} is no INI file with a section [basic]") from None
    if not profile.get("ak") or not profile.get("sk"):
        raise CredentialsError(f"profile {path} has no ak and sk in its section [basic]")
    return create_access_keys(profile["ak"], profile["sk"], profile.get("security_token", ""), f"profile {path}")


def _keys(read: _Variables, prefix: str) -> AccessKeys:
    from inventory.cloud.access_keys import create_access_keys, find_access_keys  # noqa: PLC0415 - the SDK is loaded only for keys

    if read("ACCESS_KEY") or read("SECRET_KEY"):
        key, secret = read.together("ACCESS_KEY", "SECRET_KEY")
        return create_access_keys(key, secret, read("SECURITY_TOKEN"), f"{prefix}_ACCESS_KEY")
    if prefix != PREFIX:
        raise CredentialsError(
            f"no credential: set {prefix}_AUTH_TOKEN, or {prefix}_USER_NAME, {prefix}_USER_PASSWORD and "
            f"{prefix}_DOMAIN_NAME, or {prefix}_ACCESS_KEY and {prefix}_SECRET_KEY"
        )
    keys, hindered = find_access_keys()
    if keys is None and hindered:
        raise CredentialsError(f"no credential: {'; '.join(hindered)}")
    if keys is None:
        raise CredentialsError(
            f"no credential: set {PREFIX}_AUTH_TOKEN to an IAM token, or give --token-file with a file that holds one; "
            f"{PREFIX}_USER_NAME, {PREFIX}_USER_PASSWORD and {PREFIX}_DOMAIN_NAME, {PREFIX}_ACCESS_KEY and "
            f"{PREFIX}_SECRET_KEY, and all that the vendor's SDK reads (HUAWEICLOUD_SDK_AK and ..._SK, "
            "~/.huaweicloud/credentials, the metadata of an ECS) do as well"
        )
    return keys


class _Variables:
    """The variables of an account."""

    def __init__(self, environment: Mapping[str, str], prefix: str = PREFIX) -> None:
        self._environment = environment
        self._prefix = prefix

    def __call__(self, name: str) -> str:
        return self._environment.get(f"{self._prefix}_{name}", "").strip()

    def together(self, *names: str) -> list[str]:
        """Variables that are of use only together.

        Raises:
            CredentialsError: one is missing.
        """
        missing = [f"{self._prefix}_{name}" for name in names if not self(name)]
        if missing:
            there = ", ".join(f"{self._prefix}_{name}" for name in names if self(name))
            raise CredentialsError(f"{there} alone is no credential: set {' and '.join(missing)} too")
        return [self(name) for name in names]

    def texts(self, *names: str) -> list[str]:
        """The same of what is any text in one line.

        Raises:
            CredentialsError: one is missing, or holds a control character.
        """
        values = self.together(*names)
        for name, value in zip(names, values, strict=True):
            if any(unicodedata.category(character) in _NO_TEXT for character in value):
                raise CredentialsError(
                    f"{self._prefix}_{name} holds a line break or a control character: write it again"
                )
        return values
