"""The example files of the guide to containers and schedulers are valid, and their commands run."""

import importlib.util
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest
import yaml
from support.documents import GUIDES, ROOT
from support.runs import TOKEN, wait_for
from support.shells import run_shell, write_program, write_programs

from inventory.emulator import Emulator, Faults, GeneratedCloud
from inventory.errors import ExitCode

EXAMPLES = GUIDES / "examples"
RETRIED, FINAL = {1, 5, 143}, {2, 3, 4, 70}
"""Exit codes after which another attempt helps, and those that need a person."""


@pytest.fixture(scope="module")
def cloud():
    with Emulator(GeneratedCloud(4, regions=("cn-north-4",))).in_thread() as emulator:
        yield emulator


@pytest.fixture
def shell(cloud, tmp_path):
    programs = tmp_path / "programs"
    write_programs(programs, cloud.url)
    for name in ("gh", "curl", "pip"):
        write_program(programs / name, "exit 0")
    return lambda script, **environment: run_shell(["bash", "-e", "-c", script], tmp_path, programs, **environment)


def load(name):
    return yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))


def test_each_file_is_named_in_the_guide():
    guide = (GUIDES / "schedulers.md").read_text(encoding="utf-8")
    assert [path.name for path in sorted(EXAMPLES.iterdir()) if f"examples/{path.name}" not in guide] == []


def instructions():
    text = (EXAMPLES / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]


def test_the_image_has_a_pinned_base_no_root_and_no_secret():
    of = {name: [rest for word, rest in instructions() if word == name] for name, _ in instructions()}
    assert all(re.match(r"python:3\.11-slim-bookworm@sha256:[0-9a-f]{64}\b", base) for base in of["FROM"])
    assert of["USER"][-1] not in ("0", "root")
    assert json.loads(of["ENTRYPOINT"][-1]) == ["inventory"]
    assert not re.search("key|secret|token|password", " ".join(of["ENV"] + of.get("ARG", [])), re.IGNORECASE)
    sources = [word for rest in of["COPY"] if "--from" not in rest for word in rest.split()[:-1]]
    assert [source for source in sources if not (ROOT / source).exists()] == []


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*job*.yaml")))
def test_kubernetes_accepts_the_manifests(name):
    check = ("-m", "kubernetes_validate", "--strict", "--no-warn", EXAMPLES / name)
    done = subprocess.run([sys.executable, *check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "schema"), [("github-workflow.yml", "github-workflows"), ("gitlab-ci.yml", "gitlab-ci")]
)
def test_pipelines_follow_their_schemas(name, schema):
    check = ("-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", EXAMPLES / name)
    done = subprocess.run([sys.executable, *check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_accepts_the_units(tmp_path):
    for name in ("inventory.service", "inventory.timer"):
        shutil.copy(EXAMPLES / name, tmp_path)
    units = [tmp_path / "inventory.service", tmp_path / "inventory.timer"]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def pod(document):
    spec = document["spec"]
    return spec.get("jobTemplate", {"spec": spec})["spec"]


def test_a_pod_is_not_root_its_file_system_is_read_only_and_the_keys_come_from_a_secret():
    job = pod(load("cronjob.yaml"))
    (container,) = job["template"]["spec"]["containers"]
    assert job["template"]["spec"]["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert [source["secretRef"]["name"] for source in container["envFrom"]] == ["inventory-keys"]
    assert "HW_" not in json.dumps(container["env"])


def test_exit_codes_that_need_a_person_end_a_job():
    (rule, _) = pod(load("cronjob.yaml"))["podFailurePolicy"]["rules"]
    assert (rule["action"], set(rule["onExitCodes"]["values"])) == ("FailJob", FINAL)
    service = (EXAMPLES / "inventory.service").read_text(encoding="utf-8")
    assert set(map(int, re.search("RestartPreventExitStatus=(.*)", service)[1].split())) == FINAL
    assert set(load("gitlab-ci.yml")["inventory"]["retry"]["exit_codes"]) == RETRIED
    assert {*RETRIED, *FINAL} < {*ExitCode, 130, 143}


def service_script():
    text = (EXAMPLES / "inventory.service").read_text(encoding="utf-8")
    return shlex.split(re.search("ExecStart=/bin/sh -c (.*)", text)[1])[0].replace("%%", "%")


def cronjob_script():
    (container,) = pod(load("cronjob.yaml"))["template"]["spec"]["containers"]
    return container["args"][0].replace("/data/", "data/")


@pytest.mark.parametrize("script", [service_script, cronjob_script])
def test_the_second_attempt_of_a_scheduled_export_continues_the_run(script, shell, tmp_path):
    first, second = (shell(script(), JOB="inventory-29400000") for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "nothing was left to do" in second.stderr
    assert len(list(tmp_path.glob("**/manifest.json"))) == 1


@pytest.mark.timeout(180)
def test_the_steps_of_the_pipelines_run_in_their_order(shell, tmp_path):
    github = [step["run"] for step in load("github-workflow.yml")["jobs"]["review"]["steps"] if "run" in step]
    gitlab = ["mv output/2* output/before", *load("gitlab-ci.yml")["inventory"]["script"]]
    for step in (*github, *gitlab):
        done = shell(step, CI_MERGE_REQUEST_IID="7", CI_API_V4_URL="x", CI_PROJECT_ID="1", GITLAB_TOKEN="-", ISSUE="1")
        expected = (0, 1, 6) if "--fail-on" in step else (0,)
        assert done.returncode in expected, f"{step}\n{done.stderr}"
    assert {"review.html", "review.sarif", "changes.md"} <= {path.name for path in tmp_path.iterdir()}


@pytest.fixture
def dag(monkeypatch, tmp_path):
    class AirflowException(Exception):  # noqa: N818 - Airflow's name
        """Retried."""

    class AirflowFailException(AirflowException):
        """Not retried."""

    def decorator(*arguments, **_options):
        return arguments[0] if arguments and callable(arguments[0]) else lambda function: function

    for name, content in {
        "airflow": {},
        "airflow.exceptions": {"AirflowException": AirflowException, "AirflowFailException": AirflowFailException},
        "airflow.sdk": {"dag": lambda **_: lambda _function: lambda: None, "task": decorator},
    }.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("airflow_dag", EXAMPLES / "airflow_dag.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return module


def test_the_dag_retries_what_another_attempt_can_finish(dag, tmp_path):
    outcomes = {}
    for code in (0, *RETRIED, *FINAL):
        write_program(tmp_path / "inventory", f"echo /data/run; exit {code}")
        try:
            outcomes[code] = dag.run_inventory("export")
        except dag.AirflowException as error:
            outcomes[code] = type(error).__name__
    assert outcomes == {
        0: "/data/run",
        **dict.fromkeys(RETRIED, "AirflowException"),
        **dict.fromkeys(FINAL, "AirflowFailException"),
    }


def can_unshare():
    words = ["unshare", "--mount", "--pid", "--fork", "true"]
    return shutil.which("unshare") and subprocess.run(words, check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_unshare(), reason="needs namespaces")
def test_as_process_1_with_a_read_only_root_sigterm_leaves_a_run_that_can_be_resumed(tmp_path):
    slow_answers = Faults.parse("latency=300ms")
    with Emulator(GeneratedCloud(200, regions=("cn-north-4",)), faults=slow_answers).in_thread() as slow:
        (tmp_path / "urns.txt").write_text("\n".join(urn for urn in slow.urns() if ":function:" in urn))
        programs = tmp_path / "programs"
        write_programs(programs, slow.url)
        words = "inventory export urns.txt --output run --max-workers 4"
        read_only = "mount --bind . . && mount -o remount,ro,bind / && ! touch /root-is-writable 2>&-"
        environment = {"PATH": f"{programs}:/usr/bin:/bin", "HW_AUTH_TOKEN": TOKEN, "HOME": "/nowhere"}
        process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "sh", "-c", f"{read_only} && cd {tmp_path} && exec {words}"],
            cwd=tmp_path,
            env=environment | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
            stderr=subprocess.PIPE,
            text=True,
        )
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_for(lambda: slow._number > 4)
        subprocess.run(["kill", f"-{signal.SIGTERM}", children.read_text().split()[0]], check=True)
        _, message = process.communicate(timeout=30)
        assert (process.returncode, "--resume" in message) == (143, True), message
