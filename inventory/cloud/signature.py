"""Signature of GET requests with an access key: ``SDK-HMAC-SHA256``."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ALGORITHM: Final = "SDK-HMAC-SHA256"
_NO_BODY: Final = hashlib.sha256().hexdigest()
_USUAL: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~/:!"
_UNSIGNED: Final = "_"
"""The gateway signs no header with this character in its name."""


class RequestSigner:
    """Signs GET requests with one access key, as the vendor's SDK does, in a tenth of its time.

    Args:
        key: access key id.
        secret: secret access key.
        headers: of every request, signed too.
        clock: seconds since 1970.

    Source: huaweicloudsdkcore 3.1.219, ``signer/signer.py`` (api-facts.md section 6).
    """

    def __init__(
        self, key: str, secret: str, headers: Mapping[str, str], clock: Callable[[], float] = time.time
    ) -> None:
        self._key = key
        self._mac = hmac.new(secret.encode(), digestmod=hashlib.sha256)
        self._headers = {name: value.strip() for name, value in headers.items()}
        self._clock = clock
        self._second, self._date = -1, ""
        self._origin, self._host = "", ""

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a signer contains a secret and cannot be pickled")

    def sign(self, url: str) -> dict[str, str]:
        """Returns all headers of a GET to a percent-encoded URL, including ``Host`` and the date."""
        scheme, _, authority, rest = f"{url}/".split("/", 3)
        path, _, query = rest[:-1].partition("?")
        if (second := int(self._clock())) != self._second:
            self._second, self._date = second, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        headers = {**self._headers, "X-Sdk-Date": self._date, "Host": self._host_of(f"{scheme}//{authority}")}
        signed = sorted((name.lower(), value) for name, value in headers.items() if _UNSIGNED not in name)
        names = ";".join(name for name, _ in signed)
        fields = "".join(f"{name}:{value}\n" for name, value in signed)
        request = f"GET\n{_canonical_path(f'/{path}')}\n{_canonical_query(query)}\n{fields}\n{names}\n{_NO_BODY}"
        digest = hashlib.sha256(request.encode()).hexdigest()
        mac = self._mac.copy()
        mac.update(f"{_ALGORITHM}\n{self._date}\n{digest}".encode())
        headers["Authorization"] = (
            f"{_ALGORITHM} Access={self._key}, SignedHeaders={names}, Signature={mac.hexdigest()}"
        )
        return headers

    def _host_of(self, origin: str) -> str:
        if origin != self._origin:
            url = URL(origin, encoded=True)
            host = url.raw_host or ""
            host = f"[{host}]" if ":" in host else host
            self._host = host if url.is_default_port() else f"{host}:{url.port}"
            self._origin = origin
        return self._host


def _canonical_path(path: str) -> str:
    if not path.encode().translate(None, _USUAL):  # a path of the service, in a tenth of the time of quote()
        quoted = path.replace(":", "%3A").replace("!", "%21")
    else:
        quoted = quote(unquote(path), safe="~/")
    return quoted if quoted.endswith("/") else f"{quoted}/"


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    pairs = sorted(URL(f"?{query}", encoded=True).query.items())
    return "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)
