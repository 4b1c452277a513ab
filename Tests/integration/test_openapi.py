"""The OpenAPI document against the daemon: every path answers, and a generator of requests finds no
answer that the document does not describe."""
import re
import subprocess
import sys
from pathlib import Path

import pytest

from omni.people import People

# Streams have no end, and MCP has tests of its own.
STREAMS = r"^(/mcp|/mcp-v2|/ws.*|/api/v1/events/stream|/api/v1/ws/.*|/api/v1/chat/.*|/api/v1/ask/.*|/metrics)$"


@pytest.fixture
def one(daemon, http_server):
    server = http_server("alpha")
    one = daemon(servers={"alpha": server.entry()})
    one.has_loaded("alpha")
    people = People(one)
    people.user("ann", "developer", email="ann@example.org")
    people.ask("POST", "/teams", 201, json={"name": "blue"})
    return one


def test_every_documented_operation_is_answered_by_its_route(one):
    document = one.get("/openapi.json", token=None).json()
    assert document["openapi"] == "3.1.0"
    for path, methods in document["paths"].items():
        if re.match(STREAMS, path):
            continue
        concrete = re.sub(r"\{[^}]*\}", "999999", path)
        for method in methods:
            if (method, path) == ("post", "/api/v1/auth/login"):
                continue
            answer = one.request(method.upper(), concrete, token=None)
            is_open = methods[method].get("security") == []
            assert answer.status_code != 405, (method, path)
            assert (answer.status_code == 401) != is_open, (method, path, answer.status_code)
        wrong = one.request("PATCH", concrete, token=None)
        assert wrong.status_code == 405
        assert {word.strip().lower() for word in wrong.headers["allow"].split(",")} == set(methods)


def test_operations_have_names_of_their_own_and_a_sentence(one):
    document = one.get("/openapi.json", token=None).json()
    operations = [(method, path, each) for path, methods in document["paths"].items() for method, each in methods.items()]
    names = [each["operationId"] for _, _, each in operations]
    assert len(names) == len(set(names))
    unnamed = [path for method, path, each in operations if each["summary"] == f"{method.upper()} {path}"]
    assert unnamed == []


def test_the_page_needs_no_other_host(one):
    answer = one.get("/docs", token=None)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not re.findall(r"(?:src|href)=\"?https?://", answer.text)


@pytest.mark.timeout(600)
def test_a_generator_of_requests_finds_nothing_undescribed(one, tmp_path):
    program = Path(sys.executable).with_name("schemathesis")
    seed = "20261121"
    # A body may be refused for its size as well as for what it says.
    (tmp_path / "schemathesis.toml").write_text(
        "[checks.negative_data_rejection]\n"
        "expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, \"5xx\"]\n")
    ended = subprocess.run(
        [program, "run", f"{one.url}/openapi.json", "--header", f"Authorization: Bearer {one.token}",
         "--exclude-path-regex", STREAMS, "--max-examples", "20", "--seed", seed, "--no-color",
         "--phases", "examples,coverage,fuzzing", "--request-timeout", "20",
         # A valid row may still be refused: a name is taken, a role does not exist.
         "--exclude-checks", "positive_data_acceptance"],
        capture_output=True, text=True, cwd=tmp_path, timeout=580)
    print(f"seed {seed}")
    report = "\n".join(line[:300] for line in ended.stdout.splitlines())
    assert ended.returncode == 0, report[-20_000:] + ended.stderr[-2000:]
    assert one.is_running
