"""Targets of FunctionGraph destinations."""

from support.snapshots import calls, functions, urn

from inventory.reviews import resolve_targets


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


def test_the_answered_duplicate_is_used():
    table = functions({"a": {}, "b": "failed", "b:latest": {}})
    assert resolve_targets(table, calls(("a", "on_failure", "b")))["target_status"].tolist() == ["configured"]


def test_an_empty_snapshot_has_no_targets():
    assert resolve_targets(functions({"a": {}}).iloc[:0], calls()).empty
