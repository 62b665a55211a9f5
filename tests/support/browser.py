"""A headless Chromium without a network, for tests of the report page."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
from contextlib import contextmanager
from importlib import resources

import pytest
from pypdf import PdfReader
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MUST_RUN = ("CI", "INVENTORY_BROWSER_TESTS")
"""With one of these variables a missing browser fails the tests; without, it skips them."""
PATIENCE = 30
"""Seconds; a busy machine is no failure."""
_AXE = """
const [rules, done] = arguments;
const options = {resultTypes: ["violations"], ...(rules.length ? {runOnly: rules} : {})};
axe.run(document, options).then(done, error => done(String(error)));
"""


def find_programs():
    """The paths of chromium and chromedriver; skips the test, or fails it, where one is missing."""
    programs = shutil.which("chromium"), shutil.which("chromedriver")
    if all(programs):
        return programs
    message = "no Chromium: apt-get install chromium chromium-driver"
    if any(os.environ.get(name) for name in MUST_RUN):
        pytest.fail(message)
    pytest.skip(message)
    raise AssertionError


class Browser:
    """One window of Chromium, which keeps what the pages ask for and complain about."""

    def __init__(self, driver, downloads):
        self.driver = driver
        self.downloads = downloads
        self._page = None
        self.run("Network.enable")
        self.run("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
        self.run("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))

    def run(self, command, **values):
        """Runs a command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(command, values)

    def open(self, page, fragment="", *, theme="light", width=1280, height=900, media=""):
        """Opens a file and waits until its script has drawn it; a new document, whatever was open before."""
        features = [
            {"name": "prefers-color-scheme", "value": theme},
            {"name": "prefers-reduced-motion", "value": "reduce"},  # what moves cannot be clicked
        ]
        self.run("Emulation.setEmulatedMedia", media=media, features=features)
        self.run("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.driver.get("about:blank")
        self._read_logs()
        self._page = page.as_uri()
        self.driver.get(self._page + (f"#{fragment}" if fragment else ""))
        self.wait(lambda: self.script("return document.documentElement.dataset.ready") == "true")

    def wait(self, condition):
        """Waits until something is true."""
        WebDriverWait(self.driver, PATIENCE, poll_frequency=0.02).until(lambda _driver: condition())

    def settle(self):
        """Waits until the page has handled what was done before, and is drawn."""
        self.driver.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0]))")

    def script(self, source, *arguments):
        """Runs the body of a function in the page."""
        return self.driver.execute_script(source, *arguments)

    def all(self, selector):
        """The elements of a CSS selector."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        """The first element of a CSS selector."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def problems(self):
        """What the console says since the page was opened, and the addresses that were asked for beside the page."""
        console, events = self._read_logs()
        requests = [
            event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
        ]
        return console + [url for url in requests if not url.startswith((self._page, "blob:", "about:"))]

    def accessibility_problems(self, *rules):
        """What axe-core calls serious or critical, by all of its rules or by some."""
        self.script(resources.files("selenium_axe_python").joinpath("axe-core/axe.min.js").read_text("utf-8"))
        result = self.driver.execute_async_script(_AXE, rules)
        assert isinstance(result, dict), result
        return [
            f"{item['id']}: {node['html'][:300]}: {node['failureSummary']}"
            for item in result["violations"]
            if item["impact"] in ("serious", "critical")
            for node in item["nodes"]
        ]

    def print_pdf(self):
        """Prints the page on A4; returns its pages."""
        inches = {"paperWidth": 8.27, "paperHeight": 11.69}
        data = self.run("Page.printToPDF", preferCSSPageSize=True, printBackground=True, **inches)["data"]
        return PdfReader(io.BytesIO(base64.b64decode(data))).pages

    def screenshot(self, path):
        """Writes an image of the whole page."""
        size = self.run("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        data = self.run("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
        path.write_bytes(base64.b64decode(data))

    def _read_logs(self):
        console = [f"{entry['level']}: {entry['message']}" for entry in self.driver.get_log("browser")]
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return console, events


@contextmanager
def running_browser(folder):
    """Starts Chromium with an empty profile in a folder."""
    binary, program = find_programs()
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(program))
    try:
        downloads = folder / "downloads"
        downloads.mkdir()
        yield Browser(driver, downloads)
    finally:
        driver.quit()
