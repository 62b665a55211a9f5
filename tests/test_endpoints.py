"""Endpoints of regions from the SDK's variables and file."""

from __future__ import annotations

import pytest
from huaweicloudsdkcore.region.cache import ProfileRegionCache
from support.runs import call_cli, run_cli

from inventory.cloud.projects import select_projects
from inventory.endpoints import PREFIX, nearest_region, sdk_endpoints
from inventory.errors import SettingsError, UrnError
from inventory.ledger.writer import Ledger
from inventory.pipeline.load import check_same_run, load
from inventory.progress import ProgressObserver
from inventory.runs.facts import RunFacts
from inventory.settings import DEFAULT_ENDPOINT, DEFAULT_IAM_ENDPOINT, AccountSettings, ExportSettings
from inventory.settings_sources.checks import plain_http_warnings
from inventory.settings_sources.combine import combine, describe, restore
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
    (tmp_path / ".huaweicloud").mkdir()
    (tmp_path / ".huaweicloud" / "regions.yaml").write_text(FILE)
    return tmp_path


def test_file_is_read_as_by_the_sdk(home, monkeypatch):
    found = sdk_endpoints({}, home)
    assert found == {"cn-north-4": "https://one.example", "eu-de": "https://two.example"}
    monkeypatch.setenv("HUAWEICLOUD_SDK_REGIONS_FILE", str(home / ".huaweicloud" / "regions.yaml"))
    theirs = ProfileRegionCache._resolve_profile()
    assert found == {
        region.id: region.endpoints[0] for name, region in theirs.items() if name.startswith("FUNCTIONGRAPH")
    }


def test_variable_overrides_the_file(home):
    variables = {
        "HUAWEICLOUD_SDK_REGION_FUNCTIONGRAPH_CN_NORTH_4": "https://four.example,https://five.example",
        "HUAWEICLOUD_SDK_REGION_FUNCTIONGRAPH_EU_DE": " ",
        "HUAWEICLOUD_SDK_REGION_ECS_EU_DE": "https://other.example",
    }
    assert sdk_endpoints(variables, home) == {"cn-north-4": "https://four.example", "eu-de": "https://two.example"}
    assert sdk_endpoints({"HUAWEICLOUD_SDK_REGIONS_FILE": str(home / "none")}, home) == {}
    assert sdk_endpoints({}, None) == {}


@pytest.mark.parametrize("content", ["[", "- a", "FunctionGraph: 7", "FunctionGraph: [x]"])
def test_invalid_file_is_named(home, content):
    path = home / ".huaweicloud" / "regions.yaml"
    path.write_text(content)
    with pytest.raises(SettingsError, match=r"regions\.yaml is not a list of regions"):
        sdk_endpoints({}, home)


def test_sdk_endpoints_replace_only_the_default(home, monkeypatch):
    monkeypatch.setenv("HOME", str(home))
    settings = combine(None, {})
    assert settings.endpoint_for("cn-north-4") == "https://one.example"
    assert settings.endpoint_for("la-south-2") == "https://functiongraph.la-south-2.myhuaweicloud.com"
    assert combine(None, {"endpoint": "https://mine.example"}).endpoint_for("cn-north-4") == "https://mine.example"
    resumed = combine(None, {}, ExportSettings(region_endpoints={"cn-north-4": "https://as.it.began.example"}))
    assert resumed.endpoint_for("cn-north-4") == "https://as.it.began.example"


def test_sdk_iam_endpoint_replaces_the_default(home, monkeypatch):
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HUAWEICLOUD_SDK_IAM_ENDPOINT", "https://iam.one.example")
    assert combine(None, {}).iam_endpoint_for("eu-de") == "https://iam.one.example"
    assert combine(None, {"iam_endpoint": "https://mine.example"}).iam_endpoint_for("eu-de") == "https://mine.example"
    began = ExportSettings(iam_endpoint="https://as.it.began.example")
    assert combine(None, {}, began).iam_endpoint_for("eu-de") == "https://as.it.began.example"


def test_invalid_sdk_endpoint_is_named(tmp_path, write_list):
    variables = {"HUAWEICLOUD_SDK_REGION_FUNCTIONGRAPH_EU_DE": "eu-de"}
    done = run_cli("export", write_list(["x"]), "--dry-run", cwd=tmp_path, **variables)
    assert done.returncode == 2
    assert "the endpoint of eu-de 'eu-de' is not a URL such as https://" in done.stderr


def test_european_partition_has_its_own_domain(monkeypatch, home):
    monkeypatch.setenv("HOME", str(home))
    settings = combine(None, {})
    assert settings.endpoint_for("eu-west-101") == "https://functiongraph.eu-west-101.myhuaweicloud.eu"
    assert settings.iam_endpoint_for("eu-west-101") == "https://iam.eu-west-101.myhuaweicloud.eu"
    assert settings.endpoint_for("EU-WEST-101").endswith(".myhuaweicloud.eu")
    assert settings.iam_endpoint_for("Eu-West-101").endswith(".myhuaweicloud.eu")
    assert settings.endpoint_for("eu-west-0") == "https://functiongraph.eu-west-0.myhuaweicloud.com"
    given = combine(None, {"endpoint": DEFAULT_ENDPOINT, "iam_endpoint": DEFAULT_IAM_ENDPOINT})
    assert given.endpoint_for("eu-west-101") == "https://functiongraph.eu-west-101.myhuaweicloud.com"
    assert given.iam_endpoint_for("eu-west-101") == "https://iam.eu-west-101.myhuaweicloud.com"
    with pytest.raises(UrnError, match="region"):
        settings.endpoint_for("eu-west-1@evil.example/")


@pytest.mark.parametrize("where", ["command line", "file", "account"])
def test_explicit_default_endpoint_has_priority(monkeypatch, home, tmp_path, where):
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


def test_region_endpoints_have_priority_over_the_files_default(home, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(home))
    path = tmp_path / "inventory.toml"
    path.write_text(f'endpoint = "{DEFAULT_ENDPOINT}"\n[region-endpoints]\neu-de = "https://one.example"\n')
    assert combine(path, {}).endpoint_for("eu-de") == "https://one.example"
    given = combine(path, {"endpoint": DEFAULT_ENDPOINT})
    assert given.endpoint_for("eu-de") == "https://functiongraph.eu-de.myhuaweicloud.com"


def test_old_ledger_resumes_with_the_same_endpoint(home, tmp_path, monkeypatch, write_list):
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
def test_plain_http_causes_a_warning(given, hosts):
    words = plain_http_warnings(ExportSettings(**given))
    assert [one.split(" over plain http")[0].rsplit(" ", 1)[1] for one in words] == hosts


@pytest.mark.parametrize(
    "command",
    [("export", "urns.txt", "--attempts", "1"), ("check", "urns.txt"), ("discover", "--region", "cn-north-4")],
)
def test_commands_warn_once_per_host(tmp_path, write_list, monkeypatch, command):
    write_list([f"urn:fss:cn-north-{n}:p:function:default:f" for n in range(3)])
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    places = ("--endpoint", "http://fg.invalid", "--iam-endpoint", "http://fg.invalid")
    project = ("--project-id", "p") if command[0] == "discover" else ()
    done = call_cli(*command, *places, *project, cwd=tmp_path)
    assert done.stderr.count("warning: the credential goes to fg.invalid over plain http") == 1


def test_regions_of_the_sdk_are_compared_without_case():
    settings = ExportSettings(region_endpoints={"cn-North-4": "https://fg.internal"})
    assert settings.endpoint_for("CN-NORTH-4") == "https://fg.internal"


def test_message_shortens_an_overlong_region():
    with pytest.raises(UrnError) as caught:
        ExportSettings().endpoint_for("x" * 5000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("region", "nearest"),
    [
        ("cn-nroth-4", "cn-north-4"),
        ("cn-north4", "cn-north-4"),
        ("cn_north_4", "cn-north-4"),
        ("ap-southest-1", "ap-southeast-1"),
        ("ap-singapore-1", None),
        ("cn-north", "cn-north-9"),
        ("eu-west101", "eu-west-101"),
        ("my-kualalumper-1", "my-kualalumpur-1"),
        ("cn-north-4", None),
        ("CN-NORTH-4", None),
        ("cn-north-12", None),
        ("eu-north-0", None),
        ("eu-de", None),
        ("region-1", None),
        ("", None),
    ],
)
def test_a_misspelt_region_has_a_nearest_and_a_new_one_has_none(region, nearest):
    assert nearest_region(region) == nearest


def test_a_misspelt_region_is_refused_where_it_would_be_part_of_a_default_endpoint(monkeypatch):
    with pytest.raises(SettingsError, match=r"^--region 'cn-nroth-4' is no region .*did you mean cn-north-4\?"):
        combine(None, {"region": "cn-nroth-4"})
    assert combine(None, {"region": "cn-nroth-4", "endpoint": "https://mine.example"}).region == "cn-nroth-4"
    with pytest.raises(SettingsError, match="did you mean ap-southeast-1"):
        select_projects(combine(None, {}), ["cn-north-4", "ap-southest-1"], None)
    monkeypatch.setenv("INVENTORY_REGION", "cn-nroth-4")
    with pytest.raises(SettingsError, match=r"^INVENTORY_REGION 'cn-nroth-4' is no region"):
        combine(None, {})
    monkeypatch.setenv(f"{PREFIX}CN_NROTH_4", "https://mine.example")
    assert combine(None, {}).region == "cn-nroth-4"
