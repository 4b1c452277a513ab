"""Every page against a real daemon with real servers, as an operator uses it."""
import re
import threading

from playwright.sync_api import expect

from omni.waiting import eventually


def row(page, name: str):
    return page.get_by_role("row").filter(has=page.get_by_role("button", name=name, exact=True))


def test_a_server_that_is_added_becomes_healthy_without_reloading(dashboard, house, tmp_path):
    from omni.servers import HTTPServer
    other = HTTPServer(tmp_path, "other")
    try:
        one = dashboard()
        page = one.log_in()
        one.is_live()
        page.get_by_role("button", name="Add server").click()
        box = page.get_by_role("dialog", name="Add a server")
        box.get_by_label("Name", exact=True).fill("other")
        box.get_by_label("Address", exact=True).fill(other.url)
        box.get_by_role("button", name="Try the address").click()
        expect(box.get_by_role("status")).to_contain_text("It answered")
        box.get_by_role("button", name="Add server").click()
        expect(row(page, "other").get_by_text("healthy")).to_be_visible(timeout=20_000)
        # What was ordered is answered in words.
        page.get_by_role("region", name="Chosen server").get_by_role("button", name="Check now").click()
        expect(page.get_by_role("region", name="Chosen server").get_by_role("status")).to_contain_text("It answered in")
        page.get_by_role("button", name="Remove").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        expect(row(page, "other")).to_have_count(0)
    finally:
        other.kill()


def test_the_second_call_of_a_tool_comes_from_the_cache(dashboard, house):
    one = dashboard()
    page = one.log_in(place="#/tools")
    page.get_by_label("Search tools").fill("convert")
    expect(page.get_by_role("button", name=re.compile("^convert_time"))).to_be_visible()
    page.get_by_label("Search tools").fill("")
    tool, text = cached_tool(page, house)
    page.get_by_role("button", name=re.compile(f"^{tool} ")).first.click()
    for name, value in text.items():
        page.get_by_label(re.compile(f"^{name}")).fill(value)
    result = page.get_by_role("region", name="Result")
    page.get_by_role("button", name="Call", exact=True).click()
    expect(result).to_contain_text("from the server")
    calls = house.counting.calls(tool)
    page.get_by_role("button", name="Call", exact=True).click()
    expect(result).to_contain_text("from the cache")
    assert house.counting.calls(tool) == calls, "the server was not asked again"
    one.go("Cache")
    expect(page.get_by_role("region", name="By tool")).to_contain_text(tool)
    page.get_by_role("button", name=f"Invalidate {tool} of counting").click()
    expect(page.get_by_role("region", name="By tool")).not_to_contain_text(tool)


def cached_tool(page, house) -> tuple[str, dict]:
    """A tool of the counting server that declares itself read-only, and arguments for it."""
    for tool in house.daemon.get("/api/v1/mcp/tools/list").json()["data"]["servers"]["counting"]:
        if (tool.get("annotations") or {}).get("readOnlyHint"):
            schema = tool["inputSchema"]
            wanted = {name: schema["properties"][name] for name in schema.get("required", [])}
            if all(one.get("type") == "string" for one in wanted.values()):
                return tool["name"], {name: "hello" for name in wanted}
    raise AssertionError("no read-only tool")


def test_a_server_that_dies_opens_its_circuit_before_ones_eyes(dashboard, house):
    one = dashboard()
    page = one.log_in()
    one.is_live()
    expect(row(page, "counting").get_by_text("closed")).to_be_visible()
    house.counting.kill()
    try:
        expect(row(page, "counting").get_by_text(re.compile("^(circuit open|open)$")).first).to_be_visible(timeout=20_000)
        one.go("Live")
        page.get_by_label("Type", exact=True).select_option("circuit_breaker_state")
        expect(page.get_by_role("listbox").get_by_role("option").filter(has_text="closed → open").first).to_be_visible()
    finally:
        house.counting.start()
        house.counting.mode("ok")
    one.go("Servers")
    expect(row(page, "counting").get_by_text("healthy")).to_be_visible(timeout=30_000)
    row(page, "counting").get_by_role("button").click()
    page.get_by_role("button", name="Reset circuit").click()
    expect(page.get_by_role("region", name="Chosen server").get_by_role("status")).to_contain_text("is reset")


def test_the_flow_of_a_watched_user_grows_live(dashboard, house):
    ann = house.people.user("ann", "developer", name="Ann")
    house.people.change_role("developer", mcp_access=["*"])
    one = dashboard()
    page = one.log_in(place="#/flows")
    page.get_by_label("Watch", exact=True).select_option(label="Ann")
    page.get_by_label("for hours").fill("2")
    page.get_by_role("button", name="Start").click()
    watched = page.get_by_role("list", name="Watched users")
    expect(watched).to_contain_text(re.compile(r"Ann.*1 h 59 min left"))
    answer = house.daemon.call("time", "get_current_time", {"timezone": "UTC"}, token=ann.token)
    assert answer.status_code == 200, answer.text
    flows = page.get_by_role("region", name="Flows").get_by_role("list", name="Flows")
    expect(flows.get_by_role("button").filter(has_text="get_current_time")).to_be_visible()
    tree = page.get_by_role("list", name="Checkpoints")
    for gate in ("auth check", "tool call"):
        expect(tree).to_contain_text(gate)
    before = flows.get_by_role("button").count()
    house.daemon.call("time", "get_current_time", {"timezone": "Europe/Berlin"}, token=ann.token)
    expect(flows.get_by_role("button")).to_have_count(before + 1)
    watched.get_by_role("button", name="Stop").click()
    expect(watched).not_to_contain_text("Ann")
    # History has them, and one of them as JSON.
    page.get_by_role("tab", name="History").click()
    page.get_by_role("tabpanel", name="History").get_by_label("User").select_option(label="Ann")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(flows.get_by_role("button")).to_have_count(before + 1)
    flows.get_by_role("button").first.click()
    page.get_by_role("button", name="JSON").click()
    expect(page.get_by_role("group", name="The flow as JSON")).to_contain_text('"tree"')
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.startswith("flow-")


def test_people_are_added_limited_blocked_and_deleted(dashboard, house):
    one = dashboard()
    page = one.log_in(place="#/people")
    page.get_by_role("button", name="Add user").click()
    box = page.get_by_role("dialog")
    box.get_by_label("User name").fill("bob")
    box.get_by_label("Password").fill("a long enough secret")
    box.get_by_role("button", name="Add user").click()
    bob = page.get_by_role("row").filter(has_text="bob")
    expect(bob).to_contain_text("active")
    bob.get_by_role("button", name="Limits").click()
    page.get_by_role("dialog").get_by_label("Requests per hour").fill("7")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(bob).to_contain_text("of 7")
    bob.get_by_role("button", name="Token").click()
    page.get_by_role("dialog").get_by_role("button", name="Make").click()
    secret = page.get_by_role("textbox", name="The token").input_value()
    assert house.daemon.get("/api/v1/auth/me", token=secret).json()["user"]["username"] == "bob"
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    bob.get_by_role("button", name="Block").click()
    page.get_by_role("dialog").get_by_role("button", name="Block").click()
    expect(bob).to_contain_text("blocked")
    page.get_by_role("tab", name="Blocks").click()
    page.get_by_role("button", name="Unblock").click()
    expect(page.get_by_role("tabpanel", name="Blocks")).to_contain_text("Nobody is blocked")
    page.get_by_role("tab", name="Audit").click()
    expect(page.get_by_role("tabpanel", name="Audit")).to_contain_text("user.block")
    page.get_by_role("tab", name="Users").click()
    bob.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(bob).to_have_count(0)


def test_system_tells_of_health_hub_and_host(dashboard, house):
    one = dashboard()
    page = one.log_in(place="#/system")
    checks = page.get_by_role("region", name="Health").get_by_role("row")
    expect(checks.filter(has_text="database")).to_contain_text(re.compile("pass.*sqlite"))
    expect(checks.filter(has_text="servers")).to_contain_text(re.compile("pass.*2 healthy of 2"))
    expect(page.get_by_role("region", name="Daemon")).to_contain_text("0.1.0")
    expect(page.get_by_role("region", name="Metrics")).to_contain_text("omni2_http_requests_total")
    expect(page.get_by_role("region", name="Event hub")).to_contain_text("published")
    expect(page.get_by_role("region", name="This page")).to_contain_text("live")
    expect(page.get_by_role("region", name="Host, last samples")).to_be_visible(timeout=15_000)


def test_asking_without_a_model_says_what_is_missing(dashboard, house):
    one = dashboard()
    one.expected.append("status of 503")
    page = one.log_in(place="#/ask")
    page.get_by_label("Your question").fill("What time is it?")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_role("log")).to_contain_text(re.compile("not configured|no model|Chat", re.IGNORECASE))


def test_pausing_loses_nothing_and_a_thousand_events_a_second_freeze_nothing(dashboard, house, record_property):
    one = dashboard()
    page = one.log_in(place="#/live")
    one.is_live()
    page.get_by_label("Another event type").fill("flood")
    page.get_by_role("button", name="Follow").click()
    page.get_by_label("Type", exact=True).select_option("flood")
    page.evaluate("""() => {
        window.frames_seen = []; let last = performance.now();
        const step = now => { window.frames_seen.push(now - last); last = now; requestAnimationFrame(step); };
        requestAnimationFrame(step);
    }""")
    flood(house, 1500)
    expect(page.get_by_text("1,500 shown")).to_be_visible()
    rows = page.get_by_role("listbox").get_by_role("option").count()
    assert rows < 60, "only the rows in sight exist"
    longest = page.evaluate("Math.max(...window.frames_seen.slice(5))")
    record_property("figures", f"1,500 events in one burst: longest frame {longest:.0f} ms, {rows} rows in the page")
    assert longest < 1000
    page.get_by_role("button", name="Pause").click()
    flood(house, 100)
    expect(page.get_by_role("button", name=re.compile(r"Resume \(\d+ waiting\)"))).to_be_visible()
    expect(page.get_by_text("1,500 shown")).to_be_visible()
    page.get_by_role("button", name=re.compile("Resume")).click()
    expect(page.get_by_text("1,600 shown")).to_be_visible()
    # The keyboard chooses, and shows the whole event.
    page.get_by_role("listbox").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("region", name="Chosen event")).to_contain_text('"flood"')


def flood(house, number: int) -> None:
    """Publishes numbered events as fast as one socket takes them."""
    import json
    from websockets.sync.client import connect
    with connect(f"ws://127.0.0.1:{house.daemon.port}/ws", additional_headers=house.daemon.headers, proxy=None) as socket:
        for index in range(number):
            socket.send(json.dumps({"action": "publish", "type": "flood", "data": {"n": index}}))
        answered = 0
        while answered < number:
            answered += json.loads(socket.recv(timeout=20)).get("type") == "published"


def test_a_lost_connection_is_told_and_resumed_without_a_gap(dashboard, house):
    one = dashboard()
    one.expected += ["ERR_INTERNET_DISCONNECTED", "WebSocket"]
    page = one.log_in(place="#/live")
    one.is_live()
    page.get_by_label("Another event type").fill("numbered")
    page.get_by_role("button", name="Follow").click()
    page.get_by_label("Type", exact=True).select_option("numbered")
    publish = lambda n: house.daemon.post("/api/v1/events/publish", {"type": "numbered", "data": {"n": n}})
    publish(1)
    expect(page.get_by_role("listbox").get_by_role("option").filter(has_text='"n":1')).to_be_visible()
    # The socket is closed underneath; the page comes back by itself and names what it saw last.
    page.evaluate("async () => { const { live } = await import('./web/parts/live.js'); live.hangUp(); }")
    threads = [threading.Thread(target=publish, args=(n,)) for n in (2,)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    publish(3)
    expect(page.get_by_text("Nothing was missed").first).to_be_visible()
    for n in (1, 2, 3):
        expect(page.get_by_role("listbox").get_by_role("option").filter(has_text=f'"n":{n}')).to_have_count(1)


def test_roles_see_what_is_theirs(dashboard, house):
    people = house.people
    people.role("watchers", mcp_access=["*"], dashboard_access="view", omni_services=["mcp"])
    people.role("crew", mcp_access=["*"], dashboard_access="operate", omni_services=["mcp"])
    viewer, crew = people.user("vera", "watchers"), people.user("olga", "crew")

    one = dashboard()
    page = one.log_in(viewer.token)
    one.is_live()
    expect(row(page, "counting").get_by_text("healthy")).to_be_visible()
    expect(page.get_by_role("button", name="Add server")).to_have_count(0)
    row(page, "counting").get_by_role("button").click()
    expect(page.get_by_text("Your role sees and does not act.")).to_be_visible()
    one.go("Cache")
    expect(page.get_by_text("your role sees the figures")).to_be_visible()
    one.go("People")
    expect(page.get_by_role("tab")).to_have_text(["Me", "Tokens"])
    expect(page.get_by_role("link", name="Ask")).to_have_count(0)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("You have logged out.")).to_be_visible()

    two = dashboard()
    page = two.log_in(crew.token)
    two.is_live()
    row(page, "counting").get_by_role("button").click()
    aside = page.get_by_role("region", name="Chosen server")
    expect(aside.get_by_role("button", name="Edit")).to_have_count(0)
    aside.get_by_role("button", name="Check now").click()
    expect(aside.get_by_role("status")).to_contain_text("It answered in")
    aside.get_by_role("button", name="Disable").click()
    expect(aside.get_by_role("button", name="Enable")).to_be_visible()
    aside.get_by_role("button", name="Enable").click()
    expect(row(page, "counting").get_by_text("healthy")).to_be_visible(timeout=20_000)
    # What the page does not offer, the daemon does not do either.
    refused = house.daemon.request("PUT", "/api/v1/mcp/servers/1", token=crew.token, json={"name": "x"})
    assert refused.status_code == 403
    assert house.daemon.get("/api/v1/users", token=crew.token).status_code == 403


def test_a_restart_of_the_daemon_is_lived_through(dashboard, house):
    one = dashboard()
    one.expected += ["WebSocket", "ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET", "status of 503"]
    page = one.log_in()
    one.is_live()
    house.daemon.stop()
    expect(page.locator(".state[data-state=offline]")).to_contain_text("Offline")
    house.daemon.start()
    one.is_live()
    # Still logged in; what is shown was read anew, and the page says whether something is missing.
    expect(page.locator(".toast").filter(has_text=re.compile("Connected again"))).to_be_visible()
    expect(row(page, "counting").get_by_text("healthy")).to_be_visible(timeout=20_000)
    eventually(lambda: house.daemon.get("/api/v1/events/websocket/debug").json()["active_connections"] >= 1, 10, "connected")
