"""Endpoints of regions as the vendor's SDK is told them."""

from __future__ import annotations

import pytest
from huaweicloudsdkcore.region.cache import ProfileRegionCache
from support.runs import call_cli, run_cli

from inventory.endpoints import sdk_endpoints
from inventory.errors import SettingsError, UrnError
from inventory.ledger.writer import Ledger
from inventory.pipeline.load import check_same_run, load
from inventory.progress import ProgressObserver
from inventory.runs.facts import RunFacts
from inventory.settings import DEFAULT_ENDPOINT, DEFAULT_IAM_ENDPOINT, AccountSettings, ExportSettings
from inventory.settings_file import combine, describe, plain_http_warnings, restore
from inventory.sources.files import Source

FILE = """
FunctionGraph:
  - id: cn-north-4
    endpoint: https://one.example
  - id: eu-de
    endpoints: [https://two.example, https://three.example]
  - id: broken
ECS:
  - id: cn-north-4
    endpoint: https://other.example
"""


@pytest.fixture
def home(tmp_path):
    """A home with the SDK's file."""
    (tmp_path / ".huaweicloud").mkdir()
    (tmp_path / ".huaweicloud" / "regions.yaml").write_text(FILE)
    return tmp_path


def test_the_file_is_read_as_the_sdk_reads_it(home, monkeypatch):
    """What the SDK's own reader finds for FunctionGraph is found, region by region, and nothing of other services."""
    found = sdk_endpoints({}, home)
    assert found == {"cn-north-4": "https://one.example", "eu-de": "https://two.example"}
    monkeypatch.setenv("HUAWEICLOUD_SDK_REGIONS_FILE", str(home / ".huaweicloud" / "regions.yaml"))
    theirs = ProfileRegionCache._resolve_profile()
    assert found == {
        region.id: region.endpoints[0] for name, region in theirs.items() if name.startswith("FUNCTIONGRAPH")
    }


def test_a_variable_goes_before_the_file(home):
    """Of its endpoints the first counts; an empty one says nothing; a file that is named stands for the one at home."""
    variables = {
        "HUAWEICLOUD_SDK_REGION_FUNCTIONGRAPH_CN_NORTH_4": "https://four.example,https://five.example",
        "HUAWEICLOUD_SDK_REGION_FUNCTIONGRAPH_EU_DE": " ",
        "HUAWEICLOUD_SDK_REGION_ECS_EU_DE": "https://other.example",
    }
    assert sdk_endpoints(variables, home) == {"cn-north-4": "https://four.example", "eu-de": "https://two.example"}
    assert sdk_endpoints({"HUAWEICLOUD_SDK_REGIONS_FILE": str(home / "none")}, home) == {}
    assert sdk_endpoints({}, None) == {}


@pytest.mark.parametrize("content", ["[", "- a", "FunctionGraph: 7", "FunctionGraph: [x]"])
def test_a_file_of_another_form_is_named(home, content):
    """A sentence with the file's name, not a traceback."""
    path = home / ".huaweicloud" / "regions.yaml"
    path.write_text(content)
    with pytest.raises(SettingsError, match=r"regions\.yaml is no list of regions"):
        sdk_endpoints({}, home)


def test_they_stand_in_for_the_default_endpoint_only(home, monkeypatch):
    """--endpoint wins; a region that nobody told has Huawei Cloud's."""
    monkeypatch.setenv("HOME", str(home))
    settings = combine(None, {})
    assert settings.endpoint_for("cn-north-4") == "https://one.example"
    assert settings.endpoint_for("la-south-2") == "https://functiongraph.la-south-2.myhuaweicloud.com"
    assert combine(None, {"endpoint": "https://mine.example"}).endpoint_for("cn-north-4") == "https://mine.example"
    resumed = combine(None, {}, ExportSettings(region_endpoints={"cn-north-4": "https://as.it.began.example"}))
    assert resumed.endpoint_for("cn-north-4") == "https://as.it.began.example"


def test_the_sdks_endpoint_of_iam_stands_in_for_the_default(home, monkeypatch):
    """What the SDK looks projects up with does for us; whoever says --iam-endpoint means another."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HUAWEICLOUD_SDK_IAM_ENDPOINT", "https://iam.one.example")
    assert combine(None, {}).iam_endpoint_for("eu-de") == "https://iam.one.example"
    assert combine(None, {"iam_endpoint": "https://mine.example"}).iam_endpoint_for("eu-de") == "https://mine.example"
    began = ExportSettings(iam_endpoint="https://as.it.began.example")
    assert combine(None, {}, began).iam_endpoint_for("eu-de") == "https://as.it.began.example"


def test_an_odd_endpoint_of_the_sdk_is_named(tmp_path, write_list):
    """A variable that holds no URL is a settings error that names the region."""
    variables = {"HUAWEICLOUD_SDK_REGION_FUNCTIONGRAPH_EU_DE": "eu-de"}
    done = run_cli("export", write_list(["x"]), "--dry-run", cwd=tmp_path, **variables)
    assert done.returncode == 2
    assert "the endpoint of eu-de 'eu-de' is no URL such as https://" in done.stderr


def test_the_european_partition_has_a_domain_of_its_own(monkeypatch, home):
    """Token and password of eu-west-1xx never go to myhuaweicloud.com, unless that is what was given."""
    monkeypatch.setenv("HOME", str(home))
    settings = combine(None, {})
    assert settings.endpoint_for("eu-west-101") == "https://functiongraph.eu-west-101.myhuaweicloud.eu"
    assert settings.iam_endpoint_for("eu-west-101") == "https://iam.eu-west-101.myhuaweicloud.eu"
    assert settings.endpoint_for("eu-west-0") == "https://functiongraph.eu-west-0.myhuaweicloud.com"
    given = combine(None, {"endpoint": DEFAULT_ENDPOINT, "iam_endpoint": DEFAULT_IAM_ENDPOINT})
    assert given.endpoint_for("eu-west-101") == "https://functiongraph.eu-west-101.myhuaweicloud.com"
    assert given.iam_endpoint_for("eu-west-101") == "https://iam.eu-west-101.myhuaweicloud.com"
    with pytest.raises(UrnError, match="region"):
        settings.endpoint_for("eu-west-1@evil.example/")


@pytest.mark.parametrize("where", ["command line", "file", "account"])
def test_an_endpoint_that_was_given_wins_though_it_is_the_defaults(monkeypatch, home, tmp_path, where):
    """The SDK's variables and file say nothing against it, nor when a run goes on from its ledger."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HUAWEICLOUD_SDK_IAM_ENDPOINT", "https://iam.one.example")
    path = tmp_path / "inventory.toml"
    lines = f'endpoint = "{DEFAULT_ENDPOINT}"\niam-endpoint = "{DEFAULT_IAM_ENDPOINT}"\n'
    path.write_text({"file": lines, "account": f'[[accounts]]\nname = "a"\n{lines}'}.get(where, ""))
    given = {"endpoint": DEFAULT_ENDPOINT, "iam_endpoint": DEFAULT_IAM_ENDPOINT} if where == "command line" else {}
    began = combine(path, given)
    for settings in (
        began,
        combine(None, {}, restore(describe(began))),
        combine(path, given, restore(describe(began))),
    ):
        scope = settings.for_scope("cn-north-4", "p")
        assert scope.endpoint_for("cn-north-4") == "https://functiongraph.cn-north-4.myhuaweicloud.com"
        assert scope.iam_endpoint_for("cn-north-4") == "https://iam.cn-north-4.myhuaweicloud.com"


def test_endpoints_of_single_regions_in_a_file_go_before_its_default(home, tmp_path, monkeypatch):
    """Who names both in one file means the default for the other regions; the command line wins over both."""
    monkeypatch.setenv("HOME", str(home))
    path = tmp_path / "inventory.toml"
    path.write_text(f'endpoint = "{DEFAULT_ENDPOINT}"\n[region-endpoints]\neu-de = "https://one.example"\n')
    assert combine(path, {}).endpoint_for("eu-de") == "https://one.example"
    given = combine(path, {"endpoint": DEFAULT_ENDPOINT})
    assert given.endpoint_for("eu-de") == "https://functiongraph.eu-de.myhuaweicloud.com"


def test_a_ledger_of_before_goes_on_with_the_endpoint_that_is_given_again(home, tmp_path, monkeypatch, write_list):
    """There, what was given cannot be told from the default; to say it once more is not another endpoint."""
    monkeypatch.setenv("HOME", str(tmp_path))
    urns = write_list(["urn:fss:cn-north-4:p:function:default:f"])
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        load([Source(str(urns))], ledger, ExportSettings(), ProgressObserver())
        began = restore(RunFacts(ledger).settings)
        check_same_run([], ledger, combine(None, {"endpoint": DEFAULT_ENDPOINT}, began))
        with pytest.raises(SettingsError, match="--endpoint was https://functiongraph"):
            check_same_run([], ledger, combine(None, {"endpoint": "https://other.example"}, began))
        monkeypatch.setenv("HUAWEICLOUD_SDK_REGION_FUNCTIONGRAPH_CN_NORTH_4", "https://four.example")
        check_same_run([], ledger, combine(None, {}, began))


@pytest.mark.parametrize(
    ("given", "hosts"),
    [
        ({}, []),
        ({"endpoint": "http://fg.example", "iam_endpoint": "http://fg.example/v3"}, ["fg.example"]),
        ({"endpoint": "http://fg.{region}.example", "iam_endpoint": "https://x"}, ["fg.{region}.example"]),
        ({"endpoint": "http://127.0.0.1:1", "iam_endpoint": "http://localhost:1"}, []),
        ({"endpoint": "http://[::1]:1", "region_endpoints": {"a": "http://169.254.1.1"}}, []),
        ({"region_endpoints": {"a": "http://one.example", "b": "https://two.example"}}, ["one.example"]),
        ({"accounts": (AccountSettings("a", iam_endpoint="http://iam.example"),)}, ["iam.example"]),
    ],
)
def test_plain_http_to_another_host_is_warned_of(given, hosts):
    """Once for each host that a credential goes to; this machine is none."""
    words = plain_http_warnings(ExportSettings(**given))
    assert [one.split(" over plain http")[0].rsplit(" ", 1)[1] for one in words] == hosts


@pytest.mark.parametrize(
    "command",
    [("export", "urns.txt", "--attempts", "1"), ("check", "urns.txt"), ("discover", "--region", "cn-north-4")],
)
def test_each_command_that_calls_warns_once_a_host(tmp_path, write_list, monkeypatch, command):
    """One line, however many calls and scopes."""
    write_list([f"urn:fss:cn-north-{n}:p:function:default:f" for n in range(3)])
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    places = ("--endpoint", "http://fg.invalid", "--iam-endpoint", "http://fg.invalid")
    project = ("--project-id", "p") if command[0] == "discover" else ()
    done = call_cli(*command, *places, *project, cwd=tmp_path)
    assert done.stderr.count("warning: the credential goes to fg.invalid over plain http") == 1
