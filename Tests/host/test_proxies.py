"""The proxy configurations of docs/deploy.md, in front of a gateway."""
import asyncio
import json
import re
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from host import Host

ROOT = Path(__file__).resolve().parents[2]
NAME = "gateway.example.org"


def block(language):
    return re.search(rf"^```{language}\n(.*?)^```", (ROOT / "docs/deploy.md").read_text(),
                     re.M | re.S)[1]


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def behind(request, root_file_system, proxies_layer, packages):
    with Host([root_file_system, proxies_layer]) as host:
        # Both are enabled, and both want the port.
        host.run("systemctl stop nginx caddy", check=False)
        host.install(packages)
        settings = next(x for x in re.findall(r"^```ini\n(.*?)^```", (ROOT / "docs/deploy.md").read_text(),
                                              re.M | re.S) if "AllowedHosts" in x)
        host.write("/etc/omni2/omni2.conf.d/proxy.conf", settings)
        if request.param == "nginx":
            host.write("/etc/nginx/conf.d/omni2.conf", block("nginx"))
            host.run("rm -f /etc/nginx/sites-enabled/default")
        else:
            host.write("/etc/caddy/Caddyfile", block("caddy"))
        host.run(f"systemctl restart {request.param}")
        host.run("curl -s http://127.0.0.1:8090/health/live")
        host.token = host.out("cat /var/lib/omni2/admin-token")
        yield host


def curl(host, words):
    return host.out(f"curl -s --max-time 20 --resolve {NAME}:80:127.0.0.1 "
                    f"-H 'Authorization: Bearer {host.token}' {words}")


def test_requests_pass(behind):
    assert json.loads(curl(behind, f"http://{NAME}/health"))["status"] == "healthy"
    assert "servers" in curl(behind, f"http://{NAME}/api/v1/mcp/tools/list")


def test_other_names_do_not(behind):
    # Caddy has an empty page for names it does not know, nginx passes them on to a gateway that refuses.
    assert '"healthy"' not in curl(behind, "-H 'Host: evil.example.org' http://127.0.0.1/health")


def test_websocket_passes(behind):
    async def first():
        async with connect(f"ws://{NAME}/ws", host=behind.address, port=80, proxy=None,
                           additional_headers={"Authorization": f"Bearer {behind.token}"}) as socket:
            return json.loads(await asyncio.wait_for(socket.recv(), 20))

    assert "type" in asyncio.run(first())
