"""/metrics: what Prometheus' own tools and server make of it, and that figures mean what they say."""
import json
import re
import subprocess
import time
from pathlib import Path

import httpx2
import pytest
from mcp.shared.exceptions import MCPError
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as text_metrics

from omni.daemon import IMPATIENT, merged
from omni.processes import ROOT, Child, free_port
from omni.waiting import eventually

OPEN = "application/openmetrics-text; version=1.0.0"
TRACED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def scraped(one, accept: str = "text/plain") -> dict[str, object]:
    """Families by name."""
    answer = one.get("/metrics", headers={"Accept": accept})
    assert answer.status_code == 200, answer.text
    parse = open_metrics if accept == OPEN else text_metrics
    return {family.name: family for family in parse(answer.text)}


def value(one, series: str, **labels) -> float:
    """The sum of all samples that have these labels."""
    answer = one.get("/metrics").text
    samples = [sample for family in text_metrics(answer) for sample in family.samples]
    return sum(sample.value for sample in samples
               if sample.name == series and labels.items() <= sample.labels.items())


def documented() -> dict[str, str]:
    """The table of docs/telemetry.md: series name and type."""
    rows = re.findall(r"^\| `([a-z0-9_]+)` \| (counter|gauge|histogram|summary) \|",
                      (ROOT / "docs" / "telemetry.md").read_text(), re.MULTILINE)
    return dict(rows)


async def use(one) -> None:
    """Provokes what the metrics are about."""
    async with one.mcp() as client:
        for _ in range(3):
            await client.call_tool("counting__count", {"key": "a"})
        await client.call_tool("counting__fail", {"message": "no"})
        with pytest.raises(MCPError):
            await client.call_tool("counting__nothing", {})


async def test_promtool_has_nothing_to_say(daemon, counting):
    one = daemon(IMPATIENT, servers={"counting": counting.entry(cache_policy="read_only", ttl=60)})
    one.has_loaded("counting")
    await use(one)
    checked = subprocess.run(["promtool", "check", "metrics"], input=one.get("/metrics").text, text=True,
                             capture_output=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


async def test_every_documented_series_is_there_with_its_type(daemon, counting):
    one = daemon(IMPATIENT, servers={"counting": counting.entry(cache_policy="read_only", ttl=60)})
    one.has_loaded("counting")
    await use(one)
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", one.get("/metrics").text, re.MULTILINE))
    assert len(documented()) >= 50
    assert types == documented()


async def test_figures_move_when_provoked(daemon, counting):
    one = daemon(IMPATIENT, servers={"counting": counting.entry(cache_policy="read_only", ttl=60)})
    one.has_loaded("counting")
    await use(one)
    calls = "omni2_mcp_tool_executions_total"
    assert value(one, calls, tool_name="counting__count", status="success") == 3
    assert value(one, "omni2_mcp_tool_execution_duration_seconds_count", tool_name="counting__count") == 3
    assert value(one, "omni2_cache_hits_total") == 2
    assert value(one, "omni2_cache_misses_total") >= 1
    assert value(one, "omni2_cache_size") == 1
    assert value(one, "omni2_upstream_requests_total", mcp="counting", method="tools/call", status="ok") == 2
    assert value(one, "omni2_upstream_request_duration_seconds_count", mcp="counting", method="tools/call") == 2
    assert value(one, "omni2_http_requests_total", method="POST", route="/mcp", status="200") >= 5
    assert value(one, "omni2_mcp_server_up", mcp="counting") == 1
    assert value(one, "omni2_circuit_breaker_state", mcp="counting") == 0
    assert value(one, "omni2_database_up") == 1
    assert value(one, "omni2_database_statement_seconds_count", outcome="success") > 0
    assert value(one, "omni2_ring_completions_total") > 0
    assert value(one, "omni2_ring_submissions_total") > 0
    assert value(one, "omni2_reactor_lag_seconds_count") > 0
    assert value(one, "process_resident_memory_bytes") > 1 << 20
    assert value(one, "process_open_fds") > 5
    assert abs(value(one, "process_start_time_seconds") - time.time()) < 600
    before = value(one, "omni2_ws_frames_sent_total")
    async with one.events() as events:
        await events.subscribe("custom")
        published = one.post("/api/v1/events/publish", json={"type": "custom", "data": {"n": 1}})
        assert published.status_code < 300, published.text
        await events.event("custom", 5)
        assert value(one, "omni2_ws_connections") == 1
        assert value(one, "omni2_ws_frames_sent_total") > before


def test_what_goes_on_behind_the_requests_moves(daemon, counting, model, redis):
    one = daemon(merged(IMPATIENT, model.configuration("openai"), {"Redis": {"URL": redis.url}}),
                 servers={"counting": counting.entry()})
    one.has_loaded("counting")
    eventually(lambda: value(one, "omni2_redis_up") == 1, 10, "Redis")
    assert value(one, "omni2_redis_connects_total") == 1
    one.post("/api/v1/monitoring/enable/0")
    model.script({"calls": [{"name": "counting__count", "arguments": {}}],
                  "usage": {"input": 100, "output": 20, "cached": 50}}, {"text": ["One."]}, {"status": 500})
    assert one.post("/api/v1/chat/ask", json={"message": "How many?"}).status_code == 200
    one.post("/api/v1/chat/ask", json={"message": "And now?"})
    assert value(one, "omni2_chat_questions_total", outcome="answered") == 1
    assert value(one, "omni2_chat_questions_total", outcome="failed") == 1
    assert [value(one, "omni2_chat_tokens_total", type=kind) for kind in ("input", "output", "cached")] == [110, 25, 50]
    assert value(one, "omni2_chat_cost_dollars_total") == pytest.approx((110 * 3 + 25 * 15 + 50 * 0.3) / 1e6)
    assert value(one, "omni2_flows_total") >= 2 and value(one, "omni2_flows_open") == 0
    assert value(one, "omni2_flow_checkpoints_total") >= 10
    # Two flows and two rows of the audit trail, behind the requests' back; the watched flow went to Redis.
    eventually(lambda: value(one, "omni2_history_rows_total", outcome="written") == 4, 10, "rows")
    assert value(one, "omni2_history_rows_total", outcome="dropped") == 0 == value(one, "omni2_history_spool_bytes")
    eventually(lambda: value(one, "omni2_redis_commands_total", outcome="sent") > 5, 10, "commands")
    redis.stop()
    eventually(lambda: value(one, "omni2_redis_up") == 0, 10, "Redis is away")
    one.post("/api/v1/events/publish", json={"type": "custom", "data": {}})
    assert value(one, "omni2_redis_commands_total", outcome="dropped") >= 1


async def test_a_dead_server_shows(daemon, counting):
    settings = merged(IMPATIENT, {"CircuitBreaker": {"TimeoutSec": "10min"}})
    one = daemon(settings, servers={"counting": counting.entry()})
    one.has_loaded("counting")
    counting.kill()
    eventually(lambda: value(one, "omni2_circuit_breaker_state", mcp="counting") == 1, 15, "circuit open")
    assert value(one, "omni2_circuit_breaker_failures_total", mcp="counting") == 1
    assert value(one, "omni2_upstream_errors_total", mcp="counting", error_type="transport") >= 1
    assert value(one, "omni2_mcp_server_up", mcp="counting") == 0


async def test_openmetrics_carries_the_trace_of_an_observation(daemon, counting):
    one = daemon({"Telemetry": {"OTLPEndpoint": f"http://127.0.0.1:{free_port()}"}},
                 servers={"counting": counting.entry()})
    one.has_loaded("counting")
    one.call("counting", "count", headers={"traceparent": TRACED})
    families = scraped(one, OPEN)
    exemplars = [sample.exemplar for sample in families["omni2_http_request_duration_seconds"].samples
                 if sample.exemplar]
    assert TRACED.split("-")[1] in {exemplar.labels["trace_id"] for exemplar in exemplars}


async def test_strangers_names_make_no_series(daemon, counting):
    one = daemon(servers={"counting": counting.entry()})
    one.has_loaded("counting")
    size = len(one.get("/metrics").text)
    for number in range(50):
        one.get(f"/strange/{number}")
        one.call("counting", f"tool{number}")
        one.call(f"server{number}", "tool")
    text = one.get("/metrics").text
    assert "tool49" not in text and "server49" not in text and "strange" not in text
    assert len(text) < size + 8000
    assert value(one, "omni2_http_requests_total", route="unmatched", status="404") == 50


def test_a_stranger_may_not_scrape_unless_told(daemon):
    assert daemon().get("/metrics", token=None).status_code == 401
    assert daemon({"Telemetry": {"MetricsNeedToken": "no"}}).get("/metrics", token=None).status_code == 200


async def test_a_real_prometheus_scrapes(daemon, counting, redis, tmp_path: Path):
    one = daemon({"Redis": {"URL": redis.url}}, servers={"counting": counting.entry()})
    one.has_loaded("counting")
    await use(one)
    counting.mode("error")
    assert not one.call("counting", "count").is_success
    counting.mode("ok")
    port = free_port()
    (tmp_path / "prometheus.yml").write_text(f"""
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: omni2
  authorization: {{credentials_file: {one.token_file}}}
  static_configs: [{{targets: ['127.0.0.1:{one.port}']}}]
""")
    prometheus = Child(["prometheus", f"--config.file={tmp_path}/prometheus.yml",
                        f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address=127.0.0.1:{port}"],
                       tmp_path / "prometheus.log")
    try:
        prometheus.answers(port)

        def asked(query: str) -> list:
            answer = httpx2.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": query})
            return answer.json()["data"]["result"]

        eventually(lambda: asked("up == 1"), 20, "Prometheus scraped the daemon")
        [calls] = asked('omni2_mcp_tool_executions_total{tool_name="counting__count",status="success"}')
        assert float(calls["value"][1]) == 3
        assert asked("histogram_quantile(0.5, rate(omni2_http_request_duration_seconds_bucket[1m]))") is not None
        scraped_names = {one["metric"]["__name__"] for one in asked('{job="omni2"}')}
        for name, kind in documented().items():
            wanted = f"{name}_count" if kind in ("histogram", "summary") else name
            assert wanted in scraped_names, name
    finally:
        prometheus.kill()


def test_rules_are_clean():
    rules = ROOT / "packaging" / "prometheus" / "omni2-native.rules.yml"
    checked = subprocess.run(["promtool", "check", "rules", rules], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    names = set(re.findall(r"\b((?:omni2|process)_[a-z0-9_]+)", rules.read_text())) - {"omni2_native"}
    known = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}
    assert known <= set(documented()), known - set(documented())


def test_the_dashboard_asks_for_series_that_exist():
    dashboard = json.loads((ROOT / "packaging" / "grafana" / "omni2-native.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(expressions) >= 15
    for expression in expressions:
        names = re.findall(r"\b((?:omni2|process)_[a-z0-9_]+)", expression)
        known = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}
        assert known and known <= set(documented()), expression
