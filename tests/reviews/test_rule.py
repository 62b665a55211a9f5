"""Rule files: the header is read strictly, and the query is one SELECT."""

from __future__ import annotations

import re

import pytest

from inventory.errors import OutputError, UsageError
from inventory.reviews import evaluate, finding_rows, states
from inventory.reviews.rule import RESERVED_PARAMETERS, load_builtin_rules, load_rules, read_rule

HEADER = {
    "id": '"MINE001"',
    "name": '"mine"',
    "title": '"A title"',
    "area": '"cost"',
    "severity": '"low"',
    "subject": '"urn"',
    "why": '"Because."',
    "fix": '"Change it."',
    "source": '"nowhere"',
}
QUERY = "SELECT subject, false AS fails FROM subjects"


def rule_text(query=QUERY, **changes):
    lines = [f"{name} = {value}" for name, value in {**HEADER, **changes}.items() if value is not None]
    return "\n".join(["/*", *lines, "*/", query, ""])


def test_a_rule_of_ten_lines_is_enough():
    rule = read_rule(rule_text(), "mine.sql")
    assert (rule.id, rule.severity, rule.subject, rule.applies, rule.needs) == (
        "MINE001",
        "low",
        "urn",
        "true",
        ("functions",),
    )
    assert rule.sql == QUERY


def test_a_comment_mark_inside_the_header_does_not_end_it():
    rule = read_rule(rule_text(why="'''ends */ later'''"), "mine.sql")
    assert rule.why == "ends */ later"


def test_a_semicolon_and_comments_are_allowed():
    assert read_rule(rule_text(f"-- first\n{QUERY} -- second\n;\n"), "mine.sql").sql.startswith("-- first")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (QUERY, "is no rule: it does not begin with a header"),
        ("/* id = 1 */\nSELECT 1", "is no rule: it does not begin with a header"),
        (rule_text(colour='"red"'), "header is invalid: .*colour"),
        (rule_text(sql='"SELECT 1"'), "unknown key 'sql'"),
        (rule_text(origin='"x"'), "unknown key 'origin'"),
        (rule_text(id=None), "header is invalid: .*`id`"),
        (rule_text(id='"../x"'), "is not capital letters and digits"),
        (rule_text(severity='"urgent"'), "header is invalid: .*'urgent'"),
        (rule_text(area='"other"'), "header is invalid"),
        (rule_text(subject='"table"'), "header is invalid"),
        (rule_text(needs='["calls"]'), "header is invalid"),
        (rule_text(needs='"functions"'), "header is invalid"),
        (rule_text(title="7"), "header is invalid"),
        (rule_text(title='"'), "header is invalid"),
        (rule_text(applies='"status = "'), "the SQL is invalid"),
        (rule_text(applies='"true); SELECT (1"'), "not one condition"),
        (rule_text("SELECT 1; SELECT 2"), "exactly one SELECT"),
        (rule_text("DROP TABLE subjects"), "exactly one SELECT"),
        (rule_text("COPY subjects TO 'x.csv'"), "exactly one SELECT"),
        (rule_text("INSTALL httpfs"), "exactly one SELECT"),
        (rule_text("SET memory_limit = '1TB'"), "exactly one SELECT"),
        (rule_text("ATTACH 'x.db'"), "exactly one SELECT"),
        (rule_text(""), "exactly one SELECT"),
        (rule_text("SELECT 1) AS x, (SELECT 2"), "the SQL is invalid"),
        (rule_text("SELECT 1 /* open"), "the SQL is invalid"),
        (rule_text("SELECT $secret AS fails"), r"uses \$secret, which the header does not declare"),
        (rule_text(applies='"$secret > 1"'), r"applies uses \$secret, which the header does not declare"),
        (rule_text(**{"parameters.rule": '{ default = 1, meaning = "m" }'}), "the parameter rule needs another name"),
        (
            rule_text(**{"parameters.p": '{ default = nan, meaning = "m" }'}),
            "the parameter p is nan; it must be finite",
        ),
        (rule_text(terraform='"x"', command='"y"'), "has terraform and command"),
        (rule_text(folder='"x"'), "unknown key 'folder'"),
    ],
)
def test_another_form_is_one_sentence(text, message):
    with pytest.raises(UsageError, match=message) as caught:
        read_rule(text, "mine.sql")
    assert str(caught.value).startswith("mine.sql")
    assert "\n" not in str(caught.value)


def test_parameters_of_the_statements_around_a_query_are_reserved():
    statements = [
        value
        for module in (evaluate, finding_rows, states)
        for name, value in vars(module).items()
        if isinstance(value, str) and name.startswith("_") and any(part in value for part in ("{applies}", "{query}"))
    ]
    names = {name for text in statements for name in re.findall(r"\$([a-z_]+)", text)}
    assert names == RESERVED_PARAMETERS


def test_the_rules_of_a_folder_are_read(tmp_path):
    (tmp_path / "b.sql").write_text(rule_text(id='"MINE002"'))
    (tmp_path / "a.sql").write_text(rule_text())
    (tmp_path / "notes.txt").write_text("no rule")
    assert list(load_rules(tmp_path)) == ["MINE001", "MINE002"]


def test_a_rule_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "a.sql").write_text(rule_text(), "utf-8-sig")
    assert list(load_rules(tmp_path)) == ["MINE001"]


def test_a_rule_that_is_no_file_is_named(tmp_path):
    (tmp_path / "a.sql").mkdir()
    with pytest.raises(OutputError, match=r"a\.sql cannot be read as a rule"):
        load_rules(tmp_path)


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ({}, UsageError, "has no rule"),
        ({"a.sql": rule_text(), "b.sql": rule_text()}, UsageError, "the id MINE001 is already that of"),
        ({"a.sql": b"\xff\xfe"}, UsageError, "is not UTF-8"),
        (None, OutputError, "cannot be read as a folder of rules"),
    ],
)
def test_a_folder_without_valid_rules_is_one_sentence(tmp_path, files, error, message):
    folder = tmp_path / "rules"
    if files is not None:
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(error, match=message):
        load_rules(folder)


def test_the_files_of_the_package_have_the_names_of_their_rules():
    assert all(rule.origin == f"{name}.sql" for name, rule in load_builtin_rules().items())
