"""The report page in a real browser, without a network."""

from __future__ import annotations

import csv
import json
from collections import Counter
from datetime import date
from operator import itemgetter

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from support.browser import MUST_RUN, find_programs, running_browser
from support.written_fleets import write_fleet
from support.written_runs import FAILED, config, leading, side, write_run

from inventory.reviews.outputs.documents import write_csv, write_json
from inventory.reviews.outputs.wording import describe
from inventory.reviews.page.write import write_page
from inventory.reviews.request import Request, review_run
from inventory.reviews.rule import load_builtin_rules
from inventory.settings import ReviewSettings, Suppression

BAD = "window.hacked=true"
NAMES = [
    f"<script>{BAD}</script>",
    f"</script><script>{BAD}</script>",
    f"'\"><img/src=x/onerror={BAD}>",
    "&lt;b&gt;&amp;",
    "\u202egnp.exe\u2066",
    "\u05e9\u05dc\u05d5\u05dd",
    "\u652f\u4ed8\u901a\u77e5\u51fd\u6570",
    "=HYPERLINK(A1)",
    "x" * 5000,
    "${BAD}{{7*7}}",
]
WIDE = ["\u2e3b" * 40, "\u0e33" * 50, "\ufdfd" * 20]
"""Characters of several ems: a dash, two glyphs of Thai, an Arabic sentence."""
FACETS = ("severity", "verdict", "area", "rule", "region", "project", "package", "state", "suppressed")
COLUMN = {"project": "project_id"}


def urn(name, package="default", project="p" * 32, region="cn-north-4"):
    return f"urn:fss:{region}:{project}:function:{package}:{name}:latest"


def fleet():
    """Functions of two regions, two projects and several packages, with hostile names everywhere."""
    bucket = leading(on_failure=side("OBS", {"bucket_name": f"javascript:{BAD}", "prefix": "</td><b>", "expires": 0}))
    functions = {urn(name): config() for name in NAMES}
    functions |= {urn("plain", package): bucket for package in ("<i>pack", "orders", "\u8ba2\u5355", *WIDE)}
    functions |= {
        urn(f"f{n:03}", "many", "q" * 32, "cn-south-1"): config(max_async_retry_attempts=0) for n in range(60)
    }
    functions |= {
        urn(f"loop{n}"): leading(on_success=side("FunctionGraph", {"func_urn": urn(f"loop{(n + 1) % 3}")}))
        for n in range(3)
    }
    functions |= {urn("lost"): FAILED, urn("bare"): None}
    return functions


SUPPRESSED = Suppression(
    rule="FGA101",
    subjects=("*:plain*", "*:f00?:*"),
    reason=f"</script><script>{BAD}</script>",
    by="<b>team",
    until=date(2999, 1, 1),
)
ALL = "verdict=&suppressed=&group=none"
"""The address of all findings in one list."""
TITLES = {name: rule.title for name, rule in load_builtin_rules().items()}
SEARCHED = ("finding_id", "rule", "severity", "area", "subject", "event", "target", "evidence", "why_unknown")
OPEN_ALL = "document.querySelectorAll('#rows details, figure details').forEach(element => element.open = true)"
"""Groups first, then the findings that they draw."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def browser(folder):
    with running_browser(folder) as running:
        yield running


def what_to_copy(row, reviewed):
    words = describe(row, reviewed.rules[row["rule"]], reviewed.details.run)
    return [words.fix, words.block.text, words.block.language]


@pytest.fixture(scope="module")
def report(folder, browser):
    """A page of hostile names, and its findings as JSON has them."""
    now = fleet()
    before = {name: answer for name, answer in now.items() if ":f03" not in name} | {urn("fixed"): config()}
    now[urn("fixed")] = leading(on_failure=side("SMN", {"topic_urn": "urn:smn:cn-north-4:p:t"}))
    write_run(folder / "before", before)
    write_run(folder / "today", now, day=7)
    request = Request(ReviewSettings(suppress=(SUPPRESSED,)), baseline=str(folder / "before"), as_of=date(2026, 11, 28))
    page, document, table = (folder / f"report.{suffix}" for suffix in ("html", "json", "csv"))
    with review_run(folder / "today", request) as reviewed:
        with page.open("wb") as sink:
            write_page(reviewed, sink)
        with document.open("wb") as sink:
            write_json(reviewed, "findings", sink)
        with table.open("wb") as sink:
            write_csv(reviewed, "findings", sink)
        copied = {
            row["finding_id"]: what_to_copy(row, reviewed) for batch in reviewed.findings() for row in batch.to_pylist()
        }
    findings = [{**row, "copied": copied[row["finding_id"]]} for row in json.loads(document.read_text())["findings"]]
    with table.open(encoding="utf-8", newline="") as lines:
        return page, findings, list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def large(folder, browser):
    """A page of more than 20,000 findings."""
    write_fleet(folder / "large", 12_000)
    page = folder / "large.html"
    with review_run(folder / "large", Request()) as reviewed, page.open("wb") as sink:
        write_page(reviewed, sink)
    return page


class View:
    """What a reader does with the page."""

    def __init__(self, browser, page):
        self.browser = browser
        self.page = page

    def open(self, fragment=ALL, **options):
        self.browser.open(self.page, fragment, **options)
        return self

    def choose(self, facet, *values):
        """Ticks values of a facet."""
        for value in values:
            self.browser.script(
                "const boxes = document.querySelectorAll(`#f-${arguments[0]} input`);"
                "[...boxes].find(box => box.value === arguments[1]).click();",
                facet,
                value,
            )

    def select(self, name, value):
        self.browser.script(
            "const box = document.getElementById(arguments[0]); box.value = arguments[1];"
            "box.dispatchEvent(new Event('change', {bubbles: true}));",
            name,
            value,
        )

    def search(self, text):
        self.browser.script(
            "const box = document.getElementById('f-text'); box.value = arguments[0];"
            "box.dispatchEvent(new Event('input', {bubbles: true}));",
            text,
        )

    def open_details(self):
        """Opens all groups and findings that are drawn."""
        self.browser.script(OPEN_ALL)
        self.browser.settle()
        self.browser.script(OPEN_ALL)
        self.browser.settle()

    @property
    def count(self):
        """Number of findings that the filter leaves."""
        text = self.browser.one("#count").text
        return int(text.split()[0].replace(",", ""))

    @property
    def ids(self):
        """The findings that are drawn, in order."""
        return self.browser.script(
            "return [...document.querySelectorAll('#rows [data-finding]')].map(e => e.dataset.finding)"
        )

    @property
    def fragment(self):
        return self.browser.script("return location.hash.slice(1)")

    def export(self):
        """The rows of the exported CSV file."""
        for old in self.browser.downloads.iterdir():
            old.unlink()
        self.browser.one("#export").click()
        self.browser.wait(lambda: [file for file in self.browser.downloads.iterdir() if file.suffix == ".csv"])
        (file,) = self.browser.downloads.iterdir()
        with file.open(encoding="utf-8-sig", newline="") as lines:
            return list(csv.DictReader(lines))


@pytest.fixture
def view(browser, report):
    return View(browser, report[0])


@pytest.fixture
def findings(report):
    return report[1]


def value_of(finding, facet):
    if facet == "suppressed":
        return "yes" if finding["suppressed"] else "no"
    return finding[COLUMN.get(facet, facet)]


def searched_text(finding):
    cells = [finding[name] for name in SEARCHED]
    texts = [json.dumps(cell, ensure_ascii=False) if isinstance(cell, dict) else str(cell or "") for cell in cells]
    return "\n".join([*texts, TITLES[finding["rule"]]]).lower()


def open_failures(findings):
    """What a page shows at first."""
    return [row for row in findings if row["verdict"] == "fail" and not row["suppressed"]]


def ids_of(rows):
    return sorted(row["finding_id"] for row in rows)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_asks_for_nothing_and_the_console_is_silent(view, browser, theme):
    view.open(theme=theme)
    view.choose("severity", "high")
    view.open_details()
    view.export()
    assert browser.problems() == []


def test_each_filter_leaves_the_findings_of_its_value(view, findings):
    view.open()
    for facet in FACETS:
        counts = Counter(value_of(finding, facet) for finding in findings)
        counts.pop(None, None)
        assert len(counts) > 1, facet
        for value, number in counts.most_common(3):
            view.choose(facet, value)
            assert view.count == number, (facet, value)
            view.choose(facet, value)
        assert view.count == len(findings)


def test_two_values_of_a_filter_are_either_and_two_filters_are_both(view, findings):
    view.open()
    view.choose("severity", "high", "medium")
    view.choose("package", "many")
    view.search("f01")
    expected = [
        row
        for row in findings
        if row["severity"] in ("high", "medium") and row["package"] == "many" and "f01" in searched_text(row)
    ]
    assert 0 < len(expected) == view.count < len(findings)
    assert ids_of(expected) == ids_of(view.export())
    view.browser.one("#clear").click()
    assert view.count == len(open_failures(findings)) < len(findings)
    assert view.fragment == "group=none"


def test_a_text_is_searched_as_it_is(view, findings):
    view.open()
    for text in ("<script>", "\u652f\u4ed8", "SCRIPT> window", "JAVASCRIPT:", "no such text"):
        view.search(text)
        words = text.lower().split()
        expected = [row for row in findings if all(word in searched_text(row) for word in words)]
        assert (len(expected) == 0) == (text == "no such text")
        assert view.count == len(expected), text
        if text == "JAVASCRIPT:":
            assert ids_of(view.export()) == ids_of(expected)


def test_a_link_shows_the_same_view(view, findings):
    view.open()
    view.choose("severity", "high", "low")
    view.choose("package", "<i>pack", "orders", "many")
    view.search("a&b=c#d%20+\u652f")
    view.search("f")
    view.select("group", "none")
    view.select("sort", "function")
    seen, count, fragment = view.ids, view.count, view.fragment
    assert seen
    view.open(fragment)
    assert (view.ids, view.count, view.fragment) == (seen, count, fragment)
    view.browser.script("location.hash = ''")
    view.browser.wait(lambda: view.count == len(open_failures(findings)) != count)


def test_a_wrong_link_shows_a_page(view, browser):
    view.open("severity=nothing")
    assert view.count == 0
    for fragment in ("%", "&&==", "__proto__=1&constructor=2", "sort=%00&group=x", f"q=<img src=x onerror={BAD}>"):
        browser.script("location.hash = arguments[0]", fragment)
        browser.settle()
        assert browser.one("#count").text, fragment
    assert browser.script("return window.hacked") is None
    assert browser.problems() == []


def test_findings_are_grouped(view, findings):
    view.open()
    view.choose("severity", "high")
    high = [row for row in findings if row["severity"] == "high"]
    for group, columns in (
        ("rule", ["rule"]),
        ("function", ["region", "project_id", "package", "function_name"]),
        ("owner", ["region", "project_id", "package"]),
    ):
        view.select("group", group)
        names = {tuple(row[column] for column in columns) for row in high}
        assert len(view.browser.all("#rows [data-group]")) == min(len(names), 50), group  # others are drawn on request
        assert view.count == len(high)


def test_findings_are_sorted(view, findings):
    of_id = {row["finding_id"]: row for row in findings}
    view.open()
    order = ["critical", "high", "medium", "low", "info"]
    ranks = [order.index(of_id[name]["severity"]) for name in view.ids]
    assert ranks == sorted(ranks)
    view.choose("package", "many")
    view.choose("severity", "high")
    view.select("sort", "function")
    names = [of_id[name]["function_name"] for name in view.ids]
    assert names == sorted(names)
    assert len(set(names)) > 5


def test_the_exported_file_is_that_of_the_command(view, report):
    _, findings, rows = report
    view.open()
    exported = view.export()
    assert sorted(exported, key=itemgetter("finding_id")) == sorted(rows, key=itemgetter("finding_id"))
    view.choose("package", "default")
    view.choose("verdict", "unknown")
    expected = [row for row in findings if row["package"] == "default" and row["verdict"] == "unknown"]
    assert ids_of(view.export()) == ids_of(expected)


def test_a_finding_says_what_why_and_what_to_do(view, findings, browser):
    view.open()
    view.choose("rule", "FGA101")
    view.choose("package", "many")
    element = browser.one("#rows [data-finding]")
    browser.script(
        "const e = arguments[0]; (e.matches('details') ? e : e.querySelector('details')).open = true", element
    )
    text = element.text
    assert "Failed events are lost silently" in text
    assert "After the last retry the event is dropped" in text
    assert "on_failure {" in text
    assert "functiongraph_01_0390_03" in text
    assert "2026-11-2" in text


def test_what_to_copy_is_what_other_outputs_say(view, report):
    view.open()
    shown = view.browser.script(
        "return DATA.ids.map((id, at) => [id, [fixOf(at), blockOf(at).text, blockOf(at).language]])"
    )
    assert dict(shown) == {row["finding_id"]: row["copied"] for row in report[1]}
    assert len({tuple(copied) for _, copied in shown}) > 10


def test_hostile_texts_are_text(view, browser):
    view.open()
    view.open_details()
    assert browser.script("return window.hacked") is None
    allowed = browser.script("return [...document.scripts].map(e => e.type)")
    assert len(allowed) <= 3
    assert browser.all("img, iframe, object, embed, base, [onerror], a[href^='javascript' i]") == []
    text = browser.one("body").text
    assert NAMES[0] in text
    assert not any(mark in text for mark in "\u202e\u2066")
    assert browser.problems() == []


def test_the_policy_lets_nothing_in(view, browser):
    view.open()
    policy = browser.one("meta[http-equiv='Content-Security-Policy']").get_attribute("content")
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy
    load = (
        "const done = arguments[0];"
        "document.addEventListener('securitypolicyviolation', event => done(event.effectiveDirective));"
        "document.body.append(Object.assign(new Image(), {src: 'https://192.0.2.1/x.png'}));"
    )
    assert browser.driver.execute_async_script(load) == "img-src"
    script = (
        "const done = arguments[0]; document.addEventListener('securitypolicyviolation', () => done('refused'));"
        "const s = document.createElement('script'); s.textContent = 'window.hacked = true'; document.body.append(s);"
        "if (window.hacked) done('ran');"
    )
    assert browser.driver.execute_async_script(script) == "refused"


def test_a_link_to_a_finding_shows_it_alone_and_open(view, findings):
    (finding,) = [row for row in findings if row["rule"] == "FGA201" and row["verdict"] == "fail"]
    view.open(f"finding={finding['finding_id']}")
    assert view.count == 1
    text = view.browser.one("#rows").text
    assert "Why it matters" in text
    assert finding["subject"] in text


def test_without_scripts_the_first_screen_and_the_pictures_are_there(report, browser):
    browser.run("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.driver.get(report[0].as_uri())
        text = browser.one("body").text
    finally:
        browser.run("Emulation.setScriptExecutionDisabled", value=False)
    assert "The list of findings needs JavaScript" in text
    assert "Failed events are lost silently" in text
    assert len(browser.all("svg.picture")) > 4


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(view, browser, theme):
    view.open(theme=theme)
    view.choose("severity", "high")
    browser.script(
        "[...document.querySelectorAll('figure details, #rows details')].slice(0, 12).forEach(e => e.open = true)"
    )
    browser.script("document.getElementById('f-severity').open = true")
    assert browser.accessibility_problems(*(["color-contrast"] if theme == "dark" else [])) == []


@pytest.mark.parametrize("width", [375, 1280, 2560])
def test_the_page_fits_the_width(view, browser, width):
    view.open(width=width)
    view.open_details()
    for facet in browser.all("#filters details"):
        browser.script("arguments[0].open = true", facet)
        wide = browser.script("return document.documentElement.scrollWidth")
        assert wide <= width, facet.get_attribute("id")
        browser.script("arguments[0].open = false", facet)


def test_no_text_of_a_picture_is_cut_or_covers_another(view, browser):
    view.open(width=375)
    faults = browser.script("""
        const faults = [];
        for (const picture of document.querySelectorAll("svg.picture")) {
          const frame = picture.getBoundingClientRect();
          const right = clip => frame.left + (clip.x.baseVal.value + clip.width.baseVal.value) * frame.width / 320;
          const texts = [...picture.querySelectorAll("text")].map(e => {
            const box = e.getBoundingClientRect();
            const clip = e.closest("[clip-path]")?.getAttribute("clip-path").slice(5, -1);
            const end = clip ? right(document.getElementById(clip).firstElementChild) : Infinity;
            return [{left: box.left, right: Math.min(box.right, end), top: box.top, bottom: box.bottom}, e.textContent];
          });
          for (const [box, text] of texts) {
            if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1) {
              faults.push(`cut: ${text}`);
            }
          }
          for (const [a, first] of texts) for (const [b, second] of texts) {
            const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
            const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            if (a !== b && width > 1 && height > 3) faults.push(`covered: ${first} by ${second}`);
          }
        }
        return faults;
    """)
    assert len(browser.all("svg.picture")) > 4
    assert faults == []


def test_the_page_is_used_with_the_keyboard_alone(view, browser, findings):
    view.open()
    before = view.count
    body = browser.one("body")
    keys = ActionChains(browser.driver)
    for _ in range(60):
        keys.send_keys(Keys.TAB).perform()
        focused = browser.driver.switch_to.active_element
        assert focused != body
        outline = browser.script(
            "const s = getComputedStyle(arguments[0]); return s.outlineStyle + s.boxShadow", focused
        )
        assert outline != "nonenone"
        if focused.tag_name == "summary" and focused.find_element("xpath", "..").get_attribute("id") == "f-severity":
            keys.send_keys(Keys.ENTER, Keys.TAB, Keys.SPACE).perform()
            break
    browser.wait(lambda: view.count < before)
    for _ in range(60):
        keys.send_keys(Keys.TAB).perform()
        focused = browser.driver.switch_to.active_element
        if focused.find_elements("xpath", "ancestor::*[@data-finding]"):
            keys.send_keys(Keys.ENTER).perform()
            browser.wait(lambda: "what" in browser.one("#rows [data-finding]").text.lower())
            return
    pytest.fail("no finding is reached")


def test_a_printed_page_has_all_findings_of_the_filter(view, browser, findings):
    view.open()
    view.choose("package", "many", "default")
    view.choose("rule", "FGA101")
    pages = browser.print_pdf()
    assert len(pages) > 1
    text = "".join("".join(page.extract_text().split()) for page in pages)
    expected = [row for row in findings if row["package"] in ("many", "default") and row["rule"] == "FGA101"]
    assert {row["verdict"] for row in expected} == {"fail", "unknown", "pass"}
    names = {row["function_name"] for row in expected}
    assert len(names) > 60
    assert [name[:50] for name in sorted(names) if name.isascii() and name not in text] == []
    assert "\\u{202e}gnp.exe" in text
    widths = {tuple(round(float(side)) for side in page.mediabox[2:]) for page in pages}
    assert widths == {(595, 842)}


def test_a_page_is_printed_dark_on_white_whatever_the_theme(view, browser):
    view.open(theme="dark", media="print")
    colours = "const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]"
    background, colour = browser.script(colours)
    assert background in ("rgb(255, 255, 255)", "rgba(0, 0, 0, 0)")
    assert max(map(int, colour[4:-1].split(","))) < 80
    text = browser.script("return getComputedStyle(document.querySelector('.picture text')).fill")
    assert max(map(int, text[4:-1].split(","))) < 80


def test_a_page_of_many_findings_is_small_and_says_what_it_leaves_out(large, browser):
    assert large.stat().st_size < 5_000_000
    view = View(browser, large).open()
    assert view.count == 20_000
    assert "This page has 20,000 of " in browser.one("body").text
    assert len(view.ids) < 1000
    view.choose("severity", "high")
    view.search("function-0000")
    assert 0 < view.count < 20_000
    assert browser.problems() == []


def test_the_browser_reports_requests_errors_and_barriers(folder, browser):
    page = folder / "bad.html"
    page.write_text(
        "<!DOCTYPE html><html data-ready=true><img src='http://192.0.2.1/x.png'><p style='color:#ddd'>pale</p>"
        "<script>console.error('broken'); fetch('https://192.0.2.2/').catch(() => 0)</script>"
    )
    browser.open(page)
    browser.wait(lambda: browser.script("return document.images[0].complete"))
    problems = "\n".join(browser.problems())
    assert "SEVERE" in problems
    assert "broken" in problems
    assert "\nhttp://192.0.2.1/x.png" in problems
    assert "\nhttps://192.0.2.2/" in problems
    assert {text.split(":")[0] for text in browser.accessibility_problems()} >= {"image-alt", "color-contrast"}


def test_a_missing_browser_skips_the_tests_but_not_in_ci(monkeypatch):
    monkeypatch.setenv("PATH", "")
    for name in MUST_RUN:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install chromium chromium-driver"):
        find_programs()
    monkeypatch.setenv("INVENTORY_BROWSER_TESTS", "1")
    with pytest.raises(pytest.fail.Exception, match="no Chromium"):
        find_programs()


def test_a_link_on_the_page_is_followed_again_and_a_jump_keeps_the_filters(view):
    view.open("severity=high")
    link = view.browser.one("a.tile[href='#severity=high']")
    count = view.count
    view.search("no such text")
    view.browser.script("history.replaceState(null, '', '#severity=high')")
    view.browser.script("arguments[0].click()", link)
    assert view.count == count > 0
    view.browser.script("arguments[0].click()", view.browser.one("a.skip"))
    assert view.fragment == "severity=high"
    assert view.browser.driver.switch_to.active_element.get_attribute("id") == "findings"


def test_numbers_of_evidence_keep_their_digits(view):
    view.open()
    shown = view.browser.script(
        """COLUMNS.evidence[0] = '{"a":9007199254740993,"b":1.0,"c":[18014398509481985],"d":null,"e":"1.0"}';"""
        "return [evidenceText(0), blockValues(0).a, blockValues(0).b, blockValues(0).c ?? '']"
    )
    assert shown == ["a 9007199254740993, b 1.0, c [18014398509481985], e 1.0", "9007199254740993", "1.0", ""]
