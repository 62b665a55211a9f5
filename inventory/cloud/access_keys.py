"""Access keys: every way in which the vendor's SDK finds AK/SK, and its signature on every call.

Owns the bridge to ``huaweicloudsdkcore``, which is loaded only when a run has no token. The SDK blocks: it gets and
renews keys in a thread, and what signs is a copy that no thread changes. Knows no FunctionGraph.

Source: api-facts.md section 6 (SDK 3.1.219: provider chain, signer).
"""

from __future__ import annotations

import asyncio
import configparser
import functools
import logging
import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from yarl import URL

from inventory.cloud.credentials import is_one_word
from inventory.errors import CredentialRefusedError, CredentialsError
from inventory.proxies import proxy_for
from inventory.redaction import Redactor
from inventory.scheduling.lockout import Lockout
from inventory.scheduling.threads import run_abandonable
from inventory.user_paths import exists, home_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_LOOK_SECONDS: Final = 60.0
"""How often it is looked whether temporary keys end soon; the SDK renews them in their last 40 minutes."""

_VARIABLES: Final[dict[str, tuple[str, ...]]] = {
    "Oidc": ("HUAWEICLOUD_OIDC_",),
    "Env": ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_ID"),
    "PodIdentity": ("HC_CONTAINER_",),
}
"""How the variables of the SDK's providers begin. Metadata need none."""
_ANSWERED: Final = re.compile(r"(?:status_code:\s*|detail: )(\d{3})\b")
"""Where the SDK puts an answer into a text of its own."""
_PROXY_ANSWERED: Final = re.compile(r"Tunnel connection failed: (\d{3})\b")
"""The same for an answer of a proxy, which may repeat what it was sent."""


class AccessKeys:
    """The keys of an account, found or renewed by the SDK; shared by all scopes of the account.

    Args:
        found: the SDK's credentials.
        origin: where they were found.
        clock: seconds, for how often temporary keys are looked at.

    Raises:
        CredentialsError: they are none that can be sent.
    """

    def __init__(self, found: Any, origin: str = "", *, clock: Callable[[], float] = time.monotonic) -> None:  # noqa: ANN401 - the SDK has no types
        _check(origin, found.ak, found.sk, found.security_token)
        self._found = found
        self._clock = clock
        self._lock = asyncio.Lock()
        self._look_at = float("inf")
        self.redactor = Redactor()
        self.lockout = Lockout()
        self.generation = 0
        self.key = ""
        self._secret = ""
        self._security_token: str | None = None
        self._take()

    def __repr__(self) -> str:
        return f"AccessKeys({'temporary' if self._security_token else 'permanent'})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("keys are not pickled: the other side finds its own")

    async def prepare(self) -> None:
        """Renews temporary keys that end soon, in a thread; all who wait share it.

        Raises:
            CredentialRefusedError: they have ended, and there are no others.
        """
        if self._is_fresh():
            return
        async with self._lock:
            if self._is_fresh():  # another scope's call has renewed them meanwhile
                return
            self._look_at = self._clock() + _LOOK_SECONDS
            reason = await run_abandonable(_renew, self._found)
            self._take()
            if not self.key:
                raise CredentialRefusedError(self.redactor.redact(f"no access key: {reason}"))

    def _is_fresh(self) -> bool:
        return bool(self.key) and self._clock() < self._look_at

    def signer(self, project_id: str) -> Any:  # noqa: ANN401 - the SDK has no types
        """The SDK's credentials of one project with the keys as they are now."""
        from huaweicloudsdkcore.auth.credentials import BasicCredentials  # noqa: PLC0415 - only where keys are used

        signer = BasicCredentials(self.key, self._secret, project_id)
        return signer.with_security_token(self._security_token) if self._security_token else signer

    def _take(self) -> None:
        """Takes over what the SDK has. A renewal that failed leaves what was there: it may be good for a while."""
        found = (self._found.ak, self._found.sk, self._found.security_token)
        if self._found.sts_accessor is not None:
            self._look_at = min(self._look_at, self._clock() + _LOOK_SECONDS)
        if not all(map(_can_be_sent, found)):
            return
        if not found[0] or not found[1] or found == (self.key, self._secret, self._security_token):
            return
        self.redactor.renew(*filter(None, found))
        self.key, self._secret, self._security_token = found
        self.generation += 1


class SigningCredential:
    """Signs the calls of one project."""

    def __init__(self, keys: AccessKeys, project_id: str, headers: Mapping[str, str]) -> None:
        self._keys = keys
        self._project_id = project_id
        self._always = dict(headers)
        self._signer: Any = None
        self._signer_of = -1
        self.redactor = keys.redactor
        self.lockout = keys.lockout

    def __repr__(self) -> str:
        return f"SigningCredential({self._keys!r}, project {self._project_id})"

    @property
    def generation(self) -> int:
        """That of the keys."""
        return self._keys.generation

    async def prepare(self) -> None:
        """Renews temporary keys that end soon."""
        await self._keys.prepare()

    def headers(self, url: str) -> Mapping[str, str]:
        """All headers of a GET, signed: those that every call has, the host as it is sent, the date and the project."""
        from huaweicloudsdkcore.sdk_request import SdkRequest  # noqa: PLC0415 - only where keys are used

        if self._signer_of != self._keys.generation:
            self._signer, self._signer_of = self._keys.signer(self._project_id), self._keys.generation
        place = URL(url, encoded=True)
        host = place.raw_host or ""
        host = f"[{host}]" if ":" in host else host
        request = SdkRequest(
            method="GET",
            schema=place.scheme,
            host=host if place.is_default_port() else f"{host}:{place.port}",
            resource_path=place.raw_path,
            query_params=list(place.query.items()),
            header_params={**self._always, "X-Sdk-Date": datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")},
            body="",
        )
        signed: dict[str, str] = self._signer.sign_request(request).header_params
        return signed

    async def renew(self, generation: int) -> bool:
        """Whether the keys are others by now."""
        return generation != self._keys.generation


def find_access_keys() -> tuple[AccessKeys | None, list[str]]:
    """Asks the SDK's providers, in the order of its chain, for keys. Blocks.

    Unlike the chain, it goes on where a provider cannot reach its service: off the vendor's machines, metadata have no
    host that answers, and who stands behind them would never be asked.

    Returns:
        The keys, or None where no one has any; and what hindered the providers that somebody set up.

    Raises:
        CredentialsError: the keys that were found are none that can be sent.
    """
    from huaweicloudsdkcore.auth import internal, provider  # noqa: PLC0415

    # The SDK asks metadata and pods by the functions of requests, and has no setting for their proxies.
    internal.requests = _requests()
    chain = provider.CredentialProviderChain
    hindered: list[str] = []
    for one in chain.get_basic_credential_provider_chain()._providers:  # noqa: SLF001 - there is no public way to go on
        try:
            found = one.get_credentials()
        except _sdk_errors() as error:
            hindered += [f"{place}: {_reason_of(error)}" for place in _places_of(type(one).__name__)]
        else:
            return AccessKeys(found, "; ".join(_places_of(type(one).__name__))), hindered
    return None, hindered


def _can_be_sent(secret: object) -> bool:
    return secret is None or (isinstance(secret, str) and is_one_word(secret))


def _check(origin: str, *secrets: object) -> None:
    """Refuses keys that no header can hold, without a word of them.

    Raises:
        CredentialsError: one is such a key.
    """
    if not all(map(_can_be_sent, secrets)):
        raise CredentialsError(
            f"{origin or 'the SDK'} has an access key, secret key or security token with a space, a line break, a "
            "typographic quote or another character that is not printable ASCII: copy it again"
        )


def _places_of(provider: str) -> list[str]:
    """What somebody set up for a provider; where it is nothing, it is no news that there are no keys."""
    if provider.startswith("Profile"):
        named = os.environ.get("HUAWEICLOUD_SDK_CREDENTIALS_FILE")
        path = Path(named or (home_folder() or Path()) / ".huaweicloud/credentials")
        has_place = named is not None or (home_folder() is not None and exists(path))
        return [f"profile {path}"] if has_place else []
    own = next((names for start, names in _VARIABLES.items() if provider.startswith(start)), ())
    names = [name for name in sorted(os.environ) if name.startswith(own) and os.environ[name]]
    return [", ".join(names)] if names else []


def _sdk_errors() -> tuple[type[Exception], ...]:
    """What the SDK raises where it finds no keys; the last are those of files, of answers and of requests."""
    from huaweicloudsdkcore.exceptions.exceptions import SdkException  # noqa: PLC0415

    return (SdkException, configparser.Error, AttributeError, LookupError, TypeError, ValueError, OSError)


def _reason_of(error: Exception) -> str:
    """What hindered a provider, but for what may quote a secret: the content of a file, or of an answer."""
    if isinstance(error, configparser.Error):
        return "it is no INI file as the SDK reads it (a % in a value is written %%)"
    words = str(getattr(error, "error_msg", None) or error)
    answered = getattr(error, "status_code", None) or next(iter(_ANSWERED.findall(words)), None)
    if refused := _PROXY_ANSWERED.search(words):
        return f"the proxy said {refused[1]}"
    if answered is not None:  # the service's own words may repeat the token that it was asked with
        return f"its service said {answered}"
    is_the_sdks = type(error).__module__.startswith("huaweicloudsdkcore")
    if isinstance(error, AttributeError | LookupError | TypeError | ValueError) and not is_the_sdks:
        return "what it was given holds no keys in a form that the SDK reads"
    return Redactor().redact(words)


def create_access_keys(ak: str, sk: str, security_token: str, origin: str = "") -> AccessKeys:
    """Keys that are known already.

    Raises:
        CredentialsError: they are none that can be sent.
    """
    from huaweicloudsdkcore.auth.credentials import BasicCredentials  # noqa: PLC0415

    found = BasicCredentials(ak, sk)
    return AccessKeys(found.with_security_token(security_token) if security_token else found, origin)


def _renew(found: Any) -> str:  # noqa: ANN401 - the SDK has no types
    """Lets the SDK renew keys if it is time; returns what hindered it."""
    try:
        found.process_sts(_http_client())
    except _sdk_errors() as error:
        return _reason_of(error)
    return ""


@functools.cache
def _http_client() -> Any:  # noqa: ANN401 - the SDK has no types
    """The SDK's own client, which its federated providers call IAM with. It logs nothing: requests hold secrets."""
    from huaweicloudsdkcore.exceptions.exception_handler import DefaultExceptionHandler  # noqa: PLC0415
    from huaweicloudsdkcore.http.http_client import HttpClient  # noqa: PLC0415
    from huaweicloudsdkcore.http.http_config import HttpConfig  # noqa: PLC0415
    from huaweicloudsdkcore.http.http_handler import HttpHandler  # noqa: PLC0415

    class Client(HttpClient):  # type: ignore[misc]
        def _init_session(self) -> Any:  # noqa: ANN401 - the SDK has no types
            return _session_type()()

    silent = logging.Logger(__name__, logging.CRITICAL + 1)  # noqa: LOG001 - one that nobody can turn on
    return Client(HttpConfig(timeout=(5, 20)), HttpHandler(), DefaultExceptionHandler(), silent)


@functools.cache
def _session_type() -> Any:  # noqa: ANN401 - requests is loaded only with the SDK
    """The sessions of requests with the proxies of :mod:`inventory.proxies`, whose secrets are in no URL."""
    import requests  # noqa: PLC0415
    from requests.adapters import HTTPAdapter  # noqa: PLC0415

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

        def merge_environment_settings(self, url: Any, proxies: Any, *others: Any) -> Any:  # noqa: ANN401 - as requests has it
            return {**super().merge_environment_settings(url, proxies, *others), "proxies": proxies_of(url)}

        def rebuild_proxies(self, prepared_request: Any, proxies: Any) -> Any:  # noqa: ANN401, ARG002 - as requests has it
            return proxies_of(prepared_request.url)

    return Session


def _requests() -> Any:  # noqa: ANN401 - requests is loaded only with the SDK
    """What the SDK uses of the module ``requests``, with such sessions."""
    import requests  # noqa: PLC0415

    def ask(method: str, **more: Any) -> Any:  # noqa: ANN401 - as requests has it
        with _session_type()() as session:
            return session.request(method, **more)

    calls = {method: functools.partial(ask, method) for method in ("get", "post", "put")}
    return SimpleNamespace(**calls, HTTPError=requests.HTTPError)
