"""Fixtures of the dashboard's tests: Debian's Chromium over Playwright, in front of a real daemon."""
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests" / "integration"))

from omni.daemon import BINARY, IMPATIENT, Daemon  # noqa: E402
from omni.people import People  # noqa: E402
from omni.servers import HTTPServer, time_entry  # noqa: E402

ARTEFACTS = ROOT / ".build" / "dashboard"
LOG_TAIL = 60


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


class House:
    """A daemon with two real servers: one over HTTP that counts, one from PyPI over stdio."""

    def __init__(self, directory: Path, configuration: dict | None = None):
        self.counting = HTTPServer(directory, "counting")
        # The page tries servers of this machine before it adds them.
        configuration = {**IMPATIENT, "MCP": {"DiscoverPrivate": "yes"}, **(configuration or {})}
        self.daemon = Daemon(directory, configuration, {
            "counting": self.counting.entry(cache_policy="read_only", ttl=300), "time": time_entry()}).start()
        self.daemon.has_loaded("counting", "time")
        self.people = People(self.daemon)

    def end(self) -> None:
        if self.daemon.is_running:
            self.daemon.stop()
        self.counting.kill()


@pytest.fixture(scope="module")
def house(tmp_path_factory, request) -> Iterator[House]:
    """One for each file: starts take seconds."""
    if not BINARY.exists():
        raise pytest.UsageError(f"{BINARY} is missing: run `make build`, or set OMNI2_BINARY")
    house = House(tmp_path_factory.mktemp("house"), getattr(request.module, "CONFIGURATION", None))
    yield house
    house.end()


class Dashboard:
    """A page of the dashboard; whatever a console or a network says against it fails the test."""

    def __init__(self, browser: Browser, daemon: Daemon, **context):
        self.daemon = daemon
        self.context = browser.new_context(locale="en", **context)
        self.context.set_default_timeout(15_000)
        self.page: Page = self.context.new_page()
        self.problems: list[str] = []
        # What a test expects to be said, such as a refused connection after a kill.
        self.expected: list[str] = []
        self.page.on("console", lambda message: self.note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.note("error", f"page error: {error}"))
        self.page.on("request", lambda request: self.saw(request.url))

    def note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.problems.append(text)

    def saw(self, url: str) -> None:
        if not url.startswith((self.daemon.url, f"ws://127.0.0.1:{self.daemon.port}", "data:")):
            self.problems.append(f"outside request: {url}")

    def open(self, place: str = "") -> Page:
        self.page.goto(f"{self.daemon.url}/{place}")
        return self.page

    def log_in(self, token: str | None = None, place: str = "") -> Page:
        page = self.open(place)
        page.get_by_label("Token", exact=True).last.fill(token or self.daemon.token)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("navigation", name="Pages").wait_for()
        return page

    def go(self, name: str) -> Page:
        self.page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()
        self.page.get_by_role("heading", name=name, level=1).wait_for()
        return self.page

    def is_live(self) -> None:
        self.page.locator(".state[data-state=live]").wait_for()

    def shoot(self, name: str) -> None:
        self.page.screenshot(path=ARTEFACTS / f"{name}.png")

    def judge(self) -> None:
        unexpected = [text for text in self.problems if not any(re.search(one, text) for one in self.expected)]
        assert not unexpected, unexpected


# Asking who one is before there is a session is answered 401, which Chromium writes down.
FIRST_LOOK = r"Failed to load resource: the server responded with a status of 401"


@pytest.fixture
def dashboard(browser, house) -> Iterator[Callable[..., Dashboard]]:
    """Opens dashboards: `dashboard()`, `dashboard(color_scheme="dark")`."""
    opened: list[Dashboard] = []

    def open_one(**context) -> Dashboard:
        one = Dashboard(browser, house.daemon, **context)
        one.expected.append(FIRST_LOOK)
        opened.append(one)
        return one

    yield open_one
    for one in opened:
        one.context.close()
    for one in opened:
        one.judge()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows what the page and the daemon said beside a failure."""
    report = yield
    if report.failed and "house" in getattr(item, "funcargs", {}):
        tail = item.funcargs["house"].daemon.output().splitlines()[-LOG_TAIL:]
        report.sections.append(("omni2-native log", "\n".join(tail)))
    return report


def pytest_terminal_summary(terminalreporter) -> None:
    """Shows what tests measured: `record_property("figures", text)`."""
    lines = [f"{report.nodeid.split('::')[-1]}: {text}" for report in terminalreporter.getreports("passed")
             for name, text in report.user_properties if name == "figures"]
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)
