import json
import re
import subprocess
import sys

import pytest
from support.runs import run_cli

from inventory.cli.app import main_command
from inventory.cli.examples import EXAMPLES
from inventory.cli.help import PANELS

COMMANDS = sorted(main_command().commands)
LOADED = """
import sys
sys.argv = ["inventory", *sys.argv[1:]]
from inventory.__main__ import main
try:
    main()
except SystemExit:
    import json
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def help_of(*command, columns=80):
    done = run_cli(*command, "--help", COLUMNS=str(columns))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def section(text, heading):
    """The lines of a section of a help text."""
    return text.partition(f"\n{heading}:\n")[2].partition("\n\n")[0].splitlines()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_help_text_fits_the_terminal_and_has_examples_but_no_types(command):
    for columns in (80, 120):
        text = help_of(command, columns=columns)
        assert [line for line in text.splitlines() if len(line) > columns] == []
        assert re.findall(r"<(?:list|str|int|float|bool|text|path|choice)\b|\bTEXT\b|\bINTEGER\b|\{[A-Z]", text) == []
        assert [line.strip() for line in section(text, "Examples")] == list(EXAMPLES[command])
    assert text == run_cli(command, "-h", COLUMNS="120").stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_a_help_text_is_whole(command):
    text = " ".join(help_of(command).split())
    for param in main_command().commands[command].params:
        assert (param.help or "") in text
        for name in param.opts if param.param_type_name == "option" else ():
            assert f"{name} " in text


def test_options_of_an_export_stand_in_panels():
    text = help_of("export")
    headings = re.findall(r"^(\w[\w ]*):$", text, re.MULTILINE)
    assert headings == ["Arguments", "Input", "Cloud", "Rate", "Tables", "Run", "Environment", "Exit codes", "Examples"]
    assert set(headings[:-3]) < set(PANELS)
    for heading, option in (
        ("Input", "--region"),
        ("Cloud", "--ca-bundle"),
        ("Rate", "--max-workers"),
        ("Tables", "--rows-per-file"),
        ("Run", "--resume"),
    ):
        assert any(line.split()[0] == option for line in section(text, heading))


def test_a_wide_terminal_gets_longer_lines():
    narrow, wide = (max(map(len, help_of("export", columns=columns).splitlines())) for columns in (80, 300))
    assert narrow <= 80
    assert 100 < wide <= 120


def test_the_list_of_commands_is_whole():
    text = help_of()
    assert [line.split()[0] for line in section(text, "Commands") if line[2] != " "] == list(main_command().commands)
    assert "..." not in text.partition("Commands:")[2]


@pytest.mark.parametrize("arguments", [["--help"], ["export", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments):
    done = subprocess.run([sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=True)
    modules = set(json.loads(done.stderr))
    heavy = {"pandas", "pyarrow", "numpy", "duckdb", "aiohttp", "asyncio", "rich.console", "tenacity", "sqlite3"}
    assert modules & heavy == set()
    assert len([name for name in modules if name.startswith("inventory")]) <= 40
    assert len(modules) <= 400


def test_only_options_that_have_a_variable_are_said_to_have_one():
    assert section(help_of("export"), "Environment")[0].startswith("  INVENTORY_MAX_WORKERS ")
    assert section(help_of("tables"), "Environment")[0].startswith("  INVENTORY_FORMAT ")
    assert section(help_of("review"), "Environment") == ["  INVENTORY_SETTINGS  Sets --settings."]
    for command in ("diff", "status", "schema", "runs"):
        assert section(help_of(command), "Environment") == []
