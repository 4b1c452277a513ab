"""The database may come after the daemon, and may leave and return."""
from omni.waiting import eventually


def readiness(one) -> tuple[int, str]:
    answer = one.get("/health/ready", token=None)
    return answer.status_code, answer.text


def test_starts_degraded_and_heals(daemon, postgres, counting):
    postgres.stop()
    one = daemon({"Database": {"URL": postgres.url}}, ready=False)
    assert one.get("/health/live", token=None).status_code == 200
    status, text = readiness(one)
    assert status == 503 and "degraded" in text
    assert one.get("/health", token=None).json()["status"] == "degraded"
    one.logged(r"service=Database")
    postgres.start()
    eventually(lambda: readiness(one)[0] == 200, 20, "ready")
    assert one.get("/health", token=None).json()["status"] == "healthy"
    postgres.psql("INSERT INTO omni2.mcp_servers (name, url, protocol) "
                  f"VALUES ('counting', '{counting.url}', 'http-streamable')")
    eventually(lambda: one.tools().get("counting"), 2)


def test_serves_from_memory_while_it_is_away(daemon, postgres, counting):
    one = daemon({"Database": {"URL": postgres.url}}, servers={"counting": counting.entry()})
    one.has_loaded("counting")
    postgres.stop()
    eventually(lambda: "degraded" in readiness(one)[1], 15, "degraded")
    assert one.call("counting", "count", {"key": "a"}).json()["success"]
    assert one.get("/health/live", token=None).status_code == 200
    postgres.start()
    eventually(lambda: readiness(one)[0] == 200 and "degraded" not in readiness(one)[1], 20, "ready again")
    # LISTEN was set up anew.
    postgres.psql("UPDATE omni2.mcp_servers SET status = 'inactive'")
    eventually(lambda: not one.tools().get("counting"), 2)


def test_a_change_made_while_disconnected_is_found(daemon, postgres, counting):
    """What nobody could announce is read when the connection is back."""
    one = daemon({"Database": {"URL": postgres.url}}, servers={"counting": counting.entry()})
    one.has_loaded("counting")
    postgres.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                  "WHERE datname = 'omni' AND pid <> pg_backend_pid(); "
                  "UPDATE omni2.mcp_servers SET status = 'inactive'")
    eventually(lambda: not one.tools().get("counting"), 10)


def test_an_outage_leaves_no_trace_in_the_circuit(daemon, postgres, counting):
    one = daemon({"Database": {"URL": postgres.url}, "Coordinator": {"IntervalSec": "250ms"}},
                 servers={"counting": counting.entry()})
    one.has_loaded("counting")
    postgres.stop()
    counting.reset()
    eventually(lambda: len(counting.requests("tools/list")) > 4, 10, "checks go on")
    assert one.call("counting", "count").json()["success"]
    postgres.start()
    eventually(lambda: readiness(one)[0] == 200, 20)
    eventually(lambda: one.servers()["counting"]["health_status"] == "healthy")


def test_stops_cleanly_while_it_is_away(daemon, postgres):
    one = daemon({"Database": {"URL": postgres.url}})
    eventually(lambda: readiness(one)[0] == 200, 20)
    postgres.stop()
    one.stop(10)
