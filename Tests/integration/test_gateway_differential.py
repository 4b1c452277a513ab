"""What a client gets through the gateway is what it gets from the server itself.

The server is everything-server, the fixture of the official conformance suite; the oracle is the
official client of the server's own era, straight on it. All pairs of client era and server era.
"""
import json
import subprocess
from pathlib import Path

import anyio
import pytest

from omni import flows
from omni.everything import EverythingServer
from omni.processes import LEGACY

# The archive of the fixture may have to be fetched first, and pip builds its metadata.
pytestmark = pytest.mark.timeout(400)

MODES = {"handshake": "legacy", "modern": "2026-07-28"}
CLIENTS = ["sdk1 handshake", "sdk2 handshake", "sdk2 modern"]


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    server = EverythingServer(tmp_path_factory.mktemp("everything"))
    yield server
    server.kill()


def play(client: str, url: str, headers: dict, prefix: str = "", uri_prefix: str = "") -> dict:
    sdk, era = client.split()
    if sdk == "sdk1":
        done = subprocess.run([LEGACY / "python", Path(flows.__file__)], capture_output=True, text=True,
                              timeout=80, input=json.dumps({"url": url, "headers": headers, "prefix": prefix,
                                                            "uri_prefix": uri_prefix}))
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout)
    return anyio.run(flows.play_v2, url, headers, prefix, uri_prefix, MODES[era])


@pytest.fixture(scope="module")
def direct(everything):
    """What each server era shows its own client, played once."""
    known: dict[str, dict] = {}

    def of(era: str) -> dict:
        if era not in known:
            known[era] = play(f"sdk2 {era}", everything.url, {})
        return known[era]

    return of


def renamed(seen: dict, prefix: str) -> dict:
    """With the server's own names in the lists again."""
    text = json.dumps(seen, sort_keys=True)
    return json.loads(text.replace(f'"{prefix}__', '"').replace(f'"{prefix}+', '"'))


def comparable(seen: dict) -> dict:
    """One tool returns its progress token, which each hop chooses for itself; and one asks without
    end, which whoever asks on its behalf gives up after some rounds of its own."""
    endless = seen["tool test_input_required_result_capabilities"]
    if "error" in endless:
        endless["error"] = "given up"
        endless["asked"] = sorted({str(asked) for asked in endless["asked"]})
    flow = seen["tool test_tool_with_progress"]["result"]
    for content in flow["content"]:
        content["text"] = "token"
    flow.get("structuredContent", {}).update(result="token")
    return seen


@pytest.mark.parametrize("server_era", MODES)
@pytest.mark.parametrize("client", CLIENTS)
def test_every_flow_is_the_same_through_the_gateway(daemon, everything, direct, client, server_era):
    wanted = comparable(renamed(direct(server_era), "everything"))
    one = daemon(servers={"everything": everything.entry(era=server_era)})
    one.has_loaded("everything")
    through = play(client, one.url + "/mcp", one.headers, "everything__", "everything+")
    through = comparable(renamed(through, "everything"))
    assert set(through) == set(wanted)
    differing = {flow: (wanted[flow], through[flow]) for flow in wanted if through[flow] != wanted[flow]}
    assert not differing, json.dumps(differing, indent=1, ensure_ascii=False)[:6000]
