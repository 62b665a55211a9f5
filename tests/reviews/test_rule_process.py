"""The process of a user's rules on systems without a limit of memory, and in strange folders."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from inventory.reviews import rule_process
from inventory.reviews.rule_process import limit_address_space


def refuse(*_arguments):
    raise ValueError("current limit exceeds maximum limit")


@pytest.mark.parametrize(
    "limits",
    [
        None,
        SimpleNamespace(),
        SimpleNamespace(RLIMIT_AS=9, RLIM_INFINITY=-1, getrlimit=lambda _kind: (-1, -1), setrlimit=refuse),
    ],
    ids=["no module", "no such limit", "refused"],
)
def test_a_system_without_a_limit_of_memory_is_no_error(monkeypatch, limits):
    monkeypatch.setattr(rule_process, "_LIMITS", limits)
    assert not limit_address_space()


def test_reviews_are_imported_where_the_module_resource_does_not_exist(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['resource'] = None\n")
    done = subprocess.run(
        [sys.executable, "-c", "import inventory.reviews.result as r; print(r.evaluate_in_child.__name__)"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "evaluate_in_child\n", done.stderr
