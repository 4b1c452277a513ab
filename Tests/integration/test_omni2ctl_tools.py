"""omni2ctl tools and cache: calls, and what is kept of them."""
import re

import pytest

from omni.control import facts, rows


class TestTools:
    def test_list(self, raw):
        assert rows(raw.ok("tools", "list"))["raw"]
        assert "gives the text back" in raw.ok("tools", "list", "raw")
        assert "echo" in [tool["name"] for tool in raw.json("tools", "list")["servers"]["raw"]]
        assert "there are raw" in raw.refused("tools", "list", "nobody")

    def test_call(self, raw):
        assert raw.ok("tools", "call", "raw", "echo", '{"text": "hü"}') == "echo hü\n"
        value = raw.json("tools", "call", "raw", "echo", '{"text": "hü"}')
        assert value["success"] is True and value["result"]["content"][0]["text"] == "echo hü"

    def test_the_second_call_comes_from_the_cache(self, control, counting):
        ctl = control(servers={"counting": counting.entry(cache_policy="read_only", ttl=300)})
        ctl.one.has_loaded("counting")
        call = ("tools", "call", "counting", "count", '{"key": "a"}')
        assert ctl.ok(*call) == "a 1\n"
        second = ctl(*call)
        assert second.stdout == "a 1\n" and "from the cache" in second.stderr
        assert ctl.json("cache", "stats")["hits"] == 1
        assert facts(ctl.ok("cache", "stats"))["Entries"].startswith("1 of ")
        assert ctl.ok("cache", "invalidate", "counting", "count") == \
            "1 kept result of counting count forgotten.\n"
        assert ctl.ok(*call) == "a 2\n"
        assert ctl.json("cache", "invalidate") == {"success": True, "invalidated": 1}

    def test_a_tool_that_fails(self, control, counting):
        ctl = control(servers={"counting": counting.entry()})
        ctl.one.has_loaded("counting")
        ended = ctl("tools", "call", "counting", "fail", '{"message": "no luck"}')
        assert ended.returncode == 1
        assert "no luck" in ended.stdout and "reported an error" in ended.stderr

    def test_mistakes(self, raw):
        assert "no tool named nothing" in raw.refused("tools", "call", "raw", "nothing")
        assert "there are raw" in raw.refused("tools", "call", "nobody", "echo")
        assert "not JSON" in raw.refused("tools", "call", "raw", "echo", "{text: 1}", status=64)
        assert "JSON object" in raw.refused("tools", "call", "raw", "echo", "[1]", status=64)

    def test_arguments_from_standard_input(self, raw):
        ended = raw("tools", "call", "raw", "echo", "-", input='{"text":\n "x"}')
        assert ended.returncode == 0 and ended.stdout == "echo x\n"


class TestKept:
    @pytest.fixture
    def kept(self, control, counting):
        """With two kept results."""
        ctl = control(servers={"counting": counting.entry(cache_policy="read_only", ttl=300)})
        ctl.one.has_loaded("counting")
        for key in "ab":
            ctl.ok("tools", "call", "counting", "count", f'{{"key": "{key}"}}')
        return ctl

    def test_list(self, kept):
        lines = kept.ok("cache", "list").splitlines()
        assert lines[0].split() == ["KEY", "SERVER", "TOOL", "BYTES", "HITS", "SCOPE", "EXPIRES"]
        assert all("counting  count" in line for line in lines[1:]) and len(lines) == 3
        entries = kept.json("cache", "list", "counting", "count")["entries"]
        assert {entry["tool"] for entry in entries} == {"count"} and len(entries) == 2
        assert len(kept.json("cache", "list", "--limit", "1")["entries"]) == 1
        assert kept.json("cache", "list", "counting", "other") == {"entries": []}
        assert "Nothing is kept" in kept.ok("cache", "list", "counting", "other")

    def test_get_by_the_beginning_of_its_key(self, kept):
        key = kept.json("cache", "list")["entries"][0]["key"]
        shown = kept.ok("cache", "get", key[:12])
        assert facts(shown)["Key"] == key and facts(shown)["Tool"] == "counting count"
        assert re.fullmatch(r"[ab] \d", shown.splitlines()[-1])
        value = kept.json("cache", "get", key)
        assert value["data"]["key"] == key and value["value"]["content"]

    def test_stats_again_and_again_for_scripts(self, kept):
        with kept.going("cache", "stats", "--top", "--json", "--interval", "0.1") as figures:
            figures.until(r'(?s)("size":2.*){3}\n')
            assert [one["size"] for one in figures.events()][:3] == [2, 2, 2]
            assert figures.end() == 0

    @pytest.mark.parametrize("words, meant, status", [
        (["list", "nobody"], "there are counting", 1),
        (["list", "--limit", "0"], "from 1 to 1000", 64),
        (["list", "--limit", "many"], "whole number", 64),
        (["get", "xyz"], "KEY is what omni2ctl cache list shows", 64),
        (["get", "0123456789abcdef"], "no kept result", 1),
        (["get", "0" * 64], "no entry of this key", 1),
        (["get"], "KEY is missing", 64),
        (["stats", "--interval", "0", "--top"], "--interval is a number of seconds", 64),
    ])
    def test_mistakes(self, kept, words, meant, status):
        assert meant in kept.refused("cache", *words, status=status)
