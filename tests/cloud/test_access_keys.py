"""Signed calls: the SDK's keys, its signature, and what goes on the wire."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from collections import Counter
from types import SimpleNamespace

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from support.runs import by_urn, export
from yarl import URL

from inventory.cloud.access_keys import AccessKeys, SigningCredential, create_access_keys, find_access_keys
from inventory.cloud.accounts import AccessKeyProvider, find_account_credentials
from inventory.cloud.signature import RequestSigner
from inventory.emulator import Emulator, FileCloud, Keys
from inventory.errors import CredentialRefusedError, CredentialsError, ExitCode
from inventory.ledger.writer import Ledger
from inventory.pipeline import fetch
from inventory.pipeline import load as intake
from inventory.pipeline.check import check_scopes
from inventory.progress import ProgressObserver
from inventory.settings import ExportSettings
from inventory.sources.files import Source

AK, SK, STS = (
    "AKOFTHETESTS00000001",
    "SKOFTHETESTS00000000000000000000000000001",
    "a-temporary-security-token-of-the-tests",
)
HEADERS = {"Content-Type": "application/json", "User-Agent": "us/1.0"}
P = "0123456789abcdef0123456789abcdef"
BASE = f"urn:fss:cn-north-4:{P}:function:default:"
CONFIG = {"max_async_retry_attempts": 1}


class SdkKeys:
    """Temporary keys of the SDK; ``process_sts`` blocks and replaces them."""

    def __init__(self, *, until: threading.Event | None = None, error: Exception | None = None) -> None:
        self.ak = self.sk = self.security_token = None
        self.sts_accessor = object()
        self.renewals = 0
        self.threads: set[str] = set()
        self.until = until
        self.error = error

    def process_sts(self, _http_client) -> None:
        self.threads.add(threading.current_thread().name)
        assert self.until is None or self.until.wait(20), "the loop stood still"
        if self.error is not None:
            raise self.error
        self.renewals += 1
        self.ak = f"{AK}{self.renewals}"
        self.sk, self.security_token = f"{SK}{self.renewals}", f"{STS}{self.renewals}"


PATHS = [
    f"/v2/{P}/fgs/functions/{BASE}f.x:!prod/async-invoke-config",
    f"/v2/{P}/fgs/functions/{BASE}f:latest/async-invoke-configs?limit=100&marker=0",
    "/v2/p/fgs/functions?marker=0&maxitems=400",
    "/v2/p/fgs/functions?b=2&a=%20x&a=%2Fy&c&d=&e=~!(),%E5%BC%82",
    "/v2/p/%E5%BC%82%E6%AD%A5/a%20b/%252F(1)*'/",
    "/prefix//x/",
    "/",
    "",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("sts", ["", STS])
def test_signature_equals_the_sdks(path, sts):
    url = f"https://fg.example:8443{path}"
    signed = SigningCredential(create_access_keys(AK, SK, sts), P, {**HEADERS, "X_Unsigned": "1"}).headers(url)
    parts = URL(url, encoded=True)
    request = SdkRequest(
        method="GET",
        schema="https",
        host="fg.example:8443",
        resource_path=parts.raw_path,
        query_params=list(parts.query.items()),
        header_params={**HEADERS, "X_Unsigned": "1", "X-Sdk-Date": signed["X-Sdk-Date"]},
        body="",
    )
    credentials = BasicCredentials(AK, SK, P)
    expected = (credentials.with_security_token(sts) if sts else credentials).sign_request(request).header_params
    assert signed == expected


def test_date_of_a_signature_is_that_of_the_second():
    clock = SimpleNamespace(now=0.5)
    signer = RequestSigner(AK, SK, HEADERS, clock=lambda: clock.now)
    dates = []
    for clock.now in (0.5, 0.9, 1.0, 86_400.0):
        dates.append(signer.sign("https://fg.example/a")["X-Sdk-Date"])
    assert dates == ["19700101T000000Z", "19700101T000000Z", "19700101T000001Z", "19700102T000000Z"]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://127.0.0.1:8080/a", "127.0.0.1:8080"),
        ("http://127.0.0.1:80/a", "127.0.0.1"),
        ("https://fg.example:8443/a", "fg.example:8443"),
        ("http://[::1]:81/a", "[::1]:81"),
    ],
)
def test_host_is_signed_as_sent(url, host):
    assert SigningCredential(create_access_keys(AK, SK, ""), P, HEADERS).headers(url)["Host"] == host


@pytest.mark.parametrize("sts", ["", STS])
async def test_gateway_accepts_every_signature(tmp_path, write_list, monkeypatch, sts):
    urns = [f"{BASE}f:latest", f"{BASE}f:!prod", f"{BASE}f:v1.0-x_y", f"{BASE}g"]
    for name, value in (("AK", AK), ("SK", SK), ("SECURITY_TOKEN", sts)):
        monkeypatch.setenv(f"HUAWEICLOUD_SDK_{name}", value)
    async with Emulator(FileCloud(dict.fromkeys(urns, CONFIG))) as server:
        server.keys = Keys({AK: SK}, {AK: sts} if sts else {}, now=time.time)
        result = await export(write_list(urns), tmp_path / "run", endpoint=server.url, token=None)
        assert server.counts == {200: 4}
    assert result.exit_code == ExitCode.ANSWERED
    everything = b"".join(file.read_bytes() for file in (tmp_path / "run").iterdir())
    assert not any(secret.encode() in everything for secret in (AK, SK, STS))


@pytest.mark.parametrize("wrong", [{AK: "another"}, {"another": SK}])
async def test_refused_keys_stop_the_scope(tmp_path, write_list, wrong):
    urns = [f"{BASE}f{number}:latest" for number in range(100)]
    environment = {"HW_ACCESS_KEY": AK, "HW_SECRET_KEY": SK}
    async with Emulator(FileCloud(dict.fromkeys(urns, CONFIG))) as server:
        server.keys = Keys(wrong, now=time.time)
        result = await export(
            write_list(urns), tmp_path / "run", endpoint=server.url, environment=environment, format=("csv",)
        )
        assert server.counts == {401: 1}
    assert result.exit_code == ExitCode.CREDENTIALS
    assert "APIGW.0301" in result.manifest["scopes"][0]["stopped"]
    everything = b"".join(file.read_bytes() for file in (tmp_path / "run").iterdir())
    assert b"aksk signature fail" in everything or b"not exist" in everything
    assert not any(secret.encode() in everything for secret in (AK, SK))


async def test_temporary_keys_are_renewed_once_in_a_thread():
    clock = SimpleNamespace(now=0.0)
    beaten = threading.Event()
    found = SdkKeys(until=beaten)
    keys = AccessKeys(found, clock=lambda: clock.now)
    scopes = [SigningCredential(keys, f"p{number}", HEADERS) for number in range(50)]
    beats = 0

    async def beat():
        nonlocal beats
        while True:
            await asyncio.sleep(0)
            beats += 1
            if beats > 10:
                beaten.set()

    beating = asyncio.create_task(beat())
    await asyncio.gather(*(scope.prepare() for scope in scopes))
    assert (found.renewals, keys.generation) == (1, 1)
    assert beats > 10, "the loop stood still"
    await asyncio.gather(*(scope.prepare() for scope in scopes))
    assert found.renewals == 1, "there is no look at the SDK for each call"
    clock.now = 61.0
    await asyncio.gather(*(scope.prepare() for scope in scopes))
    assert (found.renewals, keys.generation) == (2, 2)
    beating.cancel()
    signed = scopes[0].headers("http://x/a")
    assert signed["X-Security-Token"] == f"{STS}2"
    assert f"Access={AK}2," in signed["Authorization"]
    assert await scopes[0].renew(1)
    assert not await scopes[0].renew(2)
    assert threading.current_thread().name not in found.threads
    assert keys.redactor.redact(f"{AK}1 {SK}1 {STS}1 {AK}2 {SK}2 {STS}2") == " ".join(["[redacted]"] * 6)


async def test_failed_renewal_keeps_the_keys():
    clock = SimpleNamespace(now=0.0)
    found = SdkKeys()
    keys = AccessKeys(found, clock=lambda: clock.now)
    await keys.prepare()
    found.error = OSError("metadata are not reachable")
    clock.now = 61.0
    await keys.prepare()
    assert keys.key == f"{AK}1"
    with pytest.raises(CredentialRefusedError, match="no access key: metadata are not reachable"):
        await AccessKeys(SdkKeys(error=OSError("metadata are not reachable"))).prepare()


def test_keys_do_not_reveal_secrets():
    keys = create_access_keys(AK, SK, STS)
    assert repr(keys) == "AccessKeys(temporary)"
    assert repr(SigningCredential(keys, "p", HEADERS)) == "SigningCredential(AccessKeys(temporary), project p)"
    for secret in (keys, SigningCredential(keys, "p", HEADERS)):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(secret)


def test_profile_file_is_found(tmp_path, monkeypatch):
    profile = tmp_path / "credentials"
    profile.write_text(f"[basic]\nak = {AK}\nsk = {SK}\n")
    monkeypatch.setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", str(profile))
    keys, hindered = find_access_keys()
    assert (keys.key, hindered) == (AK, [])


async def test_pod_identity_is_found_without_metadata(tmp_path, monkeypatch):
    from aiohttp import web  # noqa: PLC0415

    async def give(request):
        assert request.headers["Authorization"] == "the-pod's-token"
        body = {
            "credential": {"access": AK, "secret": SK, "securitytoken": STS, "expires_at": "2100-01-01T00:00:00.0Z"}
        }
        return web.json_response(body)

    (tmp_path / "token").write_text("the-pod's-token\n")
    runner = web.ServerRunner(web.Server(give))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    monkeypatch.setenv("HC_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{port}/credentials")
    monkeypatch.setenv("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setattr("huaweicloudsdkcore.auth.internal.MetadataAccessor._METADATA_ENDPOINT", "http://127.0.0.1:1")
    keys, _ = await asyncio.to_thread(find_access_keys)
    await runner.cleanup()
    assert (keys.key, repr(keys)) == (AK, "AccessKeys(temporary)")


async def test_instance_metadata_are_found(monkeypatch):
    from aiohttp import web  # noqa: PLC0415

    asked = Counter()

    async def give(request):
        asked[request.method, request.path] += 1
        if request.method == "PUT":
            return web.Response(text="metadata-token")
        assert request.headers["X-Metadata-Token"] == "metadata-token"
        body = {
            "credential": {"access": AK, "secret": SK, "securitytoken": STS, "expires_at": "2100-01-01T00:00:00.0Z"}
        }
        return web.json_response(body)

    runner = web.ServerRunner(web.Server(give))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
    monkeypatch.setattr("huaweicloudsdkcore.auth.internal.MetadataAccessor._METADATA_ENDPOINT", endpoint)
    keys, _ = await asyncio.to_thread(find_access_keys)
    await runner.cleanup()
    assert keys.key == AK
    assert asked == {("PUT", "/meta-data/latest/api/token"): 1, ("GET", "/openstack/latest/securitykey"): 1}


def test_no_provider_returns_no_keys(monkeypatch):
    monkeypatch.setattr("huaweicloudsdkcore.auth.internal.MetadataAccessor._METADATA_ENDPOINT", "http://127.0.0.1:1")
    assert find_access_keys() == (None, [])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"ak = {AK}\nsk = {SK}\n", "it is not an INI file for the SDK"),
        (f"[basic]\nak = {AK}\nsk = {SK}%x\n", "it is not an INI file for the SDK"),
        (f"[basic]\nak = {AK}\n", "does not exist in credentials file"),
        (f"[global]\nak = {AK}\nsk = {SK}\n", "credential type 'basic' does not exist"),
        ("\udcff", "contains no keys in the SDK's format"),
        (None, "does not exist"),
    ],
)
def test_invalid_profile_is_reported(tmp_path, monkeypatch, content, words):
    profile = tmp_path / "credentials"
    if content is not None:
        profile.write_bytes(content.encode("utf-8", "surrogateescape"))
    monkeypatch.setattr("huaweicloudsdkcore.auth.internal.MetadataAccessor._METADATA_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", str(profile))
    with pytest.raises(CredentialsError, match=words) as caught:
        find_account_credentials(None, {}, str, HEADERS)
    assert str(caught.value).startswith(f"no credential: profile {profile}: ")
    assert SK not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_AK: ak&sk or"),
        ("HUAWEICLOUD_OIDC_PROVIDER_URN", "HUAWEICLOUD_OIDC_PROVIDER_URN: Missing required env var"),
        ("HC_CONTAINER_CREDENTIALS_FULL_URI", "HC_CONTAINER_CREDENTIALS_FULL_URI: The environment variable"),
    ],
)
def test_incomplete_sdk_variables_are_reported(monkeypatch, name, words):
    monkeypatch.setattr("huaweicloudsdkcore.auth.internal.MetadataAccessor._METADATA_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv(name, AK)
    keys, hindered = find_access_keys()
    assert keys is None
    (one,) = hindered
    assert words in one
    assert AK not in one


@pytest.mark.parametrize("sent", [b"[]", b'{"credential": null}', b"{}", b"no JSON"])
async def test_invalid_metadata_are_ignored(monkeypatch, sent):
    from aiohttp import web  # noqa: PLC0415

    async def answer(_request):
        return web.Response(body=sent)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
    monkeypatch.setattr("huaweicloudsdkcore.auth.internal.MetadataAccessor._METADATA_ENDPOINT", endpoint)
    assert await asyncio.to_thread(find_access_keys) == (None, [])
    await runner.cleanup()


@pytest.mark.parametrize("provider", ["OIDC", "pod"])
async def test_refusal_of_an_identity_shows_only_the_status(tmp_path, monkeypatch, provider):
    from aiohttp import web  # noqa: PLC0415

    async def refuse(request):
        said = request.headers.get("Authorization", "") + await request.text()
        return web.json_response({"error_code": "STS.1", "error_msg": said}, status=403, reason=said[:60])

    runner = web.ServerRunner(web.Server(refuse))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    (tmp_path / "token").write_text("eyJhbGciOiJSUzI1NiJ9.identity")
    for name, value in {
        "OIDC": {
            "HUAWEICLOUD_OIDC_PROVIDER_URN": "urn:p",
            "HUAWEICLOUD_OIDC_AGENCY_URN": "urn:a",
            "HUAWEICLOUD_OIDC_TOKEN_FILE": str(tmp_path / "token"),
            "HUAWEICLOUD_SDK_STS_ENDPOINT": url,
        },
        "pod": {
            "HC_CONTAINER_CREDENTIALS_FULL_URI": url,
            "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
        },
    }[provider].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("huaweicloudsdkcore.auth.internal.MetadataAccessor._METADATA_ENDPOINT", "http://127.0.0.1:1")
    keys, hindered = await asyncio.to_thread(find_access_keys)
    if keys is not None:
        with pytest.raises(CredentialRefusedError) as caught:
            await keys.prepare()
        hindered = [str(caught.value)]
    await runner.cleanup()
    (one,) = hindered
    assert one.endswith("its service returned 403")


async def test_token_run_does_not_import_the_sdk(tmp_path, write_list):
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    async with Emulator(FileCloud({f"{BASE}f:latest": CONFIG})) as server:
        code = (
            "import asyncio, sys; sys.path.insert(0, 'tests'); from pathlib import Path\n"
            "from support.runs import export\n"
            f"asyncio.run(export(Path({str(write_list([f'{BASE}f:latest']))!r}), Path({str(tmp_path / 'run')!r}), "
            f"endpoint={server.url!r})); print([name for name in sys.modules if 'huawei' in name])"
        )
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
    assert done.stdout == "[]\n"
    assert by_urn(tmp_path / "run")


@pytest.mark.parametrize("refusing", [("region-0", "region-5", "region-7"), tuple(f"region-{n}" for n in range(12))])
async def test_wrong_key_is_tried_three_times(tmp_path, write_list, refusing):
    regions = [f"region-{number}" for number in range(12)]
    urns = [f"urn:fss:{region}:{P}:function:default:f" for region in regions]
    cloud = FileCloud(dict.fromkeys(urns, CONFIG))
    async with Emulator(cloud) as wrong, Emulator(cloud) as right:
        wrong.keys, right.keys = Keys({AK: "another"}, now=time.time), Keys({AK: SK}, now=time.time)
        settings = ExportSettings(
            max_per_second=0.0,
            region_endpoints={region: (wrong if region in refusing else right).url for region in regions},
        )
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            intake.load([Source(str(write_list(urns)))], ledger, settings, ProgressObserver())
            scopes = await fetch.fetch_configs(
                ledger, settings, AccessKeyProvider(create_access_keys(AK, SK, ""), HEADERS), ProgressObserver()
            )
        assert wrong.counts == {401: 3}
    stopped = [str(scope.stopped) for scope in scopes.values() if scope.stopped]
    assert len(stopped) == len(refusing)
    assert all("APIGW.0301" in words and "limit" not in words for words in stopped)


async def test_check_of_many_scopes_does_not_lock_the_key():
    scopes = [(f"region-{number}", P) for number in range(12)]
    async with Emulator(FileCloud({})) as server:
        server.keys = Keys({AK: "another"}, now=time.time)
        settings = ExportSettings(endpoint=server.url, iam_endpoint=server.url)
        found = await check_scopes(scopes, settings, AccessKeyProvider(create_access_keys(AK, SK, ""), HEADERS))
        assert server.counts == {401: 3}
    steps = [checkup.steps[-1] for checkup in found]
    assert {(step.name, step.ok) for step in steps} == {("credential", False)}
    assert all(step.message.startswith("refused: 401 APIGW.0301") for step in steps)
