import csv
import io
import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.reviews import finding, reviewed, rule, suppression

from inventory.reviews.outputs.documents import write_csv, write_json, write_parquet
from inventory.reviews.reviewed import schema_of

ROWS = [
    finding("f", evidence='{"retries":0,"age_s":1e30}'),
    finding("=cmd()", "FGA104", "medium", target="@x", evidence=None),
    finding("u\x1b\u202e", "FGA104", "medium", verdict="unknown"),
]
ENVELOPE = pa.Table.from_pylist(
    [
        {"subject": "a", "fewest_invocations": 1.0, "most_invocations": math.inf, "is_infinite": True},
        {"subject": "b", "fewest_invocations": 1.0, "most_invocations": 4.0, "is_infinite": False},
    ],
    schema=schema_of("envelope"),
)


def written(write, result, table):
    sink = io.BytesIO()
    write(result, table, sink)
    return sink.getvalue()


def test_json_has_findings_summary_coverage_and_times_in_utc():
    document = json.loads(written(write_json, reviewed(ROWS, warnings=["careful"]), None))
    assert document["finished"] == "2026-11-20T01:00:00Z"
    assert document["as_of"] == "2026-11-28"
    assert [row["subject"] for row in document["findings"]] == [row["subject"] for row in ROWS]
    assert document["findings"][0]["evidence"] == {"retries": 0, "age_s": 1e30}
    assert document["findings"][0]["first_seen"] == "2026-11-20T01:00:00Z"
    assert document["findings"][2]["why_unknown"] == "not_answered"
    assert [row["rule"] for row in document["summary"]] == ["FGA101", "FGA104"]
    assert document["summary"][1]["unknown_reasons"] == {"not_answered": 1}
    assert document["coverage"] == pytest.approx(22 / 23)
    assert document["warnings"] == ["careful"]


def test_json_of_infinite_numbers_is_null():
    document = json.loads(written(write_json, reviewed(ROWS, tables={"envelope": ENVELOPE}), "envelope"))
    assert [(row["most_invocations"], row["is_infinite"]) for row in document["envelope"]] == [(None, True), (4, False)]
    assert "findings" not in document


@pytest.mark.parametrize("write", [write_csv, write_parquet, write_json])
def test_the_place_of_the_run_changes_no_byte(write):
    assert written(write, reviewed(ROWS, run="a"), "findings") == written(write, reviewed(ROWS, run="b"), "findings")


def test_json_is_printable_and_keeps_the_digits_of_evidence():
    text = written(write_json, reviewed(ROWS, warnings=["out\udcffput"]), None).decode()
    assert all(line.isprintable() for line in text.split("\n"))
    assert '{"retries":0,"age_s":1e30}' in text


def test_csv_is_guarded_and_parquet_has_the_same_cells():
    text = written(write_csv, reviewed(ROWS), "findings").decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows[1]["target"] == "'@x"
    table = pq.read_table(io.BytesIO(written(write_parquet, reviewed(ROWS), "findings")))
    assert table["subject"].to_pylist() == [row["subject"] for row in rows]
    assert table["target"].to_pylist()[1] == "@x"
    assert table.schema.metadata[b"inventory.rules"] == b"FGA101 FGA104"


@pytest.mark.parametrize("write", [write_csv, write_parquet, write_json])
@pytest.mark.parametrize("table", ["findings", "summary", "envelope", "exposure"])
def test_the_same_review_gives_the_same_bytes(write, table):
    tables = {"envelope": ENVELOPE, "exposure": schema_of("exposure").empty_table()}
    first, second = (written(write, reviewed(ROWS, tables=tables), table) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("write", [write_csv, write_parquet, write_json])
def test_a_review_without_findings_has_its_columns(write):
    content = written(write, reviewed([], rule()), "findings")
    if write is write_json:
        assert json.loads(content)["findings"] == []
    else:
        assert b"finding_id" in content


def test_the_summary_counts_suppressed_findings():
    result = reviewed(ROWS, suppress=[suppression(rule="FGA104", subjects=("*",))])
    rows = json.loads(written(write_json, result, "summary"))["summary"]
    assert [(row["rule"], row["suppressed"]) for row in rows] == [("FGA101", 0), ("FGA104", 2)]
