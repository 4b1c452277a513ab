"""What a page sees of a daemon that is replaced underneath it, with systemd's part played by the test."""
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from conftest import FIRST_LOOK, Dashboard
from omni.daemon import Daemon
from omni.descriptors import DescriptorStore
from omni.waiting import eventually


class Kept:
    """A daemon behind a listening socket that outlives it, with a descriptor store."""

    def __init__(self, directory, house):
        self.store = DescriptorStore(directory)
        self.daemon = Daemon(directory, servers={"counting": house.counting.entry()},
                             environment={"NOTIFY_SOCKET": str(self.store.path)})
        self.store.put("http", socket.create_server(("127.0.0.1", self.daemon.port), backlog=512).detach())
        self.start()

    def start(self) -> None:
        self.daemon.start(starter=self.store.starter())

    @contextmanager
    def publishing(self):
        """Numbered events, one after the other; none of the requests may fail."""
        stopping, numbers = threading.Event(), []

        def run() -> None:
            while not stopping.wait(0.02):
                self.daemon.post("/api/v1/events/publish", {"type": "numbered", "data": {"n": len(numbers)}}).raise_for_status()
                numbers.append(len(numbers))

        with ThreadPoolExecutor(1) as pool:
            publisher = pool.submit(run)
            try:
                yield numbers
            finally:
                stopping.set()
            publisher.result()


@pytest.fixture
def kept(tmp_path, house):
    one = Kept(tmp_path, house)
    yield one
    if one.daemon.is_running:
        one.daemon.stop()
    one.store.close()


@pytest.fixture
def following(browser, kept):
    """A page that follows the numbered events."""
    one = Dashboard(browser, kept.daemon)
    one.expected.append(FIRST_LOOK)
    page = one.log_in(place="#/live")
    one.is_live()
    page.get_by_label("Another event type").fill("numbered")
    page.get_by_role("button", name="Follow").click()
    page.evaluate("""async () => {
        const { live } = await import('./web/parts/live.js');
        window.numbers = []; window.states = [];
        live.subscribe(['numbered'], events => window.numbers.push(...events.map(event => event.data.n)));
        live.addEventListener('state', () => window.states.push(live.state));
    }""")
    yield one
    one.context.close()
    one.judge()


def test_a_restart_is_not_noticed_where_connections_are_handed_over(following, kept):
    page = following.page
    with kept.publishing() as numbers:
        for restart in range(1, 4):
            eventually(lambda: len(numbers) > restart * 25, 20, "events before the restart")
            kept.daemon.stop()
            kept.start()
    eventually(lambda: page.evaluate("window.numbers.length") == len(numbers), 20, "all events")
    assert page.evaluate("window.numbers") == list(range(len(numbers)))
    assert page.evaluate("window.states") == [], "the connection never changed its state"
    following.is_live()
    following.shoot("live-after-restart-light")


def test_a_page_resumes_without_a_gap_after_the_daemon_was_killed(following, kept):
    following.expected += ["WebSocket", "ERR_CONNECTION", "ERR_EMPTY_RESPONSE", "status of 503"]
    page = following.page
    sent = 0

    def publish(count: int) -> None:
        nonlocal sent
        for _ in range(count):
            kept.daemon.post("/api/v1/events/publish", {"type": "numbered", "data": {"n": sent}}).raise_for_status()
            sent += 1

    publish(20)
    eventually(lambda: page.evaluate("window.numbers.length") == 20, 20, "the first events")
    kept.daemon.kill()
    expect(page.locator(".state[data-state=offline], .state[data-state=connecting]")).to_be_visible()
    # The log of events was with systemd: numbers go on, and what is published before the page is back is kept for it.
    kept.start()
    publish(20)
    expect(page.locator(".toast").filter(has_text=re.compile("Nothing was missed"))).to_be_visible(timeout=30_000)
    publish(20)
    eventually(lambda: page.evaluate("window.numbers.length") == sent, 20, "all events")
    assert page.evaluate("window.numbers") == list(range(sent))
