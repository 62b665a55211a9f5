"""Mistakes on the command line: each is one clear line with advice, the right exit code and no traceback."""

import re

import pytest
from support.runs import run_cli

URN = "urn:fss:cn-north-4:0123456789abcdef0123456789abcdef:function:default:f:latest"
HELP = "; see inventory {} --help"
MISTAKES = {
    # arguments and options
    "exprot": (2, "no such command 'exprot' (did you mean 'export'?); see inventory --help"),
    "--verison": (2, "there is no option --verison (did you mean --version?); see inventory --help"),
    "status": (2, "missing argument 'DIR'" + HELP.format("status")),
    "diff output": (2, "missing argument 'NEW'" + HELP.format("diff")),
    "export urns.txt --formt csv": (2, "there is no option --formt (did you mean --format"),
    "export urns.txt --format xml": (2, "invalid value for '--format': 'xml' is not one of 'parquet', 'csv'; see"),
    "export urns.txt --max-workers many": (2, "invalid value for '--max-workers': it must be a whole number; see"),
    "export urns.txt --timeout soon": (2, "invalid value for '--timeout': it must be a number; see inventory export"),
    "export urns.txt --settings": (2, "option '--settings' requires an argument; see inventory"),
    "emulate --functions=-1": (2, "invalid value for '--functions': "),
    # settings
    "export urns.txt --max-workers 0": (2, "--max-workers 0 cannot be used; give a number from 1 to 4096"),
    "export urns.txt --quota-share 2": (2, "--quota-share 2.0 cannot be used; give a share, from above 0 to 1"),
    "export urns.txt --endpoint functiongraph": (2, "--endpoint 'functiongraph' is not a URL such as https://"),
    "export urns.txt --naive-timezone Mars": (2, "--naive-timezone 'Mars' is no time zone of this machine; give"),
    "export urns.txt --settings none.toml": (2, "none.toml cannot be read: No such file or directory; name another"),
    "export urns.txt --settings text.toml": (2, "text.toml: max-workers must be a whole number, not a text; correct"),
    "export urns.txt --settings key.toml": (2, "key.toml has the key 'max-worker', which is no setting; the nearest"),
    "export urns.txt --settings urns.txt": (2, "urns.txt is no TOML: "),
    "export urns.txt --ca-bundle none.pem": (2, "--ca-bundle names 'none.pem', which cannot be read: No such file"),
    "export urns.txt --token-file none.txt": (3, "--token-file none.txt cannot be read: No such file or directory; "),
    # lists and regions
    "export": (2, "no list of URNs; name a file, - for standard input, or --all"),
    "export nowhere.txt": (2, "nowhere.txt: there is no such file; name a list of URNs"),
    "export .": (2, ". is a folder; name the list in it, such as ./urns.txt"),
    "export folder.txt": (2, "folder.txt is a folder; name the list in it"),
    "export list.xlsx": (2, "list.xlsx: its name must end in .txt, .csv"),
    "export other.csv": (2, "other.csv has no column 'function_urn'"),
    "export empty.txt": (2, "empty.txt contains no URN; fix the list, then rerun with --overwrite"),
    "export --all": (2, "--region is missing; name one, such as --region cn-north-4"),
    "export urns.txt --all": (2, "--all finds the list itself; give it without a list"),
    "export urns.txt --versions": (2, "--versions and --aliases need --all; a list says itself"),
    "discover --region cn-nroth-4": (
        2,
        "--region 'cn-nroth-4' is no region of Huawei Cloud (did you mean cn-north-4?)",
    ),
    "discover --region cn-north-4 --output list.xlsx": (2, "list.xlsx: its name must end in .txt, .jsonl, .parquet; "),
    "check --region ap-southest-1": (
        2,
        "--region 'ap-southest-1' is no region of Huawei Cloud (did you mean ap-southeast",
    ),
    # runs
    "export --resume urns.txt": (2, "--resume needs --output; give --output with the folder of the run"),
    "export --resume --output nowhere": (2, "--resume: nowhere contains no run; leave --resume out to begin"),
    "export urns.txt --resume --overwrite --output x": (
        2,
        "--resume cannot be combined with --overwrite; give one of them",
    ),
    "export urns.txt --output urns.txt": (
        4,
        "urns.txt cannot be written: a file of that name exists; give another --output",
    ),
    "export urns.txt --output s3:/bucket/x": (2, "--output 's3:/bucket/x' is no URL; give s3://bucket/prefix"),
    "status nowhere": (2, "nowhere contains no run: there is no ledger.sqlite in it; name the folder of a run"),
    "status latest --history none": (2, "there is no folder none; name the folder that contains the runs"),
    "tables s3://bucket/run": (
        2,
        "s3://bucket/run is no local folder; for a run in an object store, give its work folder",
    ),
    "runs nowhere": (2, "there is no folder nowhere; name the folder that contains the runs"),
    "diff a b": (2, "a: there is no such folder; name the folder of a run"),
    "diff a b --strict": (2, "--strict needs --exit-code"),
    "review urns.txt": (2, "urns.txt is a file; name the folder of its run"),
    "review folder.txt --as-of yesterday": (2, "--as-of 'yesterday' is no day; give one such as 2026-11-28"),
    "rules FGA999": (2, "there is no rule 'FGA999'; the nearest is FGA"),
    "terraform nowhere": (2, "nowhere: there is no such folder; name the folder of a run"),
    "prune folder.txt": (2, "prune needs a rule for what to keep; give --keep-last"),
    # other commands
    "schema functionz": (2, "there is no table 'functionz'; the tables are functions, destinations"),
    "emulate --limit many": (2, "limit 'many' is not N/UNIT or N/MUNIT; give one such as 60/minute"),
    "emulate --faults 5xx=200%": (2, "faults: 5xx=200% is not a share; give one such as 1%"),
    "emulate --port 99999": (2, "port 99999 does not lie between 0 and 65535; give 0"),
    "emulate --state none.json": (2, "state file none.json: cannot be read: No such file or directory; name another"),
    "demo --output urns.txt": (4, "urns.txt cannot be written: a file of that name exists; give another --output"),
}


EMPTY = {
    "export": "the name of a list of URNs is empty; name a file",
    "status": "the name of the run is empty; name the folder",
    "tables": "the name of the run is empty; name the folder",
    "runs": "the name of the folder is empty; name the folder",
    "review": "the name of the run is empty; name the folder",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "urns.txt").write_text(f"{URN}\n")
    (folder / "empty.txt").touch()
    (folder / "other.csv").write_text("a,b\n1,2\n")
    (folder / "text.toml").write_text('max-workers = "8"\n')
    (folder / "key.toml").write_text("max-worker = 8\n")
    (folder / "folder.txt").mkdir()
    return folder


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_one_line_with_advice(command, folder):
    code, message = MISTAKES[command]
    # The list without a URN is found to be empty in a run of its own.
    place = ("--output", f"{command.split()[1]}-run") if command in {"export empty.txt", "export other.csv"} else ()
    done = run_cli(*command.split(), *place, cwd=folder)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
    assert done.stderr.startswith(f"inventory: {message}")
    assert re.search(r"[^;]; \S", done.stderr), "it says what to do"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", EMPTY)
def test_an_unset_shell_variable_is_not_the_current_folder(command, folder):
    done = run_cli(command, "", cwd=folder)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"inventory: {EMPTY[command]}")


def test_a_mistake_is_a_json_line_if_that_is_asked_for(folder):
    done = run_cli("export", "urns.txt", "--formt", "csv", "--log-format", "json", cwd=folder)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert '"message": "there is no option --formt' in done.stderr


def test_foreign_text_of_a_mistake_is_escaped(folder):
    for arguments in (["a\x1b[31mb\nc"], ["export", "--a\x1b[31m\n"], ["schema", "--format", "\x1b[31m\nx"]):
        done = run_cli(*arguments, cwd=folder)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "\x1b" not in done.stderr
