"""Certificate authorities of TLS connections; messages about refused certificates."""

from __future__ import annotations

import os
import re
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inventory.errors import CertificateRefusedError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

OPTION: Final = "--ca-bundle"
SYSTEM_FILE: Final = "SSL_CERT_FILE"
SYSTEM_FOLDERS: Final = "SSL_CERT_DIR"
BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE")
"""Variables of other programs that name a file or folder of authorities."""
_ADVICE: Final = "give a PEM file with the certificates of the authorities"
_ALPN: Final = ("http/1.1",)
_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")
_TRUST: Final = f"set {SYSTEM_FILE}, or give {OPTION}, with a PEM file that holds"
_CLOCK: Final = "check this machine's clock"
# Source: OpenSSL's x509_vfy.h.
_REASONS: Final = {
    9: ("it is not valid yet", _CLOCK),
    10: ("it has expired", f"renew it, and {_CLOCK}"),
    18: ("it is self-signed and not trusted", f"{_TRUST} it"),
    23: ("it was revoked", "ask who runs the server or the proxy"),
    **dict.fromkeys(
        (2, 19, 20, 21),
        ("it was issued by an unknown authority", f"{_TRUST} that authority's certificate"),
    ),
    **dict.fromkeys((62, 64), ("it was issued for another host", "check the host name of the endpoint")),
}

_UNKNOWN: Final = ("it cannot be verified", f"{_TRUST} its authority's certificate")
_CONTEXTS: Final[dict[tuple[object, ...], ssl.SSLContext]] = {}
"""The context in use, because reading the authorities takes 0.1 s."""
_OF_STORES: Final = ("AWS_CA_BUNDLE", SYSTEM_FILE, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_REFUSED_BY_CURL: Final = "curlCode: 60,"
_VERIFY_CODE: Final = re.compile(r"verify result: [^(]*\(([0-9]+)\)")


def create_ssl_context(
    ca_bundle: str | None, environment: Mapping[str, str], option: str = OPTION
) -> ssl.SSLContext | None:
    """Returns a TLS context with the configured certificate authorities; None to use the system's.

    ``--ca-bundle`` replaces all other authorities; those of the variables are added to the system's. Messages call it
    ``option``.

    Raises:
        SettingsError: an authority file or folder cannot be used.
    """
    named = list(_named(ca_bundle, environment, option))
    if not named:
        return None
    key = ca_bundle is None, *((path, _file_version(path)) for _, path in named)
    if key not in _CONTEXTS:
        context = _create_context(named, environment, has_system=ca_bundle is None)
        _CONTEXTS.clear()
        _CONTEXTS[key] = context
    return _CONTEXTS[key]


def _create_context(
    named: Iterable[tuple[str, str]], environment: Mapping[str, str], *, has_system: bool
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN
    context.set_alpn_protocols(_ALPN)
    if has_system:
        _load_system(context, environment)
    for name, path in named:
        _load(context, name, path)
    return context


def _load_system(context: ssl.SSLContext, environment: Mapping[str, str]) -> None:
    if not environment.get(SYSTEM_FILE) or sys.platform == "win32":
        context.load_default_certs()
        return
    # OpenSSL's default file is then that of the variable, which is loaded once, with its errors.
    folder = ssl.get_default_verify_paths().openssl_capath
    if not environment.get(SYSTEM_FOLDERS) and Path(folder).is_dir():
        context.load_verify_locations(capath=folder)


def _file_version(path: str) -> tuple[int, int, int] | None:
    try:
        info = Path(path).stat()
    except (OSError, ValueError):
        return None
    return info.st_mtime_ns, info.st_size, info.st_ino


def create_default_context() -> ssl.SSLContext:
    """Returns a TLS context with the system's certificate authorities."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(_ALPN)
    return context


def object_store_tls_options(environment: Mapping[str, str], make: object) -> dict[str, str]:
    """Returns the TLS option for Arrow's object store client: one file, which replaces the system's authorities.

    Args:
        environment: environment variables.
        make: the client class; older versions do not have the option.

    Raises:
        SettingsError: the configured file cannot be used.
    """
    name = next((name for name in _OF_STORES if environment.get(name)), None)
    if name is None:
        return {}
    path = environment[name]
    _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), name, path)
    if Path(path).is_dir():
        raise SettingsError(f"{name} names the folder {path!r}, but an object store needs a file; {_ADVICE}")
    if "tls_ca_file_path" not in (make.__doc__ or ""):
        raise SettingsError(f"{name} is set, but this pyarrow cannot use it for an object store; update pyarrow")
    return {"tls_ca_file_path": path}


def with_ca_bundle(environment: Mapping[str, str], ca_bundle: str | None) -> Mapping[str, str]:
    """Returns an environment in which ``--ca-bundle`` has priority over all variables."""
    return environment if ca_bundle is None else {**environment, _OF_STORES[0]: ca_bundle}


def explain_store_refusal(text: str) -> tuple[str, str] | None:
    """Returns reason and advice for a refused certificate, or None."""
    if _REFUSED_BY_CURL not in text:
        return None
    match = _VERIFY_CODE.search(text)
    code = int(match[1]) if match else 62 if "no alternative certificate subject" in text else 0
    reason, advice = _REASONS.get(code, _UNKNOWN)
    return f"its certificate is refused: {reason}", advice.replace(SYSTEM_FILE, _OF_STORES[0])


def to_certificate_error(error: BaseException, server: str) -> CertificateRefusedError | None:
    """Returns a readable error if the certificate was refused, otherwise None."""
    refused = getattr(error, "certificate_error", error)
    if not isinstance(refused, ssl.SSLCertVerificationError):
        return None
    reason, advice = _REASONS.get(
        refused.verify_code, ("it cannot be verified", f"{_TRUST} its authority's certificate")
    )
    message = f"the certificate of {server} is refused: {reason} ({refused.verify_message.rstrip('.')}); {advice}"
    return CertificateRefusedError(message)


def _named(ca_bundle: str | None, environment: Mapping[str, str], option: str) -> Iterator[tuple[str, str]]:
    if ca_bundle is not None:
        yield option, ca_bundle
        return
    for name in (SYSTEM_FILE, *BUNDLES):
        if path := environment.get(name):
            yield name, path
    folders = [folder for folder in environment.get(SYSTEM_FOLDERS, "").split(os.pathsep) if folder]
    existing = [folder for folder in folders if Path(folder).is_dir()]
    yield from ((SYSTEM_FOLDERS, folder) for folder in existing or folders)


def _load(context: ssl.SSLContext, name: str, path: str) -> None:
    try:
        if Path(path).is_dir():
            if name != SYSTEM_FOLDERS and not any(map(_HASHED.fullmatch, os.listdir(path))):  # noqa: PTH208 - only names are needed
                raise SettingsError(
                    f"{name} names {path!r}, a folder without certificates with hashed names; {_ADVICE}"
                )
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise SettingsError(f"{name} names {path!r}, which is not a PEM file of certificates; {_ADVICE}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"{name} names {path!r}, which cannot be read: {reason}; {_ADVICE}") from None
