import re
import shutil

import pytest
from support.runs import TOKEN, call_cli

from inventory.emulator import Emulator

_NOUNS = (
    r"((common|configured|failed|more) )?(accounts|bytes|calls|days|duplicates|entries|files|functions|hours|projects|"
    r"regions|rejects|retries|rows|runs|scopes|URNs)\b"
)
_FAULTS = {
    "a plural of one": re.compile(rf"(?<![\d.,])1 {_NOUNS}"),
    "a thousand without a comma": re.compile(rf"(?<![\d.,:])\d{{4,}} ({_NOUNS}|of )"),
    "a share that rounds to all or nothing": re.compile(r"\b\d+\.\d{2,}%|(?<![\d.])\d{1,2}% of"),
    "an exponent": re.compile(r"\d[eE][+-]\d"),
}


@pytest.mark.parametrize("urns", [1, 1100])
def test_every_command_counts_in_one_format(tmp_path, write_list, urns):
    with Emulator(functions=urns, token=TOKEN) as server:
        listed = list(server.urns(urns))
        path = write_list([*listed, listed[0], "odd"])
        options = ("--endpoint", server.url, "--max-per-second", "0", "--log-format", "text")
        commands = [
            ("export", path, *options, "--output", tmp_path / "runs" / "a"),
            ("export", path, *options, "--dry-run"),
            ("export", path, "--endpoint", server.url, "--max-per-second", "0.001", "--dry-run"),
            ("status", tmp_path / "runs" / "a"),
            ("tables", tmp_path / "runs" / "a", "--format", "csv"),
            ("diff", tmp_path / "runs" / "a", tmp_path / "runs" / "b"),
            ("diff", tmp_path / "runs" / "a", tmp_path / "runs" / "b", "--format", "markdown"),
            ("check", path, "--endpoint", server.url),
            ("discover", "--region", "cn-north-4", "--project-id", listed[0].split(":")[3], "--endpoint", server.url),
            ("prune", tmp_path / "runs", "--keep-last", "1"),
        ]
        for command in commands:
            if command[0] == "diff" and not (tmp_path / "runs" / "b").exists():
                shutil.copytree(tmp_path / "runs" / "a", tmp_path / "runs" / "b")
            done = call_cli(*command, cwd=tmp_path)
            assert done.returncode in {0, 3}, (command, done.stderr)
            text = done.stderr if command[0] == "discover" else done.stdout + done.stderr
            found = {name: pattern.findall(text) for name, pattern in _FAULTS.items() if pattern.search(text)}
            assert found == {}, (command, text)
            assert re.search(rf"\b{urns:,}\b", text) or command[0] in {"check", "prune", "discover"}, (command, text)
