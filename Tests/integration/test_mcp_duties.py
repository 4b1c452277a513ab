"""What a gateway owes each side, row by row: the duties of a server in both eras and of a client.

Rows that a scenario of the conformance suite covers are in test_mcp_conformance.
"""
import json
import threading
import time

import httpx2
import pytest

from omni.servers import Puppet, stdio_entry
from omni.waiting import eventually
from omni.wire import BOTH, META, MODERN, Wire, events

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def behind(daemon, tmp_path):
    """A daemon before a puppet of one era: `behind("modern")`."""
    puppets = []

    def start(eras: str = "both", *options: str, configuration: dict | None = None, **omni2):
        puppet = Puppet(tmp_path, eras, *options)
        puppets.append(puppet)
        one = daemon(configuration, servers={"p": puppet.entry(**omni2)})
        one.has_loaded("p")
        return one, puppet

    yield start
    for puppet in puppets:
        puppet.kill()


def wire(one, era: str, **more) -> Wire:
    return Wire(one.url + "/mcp", era, one.headers, **more)


def content(answer) -> str:
    return answer.result["content"][0]["text"]


class Listening:
    """A stream that is read in the background: a session's GET, or `subscriptions/listen`."""

    def __init__(self, client: Wire, message: dict | None = None, **headers):
        self.events: list[dict] = []
        self.status = None
        self._ready = threading.Event()

        def read():
            sent = {**client.headers(message and message["method"]), **headers}
            call = ("POST", client.url) if message else ("GET", client.url)
            with httpx2.stream(*call, headers=sent, json=message, trust_env=False, timeout=60) as response:
                self.response, self.status = response, response.status_code
                self._ready.set()
                try:
                    for event in events(response.iter_lines()):
                        self.events.append(event)
                except (httpx2.TransportError, httpx2.StreamError):
                    pass  # closed by the test

        self.thread = threading.Thread(target=read, daemon=True)
        self.thread.start()
        assert self._ready.wait(10)

    @property
    def messages(self) -> list[dict]:
        return [json.loads(event["data"]) for event in self.events if event.get("data")]

    def heard(self, method: str) -> list[dict]:
        return [message for message in self.messages if message.get("method") == method]


# MARK: As a server

@pytest.mark.parametrize("era", ["handshake", "modern"])
class TestServer:
    def test_accept(self, behind, era):
        one, _ = behind()
        client = wire(one, era)
        assert client.request("tools/list", headers={"Accept": "text/html"}).status == 406
        assert client.request("tools/list", headers={"Accept": BOTH}).status == 200
        assert client.request("tools/list", headers={"Content-Type": "text/plain"}).status == 415
        if era == "modern":
            assert client.request("tools/list", headers={"Accept": "application/json"}).status == 406

    def test_version_header(self, behind, era):
        one, _ = behind()
        client = wire(one, era)
        assert client.request("tools/list", headers={"MCP-Protocol-Version": "bogus"}).status == 400
        absent = client.request("tools/list", headers={"MCP-Protocol-Version": None})
        assert absent.status == (200 if era == "handshake" else 400)

    def test_notifications_and_responses(self, behind, era):
        one, _ = behind()
        client = wire(one, era)
        for message in ({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 99}},
                        {"jsonrpc": "2.0", "method": "notifications/unknown"},
                        {"jsonrpc": "2.0", "id": 4711, "result": {}}):
            taken = client.post(message, client.headers(message.get("method")))
            assert taken.status == 202 and taken.text == ""

    def test_what_is_no_message(self, behind, era):
        one, _ = behind()
        client = wire(one, era)
        for body, code in [(b"{", -32700), (b"[]", -32600), (b"1", -32600), (b'{"id":1}', -32600),
                           (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600),
                           (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', -32600)]:
            refused = client.post(body, client.headers("ping"))
            assert refused.status == 400 and refused.error["code"] == code, body

    def test_progress(self, behind, era):
        """Under the client's token, nothing after the answer, and none for who did not ask."""
        one, _ = behind()
        client = wire(one, era)
        answer = client.call("p__late_progress", _meta={"progressToken": "ü 1"})
        progress = [said["params"] for said in answer.before if said["method"] == "notifications/progress"]
        assert [(one["progressToken"], one["progress"]) for one in progress] == [("ü 1", 1)]
        assert client.call("p__late_progress").before == []

    def test_disconnect(self, behind, era):
        """Ends the call in the stateless era, and does not in the other."""
        one, puppet = behind("handshake")
        client = wire(one, era)
        message = client.message("tools/call", {"name": "p__slow", "arguments": {"steps": 15},
                                                "_meta": {"progressToken": 1}})
        with httpx2.stream("POST", client.url, json=message, trust_env=False, timeout=20,
                           headers=client.headers("tools/call", message["params"])) as response:
            next(events(response.iter_lines()))
        if era == "modern":
            cancelled = eventually(lambda: puppet.seen("notifications/cancelled"), 5)
            mine = puppet.seen("tools/call", "slow")[0]["message"]["id"]
            assert cancelled[0]["message"]["params"]["requestId"] == mine != message["id"]
        else:
            eventually(lambda: not one.get("/health/live").is_error, 1)
            time.sleep(1.5)
            assert puppet.seen("notifications/cancelled") == []

    def test_disconnect_before_the_answer_begins(self, behind, era):
        one, puppet = behind("modern")
        client = wire(one, era)
        message = client.message("tools/call", {"name": "p__hang_head", "arguments": {}})
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(client.url, json=message, headers=client.headers("tools/call", message["params"]),
                        trust_env=False, timeout=1)
        left = [record for record in puppet.seen("tools/call", "hang_head") if record.get("left")]
        if era == "modern":
            eventually(lambda: [r for r in puppet.seen("tools/call", "hang_head") if r.get("left")], 5)
        else:
            assert not left

    def test_list_changed(self, behind, era):
        """Every session hears it on its GET stream, every listener who asked on its own."""
        one, puppet = behind()
        clients = [wire(one, era) for _ in range(3)]
        if era == "handshake":
            streams = [Listening(client) for client in clients]
        else:
            streams = [Listening(client, client.message("subscriptions/listen", {
                "notifications": {"toolsListChanged": True}})) for client in clients]
            assert all(eventually(lambda s=s: s.heard("notifications/subscriptions/acknowledged")) for s in streams)
        puppet.do("grow")
        for stream in streams:
            heard = eventually(lambda s=stream: s.heard("notifications/tools/list_changed"), 10)
            assert len(heard) == 1
        assert "p__grown" in {tool["name"] for tool in clients[0].request("tools/list").result["tools"]}
        assert content(clients[0].call("p__grown")) == "grown {}"

    def test_resource_updated(self, behind, era):
        """Under the URI the client used, whatever the server's own era."""
        for eras in ("handshake", "modern"):
            one, puppet = behind(eras)
            client = wire(one, era)
            if era == "handshake":
                stream = Listening(client)
                assert client.request("resources/subscribe", {"uri": "p+puppet://one"}).result == {}
            else:
                stream = Listening(client, client.message("subscriptions/listen", {
                    "notifications": {"resourceSubscriptions": ["p+puppet://one"]}}))
            eventually(lambda: puppet.seen("resources/subscribe" if eras == "handshake" else "subscriptions/listen"))
            if eras == "modern":
                eventually(lambda: any("resourceSubscriptions" in record["message"]["params"]["notifications"]
                                       for record in puppet.seen("subscriptions/listen")))

            def told():
                puppet.do("touch")
                return stream.heard("notifications/resources/updated")

            assert eventually(told, 10)[0]["params"]["uri"] == "p+puppet://one"
            if era == "handshake":
                client.request("resources/unsubscribe", {"uri": "p+puppet://one"})
                if eras == "handshake":
                    eventually(lambda: puppet.seen("resources/unsubscribe"))

    @pytest.mark.parametrize("eras", ["handshake", "modern"])
    def test_server_to_client_requests(self, behind, era, eras):
        """Elicitation in all four combinations of the two hops, two questions in one call."""
        one, _ = behind(eras)
        client = wire(one, era)
        mine = {"action": "accept", "content": {"name": "Ada"}}
        if era == "handshake":
            answer = client.call("p__ask_twice", answering=lambda said: {"result": mine})
            assert [said["method"] for said in answer.before].count("elicitation/create") == 2
        else:
            answer, params = client.call("p__ask_twice"), {}
            for _ in range(3):
                if answer.result["resultType"] == "complete":
                    break
                asked = answer.result["inputRequests"]
                assert all(one["method"] == "elicitation/create" for one in asked.values())
                answer = client.call("p__ask_twice", requestState=answer.result["requestState"],
                                     inputResponses={key: mine for key in asked})
        assert json.loads(content(answer))[:2] == [mine, mine]

    def test_a_client_that_cannot_be_asked(self, behind, era):
        """The server is told, and its tool goes on."""
        one, _ = behind("handshake")
        answer = wire(one, era, capabilities={}).call("p__ask")
        assert "does not support it" in content(answer)

    def test_a_client_that_refuses(self, behind, era):
        if era == "handshake":
            one, _ = behind("handshake")
            answer = wire(one, era).call("p__ask", answering=lambda said: {"error": {"code": -1, "message": "no"}})
            assert '"message": "no"' in content(answer)

    def test_urls_to_open_first(self, behind, era):
        one, _ = behind("handshake")
        answer = wire(one, era).call("p__url")
        if era == "handshake":
            assert answer.error["code"] == -32042 and answer.error["data"]["elicitations"]
        else:
            asked = answer.result["inputRequests"]["url1"]
            assert answer.result["resultType"] == "input_required" and asked["params"]["mode"] == "url"

    def test_pagination(self, daemon, tmp_path, era):
        """Opaque cursors over the merged list, stable order, bad ones refused."""
        one = daemon(servers={"s": stdio_entry()})
        one.has_loaded("s")
        client = wire(one, era)
        assert "nextCursor" not in client.request("tools/list").result
        refused = client.request("tools/list", {"cursor": "nonsense"})
        assert refused.error["code"] == -32602 and refused.status == (200 if era == "handshake" else 400)

    def test_what_is_unknown_in_a_result_passes(self, behind, era):
        one, _ = behind()
        result = wire(one, era).call("p__rich").result
        assert result["unknownMember"] == [None, {"a": 1}] and result["_meta"]["com.example/own"] == "kept"
        assert result["content"][1] == {"type": "resource_link", "uri": "puppet://one", "name": "one"}
        assert result["content"][2] == {"type": "hologram", "unknown": True}
        assert result["structuredContent"] == {"number": 1.5, "text": "ü\u2028"}
        if era == "modern":
            assert result["_meta"][META + "serverInfo"]["name"] == "omni2-native"

    def test_trace_context(self, behind, era):
        one, puppet = behind()
        trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=b"}
        wire(one, era).call("p__echo", {}, _meta=trace)
        assert puppet.seen("tools/call")[0]["message"]["params"]["_meta"].items() >= trace.items()

    def test_completion(self, behind, era):
        one, puppet = behind()
        result = wire(one, era).request("completion/complete", {
            "ref": {"type": "ref/resource", "uri": "p+puppet://item/{id}"},
            "argument": {"name": "id", "value": "1"}}).result
        assert json.loads(result["completion"]["values"][0])["uri"] == "puppet://item/{id}"

    def test_authentication(self, behind, era):
        """401 with a challenge; and never the caller's token upstream."""
        one, puppet = behind()
        client = wire(one, era)
        refused = client.request("tools/list", headers={"Authorization": None})
        assert refused.status == 401 and refused.headers["www-authenticate"].startswith("Bearer")
        client.call("p__echo")
        assert all(one.token not in json.dumps(record) for record in puppet.seen())

    def test_large_results(self, behind, era):
        """As JSON, never as one event: the SDK's client refuses events over 1 MiB."""
        one, _ = behind()
        answer = wire(one, era).call("p__big", {"bytes": 3 << 20})
        assert not answer.is_stream and len(content(answer)) == 3 << 20


class TestSession:
    def test_is_bound_to_its_credential(self, behind):
        one, _ = behind()
        client = wire(one, "handshake")
        assert client.request("tools/list", headers={"Authorization": "Bearer other"}).status == 401

    @pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
    def test_batch(self, behind, version):
        """2025-03-26 alone had them."""
        one, _ = behind()
        client = wire(one, "handshake", version=version)
        batch = [client.message("ping", None), {"jsonrpc": "2.0", "method": "notifications/x"},
                 client.message("tools/call", {"name": "p__echo", "arguments": {"text": "b"}})]
        answer = client.post(batch, client.headers())
        if version == "2025-03-26":
            assert {one["id"] for one in json.loads(answer.text)} == {batch[0]["id"], batch[2]["id"]}
        else:
            assert answer.status == 400 and answer.error["code"] == -32600

    def test_get(self, behind):
        """One stream at a time; a message goes to one stream only."""
        one, puppet = behind()
        client = wire(one, "handshake")
        stream = Listening(client)
        assert stream.status == 200
        assert client.http.get(client.url, headers=client.headers()).status_code == 409
        answer = client.call("p__flood", {"count": 3}, _meta={"progressToken": 1})
        assert len([said for said in answer.before if said["method"] == "notifications/progress"]) == 3
        assert not stream.heard("notifications/progress") and not stream.heard("notifications/message")

    def test_resumption(self, behind):
        """After a loss the GET stream goes on where it was."""
        one, puppet = behind()
        client = wire(one, "handshake")
        stream = Listening(client)
        puppet.do("grow")
        first = eventually(lambda: [event for event in stream.events if event.get("data")], 10)[0]
        stream.response.close()

        def lost():
            again = Listening(client, **{"Last-Event-ID": first["id"]})
            return again if again.status == 200 else None

        eventually(lambda: puppet.do("shrink") or True)
        again = eventually(lost, 10)
        heard = eventually(lambda: again.heard("notifications/tools/list_changed"), 10)
        assert heard
        bad = client.http.get(client.url, headers={**client.headers(), "Last-Event-ID": "9-9"})
        assert bad.status_code == 400

    def test_cancellation(self, behind):
        """`notifications/cancelled` reaches the server under the server's own request id."""
        one, puppet = behind("handshake")
        client = wire(one, "handshake")

        def cancel(said):
            client.notify("notifications/cancelled", {"requestId": client.last_id, "reason": "enough"})

        client.call("p__slow", {"steps": 30}, _meta={"progressToken": 1}, during=cancel)
        cancelled = eventually(lambda: puppet.seen("notifications/cancelled"), 5)[0]["message"]["params"]
        assert cancelled["requestId"] == puppet.seen("tools/call")[0]["message"]["id"]

    def test_logging(self, behind):
        """The server is asked for the detail wanted most; each session gets what it wants."""
        one, puppet = behind("handshake")
        quiet, loud = wire(one, "handshake"), wire(one, "handshake")
        assert quiet.request("logging/setLevel", {"level": "error"}).result == {}
        assert loud.request("logging/setLevel", {"level": "debug"}).result == {}
        eventually(lambda: [r["message"]["params"]["level"] for r in puppet.seen("logging/setLevel")]
                   == ["error", "debug"], 5)
        assert [said for said in quiet.call("p__flood", {"count": 2}).before] == []
        assert len(loud.call("p__flood", {"count": 2}).before) == 2


# MARK: As a client of an upstream

class TestClient:
    @pytest.mark.parametrize("eras, spoken", [("handshake", "initialize"), ("modern", "server/discover"),
                                              ("both", "server/discover")])
    def test_the_era_is_found_and_remembered(self, behind, eras, spoken):
        one, puppet = behind(eras)
        first = [record["rpc"] for record in puppet.seen()]
        assert first[0] == "server/discover" and ("initialize" in first) == (spoken == "initialize")
        puppet.do("clear")
        one.post("/api/v1/mcp/tools/reload")
        client = wire(one, "modern")
        client.call("p__echo")
        again = [record["rpc"] for record in puppet.seen()]
        assert again.count("tools/call") == 1 and len({"initialize", "server/discover"} & set(again)) <= 1

    @pytest.mark.parametrize("era, never", [("handshake", "server/discover"), ("modern", "initialize")])
    def test_the_era_can_be_pinned(self, behind, era, never):
        _, puppet = behind("both", era=era)
        assert not puppet.seen(never)

    def test_exactly_one_request_per_call(self, behind):
        one, puppet = behind("both", configuration={"Coordinator": {"IntervalSec": "1h"}})
        client = wire(one, "modern")
        puppet.do("clear")
        for number in range(10):
            client.call("p__echo", {"text": str(number)})
        assert [record["rpc"] for record in puppet.seen()] == ["tools/call"] * 10

    def test_progress_tokens_are_ours(self, behind):
        one, puppet = behind("handshake")
        client = wire(one, "modern")
        for _ in range(2):
            client.call("p__flood", {"count": 1}, _meta={"progressToken": "same"})
        tokens = [record["message"]["params"]["_meta"]["progressToken"] for record in puppet.seen("tools/call")]
        assert len(set(tokens)) == 2 and "same" not in tokens

    def test_a_forgotten_session_is_renewed_and_the_call_repeated(self, behind):
        one, puppet = behind("handshake")
        client = wire(one, "modern")
        puppet.do("forget")
        assert content(client.call("p__echo", {"text": "x"})) == "echo x"
        assert len(puppet.seen("initialize")) == 2

    def test_a_closed_stream_cancels_in_the_stateless_era(self, behind):
        one, puppet = behind("modern")
        client = wire(one, "handshake")
        client.call("p__slow", {"steps": 30}, _meta={"progressToken": 1}, during=lambda said: client.notify(
            "notifications/cancelled", {"requestId": client.last_id}))
        eventually(lambda: puppet.seen("tools/call", "slow")[0].get("left"), 5)
        assert not puppet.seen("notifications/cancelled")

    def test_tasks_find_their_server(self, behind):
        one, puppet = behind("modern")
        client = wire(one, "modern", capabilities={"extensions": {"io.modelcontextprotocol/tasks": {}}})
        assert client.request("tasks/get", {"taskId": "task-1"}).error["code"] == -32602
        made = client.call("p__task").result
        assert made["resultType"] == "task" and made["taskId"] == "task-1"
        sent = puppet.seen("tools/call")[0]["message"]["params"]["_meta"]
        assert sent[META + "clientCapabilities"] == client.capabilities, "the client's own words"
        assert client.request("tasks/get", {"taskId": "task-1"}).result["status"] == "working"
        assert puppet.seen("tasks/get")[0]["headers"]["mcp-name"] == "task-1"

    def test_principals_may_have_sessions_of_their_own(self, behind):
        one, puppet = behind("handshake", session="principal")
        wire(one, "modern").call("p__echo", {})
        opened = {record["headers"].get("mcp-session-id") for record in puppet.seen("tools/call")}
        listed = puppet.seen("tools/list")[0]["headers"]["mcp-session-id"]
        assert opened and listed not in opened

    def test_rest_says_what_it_cannot_carry(self, behind):
        one, _ = behind("modern")
        refused = one.call("p", "ask")
        assert refused.status_code == 502 and "/mcp" in refused.json()["error"]
        assert "resultType" not in one.call("p", "echo", {"text": "x"}).text

    def test_delete_at_the_end(self, behind):
        one, puppet = behind("handshake")
        one.stop()
        assert [record for record in puppet.seen() if record["http"] == "DELETE"]
