import pytest

from inventory.json_value import DEEPEST, canonical, same_text


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
    """By value, both ways round: keys in any order, numbers as numbers, and never a guess about what is no JSON."""
    assert same_text(before, after) is same_text(after, before) is is_same


def test_however_deep_a_value_is_it_is_told():
    """At each depth a text is compared and written: as a value down to a bound, and from there on as it stands."""
    for depth in (*range(DEEPEST - 3, DEEPEST + 3), *range(980, 1010)):
        text = '{"a":' * depth + " 1" + "}" * depth
        assert same_text(text, text.replace(" ", "")) is (depth <= DEEPEST)
        assert canonical(text) == (text.replace(" ", "") if depth <= DEEPEST else text)
