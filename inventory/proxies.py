"""HTTP proxies of the environment: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY."""

from __future__ import annotations

import base64
import functools
import ipaddress
import os
import re
import socket
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit

from inventory.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHORTEST: Final = 3
"""A shorter user or password is not redacted on its own, because it occurs in any text."""
_PORTS: Final = {"http": 80, "https": 443}
_VARIABLES: Final = ("https_proxy", "http_proxy", "all_proxy")
_NAMES: Final = tuple(
    spelled for name in (*_VARIABLES, "no_proxy", "request_method") for spelled in (name, name.upper())
)
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# User and password contain no unencoded URL delimiters.
_FORM: Final = re.compile(
    r"(?:(?P<user>[^/?#\[\]\x00-\x1f\x7f]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?/?"
)


class Proxy(NamedTuple):
    """A proxy; ``user`` and ``password`` are decoded, and empty if not given.

    Attributes:
        authorization: value of ``Proxy-Authorization``, or None.
    """

    scheme: str
    host: str
    port: int
    user: str = ""
    password: str = ""
    authorization: str | None = None

    def __repr__(self) -> str:
        return f"Proxy({self.url})"

    @property
    def url(self) -> str:
        """The URL without user and password."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        """Headers for the proxy only."""
        return {} if self.authorization is None else {"Proxy-Authorization": self.authorization}

    def to_arrow(self) -> dict[str, Any]:
        """Returns the proxy options of Arrow's S3 client."""
        named = {"username": self.user, "password": self.password} if self.authorization else {}
        return {"scheme": self.scheme, "host": self.host, "port": self.port, **named}

    def options(self, scheme: str) -> dict[str, Any]:
        """Returns aiohttp's proxy arguments for a URL of this scheme."""
        return {"proxy": self.url, **({"proxy_headers": self.headers} if scheme == "https" else {})}

    def request_headers(self, scheme: str) -> dict[str, str]:
        """Returns headers for the request itself, which the proxy reads without TLS."""
        return {} if scheme == "https" else self.headers


def proxy_for(endpoint: str) -> Proxy | None:
    """Returns the proxy for an endpoint, or None.

    This machine and link-local addresses (instance metadata) are never reached through a proxy.

    Raises:
        SettingsError: the proxy in the environment is invalid.
    """
    return _proxy_for(endpoint, _environment())


@functools.lru_cache(maxsize=256)
def _proxy_for(endpoint: str, _environment: object) -> Proxy | None:
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    address = _to_address(host)
    if is_loopback(host) or (address is not None and address.is_link_local) or not _system_proxies():
        return None
    return None if _is_exempt(host, parts.port, address) else _proxy_of(parts.scheme)


def _environment() -> tuple[str | None, ...]:
    return tuple(map(os.environ.get, _NAMES))


def check_proxies() -> None:
    """Validates the proxies of the environment.

    Raises:
        SettingsError: a proxy is invalid; the message does not repeat it.
    """
    for scheme in _PORTS:
        _proxy_of(scheme)


def is_loopback(host: str) -> bool:
    """Returns True if a host is this machine."""
    address = _to_address(host)
    return host.lower().rstrip(".") == "localhost" if address is None else address.is_loopback


def find_secrets() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the find_secrets of the proxies in all spellings, longest first.

    Returns:
        Passwords (also together with users), and users, which are often ordinary words.
    """
    return _secrets(_environment())


@functools.lru_cache(maxsize=1)
def _secrets(_environment: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    passwords: set[str] = set()
    users: set[str] = set()
    for value in _values():
        user_info, separator, _ = _SCHEME.sub("", value.strip(), count=1).rpartition("@")
        user, _, password = user_info.partition(":")
        if not separator:
            continue
        users.update(_spellings(user))
        passwords.update(_spellings(password), _spellings(user_info))
        for encoding in ("utf-8", "latin-1"):
            code = base64.b64encode(unquote(user_info).encode(encoding, "replace")).decode()
            passwords.update((code, code.rstrip("=")))
    return _longest_first(passwords), _longest_first(users)


def _longest_first(secrets: set[str]) -> tuple[str, ...]:
    return tuple(sorted(filter(None, secrets), key=lambda text: (-len(text), text)))


def _system_proxies() -> dict[str, str]:
    """The proxies of the environment; on macOS and Windows, otherwise those of the system."""
    is_set = any(name.lower().endswith("_proxy") and value for name, value in os.environ.items())
    if not is_set and sys.platform not in {"darwin", "win32"}:
        return {}
    from urllib.request import getproxies  # noqa: PLC0415 - slow to import, and seldom needed

    return getproxies()


def _values() -> Iterator[str]:
    for name, value in os.environ.items():
        if name.lower() in _VARIABLES:
            yield value
    yield from (value for scheme, value in _system_proxies().items() if scheme in _PORTS)


def _spellings(text: str) -> tuple[str, ...]:
    plain = unquote(text)
    as_in_headers = unquote_to_bytes(text).decode("latin-1")
    return (text, plain, quote(plain, safe=""), as_in_headers) if len(plain) >= _SHORTEST else ()


def _proxy_of(scheme: str) -> Proxy | None:
    proxies = _system_proxies()
    value = (proxies.get(scheme) or proxies.get("all") or "").strip()
    return _parsed(value, scheme) if value else None


def _parsed(value: str, scheme: str) -> Proxy:
    named = _SCHEME.match(value)
    own = named[1].lower() if named else "http"
    if own.startswith("socks"):
        raise SettingsError(
            f"{_variable_of(value, scheme)} names a SOCKS proxy, which is not supported; "
            "give an HTTP proxy as http://host:port, or unset it"
        )
    form = _FORM.fullmatch(value[named.end() :] if named else value)
    port = int(form["port"] or _PORTS.get(own, 0)) if form else 0
    user, colon, password = (form["user"] or "" if form else "").partition(":")
    # Basic authentication cannot represent a user with a colon.
    if form is None or own not in _PORTS or not 0 < port < 65536 or ":" in unquote(user) or not _is_host(form["host"]):  # noqa: PLR2004 - range of ports
        raise SettingsError(
            f"{_variable_of(value, scheme)} is not a valid proxy; give http://host:port or "
            "http://user:password@host:port, with special characters of user and password percent-encoded "
            "(%2F for /, %23 for #, %3F for ?, %40 for @)"
        )
    if not user and not colon:
        return Proxy(own, form["host"], port)
    code = base64.b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password)).decode()
    return Proxy(own, form["host"], port, unquote(user), unquote(password), f"Basic {code}")


def _is_host(host: str) -> bool:
    if host.startswith("["):
        return _to_address(host[1:-1]) is not None
    return all(0 < len(part) < 64 for part in host.removesuffix(".").split("."))  # noqa: PLR2004 - DNS label


def _variable_of(value: str, scheme: str) -> str:
    names = (f"{scheme}_proxy", "all_proxy")
    matching = (name for name in os.environ if name.lower() in names and os.environ[name].strip() == value)
    return next(matching, f"the system's proxy for {scheme}")


def _is_exempt(host: str, port: int | None, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    spelled = (host, f"{host}:{port}") if port and ":" not in host else (host,)
    from urllib.request import proxy_bypass  # noqa: PLC0415 - slow to import

    if any(map(proxy_bypass, spelled)):
        return True
    names = _system_proxies().get("no", "").split(",") if address is not None else ()
    return any(address in network for network in map(_network_of, names) if network is not None)


def _network_of(name: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(name.strip().strip("[]"), strict=False)
    except ValueError:
        return None


def _to_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.rstrip("."))
    except ValueError:
        try:
            return ipaddress.ip_address(socket.inet_aton(host))
        except (OSError, ValueError):
            return None
    return getattr(address, "ipv4_mapped", None) or address
