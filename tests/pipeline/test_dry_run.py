"""The dry run: what would be asked, and whom, and how long it takes."""

from __future__ import annotations

import pytest

from inventory.errors import SourceError
from inventory.pipeline.dry_run import estimate, scopes_of
from inventory.settings import ExportSettings
from inventory.sources.files import Source

URNS = [f"urn:fss:cn-north-4:p:function:default:f{n}" for n in range(300)] + ["urn:fss:eu-de:q:function:default:f"]


def reported(lists, **given):
    return estimate([Source(str(path)) for path in lists], ExportSettings(**given)).splitlines()


def test_the_longest_scope_decides_the_time(write_list):
    lines = reported([write_list([*URNS, URNS[0], "odd"])], max_per_second=2.0)
    assert lines[:7] == [
        "entries     303",
        "URNs        301",
        "duplicates    1",
        "rejects       1",
        "scopes        2",
        "calls       301 (and retries)",
        "time        2 min 30 s at 2 calls per second and scope",
    ]
    assert lines[7:] == [
        "  cn-north-4/p: 300 URNs at https://functiongraph.cn-north-4.myhuaweicloud.com",
        "  eu-de/q: 1 URN at https://functiongraph.eu-de.myhuaweicloud.com",
    ]


def test_without_a_cap_the_service_decides(write_list):
    path = write_list(URNS)
    assert "as fast as the service answers" in reported([path], max_per_second=0.0)[6]
    assert reported([path])[6].endswith("at 200 calls per second and scope")


def test_an_empty_list_takes_no_time(write_list):
    assert reported([write_list([])], max_per_second=2.0)[-1] == "time        0 s at 2 calls per second and scope"


def test_scopes_of_several_lists(write_list):
    lists = [write_list(URNS[:2], "a.txt"), write_list([URNS[-1], URNS[0]], "b.txt")]
    assert scopes_of([Source(str(path)) for path in lists], ExportSettings()) == [("cn-north-4", "p"), ("eu-de", "q")]
    with pytest.raises(SourceError, match="there is no such file"):
        scopes_of([Source("nowhere.txt")], ExportSettings())
