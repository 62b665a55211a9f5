"""What a person copies: blocks of Terraform and commands of all rules.

Arguments: documentation of terraform-provider-huaweicloud, commit a0345b8dcc81 of 2026-08-21.
"""

import json
import re
import shlex
from io import BytesIO

import hcl2
import pytest
import typer
from support.reviewed_runs import RULES
from support.reviews import finding, reviewed, rule

from inventory.cli.app import main_command
from inventory.reviews.evaluate import REASONS
from inventory.reviews.outputs.documents import write_json
from inventory.reviews.outputs.markdown import to_markdown
from inventory.reviews.outputs.sarif import write_sarif
from inventory.reviews.outputs.wording import block_of, describe, template_of

DESTINATION = {"destination", "param"}
ARGUMENTS = {
    "huaweicloud_fgs_async_invoke_configuration": {
        "function_urn": str,
        "max_async_event_age_in_seconds": int,
        "max_async_retry_attempts": int,
        "enable_async_status_log": bool,
        "on_success": DESTINATION,
        "on_failure": DESTINATION,
    },
    "huaweicloud_fgs_function": {
        "timeout": int,
        "max_instance_num": str,
        "agency": str,
        "vpc_id": str,
        "network_id": str,
    },
    "huaweicloud_smn_topic": {"name": str},
}
PARAMS = {
    "OBS": {"bucket", "prefix", "expires"},
    "SMN": {"topic_urn"},
    "DIS": {"stream_name"},
    "FunctionGraph": {"func_urn"},
}
EVIDENCE = {
    "FGA105": '{"least_age_s":480}',
    "FGA106": '{"least_age_s":300}',
    "FGA112": '{"target_function":"urn:fss:r:p:function:default:t"}',
    "FGA116": '{"needed_key":"topic_urn"}',
    "FGA304": '{"longest_timeout_s":12}',
    "FGA305": '{"expires_days":7}',
    "FGA403": '{"allowed_region":"cn-south-1"}',
    "FGA501": '{"age_s_on_all_pages":60,"retries_on_all_pages":3}',
}
TARGETS = {"FGA116": "SMN"}
TERRAFORM = [name for name, item in RULES.items() if item.terraform]
COMMANDS = [name for name in RULES if name not in TERRAFORM]


def example(name):
    """A finding of a rule, with what the rule's query returns."""
    event = "on_failure" if RULES[name].subject == "destination" else None
    target = TARGETS.get(name, "obs://bucket/a/b" if event else None)
    return finding("f", name, evidence=EVIDENCE.get(name), event=event, target=target)


@pytest.mark.parametrize("name", TERRAFORM)
def test_a_block_has_only_arguments_that_the_provider_documents(name):
    text, language = block_of(example(name), RULES[name])
    assert language == "hcl"
    document = hcl2.loads(text)
    resources = document.pop("resource", [])
    for resource in resources:
        for kind, named in resource.items():
            for body in named.values():
                check(kind.strip('"'), body)
    if document:
        (kind,) = re.findall(r'^# in resource "(\w+)"', text, re.MULTILINE)
        check(kind, document)


def check(kind, body):
    for name, value in body.items():
        if name in ("__is_block__", "__comments__", "__inline_comments__"):
            continue
        expected = ARGUMENTS[kind][name]
        if expected is DESTINATION:
            (block,) = value
            assert DESTINATION <= set(block) <= {*DESTINATION, "__is_block__"}
            keys = re.findall(r"(\w+)\s*[=:]\s", str(block["param"]))
            assert set(keys) <= PARAMS[block["destination"].strip('"')], block
        else:
            assert isinstance(value, expected), (name, value)


@pytest.mark.parametrize("name", TERRAFORM)
def test_numbers_and_events_of_a_block_are_those_of_the_finding(name):
    text = block_of(example(name), RULES[name]).text
    outside_of_texts = re.sub(r'"[^"]*"|#.*', "", text)
    assert not re.findall(r"\b[A-Z][A-Z_]+\b", outside_of_texts)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_one_of_inventory_or_of_the_vendor(name):
    check_command(block_of(example(name), RULES[name], "output/today"))


@pytest.mark.parametrize("reason", REASONS)
def test_an_unknown_finding_says_how_it_becomes_known(reason):
    row = finding("f", "FGA101", verdict="unknown", why_unknown=reason)
    words = describe(row, RULES["FGA101"], "output/today")
    assert words.fix != RULES["FGA101"].fix
    check_command(words.block)


def check_command(block):
    assert block.language == "bash"
    program, *words = shlex.split(block.text.replace("\\\n", " "))
    if program == "hcloud":  # https://support.huaweicloud.com/intl/en-us/clir-functiongraph/functiongraph_09_0802.html
        assert words[0] == "FunctionGraph"
        assert [word.partition("=")[0] for word in words[2:]] == ["--cli-region", "--project_id", "--function_urn"]
        return
    assert program == "inventory"
    command = main_command().commands[words[0]]
    with typer.Context(command) as context:
        command.make_parser(context).parse_args(words[1:])
    assert not re.search(r"\b(RUN|REGION|PROJECT_ID)\b", block.text)


def test_each_rule_of_the_package_has_one_block_and_one_line_what_and_why():
    for item in RULES.values():
        assert bool(item.terraform.strip()) != bool(item.command.strip()), item.id
        for text in (item.title, item.why, item.fix):
            assert text
            assert "\n" not in text
            assert len(f"    why: {text}") <= 120, (item.id, text)


def test_each_output_has_what_why_and_what_to_copy():
    rows = [example(name) | {"severity": item.severity} for name, item in RULES.items()]
    done = reviewed(rows, *RULES.values())
    sink = BytesIO()
    write_sarif(done, sink)
    driver = json.loads(sink.getvalue())["runs"][0]["tool"]["driver"]
    pages = {item["id"]: item for item in driver["rules"]}
    document = BytesIO()
    write_json(done, None, document)
    explanations = json.loads(document.getvalue())["explanations"]
    comment = to_markdown(done)
    for name, item in RULES.items():
        block = template_of(item).text
        explained = explanations[name]
        assert (explained["title"], explained["why"], explained["fix"]) == (item.title, item.why, item.fix)
        assert explained["terraform" if item.terraform else "command"] == block
        assert block in pages[name]["help"]["text"]
        assert block in pages[name]["help"]["markdown"]
        assert f"#### {item.severity} {name}: " in comment
        assert block_of(example(name), item, done.details.run).text in comment


def test_the_block_of_a_rule_of_ones_own_without_one_explains_it():
    own = rule("OWN100", folder="my rules")
    assert template_of(own) == ("inventory rules OWN100 --rules 'my rules'", "bash")


def test_names_in_capitals_are_replaced_in_one_pass():
    own = rule(terraform='a = "PACKAGE"\nb = NUMBER\nc = "OTHER"\nd = "PREFIX"')
    row = finding("f", package="REGION", evidence='{"number":7,"other":"${x}"}', target="obs://b//a/b.c")
    assert block_of(row, own).text == 'a = "REGION"\nb = 7\nc = "OTHER"\nd = "/a/b.c"'
