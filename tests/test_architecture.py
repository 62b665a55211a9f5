"""The house is as ARCHITECTURE.md says, and as the house rules ask."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "inventory"
PAGE = (PACKAGE / "ARCHITECTURE.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FILES = sorted(path for path in PACKAGE.rglob("*.py"))


def test_the_floors_of_the_page_are_those_that_are_checked():
    """Each module stands in ARCHITECTURE.md on the floor that import-linter holds it to."""
    checked = [set(re.split(r" [:|] ", layer)) for layer in PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]]
    page = [
        {name.rstrip("/") for name in re.findall(r"`([a-z_/]+)`", row.split("|")[2])}
        for row in PAGE.splitlines()
        if re.match(r"\| [0-9]+", row)
    ]
    top, second, *middle, first, errors, text = checked
    assert page == [top | second, *middle, first | errors | text]


def test_every_dependency_has_its_reason():
    """The table of dependencies names those of pyproject.toml, no more and no fewer."""
    declared = {re.match(r"[a-z]+", name)[0] for name in PROJECT["project"]["dependencies"]}
    table = PAGE.split("## Dependencies")[1].split("##")[0]
    named = {name for row in table.splitlines() if row.startswith("| ") for name in row.split("|")[1].split(", ")}
    assert {name.strip() for name in named} - {"package"} == declared


def test_every_dependency_is_used():
    """Each declared dependency is imported somewhere in the package."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in FILES)
    for name in PROJECT["project"]["dependencies"]:
        package = re.match(r"[a-z]+", name)[0]
        assert re.search(rf"^\s*(?:import|from) {package}\b", text, re.MULTILINE), package


def test_files_and_functions_are_small():
    """No file of the package has over 350 lines, no function over 50."""
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 350, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and path.name != "cli.py":
                assert node.end_lineno - node.lineno < 50, f"{path}:{node.lineno}"


def test_no_error_is_swallowed_whole():
    """No handler of the package catches Exception or everything, but those that raise again."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                name = ast.unparse(node.type) if node.type else "everything"
                raises = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
                assert name not in {"Exception", "BaseException", "everything"} or raises, f"{path}:{node.lineno}"


def test_importing_the_package_loads_nothing_heavy():
    """`import inventory` loads neither Arrow nor pandas nor aiohttp; the command's help loads none of them either."""
    heavy = "{'pyarrow', 'pandas', 'aiohttp', 'numpy', 'rich.progress'} & set(sys.modules)"
    for statement in ("import inventory", "import inventory.cli"):
        code = f"import sys; {statement}; print({heavy})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "set()\n"


def test_an_export_does_not_load_pandas(tmp_path):
    """A batch export never loads pandas, although Arrow would where it can."""
    code = (
        "import asyncio, sys; sys.path.insert(0, 'tests'); from pathlib import Path; from runs import export\n"
        f"folder = Path({str(tmp_path)!r}); (folder / 'urns.txt').write_text('not a urn')\n"
        "asyncio.run(export(folder / 'urns.txt', folder / 'run')); print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr
