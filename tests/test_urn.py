from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.errors import UrnError
from inventory.urn import FunctionUrn, check_field, describe_character, parse, scope_prefix, split_urn, trim

RECORDED = [
    entry["body"]
    for entry in json.loads((Path(__file__).parent / "data" / "real_answers.json").read_text())
    if entry["kind"] == "urn"
]
P = "7aad83af3e8d42e99ac194e8419e2c9b"
FULL = f"urn:fss:cn-north-4:{P}:function:default:f"

RECORDED_PARSED = {
    "urn:fss:<region_id>:<project_id>:function:<package>:<function_name>:<version>": (
        "<region_id>",
        "<project_id>",
        "<package>",
        "<function_name>",
        "<version>",
        "version",
    ),
    "urn:fss:cn-north-4:086cd4ee9e00268e2f76c00ea33b6cbe:function:default:testph123:!t123": (
        "cn-north-4",
        "086cd4ee9e00268e2f76c00ea33b6cbe",
        "default",
        "testph123",
        "t123",
        "alias",
    ),
    (
        "urn:fss:cn-north-4:0eb082c61280f3aa2fd4c0167562c3a9:function:Virtualization_and_Cloud_computing"
        ":matrix_mean:latest"
    ): (
        "cn-north-4",
        "0eb082c61280f3aa2fd4c0167562c3a9",
        "Virtualization_and_Cloud_computing",
        "matrix_mean",
        "latest",
        "version",
    ),
    "urn:fss:cn-north-1:d24fd02a12434b20b5d95df6559d2593:function:default:fss_php:latest": (
        "cn-north-1",
        "d24fd02a12434b20b5d95df6559d2593",
        "default",
        "fss_php",
        "latest",
        "version",
    ),
    "urn:fss:{region}:46b6f338fc3445b8846c71dfb1fbxxxx:function:csharp:test2-0:latest": (
        "{region}",
        "46b6f338fc3445b8846c71dfb1fbxxxx",
        "csharp",
        "test2-0",
        "latest",
        "version",
    ),
    "urn:fss:xxxxxxxxx:7aad83af3e8d42e99ac194xxxxxxxxxx:function:default:test:latest": (
        "xxxxxxxxx",
        "7aad83af3e8d42e99ac194xxxxxxxxxx",
        "default",
        "test",
        "latest",
        "version",
    ),
    "<function_name>": ("cn-north-4", P, "default", "<function_name>", None, None),
    "<package>:<function_name>": ("cn-north-4", P, "<package>", "<function_name>", None, None),
    "<project_id>:<package>:<function_name>": (
        "cn-north-4",
        "<project_id>",
        "<package>",
        "<function_name>",
        None,
        None,
    ),
    "<project_id>:<package>:<function_name>:<version|alias>": (
        "cn-north-4",
        "<project_id>",
        "<package>",
        "<function_name>",
        "<version|alias>",
        "version",
    ),
    "urn:fss:<region>:<project_id>:workflow:<package>:<name>:<version>": None,
}


@pytest.mark.parametrize("text", RECORDED)
def test_recorded_urns(text):
    expected = RECORDED_PARSED[text]
    if expected is None:
        with pytest.raises(UrnError, match="workflow"):
            parse(text)
    else:
        assert tuple(parse(text, region="cn-north-4", project_id=P)) == expected


def test_every_recorded_urn_has_an_expectation():
    assert set(RECORDED) == set(RECORDED_PARSED)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (FULL, ("cn-north-4", P, "default", "f", None, None)),
        (f"{FULL}:latest", ("cn-north-4", P, "default", "f", "latest", "version")),
        (f"{FULL}:v1.0", ("cn-north-4", P, "default", "f", "v1.0", "version")),
        (f"{FULL}:v20210304-145002", ("cn-north-4", P, "default", "f", "v20210304-145002", "version")),
        (f"{FULL}:!prod", ("cn-north-4", P, "default", "f", "prod", "alias")),
        ("f", ("eu-de", "p0", "default", "f", None, None)),
        ("pkg:f", ("eu-de", "p0", "pkg", "f", None, None)),
        ("other:pkg:f", ("eu-de", "other", "pkg", "f", None, None)),
        ("other:pkg:f:v2", ("eu-de", "other", "pkg", "f", "v2", "version")),
        ("other:pkg:f:!a1", ("eu-de", "other", "pkg", "f", "a1", "alias")),
    ],
)
def test_all_forms(text, parts):
    assert tuple(parse(text, region="eu-de", project_id="p0")) == parts


def test_seven_fields_stay_seven_fields():
    assert str(parse(FULL)) == FULL
    assert parse(FULL) != parse(f"{FULL}:latest")


def test_a_short_form_becomes_a_full_urn():
    assert str(parse("pkg:f", region="eu-de", project_id="p0")) == "urn:fss:eu-de:p0:function:pkg:f"
    assert str(parse("p1:pkg:f:!a", region="eu-de")) == "urn:fss:eu-de:p1:function:pkg:f:!a"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("urn", "urn:fss"),
        ("urn:fss", "2 fields"),
        ("urn:default:f", "another service"),
        ("urn:f", "another service"),
        ("urn:fss:default:f", "4 fields"),
        (f"urn:smn:cn-north-4:{P}:topic", "another service"),
        (f"urn:fss:cn-north-4:{P}:function:default", "6 fields"),
        (f"{FULL}:latest:more", "9 fields"),
        (f"urn:fss:cn-north-4:{P}:workflow:default:w:latest", "workflow"),
        (f"urn:fss:cn-north-4:{P}:trigger:default:f", "trigger"),
        ("a:b:c:d:e", "5 fields"),
        (FULL.upper(), "urn:fss"),
        (f"urn:fss::{P}:function:default:f", "field 3"),
        (f"{FULL}:", "field 8"),
        (f"{FULL}:!", "field 8"),
        (":f", "field 1"),
        ("!", "field 1"),
        ("urn:fss:cn-north-4:..:function:default:f", "cannot be a project id"),
        (".:default:f", "cannot be a project id"),
        ("x" * 1025, "1025 characters"),
    ],
)
def test_refused_texts_say_why(text, reason):
    with pytest.raises(UrnError, match=reason):
        parse(text, region="eu-de", project_id="p0")


@pytest.mark.parametrize("char", ["\0", "\t", "\n", "\r", "\x1f", " ", "\x7f", "\x85", "\xa0", "\u2003", *"/?#%"])
@pytest.mark.parametrize("place", [0, 12, len(FULL)])
def test_characters_that_no_urn_has(char, place):
    with pytest.raises(UrnError, match=f"position {place + 1} "):
        parse(FULL[:place] + char + FULL[place:])


INVISIBLE = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Cf"]
INVISIBLE += ["\u3164", "\u115f", "\u2800", "\ufe0f", "\U000e0100"]
SPACES = ["\xa0", "\u3000", "\u2003", "\u2028", "\x85"]


def test_every_invisible_character_inside_is_refused():
    for character in INVISIBLE:
        with pytest.raises(UrnError, match="position 9 is not allowed"):
            parse(FULL[:8] + character + FULL[8:])


def test_a_refused_character_is_named():
    with pytest.raises(UrnError, match=r"^character U\+200B ZERO WIDTH SPACE at position 5 is not allowed"):
        parse("my-f\u200bunction", region="eu-de", project_id="p0")
    assert [describe_character(one) for one in (" ", "\xa0", "\x85")] == ["' '", "U+00A0 NO-BREAK SPACE", "U+0085"]


@pytest.mark.parametrize("character", [*SPACES, *INVISIBLE[::9], "\ufeff", "\u200b"])
def test_invisible_characters_at_the_ends_are_removed(character):
    for text in (character + FULL, FULL + character, f" {character}{FULL}{character} {character}"):
        assert trim(text) == (FULL, True)
    assert trim(f" \t{FULL}\r\n") == (FULL, False)
    assert trim(character) == ("", True)


@given(st.text(st.sampled_from([*"ab é\n", *INVISIBLE[:30], *SPACES]), max_size=12))
def test_trimming_takes_nothing_from_the_middle(text):
    left, cleaned = trim(text)
    assert left in text
    assert trim(left) == (left, False)
    assert set(text.replace(left, "", 1)) <= {" ", "\n", *INVISIBLE, *SPACES}
    assert cleaned == (not text.replace(left, "", 1).isascii())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (FULL.replace(":", "\uff1a"), "U+FF1A FULLWIDTH COLON at position 4 is not the ASCII ':'"),
        ("package\uff1aname", "U+FF1A FULLWIDTH COLON at position 8"),
        ("\uff46\uff4e", "U+FF46 FULLWIDTH LATIN SMALL LETTER F at position 1 is not the ASCII 'f'"),
        (f"{FULL}:\uff01prod", "U+FF01 FULLWIDTH EXCLAMATION MARK"),
        ("f\uff11", "U+FF11 FULLWIDTH DIGIT ONE"),
        ("my\u2013function", "U+2013 EN DASH at position 3 is not the ASCII '-'"),
        ("a\u2236b", "U+2236 RATIO"),
        (f"\u201c{FULL}\u201d", "U+201C LEFT DOUBLE QUOTATION MARK at position 1"),
        ("p\u0430yment", "U+0430 CYRILLIC SMALL LETTER A at position 2 is not the ASCII 'a'"),
        (f"{FULL}:v1:".replace("f:v1:", "f\u043eo"), "U+043E CYRILLIC SMALL LETTER O"),
    ],
)
def test_what_looks_like_ascii_is_refused_by_name(text, words):
    with pytest.raises(UrnError, match=re.escape(words)):
        parse(text, region="eu-de", project_id="p0")
    with pytest.raises(UrnError):
        parse("f", region="eu\uff0dde", project_id="p0")


@pytest.mark.parametrize("name", ["\u51fd\u6570", "caf\xe9", "my-\u0444\u0443\u043d\u043a\u0446\u0438\u044f", "\u043e"])
def test_names_in_other_scripts_are_asked_for(name):
    assert parse(name, region="eu-de", project_id="p0").function_name == name


def test_a_lone_surrogate_is_refused():
    with pytest.raises(UrnError):
        parse(f"{FULL}\ud800")


@pytest.mark.parametrize(
    ("region", "project_id", "reason"),
    [(None, "p0", "--region"), (None, None, "--region"), ("eu-de", None, "--project-id")],
)
def test_a_short_form_needs_what_it_does_not_say(region, project_id, reason):
    with pytest.raises(UrnError, match=reason):
        parse("pkg:f", region=region, project_id=project_id)


@pytest.mark.parametrize(
    ("region", "project_id"),
    [
        ("eu de", "p0"),
        ("eu:de", "p0"),
        ("", "p0"),
        ("eu-de", "a/b"),
        ("eu-de", ""),
        ("eu-de", "a:b"),
        ("eu-de", "p\n"),
        ("eu-de", ".."),
    ],
)
def test_a_completed_short_form_is_a_urn_or_is_refused(region, project_id):
    try:
        urn = parse("f", region=region, project_id=project_id)
    except UrnError:
        return
    assert parse(str(urn)) == urn


def test_a_long_short_form_is_a_urn_or_is_refused():
    try:
        urn = parse("x" * 1020, region="eu-de", project_id="p0")
    except UrnError:
        return
    assert parse(str(urn)) == urn


def is_field(text: str) -> bool:
    try:
        check_field(text, "field")
    except UrnError:
        return False
    return True


FIELD = st.text(
    st.characters(blacklist_categories=("Cc", "Cs", "Zs", "Zl", "Zp"), blacklist_characters=":/?#%!"),
    min_size=1,
    max_size=20,
).filter(is_field)


@given(
    region=FIELD,
    project_id=FIELD,
    package=FIELD,
    name=FIELD,
    qualifier=st.none() | st.tuples(FIELD, st.sampled_from(["version", "alias"])),
)
def test_a_urn_survives_its_text(region, project_id, package, name, qualifier):
    urn = FunctionUrn(region, project_id, package, name, *(qualifier or (None, None)))
    assert parse(str(urn)) == split_urn(str(urn)) == urn
    assert str(urn).startswith(scope_prefix(region, project_id))


@given(st.text(max_size=60), st.sampled_from(["", "urn:fss:r:p:function:", "urn:fss:", "urn:"]))
def test_parsing_is_total(text, prefix):
    try:
        urn = parse(prefix + text, region="eu-de", project_id="p0")
    except UrnError:
        return
    assert parse(str(urn)) == urn
    assert str(urn).encode()


@pytest.mark.parametrize(
    "character",
    [
        "\ufffd",
        "\u0378",
        "\ue000",
        "\ufffe",
        "\U0010ffff",
        "\U0001f600",
        "\u2500",
        "\u20dd",
        "\u20e3",
        "\u0332",
        "\u0338",
    ],
)
def test_a_character_that_no_name_has_is_a_reject_with_its_code_point(character):
    for text in (f"{FULL}{character}", f"{FULL}-{character}x", f"{FULL}:{character}"):
        with pytest.raises(UrnError, match=rf"character U\+{ord(character):04X}.* at position \d+ is not allowed"):
            parse(text)
    with pytest.raises(UrnError, match="cannot be a field of a URN"):
        check_field(f"a{character}", "--region")


@pytest.mark.parametrize(
    "name",
    ["e\u0301t\u00e9", "\u4e2d\u6587", "\u0e17\u0e33", "\u0928\u093f", "\u05e9\u05c1\u05bc", "\u1ebf", "e\u0302\u0301"],
)
def test_letters_of_other_scripts_keep_their_marks(name):
    assert parse(f"urn:fss:cn-north-4:p:function:default:{name}").function_name == name
