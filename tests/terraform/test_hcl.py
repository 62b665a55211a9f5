"""HCL that Terraform reads as the text that was given."""

import json
import re
import shutil
import subprocess

import hcl2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.terraform import read_string

from inventory.terraform.hcl import InexpressibleError, block, comment, json_expression, quote

TERRAFORM = shutil.which("terraform")
HOSTILE = [
    "",
    "${a}",
    "$${a}",
    "$$${a}",
    "%{ if true }",
    "%%{x}",
    "$%{x}",
    "${",
    "$",
    "%",
    '"',
    "\\",
    '\\"',
    "\\${a}",
    "a\nb",
    "a\r\nb\tc",
    "\x00\x01\x1f\x7f\x85",
    "\u2028\u2029",
    "\u202eabc\u200b",
    "</script><!-- & -->",
    "\u00e9\u4e2d\u6587\U0001f600",
    "\U000e0041\ufeff",
    '"\n}\nresource "x" "y" {\n',
    "*/ # // /*",
    "EOT\n<<EOT",
    "\\u0041",
]
JSON = [
    '{"topic_urn":"urn:smn:r:p:t"}',
    '{"bucket":"b","expires":5,"prefix":"/a"}',
    '{"prefix":"/a","bucket":"b"}',
    '{"a": 1}',
    '{"a":1.0}',
    '{"a":1e3}',
    '{"a":9007199254740993}',
    '{"a":-0}',
    '{"a":1,"a":2}',
    '{"a":[1,true,null,{"b":{}}],"d e":"${x}","for":"%{y}"}',
    '{"a":"<&>"}',
    '{"a":"\u2028"}',
    '{"a":"\\n\\u0001\\/"}',
    '{"a":"\\"\\\\"}',
    '{"a":"\u00e9","\u00e9":1}',
    '{"a\\"${b}":"c"}',
    "{}",
    "[]",
    "null",
    '"x"',
    "not json",
    "",
    '{"a":NaN}',
    '{"a":' * 300 + "1" + "}" * 300,
]


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('${%"\\\n')))
def test_a_quoted_string_is_read_as_the_text(text):
    try:
        quoted = quote(text)
    except InexpressibleError as error:
        assert "NFC" in str(error)  # noqa: PT017 - some texts have no HCL
        return
    assert read_string(quoted) == text
    assert quoted.isprintable()


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_one_string(text):
    (value,) = hcl2.loads(f"x = {quote(text)}\n").values()
    assert read_string(value) == text


@pytest.mark.parametrize("text", ["e\u0301", "\u212b", "\ud800"])
def test_text_that_terraform_changes_is_refused(text):
    with pytest.raises(InexpressibleError):
        quote(text)


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ('{"topic_urn":"urn:smn:r:p:t"}', 'jsonencode({ topic_urn = "urn:smn:r:p:t" })'),
        (
            '{"a":[1,true,null],"d e":"${x}","for":1}',
            r'jsonencode({ a = [1, true, null], "d e" = "\u0024{x}", "for" = 1 })',
        ),
        ("{}", "jsonencode({})"),
    ],
)
def test_json_in_the_form_of_terraform_is_an_expression(text, expression):
    assert json_expression(text) == expression


@pytest.mark.parametrize("text", [text for text in JSON if not json_expression(text).startswith("jsonencode")])
def test_other_json_is_the_exact_text(text):
    assert read_string(json_expression(text)) == text


@pytest.mark.skipif(TERRAFORM is None, reason="Terraform is not installed")
def test_terraform_reads_every_expression_as_the_text(tmp_path):
    texts = {f"s{number}": (quote(text), text) for number, text in enumerate(HOSTILE)}
    texts |= {f"j{number}": (json_expression(text), text) for number, text in enumerate(JSON)}
    lines = [line for name, (value, _) in texts.items() for line in block(f'output "{name}"', {"value": value})]
    (tmp_path / "main.tf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    environment = {"CHECKPOINT_DISABLE": "1", "PATH": "/usr/bin", "HOME": str(tmp_path)}
    for command in (["fmt", "-check"], ["apply", "-auto-approve", "-input=false"]):
        subprocess.run([TERRAFORM, *command], cwd=tmp_path, env=environment, check=True, capture_output=True)
    outputs = json.loads((tmp_path / "terraform.tfstate").read_text(encoding="utf-8"))["outputs"]
    assert {name: output["value"] for name, output in outputs.items()} == {
        name: text for name, (_, text) in texts.items()
    }


def test_arguments_are_aligned_as_terraform_fmt_does():
    body = {"a": "1", "long_name": "2", "inner": {"x": '"y"'}}
    lines = ['resource "t" "n" {', "  a         = 1", "  long_name = 2", "", "  inner {", '    x = "y"', "  }", "}"]
    assert block('resource "t" "n"', body) == lines


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_comment_is_one_line(text):
    (line,) = comment([text])
    assert re.fullmatch(r"#[ -\U0010ffff]*", line)
    assert line.isprintable()
    assert len(line.splitlines()) == 1
