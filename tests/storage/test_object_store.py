from __future__ import annotations

import gc
import socket
import subprocess
import sys

import pytest
from support.object_store import ACCESS_KEY, BUCKET, SECRET_KEY

from inventory.errors import CredentialsError, ExitCode, InterruptedRunError, OutputError, UsageError
from inventory.storage import object_store
from inventory.storage.object_store import ObjectStore, ObjectUrl, is_url, options_of, parse

URL = ObjectUrl("s3", BUCKET, "runs/today")
OBS = ObjectUrl("obs", BUCKET, "runs/today")
KEYS = {"HW_ACCESS_KEY": ACCESS_KEY, "HW_SECRET_KEY": SECRET_KEY}


def nothing(_sent):
    """No stop is asked for."""


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("s3://a-bucket/prefix", "s3://a-bucket/prefix"),
        ("S3://a-bucket/prefix/", "s3://a-bucket/prefix"),
        ("obs://a.bucket/some/long prefix/x=1", "obs://a.bucket/some/long prefix/x=1"),
    ],
)
def test_a_url_is_a_bucket_and_a_prefix(text, written):
    assert is_url(text)
    assert str(parse(text)) == written


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("s3://AKIAX:SECRETX@bucket/prefix", "must contain no user or password"),
        ("s3://AKIAX:SECR/ETX@bucket/prefix", "must contain no user or password"),
        ("s3://SECRETX@bucket/prefix", "must contain no user or password"),
        ("obs://bucket:SECRETX/prefix", "must contain no user or password"),
        ("s3://bucket/prefix?access_key=SECRETX", "must contain no query or fragment"),
        ("s3://bucket/prefix#SECRETX", "must contain no query or fragment"),
        ("s3://bucket", "must name a bucket"),
        ("s3://bucket/", "must name a bucket"),
        ("s3:///prefix", "must name a bucket"),
        ("s3://bucket//prefix", "must name a bucket"),
        ("s3://bucket/../other", "must name a bucket"),
        ("s3://bucket/a\nb", "must name a bucket"),
        ("gs://SECRETX/prefix", "there is no store for gs:// URLs"),
        ("https://SECRETX/prefix", "there is no store for https:// URLs"),
    ],
)
def test_what_is_no_plain_url_is_refused_and_not_repeated(text, words):
    assert is_url(text)
    with pytest.raises(UsageError, match=words) as refused:
        parse(text)
    assert "SECRETX" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["output/today", "/s3/x", "s3:/bucket", "C:\\runs", "a:b", ""])
def test_a_folder_is_no_url(text):
    assert not is_url(text)


def test_s3_leaves_the_credential_to_the_sdk():
    reported = options_of(URL, {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, **KEYS})
    assert reported == {"connect_timeout": 5.0, "request_timeout": 20.0, "background_writes": False, "region": None}


@pytest.mark.parametrize(
    ("environment", "scheme", "host"),
    [
        ({"AWS_ENDPOINT_URL": "http://one:9000"}, "http", "one:9000"),
        ({"AWS_ENDPOINT_URL": "http://one", "AWS_ENDPOINT_URL_S3": "https://two/"}, "https", "two"),
    ],
)
def test_the_endpoint_of_s3_is_the_environments(environment, scheme, host):
    reported = options_of(URL, environment)
    assert (reported["scheme"], reported["endpoint_override"]) == (scheme, host)


@pytest.mark.parametrize(
    "environment",
    [
        {**KEYS, "HW_REGION_NAME": "ap-southeast-1"},
        {**KEYS, "OBS_ENDPOINT": "https://obs.ap-southeast-1.myhuaweicloud.com"},
        {
            "HUAWEICLOUD_SDK_AK": ACCESS_KEY,
            "HUAWEICLOUD_SDK_SK": SECRET_KEY,
            "OBS_REGION": "ap-southeast-1",
            "HW_ACCESS_KEY": "half-a-pair",
        },
    ],
)
def test_obs_has_its_own_address_and_keys(environment):
    reported = options_of(
        OBS, {**environment, "AWS_ACCESS_KEY_ID": "x", "AWS_ENDPOINT_URL": "http://x", "AWS_REGION": "x"}
    )
    assert {name: reported[name] for name in reported if name not in {"connect_timeout", "request_timeout"}} == {
        "background_writes": False,
        "scheme": "https",
        "endpoint_override": "obs.ap-southeast-1.myhuaweicloud.com",
        "force_virtual_addressing": True,
        "region": "ap-southeast-1",
        "access_key": ACCESS_KEY,
        "secret_key": SECRET_KEY,
        "session_token": None,
    }


def test_obs_of_the_european_partition_is_under_its_own_domain():
    environment = {**KEYS, "HW_REGION_NAME": "eu-west-101"}
    assert options_of(OBS, environment)["endpoint_override"] == "obs.eu-west-101.myhuaweicloud.eu"
    environment["OBS_ENDPOINT"] = "https://obs.{region}.myhuaweicloud.com"
    assert options_of(OBS, environment)["endpoint_override"] == "obs.eu-west-101.myhuaweicloud.com"


def test_obs_takes_temporary_keys():
    environment = {**KEYS, "HW_SECURITY_TOKEN": "temporary", "HW_REGION_NAME": "cn-north-4"}
    assert options_of(OBS, environment)["session_token"] == "temporary"


@pytest.mark.parametrize(
    ("url", "environment", "error", "words"),
    [
        (OBS, {}, CredentialsError, "set HW_ACCESS_KEY and HW_SECRET_KEY"),
        (OBS, {"HW_AUTH_TOKEN": "x", "HW_REGION_NAME": "x"}, CredentialsError, "a token is not enough"),
        (OBS, KEYS, UsageError, "set HW_REGION_NAME"),
        (OBS, {**KEYS, "OBS_ENDPOINT": "https://user:SECRETX@host"}, UsageError, "OBS_ENDPOINT must be a URL"),
        (URL, {"AWS_ENDPOINT_URL": "http://host/path"}, UsageError, "AWS_ENDPOINT_URL must be a URL"),
        (URL, {"AWS_ENDPOINT_URL_S3": "http://SECRETX@host"}, UsageError, "AWS_ENDPOINT_URL_S3 must be a URL"),
        (URL, {"AWS_ENDPOINT_URL": "http://host:port"}, UsageError, "AWS_ENDPOINT_URL must be a URL"),
        (URL, {"AWS_ENDPOINT_URL": "host:9000"}, UsageError, "AWS_ENDPOINT_URL must be a URL"),
    ],
)
def test_what_is_missing_or_odd_is_said_before_anything_is_asked(url, environment, error, words):
    with pytest.raises(error, match=words) as refused:
        options_of(url, environment)
    assert "SECRETX" not in str(refused.value)


@pytest.fixture
def objects(store):
    return ObjectStore(URL, store.environment())


def test_what_is_put_is_found_read_and_removed(objects, store, tmp_path):
    path = tmp_path / "calls.csv"
    path.write_bytes(b"x" * 9_000_000 + b"end")
    sent = objects.put("calls.csv", path, nothing)
    assert store.objects() == {"runs/today/calls.csv": path.read_bytes()}
    assert objects.listed() == {"calls.csv": objects.look_at("calls.csv")}
    assert objects.look_at("calls.csv").size == sent.size == 9_000_003
    assert objects.read("calls.csv") == path.read_bytes()
    with (tmp_path / "back").open("wb") as sink:
        assert objects.fetch("calls.csv", sink) == sent
    assert (tmp_path / "back").read_bytes() == path.read_bytes()
    objects.remove("calls.csv")
    objects.remove("calls.csv")
    assert objects.listed() == {}
    assert objects.look_at("calls.csv") is None


def test_folders_of_split_tables_are_listed_and_others_are_not(objects, store):
    for key in ("calls/part-00000.csv", "photos/1.csv", "a.csv", "calls/deeper/b.csv"):
        store.client().put_object(Bucket=BUCKET, Key=f"runs/today/{key}", Body=b"x")
    store.client().put_object(Bucket=BUCKET, Key="runs/today2/c.csv", Body=b"x")
    assert sorted(objects.listed(("calls", "rejects"))) == ["a.csv", "calls/part-00000.csv"]


def test_an_object_that_was_stopped_half_way_is_not_there(objects, store, tmp_path):
    path = tmp_path / "calls.csv"
    path.write_bytes(b"x" * 20_000_000)
    looks = []

    def stop_at_the_third(sent):
        looks.append(sent)
        if len(looks) == 3:
            raise InterruptedRunError(2)

    with pytest.raises(InterruptedRunError):
        objects.put("calls.csv", path, stop_at_the_third)
    assert looks == [0, 8 * 1024 * 1024, 16 * 1024 * 1024]
    gc.collect()
    assert store.writes() == []
    assert store.objects() == {}


def test_an_object_of_which_a_part_was_refused_is_not_there(objects, store, tmp_path):
    path = tmp_path / "calls.csv"
    path.write_bytes(b"x" * 30_000_000)
    store.fault = lambda request: (403, "AccessDenied") if "partNumber=2" in request["QUERY_STRING"] else None
    with pytest.raises(OutputError, match="denies access"):
        objects.put("calls.csv", path, nothing)
    gc.collect()
    assert any("partNumber=1" in query for _, _, query in store.log)
    assert store.writes() == []
    assert store.objects() == {}


def test_an_object_that_was_given_up_does_not_appear_when_the_process_ends(store, tmp_path):
    (tmp_path / "calls.csv").write_bytes(b"x" * 30_000_000)
    store.fault = lambda request: (403, "AccessDenied") if "partNumber=2" in request["QUERY_STRING"] else None
    code = (
        "import os; from pathlib import Path; from inventory.errors import OutputError\n"
        "from inventory.storage.object_store import ObjectStore, parse\n"
        f"store, path = ObjectStore(parse({str(URL)!r}), os.environ), Path({str(tmp_path / 'calls.csv')!r})\n"
        "try: store.put('calls.csv', path, lambda sent: None)\n"
        "except OutputError: print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "refused\n", "")
    assert store.writes() == []
    assert store.objects() == {}


def test_a_file_that_cannot_be_read_is_named(objects, store, tmp_path):
    with pytest.raises(OutputError, match=r"calls\.csv cannot be read: No such file"):
        objects.put("calls.csv", tmp_path / "calls.csv", nothing)
    assert store.objects() == {}


def test_a_bucket_that_is_not_there_is_said(store):
    missing = ObjectStore(ObjectUrl("s3", "no-such-bucket", "x"), store.environment())
    with pytest.raises(OutputError, match="s3://no-such-bucket/x: there is no such bucket; create it"):
        missing.listed()
    with pytest.raises(OutputError, match="does not contain the object"):
        missing.read("manifest.json")


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "AccessDenied", r"the store denies access \(ACCESS_DENIED in \w+\); give a credential that may list"),
        (403, "", "the store denies access"),
        (403, "InvalidAccessKeyId", "refuses the credential"),
        (403, "SignatureDoesNotMatch", "refuses the credential"),
        (400, "ExpiredToken", "refuses the credential"),
        (403, "RequestTimeTooSkewed", "the clocks of this machine and of the store differ"),
        (404, "NoSuchBucket", "there is no such bucket"),
        (404, "", "there is no such bucket; .* or the endpoint|the server there is not an object store"),
        (301, "PermanentRedirect", "the bucket is in another region .*; name its region: AWS_REGION"),
        (400, "AuthorizationHeaderMalformed", "the bucket is in another region"),
        (503, "SlowDown", "the store has an internal error"),
        (500, "InternalError", "the store has an internal error"),
        (502, "", "the store has an internal error"),
        (403, "AccountProblem", "the store says AccountProblem in "),
    ],
)
def test_each_refusal_is_one_sentence(store, tmp_path, monkeypatch, status, code, words):
    monkeypatch.setattr(object_store, "ATTEMPTS", 1)
    path = tmp_path / "calls.csv"
    path.write_bytes(b"x")
    quick = ObjectStore(URL, store.environment())
    store.fault = lambda _request: (status, code)
    for ask in (quick.listed, lambda: quick.put("calls.csv", path, nothing)):
        with pytest.raises(OutputError, match=words) as refused:
            ask()
        assert refused.value.exit_code == ExitCode.OUTPUT
        assert SECRET_KEY not in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_store_that_is_not_there_is_said(monkeypatch, store):
    monkeypatch.setattr(object_store, "ATTEMPTS", 1)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    away = ObjectStore(URL, {**store.environment(), "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}"})
    with pytest.raises(
        OutputError, match=rf"cannot be reached \(NETWORK_CONNECTION: .*\); .* endpoint: 127.0.0.1:{port}"
    ):
        away.listed()


def test_a_store_that_never_answers_is_given_up(monkeypatch, store):
    monkeypatch.setattr(object_store, "ATTEMPTS", 1)
    monkeypatch.setattr(object_store, "SILENT_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        away = ObjectStore(URL, {**store.environment(), "AWS_ENDPOINT_URL_S3": endpoint})
        with pytest.raises(OutputError, match=r"cannot be reached \(NETWORK_CONNECTION: Timeout was reached\)"):
            away.listed()


def test_obs_speaks_to_the_buckets_own_host(store, tmp_path):
    path = tmp_path / "calls.csv"
    path.write_bytes(b"x")
    hosts = []
    store.fault = lambda request: hosts.append(request["HTTP_HOST"])
    objects = ObjectStore(OBS, store.environment())
    objects.put("calls.csv", path, nothing)
    assert objects.listed()["calls.csv"].size == 1
    assert {host.split(":")[0] for host in hosts} == {f"{BUCKET}.localhost"}
    assert all(path.startswith("/runs/today") or path == "/" for _, path, _ in store.log)
