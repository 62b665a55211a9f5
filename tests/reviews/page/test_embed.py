import json

import pytest
from support.reviews import finding, reviewed, rule, table_of

from inventory.printable import printable
from inventory.reviews.outputs.wording import ASKS
from inventory.reviews.page.embed import MAX_TEXT, embed, encode_data

TEXTS = [
    "",
    "a",
    "ab",
    "abc",
    "b",
    "\u652f\u4ed8",
    "\u652f\u4ed8\u5355",
    "\U0001f600a",
    "\U0001f600b",
    "x\U0001f600\u652f",
    "</script>",
]


def decode(column, rows=1):
    """What the page's script does, with the units of JavaScript."""
    values = column.get("values")
    if values is None:
        values, before = [], b""
        pairs = iter(column["shared"])
        for length, rest in zip(pairs, pairs, strict=True):
            before = before[: 2 * length] + rest.encode("utf-16-le")
            values.append(before.decode("utf-16-le"))
    codes = column["codes"] if isinstance(column["codes"], list) else [column["codes"]] * rows
    return [None if code < 0 else values[code] for code in codes]


def encoded(rows, *rules):
    return json.loads(encode_data(reviewed(rows, *rules), table_of(rows)))


@pytest.mark.parametrize("name", ["subject", "target", "evidence", "event", "suppression_reason", "state"])
def test_every_text_is_there_and_null_is_not_empty(name):
    rows = [{**finding("f"), name: text} for text in (*TEXTS, *([] if name == "subject" else [None]), *TEXTS[::-1])]
    assert decode(encoded(rows)["findings"][name]) == [row[name] for row in rows]


def test_a_repeated_text_is_there_once():
    rows = [finding("function-with-a-long-name", evidence='{"retries":7}') for _ in range(1000)]
    text = encode_data(reviewed(rows), table_of(rows))
    assert text.count("function-with-a-long-name") == 1
    assert text.count("retries") == 1
    assert text.count("The event is dropped.") == 1


def test_a_column_of_one_value_is_one_code():
    rows = [finding("f") for _ in range(1000)]
    columns = encoded(rows)["findings"]
    assert columns["severity"] == {"values": ["high"], "codes": 0}
    assert columns["state"] == {"values": [], "codes": -1}
    assert decode(columns["severity"], 1000) == ["high"] * 1000


def test_neighbours_share_their_begin():
    rows = [finding(f"function-{number:05}") for number in range(1000)]
    data = encoded(rows)["findings"]["subject"]["shared"]
    assert sum(len(text) for text in data[1::2]) < 1000 * 13


def test_a_very_long_text_is_cut_and_says_so():
    rows = [finding("f", target="x" * MAX_TEXT), finding("g", target="y" * (MAX_TEXT + 1_234))]
    assert decode(encoded(rows)["findings"]["target"]) == [
        "x" * MAX_TEXT,
        "y" * MAX_TEXT + " ... (1,234 characters left out)",
    ]


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "\u2028\u2029", "&lt;", "]]>", "\x00\x1b\u202e"])
def test_no_text_ends_the_script_element(text):
    row = {**finding("f"), "target": text, "evidence": text}
    block = encode_data(reviewed([row], rule(why=text), run=text), table_of([row]))
    assert not set("<>&\u2028\u2029\x00\x1b") & set(block)
    assert json.loads(block)["run"] == printable(text)
    assert decode(json.loads(block)["findings"]["target"]) == [text]
    assert json.loads(embed(json.dumps(text, ensure_ascii=False))) == text


def test_first_seen_is_written_as_in_csv():
    assert decode(encoded([finding("f")])["findings"]["first_seen"]) == ["2026-11-20 01:00:00.000000Z"]


def test_a_rule_has_its_texts_and_a_reason_its_remedy():
    data = encoded([finding("f")], rule(terraform="\nx = 1\n"))
    assert data["rules"]["FGA101"]["block"] == "x = 1"
    assert data["rules"]["FGA101"]["language"] == "hcl"
    assert data["rules"]["FGA101"]["explain"] == "inventory rules FGA101"
    assert data["reasons"]["not_answered"] == ASKS["not_answered"]._asdict()


def test_the_name_of_a_run_may_be_no_utf8():
    rows = [finding("f")]
    text = encode_data(reviewed(rows, run="out\udcff"), table_of(rows))
    assert json.loads(text)["run"] == "out\\udcff"
