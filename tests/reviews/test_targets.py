import pandas as pd
import pytest
from support.snapshots import calls, functions, urn

import inventory
from inventory import Emulator
from inventory.reviews import GONE, resolve_targets, trace_chains


def test_each_target_gets_its_status():
    table = functions({"a": {}, "b:latest": "not_found", "c:v1": "failed", "d:!prod": "not_configured"})
    targets = ["a:latest", "b", "c:v1", "c:latest", "d:!prod", "d:prod", "e", "urn:smn:x:y:topic", None]
    resolved = resolve_targets(table, calls(*(("a", "on_success", target) for target in targets)))
    assert resolved["target_status"].tolist() == [
        "itself",
        "not_found",
        "failed",
        "other_qualifier",
        "not_configured",
        "other_qualifier",
        "not_listed",
        "not_a_function_urn",
        "not_a_function_urn",
    ]
    assert resolved["target"][1] == urn("b:latest")
    exists = [None if cell is pd.NA else bool(cell) for cell in resolved["target_exists"]]
    assert exists == [True, False, None, None, None, None, None, False, False]


@pytest.mark.parametrize(
    ("versions", "aliases", "missing"),
    [
        (True, True, ["gone"] * 4 + ["not_listed"]),
        (True, False, ["gone", "gone", "other_qualifier", "not_listed", "not_listed"]),
        (False, True, ["gone", "other_qualifier", "gone", "gone", "not_listed"]),
        (False, False, ["gone", "other_qualifier", "other_qualifier", "not_listed", "not_listed"]),
    ],
)
def test_what_the_service_did_not_list_is_gone_only_where_it_listed_that_kind(versions, aliases, missing):
    listed = {"projects": ["cn-north-4/p1"], "versions": versions, "aliases": aliases}
    table = functions({"a": {}, "a:latest": {}, "set": "not_configured"})
    table["function_exists"] = pd.array([True] * 3, dtype="boolean")
    elsewhere = "urn:fss:cn-north-4:p2:function:default:e"
    wanted = ["e", "a:v9", "a:!prod", "e:!prod", elsewhere]
    links = calls(*(("a:latest", "on_success", target) for target in [*wanted, "set"]))
    resolved = resolve_targets(table, links, {"input": {"listed": listed}})
    assert resolved["target_status"].tolist() == [*missing, "not_configured"]
    assert resolved["target_exists"].eq(False).fillna(False).tolist() == [kind == "gone" for kind in missing] + [False]
    assert resolved["target_exists"].iloc[-1]
    unlisted = resolve_targets(table, links, {"input": {"listed": None}})
    assert "gone" not in set(unlisted["target_status"])


def test_targets_of_a_full_listing_are_known_as_the_service_knows_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HW_AUTH_TOKEN", "any")
    with Emulator(functions=600, seed=3) as cloud:
        options = {"endpoint": cloud.url, "max_per_second": 0}
        scope = next(iter(cloud.state.scopes))
        full = inventory.export(
            all=True,
            versions=True,
            aliases=True,
            region=[scope.region],
            project_id=[scope.project_id],
            output=tmp_path / "all",
            **options,
        )
        resolved = resolve_targets(full.functions, full.destinations, full.manifest)
        asked = inventory.export(resolved["target"].dropna().unique().tolist(), tmp_path / "targets", **options)
    status = dict(zip(asked.functions["function_urn"], asked.functions["status"], strict=True))
    for row in resolved.itertuples():
        assert row.target_exists == (status[row.target] != "not_found")
    gone = resolved["target_status"].isin(GONE)
    assert gone.sum() > 20
    assert set(resolved["target_status"]) <= {"configured", "not_configured", "itself", "gone"}
    assert trace_chains(full.functions, full.destinations, full.manifest).links["target_exists"].all()
    without_manifest = resolve_targets(full.functions, full.destinations)
    assert without_manifest.loc[gone, "target_exists"].isna().all()


def test_the_answered_duplicate_is_used():
    table = functions({"a": {}, "b": "failed", "b:latest": {}})
    assert resolve_targets(table, calls(("a", "on_failure", "b")))["target_status"].tolist() == ["configured"]


def test_an_empty_snapshot_has_no_targets():
    assert resolve_targets(functions({"a": {}}).iloc[:0], calls()).empty
