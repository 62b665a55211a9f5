"""Access keys: every way in which the vendor's SDK finds AK/SK, and its signature on every call.

Owns the bridge to ``huaweicloudsdkcore``, which is loaded only when a run has no token. The SDK blocks: it gets and
renews keys in a thread, and what signs is a copy that no thread changes. Knows no FunctionGraph.

Source: api-facts.md section 6 (SDK 3.1.219: provider chain, signer).
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from yarl import URL

from inventory.errors import CredentialRefusedError
from inventory.gate import Trial
from inventory.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_LOOK_SECONDS: Final = 60.0
"""How often it is looked whether temporary keys end soon; the SDK renews them in their last 40 minutes."""


class AccessKeys:
    """The keys of an account, found or renewed by the SDK; shared by all scopes of the account.

    Args:
        found: the SDK's credentials.
        clock: seconds, for how often temporary keys are looked at.
    """

    def __init__(self, found: Any, *, clock: Callable[[], float] = time.monotonic) -> None:  # noqa: ANN401 - the SDK has no types
        self._found = found
        self._clock = clock
        self._lock = asyncio.Lock()
        self._look_at = float("inf")
        self.redactor = Redactor()
        self.trial = Trial()
        self.generation = 0
        self.key = ""
        self._secret = ""
        self._security_token: str | None = None
        self._take()

    def __repr__(self) -> str:
        return f"AccessKeys({'temporary' if self._security_token else 'permanent'})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("keys are not pickled: the other side finds its own")

    async def ready(self) -> None:
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
            reason = await asyncio.to_thread(_renew, self._found)
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
        if not found[0] or not found[1] or found == (self.key, self._secret, self._security_token):
            return
        for secret in filter(None, found):
            self.redactor.add(secret)
        self.key, self._secret, self._security_token = found
        self.generation += 1


class Signature:
    """Signs the calls of one project."""

    def __init__(self, keys: AccessKeys, project_id: str, headers: Mapping[str, str]) -> None:
        self._keys = keys
        self._project_id = project_id
        self._always = dict(headers)
        self._signer: Any = None
        self._signer_of = -1
        self.redactor = keys.redactor
        self.trial = keys.trial

    def __repr__(self) -> str:
        return f"Signature({self._keys!r}, project {self._project_id})"

    @property
    def generation(self) -> int:
        """That of the keys."""
        return self._keys.generation

    async def ready(self) -> None:
        """Renews temporary keys that end soon."""
        await self._keys.ready()

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


def find_access_keys() -> AccessKeys | None:
    """Asks the SDK's providers, in the order of its chain, for keys; None where no one has any. Blocks.

    Unlike the chain, it goes on where a provider cannot reach its service: off the vendor's machines, metadata have no
    host that answers, and who stands behind them would never be asked.
    """
    from huaweicloudsdkcore.auth import provider  # noqa: PLC0415
    from huaweicloudsdkcore.exceptions.exceptions import SdkException  # noqa: PLC0415

    chain = provider.CredentialProviderChain
    for one in chain.get_basic_credential_provider_chain()._providers:  # noqa: SLF001 - there is no public way to go on
        try:
            return AccessKeys(one.get_credentials())
        except (SdkException, TypeError, ValueError, OSError):  # the last are those of requests
            continue
    return None


def keys_of(ak: str, sk: str, security_token: str) -> AccessKeys:
    """Keys that are known already."""
    from huaweicloudsdkcore.auth.credentials import BasicCredentials  # noqa: PLC0415

    found = BasicCredentials(ak, sk)
    return AccessKeys(found.with_security_token(security_token) if security_token else found)


def _renew(found: Any) -> str:  # noqa: ANN401 - the SDK has no types
    """Lets the SDK renew keys if it is time; returns what hindered it."""
    from huaweicloudsdkcore.exceptions.exceptions import SdkException  # noqa: PLC0415

    try:
        found.process_sts(_http_client())
    except (SdkException, TypeError, ValueError, OSError) as error:
        return str(error)
    return ""


@functools.cache
def _http_client() -> Any:  # noqa: ANN401 - the SDK has no types
    """The SDK's own client, which its federated providers call IAM with. It logs nothing: requests hold secrets."""
    from huaweicloudsdkcore.exceptions.exception_handler import DefaultExceptionHandler  # noqa: PLC0415
    from huaweicloudsdkcore.http.http_client import HttpClient  # noqa: PLC0415
    from huaweicloudsdkcore.http.http_config import HttpConfig  # noqa: PLC0415
    from huaweicloudsdkcore.http.http_handler import HttpHandler  # noqa: PLC0415

    silent = logging.Logger(__name__, logging.CRITICAL + 1)  # noqa: LOG001 - one that nobody can turn on
    return HttpClient(HttpConfig(timeout=(5, 20)), HttpHandler(), DefaultExceptionHandler(), silent)
