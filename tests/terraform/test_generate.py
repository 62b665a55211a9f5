"""What becomes a block and what a comment."""

import json
import random
import re
import shutil
import subprocess
from collections import defaultdict

import pytest
from support.terraform import blocks_of, resource, state, uncommented
from support.written_runs import FAILED, NOT_ATTEMPTED, NOT_FOUND, PROJECT, config, leading, side, urn, write_run

from inventory.errors import OutputError
from inventory.runs.files import open_run
from inventory.runs.listing_coverage import ListingCoverage
from inventory.terraform.blocks import resource_name
from inventory.terraform.generate import Generator
from inventory.terraform.state import read_states

BASE = f"urn:fss:cn-north-4:{PROJECT}:function:default"
SMN = '{"topic_urn":"urn:smn:cn-north-4:p:t"}'


def generate(tmp_path, functions, *states, fixes=None, coverage=ListingCoverage(), **options):  # noqa: B008 - immutable
    paths = []
    for number, content in enumerate(states):
        paths.append(tmp_path / f"state-{number}.json")
        paths[-1].write_text(json.dumps(content), encoding="utf-8")
    run = open_run(write_run(tmp_path / "run", functions, **options))
    found = defaultdict(list, fixes or {})
    generator = Generator(read_states(paths) if states else None, coverage, lambda subject: found[subject])
    text = "".join(text for _, text in generator.generate(run))
    return text.replace(str(tmp_path), "DIR"), generator.counts


def remark(text, name):
    """The comment about a URN, without the URN."""
    found = re.search(rf"^# {re.escape(name)}\n((?:#.*\n)+)", text, re.MULTILINE)
    return "" if found is None else found[1]


ODD = ("函数", "é", "a'b", "*", "a" * 200, "a" * 201, "!x", "a!b", 'a"b', "a\\", "${x}", "%{x}")
NAMES = ("a-b", "a_b", "a.b", "a", "1a", "-", "_", *ODD)
HOSTILE = [f"{BASE}:{name}:latest" for name in NAMES]


def test_every_configuration_is_a_resource_with_the_clouds_values(tmp_path):
    rng = random.Random(1)
    params = [SMN, '{"b": "${x}"}', "", "no json\n\x00", '{"prefix":"/a","bucket":"b","expires":5}', "\u202e", '"']
    functions = {}
    for name in HOSTILE:
        sides = {
            event: side(rng.choice(["OBS", "SMN", "DIS", "FunctionGraph"]), rng.choice(params))
            for event in ("on_success", "on_failure")
            if rng.random() < 0.7
        }
        log = {} if rng.random() < 0.3 else {"enable_async_status_log": rng.random() < 0.5}
        functions[name] = leading(**sides) | {"max_async_event_age_in_seconds": rng.randrange(1, 86_400)} | log
    text, counts = generate(tmp_path, functions)
    resources, imports = blocks_of(text)
    assert counts.blocks == counts.configured == len(HOSTILE)
    assert {imports[name]: body for name, body in resources.items()} == {
        name: {
            "region": "cn-north-4",
            "function_urn": name,
            **{key: value for key, value in answer.items() if key.startswith(("max_", "enable_"))},
            **answer["destination_config"],
        }
        for name, answer in functions.items()
    }


def test_names_are_unique_and_depend_on_the_urn_alone(tmp_path):
    names = {name: resource_name(name) for name in HOSTILE}
    assert len(set(names.values())) == len(HOSTILE)
    for name in names.values():
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,90}", name)
    few, _ = generate(tmp_path, {name: config() for name in HOSTILE[::3]})
    assert set(blocks_of(few)[0]) == {names[name] for name in HOSTILE[::3]}
    assert resource_name(f"{BASE}:f") == resource_name(f"{BASE}:f:latest") != resource_name(f"{BASE}:f:!latest")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (leading(on_failure=side("RocketMQ", "{}")), "destination RocketMQ of on_failure"),
        (leading(on_failure=side("smn", SMN)), "destination smn of on_failure"),
        (leading(on_failure={"destination": "SMN"}), "no param of on_failure"),
        (
            leading(on_failure={"destination": "SMN", "param": {"topic_urn": "t"}}),
            "param of on_failure of another type",
        ),
        (leading(on_success={"destination": "SMN", "param": "{}", "mode": 1}), "mode of on_success"),
        ({"max_async_retry_attempts": 3}, "no max_async_event_age_in_seconds"),
        ({"max_async_event_age_in_seconds": 60}, "no max_async_retry_attempts"),
        (config(max_async_retry_attempts="3"), "max_async_retry_attempts of another type"),
        (config(enable_async_status_log="yes"), "enable_async_status_log of another type"),
        (config(destination_config=[1]), "destination_config of another type"),
        (b'{"max_async_retry_attempts":1,"max_async_retry_attempts":2,"max_async_event_age_in_seconds":9}', "twice"),
        (leading(on_failure=side("SMN", "e\u0301")), "not in Unicode form NFC"),
    ],
)
def test_what_the_provider_cannot_express_is_a_comment(tmp_path, answer, reason):
    text, counts = generate(tmp_path, {urn("f"): answer, urn("g"): config()})
    assert list(blocks_of(text)[1].values()) == [urn("g")]
    assert reason in remark(text, urn("f"))
    assert (counts.configured, counts.blocks, counts.inexpressible) == (2, 1, 1)


def test_a_comment_has_the_values_that_hcl_cannot_express(tmp_path):
    text, _ = generate(tmp_path, {urn("f"): leading(on_failure=side("RocketMQ", '"\n}\n')) | {"new": 1}})
    words = remark(text, urn("f"))
    assert "max_async_event_age_in_seconds: 3600" in words
    assert json.loads(words.split("on_failure: ")[1].splitlines()[0]) == {"destination": "RocketMQ", "param": '"\n}\n'}
    assert 'other fields: {"new":1}' in words


def test_a_field_without_an_argument_is_a_remark_on_the_block(tmp_path):
    text, counts = generate(tmp_path, {urn("f"): config(priority=1)})
    assert counts.blocks == 1
    assert "# the provider has no argument for priority\nresource" in text


@pytest.mark.parametrize(
    ("qualifiers", "chosen"),
    [
        (["latest", "1", "!prod"], "latest"),
        (["", "1"], ""),
        (["1"], "1"),
        (["!prod"], "!prod"),
        (["1", "2"], None),
        (["!a", "1"], None),
    ],
)
def test_a_function_has_one_block_that_of_latest_or_of_its_only_version(tmp_path, qualifiers, chosen):
    names = {text: f"{BASE}:f{text and ':'}{text}" for text in qualifiers}
    others = {f"{BASE}:{name}": config() for name in ("f-x", "f-x:1", "f!", "f.a", "e", "g")}
    text, counts = generate(tmp_path, {**{name: config() for name in names.values()}, **others})
    imports = {name for name in blocks_of(text)[1].values() if name in names.values()}
    assert imports == ({names[chosen]} if chosen is not None else set())
    for name in set(names.values()) - imports:
        assert f"this one has {len(names)}" in remark(text, name)
        assert name in blocks_of(uncommented(text))[1].values()
    assert counts.several == len(names) - len(imports) + 1  # f-x:1
    assert counts.configured == counts.blocks + counts.several


def test_a_urn_without_a_qualifier_and_latest_are_one_configuration(tmp_path):
    text, counts = generate(tmp_path, {f"{BASE}:f": config(), f"{BASE}:f:latest": config(), f"{BASE}:f-a": config()})
    assert sorted(blocks_of(text)[1].values()) == [f"{BASE}:f", f"{BASE}:f-a"]
    assert f"see {BASE}:f, the same configuration" in text
    assert (counts.blocks, counts.repeated) == (2, 1)


def test_a_urn_without_an_answer_is_a_comment_and_counted(tmp_path):
    functions = {urn("a"): FAILED, urn("b"): NOT_ATTEMPTED, urn("c"): NOT_FOUND, urn("d"): None}
    text, counts = generate(tmp_path, functions)
    assert blocks_of(text) == ({}, {})
    assert remark(text, urn("a")) == "# not known (failed, throttled): inventory export --resume asks again\n"
    assert "not_attempted" in remark(text, urn("b"))
    assert urn("c") not in text
    assert urn("d") not in text
    assert (counts.configured, counts.unknown) == (0, 2)


def test_a_state_says_what_is_unmanaged_and_what_differs(tmp_path):
    functions = {
        urn("same"): leading(on_failure=side("SMN", SMN)),
        urn("drift"): leading(on_failure=side("OBS", "{}")) | {"max_async_retry_attempts": 0},
        urn("free"): config(),
        urn("failed"): FAILED,
        urn("none"): None,
        urn("missing"): NOT_FOUND,
    }
    same = resource("module.a.t.same", urn("same"), on_failure=[{"destination": "SMN", "param": SMN}])
    drift = resource("t.drift[0]", urn("drift"), on_success=[{"destination": "DIS", "param": "secret"}])
    rest = [resource(f"t.{name}", urn(name)) for name in ("failed", "none", "missing", "unlisted")]
    inner = {"address": "module.a", "resources": [], "child_modules": [{"address": "module.a.b", "resources": [same]}]}
    text, counts = generate(tmp_path, functions, state(drift, modules=[inner]), state(*rest))
    assert list(blocks_of(text)[1].values()) == [urn("free")]
    assert "# unmanaged: in no state\nresource" in text
    assert remark(text, urn("same")) == "# managed as module.a.t.same in DIR/state-0.json, in sync\n"
    words = remark(text, urn("drift"))
    assert words.startswith(
        "# managed as t.drift[0] in DIR/state-0.json, differs from the cloud\n"
        "#   max_async_retry_attempts: state 3, cloud 0\n"
        "#   on_success: state DIS, cloud none\n"
        "#   on_failure: state none, cloud OBS\n"
    )
    assert "secret" not in text
    assert blocks_of(uncommented(words))[0][resource_name(urn("drift"))]["max_async_retry_attempts"] == 0
    assert "gone: not_configured" in remark(text, urn("none"))
    assert "gone: not_found" in remark(text, urn("missing"))
    assert "not compared" in remark(text, urn("failed"))
    assert "not compared: the run does not have this URN" in remark(text, urn("unlisted"))
    assert (counts.in_sync, counts.drift, counts.gone, counts.not_compared) == (1, 1, 2, 2)
    assert counts.configured == counts.blocks + counts.managed == 3


@pytest.mark.parametrize(
    ("values", "differing"),
    [
        ({}, None),
        ({"enable_async_status_log": None}, None),
        ({"on_success": None}, None),
        ({"on_success": [{"destination": "", "param": ""}]}, None),
        ({"enable_async_status_log": True}, "enable_async_status_log: state true, cloud false"),
        ({"region": "cn-south-1"}, "region: state cn-south-1, cloud cn-north-4"),
        ({"max_async_event_age_in_seconds": 60}, "max_async_event_age_in_seconds: state 60, cloud 3600"),
        ({"on_failure": []}, "on_failure: state none, cloud SMN"),
        ({"on_failure": [{"destination": "OBS", "param": SMN}]}, "on_failure.destination: state OBS, cloud SMN"),
        ({"on_failure": [{"destination": "SMN", "param": "{}"}]}, "on_failure.param: the values differ"),
        ({"on_failure": [{"destination": "SMN", "param": SMN.replace(":", ": ", 1)}]}, "the same JSON in another text"),
    ],
)
def test_drift_names_the_field(tmp_path, values, differing):
    managed = {"on_failure": [{"destination": "SMN", "param": SMN}], **values}
    functions = {urn("f"): leading(on_failure=side("SMN", SMN))}
    text, counts = generate(tmp_path, functions, state(resource("t.f", urn("f"), **managed)))
    assert (counts.in_sync, counts.drift) == ((1, 0) if differing is None else (0, 1))
    assert differing is None or differing in text


def test_an_answer_that_cannot_be_read_is_not_compared(tmp_path):
    text, counts = generate(tmp_path, {urn("f"): config(destination_config=[1])}, state(resource("t.f", urn("f"))))
    assert "not compared: destination_config of another type" in text
    assert (counts.drift, counts.gone, counts.not_compared, counts.managed) == (0, 0, 1, 1)


def test_a_urn_that_a_complete_listing_lacks_is_gone(tmp_path):
    coverage = ListingCoverage(frozenset({f"cn-north-4/{PROJECT}"}))
    other = urn("f").replace("cn-north-4", "cn-south-1")
    managed = state(resource("t.a", urn("gone")), resource("t.b", f"{BASE}:v:1"), resource("t.c", other))
    text, counts = generate(tmp_path, {urn("here"): config()}, managed, coverage=coverage)
    assert "gone: the run lists the whole project" in remark(text, urn("gone"))
    assert "not compared" in remark(text, f"{BASE}:v:1")
    assert text.index("cn-south-1: the provider") < text.index(other)
    assert (counts.gone, counts.not_compared) == (1, 2)


def test_a_state_finds_latest_with_and_without_its_qualifier(tmp_path):
    functions = {f"{BASE}:a": config(), f"{BASE}:b:latest": config()}
    managed = state(resource("t.a", f"{BASE}:a:latest"), resource("t.b", f"{BASE}:b"))
    text, counts = generate(tmp_path, functions, managed)
    assert counts.in_sync == 2
    assert blocks_of(text) == ({}, {})


def test_another_qualifier_of_a_managed_function_gets_no_block(tmp_path):
    functions = {f"{BASE}:f:latest": config(), f"{BASE}:f:1": config()}
    text, counts = generate(tmp_path, functions, state(resource("t.f", f"{BASE}:f:1")))
    assert blocks_of(text) == ({}, {})
    assert (counts.managed, counts.several) == (1, 1)


def test_a_configuration_in_two_states_is_said(tmp_path):
    text, counts = generate(
        tmp_path, {urn("f"): config()}, state(resource("t.f", urn("f"))), state(resource("t.g", urn("f")))
    )
    assert "managed more than once" in remark(text, urn("f"))
    assert counts.in_sync == 2


FRAGMENT = """\
# in resource "huaweicloud_fgs_async_invoke_configuration"
on_failure {
  destination = "SMN"
  param       = jsonencode({ topic_urn = "urn:smn:r:p:TOPIC" })
}"""
WHOLE = """\
resource "huaweicloud_fgs_async_invoke_configuration" "this" {
  function_urn                   = "x"
  max_async_event_age_in_seconds = 60
  max_async_retry_attempts       = 1
}"""
ELSEWHERE = '# in resource "huaweicloud_fgs_async_invoke_configuration" of the version\nmax_async_retry_attempts = 9'


def test_a_fix_is_a_commented_block_with_all_arguments(tmp_path):
    functions = {urn("f"): leading(on_success=side("SMN", SMN), on_failure=side("OBS", "{}"))}
    fixes = {urn("f"): [("FGA1: no", FRAGMENT), ("FGA2: none", FRAGMENT), ("FGA3", "max_async_retry_attempts = 1")]}
    text, counts = generate(tmp_path, functions, fixes=fixes)
    assert blocks_of(text)[0][resource_name(urn("f"))]["on_failure"]["destination"] == "OBS"
    changed = text.split("# fix for ")[1]
    assert changed.startswith(f"{urn('f')}\n# FGA1: no\n# FGA2: none\n# resource")
    (body,) = blocks_of(uncommented(changed))[0].values()
    assert body["on_failure"] == {"destination": "SMN", "param": '{"topic_urn":"urn:smn:r:p:TOPIC"}'}
    assert body["on_success"]["destination"] == "SMN"
    assert body["max_async_event_age_in_seconds"] == 3600
    assert "# FGA3\n# max_async_retry_attempts = 1\n" in text
    assert counts.fixed == 1


def test_a_fix_of_a_urn_without_a_configuration_is_a_whole_block(tmp_path):
    fixes = {urn("f"): [("FGA102", WHOLE), ("FGA9", FRAGMENT)]}
    text, _ = generate(tmp_path, {urn("f"): None}, fixes=fixes)
    assert blocks_of(text) == ({}, {})
    (body,) = blocks_of(uncommented(text))[0].values()
    assert body == {
        "region": "cn-north-4",
        "function_urn": urn("f"),
        "max_async_event_age_in_seconds": 60,
        "max_async_retry_attempts": 1,
    }
    assert '# on_failure {\n#   destination = "SMN"' in text


@pytest.mark.parametrize(
    "fix",
    [ELSEWHERE, "inventory review", "", f"{FRAGMENT}\n/* x", FRAGMENT[:-1], 'resource "x" "y" {\n}', "a\u2028b\r"],
)
def test_a_fix_of_something_else_is_copied_as_a_comment(tmp_path, fix):
    text, _ = generate(tmp_path, {urn("f"): config()}, fixes={urn("f"): [("FGA1", fix)]})
    assert len(blocks_of(text)[0]) == 1
    assert "max_async_retry_attempts       = 9" not in text
    after = text.split("# FGA1\n")[1]
    assert all(line.startswith("#") for line in after.splitlines() if line)


def test_the_suggestion_about_a_function_is_beside_its_urns(tmp_path):
    text, counts = generate(tmp_path, {f"{BASE}:f:1": config()}, fixes={f"{BASE}:f": [("FGA113", ELSEWHERE)]})
    assert f"# fix for {BASE}:f\n# FGA113\n" in text
    assert counts.fixed == 1


def test_the_same_run_gives_the_same_bytes_in_any_form(tmp_path):
    functions = {name: config() for name in HOSTILE} | {f"{BASE}:f{number}:1": config() for number in range(50)}
    params = ["", SMN, "=1+1", "'x", " ", 'a,b\n"c"', "\t", "null", "NULL"]
    functions |= {f"{BASE}:p{number}": leading(on_failure=side("SMN", text)) for number, text in enumerate(params)}
    functions[f"{BASE}:p"] = leading(on_failure={"destination": "SMN"})
    texts = {
        generate(tmp_path / str(number), functions, **options)[0]
        for number, options in enumerate([{}, {"formats": ("csv",)}, {"rows_per_file": 7}, {"day": 3}])
    }
    assert len(texts) == 1


@pytest.mark.skipif(shutil.which("terraform") is None, reason="Terraform is not installed")
def test_the_text_has_the_format_of_terraform(tmp_path):
    functions = {name: leading(on_failure=side("SMN", SMN)) for name in HOSTILE} | {urn("x"): FAILED}
    text, _ = generate(tmp_path, functions, fixes={urn("x"): [("FGA1", WHOLE)]})
    (tmp_path / "a.tf").write_text(text, encoding="utf-8")
    environment = {"CHECKPOINT_DISABLE": "1", "PATH": "/usr/bin", "HOME": str(tmp_path)}
    command = [shutil.which("terraform"), "fmt", "-check", "-diff", "a.tf"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_each_project_has_its_heading(tmp_path):
    names = [name.replace(PROJECT, project) for name in (urn("a"), urn("b")) for project in ("p1", "p2", "p10")]
    text, _ = generate(tmp_path, {name: config() for name in names})
    headings = re.findall(r"^# Project (\S+) of region (\S+):", text, re.MULTILINE)
    assert headings == [("p10", "cn-north-4"), ("p1", "cn-north-4"), ("p2", "cn-north-4")]
    assert list(blocks_of(text)[1].values()) == sorted(names)


def test_text_is_written_while_the_run_is_read(tmp_path):
    folder = write_run(tmp_path, {f"{BASE}:f{number}": config() for number in range(20)}, rows_per_file=5)
    max((folder / "functions").iterdir()).unlink()
    pieces = Generator(None, ListingCoverage(), lambda _: []).generate(open_run(folder))
    assert len([next(pieces) for _ in range(14)]) == 14
    with pytest.raises(OutputError, match="cannot be read as a table"):
        list(pieces)
