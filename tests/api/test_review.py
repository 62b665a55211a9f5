from datetime import UTC, date, datetime

import pandas as pd
import pyarrow as pa
import pytest
from support.written_runs import FAILED, config, leading, side, urn, write_run

import inventory
from inventory.errors import OutputError

SAFE = leading(on_failure=side("SMN", {"topic_urn": "urn:smn:cn-north-4:p:t"}))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    to_itself = leading(on_success=side("FunctionGraph", {"func_urn": urn("loop")}))
    return write_run(folder, {urn("silent"): config(), urn("safe"): SAFE, urn("loop"): to_itself, urn("u"): FAILED})


@pytest.fixture(scope="module")
def review(run):
    return inventory.review(run)


def test_a_review_has_frames(review):
    assert isinstance(review.findings, pd.DataFrame)
    critical = review.findings.query("severity == 'critical' and verdict == 'fail'")
    assert critical["subject"].tolist() == [urn("loop")]
    assert str(review.findings["first_seen"].dtype) == "timestamp[us, tz=UTC][pyarrow]"
    assert len(review.summary) == review.summary["rule"].nunique() > 30
    assert review.exposure["subject"].tolist() == sorted([urn("silent"), urn("safe"), urn("loop"), urn("u")])
    assert review.envelope.set_index("subject")["is_infinite"][urn("loop")]
    assert len(review.cycles) == 1
    assert 0 < review.coverage < 1
    assert review.taken == datetime(2026, 11, 20, 1, tzinfo=UTC)


def test_frames_have_the_columns_that_their_docstrings_count(review):
    assert review.findings.shape[1] == 22
    assert review.summary.shape[1] == 13
    assert review.exposure.shape[1] == 7
    assert review.envelope.shape[1] == 6


def test_an_arrow_table_has_the_same_rows(review):
    table = review.table("findings")
    assert isinstance(table, pa.Table)
    assert table.num_rows == len(review.findings)


def test_a_review_is_text_and_html(review):
    assert "critical FGA201" in repr(review)
    page = review._repr_html_()
    assert "<td" in page
    assert urn("loop") in page


def test_a_review_is_written_as_a_page(review, tmp_path):
    path = review.to_html(tmp_path / "review.html")
    assert path.read_text().startswith("<!DOCTYPE html>")
    with pytest.raises(OutputError, match="cannot be written"):
        review.to_html(tmp_path / "none" / "review.html")


def test_the_card_escapes_names(tmp_path):
    name = urn("<b>x</b>")
    folder = write_run(tmp_path / "<i>run", {name: config()})
    page = inventory.review(folder, only="FGA101")._repr_html_()
    assert "<b>x" not in page
    assert "<i>run" not in page
    assert "&lt;b&gt;x" in page


def test_a_snapshot_and_its_arguments_can_be_used(run, tmp_path):
    settings = tmp_path / "inventory.toml"
    settings.write_text(
        '[[suppress]]\nrule = "FGA101"\nsubjects = ["*:silent:*"]\nreason = "r"\nby = "b"\nuntil = 2026-12-31\n'
        "[review.defaults]\nretries = 1\n"
    )
    snapshot = inventory.open_snapshot(run)
    with inventory.review(
        snapshot, settings=settings, only=["FGA101"], baseline=snapshot, as_of=date(2026, 12, 31), keep_passes=True
    ) as review:
        found = {row.function_name: (row.verdict, row.suppressed) for row in review.findings.itertuples()}
    assert found == {
        "silent": ("fail", True),
        "safe": ("pass", False),
        "loop": ("fail", False),
        "u": ("unknown", False),
    }
    assert review.assumptions == ("URNs without a configuration have 1 retries ([review.defaults])",)
    assert set(review.findings.query("verdict == 'fail'")["state"]) == {"unchanged"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": "FGA999"}, "only 'FGA999': there is no such rule"),
        ({"new_only": True}, "new_only needs baseline or history"),
        ({"as_of": "2026-12-31"}, "as_of must be a date, not str"),
        ({"settings": "none.toml"}, "none.toml cannot be read"),
    ],
)
def test_wrong_arguments_are_one_sentence_in_python_terms(run, options, message):
    with pytest.raises(inventory.InventoryError, match=message):
        inventory.review(run, **options)


def test_a_review_frees_its_memory(run):
    review = inventory.review(run, only="FGA101")
    assert len(review.findings) > 0
    review.close()
    review.close()
    assert len(review.findings) > 0
