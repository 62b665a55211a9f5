"""A difference equals the one of a slow comparison of the answers, written from docs/diff.md."""

import decimal
import json
import re
from collections import Counter
from datetime import datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.written_runs import FAILED, NOT_ATTEMPTED, NOT_FOUND, PROJECT, config, side, urn, write_run

import inventory
from inventory.errors import UsageError
from inventory.tables import schema

ABSENT = "absent"
EXACT = decimal.Context(prec=3000, Emax=10**9, Emin=-(10**9))
TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d+))?(Z|z|[+-]\d\d:\d\d)")

NUMBERS = ["0", "-0", "0.0", "1", "1.0", "1e0", "10E-1", "0.1", "0.1000000000000000000001", "1e400", "10e399"]
NUMBERS += ["9007199254740993", "9007199254740992.0", "9007199254740992", "1e23", "1" + 23 * "0", "1" * 30, "1" * 4200]
TEXTS = ['"1"', '""', '"é"', '"\\u00e9"', '"\\u002c"', '","', '"a:b"', '"=1+1"', '"\'"', '"\\ud800"', '"\\n"']
BROKEN = ["not json", " not json", "{", "", "=1", "'", "nul", "[1,", '{"a":1}}', "01", '{"a":NaN}', "1 1"]
SPACES = st.sampled_from(["", " ", "\n", "\t "])
TIMES = ["2026-01-02T03:04:05Z", "2026-01-02T11:04:05+08:00", "2026-01-02 03:04:05Z", "2026-01-02T03:04:05z"]
TIMES += ["2026-01-02T03:04:05.000Z", "2026-01-02T03:04:05.1234567Z", "2026-01-02T03:04:05,1234568Z", "odd", None]
TIMES += ["2026-01-02T11:04:05.1234567+08:00", "2026-01-02T03:04:05"]


def written(values):
    """JSON of lists and objects, with spaces, in any order, with repeated keys."""
    lists = st.builds(lambda items, space: f"[{space}{f'{space},'.join(items)}]", st.lists(values, max_size=3), SPACES)
    members = st.lists(st.tuples(st.sampled_from(['"a"', '"b"', '"\\u0061"', '"repeated_keys"']), values), max_size=3)
    objects = st.builds(
        lambda pairs, space: f"{{{f',{space}'.join(f'{key}{space}:{value}' for key, value in pairs)}}}", members, SPACES
    )
    return lists | objects


SCALARS = st.sampled_from([*NUMBERS, *TEXTS, "true", "false", "null"])
JSON = st.recursive(SCALARS, written, max_leaves=5)
PARAMS = st.sampled_from(BROKEN) | st.builds("{}{}{}".format, SPACES, JSON, SPACES)


@st.composite
def configs(draw):
    fields = config(
        max_async_retry_attempts=draw(st.sampled_from([0, 3])),
        created_time=draw(st.sampled_from(TIMES)),
        last_modified=draw(st.sampled_from(TIMES)),
        **draw(st.sampled_from([{}, {"enable_async_status_log": None}, {"enable_async_status_log": False}])),
    )
    events = draw(st.sets(st.sampled_from(["on_failure", "on_success"])))
    if events or draw(st.booleans()):
        kinds = st.sampled_from(["OBS", "SMN"])
        fields["destination_config"] = {event: side(draw(kinds), draw(PARAMS)) for event in sorted(events)}
    return fields, draw(st.none() | JSON)


ANSWERS = st.sampled_from([None, NOT_FOUND, FAILED, NOT_ATTEMPTED, ABSENT]) | configs()
VERSIONS = st.sampled_from(sorted(schema.COMPARABLE))
QUALIFIERS = ["latest", "v1", "!prod", None]


def body(answer):
    """The answer as the service sends it; ``zz`` is a field that no column has."""
    if not isinstance(answer, tuple):
        return answer
    fields, more = answer
    text = json.dumps(fields if more is None else {**fields, "zz": "@@"})
    return (text if more is None else text.replace('"@@"', more)).encode()


def meaning(text):
    """A form of a JSON text that is equal for equal meanings."""

    def of_object(pairs):
        values = {}
        for key, value in pairs:
            values.setdefault(key, []).append(value)
        return "object", sorted(values.items(), key=repr)

    def number(digits):
        return "number", str(EXACT.add(EXACT.create_decimal(digits).normalize(EXACT), 0))

    def no_number(name):
        raise ValueError(name)

    found = json.loads(
        text, parse_int=number, parse_float=number, parse_constant=no_number, object_pairs_hook=of_object
    )
    return repr(found)


def same_json(before, after):
    if before == after:
        return True
    if before is None or after is None:
        return False
    try:
        return meaning(before) == meaning(after)
    except ValueError:
        return False


def moment(text):
    parts = TIME.fullmatch(text or "")
    if parts is None:
        return None
    offset = timedelta()
    if parts[4] not in "Zz":
        offset = timedelta(hours=int(parts[4][:3]), minutes=int(parts[4][0] + parts[4][4:]))
    whole = datetime.fromisoformat(f"{parts[1]}T{parts[2]}") - offset
    return whole, Fraction(int(parts[3]), 10 ** len(parts[3])) if parts[3] else 0


def status_of(answer):
    return answer if isinstance(answer, str) else "not_configured" if answer is None else "configured"


def expected_changes(before, after, *, is_covered):  # noqa: PLR0911 - a line a case
    was, now = status_of(before), status_of(after)
    unanswered = (FAILED, NOT_ATTEMPTED)
    if now == ABSENT and is_covered and was == NOT_FOUND:
        return []
    if now == ABSENT and is_covered and was == "configured":
        return [("removed", None, None)]
    if now == ABSENT:
        return [("not_listed", None, None)]
    if now in unanswered:
        return [("unknown", None, None)]
    if was == ABSENT:
        return [("newly_listed" if now == NOT_FOUND else "added", None, None)]
    if was in unanswered:
        return [("newly_known", None, None)]
    if was != now:
        return [("removed" if now == NOT_FOUND else "added" if was == NOT_FOUND else "status_changed", None, None)]
    return [("changed", *field) for field in differing_fields(before, after)] if was == "configured" else []


def differing_fields(before, after):
    (old, old_more), (new, new_more) = before, after
    for name in ("created_time", "enable_async_status_log", "extra", "last_modified", "max_async_retry_attempts"):
        was, now = old.get(name), new.get(name)
        if name in {"created_time", "last_modified"}:
            is_same = was == now or (moment(was) is not None and moment(was) == moment(now))
        else:
            is_same = same_json(old_more, new_more) if name == "extra" else was == now
        if not is_same:
            yield None, name
    for event in ("on_failure", "on_success"):
        was, now = (fields.get("destination_config", {}).get(event, {}) for fields in (old, new))
        if was.get("destination") != now.get("destination"):
            yield event, "destination"
        if not same_json(was.get("param"), now.get("param")):
            yield event, "param"


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    data=st.data(),
    rows=st.integers(1, 4),
    formats=st.sampled_from([("parquet",), ("csv",)]),
    per_file=st.integers(0, 2),
)
def test_a_difference_equals_the_slow_comparison_of_the_answers(tmp_path, monkeypatch, data, rows, formats, per_file):
    for name in ("windows.ROWS_PER_BATCH", "windows.ROWS_PER_WINDOW", "join.ROWS_PER_JOIN"):
        monkeypatch.setattr(f"inventory.comparison.{name}", rows)
    pairs = data.draw(st.lists(st.tuples(ANSWERS, ANSWERS | st.none(), st.sampled_from(QUALIFIERS)), max_size=8))
    listed = data.draw(st.none() | st.tuples(st.booleans(), st.booleans()))
    old, new, expected = {}, {}, []
    for number, (before, after, qualifier) in enumerate(pairs):
        name = urn(f"f{number}").removesuffix(":latest") + (f":{qualifier}" if qualifier else "")
        is_alias = (qualifier or "").startswith("!")
        is_covered = bool(listed and qualifier and (listed[1] if is_alias else listed[0] or qualifier == "latest"))
        if before == after == ABSENT or (before is None and after == ABSENT and is_covered):
            continue  # the code of the answer decides whether the function exists
        old |= {} if before == ABSENT else {name: body(before)}
        new |= {} if after == ABSENT else {name: body(after)}
        expected += [(name, *change) for change in expected_changes(before, after, is_covered=is_covered)]
    runs = (
        write_run(tmp_path / "old", old, formats=formats, schema_version=data.draw(VERSIONS)),
        write_run(tmp_path / "new", new, day=1, rows_per_file=per_file),
    )
    if listed:
        manifest = json.loads((runs[1] / "manifest.json").read_text())
        block = {"projects": [f"cn-north-4/{PROJECT}"], "versions": listed[0], "aliases": listed[1]}
        manifest["input"]["listed"] = block
        (runs[1] / "manifest.json").write_text(json.dumps(manifest))
    diff = inventory.diff(*runs)
    changes = diff.table().to_pylist()
    assert [tuple(row[name] for name in ("function_urn", "kind", "event", "field")) for row in changes] == expected
    kinds = Counter({row["function_urn"]: row["kind"] for row in changes}.values())
    assert {kind: count for kind, count in diff.counts.items() if count and kind != "unchanged"} == kinds
    assert sum(diff.counts.values()) == len({*old, *new})
    for row in changes:
        if row["field"] is None:
            for text, run in ((row["before"], old), (row["after"], new)):
                assert_shows(text, run.get(row["function_urn"]))


def assert_shows(text, answer):
    """A config as text holds what the service answered."""
    if not isinstance(answer, bytes):
        assert text is None
        return
    sent = json.loads(answer, parse_int=str, parse_float=str)
    shown = json.loads(text, parse_int=str, parse_float=str)
    for name in ("max_async_retry_attempts", "created_time", "last_modified", "enable_async_status_log"):
        assert shown.get(name) == sent.get(name)
    for event in ("on_failure", "on_success"):
        side_sent = sent.get("destination_config", {}).get(event)
        assert (event in shown) is (side_sent is not None)
        if side_sent is not None:
            assert shown[event]["destination"] == side_sent["destination"]
            param = shown[event]["param"]
            assert isinstance(param, dict) or param == side_sent["param"]


@pytest.mark.parametrize("version", sorted({1, 2, 3} - set(schema.COMPARABLE)))
def test_tables_of_an_older_schema_are_refused(tmp_path, version):
    runs = write_run(tmp_path / "old", {}, schema_version=version), write_run(tmp_path / "new", {})
    for sides in (runs, runs[::-1]):
        with pytest.raises(UsageError, match=f"has tables of version {version}"):
            inventory.diff(*sides)
