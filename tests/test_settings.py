from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from inventory.errors import SettingsError, UrnError
from inventory.settings import DEFAULT_ENDPOINT, ExportSettings
from inventory.settings_sources.checks import check_settings
from inventory.settings_sources.combine import combine, describe, restore
from inventory.settings_sources.toml_file import load_review_settings, load_settings


def test_defaults():
    settings = check_settings(ExportSettings())
    assert settings.endpoint == "https://functiongraph.{region}.myhuaweicloud.com"
    assert settings.format == ("parquet",)
    assert settings.max_per_second is None
    assert settings.endpoint_for("cn-north-4") == "https://functiongraph.cn-north-4.myhuaweicloud.com"


@pytest.mark.parametrize(
    ("changed", "option"),
    [
        ({"max_workers": 0}, "--max-workers"),
        ({"max_workers": 4097}, "--max-workers"),
        ({"attempts": 0}, "--attempts"),
        ({"timeout": 0.0}, "--timeout"),
        ({"timeout": -1.0}, "--timeout"),
        ({"timeout": float("nan")}, "--timeout"),
        ({"timeout": float("inf")}, "--timeout"),
        ({"max_per_second": -0.1}, "--max-per-second"),
        ({"max_per_second": float("nan")}, "--max-per-second"),
        ({"max_per_second": float("inf")}, "--max-per-second"),
        ({"format": ()}, "--format"),
        ({"naive_timezone": "Mars/Olympus"}, "--naive-timezone"),
        ({"naive_timezone": "../../etc/passwd"}, "--naive-timezone"),
        ({"naive_timezone": ""}, "--naive-timezone"),
    ],
)
def test_an_invalid_value_is_an_error_that_names_the_option(changed, option):
    with pytest.raises(SettingsError, match=f"^{option} "):
        check_settings(ExportSettings(**changed))


@pytest.mark.parametrize("changed", [{"max_per_second": 0.0}, {"max_workers": 1}, {"naive_timezone": "Asia/Shanghai"}])
def test_boundary_values_are_valid(changed):
    assert check_settings(ExportSettings(**changed)) == ExportSettings(**changed)


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "functiongraph.eu-de.otc.t-systems.com",
        "ftp://host",
        "file:///etc/passwd",
        "https://",
        "https://:443",
        "http://host:0",
        "http://host:99999",
        "http://host:port",
        "http://[::1",
        "http://ho st",
        "http://host\n.evil.com",
        "http://höst",
        "https://user@host",
        "https://user:password@host",
        "https://host?x=1",
        "https://host/#f",
    ],
)
def test_an_invalid_endpoint_is_refused(endpoint):
    with pytest.raises(SettingsError, match=r"^--endpoint "):
        check_settings(ExportSettings(endpoint=endpoint))


@pytest.mark.parametrize("endpoint", ["https://user:hunter2@host", "ftp://user:hunter2@host", "https://user:hunter2@"])
def test_a_password_in_an_endpoint_is_not_in_the_message(endpoint):
    with pytest.raises(SettingsError) as caught:
        check_settings(ExportSettings(endpoint=endpoint))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "base"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("http://[::1]:80/base/", "http://[::1]:80/base"),
        ("https://functiongraph.{region}.otc.t-systems.com", "https://functiongraph.eu-de.otc.t-systems.com"),
        ("https://gate.example/{region}/", "https://gate.example/eu-de"),
    ],
)
def test_the_base_url_of_a_region(endpoint, base):
    assert check_settings(ExportSettings(endpoint=endpoint)).endpoint_for("eu-de") == base


@pytest.mark.parametrize(
    "region",
    [
        "x@evil.com",
        "evil.com/",
        "evil.com",
        "a:1",
        "",
        "-a",
        "a-",
        "a b",
        "a\n",
        "a" * 64,
        "{region}",
        "ä",
        "a\\b",
        "[a]",
    ],
)
def test_a_region_cannot_lead_the_token_to_another_host(region):
    with pytest.raises(UrnError, match="region"):
        ExportSettings().endpoint_for(region)


def test_a_fixed_endpoint_takes_any_region():
    assert ExportSettings(endpoint="http://127.0.0.1:1").endpoint_for("<region_id>") == "http://127.0.0.1:1"


def test_a_settings_file_has_the_names_of_the_options(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text('region = "eu-de"\nmax-workers = 8\nmax-per-second = 2\nformat = ["csv", "parquet"]\ntimeout = 5\n')
    assert load_settings(path) == {
        "region": "eu-de",
        "max_workers": 8,
        "max_per_second": 2.0,
        "format": ("csv", "parquet"),
        "timeout": 5.0,
    }


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("max_workers", "max-workers"),
        ("max-worker", "max-workers"),
        ("projectid", "project-id"),
        ("token", "token-file"),
    ],
)
def test_an_unknown_key_names_the_nearest(tmp_path, key, nearest):
    path = tmp_path / "settings.toml"
    path.write_text(f'{key} = "x"\n')
    with pytest.raises(SettingsError, match=f"'{key}'.*'{nearest}'"):
        load_settings(path)


@pytest.mark.parametrize(
    "line",
    ['max-workers = "8"', "max-workers = 1.5", "region = 4", 'format = "csv"', 'format = ["xml"]', "timeout = true"],
)
def test_a_value_of_another_type_is_refused(tmp_path, line):
    path = tmp_path / "settings.toml"
    path.write_text(line + "\n")
    with pytest.raises(SettingsError, match=line.split(" ", maxsplit=1)[0]):
        load_settings(path)


@pytest.mark.parametrize("content", [b"max-workers", b"= 1", b"\xff\xfe", b"a = 1\na = 2", b"\0"])
def test_invalid_toml_is_refused(tmp_path, content):
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"broken\.toml"):
        load_settings(path)


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_an_unreadable_settings_file_is_an_error(tmp_path, name):
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path / name)


def test_described_settings_are_plain_values():
    described = describe(ExportSettings(region="eu-de", max_per_second=0.0, token_file="secret.txt"))
    assert described["region"] == "eu-de"
    assert described["max-per-second"] == 0.0
    assert described["token-file"] == "secret.txt"
    assert set(described) == {
        "endpoint",
        "iam-endpoint",
        "region",
        "project-id",
        "token-file",
        "column",
        "format",
        "max-workers",
        "max-per-second",
        "timeout",
        "attempts",
        "quota-share",
        "max-time",
        "naive-timezone",
        "rows-per-file",
        "drop-bodies",
        "batch",
        "accounts",
        "region-endpoints",
        "ca-bundle",
        "transport",
    }


ACCOUNTS = """
max-per-second = 100

[[accounts]]
name = "prod"
environment = "PROD"
regions = ["cn-north-4", "eu-de"]
endpoint = "https://prod.{region}.example"
max-per-second = 5
max-workers = 4

[[accounts]]
name = "one project"
profile = "keys"
projects = ["p1"]

[[accounts]]
name = "rest"
token-file = "token"
regions = ["ap-southeast-1"]
"""


def test_accounts_own_scopes_and_override_settings(tmp_path):
    path = tmp_path / "inventory.toml"
    path.write_text(ACCOUNTS)
    settings = combine(path, {})
    owners = {
        ("cn-north-4", "p9"): "prod",
        ("cn-north-4", "p1"): "prod",
        ("la-south-2", "p1"): "one project",
        ("ap-southeast-1", "p2"): "rest",
        ("la-south-2", "p2"): None,
        ("ap-southeast-1", None): "one project",
    }
    for scope, name in owners.items():
        account = settings.account_of(*scope)
        assert (account and account.name) == name, scope
    prod, other = settings.for_scope("eu-de", "x"), settings.for_scope("la-south-2", "p2")
    assert (prod.endpoint_for("eu-de"), prod.pace, prod.max_workers) == ("https://prod.eu-de.example", 5.0, 4)
    assert (other.endpoint, other.pace, other.max_workers) == (DEFAULT_ENDPOINT, 100.0, 64)
    assert restore(describe(settings)) == settings


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("region = 'x'", "account 'a' has the key 'region', which is no setting; the nearest is 'regions'"),
        ("token = 'secret'", "account 'a' has the key 'token', which is no setting; the nearest is 'token-file'"),
        ("regions = 'x'", "regions must be an array, not a text"),
        ("endpoint = 'x'", "account 'a': endpoint 'x' is not a URL"),
        ("environment = 'A-B'", "account 'a': environment A-B cannot be used"),
        ("profile = 'x'\ntoken-file = 'y'", "one of environment, profile and token-file"),
        ("max-workers = 0", "account 'a': max-workers 0 cannot be used"),
        ("max-per-second = -1", "account 'a': max-per-second -1.0 cannot be used"),
        ("[[accounts]]\nname = 'a'", "each a name of its own"),
    ],
)
def test_an_invalid_account_is_an_error(tmp_path, line, message):
    path = tmp_path / "inventory.toml"
    path.write_text(f"[[accounts]]\nname = 'a'\n{line}\n")
    with pytest.raises(SettingsError) as caught:
        combine(path, {})
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_command_line_wins_over_accounts(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text('[[accounts]]\nname = "a"\nendpoint = "https://a.example"\nmax-per-second = 500\nmax-workers = 3\n')
    scope = combine(path, {"endpoint": "http://127.0.0.1:1", "max_per_second": 5.0}).for_scope("r", "p")
    assert (scope.endpoint_for("r"), scope.pace, scope.max_workers) == ("http://127.0.0.1:1", 5.0, 3)
    assert combine(path, {}).for_scope("r", "p").endpoint_for("r") == "https://a.example"
    with pytest.raises(SettingsError, match="--token-file holds the token of one account"):
        combine(path, {"token_file": "token.txt"})


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="a device of POSIX")
def test_a_settings_file_without_end_is_refused():
    with pytest.raises(SettingsError, match="/dev/zero is no settings file: it has over 4,000,000 bytes"):
        load_settings(Path("/dev/zero"))


REVIEW = """
max-per-second = 50
[review]
allowed_regions = ["cn-north-4"]
[review.defaults]
retries = 1
[rules.FGA106]
short_age_s = 600
severity = "medium"
[rules.FGA104]
enabled = false
[[suppress]]
rule = "FGA101"
subjects = ["*:function:test:*"]
reason = "test functions"
until = 2027-01-31
by = "team"
[[suppress]]
finding = "0123456789abcdef"
reason = "accepted"
until = "2027-01-31"
by = "team"
"""


def test_each_command_reads_its_own_sections_of_a_settings_file(tmp_path):
    path = tmp_path / "inventory.toml"
    path.write_text(REVIEW)
    assert load_settings(path) == {"max_per_second": 50}
    review = load_review_settings(path)
    assert review.review.allowed_regions == ("cn-north-4",)
    assert (review.review.defaults.retries, review.review.defaults.age_s) == (1, None)
    assert review.rules == {"FGA106": {"short_age_s": 600, "severity": "medium"}, "FGA104": {"enabled": False}}
    assert [item.until for item in review.suppress] == [date(2027, 1, 31)] * 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[supress]]\nrule = 'FGA101'", "has the key 'supress', which is no setting; the nearest is 'suppress'"),
        ("max_per_seconds = 1", "the nearest is 'max-per-second'"),
        ("[review]\nregions = []", "unknown field `regions`"),
        ("[review.defaults]\nretries = -1", ">= 0"),
        ("[review.defaults]\nage_s = 99999999999999999999", "defaults.age_s"),
        ("[rules.FGA106]\nenabled = 'no'", r"\[rules.FGA106\] enabled is 'no'; it must be true or false"),
        ("[rules.FGA106]\nseverity = 'urgent'", "severity is 'urgent'; it must be one of critical, high, medium"),
        ("[[suppress]]\nrule = 'FGA101'\nsubjects = ['*']\nreason = 'x'\nby = 'y'", "missing required field `until`"),
        ("[[suppress]]\nrule = 'FGA101'\nreason = 'x'\nby = 'y'\nuntil = 2027-01-01", "needs rule and subjects, or"),
        ("[[suppress]]\nsubjects = ['*']\nreason = 'x'\nby = 'y'\nuntil = 2027-01-01", "needs rule and subjects, or"),
        ("[[suppress]]\nreason = 'x'\nby = 'y'\nuntil = 2027-01-01", "number 1 needs rule and subjects, or finding"),
        (
            "[[suppress]]\nfinding = 'a'\nrule = 'FGA1'\nsubjects = ['*']\nreason = 'x'\nby = 'y'\nuntil = 2027-01-01",
            "needs rule and subjects, or finding",
        ),
        ("[[suppress]]\nfinding = 'a'\nrule = 'F'\nreason = 'x'\nby = 'y'\nuntil = 2027-01-01", "needs rule and"),
        ("[[suppress]]\nfinding = 'a'\nreason = ' '\nby = 'y'\nuntil = 2027-01-01", "reason is empty"),
        ("[[suppress]]\nfinding = 'a'\nreason = 'x'\nby = ''\nuntil = 2027-01-01", "by is empty"),
        ("[[suppress]]\nfinding = 'a'\nreason = 'x'\nby = 'y'\nuntil = 'soon'", "until"),
    ],
)
def test_an_invalid_review_setting_is_one_sentence(tmp_path, text, message):
    path = tmp_path / "inventory.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_review_settings(path)
