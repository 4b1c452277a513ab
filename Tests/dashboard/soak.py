"""See `soak`. Ends with status 1 when the page's memory grows beyond its history, or it falls behind."""
import json
import sys
import tempfile
import threading
import time
from pathlib import Path

from playwright.sync_api import sync_playwright
from websockets.sync.client import connect

import conftest
from conftest import Dashboard, House

HISTORY = 5000
# A heap breathes between two collections; what grows is seen through them.
GROWTH_BYTES_MAX = 6 << 20


def publish(house: House, rate: int, end: float, sent: list[int]) -> None:
    """A steady flow: every twentieth of a second its share."""
    began, answered = time.monotonic(), 0
    with connect(f"ws://127.0.0.1:{house.daemon.port}/ws", additional_headers=house.daemon.headers, proxy=None) as socket:
        while time.monotonic() < end:
            due = int((time.monotonic() - began) * rate)
            while sent[0] < due:
                sent[0] += 1
                socket.send(json.dumps({"action": "publish", "type": "soak", "data": {"n": sent[0], "mcp_name": "counting", "note": "x" * 80}}))
            while answered < sent[0]:
                answered += json.loads(socket.recv(timeout=20)).get("type") == "published"
            time.sleep(0.05)


def main() -> int:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    rate = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    problems = []
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        house = House(Path(directory))
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--js-flags=--expose-gc"])
        one = Dashboard(browser, house.daemon, viewport={"width": 1280, "height": 800})
        one.expected.append(conftest.FIRST_LOOK)
        page = one.log_in(place="#/live")
        one.is_live()
        page.get_by_label("Another event type").fill("soak")
        page.get_by_role("button", name="Follow").click()
        client = one.context.new_cdp_session(page)
        client.send("Performance.enable")

        def measure() -> dict:
            page.evaluate("gc()")
            found = {item["name"]: item["value"] for item in client.send("Performance.getMetrics")["metrics"]}
            found["kept"] = page.evaluate("document.getElementById('main').liveHistory.length")
            found["seen"] = page.evaluate("async () => (await import('./web/parts/live.js')).live.received")
            return found

        end = time.monotonic() + minutes * 60
        sent = [0]
        thread = threading.Thread(target=publish, args=(house, rate, end, sent))
        thread.start()
        filled, last, worst = None, None, 0.0
        page.evaluate("""() => { window.longest = 0; let last = performance.now();
            const step = now => { window.longest = Math.max(window.longest, now - last); last = now; requestAnimationFrame(step); };
            requestAnimationFrame(step); }""")
        while time.monotonic() < end:
            page.wait_for_timeout(min(15_000, minutes * 6_000))
            last = measure()
            if filled is None and last["kept"] >= HISTORY:
                filled = last
            worst = max(worst, page.evaluate("(() => { const value = window.longest; window.longest = 0; return value; })()"))
            print(f"{minutes * 60 - (end - time.monotonic()):4.0f} s: {last['seen']:7.0f} events seen, {last['kept']:.0f} kept, "
                  f"heap {last['JSHeapUsedSize'] / 1e6:.1f} MB, {last['Nodes']:.0f} nodes, {last['JSEventListeners']:.0f} listeners", flush=True)
        thread.join()
        page.wait_for_timeout(2000)
        last = measure()
        if filled is None:
            problems.append("the history never filled: run longer")
        else:
            grown = last["JSHeapUsedSize"] - filled["JSHeapUsedSize"]
            print(f"after {minutes:g} min at {rate}/s: {sent[0]} published, {last['seen']:.0f} seen, heap {filled['JSHeapUsedSize'] / 1e6:.1f} MB when the "
                  f"history was full, {last['JSHeapUsedSize'] / 1e6:.1f} MB at the end, {last['Nodes'] - filled['Nodes']:+.0f} nodes, longest frame {worst:.0f} ms")
            if grown > GROWTH_BYTES_MAX:
                problems.append(f"the heap grew by {grown / 1e6:.1f} MB beyond a full history")
            if last["Nodes"] > filled["Nodes"] * 1.5 + 500:
                problems.append("the document grew")
        numbers = page.evaluate("""() => { const kept = document.getElementById('main').liveHistory, found = [];
            for (let place = kept.start; place < kept.end; place += 1) if (kept.at(place).type === 'soak') found.push(kept.at(place).event.data.n);
            return found; }""")
        if numbers != list(range(sent[0] - len(numbers) + 1, sent[0] + 1)) or last["seen"] < sent[0]:
            problems.append("events are missing, doubled or out of order")
        problems += [text for text in one.problems if conftest.FIRST_LOOK not in text and "401" not in text]
        browser.close()
        house.end()
    for problem in problems:
        print("soak:", problem)
    print(f"{0 if problems else 1} passed, {1 if problems else 0} failed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
