"""How it looks and how it reads: screenshots of each page, the rules of axe-core, the first paint."""
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

PAGES = ["servers", "live", "flows", "cache", "tools", "people", "system", "ask"]
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def inhabited(house):
    """A house where something has happened, so that pages have something to show."""
    people = house.people
    people.role("operators", mcp_access=["*"], dashboard_access="operate", description="On call")
    ann = people.user("ann", "operators", name="Ann Alvarez", email="ann@example.org")
    people.user("ben", "viewer", name="Ben Berg", email="ben@example.org")
    people.ask("POST", "/teams", 201, json={"name": "data", "mcp_access": ["counting", "time"]})
    house.daemon.post("/api/v1/monitoring/enable?ttl_hours=8", [ann.id, 0])
    for turn in range(3):
        for key in ("invoices", "orders", "people"):
            house.daemon.call("counting", "count", {"key": key}, token=ann.token)
    house.daemon.call("time", "convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"})
    return house, ann


def prepare(one, page, name: str, house, ann) -> None:
    """Brings a page to a state that is worth looking at."""
    if name == "servers":
        page.get_by_role("button", name="counting", exact=True).click()
        expect(page.get_by_role("region", name="Chosen server")).to_contain_text("health check success")
    elif name == "live":
        expect(page.get_by_role("listbox").get_by_role("option").filter(has_text="health check").first).to_be_visible()
        page.get_by_role("listbox").focus()
        page.keyboard.press("ArrowDown")
    elif name == "flows":
        page.get_by_role("list", name="Watched users").get_by_text("watched").first.wait_for()
        house.daemon.call("counting", "count", {"key": "invoices"}, token=ann.token)
        house.daemon.call("time", "get_current_time", {"timezone": "Europe/Berlin"}, token=ann.token)
        page.get_by_role("list", name="Checkpoints").get_by_text("tool call").first.wait_for()
    elif name == "cache":
        page.get_by_role("region", name="By tool").get_by_text("count").first.wait_for()
        for key in ("invoices", "orders"):
            house.daemon.call("counting", "count", {"key": key}, token=ann.token)
        page.locator(".chart").wait_for()
        house.daemon.call("counting", "count", {"key": "new ones"}, token=ann.token)
    elif name == "tools":
        page.get_by_role("button", name="convert_time").click()
        page.get_by_label("source_timezone").fill("Europe/Berlin")
        page.get_by_label("target_timezone").fill("Asia/Tokyo")
        page.get_by_label("time (required)", exact=True).fill("09:30")
        page.get_by_role("button", name="Call", exact=True).click()
        page.get_by_role("region", name="Result").get_by_text("success").wait_for()
    elif name == "people":
        page.get_by_role("row").filter(has_text="ben").wait_for()
    elif name == "system":
        page.get_by_role("region", name="Host, last samples").wait_for()


@pytest.mark.parametrize("scheme, size", [("light", DESKTOP), ("dark", DESKTOP), ("light", PHONE)],
                         ids=["light", "dark", "phone"])
@pytest.mark.timeout(180)
def test_every_page_keeps_the_rules_of_accessibility(dashboard, inhabited, scheme, size, record_property):
    house, ann = inhabited
    kind = "phone" if size is PHONE else scheme
    one = dashboard(color_scheme=scheme, viewport=size, reduced_motion="reduce")
    found, checked = {}, 0

    def look(name: str) -> None:
        nonlocal checked
        one.shoot(f"{name}-{kind}")
        results = Axe().run(one.page).response
        checked += len(results["passes"])
        for violation in results["violations"]:
            where = [node["html"][:160] for node in violation["nodes"][:3]]
            found.setdefault(f"{name}: {violation['id']}: {violation['help']}", where)

    one.open().get_by_role("button", name="Log in").wait_for()
    look("login")
    page = one.log_in()
    one.is_live()
    for name in PAGES:
        one.go(name.capitalize())
        prepare(one, page, name, house, ann)
        look(name)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{name} is {wide} pixels wider than the window"
    page.goto(one.daemon.url + "/#/servers")
    page.get_by_role("button", name="Add server").click()
    look("add-server")
    record_property("figures", f"axe-core, {kind}: {checked} rules passed on {len(PAGES) + 2} views, {len(found)} violated")
    assert not found, "\n".join(f"{rule}\n    {where}" for rule, where in found.items())


def test_keyboards_reach_everything(dashboard, house):
    one = dashboard()
    page = one.log_in()
    page.reload()
    page.get_by_role("navigation", name="Pages").wait_for()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.get_by_role("link", name="People").focus()
    page.keyboard.press("Enter")
    page.get_by_role("tab", name="Users").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Roles")).to_be_focused()
    expect(page.get_by_role("tabpanel", name="Roles")).to_be_visible()
    page.get_by_role("link", name="Servers", exact=True).focus()
    page.keyboard.press("Enter")
    add = page.get_by_role("button", name="Add server")
    add.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_label("Name", exact=True)).to_be_focused()
    page.keyboard.press("Escape")
    expect(add).to_be_focused()


def test_the_first_paint_comes_at_once(dashboard, house, record_property):
    one = dashboard(viewport=DESKTOP)
    one.log_in()
    times = []
    for _ in range(5):
        one.page.reload()
        one.page.get_by_role("navigation", name="Pages").wait_for()
        times.append(one.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
    times.sort()
    record_property("figures", f"first contentful paint {times[2]:.0f} ms in the median of 5 ({times[0]:.0f} to {times[-1]:.0f})")
    # The aim is 300 ms on a machine that has time; here others may be at work.
    assert times[2] < 1500
