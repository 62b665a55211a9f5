"""Airflow 3: exports all functions each night, then fails on new severe findings.

Exit codes of ``inventory export``: 0 is success; 1, 5 and 143 are retried with ``--resume``; 2, 3, 4 and 70 need a
person, so the task fails at once. The worker has ``inventory`` on its PATH and the keys in its environment.
"""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.exceptions import AirflowException, AirflowFailException
from airflow.sdk import dag, task

RUNS = Path("/data/inventory")
RETRIED = {1, 5, 143}


def run_inventory(*arguments: str) -> str:
    """Runs the command, and returns what it prints: the folder of the run."""
    done = subprocess.run(["inventory", *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode in RETRIED:
        raise AirflowException(f"inventory ended with exit code {done.returncode}; the next attempt continues the run")
    if done.returncode:
        raise AirflowFailException(f"inventory ended with exit code {done.returncode}; see its message in the log")
    return done.stdout.strip()


@dag(schedule="30 1 * * *", start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False, max_active_runs=1)
def functiongraph_inventory() -> None:
    """Export, then review."""

    @task(retries=4, retry_delay=timedelta(minutes=10))
    def export(ds: str) -> str:
        run = RUNS / ds
        what = ["--resume"] if (run / "ledger.sqlite").exists() else ["--all", "--region", "cn-north-4"]
        return run_inventory("export", *what, "--output", str(run))

    @task
    def review(run: str) -> None:
        report = ("--format", "html", "--output", f"{run}/review.html")
        run_inventory("review", run, "--history", str(RUNS), "--new-only", "--fail-on", "high", *report)

    review(export())


functiongraph_inventory()
