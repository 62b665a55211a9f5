"""Exports in a notebook kernel: with a running loop, interrupted, resumed."""

import asyncio

import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

# A notebook's interrupt is a SIGINT to its kernel; here the fifth call of an export brings it.
CELLS = """
import os, signal, inventory
os.environ["HW_AUTH_TOKEN"] = "any"
calls = []
def interrupt(urn, count):
    calls.append(urn)
    if len(calls) == 5:
        os.kill(os.getpid(), signal.SIGINT)
cloud = inventory.Emulator(functions=300).__enter__()
---
inventory.export(cloud.urns(), "run", endpoint=cloud.url, max_per_second=0)
---
cloud.plan(interrupt)
inventory.export(cloud.urns(), "sync", endpoint=cloud.url, max_per_second=50)
---
calls.clear()
await inventory.export_async(cloud.urns(), "async", endpoint=cloud.url, max_per_second=50)
---
cloud.plan(None)
print(inventory.export(output="sync", resume=True, max_per_second=0).unknown())
print((await inventory.export_async(output="async", resume=True, max_per_second=0)).unknown())
cloud.__exit__()
"""


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of the kernel's machinery
def test_a_kernel_exports_and_can_be_interrupted(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in CELLS.split("---")])
    place = {"metadata": {"path": str(tmp_path)}}
    client = NotebookClient(notebook, timeout=60, kernel_name="python3", allow_errors=True, resources=place)
    asyncio.run(client.async_execute())
    outputs = [cell.outputs for cell in notebook.cells]
    progress, shown = outputs[1]
    assert progress["data"]["text/plain"].startswith("exported after ")
    assert progress["data"]["text/html"].count("<div") == 1
    assert "100% answered" in shown["data"]["text/html"]
    for number, name, folder in ((2, "KeyboardInterrupt", "sync"), (3, "CancelledError", "async")):
        (error,) = [output for output in outputs[number] if output.output_type == "error"]
        assert error["ename"] == name
        assert error["evalue"].endswith(f"is kept; continue with: inventory.export(output='{folder}', resume=True)")
    assert "".join(output.get("text", "") for output in outputs[4]) == "[]\n[]\n"
