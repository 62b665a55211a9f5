import pytest

from inventory.exact_json import DEEPEST, REPEATED, canonical, json_text, read_json, read_quickly, same_text


@pytest.mark.parametrize(
    ("before", "after", "is_same"),
    [
        ('{"a":1,"b":[1,{}]}', ' { "b" : [1.0, {} ], "a": 1 }', True),
        ('"\\u00e9"', '"é"', True),
        ("[1]", "[true]", False),
        ("0", "false", False),
        ("[1,2]", "[2,1]", False),
        ('{"a":null}', "{}", False),
        ("9007199254740993", "9007199254740992.0", False),
        ("", "{}", False),
        (None, "null", False),
        ("no json", "no  json", False),
        ("[" * 100_000, "[" * 100_001, False),
    ],
)
def test_texts_are_the_same_when_they_say_the_same(before, after, is_same):
    assert same_text(before, after) is same_text(after, before) is is_same


def test_depth_limit_is_the_same_for_every_reader():
    for depth in (*range(DEEPEST - 3, DEEPEST + 3), *range(980, 1010)):
        text = '{"a":' * depth + " 1" + "}" * depth
        assert same_text(text, text.replace(" ", "")) is (depth <= DEEPEST)
        assert canonical(text) == (text.replace(" ", "") if depth <= DEEPEST else text)


def call_at_depth(frames, function):
    return function() if frames == 0 else call_at_depth(frames - 1, function)


def text_of_depth(depth):
    return '{"a":' + "[" * (depth - 1) + "1" + "]" * (depth - 1) + "}"


def outcome_of(read, text):
    try:
        return json_text(read(text))
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("frames", [0, 300, 700, 900])
@pytest.mark.parametrize("read", [read_json, read_quickly])
@pytest.mark.parametrize("sibling", ["", ',"b":[{}]'])
def test_depth_limit_does_not_depend_on_the_stack(read, frames, sibling):
    for depth in (DEEPEST - 1, DEEPEST, DEEPEST + 1, 985, 5000):
        text = text_of_depth(depth)[:-1] + sibling + "}"
        expected = text if depth <= DEEPEST else "JSON nested too deeply"
        assert call_at_depth(frames, lambda text=text: outcome_of(read, text)) == expected


@pytest.mark.parametrize("frames", [0, 700])
@pytest.mark.parametrize("bad", ["NaN", "x", ""])
def test_reason_does_not_depend_on_the_stack(frames, bad):
    for depth in (DEEPEST, DEEPEST + 1, *range(975, 1000)):
        text = text_of_depth(depth).replace("1", bad) + ("" if bad else "x")
        reason = call_at_depth(frames, lambda text=text: outcome_of(read_json, text))
        assert reason.startswith("broken JSON" if depth <= DEEPEST else "JSON nested too deeply")


def test_brackets_in_a_text_have_no_depth():
    assert outcome_of(read_json, '["' + '\\"[{' * 400 + '",x]').startswith("broken JSON")


def test_nested_repeated_keys_stay_small():
    text = "1"
    for _ in range(16):
        text = f'{{"a":1,"a":{text}}}'
    assert len(json_text(read_json(text))) < 4 * len(text)


@pytest.mark.parametrize("depth", [150, 170, 400])
def test_nested_repeated_keys_can_be_written(depth):
    text = '{"a":' * depth + "1" + ',"a":2}' * depth
    written = outcome_of(read_json, text)
    assert (written == "JSON nested too deeply") is (3 * depth > DEEPEST)


@pytest.mark.parametrize(
    "text",
    ["0.10000000000000000001", "-0", "1e400", "1E5", "3600.00", "123456789012345678901234567890", "0.1", "9" * 5000],
)
def test_numbers_keep_their_digits(text):
    written = f'{{"a":[{text}]}}'
    assert json_text(read_json(written)) == written


@pytest.mark.parametrize(
    ("before", "after", "is_same"),
    [
        ("0.10", "0.1", True),
        ("1e400", "1E+400", True),
        ("-0", "0", True),
        ("0.10000000000000000001", "0.1", False),
        ("1e400", "1e401", False),
        ("1e9999999999999999999", "1e9999999999999999999", True),
        ("1.00", "true", False),
    ],
)
def test_numbers_are_compared_by_their_exact_value(before, after, is_same):
    assert same_text(f"[{before}]", f"[ {after}]") is same_text(f"[{after}]", f"[ {before}]") is is_same


def test_a_repeated_key_is_reported_with_all_its_values():
    assert read_json('{"a":1,"b":{"c":1,"c":1},"a":[2]}') == {
        "a": [2],
        "b": {"c": 1, REPEATED: {"c": [1]}},
        REPEATED: {"a": [1]},
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"a\\ud83d"', "a\\ud83d"),
        ('"\\udc00\\ud83d\\u0041"', "\\udc00\\ud83dA"),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ('"\\\\ud83d"', "\\ud83d"),
        ('{"\\uD83D":1}', {"\\uD83D": 1}),
    ],
)
def test_half_a_pair_of_surrogates_stays_an_escape(text, value):
    assert read_json(text) == read_json(text.encode()) == read_quickly(text) == value
    json_text(value).encode()


def test_a_byte_order_mark_is_skipped():
    assert read_json(b"\xef\xbb\xbf[1]") == read_quickly(b"\xef\xbb\xbf[1]") == read_json("\ufeff[1]") == [1]


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "-Infinity", "[1", '"a', "01", "[1,]"])
def test_what_is_no_json_is_refused(text):
    with pytest.raises(ValueError, match="broken JSON"):
        read_json(text)


@pytest.mark.parametrize(("text", "place"), [('{"NaN":"NaN\\"","a":NaN}', 19), ("[1,-Infinity]", 3), ("NaN", 0)])
def test_a_constant_that_is_no_number_is_named_with_its_place(text, place):
    with pytest.raises(ValueError, match=rf"is no JSON number \(character {place}\)"):
        read_json(text)
