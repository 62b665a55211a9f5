"""Which files are states of Terraform."""

import json

import pytest
from support.terraform import resource, state
from support.written_runs import urn

from inventory.errors import OutputError, UsageError
from inventory.terraform.state import read_states


def read(tmp_path, content):
    path = tmp_path / "state.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return read_states([path])


def test_resources_of_all_modules_are_read(tmp_path):
    module = {"address": "module.a", "resources": [resource("module.a.x", urn("x"))]}
    for name in ("b", "c"):
        module = {"address": f"module.{name}", "resources": [resource(name, urn(name))], "child_modules": [module]}
    managed = read(tmp_path, state(resource("r[0]", urn("r")), resource('r["k"]', urn("k")), modules=[module]))
    assert {name: [one.address for one in several] for name, several in managed.items()} == {
        urn("r"): ["r[0]"],
        urn("k"): ['r["k"]'],
        urn("x"): ["module.a.x"],
        urn("b"): ["b"],
        urn("c"): ["c"],
    }


def test_other_resources_are_skipped_whatever_their_values(tmp_path):
    others = [
        {"address": "a", "mode": "managed", "type": "huaweicloud_vpc", "values": {"region": 7, "on_failure": "x"}},
        {**resource("b", urn("b")), "mode": "data"},
        {**resource("c", urn("c")), "deposed_key": "1234"},
    ]
    assert read(tmp_path, state(*others)) == {}


@pytest.mark.parametrize("content", [{"format_version": "1.0"}, {"format_version": "1.0", "values": None}, state()])
def test_an_empty_state_has_no_resource(tmp_path, content):
    assert read(tmp_path, content) == {}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_a_state_that_powershell_redirected_is_read(tmp_path, encoding):
    assert list(read(tmp_path, json.dumps(state(resource("r", urn("r")))).encode(encoding))) == [urn("r")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no output of terraform show -json"),
        (b"resource {}", "no output of terraform show -json"),
        (b"\xff\xfe\xff", "no output of terraform show -json"),
        ([1], "no output of terraform show -json"),
        ({"version": 4, "lineage": "x", "resources": []}, "it is the file of a backend"),
        ({"format_version": "1.2", "planned_values": {}, "resource_changes": []}, "is a plan, not a state"),
        (state(resource("r", urn("r"), max_async_retry_attempts="x")), "no output of terraform show -json"),
        (b'{"format_version":"1","values":' + b'{"root_module":{"child_modules":[' * 9000, "no output of terraform"),
        (state(resource("r", "default:f")), "r has function_urn 'default:f', which is no full function URN"),
        (state(resource("r", None)), "function_urn ''"),
    ],
)
def test_what_is_no_state_is_refused_in_one_sentence(tmp_path, content, reason):
    with pytest.raises(UsageError) as caught:
        read(tmp_path, content)
    assert reason in str(caught.value)
    assert "; " in str(caught.value)


def test_a_missing_state_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="cannot be read as a state: No such file"):
        read_states([tmp_path / "none.json"])
