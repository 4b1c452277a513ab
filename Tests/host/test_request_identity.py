"""One request id, followed from the client's header to everything that its request touched."""
import json
from pathlib import Path

SERVERS = Path(__file__).resolve().parents[1] / "servers"
SERVER, MODEL = "http://127.0.0.1:9101", "http://127.0.0.1:9102"
REQUEST = "from-the-client-7"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
DATABASE = "/var/lib/omni2/omni2.db"


def prepare(host):
    """A server that records what it is sent, a model that calls its tools, a person who may ask."""
    for name in ("puppet.py", "model_server.py"):
        host.write(f"/opt/{name}", (SERVERS / name).read_text())
    host.run("systemd-run --quiet python3 /opt/puppet.py 9101 handshake; "
             "systemd-run --quiet python3 /opt/model_server.py 9102")
    host.write("/etc/omni2/omni2.conf.d/test.conf",
               f"[Chat]\nProvider=openai\nModel=scripted\nURL={MODEL}\nPrices=scripted=3/15/0.3\n")
    host.run(f"omni2ctl mcp add puppet --url {SERVER}/mcp")
    host.wait_for(lambda: host.run("omni2ctl mcp check puppet", check=False).returncode == 0, 30, "no server")
    host.run("omni2ctl role set analyst --servers puppet --services chat,mcp; omni2ctl user add ann --role analyst")
    host.run("omni2ctl flows monitor ann")
    turns = [{"calls": [{"name": "puppet__echo", "arguments": {}}, {"name": "puppet__cut", "arguments": {}}]},
             {"text": ["Done."]}]
    host.run(f"curl -sf -d '{json.dumps(turns)}' {MODEL}/control/script")
    return host.out("omni2ctl token create ann")


def rows(host, query):
    return json.loads(host.out(f"sqlite3 -json {DATABASE} \"{query}\"") or "[]")


def test_one_id_from_the_client_to_all_that_it_touched(installed_with_tools):
    host = installed_with_tools
    token = prepare(host)
    head = host.out(
        f"curl -sS -D - -H 'Authorization: Bearer {token}' -H 'X-Request-ID: {REQUEST}' "
        f"-H 'traceparent: 00-{TRACE}-00f067aa0ba902b7-01' -H 'Content-Type: application/json' "
        "-d '{\"message\": \"What is there?\"}' http://127.0.0.1:8090/api/v1/chat/ask")
    # The response,
    assert f"x-request-id: {REQUEST}" in head.lower() and "Done." in head
    # the upstream server, for each of the calls,
    seen = json.loads(host.out(f"curl -sf {SERVER}/control/seen"))
    calls = [x for x in seen if x["rpc"] == "tools/call"]
    assert {x["message"]["params"]["name"] for x in calls} == {"echo", "cut"}
    assert {x["headers"]["x-request-id"] for x in calls} == {REQUEST}
    assert all(TRACE in x["headers"]["traceparent"] for x in calls)
    # the model's service is another's: it learns nothing of it,
    asked = json.loads(host.out(f"curl -sf {MODEL}/control/requests"))
    assert REQUEST not in json.dumps(asked)
    # the journal,
    records = host.journal(f"REQUEST_ID={REQUEST}", "_SYSTEMD_UNIT=omni2-native.service")
    assert records and {x["TRACE_ID"] for x in records} == {TRACE}
    assert any(x.get("TOOL") == "cut" and x["MCP"] == "puppet" for x in records), records
    # the flow and the audit row.
    host.wait_for(lambda: rows(host, "SELECT 1 FROM interaction_flows"), 10, "no flow")
    [flow] = rows(host, "SELECT session_id, flow_data FROM interaction_flows")
    assert json.loads(flow["flow_data"])["request_id"] == REQUEST
    [audit] = rows(host, f"SELECT session_id, question FROM audit_logs WHERE request_id = '{REQUEST}'")
    assert audit == {"session_id": flow["session_id"], "question": "What is there?"}


def test_a_refused_request_is_in_the_audit_trail_with_its_id(installed_with_tools):
    host = installed_with_tools
    answer = host.out(f"curl -sS -D - -H 'X-Request-ID: {REQUEST}' -H 'Authorization: Bearer omni2_mcp_guessed' "
                      "http://127.0.0.1:8090/api/v1/mcp/servers")
    assert " 401 " in answer.splitlines()[0] and f"x-request-id: {REQUEST}" in answer.lower()
    assert host.journal(f"REQUEST_ID={REQUEST}")
    host.wait_for(lambda: rows(host, f"SELECT 1 FROM auth_audit WHERE request_id = '{REQUEST}'"), 10, "no row")
