"""Claims about the regions and projects that are looked into."""

import pytest
from typer.testing import CliRunner

import inventory
from inventory.cli.app import app
from inventory.cloud.projects import select_projects
from inventory.errors import SettingsError
from inventory.settings import ExportSettings

UNUSABLE = [
    "",
    "cn north",
    "../x",
    "a\udcff",
    "cn\u200bnorth",
    "\uff43n-north-4",
    "\u0441n-north-4",
    "..",
    "p/../q",
    "p?x#",
]


@pytest.mark.parametrize("text", UNUSABLE)
@pytest.mark.parametrize("name", ["region", "project_id"])
def test_an_unusable_region_or_project_is_refused_before_any_call(tmp_path, text, name):
    several = {"region": ["cn-north-4"], name: ["good", text] if name == "project_id" else [text]}
    with pytest.raises(SettingsError, match="give one as it stands in a URN"):
        select_projects(ExportSettings(), several["region"], several.get("project_id"))
    words = [
        word
        for option, values in several.items()
        for value in values
        for word in (f"--{option.replace('_', '-')}", value)
    ]
    for command in (["discover"], ["check"], ["export", "--all", "--output", str(tmp_path / "run")]):
        done = CliRunner().invoke(app, [*command, *words, "--endpoint", "http://127.0.0.1:1"])
        assert (done.exit_code, done.stdout) == (2, "")
        assert "cannot be used; give one as it stands in a URN" in done.stderr
    with pytest.raises(SettingsError, match=name):
        inventory.export(all=True, output=tmp_path / "run", endpoint="http://127.0.0.1:1", **several)
    assert not (tmp_path / "run").exists()
