import json
import random

import pytest
from support.runs import TOKEN
from support.shards import plan_only

from inventory.errors import OutputError, UsageError
from inventory.runs.shard_plan import VERSIONS, read_plan
from inventory.settings import AccountSettings
from inventory.storage.folder_store import FolderStore
from inventory.urn import scope_prefix


def urns_of(scope, count):
    return [f"urn:fss:{scope[0]}:{scope[1]}:function:default:f{number:03}:latest" for number in range(count)]


SCOPES = {
    ("cn-north-4", "b"): 20,
    ("cn-north-4", "a"): 20,
    ("cn-north-4", "a-b"): 5,
    ("ap-1", "big"): 70,
    ("z", "z"): 1,
}
URNS = [urn for scope, count in SCOPES.items() for urn in urns_of(scope, count)]


async def test_a_shard_has_whole_scopes_in_the_order_of_urns_up_to_the_size(tmp_path, write_list):
    plan = await plan_only(write_list(URNS), tmp_path / "run")
    scopes = [[tuple(scope) for scope in shard.scopes] for shard in plan.shards]
    assert scopes == [
        [("ap-1", "big", 70)],
        [("cn-north-4", "a-b", 5), ("cn-north-4", "a", 20)],
        [("cn-north-4", "b", 20), ("z", "z", 1)],
    ]
    prefixes = [scope_prefix(*scope[:2]) for shard in scopes for scope in shard]
    assert prefixes == sorted(prefixes)
    assert [shard.entries for shard in plan.shards] == [70, 25, 21]


async def test_the_same_list_gives_the_same_plan_in_any_order(tmp_path, write_list):
    source = write_list(URNS)
    for name in ("one", "other"):
        await plan_only(source, tmp_path / name)
    assert (tmp_path / "one/plan.json").read_bytes() == (tmp_path / "other/plan.json").read_bytes()
    shuffled = [*URNS, *URNS[::3]]
    random.Random(1).shuffle(shuffled)
    plan = await plan_only(write_list([*shuffled, "no urn"], "shuffled.txt"), tmp_path / "shuffled")
    assert plan.shards == read_plan(FolderStore(tmp_path / "one")).shards
    assert (plan.entries, plan.rejects) == (len(shuffled) + 1, 1)
    assert sum(shard.entries for shard in plan.shards) == len(URNS)


async def test_the_lists_contain_each_urn_once(tmp_path, write_list):
    odd = [*URNS, *URNS[:9], 'urn:fss:cn-north-4:a:function:default:"quoted",and:latest']
    plan = await plan_only(write_list(odd), tmp_path / "run")
    lists = [(tmp_path / "run" / shard.list_path).read_text(encoding="utf-8") for shard in plan.shards]
    listed = [json.loads(line) for text in lists for line in text.splitlines()]
    assert listed == sorted(set(odd))


async def test_a_shard_has_one_account(tmp_path, write_list):
    accounts = tuple(AccountSettings(name=name, projects=projects) for name, projects in {"x": ("a", "b")}.items())
    accounts += (AccountSettings(name="rest"),)
    plan = await plan_only(write_list(URNS), tmp_path / "run", urns_per_shard=1000, accounts=accounts)
    owners = {shard.account: {scope.project_id for scope in shard.scopes} for shard in plan.shards}
    assert len(plan.shards) == 2
    assert owners == {"x": {"a", "b"}, "rest": {"a-b", "big", "z"}}


async def test_a_plan_contains_settings_sources_and_no_secret(tmp_path, write_list, monkeypatch):
    monkeypatch.setenv("HW_AUTH_TOKEN", TOKEN)
    plan = await plan_only(write_list(URNS), tmp_path / "run", token_file="token.txt")
    assert plan.settings["token-file"] == "token.txt"
    assert [source.entries for source in plan.sources] == [len(URNS)]
    assert len(plan.sources[0].sha256) == 64
    for path in (tmp_path / "run").rglob("*"):
        assert path.is_dir() or TOKEN.encode() not in path.read_bytes()


async def test_a_worker_of_another_version_is_named_and_refused(tmp_path, write_list):
    plan = await plan_only(write_list(URNS), tmp_path / "run")
    plan.check_versions("worker 1", VERSIONS)
    for name in ("inventory", "python", "tables", "ledger"):
        with pytest.raises(UsageError, match=rf"worker 2 has {name} 0\.0 and the plan was made with"):
            plan.check_versions("worker 2", {**VERSIONS, name: "0.0"})


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1}', "null", '"\\ud800"'])
async def test_a_damaged_plan_is_refused(tmp_path, content):
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(OutputError, match=r"plan\.json is damaged"):
        read_plan(FolderStore(tmp_path))


async def test_a_plan_of_another_version_is_refused(tmp_path, write_list):
    await plan_only(write_list(URNS), tmp_path / "run")
    path = tmp_path / "run/plan.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2', 1))
    with pytest.raises(OutputError, match="of another version of inventory"):
        read_plan(FolderStore(tmp_path / "run"))


def test_a_place_without_a_plan_says_how_to_make_one(tmp_path):
    with pytest.raises(UsageError, match=r"contains no plan\.json: make it with inventory export --plan-only"):
        read_plan(FolderStore(tmp_path))
