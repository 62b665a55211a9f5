import pytest
from support.reviews import finding, reviewed, urn

from inventory.reviews.fixes import Fixes
from inventory.reviews.outputs.documents import write_csv, write_json, write_parquet
from inventory.reviews.rule import load_builtin_rules

RULES = load_builtin_rules()
WRITERS = {"csv": write_csv, "parquet": write_parquet, "json": write_json}


def fixes(tmp_path, rows, form="parquet"):
    path = tmp_path / f"findings.{form}"
    with path.open("wb") as sink:
        WRITERS[form](reviewed(rows), "findings", sink)
    return Fixes(path, RULES)


@pytest.mark.parametrize("form", WRITERS)
def test_open_failures_of_a_subject_are_suggestions_by_rule(tmp_path, form):
    rows = [
        finding("a", "FGA104"),
        finding("a", "FGA101"),
        finding("ab", "FGA101"),
        finding("a", "FGA103", verdict="unknown", why_unknown="not_answered"),
        finding("a", "FGA102", verdict="pass"),
    ]
    found = fixes(tmp_path, rows, form)
    assert [name.partition(":")[0] for name, _ in found.of(urn("a"))] == ["FGA101", "FGA104"]
    assert len(found.of(urn("ab"))) == 1
    assert found.of(urn("b")) == found.of("") == []
    assert "max_async_retry_attempts = 3" in found.of(urn("a"))[1][1]


def test_a_review_without_findings_suggests_nothing(tmp_path):
    assert fixes(tmp_path, []).of(urn("a")) == []


def test_a_rule_that_is_not_known_suggests_to_look_it_up(tmp_path):
    assert fixes(tmp_path, [finding("a", "OWN001")]).of(urn("a")) == [("OWN001", "inventory rules OWN001 --rules DIR")]
