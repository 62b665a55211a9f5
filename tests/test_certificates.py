from __future__ import annotations

import asyncio
import os
import ssl
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pyarrow.fs import S3FileSystem
from support.runs import export

from inventory.certificates import BUNDLES, create_ssl_context, object_store_tls_options, with_ca_bundle
from inventory.cloud.client import Client
from inventory.cloud.credentials import TokenCredential
from inventory.cloud.iam import list_projects
from inventory.cloud.transport import open_session
from inventory.errors import CertificateRefusedError, ExitCode, OutputError, SettingsError
from inventory.settings_sources.combine import combine
from inventory.storage.object_store import ObjectStore, parse

CERTIFICATES = Path(__file__).parent / "data" / "certificates"
AUTHORITY = str(CERTIFICATES / "authority.pem")
AUTHORITY_PEM = (CERTIFICATES / "authority.pem").read_bytes()
URN = "urn:fss:cn-north-4:p0:function:default:f"
CONFIG = b'{"max_async_retry_attempts":1}'
HASH = "774b5dcc"
"""Of the authority's subject, as `openssl rehash` names its file."""
NAMES = ("SSL_CERT_FILE", "SSL_CERT_DIR", *BUNDLES)


@pytest.fixture(autouse=True)
def _nothing_named(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def tls(certificate: str = "good", answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n" + CONFIG):
    calls = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                calls.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(answer)
                if b"close" in answer:
                    break
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / f"{certificate}.pem", CERTIFICATES / "key.pem")
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # a handshake that the client ends
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1], calls


async def show(port: int, ca_bundle: str | None = None) -> bytes:
    async with open_session(5.0, ca_bundle) as session:
        client = Client(session, f"https://127.0.0.1:{port}", "p0", TokenCredential("the-token", "x"))
        return (await client.show_async_invoke_config(URN)).body


@pytest.mark.parametrize("name", [*NAMES, "--ca-bundle"])
async def test_authority_of_variable_or_option_is_trusted(name, monkeypatch, tmp_path):
    path = AUTHORITY
    if name == "SSL_CERT_DIR":
        path = str(tmp_path)
        (tmp_path / f"{HASH}.0").write_bytes(AUTHORITY_PEM)
    if name != "--ca-bundle":
        monkeypatch.setenv(name, path)
    async with tls() as (port, _):
        assert await show(port, path if name == "--ca-bundle" else None) == CONFIG


async def test_option_replaces_the_variables(monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", AUTHORITY)
    async with tls() as (port, calls):
        with pytest.raises(CertificateRefusedError):
            await show(port, str(CERTIFICATES / "selfsigned.pem"))
    assert calls == []


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        ("expired", "it has expired"),
        ("future", "it is not valid yet"),
        ("other", "it was issued for another host"),
        ("selfsigned", "it is self-signed"),
        ("good", None),
    ],
)
async def test_refused_certificate_has_a_reason(certificate, words, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", AUTHORITY)
    async with tls(certificate) as (port, _):
        if words is None:
            assert await show(port) == CONFIG
            return
        with pytest.raises(CertificateRefusedError) as caught:
            await show(port)
    assert words in caught.value.error_msg
    assert f"127.0.0.1:{port}" in caught.value.error_msg
    assert (caught.value.retryable, caught.value.stops_scope, caught.value.exit_code) == (False, True, 5)


async def test_unknown_authority_names_variable_and_option():
    async with tls() as (port, _):
        with pytest.raises(CertificateRefusedError) as caught:
            await show(port)
    assert "an unknown authority" in caught.value.error_msg
    assert "SSL_CERT_FILE" in caught.value.error_msg
    assert "--ca-bundle" in caught.value.error_msg


async def test_refused_certificate_of_iam_is_not_retried():
    async with tls("expired") as (port, calls), open_session(5.0, AUTHORITY) as session:
        with pytest.raises(CertificateRefusedError, match=r"IAM at https://127\.0\.0\.1.* it has expired"):
            await list_projects(session, f"https://127.0.0.1:{port}", TokenCredential("the-token", "x"))
    assert calls == []


async def test_refused_certificate_stops_the_run(tmp_path, write_list):
    urns = write_list([f"{URN}{number}" for number in range(100)])
    async with tls("expired") as (port, _):
        result = await export(urns, tmp_path / "run", endpoint=f"https://127.0.0.1:{port}", ca_bundle=AUTHORITY)
    assert result.exit_code is ExitCode.STOPPED
    assert result.manifest["requests"]["total"] <= 3
    assert "it has expired" in result.manifest["scopes"][0]["stopped"]


@pytest.mark.parametrize("name", [*NAMES, "--ca-bundle"])
def test_invalid_authority_file_is_named(name, monkeypatch, tmp_path):
    (tmp_path / "empty").write_text("")
    (tmp_path / "key").write_bytes((CERTIFICATES / "key.pem").read_bytes())
    kinds = ["missing"] if name == "SSL_CERT_DIR" else ["missing", "empty", "key"]
    for kind in kinds:
        path = str(tmp_path / kind)
        given = {"ca_bundle": path} if name == "--ca-bundle" else {}
        if not given:
            monkeypatch.setenv(name, path)
        with pytest.raises(SettingsError) as caught:
            combine(None, given)
        assert caught.value.message.startswith(f"{name} names {path!r}")
        if not given and name != "SSL_CERT_DIR":
            with pytest.raises(SettingsError, match=name):
                object_store_tls_options(os.environ, S3FileSystem)


def test_without_settings_the_system_is_used():
    assert create_ssl_context(None, {}) is create_ssl_context(None, {"REQUESTS_CA_BUNDLE": ""}) is None
    assert object_store_tls_options({}, S3FileSystem) == {}


@pytest.mark.parametrize(
    ("certificate", "named", "words"),
    [
        ("good", None, "an unknown authority; set AWS_CA_BUNDLE"),
        ("good", "AWS_CA_BUNDLE", "there is no such bucket"),
        ("good", "SSL_CERT_FILE", "there is no such bucket"),
        ("good", "--ca-bundle", "there is no such bucket"),
        ("expired", "--ca-bundle", "it has expired"),
        ("other", "--ca-bundle", "it was issued for another host"),
    ],
)
async def test_object_store_uses_the_same_authorities(certificate, named, words, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "k" * 20)
    missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with tls(certificate, missing) as (port, _):
        environment = {"AWS_ENDPOINT_URL": f"https://127.0.0.1:{port}", "AWS_REGION": "r"}
        if named and named != "--ca-bundle":
            environment[named] = AUTHORITY
        environment = with_ca_bundle(environment, AUTHORITY if named == "--ca-bundle" else None)
        store = ObjectStore(parse("s3://bucket/prefix"), environment)
        with pytest.raises(OutputError) as caught:
            await asyncio.to_thread(store.listed)
    assert words in caught.value.message


def test_authorities_are_read_once_until_their_file_changes(tmp_path, monkeypatch):
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(AUTHORITY_PEM)
    first = create_ssl_context(str(bundle), {})
    assert create_ssl_context(str(bundle), {}) is first
    bundle.write_bytes(AUTHORITY_PEM + b"\n")
    assert create_ssl_context(str(bundle), {}) is not first
    assert create_ssl_context(None, {"SSL_CERT_FILE": str(bundle)}) is not first
    bundle.unlink()
    with pytest.raises(SettingsError, match="cannot be read"):
        create_ssl_context(str(bundle), {})
