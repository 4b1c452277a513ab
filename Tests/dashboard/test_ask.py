"""Asking a model that uses tools: each call is shown with what it was asked, and where it came from."""
import re

import pytest
from playwright.sync_api import expect

from conftest import FIRST_LOOK, Dashboard
from omni.daemon import Daemon
from omni.model import Model


@pytest.fixture
def asking(tmp_path, house):
    """A daemon whose model is scripted, before the server that the others use."""
    model = Model(tmp_path)
    one = Daemon(tmp_path, model.configuration("anthropic"),
                 {"counting": house.counting.entry(cache_policy="read_only", ttl=300)}).start()
    one.has_loaded("counting")
    yield one, model
    one.stop()
    model.child.kill()


def test_tool_calls_are_shown_as_they_happen(browser, asking):
    daemon, model = asking
    one = Dashboard(browser, daemon, viewport={"width": 1280, "height": 800})
    one.expected.append(FIRST_LOOK)
    page = one.log_in(place="#/ask")
    for turn, where in ((1, ""), (2, "from the cache")):
        model.script({"calls": [{"name": "counting__count", "arguments": {"key": "invoices"}}]}, {"text": "There are three invoices."})
        page.get_by_label("Your question").fill("How many invoices are there?")
        page.get_by_role("button", name="Ask", exact=True).click()
        expect(page.get_by_text("There are three invoices.")).to_have_count(turn)
        call = page.locator(".tool-use").last
        expect(call).to_contain_text(re.compile(f"success.*count.*counting.*{where}"))
    call.locator("summary").click()
    expect(call).to_contain_text('"key": "invoices"')
    expect(page.get_by_role("log")).to_contain_text("1 tool call,")
    one.shoot("ask-answered-light")
    one.context.close()
    one.judge()
