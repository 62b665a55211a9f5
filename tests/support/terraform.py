"""Reads the HCL that the tests get, and writes states; no code of the program."""

import json
import re

import hcl2

TYPE = "huaweicloud_fgs_async_invoke_configuration"
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def read_string(text):
    """The text that a quoted template without interpolation means."""
    assert text[0] == text[-1] == '"', text
    inner, result, at = text[1:-1], [], 0
    while at < len(inner):
        if inner[at] == "\\":
            kind = inner[at + 1]
            size = {"u": 4, "U": 8}.get(kind, 0)
            result.append(chr(int(inner[at + 2 : at + 2 + size], 16)) if size else _ESCAPES[kind])
            at += 2 + size
        else:
            assert inner[at] not in '"\n\r', text
            assert not re.match(r"[$%]\{", inner[at:]), text
            result.append(inner[at])
            at += 1
    return "".join(result)


def blocks_of(text):
    """The resources by name, and the import ids by name."""
    document = hcl2.loads(text)
    resources = {}
    for resource in document.get("resource", []):
        ((kind, named),) = resource.items()
        ((name, body),) = named.items()
        assert kind.strip('"') == TYPE
        assert name.strip('"') not in resources, "a name is there twice"
        resources[name.strip('"')] = {key: _value(value) for key, value in body.items() if not key.startswith("__")}
    imports = {}
    for item in document.get("import", []):
        kind, name = re.sub(r"[${}]", "", item["to"]).split(".")
        assert kind == TYPE
        imports[name] = read_string(item["id"])
    return resources, imports


def _value(value):
    if isinstance(value, list):
        (block,) = value
        return {key: _value(inner) for key, inner in block.items() if not key.startswith("__")}
    if isinstance(value, str) and (call := re.fullmatch(r"\$\{jsonencode\((.*)\)\}", value, re.DOTALL)):
        return json.dumps(_json(call[1]), separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return read_string(value) if isinstance(value, str) else value


def _json(expression):
    """The value of an object of literals."""
    text = re.sub(
        r'("(?:[^"\\]|\\.)*"|\b[A-Za-z_]\w*)(\s*)=', lambda match: f'"{match[1].strip(chr(34))}":', expression
    )
    return json.loads(text)


def uncommented(text):
    """The text with every comment as code, without the prose."""
    lines = [line.removeprefix("# ").removeprefix("#") for line in text.splitlines()]
    kept, depth = [], 0
    for line in lines:
        if re.match(r'(resource "\w+" "\w+"|import) \{$', line):
            depth = 1
            kept.append(line)
        elif depth:
            kept.append(line)
            depth += line.endswith("{")
            depth -= line.strip() == "}"
    return "\n".join(kept) + "\n"


def resource(address, urn, kind=TYPE, **values):
    """A resource of a state."""
    return {
        "address": address,
        "mode": "managed",
        "type": kind,
        "name": address.rpartition(".")[2],
        "provider_name": "registry.terraform.io/huaweicloud/huaweicloud",
        "schema_version": 0,
        "values": {
            "id": urn,
            "region": "cn-north-4",
            "function_urn": urn,
            "max_async_event_age_in_seconds": 3600,
            "max_async_retry_attempts": 3,
            "enable_async_status_log": False,
            "on_success": [],
            "on_failure": [],
            **values,
        },
        "sensitive_values": {"on_success": [], "on_failure": []},
    }


def state(*resources, modules=()):
    """What ``terraform show -json`` prints."""
    root = {"resources": list(resources), "child_modules": list(modules)}
    return {"format_version": "1.0", "terraform_version": "1.11.4", "values": {"root_module": root}}
