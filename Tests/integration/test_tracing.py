"""Traces, request identity and export: followed from the client through the gateway to servers and back."""
import re

import pytest

from omni.collector import Collector, attributes_of
from omni.daemon import IMPATIENT, merged
from omni.processes import ROOT
from omni.servers import stdio_entry
from omni.waiting import eventually

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
UNSAMPLED = f"00-{TRACE}-00f067aa0ba902b7-00"


@pytest.fixture
def collector():
    with Collector().running() as one:
        yield one
    for span in one.spans("omni2-native"):
        assert_is_documented(span)


def documented_spans() -> list[tuple[re.Pattern, str, set[str]]]:
    """The table of docs/telemetry.md: name, kind and attributes; a word in capitals stands for any."""
    found = []
    table = (ROOT / "docs/telemetry.md").read_text().split("| Span | Kind |", 1)[1].split("\n\n", 1)[0]
    for line in table.splitlines()[2:]:
        names, kind, _, attributes = (cell.strip() for cell in line.strip("|").split("|"))
        for name in re.findall(r"`([^`]+)`", names):
            words = [".+" if word.isupper() and word != "INSERT" else re.escape(word) for word in name.split()]
            found.append((re.compile(" ".join(words)), kind, set(re.findall(r"`([^`]+)`", attributes))))
    return found


def assert_is_documented(span) -> None:
    kind = {1: "internal", 2: "server", 3: "client"}[span.kind]
    name = re.sub(r"^(GET|POST|PUT|DELETE) .*", "POST /mcp", span.name) if kind == "server" else span.name
    if kind == "client" and name.isupper():
        name = "INSERT"
    rows = [row for row in documented_spans() if row[1] == kind and row[0].fullmatch(name)]
    assert rows, f"{kind} span {span.name} is not in docs/telemetry.md"
    undescribed = set(attributes_of(span)) - set.union({"error.type"}, *(row[2] for row in rows))
    assert not undescribed, f"{span.name}: {undescribed} are not in docs/telemetry.md"


def exporting(collector, **more) -> dict:
    return merged({"Telemetry": {"OTLPEndpoint": collector.url, "ExportSec": "200ms", **more}})


def spans_of(collector, trace: str = TRACE) -> list:
    return [span for span in collector.spans() if span.trace_id.hex() == trace]


def named(spans, name: str):
    found = [span for span in spans if span.name == name]
    assert len(found) == 1, f"{name}: {[span.name for span in spans]}"
    return found[0]


def rpc(one, tool: str, arguments: dict, **headers) -> dict:
    """A tool call over /mcp with headers of its own, on a session of its own."""
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize",
             "params": {"protocolVersion": "2025-11-25", "capabilities": {},
                        "clientInfo": {"name": "test", "version": "1"}}}
    accept = {"Accept": "application/json, text/event-stream"}
    session = one.post("/mcp", json=hello, headers=accept).headers["Mcp-Session-Id"]
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    answer = one.post("/mcp", json=call, headers={**accept, "Mcp-Session-Id": session, **headers})
    return answer


async def test_one_trace_spans_client_gateway_and_server(daemon, counting, collector):
    one = daemon(exporting(collector), servers={"counting": counting.entry(cache_policy="read_only", ttl=60)})
    one.has_loaded("counting")
    counting.reset()
    answer = rpc(one, "counting__count", {"key": "k"}, traceparent=PARENT, tracestate="a=1,b=2", baggage="user=7")
    assert answer.status_code == 200 and "result" in answer.json(), answer.text
    eventually(lambda: any(span.name == "POST /mcp" for span in spans_of(collector)), 10, "spans exported")
    spans = spans_of(collector)
    http, call = named(spans, "POST /mcp"), named(spans, "tools/call counting__count")
    upstream = named(spans, "tools/call count")
    assert http.parent_span_id.hex() == "00f067aa0ba902b7"
    assert call.parent_span_id == http.span_id
    for step in ("cache lookup", "circuit check"):
        assert named(spans, step).parent_span_id == call.span_id
    assert upstream.parent_span_id == call.span_id
    assert (http.kind, call.kind, upstream.kind) == (2, 2, 3)
    assert http.trace_state == "a=1,b=2"
    told = attributes_of(http)
    assert told["http.request.method"] == "POST" and told["http.route"] == "/mcp"
    assert told["http.response.status_code"] == 200
    assert attributes_of(call)["gen_ai.tool.name"] == "counting__count"
    assert attributes_of(call)["mcp.method.name"] == "tools/call"
    for span in spans:
        assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.status.code == 0
    # The server was told to go on below our request to it, in headers and in _meta.
    [seen] = counting.requests("tools/call")
    wanted = f"00-{TRACE}-{upstream.span_id.hex()}-01"
    assert seen["headers"]["traceparent"] == wanted
    assert seen["headers"]["tracestate"] == "a=1,b=2" and seen["headers"]["baggage"] == "user=7"
    assert seen["meta"]["traceparent"] == wanted
    assert seen["headers"]["x-request-id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_one_trace_spans_client_gateway_model_server_and_database(
        daemon, http_server, collector, model, engine, request):
    """A question. The server is traced by its own SDK, and continues what we hand it."""
    server = http_server("counting", "--traces", collector.url)
    more = {"Database": {"URL": request.getfixturevalue("postgres").url}} if engine == "postgresql" else {}
    one = daemon(merged(exporting(collector), model.configuration("openai"), more), servers={"counting": server.entry()})
    one.has_loaded("counting")
    model.script({"calls": [{"name": "counting__count", "arguments": {"key": "k"}}],
                  "usage": {"input": 100, "output": 20, "cached": 50}}, {"text": ["Done."]})
    answer = one.post("/api/v1/chat/ask", json={"message": "How many?"}, headers={"traceparent": PARENT})
    assert answer.status_code == 200, answer.text
    # The rows of flow and audit trail are written behind the request's back.
    eventually(lambda: [span.name for span in spans_of(collector)].count("INSERT") == 2, 10, "the last span")
    spans = spans_of(collector)
    http, question = named(spans, "POST /api/v1/chat/ask"), named(spans, "invoke_agent omni2-native")
    assert http.parent_span_id.hex() == "00f067aa0ba902b7" and question.parent_span_id == http.span_id
    rounds = sorted((span for span in spans if span.name == "chat scripted-1"), key=lambda x: x.start_time_unix_nano)
    call = named(spans, "tools/call counting__count")
    for step in (*rounds, call):
        assert step.parent_span_id == question.span_id
    assert rounds[0].end_time_unix_nano <= call.start_time_unix_nano < call.end_time_unix_nano \
        <= rounds[1].start_time_unix_nano
    told = attributes_of(rounds[0])
    assert (told["gen_ai.operation.name"], told["gen_ai.provider.name"], told["gen_ai.request.model"]) == (
        "chat", "openai", "scripted-1")
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.cache_read.input_tokens"],
            told["gen_ai.usage.output_tokens"]) == (150, 50, 20)
    [upstream] = [span for span in spans if span.parent_span_id == call.span_id and span.kind == 3]
    [theirs] = [span for span in spans if span.parent_span_id == upstream.span_id]
    assert theirs.name == upstream.name == "tools/call count" and theirs.kind == 2
    assert attributes_of(theirs)["fastmcp.server.name"] == "counting"
    written = [span for span in spans if span.name == "INSERT"]
    assert {span.parent_span_id for span in written} == {question.span_id}
    assert {attributes_of(span)["db.system.name"] for span in written} == {engine}


def test_a_model_that_fails_is_an_error_in_the_trace(daemon, collector, model):
    one = daemon(merged(exporting(collector), model.configuration("anthropic")))
    model.script({"status": 401})
    one.post("/api/v1/chat/ask", json={"message": "?"}, headers={"traceparent": PARENT})
    eventually(lambda: any(span.name == "POST /api/v1/chat/ask" for span in spans_of(collector)), 10, "spans")
    for name in ("chat scripted-1", "invoke_agent omni2-native"):
        failed = named(spans_of(collector), name)
        assert failed.status.code == 2 and attributes_of(failed)["error.type"] == "401"
        assert attributes_of(failed)["gen_ai.provider.name"] == "anthropic"


async def test_statements_are_part_of_the_trace(daemon, counting, collector):
    one = daemon(exporting(collector))
    answer = one.post("/api/v1/mcp/servers", json={"name": "counting", "url": counting.url, "protocol": "http"},
                      headers={"traceparent": PARENT})
    assert answer.status_code < 300, answer.text
    eventually(lambda: any(span.name == "POST /api/v1/mcp/servers" for span in spans_of(collector)), 10, "spans")
    spans = spans_of(collector)
    http = named(spans, "POST /api/v1/mcp/servers")
    insert = named(spans, "INSERT")
    assert insert.parent_span_id == http.span_id and insert.kind == 3
    told = attributes_of(insert)
    assert told["db.system.name"] == "sqlite" and told["db.query.text"].startswith("INSERT")
    assert counting.url not in told["db.query.text"]


async def test_an_error_is_an_error_in_the_trace(daemon, counting, collector):
    one = daemon(exporting(collector), servers={"counting": counting.entry()})
    one.has_loaded("counting")
    counting.mode("error")
    answer = rpc(one, "counting__count", {}, traceparent=PARENT)
    assert "error" in answer.json()
    eventually(lambda: any(span.name == "POST /mcp" for span in spans_of(collector)), 10, "spans")
    upstream = named(spans_of(collector), "tools/call count")
    assert upstream.status.code == 2 and attributes_of(upstream)["error.type"] == "transport"
    assert named(spans_of(collector), "tools/call counting__count").status.code == 2


async def test_a_caller_that_does_not_record_is_not_recorded(daemon, counting, collector):
    one = daemon(exporting(collector), servers={"counting": counting.entry()})
    one.has_loaded("counting")
    counting.reset()
    rpc(one, "counting__count", {}, traceparent=UNSAMPLED)
    rpc(one, "counting__count", {}, traceparent=PARENT.replace(TRACE, "1" * 32))
    eventually(lambda: spans_of(collector, "1" * 32), 10, "the recorded trace")
    assert not spans_of(collector)
    seen = counting.requests("tools/call")[0]
    assert seen["headers"]["traceparent"] == UNSAMPLED


async def test_without_a_collector_the_context_passes_through(daemon, counting):
    one = daemon(servers={"counting": counting.entry()})
    one.has_loaded("counting")
    counting.reset()
    rpc(one, "counting__count", {}, traceparent=PARENT)
    rpc(one, "counting__count", {})
    first, second = counting.requests("tools/call")
    assert first["headers"]["traceparent"] == PARENT and first["meta"]["traceparent"] == PARENT
    assert "traceparent" not in second["headers"]


@pytest.mark.parametrize("wrong", ["", "00-0-0-01", f"ff-{TRACE}-00f067aa0ba902b7-01",
                                   f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
                                   PARENT + "-more"])
async def test_a_wrong_traceparent_is_ignored(daemon, counting, wrong):
    one = daemon(servers={"counting": counting.entry()})
    one.has_loaded("counting")
    counting.reset()
    assert "result" in rpc(one, "counting__count", {}, traceparent=wrong).json()
    [seen] = counting.requests("tools/call")
    assert "traceparent" not in seen["headers"]


async def test_one_request_id_from_the_client_to_the_server_and_the_journal(daemon, counting, collector):
    one = daemon(exporting(collector), servers={"counting": counting.entry()})
    one.has_loaded("counting")
    counting.reset()
    counting.mode("error")
    answer = rpc(one, "counting__count", {}, **{"X-Request-ID": "from-the-client-1", "traceparent": PARENT})
    assert answer.headers["X-Request-ID"] == "from-the-client-1"
    [seen] = counting.requests("tools/call")
    assert seen["headers"]["x-request-id"] == "from-the-client-1"
    line = one.logged(r"tools/call failed.*request_id=from-the-client-1")
    assert f"trace_id={TRACE}" in line and re.search(r"span_id=[0-9a-f]{16}", line)
    eventually(lambda: any(attributes_of(record).get("request_id") == "from-the-client-1"
                           for record in collector.logs()), 10, "the record exported")
    record = next(record for record in collector.logs()
                  if attributes_of(record).get("request_id") == "from-the-client-1")
    assert record.trace_id.hex() == TRACE and record.severity_text == "warning"


@pytest.mark.parametrize("bad", ["a b", "x" * 129, "ä", 'a"b', "a\tb"])
def test_an_id_that_is_not_well_formed_is_replaced(daemon, bad):
    one = daemon()
    answer = one.get("/health/live", headers={"X-Request-ID": bad.encode()})
    assert answer.headers["X-Request-ID"].startswith("req-")


async def test_metrics_are_exported(daemon, counting, collector):
    one = daemon(exporting(collector), servers={"counting": counting.entry()},
                 environment={"OTEL_METRIC_EXPORT_INTERVAL": "300", "OTEL_SERVICE_NAME": "gateway-7",
                              "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test,team=a%20b"})
    one.has_loaded("counting")
    rpc(one, "counting__count", {})
    eventually(lambda: "omni2_mcp_tool_execution_duration_seconds" in collector.metrics()
               and collector.metrics()["omni2_mcp_tool_execution_duration_seconds"].histogram.data_points, 10,
               "metrics exported")
    metric = collector.metrics()["omni2_mcp_tool_execution_duration_seconds"]
    [point] = metric.histogram.data_points
    assert point.count == 1 and sum(point.bucket_counts) == 1 and metric.unit == "s"
    assert attributes_of(point) == {"tool_name": "counting__count"}
    total = collector.metrics()["omni2_http_requests"]
    assert total.sum.is_monotonic and total.sum.aggregation_temporality == 2
    resource = attributes_of(collector.received("/v1/metrics")[-1].resource_metrics[0].resource)
    assert resource["service.name"] == "gateway-7" and resource["team"] == "a b"
    assert resource["deployment.environment.name"] == "test"


async def test_a_collector_that_is_away_costs_no_request(daemon, counting, collector):
    one = daemon(exporting(collector), servers={"counting": counting.entry()},
                 environment={"OTEL_BSP_MAX_QUEUE_SIZE": "512"})
    one.has_loaded("counting")
    collector.statuses = [503] * 10_000
    for _ in range(400):
        assert one.call("counting", "count").status_code == 200
    one.logged("the collector does not take our telemetry, retrying")
    assert one.output().count("the collector does not take our telemetry") <= 3
    dropped = re.search(r'omni2_telemetry_dropped_total\{signal="traces"\} (\d+)', one.get("/metrics").text)
    assert int(dropped[1]) > 0
    collector.statuses = []

    def traced() -> bool:
        # What comes while the queue is full is lost; afterwards it is not.
        one.call("counting", "count", headers={"traceparent": PARENT})
        return bool(spans_of(collector))

    eventually(traced, 60, "spans again")
    one.logged("the collector answers again", 40)


async def test_a_server_that_is_down_is_answered_for_when_reading(daemon, counting):
    settings = merged(IMPATIENT, {"Cache": {"StaleSec": "10min"}, "CircuitBreaker": {"TimeoutSec": "10min"}})
    one = daemon(settings, servers={"counting": counting.entry(cache_policy="read_only", ttl=1)})
    one.has_loaded("counting")
    first = rpc(one, "counting__count", {"key": "a"}).json()["result"]
    counting.kill()
    eventually(lambda: one.servers()["counting"]["health_status"] == "circuit_open", 20, "circuit open")

    def stale():
        answer = rpc(one, "counting__count", {"key": "a"})
        return answer if answer.json().get("result", {}).get("_meta", {}).get("omni2/cache", {}).get("stale") else None

    answer = eventually(stale, 5, "a stale answer")
    assert answer.json()["result"]["content"] == first["content"]
    assert int(answer.headers["Age"]) >= 1 and answer.headers["Warning"].startswith("110 ")
    assert "error" in rpc(one, "counting__count", {"key": "b"}).json()
    assert "error" in rpc(one, "counting__count_destructive", {"key": "a"}).json()
    assert "error" in rpc(one, "counting__count_plain", {"key": "a"}).json()
