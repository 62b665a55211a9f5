"""Endpoints of regions as the vendor's SDK is told them."""

from __future__ import annotations

import pytest
from huaweicloudsdkcore.region.cache import ProfileRegionCache
from runs import run_cli

from inventory.errors import SettingsError
from inventory.regions import sdk_endpoints
from inventory.settings import ExportSettings, combine

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
