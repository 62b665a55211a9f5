"""What a difference says of two runs whose true changes are known."""

import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.written_runs import FAILED, NOT_ATTEMPTED, NOT_FOUND, config, leading, side, urn, write_run

import inventory
from inventory.comparison import render
from inventory.comparison.kinds import CHANGED_KINDS, Kind
from inventory.comparison.statuses import kind_of
from inventory.errors import Status

TOPIC = {"topic_urn": "urn:smn:cn-north-4:p:alerts"}
BUCKET = {"bucket": "logs", "prefix": "/f", "expires": 5}


def compare(folder, old, new, **of_new):
    sides = [{urn(name): answer for name, answer in functions.items()} for functions in (old, new)]
    return inventory.diff(write_run(folder / "old", sides[0]), write_run(folder / "new", sides[1], day=1, **of_new))


def rows_of(diff, *columns):
    return [tuple(row[name] for name in columns) for row in diff.table().to_pylist()]


def changes_of(diff):
    return rows_of(diff, "event", "field", "before", "after")


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("absent", config(), "added"),
        ("absent", None, "added"),
        (NOT_FOUND, config(), "added"),
        (NOT_FOUND, None, "added"),
        (config(), NOT_FOUND, "removed"),
        (None, NOT_FOUND, "removed"),
        (config(), None, "status_changed"),
        (None, config(), "status_changed"),
        (config(), config(max_async_retry_attempts=1), "changed"),
        (config(), FAILED, "unknown"),
        (config(), NOT_ATTEMPTED, "unknown"),
        (NOT_FOUND, FAILED, "unknown"),
        (FAILED, NOT_ATTEMPTED, "unknown"),
        ("absent", FAILED, "unknown"),
        (FAILED, config(), "newly_known"),
        (NOT_ATTEMPTED, NOT_FOUND, "newly_known"),
        (config(), "absent", "not_listed"),
        (FAILED, "absent", "not_listed"),
        ("absent", NOT_FOUND, "newly_listed"),
        (config(), config(), "unchanged"),
        (None, None, "unchanged"),
        (NOT_FOUND, NOT_FOUND, "unchanged"),
    ],
)
def test_each_pair_of_fates_has_its_kind(tmp_path, before, after, kind):
    old, new = ({"f": answer, "g": config()} if answer != "absent" else {"g": config()} for answer in (before, after))
    diff = compare(tmp_path, old, new)
    assert {name: count for name, count in diff.counts.items() if count} == (
        {"unchanged": 2} if kind == "unchanged" else {kind: 1, "unchanged": 1}
    )
    assert rows_of(diff, "kind") == ([] if kind == "unchanged" else [(kind,)])
    assert bool(diff) is diff.changed is (kind in CHANGED_KINDS)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (config(), config(max_async_event_age_in_seconds=60), [(None, "max_async_event_age_in_seconds", "3600", "60")]),
        (config(), config(enable_async_status_log=False), [(None, "enable_async_status_log", None, "false")]),
        (config(odd=[1, True]), config(odd=[1, 1]), [(None, "extra", '{"odd":[1,true]}', '{"odd":[1,1]}')]),
        (config(odd=[1, 2.0]), config(odd=[1.0, 2]), []),
        (
            config(),
            config(last_modified="2026-11-20T00:00:00Z"),
            [(None, "last_modified", "2026-01-02T03:04:05Z", "2026-11-20T00:00:00Z")],
        ),
        (config(), config(last_modified="2026-01-02T11:04:05+08:00", created_time="2026-01-02T03:04:05.000Z"), []),
        (leading(on_failure=side("SMN", TOPIC)), leading(on_failure=side("SMN", json.dumps(TOPIC, indent=3))), []),
        (
            leading(on_failure=side("OBS", BUCKET)),
            leading(on_failure=side("OBS", dict(reversed(BUCKET.items())) | {"expires": 5.0})),
            [],
        ),
        (leading(on_failure=side("X", "not json")), leading(on_failure=side("X", "not json")), []),
        (leading(), leading(on_success=None, on_failure={}), []),
        (
            leading(on_failure=side("X", "not json")),
            leading(on_failure=side("X", "not  json")),
            [("on_failure", "param", "not json", "not  json")],
        ),
        (
            leading(),
            leading(on_failure=side("SMN", TOPIC)),
            [
                ("on_failure", "destination", None, "SMN"),
                ("on_failure", "param", None, json.dumps(TOPIC)[:1] + '"topic_urn":"urn:smn:cn-north-4:p:alerts"}'),
            ],
        ),
        (
            leading(on_success=side("OBS", '{"bucket":"a"}'), on_failure=side("DIS", "{}")),
            leading(on_success=side("OBS", '{"bucket":"b"}')),
            [
                ("on_failure", "destination", "DIS", None),
                ("on_failure", "param", "{}", None),
                ("on_success", "param", '{"bucket":"a"}', '{"bucket":"b"}'),
            ],
        ),
        (
            leading(on_failure={**side("OBS", "{}"), "odd": 1}),
            leading(on_failure={**side("OBS", "{}"), "odd": 2}),
            [("on_failure", "extra", '{"odd":1}', '{"odd":2}')],
        ),
    ],
)
def test_what_differs_is_told_field_by_field_and_by_what_it_says(tmp_path, before, after, expected):
    diff = compare(tmp_path, {"f": before}, {"f": after})
    assert changes_of(diff) == expected
    assert diff.counts["changed"] == bool(expected)
    assert sum(diff.fields.values()) == len(expected)


def test_what_is_unknown_carries_what_old_knew_and_how_old_that_is(tmp_path):
    diff = compare(tmp_path, {"f": leading(on_failure=side("SMN", TOPIC))}, {"f": FAILED})
    (row,) = diff.table().to_pylist()
    assert json.loads(row["before"])["on_failure"] == {"destination": "SMN", "param": TOPIC}
    assert json.loads(row["before"])["max_async_retry_attempts"] == 3
    assert (row["after"], row["old_status"], row["new_status"]) == (None, "configured", "failed")
    assert (row["known_at"].isoformat(), row["age_seconds"]) == ("2026-11-20T00:00:00+00:00", 25 * 3600)
    assert row["error_kind"] == "throttled"


def test_a_function_on_a_longer_list_is_told_from_one_that_was_made_since(tmp_path):
    new = {"f": config(), "g": config(created_time="2026-11-20T12:00:00Z"), "h": None, "i": config()}
    diff = compare(tmp_path, {"i": NOT_FOUND}, new)
    assert [note.rpartition("; ")[2] for (note,) in rows_of(diff, "note")] == [
        "its config is older than OLD",
        "its config is younger than OLD",
        "newly listed: OLD did not ask for it",
        "OLD asked for it, and it was not there",
    ]


ANSWERS = st.one_of(
    st.sampled_from([None, NOT_FOUND, FAILED, NOT_ATTEMPTED, "absent"]),
    st.builds(
        lambda retries, log, kind, bucket: (
            leading(**({} if kind is None else {"on_failure": side(kind, {"bucket": bucket})}))
            | {"max_async_retry_attempts": retries}
            | ({} if log is None else {"enable_async_status_log": log})
        ),
        st.integers(0, 2),
        st.sampled_from([None, True]),
        st.sampled_from([None, "OBS", "SMN"]),
        st.sampled_from("ab"),
    ),
)


def status_of(answer):
    if isinstance(answer, dict):
        return Status.CONFIGURED
    return {None: "not_configured", "absent": None}.get(answer, answer)


def truth(before, after):
    kind = kind_of(status_of(before), status_of(after))
    if kind is not None:
        return [(kind.value, None, None)]
    if not isinstance(before, dict):
        return []
    names = ("enable_async_status_log", "max_async_retry_attempts")
    fields = [(None, name) for name in names if before.get(name) != after.get(name)]
    old, new = (answer["destination_config"].get("on_failure", {}) for answer in (before, after))
    fields += [("on_failure", name) for name in ("destination", "param") if old.get(name) != new.get(name)]
    return [(Kind.CHANGED.value, *field) for field in fields]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(ANSWERS, ANSWERS), max_size=12), rows=st.integers(1, 4))
def test_random_edits_are_told_exactly_and_the_other_way_round_too(tmp_path, monkeypatch, pairs, rows):
    monkeypatch.setattr("inventory.comparison.windows.ROWS_PER_BATCH", rows)
    monkeypatch.setattr("inventory.comparison.windows.ROWS_PER_WINDOW", rows)
    monkeypatch.setattr("inventory.comparison.join.ROWS_PER_JOIN", rows)
    pairs = [pair for pair in pairs if pair != ("absent", "absent")]
    names = [f"f{number:02d}" for number in range(len(pairs))]
    old, new = (
        {urn(name): pair[index] for name, pair in zip(names, pairs, strict=True) if pair[index] != "absent"}
        for index in (0, 1)
    )
    runs = write_run(tmp_path / "old", old), write_run(tmp_path / "new", new, day=1)
    there, back = inventory.diff(*runs), inventory.diff(*reversed(runs))
    reported = rows_of(there, "function_urn", "kind", "event", "field")
    expected = [(urn(name), *row) for name, pair in zip(names, pairs, strict=True) for row in truth(*pair)]
    assert reported == expected == sorted(expected, key=lambda row: [part or "" for part in (row[0], *row[2:])])
    assert sum(there.counts.values()) == sum(back.counts.values()) == len(pairs)
    fields = ("function_urn", "event", "field")
    forth, again = (
        {row[:3]: row[3:] for row in rows_of(diff, *fields, *values, "kind") if row[-1] == Kind.CHANGED}
        for diff, values in ((there, ("before", "after")), (back, ("after", "before")))
    )
    assert forth == again
    assert there.counts["status_changed"] == back.counts["status_changed"]
    unknown = sum(answer in (FAILED, NOT_ATTEMPTED) for answer in old.values() if isinstance(answer, str))
    assert [kind for (kind,) in rows_of(inventory.diff(runs[0], runs[0]), "kind")] == ["unknown"] * unknown


def test_the_kind_of_two_statuses_never_removes_what_new_does_not_know():
    fates = [None, *(status.value for status in Status)]
    removed = {(old, new) for old in fates for new in fates if kind_of(old, new) == Kind.REMOVED}
    assert removed == {("configured", "not_found"), ("not_configured", "not_found")}


@pytest.mark.parametrize(
    ("before", "after", "is_change"),
    [
        ("2026-01-02T03:04:05.1234567Z", "2026-01-02T03:04:05.1234568Z", True),
        ("2026-01-02T03:04:05.123456Z", "2026-01-02T03:04:05.1234561Z", True),
        ("2026-01-02T03:04:05,1234567Z", "2026-01-02T03:04:05,1234568Z", True),
        ("2026-01-02T03:04:05.123456Z", "2026-01-02T03:04:05.12345600Z", False),
        ("2026-01-02T03:04:05Z", "2026-01-02T11:04:05+08:00", False),
        ("2026-01-02T03:04:05.0000001Z", "2026-01-02T11:04:05.0000001+08:00", False),
    ],
)
def test_times_are_compared_to_their_last_digit(tmp_path, before, after, is_change):
    old = write_run(tmp_path / "old", {urn("a"): config(last_modified=before)})
    new = write_run(tmp_path / "new", {urn("a"): config(last_modified=after)}, day=1)
    assert inventory.diff(old, new).fields == ({"last_modified": 1} if is_change else {})


def test_a_text_names_only_keys_that_differ_in_meaning(tmp_path):
    old = write_run(tmp_path / "old", {urn("a"): leading(on_failure=side("OBS", {"a": 1, "b": 2}))})
    new = write_run(tmp_path / "new", {urn("a"): leading(on_failure=side("OBS", {"a": 1.0, "b": 3}))}, day=1)
    sink = io.BytesIO()
    render.write(inventory.diff(old, new), "text", sink)
    assert "on_failure.param.b: 2 -> 3" in sink.getvalue().decode()
    assert "on_failure.param.a" not in sink.getvalue().decode()
