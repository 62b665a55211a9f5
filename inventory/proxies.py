"""The proxy that the environment names for an endpoint.

Owns the reading of ``HTTPS_PROXY`` and ``NO_PROXY``. Makes no call.
"""

from __future__ import annotations

import urllib.request
from typing import Final
from urllib.parse import urlsplit

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def proxy_for(endpoint: str) -> str | None:
    """The proxy that the environment names for an endpoint, if any."""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    if host in _LOOPBACK or urllib.request.proxy_bypass(host):
        return None
    proxy = urllib.request.getproxies().get(parts.scheme)
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy
