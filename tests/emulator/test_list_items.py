"""The items of the emulator's list operations."""

from __future__ import annotations

import json
import re

import huaweicloudsdkfunctiongraph.v2 as models
import pytest

from inventory.emulator import SECRET_PREFIX, FileCloud, GeneratedCloud, load_state
from inventory.emulator.service.listings import list_aliases, list_functions, list_versions
from inventory.errors import SettingsError
from inventory.urn import parse

P = "0123456789abcdef0123456789abcdef"
BASE = f"urn:fss:cn-north-4:{P}:function:default:"
KEPT = {
    *("func_urn", "func_name", "version", "runtime", "timeout", "memory_size", "cpu", "gpu_memory", "strategy_config"),
    *("concurrency", "concurrent_num", "xrole", "app_xrole", "fail_count", "domain_id", "namespace", "project_name"),
    *("enterprise_project_id", "package", "func_vpc_id", "log_group_id", "log_stream_id", "type", "resource_id"),
    *("is_bridge_function", "long_time", "initializer_timeout", "last_modified", "digest", "code_size", "code_type"),
    "image_name",
}
KEPT_OF_ALIASES = {"name", "version", "alias_urn", "additional_version_weights", "last_modified"}
TEXTS = {
    *("handler", "code_url", "code_filename", "user_data", "encrypted_user_data", "description", "extend_config"),
    *("initializer_handler", "pre_stop_handler"),
}
TYPES = {"str": str, "int": int, "bool": bool, "datetime": str, "list[str]": list}


@pytest.fixture(scope="module")
def cloud() -> GeneratedCloud:
    return GeneratedCloud(1200, 7, projects=[P])


@pytest.fixture(scope="module")
def functions(cloud) -> list[dict]:
    pages = [list_functions(cloud, cloud.scopes[0], {"marker": str(marker)}) for marker in range(0, 1200, 400)]
    return [item for page in pages for item in json.loads(page.body)["functions"]]


@pytest.fixture(scope="module")
def versions(cloud, functions) -> list[dict]:
    pages = [list_versions(cloud, parse(item["func_urn"])) for item in functions]
    return [item for page in pages for item in json.loads(page.body)["versions"]]


@pytest.fixture(scope="module")
def aliases(cloud, functions) -> list[dict]:
    return [alias for item in functions for alias in json.loads(list_aliases(cloud, parse(item["func_urn"])).body)]


def config_of(cloud, item) -> dict:
    answer = cloud.answer(parse(f"{item['func_urn']}:{item['version']}"))
    return answer if isinstance(answer, dict) else {}


def sides(config: dict) -> dict[str, dict]:
    given = (config.get("destination_config") or {}).items()
    return {side: value for side, value in given if value and value["destination"]}


@pytest.mark.parametrize(
    ("name", "model", "count"),
    [("functions", models.ListFunctionResult, 41), ("versions", models.ListFunctionVersionResult, 40)],
)
def test_items_have_all_fields_of_the_vendors_model_with_its_types(request, name, model, count):
    types = {model.attribute_map[field]: kind for field, kind in model.openapi_types.items()}
    assert len(types) == count
    for item in request.getfixturevalue(name):
        assert set(item) - {"func_code"} == set(types)
        for field, kind in types.items():
            if kind in TYPES:
                assert type(item[field]) is TYPES[kind], field
    assert {"func_code" in item for item in request.getfixturevalue(name)} == {True, False}


def test_aliases_have_all_fields_of_the_vendors_model(aliases):
    assert {frozenset(item) for item in aliases} == {frozenset(models.ListVersionAliasResult.attribute_map.values())}
    weights = [item["additional_version_weights"] for item in aliases]
    assert {type(value) for given in weights if given for value in given.values()} == {int}
    assert None in weights
    assert {} in weights


@pytest.mark.parametrize("name", ["functions", "versions", "aliases"])
def test_secrets_are_in_the_fields_off_the_whitelist_only(request, name):
    kept = KEPT_OF_ALIASES if name == "aliases" else KEPT
    for item in request.getfixturevalue(name):
        leaks = {field for field, value in item.items() if SECRET_PREFIX in json.dumps(value)}
        assert not leaks & kept
        assert leaks >= TEXTS & set(item)
        assert all(f"{SECRET_PREFIX}-{field}" in item[field] for field in TEXTS & set(item))


def test_secrets_occur_in_inline_code_bridges_and_images(functions, versions):
    for items, field in ((functions, "func_code"), (functions, "bind_bridge_funcUrns"), (versions, "custom_image")):
        assert any(SECRET_PREFIX in json.dumps(item.get(field)) for item in items)


def test_items_depend_on_the_urn_alone(cloud, functions):
    again = GeneratedCloud(1200, 7, projects=[P])
    page = json.loads(list_functions(again, again.scopes[0], {"marker": "400", "maxitems": "7"}).body)
    assert page["functions"] == functions[400:407]
    other = GeneratedCloud(1200, 8, projects=[P])
    page = json.loads(list_functions(other, other.scopes[0], {}).body)
    assert {item["digest"] for item in page["functions"]}.isdisjoint(item["digest"] for item in functions)


def test_latest_has_the_same_values_in_both_lists(functions, versions):
    latest = {item["func_urn"]: item for item in versions if item["version"] == "latest"}
    assert len(latest) == len(functions)
    for item in functions:
        both = item.keys() & latest[item["func_urn"]].keys()
        assert {field: item[field] for field in both} == {field: latest[item["func_urn"]][field] for field in both}


def test_the_versions_of_a_function_share_what_is_no_setting_of_a_version(functions, versions):
    latest = {item["func_urn"]: item for item in functions}
    numbered = [item for item in versions if item["version"] != "latest"]
    for item in numbered:
        for field in ("runtime", "func_vpc_id", "strategy_config", "code_type", "app_xrole", "type", "long_time"):
            assert item[field] == latest[item["func_urn"]][field]
    for field in ("timeout", "memory_size", "digest"):
        assert any(item[field] != latest[item["func_urn"]][field] for item in numbered)


def test_some_targets_are_disabled(cloud, functions):
    disabled = {item["func_urn"] for item in functions if item["strategy_config"]["concurrency"] == 0}
    assert 0 < len(disabled) < len(functions) / 10
    targets = {
        str(parse(json.loads(side["param"])["func_urn"])._replace(qualifier=None, qualifier_type=None))
        for item in functions
        for side in sides(config_of(cloud, item)).values()
        if side["destination"] == "FunctionGraph"
    }
    assert targets & disabled
    assert targets - disabled
    assert {item["fail_count"] for item in functions if item["func_urn"] in disabled} == {0}


def test_few_functions_with_a_destination_have_no_agency(cloud, functions):
    agencies = [bool(item["xrole"]) for item in functions if sides(config_of(cloud, item))]
    assert 0 < agencies.count(False) / len(agencies) < 0.2
    assert any(not item["xrole"] for item in functions if not sides(config_of(cloud, item)))


def test_functions_fail_with_and_without_a_failure_destination(cloud, functions):
    failing = [item for item in functions if item["fail_count"]]
    assert 0.05 < len(failing) / len(functions) < 0.25
    assert {"on_failure" in sides(config_of(cloud, item)) for item in failing} == {True, False}


def test_some_ages_are_too_short_for_all_attempts(cloud, functions):
    configured = [(config_of(cloud, item), item["timeout"]) for item in functions if config_of(cloud, item)]
    short = [
        config["max_async_event_age_in_seconds"] < (1 + config["max_async_retry_attempts"]) * timeout
        for config, timeout in configured
    ]
    assert 0 < short.count(True) / len(short) < 0.5


def test_values_lie_within_the_documented_bounds(functions, versions):
    for item in [*functions, *versions]:
        assert 3 <= item["timeout"] <= 259_200
        assert item["long_time"] or item["timeout"] <= 900
        assert item["memory_size"] in {128, 256, 512, 768, 1024, 2048, 4096}
        assert item["cpu"] == item["memory_size"] * 100 // 128
        assert item["strategy_config"]["concurrency"] >= -1
        assert re.fullmatch(r"[0-9a-f]{128}", item["digest"])
    for field in ("func_vpc_id", "log_group_id", "log_stream_id", "app_xrole"):
        assert {bool(item[field]) for item in functions} == {True, False}
    assert {bool(item["log_group_id"]) == bool(item["log_stream_id"]) for item in functions} == {True}
    assert {item["type"] for item in functions} == {"v1", "v2"}


def test_aliases_point_to_versions_and_unreferenced_versions_are_old(versions, aliases):
    modified = {f"{item['func_urn']}:{item['version']}": item["last_modified"] for item in versions}
    used = set()
    for alias in aliases:
        function = alias["alias_urn"].partition(":!")[0]
        weights = alias["additional_version_weights"] or {}
        assert alias["version"] not in weights
        used |= {f"{function}:{version}" for version in (alias["version"], *weights)}
    assert used <= set(modified)
    assert any(alias["additional_version_weights"] for alias in aliases)
    assert {urn.endswith(":latest") for urn in used} == {True, False}
    unused = [text for urn, text in modified.items() if urn not in used and not urn.endswith(":latest")]
    assert unused
    assert max(unused) < "2026"
    assert min(text for urn, text in modified.items() if urn.endswith(":latest")) >= "2026"


def test_facts_of_a_state_file_replace_fields_of_versions_and_aliases(tmp_path):
    path = tmp_path / "state.json"
    functions = {f"{BASE}f:v1": None, f"{BASE}f:!prod": None}
    facts = {
        f"{BASE}f": {"fail_count": "many", "new": [1]},
        f"{BASE}f:v1": {"timeout": None},
        f"{BASE}f:!prod": {"version": "v9"},
    }
    path.write_text(json.dumps({"functions": functions, "facts": facts}))
    cloud = load_state(path)
    (listed,) = json.loads(list_functions(cloud, cloud.scopes[0], {}).body)["functions"]
    assert (listed["fail_count"], listed["new"], listed["version"]) == ("many", [1], "latest")
    latest, first = json.loads(list_versions(cloud, parse(f"{BASE}f")).body)["versions"]
    assert (latest["new"], first["timeout"], first["version"]) == ([1], None, "v1")
    (alias,) = json.loads(list_aliases(cloud, parse(f"{BASE}f")).body)
    assert (alias["version"], alias["name"]) == ("v9", "prod")


@pytest.mark.parametrize("urn", [f"{BASE}g", f"{BASE}f:v2", f"{BASE}f:!prod", "f"])
def test_facts_need_a_listed_urn(urn):
    with pytest.raises(SettingsError, match=r"^facts\['.*'\]: "):
        FileCloud({f"{BASE}f:v1": None}, facts={urn: {}})


@pytest.mark.parametrize("config", [None, {}, {"destination_config": 3}, {"destination_config": {"on_failure": "x"}}])
def test_items_of_any_config_are_listed(config):
    cloud = FileCloud({f"{BASE}f": config})
    (item,) = json.loads(list_functions(cloud, cloud.scopes[0], {}).body)["functions"]
    assert len(item) in {41, 42}
    (version,) = json.loads(list_versions(cloud, parse(f"{BASE}f")).body)["versions"]
    assert version["function_async_config"] == config
