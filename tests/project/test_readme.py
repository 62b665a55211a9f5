"""README and guides: commands and snippets run, tables match the code, links work."""

import asyncio
import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from support import generate_docs
from support.documents import (
    DOCUMENTS,
    GUIDES,
    MANUAL,
    NOTEBOOKS,
    README,
    ROOT,
    blocks,
    commands,
    generated,
    table_rows,
    text_of,
)
from support.histories import nights
from support.ledgers import outcome
from support.runs import TOKEN, export, run_cli
from support.shells import run_shell, write_program, write_programs

from inventory.emulator import Emulator, GeneratedCloud, load_state
from inventory.errors import ErrorKind, ExitCode, Status
from inventory.reviews.rule import read_rule
from inventory.settings_sources.combine import combine
from inventory.settings_sources.toml_file import load_review_settings
from inventory.tables import schema
from inventory.tables.flatten import flatten

SET_UP = (
    "python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/inventory demo",
    "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest -n auto",
)
NOT_RUN = {
    "python3 -m venv": ".ci/run runs it",
    ".venv/bin/pytest": ".ci/run runs it",
    ".venv/bin/pip install -e '.[benchmarks]'": "test_benchmarks.py runs a small benchmark",
    "jupyter nbconvert": "the tests of the notebooks make such a page",
    "export HW_": "the emulator takes the tests' token",
    "terraform show": "it reads the user's state",
    "inventory emulate": "it serves until it is stopped; a test below starts it",
}
"""Commands that do not run here: how they begin, and why."""

manual = pytest.mark.parametrize("document", MANUAL, ids=lambda path: path.name)


@pytest.fixture(scope="module")
def cloud():
    with Emulator(GeneratedCloud(8, regions=("cn-north-4", "ap-southeast-1"))).in_thread() as emulator:
        yield emulator


@pytest.fixture(scope="module")
def prepared(cloud, tmp_path_factory):
    folder = tmp_path_factory.mktemp("documents")
    urns = [urn for urn in cloud.urns() if ":function:" in urn]
    (folder / "urns.txt").write_text("\n".join(urns))
    (folder / "functions.csv").write_text("func_urn\n" + "\n".join(urns))
    (folder / "token.txt").write_text(TOKEN)
    (folder / "short.txt").write_text("some-function\n")
    (folder / "state.json").write_text('{"format_version":"1.0"}')
    (folder / "inventory.toml").write_text(blocks("exporting.md", "toml")[0].code)
    asyncio.run(export(folder / "urns.txt", folder / "run", endpoint=cloud.url))
    nights(folder / "run", folder / "output", 2)
    (folder / "run").rename(folder / "output" / "today")
    return folder


@pytest.fixture
def shell(tmp_path, cloud, prepared):
    programs = tmp_path / "programs"
    write_programs(programs, cloud.url)
    fetch = f"import urllib.request as u; print(u.urlopen('{cloud.url}/emulator/urns').read().decode())"
    write_program(programs / "curl", f'exec {sys.executable} -c "{fetch}"')
    folder = tmp_path / "folder"
    shutil.copytree(prepared, folder)
    return lambda *command: run_shell(command, folder, programs)


def test_the_set_up_commands_are_whole_lines_of_the_readme():
    assert [line for line in commands(README) if line.startswith("python3 -m venv")] == list(SET_UP)
    assert "readme_command 'inventory demo'" in (ROOT / ".ci" / "run").read_text()
    assert "readme_command 'pytest -n auto'" in (ROOT / ".ci" / "run").read_text()


def test_the_row_that_the_readme_shows_is_that_of_the_vendors_answer():
    answers = json.loads((ROOT / "tests" / "data" / "real_answers.json").read_text(encoding="utf-8"))
    body = next(answer["body"] for answer in answers if answer.get("status") == 200 and "func_urn" in answer["body"])
    raw = json.dumps(body).encode()
    row = flatten(body["func_urn"], outcome(body["func_urn"], body=raw), None, listed=False).function
    cells = dict(zip((column.name for column in schema.FUNCTIONS.columns), row, strict=True))
    block = next(block.code for block in blocks(README, "text") if block.code.startswith("function_urn"))
    shown = re.findall(r"(\w+)  +(\S+)", block)
    assert len(shown) == 7
    assert shown == [(name, str(cells[name])) for name, _ in shown]


def test_the_readme_is_short():
    assert len(text_of(README).splitlines()) < 200


@manual
@pytest.mark.timeout(180)
def test_every_command_and_snippet_runs(document, shell, tmp_path, request):
    if "s3://my-bucket" in "".join(commands(document)):
        request.getfixturevalue("store").client().create_bucket(Bucket="my-bucket")
    if document == README:  # it makes its runs itself
        shutil.rmtree(tmp_path / "folder" / "output")
    for block in blocks(document, "bash", "python", "yaml"):
        for step in _steps(block):
            done = shell(*step)
            assert done.returncode == 0, f"{step[-1]}\n{done.stderr}"


def _steps(block):
    if block.language == "python":
        return [] if "pyspark" in block.code else [(sys.executable, "-c", block.code)]
    if block.language == "yaml":
        found = re.findall(r"run: pip install \. && (.*)", block.code)
        assert found or "expr:" in block.code, block
        return [("bash", "-c", command) for command in found]
    return [("bash", "-c", line) for line in block.code.splitlines() if not line.startswith((*NOT_RUN, "bash .ci"))]


@manual
def test_every_other_block_is_valid(document, tmp_path):
    path = tmp_path / "block"
    for block in blocks(document):
        assert block.language in {"bash", "python", "yaml", "toml", "json", "text", "sql"}, block
        path.write_text(block.code)
        if block.language == "toml":
            combine(path, {})
            load_review_settings(path)
        if block.language == "sql" and block.code.startswith("/*"):
            assert read_rule(block.code, document.name)
        if block.language == "json":
            assert json.loads(block.code)
            assert list(load_state(path).urns())


def test_the_emulator_command_starts():
    (line,) = [line for line in commands("emulator.md") if line.startswith("inventory emulate")]
    arguments = [argument if argument != "8787" else "0" for argument in shlex.split(line)[1:]]
    command = [sys.executable, "-m", "inventory", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as emulate:
        assert emulate.stdout.readline().startswith("http://127.0.0.1:")
        emulate.terminate()


@pytest.mark.timeout(120)
def test_the_demo_prints_what_the_readme_shows(tmp_path):
    done = run_cli("demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = blocks(README, "text")[0]
    variable = re.compile(r"\d{8}T\d{6}Z|127\.0\.0\.1:\d+")
    printed = [variable.sub("...", line) for line in done.stderr.splitlines()]
    assert [line for line in shown.code.splitlines() if variable.sub("...", line) not in printed] == []


def test_the_accounts_of_the_guide_are_settings(tmp_path):
    path = tmp_path / "accounts.toml"
    path.write_text(blocks("credentials.md", "toml")[0].code)
    assert [account.name for account in combine(path, {}).accounts] == ["production", "laboratory"]


@pytest.mark.parametrize("name", generate_docs.PARTS)
def test_the_generated_parts_are_those_of_the_code(name):
    guide, make = generate_docs.PARTS[name]
    assert generated(guide, name) == make(), "run: python tests/support/generate_docs.py"


@pytest.mark.parametrize("document", [README, GUIDES / "output.md"], ids=lambda path: path.name)
def test_every_exit_code_is_explained(document):
    (table,) = re.findall(r"^\| code \|.*?\n\n", text_of(document), re.MULTILINE | re.DOTALL)
    codes = [int(code) for row in table_rows(table) for code in re.findall(r"\d+", row[0])]
    assert sorted(codes) == sorted(ExitCode)


def test_every_status_and_error_kind_is_explained():
    (statuses,) = re.findall(r"^\| status \|.*?\n\n", text_of(README), re.MULTILINE | re.DOTALL)
    assert [row[0].strip("`") for row in table_rows(statuses)] == list(Status)
    (kinds,) = re.findall(r"^\| error_kind \|.*?\n\n", text_of("tables.md"), re.MULTILINE | re.DOTALL)
    assert [row[0].strip("`") for row in table_rows(kinds)] == list(ErrorKind)


def test_the_readme_links_every_guide():
    linked = set(re.findall(r"\(inventory/docs/([a-z-]+\.md)[)#]", text_of(README)))
    assert linked == {path.name for path in GUIDES.glob("*.md")}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_link_leads_to_a_file_and_a_heading(document):
    for target in re.findall(r"\]\(((?!http)[^)]+)\)", text_of(document)):
        name, _, anchor = target.partition("#")
        path = (document.parent / name) if name else document
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", text_of(path), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}, target


@pytest.mark.parametrize("document", [*DOCUMENTS, *NOTEBOOKS], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_documents_use_terms_that_readers_search_for(document):
    avoided = (ROOT / "tests" / "data" / "avoided-words.txt").read_text().splitlines()
    written = re.sub(r"<!-- (\w+):.*?<!-- end of \1 -->", "", text_of(document), flags=re.DOTALL)
    assert re.findall(rf"\b(?:{'|'.join(avoided)})\b", written, re.IGNORECASE) == []


def test_the_guides_are_part_of_the_package():
    assert len(list(GUIDES.glob("*.md"))) >= 13
    assert 'packages = ["inventory"]' in (ROOT / "pyproject.toml").read_text()


def test_messages_of_troubleshooting_exist_in_the_code():
    rows = table_rows(text_of("troubleshooting.md"))
    code = re.sub(
        r'"\s*\n\s*f?"', "", "".join(path.read_text(encoding="utf-8") for path in (ROOT / "inventory").rglob("*.py"))
    )
    assert [row[0] for row in rows if row[0].strip("`") not in code] == []
