import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from importlib import resources

import pytest
from support.written_runs import FAILED, config, leading, side, urn, write_run

from inventory.reviews.page import write
from inventory.reviews.request import Request, review_run
from inventory.settings import ReviewSettings

HOSTILE = ["<script>alert(1)</script>", "</script><img/src=x/onerror=alert(1)>", '"onload="alert(1)', "\u202egnp.exe"]
TAGS = re.findall(
    r"\w+",
    """
    a article aside b bdi body button caption code dd details div dl dt figure footer form h1 h2 h3 head header html
    label li link main meta noscript ol output p script section select span style summary svg table tbody td th thead
    title tr ul circle clippath defs desc g line marker path pattern polygon polyline rect text tspan use
    """,
)


class Page(HTMLParser):
    """The elements of a page, their attributes, and the texts of scripts and styles."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.inside, self.open = [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.open = tag

    def handle_data(self, data):
        if self.open in ("script", "style"):
            self.inside.append((self.elements[-1], data))

    def handle_endtag(self, _tag):
        self.open = ""


def page_of(run, **options):
    sink = io.BytesIO()
    with review_run(run, Request(ReviewSettings(), **options)) as reviewed:
        write.write_page(reviewed, sink)
    return sink.getvalue().decode()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    functions = {urn(name): config() for name in HOSTILE}
    functions |= {urn(f"f{number:03}"): config(max_async_retry_attempts=0) for number in range(100)}
    functions |= {urn("obs"): leading(on_success=side("OBS", {"bucket_name": HOSTILE[0], "prefix": HOSTILE[1]}))}
    return write_run(tmp_path_factory.mktemp("runs") / "<b>run", {**functions, urn("u"): FAILED})


@pytest.fixture(scope="module")
def html(run):
    return page_of(run)


def test_the_policy_allows_this_script_and_this_style_and_nothing_else(html):
    page = Page(html)
    (policy,) = [
        attributes["content"]
        for tag, attributes in page.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    digests = {
        name: [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts]
        for name in ("script", "style")
        if (texts := [text for (tag, attributes), text in page.inside if tag == name and "type" not in attributes])
    }
    assert allowed == {
        "default-src": "'none'",
        "script-src": digests["script"][0],
        "style-src": digests["style"][0],
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert len(digests["script"]) == len(digests["style"]) == 1


def test_foreign_text_adds_no_element_and_no_attribute(html):
    page = Page(html)
    assert {tag for tag, _ in page.elements} <= set(TAGS)
    names = {name for _, attributes in page.elements for name in attributes}
    assert not {name for name in names if name.startswith("on")} | names & {"style", "src", "srcset", "action"}
    links = {attributes["href"] for tag, attributes in page.elements if tag == "a"}
    assert all(link.startswith("#") for link in links)
    assert "\u202e" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_only_files_of_the_package_and_finished_markup_are_not_escaped():
    template = resources.files("inventory.reviews.page").joinpath("report.html.j2").read_text()
    assert sorted(re.findall(r"\{\{ (.*?) \| safe \}\}", template)) == ["data", "picture.svg", "script", "style"]
    assert template.count("safe") == 4


def test_the_script_makes_no_markup_of_text():
    for name in write._SCRIPTS:
        script = resources.files("inventory.reviews.page").joinpath(name).read_text()
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|\.style\b", script
        )


def test_the_same_review_gives_the_same_bytes(run, html):
    assert page_of(run) == html


def test_a_page_that_is_too_large_has_the_most_severe_findings_and_says_so(run, html, monkeypatch):
    data = json.loads(re.search(r'id="data">(.*?)</script>', html)[1])
    assert "This page has " not in html
    monkeypatch.setattr(write, "MAX_BYTES", len(html.encode()) - 3_000)
    smaller = page_of(run)
    assert len(smaller.encode()) <= len(html.encode()) - 3_000
    found = json.loads(re.search(r'id="data">(.*?)</script>', smaller)[1])
    assert 0 < len(found["ids"]) < len(data["ids"])
    assert f"This page has {len(found['ids'])} of {len(data['ids'])} findings" in smaller
    assert "--format csv --output findings.csv" in smaller


def test_a_review_without_a_finding_is_a_page(tmp_path):
    write_run(tmp_path / "run", {urn("safe"): leading(on_failure=side("SMN", {"topic_urn": "urn:smn:cn-north-4:p:t"}))})
    html = page_of(tmp_path / "run", only=("FGA101",))
    assert "<h1>No finding</h1>" in html
    assert "100% of the checks were made" in html


def test_of_new_findings_the_page_says_so(run):
    html = page_of(run, only=("FGA101",), baseline=str(run), new_only=True)
    assert "<h1>No new finding</h1>" in html
    assert "Only findings that the baseline does not have are shown." in html
