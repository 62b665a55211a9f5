import io
from datetime import UTC, datetime, timedelta

import pytest
from support.written_runs import (
    FAILED,
    NOT_ATTEMPTED,
    NOT_FOUND,
    PROJECT,
    SCOPE,
    config,
    leading,
    side,
    urn,
    write_run,
)

from inventory.errors import OutputError, UsageError
from inventory.reviews import finding_rows
from inventory.reviews.baseline import is_findings_file, read_baseline
from inventory.reviews.outputs.documents import write_csv, write_json, write_parquet
from inventory.reviews.request import Request, review_run

SMN = side("SMN", {"topic_urn": "urn:smn:cn-north-4:p:t"})
SILENT = config()
SAFE = leading(on_failure=SMN)
RULE = "FGA101"


def listed(**coverage):
    """The input of a run whose list the service gave in full."""
    covered = {"projects": [f"cn-north-4/{PROJECT}"], "versions": False, "aliases": False, **coverage}
    return {"files": [], "entries": 1, "urns": 1, "duplicates": 0, "rejects": 0, "listed": covered}


def rows_of(run, **options):
    with review_run(run, Request(**{"only": (RULE,), **options})) as result:
        return [row for batch in result.findings() for row in batch.to_pylist()]


def states(run, **options):
    return {row["subject"].split(":")[6]: (row["state"], row["verdict"]) for row in rows_of(run, **options)}


def written(run, path, **options):
    write = {".csv": write_csv, ".parquet": write_parquet, ".json": write_json}[path.suffix]
    sink = io.BytesIO()
    with review_run(run, Request(**{"only": (RULE,), **options})) as result:
        write(result, None if write is write_json else "findings", sink)
    path.write_bytes(sink.getvalue())
    return str(path)


@pytest.fixture(params=["run", "csv", "parquet", "json"])
def as_baseline(request, tmp_path):
    """Names a run, or the findings of it in each format, as the baseline."""

    def name(run, **options):
        if request.param == "run":
            return str(run)
        return written(run, tmp_path / f"earlier.{request.param}", **options)

    return name


def test_each_finding_has_its_state(tmp_path, as_baseline):
    old = write_run(
        tmp_path / "old",
        {
            urn("stays"): SILENT,
            urn("changes"): SILENT,
            urn("fixed"): SILENT,
            urn("deleted"): SILENT,
            urn("fails"): SILENT,
            urn("left"): SILENT,
            urn("removed"): SILENT,
            urn("safe"): SAFE,
        },
    )
    new = write_run(
        tmp_path / "new",
        {
            urn("stays"): SILENT,
            urn("changes"): config(max_async_retry_attempts=1),
            urn("fixed"): SAFE,
            urn("deleted"): NOT_FOUND,
            urn("fails"): FAILED,
            urn("left"): NOT_ATTEMPTED,
            urn("safe"): SILENT,
            urn("added"): SILENT,
        },
        day=7,
    )
    assert states(new, baseline=as_baseline(old)) == {
        "stays": ("unchanged", "fail"),
        "changes": ("changed", "fail"),
        "fixed": ("fixed", "pass"),
        "deleted": ("gone", "not_applicable"),
        "fails": ("unknown", "unknown"),
        "left": ("unknown", "unknown"),
        "removed": ("unknown", "unknown"),
        "safe": ("new", "fail"),
        "added": ("new", "fail"),
    }


@pytest.mark.parametrize("rows_per_batch", [1, 3, 7, 50_000])
def test_findings_with_a_baseline_keep_their_order(tmp_path, rows_per_batch, monkeypatch):
    monkeypatch.setattr(finding_rows, "_ROWS_PER_BATCH", rows_per_batch)
    names = [f"f{number}" for number in range(20)]
    old = write_run(tmp_path / "old", {urn(name): SILENT for name in names})
    new = write_run(tmp_path / "new", {urn(name): SILENT if "1" in name else SAFE for name in names}, day=7)
    with review_run(new, Request(only=(RULE,), baseline=str(old))) as result:
        batches = [batch.column("subject").to_pylist() for batch in result.findings()]
    assert [subject for batch in batches for subject in batch] == sorted(map(urn, names))
    assert {len(batch) for batch in batches[:-1]} <= {rows_per_batch}


def test_a_subject_that_only_left_the_list_is_unknown_and_one_that_the_service_no_longer_lists_is_gone(tmp_path):
    old = write_run(tmp_path / "old", {urn("f"): SILENT, f"{SCOPE}:f:v1": SILENT, f"{SCOPE}:f:!prod": SILENT})
    by_list = write_run(tmp_path / "list", {urn("g"): SAFE}, day=7)
    complete = write_run(tmp_path / "all", {urn("g"): SAFE}, day=7, input=listed())
    whole = write_run(tmp_path / "whole", {urn("g"): SAFE}, day=7, input=listed(versions=True, aliases=True))

    def of(run):
        found = rows_of(run, baseline=str(old))
        return {row["qualifier"]: (row["state"], row["why_unknown"]) for row in found}

    unknown = ("unknown", "not_listed")
    assert of(by_list) == {"latest": unknown, "v1": unknown, "prod": unknown}
    assert of(complete) == {"latest": ("gone", None), "v1": unknown, "prod": unknown}
    assert of(whole) == {"latest": ("gone", None), "v1": ("gone", None), "prod": ("gone", None)}


def test_a_finding_of_a_rule_that_no_longer_applies_is_gone_not_fixed(tmp_path):
    old = write_run(tmp_path / "old", {urn("f"): SILENT})
    new = write_run(tmp_path / "new", {urn("f"): None}, day=7)
    assert states(new, baseline=str(old)) == {"f": ("gone", "not_applicable")}


@pytest.mark.parametrize("list_of", ["user", "service"])
def test_a_destination_that_was_removed_is_gone_and_one_of_a_failed_urn_is_unknown(tmp_path, list_of):
    forever = side("OBS", {"bucket": "b", "prefix": "/", "expires": 0})
    month = side("OBS", {"bucket": "b", "prefix": "/", "expires": 30})
    old = write_run(
        tmp_path / "old",
        {urn(name): leading(on_success=forever, on_failure=SMN) for name in ("fixed", "removed", "fails", "other")},
    )
    new = write_run(
        tmp_path / "new",
        {
            urn("fixed"): leading(on_success=month),
            urn("removed"): SILENT,
            urn("fails"): FAILED,
            urn("other"): leading(on_success=SMN),
        },
        day=7,
        **({"input": listed(versions=True, aliases=True)} if list_of == "service" else {}),
    )
    found = rows_of(new, baseline=str(old), only=("FGA301",))
    assert {(row["function_name"], row["event"], row["state"]) for row in found} == {
        ("fixed", "on_success", "fixed"),
        ("removed", "on_success", "gone"),
        ("fails", "on_success", "unknown"),
        ("fails", None, "new"),
        ("other", "on_success", "gone"),
    }


def test_a_function_is_gone_only_if_its_latest_is(tmp_path):
    rules = tmp_path / "rules"
    rules.mkdir()
    header = "id = 'OWN001'\nname = 'n'\ntitle = 't'\narea = 'cost'\nseverity = 'low'\nsubject = 'function'\n"
    header += "why = 'w'\nfix = 'f'\nsource = 's'"
    (rules / "OWN001.sql").write_text(f"/*\n{header}\n*/\nSELECT subject, true AS fails FROM function_list")
    old = write_run(tmp_path / "old", {urn("f"): SILENT, f"{SCOPE}:g:v1": SILENT})
    new = write_run(tmp_path / "new", {urn("f"): NOT_FOUND, f"{SCOPE}:g:v1": NOT_FOUND}, day=7)
    found = states(new, baseline=str(old), rules=rules, only=("OWN001",))
    assert found == {"f": ("gone", "not_applicable"), "g": ("unknown", "unknown")}


def test_nothing_is_fixed_in_a_run_that_answered_nothing(tmp_path):
    names = [urn(f"f{number}") for number in range(5)]
    to_next = [leading(on_success=side("FunctionGraph", {"func_urn": names[(n + 1) % 5]})) for n in range(5)]
    old = write_run(tmp_path / "old", dict(zip(names, to_next, strict=True)))
    new = write_run(tmp_path / "new", dict.fromkeys(names, FAILED), day=7)
    found = rows_of(new, baseline=str(old), only=())
    assert {row["verdict"] for row in found} == {"unknown"}
    assert {row["state"] for row in found} == {"unknown", "unchanged", "new"}


def test_a_cycle_that_grew_is_not_fixed(tmp_path):
    def ring(*names):
        ahead = [*names[1:], names[0]]
        return {
            urn(name): leading(on_success=side("FunctionGraph", {"func_urn": urn(follower)}))
            for name, follower in zip(names, ahead, strict=True)
        }

    old = write_run(tmp_path / "old", ring("b", "c"))
    grown = write_run(tmp_path / "grown", ring("a", "b", "c"), day=7)
    broken = write_run(tmp_path / "broken", {**ring("b", "c"), urn("c"): SAFE}, day=7)
    assert states(grown, baseline=str(old), only=("FGA201",)) == {"a": ("new", "fail")}
    assert states(broken, baseline=str(old), only=("FGA201",)) == {"b": ("fixed", "pass")}


def test_a_failure_that_was_unknown_in_between_is_not_new(tmp_path, as_baseline):
    first = write_run(tmp_path / "first", {urn("f"): SILENT})
    second = write_run(tmp_path / "second", {urn("f"): FAILED}, day=7)
    third = write_run(tmp_path / "third", {urn("f"): SILENT}, day=14)
    fixed = write_run(tmp_path / "fixed", {urn("f"): SAFE}, day=14)
    between = written(second, tmp_path / "between.parquet", baseline=as_baseline(first))
    (row,) = rows_of(third, baseline=between)
    assert (row["state"], row["first_seen"]) == ("unchanged", _finished(0))
    assert states(fixed, baseline=between) == {"f": ("fixed", "pass")}


def test_a_failure_of_which_the_baseline_only_knew_nothing_is_new(tmp_path, as_baseline):
    old = write_run(tmp_path / "old", {urn("f"): FAILED})
    new = write_run(tmp_path / "new", {urn("f"): SILENT}, day=7)
    (row,) = rows_of(new, baseline=as_baseline(old))
    assert (row["state"], row["first_seen"]) == ("new", _finished(7))


def test_first_seen_is_that_of_the_baseline(tmp_path, as_baseline):
    old = write_run(tmp_path / "old", {urn("f"): SILENT, urn("u"): FAILED})
    new = write_run(tmp_path / "new", {urn("f"): SILENT, urn("u"): FAILED, urn("n"): SILENT}, day=7)
    seen = {row["function_name"]: row["first_seen"] for row in rows_of(new, baseline=as_baseline(old))}
    assert seen == {"f": _finished(0), "u": _finished(0), "n": _finished(7)}


def _finished(day):
    return datetime(2026, 11, 20, 1, tzinfo=UTC) + timedelta(days=day)


def test_rules_that_did_not_run_are_not_compared(tmp_path):
    old = write_run(tmp_path / "old", {urn("f"): config(max_async_retry_attempts=0)})
    new = write_run(tmp_path / "new", {urn("f"): config(max_async_retry_attempts=0, x=1)}, day=7)
    both = written(old, tmp_path / "both.json", only=("FGA101,FGA104",))
    assert {row["rule"]: row["state"] for row in rows_of(new, baseline=both)} == {"FGA101": "unchanged"}
    one = written(old, tmp_path / "one.json")
    with review_run(new, Request(only=("FGA101,FGA104",), baseline=one)) as result:
        found = [row for batch in result.findings() for row in batch.to_pylist()]
        assert result.warnings == ("not compared, because the baseline did not run them: FGA104",)
    assert {row["rule"]: row["state"] for row in found} == {"FGA101": "unchanged", "FGA104": None}


def test_only_new_findings_are_left_on_request(tmp_path):
    old = write_run(tmp_path / "old", {urn("f"): SILENT, urn("g"): SILENT})
    new = write_run(tmp_path / "new", {urn("f"): SILENT, urn("g"): SAFE, urn("n"): SILENT}, day=7)
    assert states(new, baseline=str(old), new_only=True) == {"n": ("new", "fail")}
    with review_run(new, Request(only=(RULE,), baseline=str(old), new_only=True)) as result:
        assert result.failures("high") == 1
    with review_run(new, Request(only=(RULE,), baseline=str(new), new_only=True)) as result:
        assert result.failures("high") == 0


def test_a_history_gives_the_run_that_had_a_finding_first(tmp_path):
    runs = tmp_path / "runs"
    write_run(runs / "1", {urn("f"): SILENT})
    write_run(runs / "2", {urn("f"): FAILED, urn("g"): SILENT}, day=1)
    write_run(runs / "3", {urn("f"): SILENT, urn("g"): SILENT, urn("n"): SILENT}, day=2)
    write_run(runs / "4", {urn("f"): SAFE, urn("g"): SAFE}, day=3)
    described = {}
    for row in rows_of(runs / "3", history=str(runs)):
        described[row["function_name"]] = (row["state"], row["first_seen"])
    assert described == {
        "f": ("unchanged", _finished(0)),
        "g": ("unchanged", _finished(1)),
        "n": ("new", _finished(2)),
    }


def test_a_history_without_an_earlier_run_is_a_warning(tmp_path):
    run = write_run(tmp_path / "run", {urn("f"): SILENT})
    (tmp_path / "empty").mkdir()
    with review_run(run, Request(only=(RULE,), history=str(tmp_path / "empty"))) as result:
        assert "contains no run before this one: findings have no state" in result.warnings[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"baseline": "a.csv", "history": "b"}, "give one of them"),
        ({"new_only": True}, "--new-only needs --baseline or --history"),
    ],
)
def test_impossible_combinations_are_refused(tmp_path, options, message):
    with pytest.raises(UsageError, match=message), review_run(tmp_path, Request(**options)):
        pass


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"function_urn\nx\n"),
        ("a.csv", b""),
        ("a.csv", b"\xff\xfe"),
        ("a.json", b"[]"),
        ("a.json", b'{"rules": [], "findings": [{}]}'),
        ("a.json", b'{"findings": '),
        ("a.parquet", b"no parquet"),
        (
            "a.json",
            (
                b'{"rules":[],"findings":[{"rule":"a","severity":"high","verdict":"fail","subject":"s","event":null,'
                b'"target":null,"evidence":{},"why_unknown":null,"state":null,"first_seen":"yesterday"}]}'
            ),
        ),
        (
            "a.json",
            (
                b'{"rules":[],"findings":[{"rule":"a","severity":"urgent","verdict":"fail","subject":"s","event":null,'
                b'"target":null,"evidence":{},"why_unknown":null,"state":null,"first_seen":"2026-11-20T00:00:00Z"}]}'
            ),
        ),
    ],
)
def test_a_file_that_has_no_findings_is_one_sentence(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"is no file of findings: .*; inventory review writes one"):
        read_baseline(path)


def test_a_missing_baseline_cannot_be_read(tmp_path):
    with pytest.raises(OutputError, match="cannot be read as findings: No such file"):
        read_baseline(tmp_path / "none.csv")
    with pytest.raises(UsageError, match=r"the baseline .*none: "):
        rows_of(write_run(tmp_path / "run", {urn("f"): SILENT}), baseline=str(tmp_path / "none"))


def test_a_folder_is_a_run_whatever_its_name(tmp_path):
    (tmp_path / "run.csv").mkdir()
    assert not is_findings_file(str(tmp_path / "run.csv"))
    assert is_findings_file("findings.CSV")
    assert not is_findings_file("s3://bucket/findings.csv")
