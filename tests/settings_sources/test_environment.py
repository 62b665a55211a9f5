import re

import pytest
from support.runs import TOKEN, call_cli, manifest_of, run_cli

from inventory.emulator import Emulator
from inventory.errors import SettingsError
from inventory.settings import ExportSettings
from inventory.settings_sources.combine import combine
from inventory.settings_sources.environment import load_environment, variable_warnings
from inventory.settings_sources.run_options import declared_options

ACTIONS = {"all", "drop-bodies", "dry-run", "overwrite", "resume"}
OF_ONE_RUN = {"aliases", "output", "versions", "with", "work-dir"}
VALUES = {
    "INVENTORY_ATTEMPTS": ("2", "attempts", 2),
    "INVENTORY_CA_BUNDLE": ("", "ca_bundle", None),
    "INVENTORY_COLUMN": ("urn", "column", "urn"),
    "INVENTORY_ENDPOINT": ("https://x.example", "endpoint", "https://x.example"),
    "INVENTORY_FORMAT": ("csv, parquet", "format", ("csv", "parquet")),
    "INVENTORY_IAM_ENDPOINT": ("https://i.example", "iam_endpoint", "https://i.example"),
    "INVENTORY_MAX_PER_SECOND": ("0.5", "max_per_second", 0.5),
    "INVENTORY_MAX_TIME": ("60", "max_time", 60.0),
    "INVENTORY_MAX_WORKERS": (" 8 ", "max_workers", 8),
    "INVENTORY_NAIVE_TIMEZONE": ("UTC", "naive_timezone", "UTC"),
    "INVENTORY_NO_BATCH": ("true", "batch", False),
    "INVENTORY_PROJECT_ID": ("p", "project_id", "p"),
    "INVENTORY_QUOTA_SHARE": ("0.5", "quota_share", 0.5),
    "INVENTORY_REGION": ("cn-north-4", "region", "cn-north-4"),
    "INVENTORY_ROWS_PER_FILE": ("10", "rows_per_file", 10),
    "INVENTORY_TIMEOUT": ("5", "timeout", 5.0),
    "INVENTORY_TRANSPORT": ("session", "transport", "session"),
    "INVENTORY_TOKEN_FILE": ("token.txt", "token_file", "token.txt"),
}


def test_every_setting_but_actions_has_a_variable():
    declared = declared_options().values()
    without = {option.command_line_name for option in declared if option.variable is None}
    assert without >= ACTIONS | OF_ONE_RUN
    assert {option.command_line_name for option in declared if option.is_setting} & without <= ACTIONS
    assert {option.variable for option in declared if option.is_setting} - {None} == set(VALUES)
    for option in declared:
        assert option.variable in {None, f"INVENTORY_{option.command_line_name.replace('-', '_').upper()}"}


@pytest.mark.parametrize("name", VALUES)
def test_a_variable_sets_its_setting(name, monkeypatch):
    text, field, value = VALUES[name]
    monkeypatch.setenv(name, text)
    assert getattr(combine(None, {}), field) == value


def test_an_action_is_never_set_by_a_variable(monkeypatch):
    monkeypatch.setenv("INVENTORY_DROP_BODIES", "true")
    assert combine(None, {}).drop_bodies is False


def test_order_is_earlier_run_then_file_then_environment_then_command_line(tmp_path, monkeypatch):
    path = tmp_path / "inventory.toml"
    path.write_text("attempts = 2\ntimeout = 2\nmax-workers = 2\n")
    monkeypatch.setenv("INVENTORY_TIMEOUT", "3")
    monkeypatch.setenv("INVENTORY_MAX_WORKERS", "3")
    earlier = ExportSettings(quota_share=0.1, attempts=1, timeout=1.0, max_workers=1)
    settings = combine(path, {"max_workers": 4}, earlier)
    assert (settings.quota_share, settings.attempts, settings.timeout, settings.max_workers) == (0.1, 2, 3.0, 4)


def test_a_variable_overrides_the_accounts_of_the_file(tmp_path, monkeypatch):
    path = tmp_path / "inventory.toml"
    path.write_text('[[accounts]]\nname = "a"\nmax-workers = 5\nendpoint = "https://a.example"\n')
    monkeypatch.setenv("INVENTORY_MAX_WORKERS", "3")
    settings = combine(path, {})
    assert settings.for_account(settings.accounts[0]).max_workers == 3
    assert settings.for_account(settings.accounts[0]).endpoint == "https://a.example"
    monkeypatch.setenv("INVENTORY_TOKEN_FILE", "token.txt")
    with pytest.raises(SettingsError, match=r"^INVENTORY_TOKEN_FILE holds the token of one account"):
        combine(path, {})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("INVENTORY_MAX_WORKERS", "many", "'many' cannot be used; give a whole number"),
        ("INVENTORY_MAX_WORKERS", "1.5", "'1.5' cannot be used; give a whole number"),
        ("INVENTORY_MAX_WORKERS", "0", "0 cannot be used; give a number from 1 to 4096"),
        ("INVENTORY_TIMEOUT", "1 s", "'1 s' cannot be used; give a number"),
        ("INVENTORY_TIMEOUT", "nan", "nan cannot be used; give seconds"),
        ("INVENTORY_FORMAT", "csv,xml", "'csv,xml' cannot be used; give parquet or csv, separated by commas"),
        ("INVENTORY_TRANSPORT", "pigeon", "'pigeon' cannot be used; give auto or direct or session"),
        ("INVENTORY_NO_BATCH", "maybe", "'maybe' cannot be used; give true or false"),
        ("INVENTORY_ENDPOINT", "x", "'x' is not a URL such as https://"),
        ("INVENTORY_IAM_ENDPOINT", "x", "'x' is not a URL such as https://"),
        ("INVENTORY_REGION", "a:b", "'a:b' cannot be used; give one as it stands in a URN"),
        ("INVENTORY_PROJECT_ID", "a b", "'a b' cannot be used; give one as it stands in a URN"),
        ("INVENTORY_NAIVE_TIMEZONE", "Mars", "'Mars' is no time zone of this machine"),
        ("INVENTORY_CA_BUNDLE", "none.pem", "names 'none.pem', which cannot be read"),
    ],
)
def test_an_error_names_the_variable(name, text, message, monkeypatch):
    monkeypatch.setenv(name, text)
    with pytest.raises(SettingsError, match="^" + re.escape(f"{name} {message}")):
        combine(None, {})


@pytest.mark.parametrize(
    ("line", "message"), [("max-workers = 0", "max-workers 0 cannot"), ('endpoint = "x"', "endpoint 'x'")]
)
def test_an_error_names_the_settings_file(line, message, tmp_path):
    path = tmp_path / "inventory.toml"
    path.write_text(line)
    with pytest.raises(SettingsError, match="^" + re.escape(f"{path}: {message}")):
        combine(path, {})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("INVENTORY_MAX_WORKER", "INVENTORY_MAX_WORKER is no setting; the nearest is INVENTORY_MAX_WORKERS"),
        ("INVENTORY_RESUME", "INVENTORY_RESUME sets nothing, because --resume belongs to one command; give it there"),
        ("INVENTORY_DROP_BODIES", "INVENTORY_DROP_BODIES sets nothing, because --drop-bodies belongs to one command"),
    ],
)
def test_a_variable_that_sets_nothing_is_named(name, message):
    (warning,) = variable_warnings({name: "1", "PATH": "x", "INVENTORY_MAX_WORKERS": "1"})
    assert message in warning


def test_variables_of_other_programs_are_left_alone():
    assert variable_warnings({"INVENTORY_HOME": "/srv", "INVENTORYHOME": "x", "INVENTORY_DB_PASSWORD": "x"}) == []
    assert load_environment({"INVENTORY_MAX_WORKERS": ""}) == {}


def test_commands_read_variables(tmp_path, write_list, monkeypatch):
    with Emulator(functions=5, token=TOKEN).in_thread() as server:
        path = write_list(server.urns())
        variables = {"INVENTORY_ENDPOINT": server.url, "INVENTORY_FORMAT": "csv", "INVENTORY_QUIET": "1"}
        done = run_cli("export", path, "--output", tmp_path / "run", **variables)
        assert (done.returncode, done.stderr) == (0, "")
    assert [table["path"] for table in manifest_of(tmp_path / "run")["tables"] if "functions" in table["path"]] == [
        "functions.csv"
    ]
    tables = run_cli("tables", tmp_path / "run", INVENTORY_FORMAT="parquet")
    assert tables.returncode == 0, tables.stderr
    assert (tmp_path / "run" / "functions.parquet").exists()
    monkeypatch.setenv("INVENTORY_ROWS_PER_FILE", "-1")
    refused = call_cli("tables", tmp_path / "run", cwd=tmp_path)
    assert (refused.returncode, refused.stderr.startswith("inventory: INVENTORY_ROWS_PER_FILE -1")) == (2, True)
    wrong = run_cli("export", path, INVENTORY_LOG_FORMAT="yaml")
    assert wrong.returncode == 2
    assert "INVENTORY_LOG_FORMAT" in wrong.stderr


def test_a_token_file_of_a_variable_is_named_by_it(tmp_path, write_list):
    done = run_cli("export", write_list(["x"]), INVENTORY_TOKEN_FILE=str(tmp_path / "none"), token=None, cwd=tmp_path)
    assert (done.returncode, done.stderr.startswith(f"inventory: INVENTORY_TOKEN_FILE {tmp_path}/none cannot")) == (
        3,
        True,
    )
    done = run_cli("export", "urns.txt", "--token-file", "other", INVENTORY_TOKEN_FILE="none", cwd=tmp_path)
    assert done.stderr.startswith("inventory: --token-file other cannot be read")


@pytest.mark.parametrize(
    ("name", "text"),
    [("INVENTORY_SETTINGS", "none.toml"), ("INVENTORY_QUIET", "maybe"), ("INVENTORY_LOG_FORMAT", "xml")],
)
def test_an_error_about_an_option_without_a_file_names_its_variable(name, text, tmp_path, write_list):
    done = run_cli("export", write_list(["x"]), cwd=tmp_path, **{name: text})
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert name in done.stderr
