"""Reads access keys from a profile of KooCLI, the vendor's command line.

Source: ``SharedConfig`` and ``buildClientByConfig`` of the Terraform provider (huaweicloud/config/auth.go, 020d6d6),
which reads the same file; KooCLI's manual for its place, and for ``--cli-auth-encrypt``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from inventory.errors import CredentialsError
from inventory.user_paths import exists, expand_user, home_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inventory.cloud.access_keys import AccessKeys

FILE_VARIABLE: Final = "HW_SHARED_CONFIG_FILE"
PROFILE_VARIABLE: Final = "HW_PROFILE"
"""The same variables as for the Terraform provider."""
_DEFAULT_FILE: Final = Path(".hcloud") / "config.json"
_MAX_SIZE: Final = 4_000_000
"""Bytes; a device may have no end."""
_KEY: Final = re.compile(r"[A-Z0-9]{20}", re.ASCII)
"""An access key as it is; a file that does not say whether it is encrypted may have another text."""
_ADVICE: Final = "or set HW_ACCESS_KEY and HW_SECRET_KEY"


class _Profile(msgspec.Struct, rename="camel", omit_defaults=True):
    name: str = ""
    mode: str = ""
    access_key_id: str = ""
    secret_access_key: str = ""
    security_token: str = ""
    agency_name: str = ""

    def __repr__(self) -> str:
        return f"_Profile({self.name!r})"


class _Configuration(msgspec.Struct, rename="camel"):
    current: str = ""
    profiles: list[_Profile] = []
    auth_encrypt: bool | str | None = None


def find_koocli_keys(environment: Mapping[str, str], *, only_named: bool) -> AccessKeys | None:
    """Returns the keys of the current profile, or of the one that ``HW_PROFILE`` names; None if there is no file.

    Args:
        environment: environment variables.
        only_named: whether the file is read only if a variable names it or its profile.

    Raises:
        CredentialsError: the file cannot be read, is encrypted, or has no such profile with keys.
    """
    file, profile = environment.get(FILE_VARIABLE, "").strip(), environment.get(PROFILE_VARIABLE, "").strip()
    home = home_folder()
    if only_named and not file and not profile:
        return None
    path = Path(expand_user(file)) if file else None if home is None else home / _DEFAULT_FILE
    if path is None or not (file or profile or exists(path)):
        return None
    return _keys_of(path, profile)


def _keys_of(path: Path, name: str) -> AccessKeys:
    from inventory.cloud.access_keys import create_access_keys  # noqa: PLC0415 - the SDK is slow to import

    configuration = _read(path)
    name = name or configuration.current
    profile = next((profile for profile in configuration.profiles if profile.name == name), None)
    if profile is None:
        names = ", ".join(profile.name for profile in configuration.profiles) or "none"
        raise CredentialsError(f"{path} has no profile {name!r} (profiles: {names}); set {PROFILE_VARIABLE} to one")
    place = f"profile {name!r} of {path}"
    if profile.agency_name:
        raise CredentialsError(f"{place} uses an agency, which only KooCLI can do; name another profile, {_ADVICE}")
    if not profile.access_key_id or not profile.secret_access_key:
        raise CredentialsError(f"{place} has no access keys (mode {profile.mode!r}); name another profile, {_ADVICE}")
    encrypted = str(configuration.auth_encrypt).lower()
    if encrypted == "true" or (encrypted != "false" and not _KEY.fullmatch(profile.access_key_id)):
        raise CredentialsError(
            f"the keys of {place} are encrypted, which only KooCLI can read; run "
            f"hcloud configure set --cli-auth-encrypt=false, {_ADVICE}"
        )
    return create_access_keys(profile.access_key_id, profile.secret_access_key, profile.security_token, place)


def _read(path: Path) -> _Configuration:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_SIZE)
        return msgspec.json.decode(content.removeprefix(b"\xef\xbb\xbf"), type=_Configuration)
    except OSError as error:
        raise CredentialsError.from_os_error(
            path, "cannot be read", error, f"correct {FILE_VARIABLE} or {PROFILE_VARIABLE}"
        ) from None
    except (msgspec.DecodeError, UnicodeError):  # their messages may quote the file
        raise CredentialsError(f"{path} is not a configuration of KooCLI; correct {FILE_VARIABLE}, {_ADVICE}") from None
