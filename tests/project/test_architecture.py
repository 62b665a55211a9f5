"""The code is organised as ARCHITECTURE.md says, and keeps to the limits of contributing.md."""

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from importlib import import_module

import pytest
from support.documents import ARCHITECTURE, DOCUMENTS, PACKAGE, ROOT, table_rows, text_of

PAGE = text_of(ARCHITECTURE)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FILES = sorted(path for path in PACKAGE.rglob("*.py"))


def section(title):
    return table_rows(PAGE.split(f"\n## {title}")[1].split("\n## ")[0])


def test_the_layers_of_the_page_are_those_that_are_checked():
    contract = PROJECT["tool"]["importlinter"]["contracts"][0]
    checked = {
        len(contract["layers"]) - number: set(layer.split(" | ")) for number, layer in enumerate(contract["layers"])
    }
    page = {}
    for layer, name, _ in section("Packages and layers"):
        page.setdefault(int(layer), set()).add(name.strip("`"))
    assert page == checked


def test_every_package_is_on_the_page():
    tree = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    tree |= {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert {name.strip("`") for _, name, _ in section("Packages and layers")} == tree


def test_the_page_is_one_page():
    assert len(PAGE.splitlines()) <= 110


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_file_that_a_document_names_exists(document):
    names = re.findall(r"`((?:[a-z_]+/)+(?:[A-Za-z_]+\.(?:py|md))?|[a-z_]+\.py)`", text_of(document))
    missing = [name for name in names if not ((PACKAGE / name).exists() or (ROOT / name).exists())]
    later = {"cli/status.py"}
    assert [name for name in missing if not name.startswith(("functions", "output/")) and name not in later] == []


def test_every_dependency_has_its_reason():
    declared = {re.match(r"[a-z0-9]+", name)[0] for name in PROJECT["project"]["dependencies"]}
    assert {name for row in section("Dependencies") for name in row[0].split(", ")} == declared


def test_every_dependency_is_used():
    text = "\n".join(path.read_text(encoding="utf-8") for path in FILES)
    for name in PROJECT["project"]["dependencies"]:
        package = re.match(r"[a-z0-9]+", name)[0]
        assert re.search(rf"^\s*(?:import|from) {package}\b", text, re.MULTILINE), package


def test_public_functions_are_not_replaced_by_packages():
    code = (
        "import importlib, inventory, pkgutil\n"
        "for module in pkgutil.walk_packages(inventory.__path__, 'inventory.'):\n"
        "    if '__main__' not in module.name:\n"
        "        importlib.import_module(module.name)\n"
        "print([name for name in ('diff', 'export', 'history', 'review') if not callable(getattr(inventory, name))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr


def test_a_package_has_no_code_of_its_own():
    for path in PACKAGE.rglob("__init__.py"):
        if path.parent.name not in {"inventory", "emulator", "reviews"}:
            body = ast.parse(path.read_text(encoding="utf-8")).body
            assert len(body) == 1, path
            assert ast.get_docstring(ast.Module(body, [])), path


def test_every_module_says_in_one_line_what_it_contains():
    first = {
        path: (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()[:1] for path in FILES
    }
    assert [str(path) for path, line in first.items() if not line or len(line[0]) > 80] == []


def test_comments_and_docstrings_are_short():
    words = lines = 0
    for path in [*FILES, *(ROOT / "tests").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        lines += text.count("\n")
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        words += sum(len(token.string.lstrip("#").split()) for token in tokens if token.type == tokenize.COMMENT)
        for node in ast.walk(ast.parse(text)):
            for statement in getattr(node, "body", None) if isinstance(getattr(node, "body", None), list) else ():
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                    words += len(str(statement.value.value).split())
    assert words <= 0.68 * lines, (words, lines)  # 35,000 words in 51,500 lines


def test_every_public_name_can_be_imported():
    for name in ("inventory", "inventory.emulator", "inventory.reviews"):
        module = import_module(name)
        assert [public for public in module.__all__ if not hasattr(module, public)] == []


def test_files_and_functions_are_small():
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 350, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and path.parent.name != "cli":
                assert node.end_lineno - node.lineno < 50, f"{path}:{node.lineno}"


def test_no_error_is_swallowed():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                name = ast.unparse(node.type) if node.type else "everything"
                raises = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
                assert name not in {"Exception", "BaseException", "everything"} or raises, f"{path}:{node.lineno}"


def test_importing_the_package_loads_nothing_heavy():
    heavy = "{'pyarrow', 'pandas', 'aiohttp', 'numpy', 'duckdb', 'rich.progress', 'jinja2'} & set(sys.modules)"
    for statement in ("import inventory", "import inventory.cli.app"):
        code = f"import sys; {statement}; print({heavy})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "set()\n"


def test_an_export_does_not_load_pandas(tmp_path):
    code = (
        "import asyncio, sys; sys.path.insert(0, 'tests'); from pathlib import Path; from support.runs import export\n"
        f"folder = Path({str(tmp_path)!r}); (folder / 'urns.txt').write_text('not a urn')\n"
        "asyncio.run(export(folder / 'urns.txt', folder / 'run')); print({'pandas', 'duckdb'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "set()\n", done.stderr
