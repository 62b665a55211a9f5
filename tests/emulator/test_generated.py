from __future__ import annotations

import json
import re
import sys
import tracemalloc
from collections import Counter
from datetime import datetime
from itertools import islice

import msgspec
import pytest

from inventory.emulator import GeneratedCloud, Missing
from inventory.errors import SettingsError
from inventory.urn import FunctionUrn, parse

LATEST = ("latest", "version")


def answers(cloud: GeneratedCloud, limit: int | None = None):
    for text in cloud.urns(limit):
        yield text, cloud.answer(parse(text))


def destinations(answer: dict | Missing) -> list[dict]:
    config = answer.get("destination_config") if isinstance(answer, dict) else None
    return [side for side in (config or {}).values() if side]


@pytest.fixture(scope="module")
def cloud() -> GeneratedCloud:
    return GeneratedCloud(3000, 5)


@pytest.fixture(scope="module")
def configs(cloud) -> dict[str, dict]:
    return {text: answer for text, answer in answers(cloud) if isinstance(answer, dict)}


def test_the_same_seed_gives_the_same_cloud():
    first, second, other = GeneratedCloud(50, 1), GeneratedCloud(50, 1), GeneratedCloud(50, 2)
    assert list(answers(first)) == list(answers(second))
    assert set(first.urns()).isdisjoint(other.urns())


def test_answers_do_not_depend_on_earlier_calls(cloud):
    there = list(answers(cloud, 300))
    assert [(text, cloud.answer(parse(text))) for text, _ in reversed(there)] == there[::-1]


def test_a_million_functions_cost_no_memory():
    tracemalloc.start()
    cloud = GeneratedCloud(1_000_000)
    assert len(list(islice(cloud.urns(), 1000))) == 1000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    assert sys.getsizeof(cloud.urns()) < 1000


def test_a_limit_gives_the_beginning_of_the_list(cloud):
    assert list(cloud.urns(7)) == list(cloud.urns())[:7]


def test_the_list_names_each_urn_once_and_is_not_sorted(cloud):
    urns = list(cloud.urns())
    assert len(set(urns)) == len(urns)
    assert urns != sorted(urns)


def test_the_list_keeps_to_the_grammar(cloud):
    for text in cloud.urns():
        urn = parse(text)
        assert str(urn) == text
        assert len(text) <= 269
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,58}[A-Za-z0-9]", urn.function_name)
        assert re.fullmatch(r"[0-9a-f]{32}", urn.project_id)


def test_statuses_have_realistic_shares(cloud):
    counts = Counter("configured" if isinstance(answer, dict) else answer for _, answer in answers(cloud))
    total = counts.total()
    assert 0.55 <= counts["configured"] / total <= 0.60
    assert counts[Missing.CONFIG] / total > 0.3
    for missing in (Missing.FUNCTION, Missing.VERSION, Missing.ALIAS):
        assert 0 < counts[missing] / total < 0.05


def test_the_list_has_short_urns_versions_and_aliases(cloud):
    texts = list(cloud.urns())
    for pattern in (r"[^:]+(:[^:]+){6}", r".*:v\d\.\d", r".*:v\d{8}-\d{6}", r".*:!prod", r".*:latest"):
        assert any(re.fullmatch(pattern, text) for text in texts)


def test_a_made_up_name_is_not_found(cloud):
    real = parse(next(cloud.urns()))
    name = real.function_name
    for wrong in (
        real._replace(function_name=name[:-1] + ("0" if name[-1] != "0" else "1")),
        real._replace(function_name=re.sub(r"-(\d+)-", r"-0\1-", name)),
        real._replace(function_name="hello"),
        real._replace(function_name="a-²-b"),
        real._replace(function_name=f"a-{'9' * 5000}-b"),
        real._replace(package="nowhere"),
        real._replace(region="cn-east-3"),
        real._replace(project_id="0" * 32),
    ):
        assert cloud.answer(wrong) is Missing.FUNCTION


def test_missing_qualifiers_differ_from_missing_functions(cloud):
    real = parse(next(cloud.urns()))
    assert cloud.answer(real._replace(qualifier="v9.9", qualifier_type="version")) is Missing.VERSION
    assert cloud.answer(real._replace(qualifier="nope", qualifier_type="alias")) is Missing.ALIAS
    assert cloud.answer(real._replace(qualifier="latest", qualifier_type="alias")) is Missing.ALIAS


def test_a_urn_without_qualifier_means_latest(cloud, configs):
    urn = next(urn for urn in map(parse, configs) if urn.qualifier == "latest")
    short = cloud.answer(urn._replace(qualifier=None, qualifier_type=None))
    assert short == cloud.answer(urn)
    assert short["func_urn"] == str(urn)


def test_answers_name_the_full_urn(configs):
    assert all(config["func_urn"].count(":") == 7 for config in configs.values())


def test_aliases_may_differ_from_latest(cloud):
    kinds = set()
    for text, answer in answers(cloud):
        urn = parse(text)
        latest = cloud.answer(urn._replace(qualifier="latest", qualifier_type="version"))
        if urn.qualifier_type == "alias" and isinstance(latest, dict):
            same = isinstance(answer, dict) and {**answer, "func_urn": ""} == {**latest, "func_urn": ""}
            kinds.add("same" if same else "other" if isinstance(answer, dict) else "none")
    assert kinds == {"same", "other", "none"}


def test_every_documented_shape_of_no_destination_occurs(configs):
    shapes = {
        msgspec.json.encode(config.get("destination_config", "missing")).decode()
        for config in configs.values()
        if not any(side.get("destination") for side in destinations(config))
    }
    blank, braces = '{"destination":"","param":""}', '{"destination":"","param":"{}"}'
    both = '{{"on_success":{0},"on_failure":{0}}}'
    sides = {both.format(side) for side in ("{}", blank, braces, "null")}
    assert shapes == {'"missing"', "null", "{}", *sides}


def test_every_destination_has_its_documented_param(configs):
    keys, sides = {}, set()
    for config in configs.values():
        given_sides = {side: value for side, value in (config.get("destination_config") or {}).items() if value}
        sides.add(tuple(side for side, value in given_sides.items() if value["destination"]))
        for value in given_sides.values():
            if value["destination"]:
                keys.setdefault(value["destination"], set()).add(tuple(json.loads(value["param"])))
    assert sides == {(), ("on_success",), ("on_failure",), ("on_success", "on_failure")}
    assert keys == {
        "OBS": {("bucket", "prefix", "expires")},
        "SMN": {("topic_urn",)},
        "DIS": {("stream_name",)},
        "FunctionGraph": {("func_urn",)},
        "RocketMQ": {("instance_id", "topic")},
    }


def test_functions_form_cycles(cloud, configs):
    calls: dict[str, set[str]] = {}
    gone = 0
    for text, config in configs.items():
        for side in destinations(config):
            if side.get("destination") == "FunctionGraph":
                target = parse(json.loads(side["param"])["func_urn"])
                gone += cloud.answer(target) is Missing.FUNCTION
                calls.setdefault(parse(text).function_name, set()).add(target.function_name)
    assert 0 < gone < 100

    def reaches(start: str) -> bool:
        seen, todo = set(), set(calls[start])
        while todo:
            seen |= todo
            todo = {after for name in todo for after in calls.get(name, ())} - seen
        return start in seen

    assert sum(map(reaches, calls)) > 10


def test_times_are_rfc_3339_and_rarely_without_a_zone(configs):
    naive = 0
    for config in configs.values():
        created, modified = (datetime.fromisoformat(config[key]) for key in ("created_time", "last_modified"))
        if modified.tzinfo is None:
            naive += 1
            assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", config["last_modified"])
        else:
            assert created <= modified
    assert 0 < naive / len(configs) < 0.05
    assert {config["created_time"][-6:] for config in configs.values() if config["created_time"][-1] != "Z"} == {
        "+08:00"
    }
    assert any(config["created_time"].endswith("Z") for config in configs.values())


def test_the_status_log_flag_is_on_off_or_absent(configs):
    assert {config.get("enable_async_status_log") for config in configs.values()} == {True, False, None}


def test_keys_come_in_the_order_of_the_documentation(configs):
    full = [config for config in configs.values() if "destination_config" in config]
    assert {tuple(config)[:6] for config in full} == {
        (
            "func_urn",
            "max_async_event_age_in_seconds",
            "max_async_retry_attempts",
            "destination_config",
            "created_time",
            "last_modified",
        )
    }


def test_functions_are_distributed_over_the_scopes():
    cloud = GeneratedCloud(90, regions=("cn-north-4", "ap-southeast-1", "cn-north-4"))
    assert len(set(cloud.scopes)) == 3
    names = Counter((urn.region, urn.project_id) for urn in map(parse, cloud.urns()) if urn.qualifier == "latest")
    assert set(names) == set(cloud.scopes)
    for text, answer in answers(cloud):
        for side in destinations(answer):
            if side.get("destination") == "FunctionGraph":
                assert parse(json.loads(side["param"])["func_urn"])[:2] == parse(text)[:2]


def test_projects_may_be_named():
    cloud = GeneratedCloud(1, regions=("eu-west-101",), projects=("p1",))
    assert cloud.scopes == (("eu-west-101", "p1"),)
    assert isinstance(parse(next(cloud.urns())), FunctionUrn)


def test_the_smallest_clouds_work():
    assert list(GeneratedCloud(0).urns()) == []
    assert all(answer is not None for seed in range(200) for _, answer in answers(GeneratedCloud(1, seed)))


@pytest.mark.parametrize(
    "wrong",
    [{"functions": -1}, {"regions": ()}, {"regions": ("a", "b"), "projects": ("p",)}],
)
def test_a_wrong_size_is_a_settings_error(wrong):
    with pytest.raises(SettingsError):
        GeneratedCloud(**wrong)
