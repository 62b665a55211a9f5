import csv
import json

import pytest
from support.runs import call_cli, run_cli
from support.terraform import blocks_of, resource, state, uncommented
from support.written_runs import FAILED, config, leading, side, urn, write_run

SAFE = leading(on_failure=side("SMN", {"topic_urn": "urn:smn:cn-north-4:p:t"}))
NAME = "async_invoke.tf"


@pytest.fixture
def run(tmp_path):
    functions = {urn("silent"): config(), urn("safe"): SAFE, urn("failed"): FAILED, urn("none"): None}
    write_run(tmp_path / "run", functions)
    managed = state(resource("t.safe", urn("safe")), resource("t.none", urn("none")))
    (tmp_path / "state.json").write_text(json.dumps(managed))
    return tmp_path


def terraform(folder, *arguments):
    return call_cli("terraform", "run", *arguments, cwd=folder)


def test_blocks_are_data_on_stdout_and_counts_are_messages(run):
    done = terraform(run)
    assert done.returncode == 0
    assert sorted(blocks_of(done.stdout)[1].values()) == [urn("safe"), urn("silent")]
    assert done.stderr == (
        "2 configurations: 2 with blocks\n1 URN without an answer, which inventory export --resume asks again\n"
    )


def test_the_folder_has_the_bytes_of_stdout_and_its_files_are_printed(run):
    expected = terraform(run).stdout
    for _ in range(2):
        done = terraform(run, "--output", "tf")
        (path,) = done.stdout.splitlines()
        assert (run / path).read_text() == expected
        assert path.endswith(NAME)


def test_states_are_counted(run):
    (run / "other.json").write_text((run / "state.json").read_text())
    done = terraform(run, "--state", "state.json", "--state", "other.json", "--state", "./state.json")
    assert "4 resources in the states: 0 in sync, 2 with drift, 2 gone, 0 not compared; 1 unmanaged" in done.stderr
    assert "2 configurations: 1 with blocks, 1 managed by a state" in done.stderr


@pytest.mark.parametrize("form", ["csv", "parquet", "json"])
def test_fixes_of_a_review_are_commented_blocks(run, form):
    file = f"findings.{form}"
    assert call_cli("review", "run", "--format", form, "--output", file, cwd=run).returncode == 0
    done = terraform(run, "--findings", file)
    assert len(blocks_of(done.stdout)[0]) == 2
    fixed = [body for body in blocks_of_every(done.stdout) if body["function_urn"] == urn("silent")]
    assert any("on_failure" in body for body in fixed)
    assert "with fixes of the review" in done.stderr


def blocks_of_every(text):
    pieces = uncommented(text).split("\nresource ")
    return [
        body for piece in pieces for body in blocks_of(f"\nresource {piece}" if piece[:1] == '"' else piece)[0].values()
    ]


def test_a_suppressed_finding_suggests_nothing(run):
    (run / "inventory.toml").write_text(
        '[[suppress]]\nrule = "FGA101"\nsubjects = ["*"]\nreason = "r"\nby = "b"\nuntil = "2999-01-01"\n'
    )
    arguments = ("--only", "FGA101", "--format", "csv", "--output", "f.csv")
    for settings, is_there in ((), True), (("--settings", "inventory.toml"), False):
        assert call_cli("review", "run", *arguments, *settings, cwd=run).returncode == 0
        assert ("FGA101: " in terraform(run, "--findings", "f.csv").stdout) is is_there


def test_a_finding_of_an_own_rule_has_its_fix_with_its_folder(run):
    (run / "rules").mkdir()
    (run / "rules" / "own.sql").write_text(
        '/*\nid = "OWN001"\nname = "x"\ntitle = "Own"\narea = "cost"\nseverity = "low"\nsubject = "urn"\nwhy = "w"\n'
        'fix = "f"\nsource = "s"\nterraform = """\n# in resource "huaweicloud_fgs_async_invoke_configuration"\n'
        'max_async_retry_attempts = 1\n"""\n*/\nSELECT id, subject, true AS fails, NULL AS evidence FROM subjects\n'
    )
    arguments = ("--rules", "rules", "--only", "OWN001", "--format", "parquet", "--output", "f.parquet")
    done = call_cli("review", "run", *arguments, cwd=run)
    assert done.returncode == 0, done.stderr
    assert "# inventory rules OWN001 --rules DIR" in terraform(run, "--findings", "f.parquet").stdout
    text = terraform(run, "--findings", "f.parquet", "--rules", "rules").stdout
    assert "# OWN001: Own\n# resource" in text
    assert "#   max_async_retry_attempts       = 1\n" in text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--state", "none.json"], 4, "none.json cannot be read as a state: No such file or directory; run terraform"),
        (["--state", "run/manifest.json"], 2, "manifest.json is no output of terraform show -json: "),
        (["--findings", "none.csv"], 4, "none.csv cannot be read as findings: No such file or directory"),
        (["--findings", "run/functions.parquet"], 2, "functions.parquet is no file of findings: "),
        (["--findings", "run/manifest.json"], 2, "manifest.json is no file of findings: "),
        (["--rules", "rules"], 2, "--rules needs --findings"),
        (["--state", "run"], 4, "run cannot be read as a state: "),
        (["--output", "state.json"], 4, "state.json cannot be written: "),
        (["--output", "run/manifest.json/x"], 4, "cannot be written: "),
    ],
)
def test_wrong_input_is_one_sentence(run, arguments, code, message):
    done = terraform(run, *arguments)
    assert done.returncode == code
    (line,) = done.stderr.splitlines()
    assert message in line
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("name", "message"), [("", "the name of the folder is empty"), ("s3://bucket/tf", "this must be a local folder")]
)
def test_an_output_that_is_no_local_folder_is_refused(run, name, message):
    done = run_cli("terraform", "run", "--output", name, cwd=run)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert message in line


def test_a_folder_without_a_run_is_refused(tmp_path):
    done = call_cli("terraform", ".", cwd=tmp_path)
    assert done.returncode == 2
    assert "contains no run" in done.stderr


def test_a_file_of_an_earlier_run_without_its_project_is_named(run):
    terraform(run, "--output", "tf")
    (old,) = (run / "tf").iterdir()
    old.rename(run / "tf" / "cn-south-1_old")
    done = terraform(run, "--output", "tf")
    assert f"warning: tf/cn-south-1_old/{NAME} is of an earlier run" in done.stderr
    assert (run / "tf" / "cn-south-1_old" / NAME).exists()


def test_findings_that_a_spreadsheet_changed_suggest_what_they_can(run):
    arguments = ("--only", "FGA105", "--only", "FGA101", "--format", "csv", "--output", "f.csv")
    assert call_cli("review", "run", *arguments, cwd=run).returncode == 0
    lines = (run / "f.csv").read_text().splitlines()
    rows = list(csv.DictReader(lines))
    for row in rows:
        row["evidence"] = "{broken"
    rows.append({**rows[0], "subject": ""})
    with (run / "f.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    done = terraform(run, "--findings", "f.csv")
    assert done.returncode == 0, done.stderr
    assert "# FGA101: " in done.stdout
