"""Access keys: found and renewed by the vendor's SDK."""

from __future__ import annotations

import asyncio
import configparser
import functools
import logging
import os
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from inventory.cloud.credentials import is_header_safe
from inventory.cloud.signature import RequestSigner
from inventory.errors import CredentialRefusedError, CredentialsError
from inventory.proxies import proxy_for
from inventory.redaction import Redactor
from inventory.scheduling.lockout import Lockout
from inventory.scheduling.threads import run_abandonable
from inventory.user_paths import exists, home_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


SdkObject = Any
"""The SDK and requests have no types."""
_CHECK_SECONDS: Final = 60.0
"""The SDK renews temporary keys in their last 40 minutes."""

_VARIABLES: Final[dict[str, tuple[str, ...]]] = {
    "Oidc": ("HUAWEICLOUD_OIDC_",),
    "Env": ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_ID"),
    "PodIdentity": ("HC_CONTAINER_",),
}
"""Prefixes of the variables of each SDK provider."""
_SERVICE_STATUS: Final = re.compile(r"(?:status_code:\s*|detail: )(\d{3})\b")
"""HTTP status in an error message of the SDK."""
_PROXY_STATUS: Final = re.compile(r"Tunnel connection failed: (\d{3})\b")


class AccessKeys:
    """The keys of an account, shared by its scopes. The SDK renews them in a thread; calls use a copy.

    Args:
        sdk_credentials: credentials object of the SDK.
        origin: where the keys were found.
        clock: returns seconds.

    Raises:
        CredentialsError: the keys are invalid in a header.

    Source: api-facts.md section 6 (SDK 3.1.219: provider chain, signer).
    """

    def __init__(
        self, sdk_credentials: SdkObject, origin: str = "", *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        _check_keys(origin, sdk_credentials.ak, sdk_credentials.sk, sdk_credentials.security_token)
        self._sdk_credentials = sdk_credentials
        self._clock = clock
        self._lock = asyncio.Lock()
        self._check_at = float("inf")
        self.redactor = Redactor()
        self.lockout = Lockout()
        self.generation = 0
        self.key = ""
        self._secret = ""
        self._security_token: str | None = None
        self._copy_keys()

    def __repr__(self) -> str:
        return f"AccessKeys({'temporary' if self._security_token else 'permanent'})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("AccessKeys contain secrets and cannot be pickled")

    @property
    def is_ready(self) -> bool:
        """Whether the keys do not expire soon."""
        return self._is_fresh()

    async def prepare(self) -> None:
        """Renews temporary keys that expire soon; concurrent callers share one renewal.

        Raises:
            CredentialRefusedError: the keys expired and could not be renewed.
        """
        if self._is_fresh():
            return
        async with self._lock:
            if self._is_fresh():  # renewed by another scope's call
                return
            self._check_at = self._clock() + _CHECK_SECONDS
            reason = await run_abandonable(_renew_keys, self._sdk_credentials)
            self._copy_keys()
            if not self.key:
                raise CredentialRefusedError(self.redactor.redact(f"no access key: {reason}"))

    def _is_fresh(self) -> bool:
        return bool(self.key) and self._clock() < self._check_at

    def signer(self, project_id: str, headers: Mapping[str, str]) -> RequestSigner:
        """Returns a signer of the calls of one project with the current keys."""
        token = {"X-Security-Token": self._security_token} if self._security_token else {}
        return RequestSigner(self.key, self._secret, {**headers, "X-Project-Id": project_id, **token})

    def _copy_keys(self) -> None:
        """After a failed renewal the old keys remain, which may still be valid."""
        keys = (self._sdk_credentials.ak, self._sdk_credentials.sk, self._sdk_credentials.security_token)
        if self._sdk_credentials.sts_accessor is not None:
            self._check_at = min(self._check_at, self._clock() + _CHECK_SECONDS)
        if not all(map(_can_be_sent, keys)):
            return
        if not keys[0] or not keys[1] or keys == (self.key, self._secret, self._security_token):
            return
        self.redactor.renew(*filter(None, keys))
        self.key, self._secret, self._security_token = keys
        self.generation += 1


class SigningCredential:
    """Signs the calls of one project."""

    def __init__(self, keys: AccessKeys, project_id: str, headers: Mapping[str, str]) -> None:
        self._keys = keys
        self._project_id = project_id
        self._default_headers = dict(headers)
        self._signer: RequestSigner | None = None
        self._signer_generation = -1
        self.redactor = keys.redactor
        self.lockout = keys.lockout

    def __repr__(self) -> str:
        return f"SigningCredential({self._keys!r}, project {self._project_id})"

    @property
    def generation(self) -> int:
        """Generation of the keys."""
        return self._keys.generation

    @property
    def is_ready(self) -> bool:
        """Whether the keys do not expire soon."""
        return self._keys.is_ready

    async def prepare(self) -> None:
        """Renews temporary keys that expire soon."""
        await self._keys.prepare()

    def headers(self, url: str) -> Mapping[str, str]:
        """Returns the signed headers of a GET, including ``Host`` and the date."""
        if self._signer is None or self._signer_generation != self._keys.generation:
            self._signer = self._keys.signer(self._project_id, self._default_headers)
            self._signer_generation = self._keys.generation
        return self._signer.sign(url)

    async def renew(self, generation: int) -> bool:
        """Returns True if the keys are newer."""
        return generation != self._keys.generation


def find_access_keys() -> tuple[AccessKeys | None, list[str]]:
    """Tries the SDK's providers in their order. Blocks.

    The SDK's own chain stops at a provider that cannot reach its service; this function continues.

    Returns:
        The keys or None, and the errors of the providers that are configured.

    Raises:
        CredentialsError: the keys are invalid in a header.
    """
    from huaweicloudsdkcore.auth import internal, provider

    # The SDK calls requests directly for metadata and pods, without a setting for proxies.
    internal.requests = _requests_replacement()
    chain = provider.CredentialProviderChain
    problems: list[str] = []
    for sdk_provider in chain.get_basic_credential_provider_chain()._providers:  # noqa: SLF001 - the public method stops at an error
        try:
            sdk_credentials = sdk_provider.get_credentials()
        except _sdk_errors() as error:
            problems += [
                f"{source}: {_describe_sdk_error(error)}" for source in _configuration_of(type(sdk_provider).__name__)
            ]
        else:
            return AccessKeys(sdk_credentials, "; ".join(_configuration_of(type(sdk_provider).__name__))), problems
    return None, problems


def _can_be_sent(secret: object) -> bool:
    return secret is None or (isinstance(secret, str) and is_header_safe(secret))


def _check_keys(origin: str, *secrets: object) -> None:
    if not all(map(_can_be_sent, secrets)):
        raise CredentialsError(
            f"{origin or 'the SDK'} has an access key, secret key or security token with a space, a line break, a "
            "typographic quote or another character that is not printable ASCII: copy it again"
        )


def _configuration_of(provider: str) -> list[str]:
    if provider.startswith("Profile"):
        path_variable = os.environ.get("HUAWEICLOUD_SDK_CREDENTIALS_FILE")
        path = Path(path_variable or (home_folder() or Path()) / ".huaweicloud/credentials")
        is_configured = path_variable is not None or (home_folder() is not None and exists(path))
        return [f"profile {path}"] if is_configured else []
    prefixes = next((names for start, names in _VARIABLES.items() if provider.startswith(start)), ())
    names = [name for name in sorted(os.environ) if name.startswith(prefixes) and os.environ[name]]
    return [", ".join(names)] if names else []


def _sdk_errors() -> tuple[type[Exception], ...]:
    from huaweicloudsdkcore.exceptions.exceptions import SdkException

    return (SdkException, configparser.Error, AttributeError, LookupError, TypeError, ValueError, OSError)


def _describe_sdk_error(error: Exception) -> str:
    """Omits text that may contain secrets, such as a file's content or a response."""
    if isinstance(error, configparser.Error):
        return "it is not an INI file for the SDK (write % as %%)"
    message = str(getattr(error, "error_msg", None) or error)
    status = getattr(error, "status_code", None) or next(iter(_SERVICE_STATUS.findall(message)), None)
    if proxy_status := _PROXY_STATUS.search(message):
        return f"the proxy returned {proxy_status[1]}"
    if status is not None:  # the body may repeat the token
        return f"its service returned {status}"
    is_the_sdks = type(error).__module__.startswith("huaweicloudsdkcore")
    if isinstance(error, AttributeError | LookupError | TypeError | ValueError) and not is_the_sdks:
        return "it contains no keys in the SDK's format"
    return Redactor().redact(message)


def create_access_keys(ak: str, sk: str, security_token: str, origin: str = "") -> AccessKeys:
    """Creates keys from known values.

    Raises:
        CredentialsError: the keys are invalid in a header.
    """
    from huaweicloudsdkcore.auth.credentials import BasicCredentials

    sdk_credentials = BasicCredentials(ak, sk)
    return AccessKeys(
        sdk_credentials.with_security_token(security_token) if security_token else sdk_credentials, origin
    )


def _renew_keys(sdk_credentials: SdkObject) -> str:
    try:
        sdk_credentials.process_sts(_http_client())
    except _sdk_errors() as error:
        return _describe_sdk_error(error)
    return ""


@functools.cache
def _http_client() -> SdkObject:
    from huaweicloudsdkcore.exceptions.exception_handler import DefaultExceptionHandler
    from huaweicloudsdkcore.http.http_client import HttpClient
    from huaweicloudsdkcore.http.http_config import HttpConfig
    from huaweicloudsdkcore.http.http_handler import HttpHandler

    class Client(HttpClient):  # type: ignore[misc]
        def _init_session(self) -> SdkObject:
            return _session_type()()

    silent = logging.Logger(__name__, logging.CRITICAL + 1)  # noqa: LOG001 - cannot be enabled
    return Client(HttpConfig(timeout=(5, 20)), HttpHandler(), DefaultExceptionHandler(), silent)


@functools.cache
def _session_type() -> SdkObject:
    import requests
    from requests.adapters import HTTPAdapter

    headers: dict[str, dict[str, str]] = {}

    def proxies_of(url: str) -> dict[str, str]:
        proxy = proxy_for(url)
        if proxy is None:
            return {}
        headers[proxy.url] = proxy.headers
        return {"http": proxy.url, "https": proxy.url}

    class Adapter(HTTPAdapter):
        def proxy_headers(self, proxy: str) -> dict[str, str]:
            return dict(headers[proxy])

    class Session(requests.Session):
        def __init__(self) -> None:
            super().__init__()
            for scheme in ("http://", "https://"):
                self.mount(scheme, Adapter())

        def merge_environment_settings(self, url: str, proxies: SdkObject, *others: SdkObject) -> SdkObject:
            return {**super().merge_environment_settings(url, proxies, *others), "proxies": proxies_of(url)}

        def rebuild_proxies(self, prepared_request: SdkObject, proxies: SdkObject) -> SdkObject:  # noqa: ARG002 - overrides requests
            return proxies_of(prepared_request.url)

    return Session


def _requests_replacement() -> SdkObject:
    """Returns the functions of ``requests`` that the SDK uses, with these sessions."""
    import requests

    def send(method: str, **options: SdkObject) -> SdkObject:
        with _session_type()() as session:
            return session.request(method, **options)

    calls = {method: functools.partial(send, method) for method in ("get", "post", "put")}
    return SimpleNamespace(**calls, HTTPError=requests.HTTPError)
