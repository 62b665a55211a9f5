"""Random fleets with planted faults and gaps, and the verdicts of every rule, computed in plain Python.

It shares no code with the reviews: a review's tables are held against it.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from datetime import timedelta
from functools import cached_property
from typing import NamedTuple

from support.reviewed_runs import FINISHED, review, run

from inventory.settings import AssumedDefaults

REGION, PROJECT, OTHER_PROJECT = "cn-north-4", "p1", "p2"
FUNCTION_URN = re.compile(r"urn:fss:[^:\s]+:[^:\s]+:function:[^:\s]+:[^:\s]+(:[^:\s]+)?")
RANK = ["configured", "not_configured", "not_found", "failed", "not_attempted"]
WHY = {"failed": "not_answered", "not_attempted": "not_attempted"}
NAMES = ["f", "latest", "g-1", "h_2", "Ωmega", "a'b", "k;--", 'l"m', "*/n", "o%", "p$x"]


class Destination(NamedTuple):
    """A destination of a URN."""

    urn: str
    event: str
    kind: str


class World(NamedTuple):
    """The tables of a run, as ``support.reviewed_runs.run`` takes them."""

    functions: dict
    facts: dict | None
    aliases: dict | None
    listed: tuple | None


def random_fleet(rng, size, listed, *, has_facts):
    """A fleet, and the same fleet a week later; the names hold no blank."""
    qualified = []
    for number in range(size):
        project = OTHER_PROJECT if rng.random() < 0.1 else PROJECT
        stem = f"urn:fss:{REGION}:{project}:function:{rng.choice(['default', 'orders'])}:{rng.choice(NAMES)}{number}"
        forms = [stem, f"{stem}:latest", f"{stem}:v1", f"{stem}:v2", f"{stem}:!prod"]
        qualified += rng.sample(forms, rng.randint(1, 4))
    stranger = f"urn:fss:{REGION}:{PROJECT}:function:default:stranger"
    unlisted = [stranger, f"{stranger}:!live", "urn:fss:eu-west-101:px:function:default:abroad"]
    unlisted += [f"{urn.rsplit(':', 1)[0]}:v9" for urn in qualified[:3]]
    crowd = [*qualified[:6] * 4, *qualified, *unlisted, None, "not a urn", "urn:fss:only:three"]
    old = {urn: random_cells(rng, crowd) for urn in qualified}
    new = {}
    for urn, cells in old.items():
        lot = rng.random()
        if lot < 0.1:
            new[urn] = {"status": rng.choice(["failed", "not_attempted"]), "function_exists": None}
        elif lot < 0.95:
            new[urn] = random_cells(rng, crowd) if lot < 0.3 else cells
    facts = {urn: random_facts(rng) for urn in sorted({*qualified, stranger}) if rng.random() < 0.8 and ":!" not in urn}
    facts = {canonical(urn): cells for urn, cells in facts.items()} if has_facts else None
    aliases = None
    if listed and "aliases" in listed:
        weights = [None, None, '{"v2":30}', '{"v2":0}', "{}", "no json"]
        named = [urn for urn in qualified if urn.endswith(":!prod") and rng.random() < 0.8]
        aliases = {urn: (rng.choice(["v1", "v2", "latest", "v7"]), rng.choice(weights)) for urn in named}
    return World(old, facts, aliases, listed), World(new, facts, aliases, listed)


def random_cells(rng, crowd):
    """A row of the table ``functions``, and its destinations."""
    pick = rng.choice
    status = pick(["configured"] * 6 + ["not_configured"] * 2 + ["failed", "not_attempted", "not_found"])
    cells = {"status": status}
    if status in ("not_configured", "failed"):
        cells["function_exists"] = pick([None, True])
    if status == "configured":
        cells |= {
            "on_failure": random_destination(rng, crowd),
            "on_success": random_destination(rng, crowd),
            "retries": pick([0, 1, 2, 3, 8, 60, None, -1]),
            "age": pick([1, 59, 60, 299, 300, 3600, 86_400, 90_000, None]),
            "log": pick([True, False, False, None]),
            "extra": pick([None, None, None, '{"new":1}']),
            "last_modified": pick([None, FINISHED - timedelta(days=91), FINISHED - timedelta(days=89)]),
        }
    return cells


def random_destination(rng, crowd):
    """A destination with planted gaps, or none."""
    pick = rng.choice
    topics = [f"urn:smn:{REGION}:{PROJECT}:t", f"urn:smn:{REGION}:{OTHER_PROJECT}:t", "topic", None]
    target, topic = pick(crowd), pick(topics)
    call = {"destination": "FunctionGraph", "target_function_urn": target, "param_valid": target is not None}
    obs = {
        "destination": "OBS",
        "obs_bucket": pick(["b", "b", "c", None]),
        "obs_prefix": pick(["p", "p", "/q", None]),
        "obs_expires_days": pick([0, 7, None, -1]),
        "param_valid": pick([True, True, False]),
    }
    smn = {"destination": "SMN", "smn_topic_urn": topic, "param_valid": topic is not None}
    dis = {"destination": "DIS", "dis_stream_name": pick(["s", None]), "param_valid": True}
    kind = pick(["RocketMQ", "dms-ROCKETMQ", "EG", ""])
    other = {"destination": kind, "param_valid": True, "extra": pick([None, "{}"])}
    (chosen,) = rng.choices([None, call, obs, smn, dis, other], [30, 35, 15, 10, 5, 5])
    return chosen


def random_facts(rng):
    """What a listing says about a function."""
    pick = rng.choice
    return {
        "timeout": pick([3, 30, 259_200, None]),
        "memory_size": pick([128, 4096, None]),
        "fail_count": pick([0, 0, 5, None]),
        "concurrency": pick([-1, 0, 400, None]),
        "xrole": pick(["", "agency", None]),
        "func_vpc_id": pick(["", "vpc", None]),
        "log_group_id": pick(["", "group", None]),
    }


def canonical(urn):
    return f"{urn}:latest" if urn.count(":") == 6 else urn


def function_of(urn):
    return urn.rpartition(":")[0]


class Oracle:
    """Verdicts by (subject, event), from the text of the issue."""

    def __init__(self, functions, facts, aliases, listed, parameters=None, defaults=None):
        self.facts, self.listed = facts, listed
        self.aliases = aliases if listed and "aliases" in listed else None
        self.parameters = parameters or {}
        self.defaults = defaults or {}
        self.rows = {}
        for urn, cells in sorted(functions.items()):
            name = canonical(urn)
            if name in self.rows and RANK.index(self.rows[name]["status"]) < RANK.index(cells["status"]):
                continue
            self.rows[name] = cells
        self.subjects = {urn: cells for urn, cells in self.rows.items() if cells["status"] != "not_found"}
        self.versions_of = {}
        for alias, (version, weights) in (aliases or {}).items():
            try:
                extra = json.loads(weights or "null")
            except ValueError:
                extra = None
            names = [name for name, weight in (extra or {}).items() if weight > 0]
            self.versions_of[alias] = [f"{function_of(alias)}:{name}" for name in [*names, version]]

    # what is known of a URN

    def unknown(self, urn):
        return WHY.get(self.subjects[urn]["status"]) if urn in self.subjects else None

    def is_known(self, urn):
        return urn in self.subjects and self.unknown(urn) is None

    def value(self, urn, name):
        """The value of a setting, or why it is unknown."""
        cells = self.subjects[urn]
        if cells["status"] == "not_configured":
            found = self.defaults.get(name)
            return (found, None) if found is not None else (None, "default_unknown")
        found = cells[name]
        return (found, None) if found is not None else (None, "not_stated")

    def fact(self, urn, name):
        facts = self.facts or {}
        row = facts.get(urn)
        versions = self.versions_of.get(urn, [])
        if row is None and ":!" in urn and len(versions) == 1:
            row = facts.get(versions[0])
        if row is None:
            return None, "facts_missing"
        return (row[name], None) if row[name] is not None else (None, "not_stated")

    def destination(self, urn, event):
        return self.subjects[urn].get(event)

    def target(self, urn, event):
        """Canonical URN of the function that a destination names, or None."""
        side = self.destination(urn, event)
        text = side.get("target_function_urn")
        return canonical(text) if text and FUNCTION_URN.fullmatch(text) else None

    def existence(self, urn, event):
        """Whether the target exists: True, False, or why it is not known."""
        target = self.target(urn, event)
        if target is None or target == urn:
            return target == urn or "param_unreadable"
        row = self.rows.get(target)
        if row is None:
            return self.existence_of_unlisted(target)
        if row["status"] == "not_found":
            return False
        exists = row["status"] == "configured" or row.get("function_exists")
        return exists or {**WHY, "not_configured": "existence_unknown"}[row["status"]]

    def existence_of_unlisted(self, target):
        """Whether a function exists that has no row."""
        if self.is_listed(target) and target.split(":")[2] == REGION:
            return False
        has_other = function_of(target) in {function_of(other) for other in self.rows}
        return "alias_unresolved" if has_other and ":!" in target else "not_listed"

    def place(self, urn, event):
        side = self.destination(urn, event)
        kind = side["destination"]
        if kind == "FunctionGraph":
            name = self.target(urn, event)
        elif kind == "OBS":
            name = side["obs_bucket"] and (side["obs_bucket"], side["obs_prefix"] or "")
        else:
            name = side.get({"SMN": "smn_topic_urn", "DIS": "dis_stream_name"}.get(kind))
            if name and kind == "DIS":
                name = (*urn.split(":")[2:4], name)
        return (kind, name) if name else None

    @cached_property
    def verdicts(self):
        """Verdicts of each rule by subject and event; a reason is an unknown one, ``?`` begins several."""
        return {rule: judge(self) for rule, judge in EXPECTED.items()}

    def is_listed(self, urn):
        """Whether a list of the service would have the URN, or the function."""
        if self.listed is None or urn.split(":")[3] != PROJECT:
            return False
        if urn.count(":") == 6:
            return True
        return urn.endswith(":latest") or ("aliases" if ":!" in urn else "versions") in self.listed

    # the graph

    def smallest(self, rule, urn):
        """The smallest URN of the cycles through a URN; of nodes that are no subjects, too."""
        edges = self.edges
        walked = [edge for edge in edges if rule != "FGA201" or edge[2] != "on_failure"]
        walked += self.possible_edges if rule == "FGA203" else []
        return min(
            node for node in self.subjects if node == urn or (node in reach(urn, walked) and urn in reach(node, walked))
        )

    @cached_property
    def edges(self):
        """(source, target, event) of calls; an alias leads to its versions with event None."""
        found = []
        for urn in self.subjects:
            for event in ("on_success", "on_failure"):
                side = self.is_known(urn) and self.destination(urn, event)
                is_call = side and side["destination"] == "FunctionGraph" and self.target(urn, event)
                if is_call and self.existence(urn, event) is not False:
                    found.append((urn, self.target(urn, event), event))
        called = {target for _, target, _ in found if ":!" in target}
        for alias in called:
            found += [(alias, version, None) for version in self.versions_of.get(alias, [])]
        return found

    @cached_property
    def possible_edges(self):
        """Calls of a version, if an alias points to it."""
        edges = self.edges
        called = {target for _, target, _ in edges if ":!" in target and target not in self.versions_of}
        sources = {source for source, _, event in edges if event and ":!" not in source}
        return [
            (alias, urn, "possible") for alias in called for urn in sources if function_of(urn) == function_of(alias)
        ]

    @cached_property
    def open_nodes(self):
        """Nodes of which the calls are not all known, and why."""
        edges, found = self.edges, {}
        nodes = {node for source, target, _ in edges for node in (source, target)} | set(self.subjects)
        called = {target for _, target, event in edges if event}
        for node in nodes:
            if ":!" in node and node in called and node not in self.versions_of:
                found[node] = "alias_unresolved"
            elif node in self.subjects and self.unknown(node):
                found[node] = self.unknown(node)
            elif node not in self.subjects and node not in self.versions_of:
                found[node] = "not_listed"
            elif node in self.subjects and any(
                self.reads_no_target(node, event) for event in ("on_success", "on_failure")
            ):
                found[node] = "param_unreadable"
        return found

    def reads_no_target(self, urn, event):
        side = self.is_known(urn) and self.destination(urn, event)
        return bool(side) and side["destination"] == "FunctionGraph" and self.target(urn, event) is None


def reach(start, edges):
    """All nodes that can be reached from a node in one step or more."""
    following = defaultdict(list)
    for source, target, _ in edges:
        following[source].append(target)
    seen, stack = set(), [start]
    while stack:
        for target in following[stack.pop()]:
            if target not in seen:
                seen.add(target)
                stack.append(target)
    return seen


FACTS, ALIASES = "function_facts", "aliases"


def on_urn(oracle, judge, applies=lambda _: True, needs=()):
    found = {}
    for urn in oracle.subjects:
        if oracle.unknown(urn):
            found[urn, None] = oracle.unknown(urn)
        elif FACTS in needs and oracle.facts is None:
            found[urn, None] = "facts_missing"
        elif ALIASES in needs and oracle.aliases is None:
            found[urn, None] = "alias_unresolved"
        elif not applies(urn):
            found[urn, None] = "not_applicable"
        else:
            found[urn, None] = judge(urn)
    return found


def on_destination(oracle, judge, applies, needs=()):
    found = {}
    for urn in oracle.subjects:
        if oracle.unknown(urn):
            found[urn, None] = oracle.unknown(urn)
            continue
        for event in ("on_success", "on_failure"):
            if oracle.destination(urn, event) is None:
                continue
            kind = oracle.destination(urn, event)["destination"]
            if FACTS in needs and oracle.facts is None:
                found[urn, event] = "facts_missing"
            elif not applies(Destination(urn, event, kind)):
                found[urn, event] = "not_applicable"
            else:
                found[urn, event] = judge(urn, event)
    return found


def verdict(fails, why=None):
    return why if fails is None else "fail" if fails else "pass"


def is_configured(oracle):
    return lambda urn: oracle.subjects[urn]["status"] == "configured"


def has(oracle, urn, event):
    return oracle.destination(urn, event) is not None


def compared(oracle, urn, name, test):
    found, why = oracle.value(urn, name)
    return why or verdict(test(found))


def fga101(o):
    return on_urn(o, lambda u: verdict(not has(o, u, "on_failure")), is_configured(o))


def fga102(o):
    return on_urn(o, lambda _: "fail", lambda u: o.subjects[u]["status"] == "not_configured")


def fga103(o):
    def judge(urn):
        if has(o, urn, "on_failure"):
            return "pass"
        count, why = o.fact(urn, "fail_count")
        return why or verdict(count > 0)

    return on_urn(o, judge, needs=[FACTS])


def fga104(o):
    return on_urn(o, lambda u: compared(o, u, "retries", lambda n: n == 0))


def fga105(o):
    def judge(urn):
        (age, why_age), (retries, why_retries) = o.value(urn, "age"), o.value(urn, "retries")
        timeout, why = o.fact(urn, "timeout")
        return why_age or why_retries or why or verdict(age < (1 + retries) * timeout)

    return on_urn(o, judge, needs=[FACTS])


def fga106(o):
    return on_urn(o, lambda u: compared(o, u, "age", lambda n: n < 300))


def fga107(o):
    def judge(urn):
        types = {o.destination(urn, event)["destination"] for event in ("on_success", "on_failure")}
        places = [o.place(urn, event) for event in ("on_success", "on_failure")]
        if len(types) == 2:
            return "pass"
        return "param_unreadable" if None in places else verdict(places[0] == places[1])

    return on_urn(o, judge, lambda u: has(o, u, "on_success") and has(o, u, "on_failure"))


def gone(event):
    def rule(o):
        def judge(urn, side):
            exists = o.existence(urn, side)
            return exists if isinstance(exists, str) else verdict(not exists)

        return on_destination(o, judge, lambda d: d.event == event and d.kind == "FunctionGraph")

    return rule


def fga110(o):
    def judge(urn, event):
        target = o.target(urn, event)
        if target is None:
            return "param_unreadable"
        if o.existence(urn, event) is False:
            return "pass"
        if target not in o.subjects:
            return "alias_unresolved" if ":!" in target else "not_listed"
        limit, why = o.fact(target, "concurrency")
        if why == "facts_missing" and ":!" in target:
            return "alias_unresolved"
        return why or verdict(limit == 0)

    return on_destination(o, judge, lambda d: d.kind == "FunctionGraph", [FACTS])


def fga111(o):
    def judge(urn):
        log, why = o.value(urn, "log")
        group, _ = o.fact(urn, "log_group_id")
        if has(o, urn, "on_failure") or log or group:
            return "pass"
        return why or "fail"

    return on_urn(o, judge)


def fga112(o):
    def judge(urn, event):
        target = o.target(urn, event)
        return "param_unreadable" if target is None else verdict(target.endswith(":latest"))

    return on_destination(
        o, judge, lambda d: d.kind == "FunctionGraph" and ":!" not in d.urn and not d.urn.endswith(":latest")
    )


def fga113(o):
    found = {}
    for name in {function_of(urn) for urn in o.subjects}:
        qualifiers = [urn for urn in o.subjects if function_of(urn) == name]
        if o.aliases is None:
            found[name, None] = "alias_unresolved"
            continue
        behind = [v for alias, versions in o.versions_of.items() if function_of(alias) == name for v in versions]
        if not behind:
            found[name, None] = "not_applicable"
            continue
        gaps = {o.unknown(urn) for urn in qualifiers} - {None}
        project = name.split(":")[3]
        complete = not gaps and project == PROJECT and {"versions", "aliases"} <= set(o.listed)
        latest = f"{name}:latest"
        lacking = any(o.is_known(v) and not has(o, v, "on_failure") for v in behind)
        unsure = sorted({o.unknown(v) or "not_listed" for v in behind if not o.is_known(v)})
        if o.is_known(latest) and not has(o, latest, "on_failure"):
            result = "pass"
        elif not o.is_known(latest) and (lacking or unsure):
            result = o.unknown(latest) or "not_listed"
        elif lacking:
            result = "fail"
        else:
            result = unsure[0] if unsure else "pass"
        if result == "pass" and not complete:
            result = min(gaps) if gaps else "not_listed"
        found[name, None] = result
    return found


def fga114(o):
    def judge(urn, event):
        target = o.target(urn, event)
        if target is None:
            return "param_unreadable"
        if o.existence(urn, event) is False:
            return "pass"
        if target not in o.subjects:
            return "not_listed"
        return o.unknown(target) or verdict(not has(o, target, "on_failure"))

    return on_destination(o, judge, lambda d: d.event == "on_failure" and d.kind == "FunctionGraph")


def crowded(maximum, events, applies):
    def rule(o):
        senders = defaultdict(set)
        for urn in o.subjects:
            for event in events:
                if o.is_known(urn) and has(o, urn, event) and o.place(urn, event):
                    senders[o.place(urn, event)].add(function_of(urn))
        gaps = [urn for urn in o.subjects if o.unknown(urn)]
        more = len({function_of(urn) for urn in gaps})

        def judge(urn, event):
            place = o.place(urn, event)
            if place is None:
                return "param_unreadable"
            count = len(senders[place])
            if count > maximum:
                return "fail"
            return "pass" if count + more <= maximum else min(o.unknown(gap) for gap in gaps)

        return on_destination(o, judge, applies)

    return rule


def fga116(o):
    keys = {"OBS": "obs_bucket", "SMN": "smn_topic_urn", "DIS": "dis_stream_name"}

    def judge(urn, event):
        side = o.destination(urn, event)
        kind = side["destination"]
        key = o.target(urn, event) if kind == "FunctionGraph" else side[keys[kind]]
        return verdict(not side["param_valid"] or key is None)

    return on_destination(o, judge, lambda d: d.kind in (*keys, "FunctionGraph"))


CYCLES = {"FGA201": ("on_success",), "FGA202": ("on_failure",), "FGA203": ("possible",)}


def cyclic(kinds, needed, *, alias=False):
    def rule(o):
        edges = o.edges
        inside = [edge for edge in edges if edge[2] in kinds]
        walked = inside + (o.possible_edges if alias else [])
        reached = {node: reach(node, walked) for node in {n for s, t, _ in walked for n in (s, t)}}
        open_nodes = o.open_nodes
        loops = {s for s, t, kind in walked if kind in needed and s in reached[t] | {t}}

        def judge(urn):
            near = reached.get(urn, set())
            if any(urn in reached.get(node, set()) | {node} and node in near | {urn} for node in loops):
                return "fail"
            if ({urn} | reach(urn, inside)) & set(open_nodes):
                return "?" + ",".join(sorted(open_nodes[n] for n in ({urn} | reach(urn, inside)) & set(open_nodes)))
            return "pass"

        return on_urn(o, judge)

    return rule


EVENTS = ("on_success", "on_failure", None)


def paths(o):
    """Longest and most expensive path of each node, and the nodes that are open on the way."""
    edges = o.edges
    open_nodes = o.open_nodes
    following = defaultdict(list)
    for source, target, event in edges:
        following[source].append((target, event))
    nodes = {n for s, t, _ in edges for n in (s, t)} | set(o.subjects)
    endless = {n for n in nodes if any(m in reach(m, edges) for m in {n} | reach(n, edges))}
    memo = {}

    def follow(node):
        if node in memo:
            return memo[node]
        retries = o.value(node, "retries")[0] if o.is_known(node) else None
        attempts = 1 + max(retries or 0, 0)
        if retries is None and node in o.versions_of:
            attempts = 0
        own = [follow(t) for t, event in following[node] if event]
        versions = [follow(t) for t, event in following[node] if event is None]
        length = max([1 + max((x[0] for x in own), default=0), *(x[0] for x in versions)])
        most = max([attempts + max((x[1] for x in own), default=0), *(x[1] for x in versions)])
        memo[node] = length, most
        return memo[node]

    result = {}
    for node in nodes:
        length, most = (math.inf, math.inf) if node in endless else follow(node)
        near = {node} | reach(node, edges)
        whys = {open_nodes[n] for n in near if n in open_nodes}
        retry = {
            o.value(n, "retries")[1]
            for n in near
            if o.is_known(n) and o.value(n, "retries")[1] and n not in o.versions_of and n not in open_nodes
        }
        result[node] = length, most, whys, whys | retry
    return result


def fga204(o):
    found = paths(o)

    def judge(urn):
        length, _, whys, _ = found[urn]
        return "fail" if length > 3 else "?" + ",".join(sorted(whys)) if whys else "pass"

    return on_urn(o, judge)


def fga303(o):
    found = paths(o)

    def judge(urn):
        _, most, _, whys = found[urn]
        return "fail" if most > 100 else "?" + ",".join(sorted(whys)) if whys else "pass"

    return on_urn(o, judge)


def fga301(o):
    def judge(urn, event):
        side = o.destination(urn, event)
        days = side["obs_expires_days"]
        if days is None:
            return "not_stated" if side["param_valid"] else "param_unreadable"
        return verdict(days == 0)

    return on_destination(o, judge, lambda d: d.kind == "OBS")


def fga302(o):
    def judge(urn, event):
        side = o.destination(urn, event)
        return verdict(side["obs_expires_days"] is None) if side["param_valid"] else "param_unreadable"

    return on_destination(o, judge, lambda d: d.kind == "OBS")


def fga304(o):
    def judge(urn):
        retries, why = o.value(urn, "retries")
        (timeout, why_timeout), (memory, why_memory) = o.fact(urn, "timeout"), o.fact(urn, "memory_size")
        return why or why_timeout or why_memory or verdict((1 + retries) * timeout * memory / 1024 > 100)

    return on_urn(o, judge, needs=[FACTS])


def fga401(o):
    def judge(urn):
        role, why = o.fact(urn, "xrole")
        return why or verdict(role == "")

    return on_urn(o, judge, lambda u: has(o, u, "on_success") or has(o, u, "on_failure"), [FACTS])


def place_field(o, urn, event, number):
    side = o.destination(urn, event)
    text = o.target(urn, event) if side["destination"] == "FunctionGraph" else side["smn_topic_urn"]
    return text.split(":")[number] if text and text.startswith("urn:") else None


def fga402(o):
    def judge(urn, event):
        project = place_field(o, urn, event, 3)
        return "param_unreadable" if project is None else verdict(project != urn.split(":")[3])

    return on_destination(o, judge, lambda d: d.kind in ("FunctionGraph", "SMN"))


def fga403(o):
    regions = o.parameters.get("FGA403", {}).get("allowed_regions", [])

    def judge(urn, event):
        region = place_field(o, urn, event, 2)
        return "param_unreadable" if region is None else verdict(region not in regions)

    return on_destination(o, judge, lambda d: regions and d.kind in ("FunctionGraph", "SMN"))


def fga404(o):
    def judge(urn, event):
        network, why = o.fact(urn, "func_vpc_id")
        return why or verdict(network == "")

    return on_destination(o, judge, lambda d: "rocketmq" in d.kind.lower(), [FACTS])


def fga501(o):
    def judge(urn):
        (age, why_age), (retries, why_retries) = o.value(urn, "age"), o.value(urn, "retries")
        outside = (age is not None and not 60 <= age <= 86_400) or (retries is not None and not 0 <= retries <= 3)
        return "fail" if outside else why_age or why_retries or "pass"

    return on_urn(o, judge, is_configured(o))


def fga502(o):
    def judge(urn):
        sides = [o.destination(urn, event) for event in ("on_success", "on_failure") if has(o, urn, event)]
        strange = any(
            side.get("extra") or side["destination"] not in ("OBS", "SMN", "DIS", "FunctionGraph") for side in sides
        )
        return verdict(bool(o.subjects[urn]["extra"]) or strange)

    return on_urn(o, judge, is_configured(o))


def fga503(o):
    return on_urn(o, lambda u: compared(o, u, "age", lambda n: n >= 86_400))


def fga504(o):
    behind = {version for versions in o.versions_of.values() for version in versions}

    def judge(urn):
        changed = o.subjects[urn]["last_modified"]
        if urn in behind:
            return "pass"
        return "not_stated" if changed is None else verdict(changed < FINISHED - timedelta(days=90))

    return on_urn(o, judge, lambda u: is_configured(o)(u) and ":!" not in u and not u.endswith(":latest"), [ALIASES])


def fga505(o):
    return on_urn(
        o,
        lambda u: verdict(not o.subjects[u]["function_exists"]),
        lambda u: o.subjects[u]["status"] == "not_configured",
    )


EXPECTED = {
    **{
        f"FGA{number}": globals()[f"fga{number}"]
        for number in (101, 102, 103, 104, 105, 106, 107, 110, 111, 112, 113, 114, 116)
    },
    "FGA108": gone("on_failure"),
    "FGA109": gone("on_success"),
    "FGA115": crowded(3, ("on_failure",), lambda d: d.event == "on_failure"),
    "FGA201": cyclic(("on_success", None), ("on_success",)),
    "FGA202": cyclic(EVENTS, ("on_failure",)),
    "FGA203": cyclic(EVENTS, ("possible",), alias=True),
    "FGA305": crowded(2, ("on_success", "on_failure"), lambda d: d.kind == "OBS"),
    **{
        f"FGA{number}": globals()[f"fga{number}"]
        for number in (204, 301, 302, 303, 304, 401, 402, 403, 404, 501, 502, 503, 504, 505)
    },
}
PARAMETERS = {
    "FGA115": {"max_functions": 3},
    "FGA305": {"max_functions": 2},
    "FGA403": {"allowed_regions": [REGION]},
}


DEFAULTS = {"retries": 1, "age": 3600, "log": False}


def reviewed(world, defaults):
    assumed = AssumedDefaults(
        retries=defaults.get("retries"), age_s=defaults.get("age"), status_log=defaults.get("log")
    )
    return review(run(*world), parameters=PARAMETERS, keep_passes=True, defaults=assumed)


def findings_of(done):
    """The rows of the table ``findings``."""
    return [row for batch in done.batches("findings") for row in batch.to_pylist()]


def differences(oracle, done):
    """Where the review's verdicts are not those of the oracle."""
    found = defaultdict(dict)
    for row in findings_of(done):
        assert (row["subject"], row["event"]) not in found[row["rule"]]
        found[row["rule"]][row["subject"], row["event"]] = row
    summary = {row["rule"]: row for row in done.summary.to_pylist()}
    for rule, expected in oracle.verdicts.items():
        counts = Counter(v if v in ("pass", "fail", "not_applicable") else "unknown" for v in expected.values())
        got = {name: summary[rule][name] for name in ("pass", "fail", "unknown", "not_applicable")}
        if got != {name: counts[name] for name in got}:
            yield rule, "counts", dict(counts), got
        if summary[rule]["subjects"] != len(expected):
            yield rule, "subjects", len(expected), summary[rule]["subjects"]
        for key in expected.keys() | found[rule].keys():
            wanted, row = expected.get(key), found[rule].get(key)
            verdict = row and (row["why_unknown"] if row["verdict"] == "unknown" else row["verdict"])
            if verdict is None and wanted == "fail" and rule in CYCLES:
                verdict = "fail" if oracle.smallest(rule, key[0]) != key[0] else None
            if verdict not in ({None} if wanted in (None, "not_applicable") else set(wanted.lstrip("?").split(","))):
                yield rule, key, wanted, verdict
            if rule == "FGA102" and verdict == "fail":
                severity = "high" if key[0] in {target for _, target, event in oracle.edges if event} else "medium"
                if row["severity"] != severity:
                    yield rule, key, severity, row["severity"]
    yield from table_differences(oracle, done)


def table_differences(oracle, done):
    exposure = {row["subject"]: row for row in done.exposure.to_pylist()}
    envelope = {row["subject"]: row for row in done.envelope.to_pylist()}
    on_paths = paths(oracle)
    for urn in oracle.subjects:
        known = oracle.is_known(urn)
        retries = oracle.value(urn, "retries")[0] if known else None
        age = oracle.value(urn, "age")[0] if known else None
        row = exposure.pop(urn)
        wanted = None if retries is None else 1 + retries, age, oracle.fact(urn, "fail_count")[0]
        got = row["most_attempts"], row["dropped_after_outage_s"], row["fail_count"]
        if got != wanted or row["is_lower_bound"] != (None in (retries, age)):
            yield "exposure", urn, wanted, got
        if (row["failure_goes_to"] is None) != (not known or not has(oracle, urn, "on_failure")):
            yield "exposure", urn, "failure_goes_to", row
        row = envelope.pop(urn)
        _, most, _, gaps = on_paths[urn]
        got = row["most_invocations"], row["is_infinite"], row["is_lower_bound"]
        if got != (most, math.isinf(most), bool(gaps) and math.isfinite(most)):
            yield "envelope", urn, (most, gaps), got
    if exposure or envelope:
        yield "tables", "rows without a subject", exposure, envelope


def state_differences(before, after, done):
    """Where states are not those that follow from the oracle's verdicts of both runs."""
    rows = {(row["rule"], row["subject"], row["event"]): row for row in findings_of(done)}
    for rule, old in before.verdicts.items():
        new = after.verdicts[rule]
        for key in old.keys() | new.keys():
            state = rows.get((rule, *key), {}).get("state")
            wanted = {state} if is_part(rule, key, before, after) else expected_states(key, old.get(key), after, new)
            if state not in wanted:
                yield rule, key, wanted, state
            if state in ("fixed", "gone") and is_part(rule, key, before, after):
                yield rule, key, "part of a cycle", state


def is_part(rule, key, before, after):
    """Whether another URN of the same cycle has the finding, in either run."""
    if rule not in CYCLES:
        return False
    return any(
        oracle.verdicts[rule].get(key) == "fail" and oracle.smallest(rule, key[0]) != key[0]
        for oracle in (before, after)
    )


def expected_states(key, old, after, new):
    """States that a finding may have; None: it has none."""
    verdict, urn = new.get(key), key[0]
    if old != "fail":
        if verdict in (None, "pass", "not_applicable"):
            return {None}
        return {"new"} if verdict == "fail" or old in (None, "pass", "not_applicable") else {"unchanged"}
    if verdict is None:
        is_gone = after.is_known(urn) or after.rows.get(urn, {}).get("status") == "not_found"
        return {"gone"} if is_gone or (urn not in after.subjects and after.is_listed(urn)) else {"unknown"}
    return {"fail": {"unchanged", "changed"}, "pass": {"fixed"}, "not_applicable": {"gone"}}.get(verdict, {"unknown"})
