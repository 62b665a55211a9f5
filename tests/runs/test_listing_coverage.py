"""What two complete listings prove about a URN."""

from __future__ import annotations

import pytest
from support.written_runs import PROJECT, config, leading, side, urn, write_run

import inventory
from inventory.api.export import UnansweredWarning
from inventory.emulator import Emulator, FileCloud, Reply
from inventory.emulator.gateway.routes import Operation
from inventory.runs.listing_coverage import ListingCoverage, to_block

OTHER = "fedcba9876543210fedcba9876543210"
GONE = "the list that the service gave NEW does not hold it"


def version(name):
    return urn("f").replace("latest", name)


async def export_all(cloud, output, **options):
    async with Emulator(FileCloud(cloud)) as server:
        return await inventory.export_async(
            output=output, all=True, region="cn-north-4", project_id=PROJECT, endpoint=server.url, **options
        )


async def test_what_the_service_lists_no_more_is_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("HW_AUTH_TOKEN", "any")
    monkeypatch.setenv("HW_PROJECT_ID", PROJECT)
    kept = {urn("f"): config(), version("v2"): None}
    old = {**kept, version("v1"): config(), version("!live"): config(), urn("g"): None, urn("h"): config()}
    await export_all(old, tmp_path / "old", versions=True, aliases=True)
    await export_all({**kept, urn("i"): None}, tmp_path / "new", versions=True)
    diff = inventory.diff(tmp_path / "old", tmp_path / "new")
    reported = {row["function_urn"]: (row["kind"], row["note"]) for row in diff.table().to_pylist()}
    assert reported == {
        version("!live"): ("not_listed", None),
        version("v1"): ("removed", GONE),
        urn("g"): ("removed", GONE),
        urn("h"): ("removed", GONE),
        urn("i"): ("added", "the list that the service gave OLD did not hold it"),
    }
    assert diff.counts["unchanged"] == 2
    with pytest.warns(UnansweredWarning):
        await export_all({urn("a").replace(PROJECT, OTHER): None}, tmp_path / "nothing")
    emptied = inventory.diff(tmp_path / "old", tmp_path / "nothing")
    assert emptied.counts["removed"] == 3
    assert "listed no function at all to NEW in cn-north-4" in emptied.warnings[-1]


def test_a_list_of_the_service_says_nothing_of_what_was_never_there(tmp_path):
    there = leading(on_failure=side("SMN", {}))
    short = urn("d").removesuffix(":latest")
    elsewhere = urn("f").replace(PROJECT, OTHER)
    old = {
        urn("a"): "not_found",
        urn("b"): "failed",
        urn("c"): None,
        short: there,
        elsewhere: there,
        urn("e"): there,
    }
    block = to_block(ListingCoverage(frozenset({f"cn-north-4/{PROJECT}"})), {})
    empty = {"files": [], "entries": 0, "urns": 0, "duplicates": 0, "rejects": 0, "listed": block}
    runs = write_run(tmp_path / "old", old), write_run(tmp_path / "new", {}, day=1, input=empty)
    diff = inventory.diff(*runs)
    kinds = {row["function_urn"]: row["kind"] for row in diff.table().to_pylist()}
    assert {name for name, kind in kinds.items() if kind == "removed"} == {urn("e")}
    assert (diff.counts["unchanged"], diff.counts["not_listed"]) == (1, 4)


async def test_a_404_that_names_nothing_is_no_whole_list_of_versions(tmp_path, monkeypatch):
    monkeypatch.setenv("HW_AUTH_TOKEN", "any")
    answer = Emulator._answer

    def refuse(server, route, scope, found):
        listing = route.operation is Operation.LIST_VERSIONS
        return Reply(404, b'{"error_code":"FSS.0404"}') if listing else answer(server, route, scope, found)

    monkeypatch.setattr(Emulator, "_answer", refuse)
    snapshot = await export_all({urn("f"): None}, tmp_path / "run", versions=True, aliases=True)
    assert snapshot.manifest["input"]["listed"] == {
        "projects": [f"cn-north-4/{PROJECT}"],
        "versions": False,
        "aliases": True,
        "failed_reports": {},
    }
