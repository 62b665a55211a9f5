"""Object stores s3:// and obs://: URLs, options, reading, writing, error messages."""

from __future__ import annotations

import ctypes
import hashlib
import re
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from inventory.certificates import explain_store_refusal, object_store_tls_options
from inventory.endpoints import use_partition_domain
from inventory.errors import CredentialsError, OutputError, UsageError
from inventory.proxies import proxy_for
from inventory.redaction import Redactor
from inventory.storage.files import open_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

OBS_ENDPOINT: Final = "https://obs.{region}.myhuaweicloud.com"
CONNECT_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 20.0
"""Maximum silence of a store before a call is repeated."""
ATTEMPTS: Final = 3
_CHUNK_BYTES: Final = 8 * 1024 * 1024
_FORM: Final = "s3://bucket/prefix or obs://bucket/prefix"
_OBS_REGIONS: Final = ("HW_REGION_NAME", "OBS_REGION")
_OBS_KEYS: Final = (
    ("HW_ACCESS_KEY", "HW_SECRET_KEY", "HW_SECURITY_TOKEN"),
    ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN"),
)
_SECRETS: Final = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", *(name for keys in _OBS_KEYS for name in keys[1:]))
_CONTENT_TYPES: Final = {".json": "application/json", ".csv": "text/csv"}
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]", re.ASCII)

_CREDENTIAL: Final = ("the store refuses the credential", "check that the keys are correct, complete and not expired")
_REGION: Final = ("the bucket is in another region", "name its region: {region}")
_STORE_ERROR: Final = ("the store has an internal error", "try again later")
_ENDPOINT: Final = ("the server there is not an object store", "check the endpoint: {endpoint}")
_MEANINGS: Final = {
    "ACCESS_DENIED": ("the store denies access", "give a credential that may list, read, write and delete there"),
    "NO_SUCH_BUCKET": ("there is no such bucket", "create it, or correct the URL or the endpoint"),
    "RESOURCE_NOT_FOUND": _ENDPOINT,
    "REQUEST_TIME_TOO_SKEWED": ("the clocks of this machine and of the store differ", "set this machine's clock"),
    "REQUEST_EXPIRED": ("the clocks of this machine and of the store differ", "set this machine's clock"),
    "407": ("the proxy does not accept the user and password for it", "check HTTPS_PROXY or HTTP_PROXY"),
    "NETWORK_CONNECTION": ("the store cannot be reached", "check network and endpoint: {endpoint}"),
    **dict.fromkeys(
        (
            *("INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "INVALID_SIGNATURE", "INVALID_CLIENT_TOKEN_ID"),
            *("UNRECOGNIZED_CLIENT", "MISSING_AUTHENTICATION_TOKEN", "ExpiredToken", "InvalidToken"),
        ),
        _CREDENTIAL,
    ),
    **dict.fromkeys(
        ("PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "301", "307"),
        _REGION,
    ),
    **dict.fromkeys(
        (
            *("SLOW_DOWN", "THROTTLING", "INTERNAL_FAILURE", "SERVICE_UNAVAILABLE", "REQUEST_TIMEOUT"),
            *("500", "502", "503", "504"),
        ),
        _STORE_ERROR,
    ),
}
_ERROR = re.compile(r"AWS Error (\w+)(?: \(HTTP status (\d+)\))? during (\w+) operation: (.*)", re.DOTALL)
_UNPARSED = re.compile(r"Unable to parse ExceptionName: (\w+) Message: (.*)", re.DOTALL)
_NOISE = re.compile(r"\(Request ID: [^)]*\)|curlCode: \d+, |; Details: .*|No response body\.?", re.DOTALL)
_MAX_QUOTED: Final = 200


class ObjectUrl(NamedTuple):
    """URL of a run's results in a store; contains no secret."""

    scheme: str
    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.prefix}"

    def key(self, name: str) -> str:
        """Returns the path of an object for Arrow."""
        return f"{self.bucket}/{self.prefix}/{name}"


class Found(NamedTuple):
    """An object in the store. ``modified``: whole seconds since 1970."""

    size: int
    modified: int


class Sent(NamedTuple):
    """Content that was copied."""

    size: int
    sha256: str


def is_url(text: str) -> bool:
    """Tells whether a text is a URL, not a folder."""
    return _URL.match(text) is not None


def parse(text: str) -> ObjectUrl:
    """Parses a URL of a store. Refuses a URL with a secret, without quoting it.

    Raises:
        UsageError: the URL is invalid.
    """
    match = _URL.fullmatch(text)
    scheme = match[1].lower() if match else ""
    if match is None or scheme not in {"s3", "obs"}:
        raise UsageError(f"there is no store for {scheme}:// URLs; give a folder, {_FORM}")
    rest = match[2]
    bucket, _, prefix = rest.removesuffix("/").partition("/")
    if "@" in rest or ":" in bucket:
        raise UsageError(
            f"a store's URL must contain no user or password: credentials come from the environment; give {_FORM}"
        )
    if set(rest) & set("?#"):
        raise UsageError(f"a store's URL must contain no query or fragment; give {_FORM}")
    parts = prefix.split("/")
    if not _BUCKET.fullmatch(bucket) or not prefix.isprintable() or any(part in {"", ".", ".."} for part in parts):
        raise UsageError(
            f"a store's URL must name a bucket (3 to 63 letters, digits, -._) and a prefix in it; give {_FORM}"
        )
    return ObjectUrl(scheme, bucket, prefix)


def options_of(url: ObjectUrl, environment: Mapping[str, str]) -> dict[str, Any]:
    """Returns the options for ``S3FileSystem``.

    For ``s3://`` the AWS SDK finds credential and region (environment, profile, metadata). For ``obs://`` all options
    are set, so that no setting of AWS applies.

    Raises:
        CredentialsError: there are no access keys for OBS.
        UsageError: an endpoint is invalid, or the OBS region is unknown.
    """
    bounded = {"connect_timeout": CONNECT_SECONDS, "request_timeout": SILENT_SECONDS, "background_writes": False}
    if url.scheme == "s3":
        region = _first(environment, "AWS_REGION", "AWS_DEFAULT_REGION")
        variable = "AWS_ENDPOINT_URL_S3" if environment.get("AWS_ENDPOINT_URL_S3") else "AWS_ENDPOINT_URL"
        endpoint = environment.get(variable)
        return {**bounded, "region": region, **(_address(variable, endpoint) if endpoint else {})}
    keys = next((keys for keys in _OBS_KEYS if all(environment.get(name) for name in keys[:2])), None)
    if keys is None:
        raise CredentialsError("obs:// needs access keys: set HW_ACCESS_KEY and HW_SECRET_KEY (a token is not enough)")
    region = _first(environment, *_OBS_REGIONS)
    own_endpoint = environment.get("OBS_ENDPOINT")
    endpoint = own_endpoint or OBS_ENDPOINT
    if region is None:
        named = re.search(r"//obs\.([a-z0-9-]+)\.", endpoint)
        region = named[1] if named else None
    if region is None and "{region}" in endpoint:
        raise UsageError("obs:// needs the bucket's region: set HW_REGION_NAME, as in HW_REGION_NAME=cn-north-4")
    endpoint = endpoint if own_endpoint else use_partition_domain(endpoint, region or "")
    access_key, secret_key, token = (environment.get(name) or None for name in keys)
    return {
        **bounded,
        **_address("OBS_ENDPOINT", endpoint.replace("{region}", region or "")),
        "region": region or "cn-north-4",  # the signature needs a region; a private endpoint may have none
        "access_key": access_key,
        "secret_key": secret_key,
        "session_token": token,
        "force_virtual_addressing": True,
    }


def _proxy_options(url: ObjectUrl, options: Mapping[str, Any]) -> dict[str, Any]:
    host = options.get("endpoint_override") or f"s3.{options.get('region') or 'us-east-1'}.amazonaws.com"
    if options.get("force_virtual_addressing") or "endpoint_override" not in options:
        host = f"{url.bucket}.{host}"
    proxy = proxy_for(f"{options.get('scheme', 'https')}://{host}")
    return {} if proxy is None else {"proxy_options": proxy.to_arrow()}


def _first(environment: Mapping[str, str], *names: str) -> str | None:
    return next((environment[name] for name in names if environment.get(name)), None)


def _address(variable: str, endpoint: str) -> dict[str, str]:
    try:
        parts = urlsplit(endpoint)
        plain = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        plain = False
    if not plain or set(endpoint) & set("@?#{} ") or parts.path.strip("/"):
        raise UsageError(f"{variable} must be a URL with scheme, host and optional port only")
    return {"scheme": parts.scheme, "endpoint_override": parts.netloc}


class ObjectStore:
    """The objects under one URL.

    Every method raises :class:`OutputError` if a call fails: one sentence without secrets, in bounded time.
    """

    def __init__(self, url: ObjectUrl, environment: Mapping[str, str]) -> None:
        self.url = url
        self._redactor = Redactor(*filter(None, map(environment.get, _SECRETS)))
        options = options_of(url, environment)
        self._endpoint = options.get("endpoint_override") or "AWS_ENDPOINT_URL_S3"
        try:
            from pyarrow import fs  # noqa: PLC0415 - 10 MB, and only for a store

            retries = fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS)
            make = fs.S3FileSystem
        except (ImportError, AttributeError):
            raise OutputError(f"{url}: this pyarrow was built without S3; install the one from PyPI") from None
        trusted = object_store_tls_options(environment, make)
        self._selector, self._absent = fs.FileSelector, fs.FileType.NotFound
        with self._translate_errors():
            self._files = make(retry_strategy=retries, **options, **_proxy_options(url, options), **trusted)

    def __str__(self) -> str:
        return str(self.url)

    def listed(self, folders: tuple[str, ...] = ()) -> dict[str, Found]:
        """Returns the objects under the URL and in the given folders."""
        with self._translate_errors():
            entries = self._under()
            found = {entry.base_name: _to_found(entry) for entry in entries if entry.is_file}
            for folder in {entry.base_name for entry in entries if not entry.is_file}.intersection(folders):
                inside = self._files.get_file_info(self._selector(self.url.key(folder), allow_not_found=True))
                found |= {f"{folder}/{entry.base_name}": _to_found(entry) for entry in inside if entry.is_file}
        return found

    def folders(self) -> list[str]:
        """Returns the names of the folders under the URL."""
        with self._translate_errors():
            return sorted(entry.base_name for entry in self._under() if not entry.is_file)

    def _under(self) -> list[Any]:
        entries: list[Any] = self._files.get_file_info(self._selector(self.url.key("")[:-1], allow_not_found=True))
        if not entries and self._files.get_file_info(self.url.bucket).type == self._absent:
            raise OutputError(self._sentence(*_MEANINGS["NO_SUCH_BUCKET"]))
        return entries

    def look_at(self, name: str) -> Found | None:
        """Returns an object, or None."""
        with self._translate_errors():
            entry = self._files.get_file_info(self.url.key(name))
        return _to_found(entry) if entry.is_file else None

    def read(self, name: str) -> bytes:
        """Returns the content of a small object."""
        with self._translate_errors(), self._files.open_input_stream(self.url.key(name)) as stream:
            return bytes(stream.read())

    def fetch(self, name: str, sink: IO[bytes]) -> Sent:
        """Copies an object into a file."""
        with self._translate_errors(), self._files.open_input_stream(self.url.key(name)) as stream:
            return _copy(lambda: stream.read(_CHUNK_BYTES), sink.write)

    def put(self, name: str, path: Path, tell: Callable[[int], None]) -> Sent:
        """Uploads a file. ``tell`` gets the bytes sent so far; if it raises, no object is created."""
        try:
            source = open_file(path)
        except OSError as error:
            raise OutputError.from_os_error(path, "cannot be read", error) from None
        with source, self._translate_errors():
            kind = {"Content-Type": _CONTENT_TYPES.get(path.suffix, "application/octet-stream")}
            sink = self._files.open_output_stream(self.url.key(name), metadata=kind)

            def read() -> bytes:
                tell(source.tell())
                try:
                    return source.read(_CHUNK_BYTES)
                except OSError as error:
                    raise OutputError.from_os_error(path, "cannot be read", error) from None

            try:
                sent = _copy(read, sink.write)
                sink.close()
            except BaseException:
                _prevent_close(sink)
                raise
        return sent

    def remove(self, name: str) -> None:
        """Removes an object; a missing object is no error."""
        with self._translate_errors(), suppress(FileNotFoundError):
            self._files.delete_file(self.url.key(name))

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise OutputError(f"{self.url} does not contain the object; check the URL") from None
        except (OSError, ValueError) as error:
            raise OutputError(self._sentence(*self._meaning(str(error)))) from None

    def _meaning(self, text: str) -> tuple[str, str]:
        match = _ERROR.search(text)
        if match is None:
            return f"the store cannot be used ({self._quote(text)})", "check URL, endpoint and credential"
        code, status, operation, text = match.groups()
        if refused := explain_store_refusal(text):
            return refused
        if unparsed := _UNPARSED.search(text):
            code, text = unparsed.groups()
        for known in (code, status):
            if known in _MEANINGS:
                reason, advice = _MEANINGS[known]
                detail = f": {self._quote(text)}" if code == "NETWORK_CONNECTION" else f" in {operation}"
                return f"{reason} ({code}{detail})", advice
        return (
            f"the store says {code} in {operation}: {self._quote(text)}",
            "check the meaning of this code for the bucket",
        )

    def _quote(self, text: str) -> str:
        plain = " ".join(self._redactor.redact(_NOISE.sub("", text)).split())
        return plain[:_MAX_QUOTED].rstrip(".")

    def _sentence(self, reason: str, advice: str) -> str:
        region = "AWS_REGION" if self.url.scheme == "s3" else "HW_REGION_NAME"
        return f"{self.url}: {reason}; {advice.format(region=region, endpoint=self._endpoint)}"


def _prevent_close(sink: Any) -> None:  # noqa: ANN401 - Arrow has no types
    """Prevents that an upload is completed.

    Arrow cannot abort an upload: closing a stream completes it, also after a failed part, and so does garbage
    collection. A partial file would get the name of the complete one. So a reference stays until the process ends.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(sink))


def _to_found(entry: Any) -> Found:  # noqa: ANN401 - Arrow has no types
    return Found(entry.size, entry.mtime_ns // 1_000_000_000)


def _copy(read: Callable[[], bytes], write: Callable[[bytes], object]) -> Sent:
    size, digest = 0, hashlib.sha256()
    while chunk := read():
        write(chunk)
        digest.update(chunk)
        size += len(chunk)
    return Sent(size, digest.hexdigest())
