"""Examples of each command, shown by ``--help``; a test runs every line."""

from __future__ import annotations

from typing import Final

EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "export": (
        "inventory export urns.txt",
        "inventory export urns.txt --format csv --output output/tonight",
        "inventory export --resume --output output/tonight",
        "inventory export --all --region cn-north-4",
        "inventory export urns.txt --dry-run",
    ),
    "discover": (
        "inventory discover --region cn-north-4 > urns.txt",
        "inventory discover --region cn-north-4 --versions --output versions.parquet",
    ),
    "check": (
        "inventory check --region cn-north-4",
        "inventory check urns.txt --format json",
    ),
    "shard": (
        "inventory export urns.txt --plan-only --output output/plan",
        "inventory shard output/plan 0",
        "inventory shard output/plan --part 1 --of 4",
    ),
    "gather": ("inventory gather output/plan",),
    "tables": (
        "inventory tables latest --format csv",
        "inventory tables output/today --rows-per-file 100000",
    ),
    "status": (
        "inventory status output/today",
        "inventory status latest --format json",
    ),
    "runs": (
        "inventory runs",
        "inventory runs output --format json",
    ),
    "diff": (
        "inventory diff latest~1 latest",
        "inventory diff latest~1 latest --format markdown --output changes.md",
    ),
    "review": (
        "inventory review latest",
        "inventory review latest --format sarif --output findings.sarif",
        "inventory review latest --history output --new-only --fail-on critical",
    ),
    "rules": (
        "inventory rules",
        "inventory rules FGA101",
    ),
    "terraform": (
        "inventory terraform latest",
        "inventory terraform latest --state state.json --output tf",
        "inventory review latest --format parquet --output findings.parquet",
        "inventory terraform latest --findings findings.parquet --output tf",
    ),
    "prune": (
        "inventory prune output --keep-daily 30 --keep-monthly 12 --dry-run",
        "inventory prune output --keep-last 10 --incomplete",
    ),
    "demo": ("inventory demo --functions 100",),
    "emulate": ("inventory emulate --port 8787 --limit 60/minute --faults 5xx=1%",),
    "schema": (
        "inventory schema functions",
        "inventory schema --format markdown",
    ),
}
