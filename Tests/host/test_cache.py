"""The shared cache under real systemd: its segment waits in the descriptor store between daemons."""
import subprocess
from pathlib import Path

import pytest

CLIENTS = Path(__file__).resolve().parents[2] / "clients"
SERVICE = "omni2-native.service"
# The host has the smallest Python: no json.
SERVER = r"""#!/usr/bin/python3
import re, sys
calls = 0
for line in sys.stdin:
    number = re.search(r'"id": ?("[^"]*"|[0-9]+)', line)
    if not number:
        continue
    result = "{}"
    if '"initialize"' in line:
        result = ('{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},'
                  '"serverInfo":{"name":"clock","version":"1"}}')
    elif '"tools/list"' in line:
        result = ('{"tools":[{"name":"now","description":"tells","inputSchema":{"type":"object"},'
                  '"annotations":{"readOnlyHint":true}}]}')
    elif '"tools/call"' in line:
        calls += 1
        result = '{"content":[{"type":"text","text":"noon %d"}]}' % calls
    print('{"jsonrpc":"2.0","id":%s,"result":%s}' % (number.group(1), result), flush=True)
"""
# Looks the entry up every millisecond through one handle, until the file /run/enough is there.
READER = r"""
#define OMNI2CACHE_HEADER_ONLY
#include "omni2cache.h"
#include <stdio.h>

int main(void) {
    omni2_cache *cache;
    uint8_t key[32];
    char value[4096];
    unsigned hits = 0, misses = 0;
    omni2_cache_key(key, "clock", "now", "{}", 2);
    int result = omni2_cache_open(NULL, &cache);
    if (result != OMNI2_OK) return printf("%s\n", omni2_cache_strerror(result)), 1;
    for (int i = 0; i < 60000 && access("/run/enough", F_OK) != 0; i++) {
        if (omni2_cache_get(cache, key, value, sizeof value, NULL) > 0) hits++;
        else misses++;
        usleep(1000);
        if (i == 0) printf("reading\n"), fflush(stdout);
    }
    printf("%u hits, %u misses\n", hits, misses);
    return hits == 0;
}
"""


@pytest.fixture(scope="session")
def reader(tmp_path_factory):
    """The program above; the shell's reader comes with the package."""
    out = tmp_path_factory.mktemp("reader")
    (out / "reader.c").write_text(READER)
    subprocess.run(["cc", "-O2", f"-I{CLIENTS / 'c' / 'include'}", "-o", out / "reader", out / "reader.c"],
                   check=True)
    return out / "reader"


@pytest.fixture
def cached(host, reader):
    """A host whose daemon has one shared result, and a user who may read it."""
    host.path("/usr/local/bin/reader").write_bytes(reader.read_bytes())
    host.path("/usr/local/bin/reader").chmod(0o755)
    host.write("/opt/clock/clock.py", SERVER, mode=0o755)
    host.run(f"useradd --groups omni2-cache sibling; useradd stranger; systemctl start {SERVICE}; "
             "omni2ctl mcp add clock --command /opt/clock/clock.py --cache-policy read_only --ttl 600 --scope shared")
    # Until its tools are listed, the gateway cannot know that the result may be kept.
    host.wait_for(lambda: ask(host) and read(host).returncode == 0, 30, "not cached")
    return host


def ask(host):
    """The daemon's answer; waits until the server is there."""
    def answer():
        said = host.run("omni2ctl tools call clock now", check=False).stdout
        return said[said.find("noon"):].strip().split('"')[0] if "noon" in said else None

    return host.wait_for(answer, 30, "no answer")


def read(host, user="sibling"):
    return host.run("omni2-cache get clock now '{}'", check=False, user=user)


def end(host, how):
    pid = host.property(SERVICE, "MainPID")
    host.run(f"systemctl restart {SERVICE}" if how == "restart" else f"kill -KILL {pid}")
    host.wait_for(lambda: host.property(SERVICE, "MainPID") not in ("0", pid)
                  and host.property(SERVICE, "ActiveState") == "active", 30, "not back")


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_entries_wait_in_the_descriptor_store(cached, how):
    found = read(cached).stdout
    kept = int(cached.property(SERVICE, "NFileDescriptorStore"))
    assert kept >= 2
    for _ in range(3):
        end(cached, how)
        assert read(cached).stdout == found, "before anybody asked the daemon again"
    assert ask(cached) in found
    assert any("cache continued" in x["MESSAGE"] for x in cached.journal("SERVICE=Cache"))
    assert int(cached.property(SERVICE, "NFileDescriptorStore")) == kept, "nothing piles up"


def test_an_attached_reader_notices_nothing(cached):
    cached.run("runuser -u sibling -- /usr/local/bin/reader >/run/reader.log 2>&1 & "
               "for i in $(seq 200); do grep -q reading /run/reader.log && break; sleep 0.05; done")
    for how in ("restart", "kill", "restart"):
        end(cached, how)
    cached.run("touch /run/enough")
    cached.wait_for(lambda: cached.out("pgrep reader || echo gone") == "gone", 20, "no end")
    said = cached.out("tail -1 /run/reader.log")
    assert "hits" in said, cached.out("cat /run/reader.log")
    hits, misses = (int(word) for word in said.replace(",", "").split()[::2])
    assert hits > 500 and misses == 0, said


def test_stop_drops_the_store_and_the_next_start_is_cold(cached):
    cached.run(f"systemctl stop {SERVICE} omni2-native.socket omni2-native-admin.socket omni2-native-cache.socket")
    assert read(cached).returncode == 3, "nobody is there"
    cached.run(f"systemctl start {SERVICE}")
    assert read(cached).returncode == 1


def test_only_members_of_the_group_read(cached):
    refused = read(cached, user="stranger")
    assert refused.returncode == 3 and "noon" not in refused.stdout
    assert read(cached, user="sibling").returncode == 0
    own = cached.run("setpriv --reuid omni2 --regid omni2-cache --clear-groups "
                     "omni2-cache get clock now '{}'", check=False)
    assert own.returncode == 3 and "own user" in own.stderr, "it could write to what it maps"
