"""Proxies of the environment: how they are read, what goes through them, and that no output holds their secrets."""

from __future__ import annotations

import base64
import os
import re
import socket
import threading
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from support.object_store import BUCKET
from support.runs import call_cli, run_cli

from inventory.cloud.access_keys import _session_type, find_access_keys
from inventory.errors import OutputError, SettingsError
from inventory.proxies import Proxy, check_proxies, proxy_for
from inventory.redaction import Redactor
from inventory.storage.object_store import ObjectStore, ObjectUrl

URN = "urn:fss:cn-north-4:0123456789abcdef0123456789abcdef:function:default:f:latest"


@pytest.fixture(autouse=True)
def _no_proxies_from_outside(monkeypatch):
    for scheme in ("http", "https", "all", "no"):
        for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
            monkeypatch.delenv(name, raising=False)


@contextmanager
def proxy_that(answer):
    heads = []

    def serve(connection):
        with connection, connection.makefile("rwb") as stream:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = stream.readline()
                if not line:
                    return
                head += line
            heads.append(head.decode("latin-1"))
            stream.write(answer(heads[-1]).encode("latin-1"))

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1], heads
        listener.shutdown(socket.SHUT_RDWR)


def refuse(named, status="407 Proxy Authentication Required"):
    def answer(head):
        sent = next((line for line in head.splitlines() if line.lower().startswith("proxy-authorization")), "")
        body = f'{{"error_code": "{named}", "error_msg": "no {named} {quote(named, safe="")} {sent}"}}'
        body = body.encode().decode("latin-1")
        echo = named.encode().decode("latin-1")
        headers = f"X-Echo: {sent}\r\nX-Request-Id: {echo}\r\nContent-Length: {len(body)}\r\n\r\n"
        return f"HTTP/1.1 {status} {echo}\r\n{headers}{body}"

    return answer


@pytest.mark.parametrize(
    ("value", "proxy"),
    [
        ("proxy.example:3128", Proxy("http", "proxy.example", 3128)),
        ("HTTP://proxy.example:3128/", Proxy("http", "proxy.example", 3128)),
        ("https://proxy.example", Proxy("https", "proxy.example", 443)),
        ("http://[::1]:3128", Proxy("http", "[::1]", 3128)),
        ("svc:pw@proxy:1", Proxy("http", "proxy", 1, "svc", "pw", "Basic c3ZjOnB3")),
        ("http://:pw@proxy:1", Proxy("http", "proxy", 1, "", "pw", "Basic OnB3")),
        ("http://key@proxy:1", Proxy("http", "proxy", 1, "key", "", "Basic a2V5Og==")),
        ("http://DOM\\joe:pw@proxy:1", Proxy("http", "proxy", 1, "DOM\\joe", "pw", "Basic RE9NXGpvZTpwdw==")),
        ("http://@proxy:1", Proxy("http", "proxy", 1)),
        ("http://a:b:c@d e\"'@proxy:1", Proxy("http", "proxy", 1, "a", "b:c@d e\"'", "Basic YTpiOmNAZCBlIic=")),
        ("http://a:%2F%23%3F%5B%25@proxy:1", Proxy("http", "proxy", 1, "a", "/#?[%", "Basic YTovIz9bJQ==")),
        ("http://a:\u00fc%C3%BC@proxy:1", Proxy("http", "proxy", 1, "a", "\u00fc\u00fc", "Basic YTrDvMO8")),
    ],
)
def test_proxy_url_is_parsed(monkeypatch, value, proxy):
    monkeypatch.setenv("https_proxy", value)
    assert proxy_for("https://fg.example") == proxy
    assert "@" not in repr(proxy_for("https://fg.example"))


@pytest.mark.parametrize(
    "value",
    [
        *(f"http://svc:S3cr{odd}t-pw@127.0.0.1:3128" for odd in "/#?[]\n"),
        *(f"svc:S3cr{odd}t-pw@127.0.0.1:3128" for odd in "/#?["),
        "http://svc:1/t-pw@127.0.0.1:3128",
        "http://svc%3Aa:t-pw@127.0.0.1:3128",
        "http://svc:t-pw@127.0.0.1:99999",
        "http://svc:t-pw@:3128",
        "http://svc:t-pw@a..b:3128",
        "http://svc:t-pw@[zz]:3128",
        "http://svc:t-pw@\u00e4.example:3128",
        "http://svc:t-pw@127.0.0.1:3128/path",
        "ftp://svc:t-pw@127.0.0.1:3128",
        "socks5://svc:t-pw@127.0.0.1:1080",
        "socks5h://svc:t-pw@127.0.0.1:1080",
        "SOCKS4://svc:t-pw@127.0.0.1:1080",
        "socks://svc:t-pw@127.0.0.1:1080",
    ],
)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "http_proxy", "ALL_PROXY"])
def test_invalid_proxy_is_not_quoted(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(
        SettingsError, match=rf"^{name} (is not a valid proxy.*percent-encoded|names a SOCKS proxy)"
    ) as caught:
        check_proxies()
    words = str(caught.value)
    assert ("SOCKS" in words) == value.lower().startswith("socks")
    assert not any(secret in words for secret in ("svc", "S3cr", "t-pw", "127.0.0.1", "\n"))


@pytest.mark.parametrize("command", [("export", "urns.txt"), ("check", "urns.txt"), ("discover", "--region", "r")])
def test_commands_validate_proxies_first(tmp_path, write_list, monkeypatch, command):
    write_list([URN])
    monkeypatch.setenv("HTTPS_PROXY", "http://svc:S3cr/t-pw@127.0.0.1:1")
    done = call_cli(*command, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("inventory: HTTPS_PROXY is not a valid proxy")
    assert [path.name for path in tmp_path.iterdir()] == ["urns.txt"]


def test_all_proxy_is_the_default(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "proxy:1")
    assert proxy_for("http://fg.example") == proxy_for("https://fg.example") == Proxy("http", "proxy", 1)
    monkeypatch.setenv("ALL_PROXY", "socks://proxy:1")
    monkeypatch.setenv("http_proxy", "proxy:2")
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3")
    check_proxies()
    assert proxy_for("https://fg.example") == Proxy("http", "proxy", 3)


@pytest.mark.parametrize(
    "host",
    [
        *("169.254.169.254", "169.254.0.1", "[fe80::1]", "[::ffff:169.254.169.254]", "2852039166", "0xa9fea9fe"),
        *("127.0.0.1", "127.9.9.9", "127.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "LOCALHOST", "localhost."),
    ],
)
def test_local_addresses_need_no_proxy(monkeypatch, host):
    monkeypatch.setenv("http_proxy", "proxy:1")
    monkeypatch.setenv("no_proxy", "")
    assert proxy_for(f"http://{host}:80/path") is None


@pytest.mark.parametrize(
    ("exempt", "endpoint", "is_used"),
    [
        ("*", "https://fg.example", False),
        ("fg.example", "https://fg.example", False),
        (".example", "https://fg.example", False),
        ("a, example ", "https://fg.example", False),
        ("fg.example:8443", "https://fg.example:8443", False),
        ("fg.example:8443", "https://fg.example", True),
        ("g.example", "https://fg.example", True),
        ("10.0.0.0/8", "https://10.1.2.3", False),
        ("10.0.0.0/8", "https://11.1.2.3", True),
        ("fd00::/8", "https://[fd00::5]:1", False),
        ("fd00::5", "https://[fd00::5]", False),
        ("10.0.0.0/8,x/y", "https://[fd00::5]", True),
    ],
)
def test_no_proxy_is_applied(monkeypatch, exempt, endpoint, is_used):
    monkeypatch.setenv("https_proxy", "proxy:1")
    monkeypatch.setenv("NO_PROXY", exempt)
    assert (proxy_for(endpoint) is not None) == is_used


PASSWORDS = [
    *(f"S3cr{odd}t-pw" for odd in ("/", "#", "?", "[", "]", '"', "'", "@", ":", "%", " ", "\u00e4\u20ac")),
    *("pw1", "p@1", "a-long-password-of-a-company-that-nobody-guesses"),
]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("user", ["svc", "DOM\\svc", ""])
def test_proxy_secrets_are_always_redacted(monkeypatch, user, password):
    plain = f"{user}:{password}"
    encoded = f"{quote(user, safe='')}:{quote(password, safe='')}"
    header = base64.b64encode(plain.encode()).decode()
    monkeypatch.setenv("HTTPS_PROXY", f"http://{encoded}@proxy:1")
    for text in (plain, encoded, header, password, quote(password, safe="")):
        said = Redactor().redact(f"no <{text}> to http://{text}@proxy:1")
        assert text not in said, said
        assert said.startswith("no <[redacted]")
    assert header.encode() not in Redactor().redact_body(f'{{"a": "{header}"}}'.encode()) or len(header) < 8


def test_proxy_user_remains_in_bodies(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://payments:a-password-of-them@proxy:1")
    assert Redactor().redact_body(b'{"package": "payments"}') == b'{"package": "payments"}'
    assert Redactor().redact("payments is locked") == "[redacted] is locked"


LOCAL = "huaweicloudsdkcore.auth.internal.MetadataAccessor._METADATA_ENDPOINT"


def test_sdk_calls_metadata_directly(monkeypatch):
    with proxy_that(lambda _head: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as (port, heads):
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setattr(LOCAL, "http://127.0.0.1:1")
        assert find_access_keys() == (None, [])
        settings = _session_type()().merge_environment_settings("http://169.254.169.254/x", {}, False, None, None)
    assert heads == []
    assert settings["proxies"] == {}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_sdk_calls_other_services_through_the_proxy(tmp_path, monkeypatch, scheme):
    (tmp_path / "token").write_text("the-pods-token")
    monkeypatch.setenv("HC_CONTAINER_CREDENTIALS_FULL_URI", f"{scheme}://iam.example/credentials")
    monkeypatch.setenv("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setattr(LOCAL, "http://127.0.0.1:1")
    with proxy_that(refuse("svc7:S3cr/t \u20ac")) as (port, heads):
        monkeypatch.setenv(f"{scheme}_proxy", f"http://svc7:S3cr%2Ft%20%E2%82%AC@127.0.0.1:{port}")
        keys, hindered = find_access_keys()
    assert keys is None
    (head,) = heads
    start = "CONNECT iam.example:443 " if scheme == "https" else "POST http://iam.example/credentials "
    assert head.startswith(start)
    code = base64.b64encode("svc7:S3cr/t \u20ac".encode()).decode()
    assert f"Proxy-Authorization: Basic {code}" in head
    assert not [secret for secret in ("svc7", "S3cr", "%E2%82%AC", "Basic c3") if secret in hindered[0]]


def test_object_store_is_reached_through_the_proxy(store, monkeypatch, tmp_path):
    def forward(head):
        place = store.url.removeprefix("http://")
        plain = re.sub(r"(?i)connection: .*\r\n|proxy-.*\r\n", "", head.replace("http://s3.example", "", 1))
        with socket.create_connection(("127.0.0.1", int(place.rsplit(":", 1)[1]))) as there:
            there.sendall(
                plain.replace("s3.example", place).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").encode()
            )
            with there.makefile("rb") as stream:
                return stream.read().decode("latin-1")

    store.client().put_object(Bucket=BUCKET, Key="runs/today/a.csv", Body=b"abc")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://s3.example")
    with proxy_that(forward) as (port, heads):
        monkeypatch.setenv("http_proxy", f"http://svc:S3cr%2Ft@127.0.0.1:{port}")
        objects = ObjectStore(ObjectUrl("s3", BUCKET, "runs/today"), os.environ)
        assert list(objects.listed()) == ["a.csv"]
        assert objects.read("a.csv") == b"abc"
    assert len(heads) >= 2
    assert all("Proxy-Authorization: Basic c3ZjOlMzY3IvdA==" in head for head in heads)
    monkeypatch.setenv("no_proxy", "s3.example")
    with pytest.raises(OutputError, match="cannot be reached"):
        ObjectStore(ObjectUrl("s3", BUCKET, "runs/today"), os.environ).listed()


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (ObjectUrl("s3", BUCKET, "p"), "a-bucket.s3.us-east-1.amazonaws.com:443"),
        (ObjectUrl("obs", BUCKET, "p"), "a-bucket.obs.eu-west-101.myhuaweicloud.eu:443"),
    ],
)
def test_refusing_proxy_of_a_store_is_reported(monkeypatch, url, place):
    environment = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
    environment |= {"HW_ACCESS_KEY": "a", "HW_SECRET_KEY": "b", "HW_REGION_NAME": "eu-west-101"}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, environment[name])
    with proxy_that(refuse("svc7:S3cr/t")) as (port, heads):
        monkeypatch.setenv("HTTPS_PROXY", f"http://svc7:S3cr%2Ft@127.0.0.1:{port}")
        with pytest.raises(OutputError) as caught:
            ObjectStore(url, environment).listed()
        assert heads[0].startswith(f"CONNECT {place} ")
        assert "Proxy-Authorization: Basic c3ZjNzpTM2NyL3Q=" in heads[0]
    assert not [secret for secret in ("svc7", "S3cr", "c3ZjNz") if secret in str(caught.value)]
    monkeypatch.setenv("NO_PROXY", ".amazonaws.com,myhuaweicloud.eu")
    assert proxy_for(f"https://{place}") is None


COMMANDS = {
    "export": ("urns.txt", "--attempts", "1", "--output", "run", "--format", "csv", "--format", "parquet"),
    "check": ("urns.txt",),
    "discover": ("--region", "cn-north-4", "--output", "list.txt"),
}
LONG, SHORT = "S3cr/t \u00e4", "p/1"


@pytest.mark.parametrize(
    ("command", "scheme", "status", "password"),
    [
        *(("export", scheme, status, LONG) for scheme in ("http", "https") for status in (None, "407 No", "403 No")),
        *(("export", "http", status, SHORT) for status in ("407 No", "502 No")),
        *(("check", scheme, "407 No", LONG) for scheme in ("http", "https")),
        ("check", "http", "403 No", SHORT),
        ("discover", "http", None, LONG),
        ("discover", "https", "407 No", LONG),
    ],
)
def test_run_folder_contains_no_proxy_secret(tmp_path, write_list, command, scheme, status, password):
    user = "svc7"
    encoded = f"{quote(user)}:{quote(password, safe='')}"
    forms = (user, password, quote(password, safe=""), base64.b64encode(f"{user}:{password}".encode()).decode())
    write_list([URN])
    with proxy_that(refuse(f"{user}:{password}", status or "500")) as (port, heads):
        proxy = f"http://{encoded}@127.0.0.1:{port if status else 1}"
        names = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), proxy)
        endpoint = f"{scheme}://fg.example"
        arguments = (*COMMANDS[command], "--endpoint", endpoint, "--iam-endpoint", endpoint)
        done = run_cli(command, *arguments, cwd=tmp_path, **names, NO_PROXY="", no_proxy="")
        assert done.returncode not in {0, 70}, done.stderr
        more = [run_cli("status", "run", *form, cwd=tmp_path) for form in ((), ("--format", "json"))]
    assert "Traceback" not in done.stderr
    assert all(f"Authorization: Basic {forms[-1]}" in head for head in heads)
    assert bool(heads) == (status is not None)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    everything = b"".join(path.read_bytes() for path in files)
    everything += "".join(one.stdout + one.stderr for one in (done, *more)).encode()
    assert not [form for form in forms if form.encode() in everything]
