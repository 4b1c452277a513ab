"""PostgreSQL: a change of the registry made with psql acts within a second."""
import pytest

from omni.daemon import IMPATIENT
from omni.waiting import eventually

ACTS_WITHIN = 1.0


@pytest.fixture
def one(daemon, postgres):
    return daemon({"Database": {"URL": postgres.url}})


def insert(postgres, server, name: str = "counting") -> None:
    postgres.psql("INSERT INTO omni2.mcp_servers (name, url, protocol) "
                  f"VALUES ('{name}', '{server.url}', 'http-streamable')")


def offers(one, name: str = "counting") -> bool:
    return bool(one.tools().get(name))


def test_an_inserted_row_is_loaded(one, postgres, counting):
    insert(postgres, counting)
    eventually(lambda: offers(one), ACTS_WITHIN)
    assert one.call("counting", "count", {"key": "a"}).json()["success"]
    row = "SELECT health_status, circuit_state, consecutive_failures FROM omni2.mcp_servers"
    eventually(lambda: postgres.rows(row) == [("healthy", "closed", 0)])
    eventually(lambda: postgres.rows("SELECT 1 FROM omni2.mcp_health_log WHERE event_type = 'load'"))


def test_a_changed_row_is_loaded_again(one, postgres, http_server):
    first, second = http_server("first"), http_server("second")
    insert(postgres, first)
    eventually(lambda: offers(one), 5)
    postgres.psql(f"UPDATE omni2.mcp_servers SET url = '{second.url}' WHERE name = 'counting'")

    def reaches_the_second() -> bool:
        one.call("counting", "count")
        return second.calls("count") > 0

    eventually(reaches_the_second, ACTS_WITHIN)


def test_an_inactive_row_is_unloaded_and_loaded_when_active(one, postgres, counting):
    insert(postgres, counting)
    eventually(lambda: offers(one), 5)
    postgres.psql("UPDATE omni2.mcp_servers SET status = 'inactive'")
    eventually(lambda: not offers(one), ACTS_WITHIN)
    assert one.call("counting", "count").json()["success"] is False
    postgres.psql("UPDATE omni2.mcp_servers SET status = 'active'")
    eventually(lambda: offers(one), ACTS_WITHIN)


def test_a_deleted_row_is_unloaded(one, postgres, counting):
    insert(postgres, counting)
    eventually(lambda: offers(one), 5)
    postgres.psql("DELETE FROM omni2.mcp_servers WHERE name = 'counting'")
    eventually(lambda: not offers(one), ACTS_WITHIN)
    assert "counting" not in one.servers()


def test_a_renamed_row_keeps_its_server(one, postgres, counting):
    insert(postgres, counting)
    eventually(lambda: offers(one), 5)
    postgres.psql("UPDATE omni2.mcp_servers SET name = 'renamed'")
    eventually(lambda: offers(one, "renamed") and not offers(one), ACTS_WITHIN + 1)


def test_many_rows_in_one_transaction_all_arrive(one, postgres, http_server):
    servers = [http_server(f"server{number}") for number in range(4)]
    values = ", ".join(f"('{server.name}', '{server.url}', 'http-streamable')" for server in servers)
    postgres.psql(f"INSERT INTO omni2.mcp_servers (name, url, protocol) VALUES {values}")
    eventually(lambda: all(offers(one, server.name) for server in servers), 5)


def test_our_own_writes_cause_no_reload(daemon, postgres, counting):
    one = daemon({**IMPATIENT, "Database": {"URL": postgres.url}})
    insert(postgres, counting)
    eventually(lambda: offers(one), 5)
    counting.reset()
    eventually(lambda: len(counting.requests("tools/list")) > 5, 10)
    assert counting.requests("initialize") == [] and counting.requests("server/discover") == []


def test_the_row_tells_of_the_outage(daemon, postgres, counting):
    one = daemon({**IMPATIENT, "Database": {"URL": postgres.url}})
    insert(postgres, counting)
    eventually(lambda: offers(one), 5)
    counting.kill()
    state = "SELECT health_status, circuit_state FROM omni2.mcp_servers"
    eventually(lambda: postgres.rows(state)[0][0] == "disconnected", 5)
    eventually(lambda: postgres.rows(state) == [("circuit_open", "open")], 15)
    kinds = {kind for kind, in postgres.rows("SELECT DISTINCT event_type FROM omni2.mcp_health_log")}
    assert {"health_check_failed", "circuit_opened"} <= kinds
    counting.start()
    eventually(lambda: postgres.rows(state) == [("healthy", "closed")], 20)
    eventually(lambda: postgres.rows(
        "SELECT 1 FROM omni2.mcp_health_log WHERE event_type = 'recovery_success'"))


def test_names_and_types_are_the_originals(one, postgres):
    columns = dict(postgres.rows(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = 'omni2' AND table_name = 'mcp_servers'"))
    expected = {
        "id": "integer", "name": "character varying", "url": "character varying", "description": "text",
        "status": "character varying", "protocol": "character varying", "timeout_seconds": "integer",
        "max_retries": "integer", "retry_delay_seconds": "numeric", "auth_type": "character varying",
        "auth_config": "jsonb", "last_health_check": "timestamp with time zone",
        "health_status": "character varying", "error_count": "integer", "pt_score": "integer",
        "failure_cycle_count": "integer", "max_failure_cycles": "integer",
        "auto_disabled_at": "timestamp with time zone", "auto_disabled_reason": "text",
        "can_auto_enable": "boolean", "meta_data": "jsonb", "created_at": "timestamp with time zone",
        "updated_at": "timestamp with time zone", "circuit_state": "character varying",
        "consecutive_failures": "integer"}
    assert expected.items() <= columns.items()
    tables = {name for name, in postgres.rows(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'omni2'")}
    assert {"mcp_servers", "mcp_health_log", "omni2_config"} <= tables


def test_migrations_are_applied_once(daemon, postgres):
    """A second daemon, and the same one again, find the schema made and leave it."""
    for one in (daemon({"Database": {"URL": postgres.url}}), daemon({"Database": {"URL": postgres.url}})):
        one.restart()
