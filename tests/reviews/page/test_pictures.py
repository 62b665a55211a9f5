"""The pictures of the report page, from small runs of which the numbers are known."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections import Counter
from datetime import date
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from support.reviewed_runs import RULES, call, config, obs, review, run, smn, urn

from inventory.reviews.page.pictures import draw_pictures
from inventory.reviews.reviewed import Details, Reviewed
from inventory.reviews.suppressions import Suppressions
from inventory.settings import Suppression

TODAY = date(2026, 11, 28)
FEW_RULES = {name: RULES[name] for name in ("FGA101", "FGA201")}
"""Most pictures are of the tables that rules read, whatever the rules."""
SVG = "{http://www.w3.org/2000/svg}"


def pictures(tables, suppress=(), rules=FEW_RULES, **options):
    tables.manifest["counts"] = {"status": {"configured": 1}}
    with review(tables, rules, **options) as done:
        known = set(done.rules)
        reviewed = Reviewed(done, Suppressions(suppress, TODAY, known, known), Details("run", TODAY))
        return {picture.name: picture for picture in draw_pictures(reviewed)}


def parse(picture):
    return ET.fromstring(picture.svg)  # noqa: S314 - a wrong document fails the test


def texts(picture):
    """The texts of a picture that are seen, without tooltips."""
    return [element.text for element in parse(picture).iter(f"{SVG}text")]


def classes(picture):
    return {element.get("class") for element in parse(picture).iter()}


def loop(*names, event="on_success"):
    """Functions that call each other in a circle."""
    return {
        name: config(smn(), **{event: call(target)}) if event == "on_success" else config(call(target))
        for name, target in zip(names, (*names[1:], names[0]), strict=True)
    }


MIXED = {
    **loop("a:latest", "b:latest", "c:latest"),
    "silent:latest": config(age=60),
    "quiet:latest": "not_configured",
    "lost:latest": "failed",
    "first:latest": config(smn(), call("second:latest")),
    "second:latest": config(call("third:latest"), age=86_400),
    "third:latest": config(smn()),
}


def test_the_counts_of_severities_are_those_of_the_open_findings():
    drawn = pictures(run(MIXED), rules=RULES)["severities"]
    with review(run(MIXED)) as done:
        failed = [row for row in done.findings.to_pylist() if row["verdict"] == "fail"]
    assert sum(sum(row[1:]) for row in drawn.rows) == len(failed)
    assert drawn.title.startswith(f"{len(failed)} findings are open: 1 critical, ")
    for severity, *counts in drawn.rows:
        for area, number in zip(drawn.columns[1:], counts, strict=True):
            assert number == sum(row["severity"] == severity and row["area"] == area for row in failed)


def test_suppressed_findings_are_not_open():
    suppression = Suppression(reason="accepted", until=date(2027, 1, 1), by="team", rule="FGA201", subjects=("*",))
    drawn = pictures(run(MIXED), [suppression])["severities"]
    assert "critical" not in drawn.title


def test_functions_that_lose_events_are_those_that_the_rules_name():
    drawn = pictures(run(MIXED))["packages"]
    with review(run(MIXED)) as done:
        lost = {
            row["function_name"]
            for row in done.findings.to_pylist()
            if row["rule"] in ("FGA101", "FGA102") and row["verdict"] == "fail"
        }
    assert lost == {"silent", "quiet", "a", "b", "c"} - {"a", "b", "c"}
    assert drawn.title == "2 of 9 functions lose events silently, all in package default"
    assert drawn.rows == (("default", "p1", 9, 2, 1),)
    assert "not known: the configuration was not read" in texts(drawn)


def test_a_function_is_counted_once_whatever_its_versions():
    drawn = pictures(run({"f:latest": config(smn()), "f:v1": config(), "g:latest": config(smn()), "g:v1": "failed"}))
    assert drawn["packages"].rows == (("default", "p1", 2, 1, 1),)
    assert {row[0]: row[1:] for row in drawn["outages"].rows}["3 hours"] == (2, 1, 0)


def test_projects_are_drawn_when_there_are_several():
    fleet = {urn("f:latest", "p1"): config(), urn("f:latest", "p2"): config(smn()), urn("g:latest", "p2"): config()}
    drawn = pictures(run(fleet))
    assert drawn["projects"].rows == (("p1", 1, 1, 0), ("p2", 2, 1, 0))
    assert drawn["projects"].title == "2 of 3 functions lose events silently; project p1 has the most, 1 of 1"
    assert "projects" not in pictures(run({"f:latest": config()}))


def test_the_group_that_loses_most_is_first_and_bars_are_as_long_as_the_shares():
    fleet = {urn("a:latest", "p1"): config(smn()), urn("b:latest", "p1"): "failed"}
    fleet |= {urn(f"{name}:latest", "p2"): config() for name in "abc"} | {urn("d:latest", "p2"): config(smn())}
    fleet |= {urn("a:latest", "p3"): config(), urn("b:latest", "p3"): config(smn())}
    drawn = pictures(run(fleet))["projects"]
    assert drawn.rows == (("p2", 4, 3, 0), ("p3", 2, 1, 0), ("p1", 2, 0, 1))
    bars = [item for item in parse(drawn).iter(f"{SVG}rect") if float(item.get("height")) == 9 and item.get("class")]
    lengths = [(item.get("class"), float(item.get("width"))) for item in bars]
    assert lengths == [
        *(("track", 320), ("lost", 240), ("track", 320), ("lost", 160), ("track", 320), ("unknown", 160)),
    ]


def test_most_groups_are_one_row():
    fleet = {urn("f:latest", f"p{n:02}"): config() for n in range(70)}
    drawn = pictures(run(fleet))["projects"]
    assert "60 other projects" in texts(drawn)
    assert "60 of 60 (100%)" in texts(drawn)
    assert len(drawn.rows) == 50


def test_an_outage_drops_events_that_are_younger_than_it():
    fleet = {"a:latest": config(age=3600), "b:latest": config(smn(), age=60), "c:latest": config(age=None)}
    drawn = pictures(run(fleet))["outages"]
    rows = {row[0]: row[1:] for row in drawn.rows}
    assert rows["1 minute"] == (0, 0, 1)
    assert rows["1 hour"] == (1, 0, 1)
    assert rows["3 hours"] == rows["7 days"] == (2, 1, 1)
    assert drawn.title == "1 of 3 functions drops events in an outage of 1 hour, 0 of them silently"
    assert "after 3 hours" in texts(drawn)
    assert "after 6 hours" not in texts(drawn)


def test_a_cycle_is_drawn_in_call_order_with_each_call():
    drawn = pictures(run(MIXED))["cycles"]
    assert drawn.title == "1 cycle of functions; the most severe never ends and has 3 functions, from a"
    assert [row[1:] for row in drawn.rows] == [
        (urn("a:latest"), "on_success", urn("b:latest")),
        (urn("b:latest"), "on_success", urn("c:latest")),
        (urn("c:latest"), "on_success", urn("a:latest")),
    ]
    assert "edge-success" in classes(drawn)
    assert "edge-failure" not in classes(drawn)


def test_success_and_failure_calls_have_lines_of_their_own():
    fleet = {"a:latest": config(call("b:latest"), call("b:latest")), "b:latest": config(call("a:latest"))}
    drawn = pictures(run(fleet))["cycles"]
    assert {"edge-success", "edge-failure", "head-success", "head-failure"} <= classes(drawn)
    assert [row[2] for row in drawn.rows] == ["on_success", "on_failure", "on_failure"]
    lines = [element for element in parse(drawn).iter(f"{SVG}path") if "edge" in element.get("class")]
    assert len(lines) == 2 + len(drawn.rows)  # the legend has two


def test_the_most_severe_cycle_comes_first_and_the_others_are_counted():
    fleet = loop("x:latest", "y:latest", "z:latest", event="on_failure")
    for number in range(5):
        fleet |= loop(f"a{number}:latest", f"b{number}:latest")
    drawn = pictures(run(fleet))["cycles"]
    assert drawn.title.startswith("6 cycles of functions; the most severe never ends and has 2 functions")
    assert "3 other cycles not drawn" in texts(drawn)


def test_of_equally_severe_cycles_the_largest_comes_first():
    drawn = pictures(run(loop("a:latest", "b:latest") | loop("x:latest", "y:latest", "z:latest")))["cycles"]
    assert "has 3 functions, from x" in drawn.title
    assert "Cycle 1 of 2: 3 functions, never ends" in texts(drawn)


def vertical_lines(drawn):
    """Parts of arrows that run down or up: x, top and bottom."""
    for path in parse(drawn).iter(f"{SVG}path"):
        if path.get("class").startswith("edge-"):
            ends = [step.split(",")[-2:] for step in re.findall(r"[MLQ]([^MLQ ]+)", path.get("d"))]
            points = [(float(x), float(y)) for x, y in ends]
            yield from ((x, *sorted((y, end))) for (x, y), (other, end) in pairwise(points) if x == other and y != end)


@pytest.mark.parametrize("seed", range(3))
def test_no_arrow_runs_along_another(seed):
    draw = random.Random(seed)
    names = [f"f{number}:latest" for number in range(8)]
    fleet = loop(*names, event="on_failure")
    for number, name in enumerate(names[:-1], 1):
        fleet[name]["on_success"] = call(draw.choice(names[number:]))
    drawn = pictures(run(fleet))["cycles"]
    assert len(drawn.rows) == 15
    lines = sorted(vertical_lines(drawn))
    assert len(lines) == 15
    for (x, _, bottom), (other, top, _) in pairwise(lines):
        assert x != other or top >= bottom


def test_a_function_that_calls_itself_is_a_cycle():
    drawn = pictures(run({"f:latest": config(on_success=call("f:latest"))}))["cycles"]
    assert [row[1:] for row in drawn.rows] == [(urn("f:latest"), "on_success", urn("f:latest"))]
    assert "Cycle 1 of 1: 1 function that calls itself, never ends" in texts(drawn)


@pytest.mark.parametrize("shape", ["ring", "all to one"])
def test_a_large_cycle_is_cut(shape):
    names = [f"f{number:03}:latest" for number in range(300)]
    fleet = loop(*names)
    if shape == "all to one":
        fleet = {
            name: config(on_failure=call(names[0]), on_success=call(target))
            for name, target in zip(names, [*names[1:], names[0]], strict=True)
        }
    drawn = pictures(run(fleet))["cycles"]
    assert "290 more functions" in texts(drawn)
    assert len(drawn.svg) < 12_000
    assert drawn.rows[-1][3] == "290 more functions"


def test_a_cycle_through_an_alias_shows_the_alias():
    fleet = {"f:v1": config(on_success=call("g:!prod")), "g:v1": config(on_success=call("f:v1"))}
    fleet["g:!prod"] = "not_configured"
    certain = pictures(run(fleet, aliases={"g:!prod": "v1"}, listed=["versions", "aliases"]))["cycles"]
    assert sorted(row[2] for row in certain.rows) == ["alias", "on_success", "on_success"]
    assert "edge-alias" in classes(certain)
    possible = pictures(run(fleet))["cycles"]
    assert "possible alias" in [row[2] for row in possible.rows]
    assert "if an alias points there" in possible.title


def test_the_longest_chain_is_drawn_to_its_end():
    names = [f"f{number}:latest" for number in range(5)]
    fleet = {name: config(on_failure=call(target)) for name, target in pairwise(names)}
    drawn = pictures(run({**fleet, "f4:latest": config(smn()), "x:latest": config(call("f3:latest"))}))["chains"]
    assert drawn.title == "The longest of 2 call chains passes an event through 5 functions, from f0"
    assert [(row[1], row[3]) for row in drawn.rows[:4]] == [(urn(a), urn(b)) for a, b in pairwise(names)]


def test_a_target_outside_of_the_inventory_says_so():
    drawn = pictures(run({"f:latest": config(call("other:latest"))}))["chains"]
    assert any(text.startswith("not in this inventory") for text in texts(drawn))


def test_fan_in_counts_functions_of_each_failure_destination():
    fleet = {f"f{number}:latest": config(smn()) for number in range(4)} | {"g:latest": config(call("f0:latest"))}
    drawn = pictures(run(fleet))["fan-in"]
    assert drawn.rows == (("urn:smn:cn-north-4:p1:topic", "SMN", 4), (urn("f0:latest"), "FunctionGraph", 1))
    assert drawn.title == "SMN topic receives the failures of 4 functions, the most of 2 failure destinations"


def test_names_of_places_are_as_long_as_there_is_room():
    fleet = {f"f{number}:latest": config(obs(f"bucket-{number}", "failures")) for number in range(4)}
    fleet["g:latest"] = config(smn("urn:smn:cn-north-4:p1:a-topic"))
    seen = texts(pictures(run(fleet))["fan-in"])
    assert {"obs://bucket-3/failures", "a-topic", "SMN"} <= set(seen)
    assert "OBS" not in seen


def test_a_run_without_functions_has_only_the_empty_table_of_severities():
    drawn = pictures(run({"f:latest": "not_found"}))
    assert list(drawn) == ["severities"]
    assert drawn["severities"].title == "No finding is open"


def random_side(draw, names):
    calls = [call(draw.choice(names))] * draw.choice([1, 3])
    return draw.choice([None, smn(), smn("urn:smn:x:p:other"), *calls])


def random_fleet(seed):
    """Functions of three projects with random ages and destinations, as cells of :func:`run`."""
    draw = random.Random(seed)
    names = [urn(f"f{number:02}:latest", f"p{number % 3}") for number in range(60)]
    fleet = {}
    for name in names:
        fleet[name] = draw.choice(
            [
                *[config(random_side(draw, names), random_side(draw, names), age=draw.choice([None, 60, 3600, 86_400]))]
                * 8,
                "failed",
                "not_configured",
            ]
        )
    return fleet


def reachable(start, edges):
    found, todo = set(), list(edges[start])
    while todo:
        node = todo.pop()
        if node not in found:
            found.add(node)
            todo += edges[node]
    return found


@pytest.mark.parametrize("seed", range(4))
def test_pictures_agree_with_a_count_by_other_means(seed):
    fleet = random_fleet(seed)
    drawn = pictures(run(fleet))
    known = {name: cells for name, cells in fleet.items() if isinstance(cells, dict)}
    lost = {name for name, cells in known.items() if not cells["on_failure"]}
    lost |= {name for name, cells in fleet.items() if cells == "not_configured"}
    for project, functions, silent, unknown in drawn["projects"].rows:
        members = {name for name in fleet if f":{project}:" in name}
        failed = {name for name in members if fleet[name] == "failed"}
        assert (functions, silent, unknown) == (len(members), len(members & lost), len(failed))
    for outage, seconds in {"1 hour": 3600, "3 hours": 10_800, "2 days": 172_800}.items():
        dropping = {name for name, cells in known.items() if cells["age"] is not None and cells["age"] < seconds}
        row = next(row for row in drawn["outages"].rows if row[0] == outage)
        assert row[1:3] == (len(dropping), len(dropping & lost))
    places = Counter(
        (side["smn_topic_urn"] if side["destination"] == "SMN" else side["target_function_urn"])
        for cells in known.values()
        if (side := cells["on_failure"])
    )
    assert {row[0]: row[2] for row in drawn["fan-in"].rows} == places
    check_graph(known, fleet, drawn)


def check_graph(known, fleet, drawn):
    calls = {
        name: [
            (event, side["target_function_urn"])
            for event in ("on_success", "on_failure")
            if name in known and (side := known[name][event]) and side["destination"] == "FunctionGraph"
        ]
        for name in fleet
    }
    edges = {name: [target for _, target in targets] for name, targets in calls.items()}
    cyclic = {name: frozenset(reachable(name, edges)) for name in fleet if name in reachable(name, edges)}
    components = {frozenset(other for other in near if name in cyclic.get(other, ())) for name, near in cyclic.items()}
    by_success = {
        name: [target for event, target in targets if event == "on_success"] for name, targets in calls.items()
    }
    endless = {name for name in fleet if name in reachable(name, by_success)}
    assert ("cycles" in drawn) == bool(components)
    if components:
        assert ("never ends" in drawn["cycles"].title) == bool(endless)
        pairs = {(name, event, target) for name, targets in calls.items() for event, target in targets}
        rows = [row[1:] for row in drawn["cycles"].rows if row[2] is not None]
        assert set(rows) <= pairs
        assert all(any({row[0], row[2]} <= component for component in components) for row in rows)
        largest = max((component for component in components), key=len)
        if not endless:
            assert f" {len(largest)} function" in drawn["cycles"].title

    def length(name):
        return 1 + max(map(length, edges[name]), default=0)

    called = {target for targets in edges.values() for target in targets}
    heads = {
        name for name in fleet if edges[name] and name not in called and not reachable(name, edges) & cyclic.keys()
    }
    longest = max(map(length, heads), default=0)
    assert ("chains" in drawn) == bool(heads)
    if heads:
        assert f"through {longest} functions" in drawn["chains"].title


HOSTILE = [
    "<script>alert(1)</script>",
    "'\"><img/src=x/onerror=alert(1)>",
    "&amp;&#60;b",
    "\u202eevil\u2066",
    "\u05d0\u05d1\u05d2",
    "\u4e2d\u6587\u51fd\u6570" * 20,
    "x" * 5000,
    "\u2e3b" * 40,
    "]]><!--",
    "\x00\x07",
]


def test_hostile_names_are_text_and_stay_whole_in_the_table():
    names = [f"{name}:latest" for name in HOSTILE]
    fleet = loop(*names) | {f"{name}1:latest": config(call(f"{name}2:latest")) for name in HOSTILE}
    drawn = pictures(run(fleet))
    assert {"cycles", "chains", "fan-in", "packages"} <= drawn.keys()
    listed = {cell for row in drawn["cycles"].rows for cell in row}
    assert {urn(name) for name in names} <= listed
    for picture in drawn.values():
        root = parse(picture)
        assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
            *("svg", "title", "desc", "defs", "pattern", "clipPath", "g", "text", "rect", "circle", "path")
        }
        assert not any(name.startswith("on") or name == "style" for item in root.iter() for name in item.attrib)
        assert all(text.isprintable() for text in texts(picture))
        assert all(len(text) <= 60 for text in texts(picture))
        assert all(len(item.text) < 400 for item in root.iter(f"{SVG}title") if item.get("id") is None)
        assert len(picture.title) < 200


def test_a_picture_has_a_title_a_description_and_ids_of_its_own():
    drawn = pictures(run(MIXED))
    ids = [element for picture in drawn.values() for element in re.findall(r'id="([^"]+)"', picture.svg)]
    assert len(ids) == len(set(ids))
    for picture in drawn.values():
        root = parse(picture)
        assert root.get("role") == "img"
        title, description = root[0], root[1]
        assert (title.text, description.text) == (picture.title, picture.description)
        assert root.get("aria-labelledby").split() == [title.get("id"), description.get("id")]
        assert root.get("viewBox").startswith("0 0 320 ")
        assert all(len(row) == len(picture.columns) for row in picture.rows)


def test_only_a_page_loads_the_libraries_of_a_page_and_no_page_loads_matplotlib():
    code = (
        "import sys, inventory.cli.app, inventory.cli.review, inventory.reviews.request\n"
        "print(sorted({'drawsvg', 'jinja2', 'matplotlib'} & set(sys.modules)))\n"
        "import inventory.reviews.page.write\n"
        "print(sorted({'drawsvg', 'jinja2', 'matplotlib', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['drawsvg', 'jinja2']"]
