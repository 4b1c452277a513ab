"""The configuration is read once, checked whole, and every mistake named with file, line and remedy."""
import subprocess

import pytest

from omni.daemon import BINARY, check_configuration, environment_without_surroundings


def test_a_good_configuration_passes(tmp_path):
    checked = check_configuration(tmp_path, """
        # A comment
        ; and another
        [HTTP]
        Listen=127.0.0.1:8090
        Listen=/run/omni2.sock

        [Cache]
        MaxEntries=1000
        MaxBytes=64M
        TTLSec=5min
        [Coordinator]
        IntervalSec=30
        BackoffSec=30 60 2min 4min 8min 10min
        [CircuitBreaker]
        FailureThreshold=5
        TimeoutSec=1min
        HalfOpenMaxCalls=3
        MaxFailureCycles=3
        [WebSocket]
        PingSec=20
    """.replace("        ", ""))
    assert checked.returncode == 0, checked.stderr


def test_an_empty_configuration_passes(tmp_path):
    assert check_configuration(tmp_path, "").returncode == 0


@pytest.mark.parametrize("text, line, words", [
    ("[Cache]\nMaxEntrees=5\n", 2, ["MaxEntrees", "MaxEntries"]),
    ("[Cach]\nMaxEntries=5\n", 1, ["Cach"]),
    ("[Cache]\nMaxEntries=many\n", 2, ["MaxEntries", "many"]),
    ("[Cache]\nMaxEntries=-1\n", 2, ["MaxEntries"]),
    ("[Cache]\nMaxEntries=99999999999999999999\n", 2, ["MaxEntries"]),
    ("[Cache]\nMaxBytes=5Q\n", 2, ["MaxBytes", "5Q"]),
    ("[Cache]\nTTLSec=5 parsecs\n", 2, ["TTLSec", "parsecs"]),
    ("MaxEntries=5\n", 1, ["MaxEntries"]),
    ("[Cache]\nMaxEntries\n", 2, ["MaxEntries"]),
    ("[Cache\nMaxEntries=5\n", 1, []),
    ("[HTTP]\nListen=127.0.0.1\n", 2, ["Listen"]),
    ("[HTTP]\nListen=127.0.0.1:99999\n", 2, ["Listen", "99999"]),
    ("[HTTP]\nListen=nowhere.invalid:80\n", 2, ["Listen"]),
    ("[Coordinator]\nIntervalSec=0\n", 2, ["IntervalSec"]),
    ("[Coordinator]\nBackoffSec=30 later\n", 2, ["BackoffSec", "later"]),
    ("[CircuitBreaker]\nFailureThreshold=0\n", 2, ["FailureThreshold"]),
    ("[Database]\nURL=oracle://x/y\n", 2, ["URL", "postgresql://"]),
], ids=lambda value: value.split("\n")[-2 if isinstance(value, str) and "\n" in value else 0][:30]
    if isinstance(value, str) else "")
def test_a_mistake_is_named_with_its_place(tmp_path, text, line, words):
    checked = check_configuration(tmp_path, text)
    assert checked.returncode == 78, checked.stderr
    assert f"omni2.conf:{line}" in checked.stderr, checked.stderr
    for word in words:
        assert word in checked.stderr


def test_all_mistakes_are_named_at_once(tmp_path):
    checked = check_configuration(tmp_path, "[Cache]\nMaxEntrees=5\nMaxEntries=x\n\n[Nonsense]\nA=1\n[HTTP]\nListen=:\n")
    assert checked.returncode == 78
    for line in (2, 3, 5, 8):
        assert f"omni2.conf:{line}" in checked.stderr, checked.stderr


def test_without_check_a_mistake_ends_the_start_before_anything_happens(tmp_path):
    file = tmp_path / "omni2.conf"
    file.write_text("[Cache]\nMaxEntrees=5\n")
    state = tmp_path / "state"
    state.mkdir()
    ended = subprocess.run([BINARY, "--config", file], capture_output=True, text=True, timeout=20,
                           env=environment_without_surroundings(STATE_DIRECTORY=str(state),
                                                                RUNTIME_DIRECTORY=str(state)))
    assert ended.returncode == 78 and "omni2.conf:2" in ended.stderr
    assert list(state.iterdir()) == []


def test_check_starts_nothing(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    checked = check_configuration(tmp_path, "[HTTP]\nListen=127.0.0.1:1\n", environment={"STATE_DIRECTORY": str(state)})
    assert checked.returncode == 0 and list(state.iterdir()) == []


def test_a_file_that_is_missing_is_named(tmp_path):
    ended = subprocess.run([BINARY, "--config", tmp_path / "nowhere.conf", "--check"], capture_output=True, text=True,
                           timeout=20, env=environment_without_surroundings())
    assert ended.returncode == 78 and "nowhere.conf" in ended.stderr


@pytest.mark.parametrize("content", [
    '{"mcpServers": {', "[]", '{"mcpServers": {"a": {}}}',
    '{"mcpServers": {"a": {"url": "http://127.0.0.1/mcp", "omni2": {"cache_policy": "always"}}}}'])
def test_an_import_file_that_is_broken_is_named(tmp_path, content):
    broken = tmp_path / "servers.json"
    broken.write_text(content)
    checked = check_configuration(tmp_path, f"[MCP]\nImportFile={broken}\n")
    assert checked.returncode == 78 and "servers.json" in checked.stderr, checked.stderr


def test_the_environment_overrides_a_key(tmp_path):
    assert check_configuration(tmp_path, "[Cache]\nMaxEntries=5\n",
                               environment={"OMNI2_CACHE_MAX_ENTRIES": "10"}).returncode == 0
    checked = check_configuration(tmp_path, "[Cache]\nMaxEntries=5\n",
                                  environment={"OMNI2_CACHE_MAX_ENTRIES": "ten"})
    assert checked.returncode == 78 and "OMNI2_CACHE_MAX_ENTRIES" in checked.stderr


def test_the_environment_is_what_counts_in_the_end(daemon):
    one = daemon({"Cache": {"MaxEntries": "5"}}, environment={"OMNI2_CACHE_MAX_ENTRIES": "77"})
    one.logged(r"max_size=77")


def test_a_drop_in_overrides_the_file(daemon):
    one = daemon({"Cache": {"MaxEntries": "5", "TTLSec": "1min"}}, begin=False)
    folder = one.file.with_name("omni2.conf.d")
    folder.mkdir()
    (folder / "10-first.conf").write_text("[Cache]\nMaxEntries=6\n")
    (folder / "20-second.conf").write_text("[Cache]\nMaxEntries=7\n")
    (folder / "ignored.txt").write_text("nonsense\n")
    one.start()
    one.logged(r"max_size=7 ttl=60")


def test_a_mistake_in_a_drop_in_is_named_there(tmp_path):
    folder = tmp_path / "omni2.conf.d"
    folder.mkdir()
    (folder / "50-mine.conf").write_text("\n\n[Cache]\nMaxEntries=x\n")
    checked = check_configuration(tmp_path, "[Cache]\nMaxEntries=5\n")
    assert checked.returncode == 78 and "50-mine.conf:4" in checked.stderr


def test_the_version_is_told():
    told = subprocess.run([BINARY, "--version"], capture_output=True, text=True, timeout=10)
    assert told.returncode == 0 and told.stdout.strip()


@pytest.mark.parametrize("arguments", [["--no-such-option"], ["--config"], ["stray"]])
def test_a_wrong_command_line_is_explained(arguments):
    ended = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=10,
                           env=environment_without_surroundings())
    assert ended.returncode in (2, 64, 78) and ended.stderr
