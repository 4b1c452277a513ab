"""omni2ctl flows: who is monitored, what requests did, live and afterwards."""
import re

import pytest

from omni.control import rows, run
from omni.people import People
from omni.waiting import eventually

GATES = ["auth_check", "block_check", "usage_check", "mcp_permission_check", "tool_filter"]
CALL = ["cache_lookup", "circuit_check", "tool_call"]


def session(ctl, user: str = "operator") -> str:
    found = eventually(lambda: ctl.json("flows", "list", user)["sessions"])
    return found[0]["session_id"]


class TestMonitoring:
    def test_begins_is_listed_and_stops(self, raw):
        ann = People(raw.one).user("ann", "developer", email="ann@example.org")
        assert "Nobody is monitored" in raw.ok("flows", "monitor")
        assert "shown live for 2 h" in raw.ok("flows", "monitor", "ann", "--hours", "2")
        assert rows(raw.ok("flows", "monitor"))["ann"][:3] == ["ann", str(ann.id), "1"]
        listed, = raw.json("flows", "monitor")["monitored_users"]
        assert listed["user_id"] == ann.id and listed["username"] == "ann"
        assert 7100 < listed["remaining_seconds"] <= 7200
        assert "not shown live any more" in raw.ok("flows", "monitor", "ann@example.org", "--stop")
        assert raw.json("flows", "monitor") == {"monitored_users": []}
        assert raw.json("flows", "monitor", "operator")["user_ids"] == [0]

    @pytest.mark.parametrize("words, meant, status", [
        (["monitor", "nobody"], "no user named nobody", 1),
        (["monitor", "--hours", "2"], "--hours needs a USER", 64),
        (["monitor", "operator", "--hours", "long"], "--hours is a number", 64),
        (["monitor", "operator", "--hours", "1000000"], "a year at most", 1),
        (["watch", "operator"], "omni2ctl flows monitor operator", 1),
        (["watch"], "USER is missing", 64),
        (["list", "operator", "--limit", "0"], "limit", 1),
        (["list", "operator", "--checkpoint", "lunch"], "checkpoint must be one of auth_check", 1),
        (["list", "operator", "--since", "soon"], "--since is a time", 64),
        (["show", "1"], "named by its UUID", 1),
        (["show", "00000000-0000-4000-8000-000000000000"], "no flow of this session", 1),
    ])
    def test_mistakes(self, control, words, meant, status):
        assert meant in control().refused("flows", *words, status=status)


class TestHistory:
    def test_list_and_show(self, raw):
        assert "Nothing is recorded of operator" in raw.ok("flows", "list", "operator")
        raw.ok("tools", "call", "raw", "echo", '{"text": "x"}')
        name = session(raw)
        line = rows(raw.ok("flows", "list", "operator"))[name]
        assert line[3:7] == ["rest", "raw", "echo", "ok"] and line[-1] == "ms"
        shown = raw.ok("flows", "show", name)
        assert [kind for kind in re.findall(r"● (\w+)", shown)] == GATES + CALL
        assert "   └─ ● block_check" not in shown and "└─ ● block_check" in shown
        assert re.search(r"└─ ● tool_call  [\d.]+ ms  mcp raw, tool echo", shown)
        value = raw.json("flows", "show", name)
        assert value["session_id"] == name and value["tree"][0]["event_type"] == "auth_check"

    def test_filters(self, raw):
        raw.ok("tools", "call", "raw", "echo", '{"text": "x"}')
        session(raw)
        def count(*words):
            return len(raw.json("flows", "list", "operator", *words)["sessions"])
        assert count("--source", "rest") == 1 and count("--source", "mcp_gateway") == 0
        assert count("--checkpoint", "tool_call") == 1 and count("--checkpoint", "llm_thinking") == 0
        assert count("--since", "2020-01-01") == 1 and count("--since", "2999-01-01 00:00:00") == 0

    def test_a_failure_is_marked(self, control, counting):
        ctl = control(servers={"counting": counting.entry()})
        ctl.one.has_loaded("counting")
        ctl("tools", "call", "counting", "fail", '{"message": "no luck"}')
        name = session(ctl)
        assert "tool_error" in ctl.ok("flows", "list", "operator")
        assert re.search(r"✗ tool_call .*tool_error", ctl.ok("flows", "show", name))


class TestLive:
    def test_the_tree_grows(self, raw):
        raw.ok("flows", "monitor", "operator")
        with raw.going("flows", "watch", "operator") as watching:
            eventually(lambda: raw.one.get("/api/v1/events/websocket/debug").json()["event_streams"] == 1)
            raw.ok("tools", "call", "raw", "echo", '{"text": "x"}')
            watching.until(r"^ +● tool_call  ")
            text = watching.texts["out"].decode()
            assert re.match(r"[0-9a-f-]{36}  rest\n  ● auth_check\n    ● block_check\n", text)
            depths = [len(line) - len(line.lstrip()) for line in text.splitlines()[1:]]
            assert depths == [2, 4, 6, 8, 10, 12, 12, 12]
            assert watching.end() == 0

    def test_json_and_count(self, raw):
        raw.ok("flows", "monitor", "operator")
        with raw.going("flows", "watch", "operator", "--json", "--count", "8") as watching:
            eventually(lambda: raw.one.get("/api/v1/events/websocket/debug").json()["event_streams"] == 1)
            raw.ok("tools", "call", "raw", "echo", '{"text": "x"}')
            assert watching.process.wait(20) == 0
            watching.until("tool_call")
            assert [event["event_type"] for event in watching.events()] == GATES + CALL

    @pytest.mark.parametrize("topic", ["flow:0", "FLOW:0"])
    def test_others_do_not_see_them_under_any_name(self, raw, topic):
        """The way `flows watch` goes is held to the same right as the WebSocket's."""
        ann = People(raw.one).user("ann", "viewer")
        for path in ("events/stream", None):
            where = f"/api/v1/{path}" if path else "/ws"
            answer = raw.one.get(f"{where}?event_types={topic}", token=ann.token)
            assert answer.status_code == 403 and "not yours" in answer.text
        assert run("flows", "watch", "operator", "--host", raw.one.url, OMNI2_TOKEN=ann.token).returncode == 77
