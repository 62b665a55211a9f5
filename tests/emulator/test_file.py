from __future__ import annotations

from pathlib import Path

import pytest

from inventory.emulator import FileCloud, Missing, Reply, Scope, load_state
from inventory.errors import SettingsError
from inventory.urn import parse

BASE = "urn:fss:cn-north-4:p1:function:default:"


@pytest.fixture
def load(tmp_path):
    def load(text: str | bytes) -> FileCloud:
        path = tmp_path / "state.json"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_state(path)

    return load


def test_configs_nulls_and_missing_urns_differ(load):
    cloud = load(f'{{"functions": {{"{BASE}f:latest": {{"x": [1, null]}}, "{BASE}g:!prod": null}}}}')
    assert cloud.answer(parse(f"{BASE}f:latest")) == {"func_urn": f"{BASE}f:latest", "x": [1, None]}
    assert cloud.answer(parse(f"{BASE}g:!prod")) is Missing.CONFIG
    assert cloud.answer(parse(f"{BASE}g:latest")) is Missing.CONFIG
    assert cloud.answer(parse(f"{BASE}g:v1")) is Missing.VERSION
    assert cloud.answer(parse(f"{BASE}f:!prod")) is Missing.ALIAS
    assert cloud.answer(parse(f"{BASE}h")) is Missing.FUNCTION


def test_a_urn_without_qualifier_means_latest():
    long, short = FileCloud({f"{BASE}f:latest": {}}), FileCloud({f"{BASE}f": {}})
    for cloud in (long, short):
        for urn in (f"{BASE}f", f"{BASE}f:latest"):
            assert cloud.answer(parse(urn)) == {"func_urn": f"{BASE}f:latest"}


def test_a_config_keeps_the_func_urn_that_it_has():
    assert FileCloud({f"{BASE}f": {"a": 1, "func_urn": None}}).answer(parse(f"{BASE}f")) == {"a": 1, "func_urn": None}


def test_exact_answers_are_sent_word_for_word(load):
    cloud = load(
        f'{{"functions": {{"{BASE}f": {{}}}}, "answers": {{"{BASE}f": {{"body": {{"a":  1.50}}}},'
        f' "{BASE}g": {{"status": 418, "body": "<html>\\n", "headers": {{"Content-Type": "text/html"}}}},'
        f' "{BASE}h": {{}}}}}}'
    )
    first, second, third = (cloud.answer(parse(f"{BASE}{name}")) for name in "fgh")
    assert first[:2] == (200, b'{"a":  1.50}')
    assert second == (418, b"<html>\n", {"Content-Type": "text/html", "Server": "api-gateway"})
    assert isinstance(third, Reply)
    assert third.body == b""


def test_the_request_list_is_the_files(load):
    cloud = load(
        f'{{"functions": {{"{BASE}z": null, "{BASE}a": null}}, "answers": {{"{BASE}a": {{}}, "{BASE}b": {{}}}}}}'
    )
    assert list(cloud.urns()) == [f"{BASE}z", f"{BASE}a", f"{BASE}b"]
    assert list(cloud.urns(1)) == [f"{BASE}z"]
    assert cloud.scopes == (Scope("cn-north-4", "p1"),)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("{", ["the file", "truncated"]),
        (b'{"functions": {"\xff": null}}', ["the file", "utf-8"]),
        ("[]", ["the file", "object"]),
        ('{"function": {}}', ["the file", "unknown field `function`"]),
        (f'{{"functions": {{"{BASE}f": 3}}}}', [f"functions['{BASE}f']", "int"]),
        ('{"functions": {"f": null}}', ["functions['f']", "not a full function URN"]),
        (f'{{"functions": {{"{BASE}f": null, "{BASE}f:latest": {{}}}}}}', ["given twice"]),
        (f'{{"answers": {{"{BASE}f": {{"code": 1}}}}}}', [f"answers['{BASE}f']", "unknown field `code`"]),
        (f'{{"answers": {{"{BASE}f": {{"status": 99}}}}}}', [f"answers['{BASE}f']", "99"]),
        (f'{{"answers": {{"{BASE}f": {{"headers": {{"A": "b\\r\\nc"}}}}}}}}', ["line break"]),
        (f'{{"answers": {{"{BASE}f": {{"body": "\\ud800"}}}}}}', ["the file"]),
    ],
)
def test_a_wrong_file_is_one_sentence_with_file_and_place(load, text, parts):
    with pytest.raises(SettingsError) as caught:
        load(text)
    sentence = str(caught.value)
    assert "state.json" in sentence
    assert "\n" not in sentence
    assert [part for part in parts if part not in sentence] == []


def test_a_file_that_is_not_there_is_a_settings_error(tmp_path):
    with pytest.raises(SettingsError, match=r"nope\.json: cannot be read: No such file"):
        load_state(tmp_path / "nope.json")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="a device of POSIX")
def test_a_state_file_without_end_is_refused():
    with pytest.raises(SettingsError, match="state file /dev/zero: no JSON of functions: it has over 64,000,000 bytes"):
        load_state("/dev/zero")
