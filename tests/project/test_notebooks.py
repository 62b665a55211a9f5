"""Runs every notebook: on the emulator in a kernel, and on unusual snapshots in this process."""

import ast
import asyncio
import inspect
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from support.runs import export
from traitlets.config import PyFileConfigLoader

from inventory.emulator import Emulator, Faults, FileCloud, GeneratedCloud

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
PICTURES = {"cost_review": 4, "drift": 4, "quickstart": 2, "reliability_review": 4}
FINDINGS = {
    "cost_review": "No price is given",
    "drift": "lost their failure destination",
    "quickstart": "have no failure destination",
    "reliability_review": "lose events without a notification",
}
BASE = "urn:fss:cn-north-4:p1:function:a_package_with_quite_a_long_name_that_has_to_be_cut_somewhere:"
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# warnings of the kernel, not of the notebook
quiet_kernel = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def code_of(path):
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_every_notebook_is_tested():
    assert [path.stem for path in NOTEBOOKS] == sorted(PICTURES)


def page_settings():
    return PyFileConfigLoader(str(NOTEBOOKS[0].with_name("offline_page.py"))).load_config()


def test_the_documented_command_makes_a_page_without_network_and_code():
    settings = page_settings()
    assert settings.NbConvertApp.export_format == "html"
    assert settings.ExecutePreprocessor.enabled
    root = NOTEBOOKS[0].parents[1]
    command = "jupyter nbconvert --config notebooks/offline_page.py notebooks/reliability_review.ipynb"
    assert command in (root / "inventory/docs/python.md").read_text()


@by_name
@pytest.mark.timeout(180)
@quiet_kernel
def test_a_notebook_runs_from_top_to_bottom(path, monkeypatch, tmp_path):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources)
    asyncio.run(client.async_execute())
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pictures = [output for output in outputs if "<img alt=" in output.get("data", {}).get("text/html", "")]
    printed = "".join(output.get("text", "") for output in outputs)
    assert len(pictures) == PICTURES[path.stem]
    assert FINDINGS[path.stem] in printed
    assert not [output for output in outputs if output.get("name") == "stderr"]
    page, _ = HTMLExporter(config=page_settings()).from_notebook_node(notebook)
    assert len(page) < 4_000_000
    assert "No description has been provided" not in page
    assert not re.findall(
        r"""<script[^>]*\ssrc=|<link[^>]*\shref=|src=["']https?:|from ['"]https?:|import\(['"]http""", page
    )
    assert "import inventory" not in page
    text = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)
    assert not re.findall(r"\b\d[\d.]*e[+-]\d+|\binf\b|\bnan\b|\b\d days? \d\d:", text)
    alt_texts = " ".join(re.findall(r'alt="([^"]*)"', page))
    assert not re.findall(r"(?<![\w…-])\d{4,}(?![\w…-])|\de[+-]\d|\b(?:inf|nan)\b", alt_texts)


@by_name
def test_a_notebook_is_stored_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.language_info == {"name": "python"}
    for cell in notebook.cells:
        assert cell.metadata == {}
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@by_name
def test_one_variable_selects_the_users_snapshot(path):
    name = "MY_SNAPSHOTS" if path.stem == "drift" else "MY_SNAPSHOT"
    assert code_of(path)[0].startswith(f"{name} = None")


@pytest.fixture(scope="module")
def unusual_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unusual")
    bare = {"max_async_event_age_in_seconds": 60, "max_async_retry_attempts": 0, "destination_config": {}}
    clouds = {
        "some_failed": (GeneratedCloud(40, 1), Faults.parse("5xx=50%")),
        "all_failed": (GeneratedCloud(8, 1), Faults.parse("5xx=100%")),
        "empty": (FileCloud({}), None),
        "no_destinations": (FileCloud({f"{BASE}{'f' * 60}{number}": bare for number in range(3)}), None),
        "nothing_set": (FileCloud({f"{BASE}unset": None}), None),
    }

    async def make():
        for name, (cloud, faults) in clouds.items():
            async with Emulator(cloud, faults=faults) as emulator:
                (folder / f"{name}.txt").write_text("\n".join(emulator.urns()))
                await export(folder / f"{name}.txt", folder / name, endpoint=emulator.url, attempts=1)

    asyncio.run(make())
    return {name: str(folder / name) for name in clouds}


@pytest.mark.parametrize("kind", ["some_failed", "all_failed", "empty", "no_destinations", "nothing_set"])
@pytest.mark.parametrize("name", sorted(PICTURES))
def test_a_notebook_handles_an_unusual_run(name, kind, unusual_runs, monkeypatch, capsys):
    drawn = run_in_this_process(name, unusual_runs, kind, monkeypatch)
    printed = capsys.readouterr().out
    assert "nan" not in printed.lower()
    assert all(figure.axes and any(ax.has_data() for ax in figure.axes) for figure, _ in drawn)
    assert not [alt_text for _, alt_text in drawn if "nan" in alt_text.lower()]
    assert "unknown" in printed or name == "drift"
    assert bool(drawn) == (kind != "empty" or name == "drift")  # against an empty run, all URNs are not_listed


def run_in_this_process(name, runs, kind, monkeypatch):
    from inventory.reviews.notebook import charts  # noqa: PLC0415 - matplotlib takes half a second, and only here

    drawn = []
    monkeypatch.setattr(charts, "show", lambda figure, alt_text: drawn.append((figure, alt_text)))
    cells = code_of(NOTEBOOKS[0].with_name(f"{name}.ipynb"))
    own = {"MY_SNAPSHOT": runs[kind], "MY_SNAPSHOTS": (runs["some_failed"], runs[kind])}
    cells.insert(1, "\n".join(f"{variable} = {value!r}" for variable, value in own.items()))
    if name == "cost_review":  # set every price, so that amounts are drawn
        cells.insert(
            2,
            "COST_INPUTS = [(what, of, 2 if value is None else value, unit) for what, of, value, unit in COST_INPUTS]",
        )
    names = {"__name__": "notebook"}

    async def run():
        for cell in cells:
            pending = eval(compile(cell, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)  # noqa: S307 - ours
            if inspect.isawaitable(pending):
                await pending

    asyncio.run(run())
    for figure, _ in drawn:
        figure.canvas.draw()
    return drawn
