"""omni2ctl on a terminal: colours, width, pager, progress, editor."""
import os
import re
import stat
from pathlib import Path

import pytest

from omni.control import on_terminal
from omni.servers import stdio_entry


@pytest.fixture
def pager(tmp_path) -> Path:
    """Says that it was here, and how it was called."""
    program = tmp_path / "pager"
    program.write_text('#!/bin/sh\necho "PAGED LESS=$LESS"\ncat\n')
    program.chmod(0o755)
    return program


class TestPager:
    def test_shows_what_is_longer_than_the_terminal(self, raw, pager):
        seen = on_terminal(raw, "tools", "list", PAGER=str(pager), rows=5)
        assert seen.startswith("PAGED LESS=FRSXMK") and "echo" in seen

    def test_is_not_asked_for_what_fits(self, raw, pager):
        assert "PAGED" not in on_terminal(raw, "tools", "list", PAGER=str(pager), rows=200)

    def test_can_be_declined(self, raw, pager):
        for words, more in ((["--no-pager"], {"PAGER": str(pager)}), ([], {"PAGER": "cat"}),
                            ([], {"PAGER": str(pager), "OMNI2_PAGER": ""}), (["--json"], {"PAGER": str(pager)})):
            assert "PAGED" not in on_terminal(raw, "tools", "list", *words, rows=5, **more)

    def test_one_that_is_not_there_hides_nothing(self, raw):
        assert "echo" in on_terminal(raw, "tools", "list", PAGER="/nowhere/pager", rows=5)

    def test_one_that_is_left_early_is_no_error(self, raw, tmp_path):
        program = tmp_path / "impatient"
        program.write_text("#!/bin/sh\nexit 0\n")
        program.chmod(0o755)
        on_terminal(raw, "tools", "list", PAGER=str(program), rows=5)

    def test_the_help_is_paged_too(self, raw, pager):
        assert on_terminal(raw, "--help", PAGER=str(pager), rows=5).startswith("PAGED")

    def test_a_pipe_sees_none(self, raw, pager):
        assert "PAGED" not in raw.ok("tools", "list", PAGER=str(pager))


class TestWidth:
    def test_lines_are_cut_to_it_unless_full(self, raw):
        narrow = on_terminal(raw, "tools", "list", NO_COLOR="1", columns=50)
        assert max(map(len, narrow.splitlines())) <= 50 and "…" in narrow
        full = on_terminal(raw, "tools", "list", "--full", NO_COLOR="1", columns=50)
        assert max(map(len, full.splitlines())) > 50 and full == raw.ok("tools", "list")

    def test_a_pipe_has_none(self, raw):
        assert max(map(len, raw.ok("tools", "list").splitlines())) > 50


class TestProgress:
    def test_long_work_says_what_it_waits_for(self, control, counting):
        ctl = control(servers={"counting": counting.entry()})
        ctl.one.has_loaded("counting")
        seen = on_terminal(ctl, "tools", "call", "counting", "slow", '{"seconds": 1.6}')
        assert re.search(r"calling counting slow, 1 s", seen), seen
        # It is wiped before the answer.
        assert "\r\x1b[K" in seen and seen.rstrip().splitlines()[-1].rpartition("\x1b[K")[2]

    def test_quick_work_and_pipes_show_none(self, raw):
        assert "waiting" not in on_terminal(raw, "mcp", "list")
        assert raw("mcp", "list").stderr == ""


class TestStatusInItsPlace:
    def test_status_and_cache_stats(self, raw):
        for words, mark in ((["status"], "●"), (["cache", "stats"], "Hit rate: ")):
            with raw.terminal(*words, "--top", "--interval", "0.1") as screen:
                screen.until(mark)
                drawn = screen.text.count("\x1b[H")
                screen.until(r"(?s)(\x1b\[H.*){%d}" % (drawn + 3))
                screen.press("q")
                assert screen.rest().endswith("\x1b[?1049l") and screen.process.returncode == 0

    def test_cache_stats_show_what_happens(self, control, counting):
        ctl = control(servers={"counting": counting.entry(cache_policy="read_only", ttl=300)})
        ctl.one.has_loaded("counting")
        with ctl.terminal("cache", "stats", "--top", "--interval", "0.1") as screen:
            screen.until("Entries: 0 of")
            ctl.ok("tools", "call", "counting", "count", '{"key": "a"}')
            screen.until("Entries: 1 of")
            screen.press("q")
            screen.rest()


@pytest.fixture
def editor(tmp_path):
    """An editor that runs one line of sed over the file, and keeps what it saw."""

    def make(expression: str) -> str:
        program = tmp_path / "editor"
        program.write_text(f'#!/bin/sh\ncp "$1" {tmp_path}/seen; stat -c %a "$1" >{tmp_path}/mode\n'
                           f"sed -i '{expression}' \"$1\"\n")
        program.chmod(0o755)
        return str(program)

    return make


class TestEditor:
    def test_changes_what_was_changed(self, raw, editor, tmp_path):
        entry = {"TMPDIR": str(tmp_path)}
        seen = on_terminal(raw, "mcp", "edit", "raw", EDITOR=editor('s/"timeout_seconds": [0-9]*/"timeout_seconds": 77/'), **entry)
        assert "raw is changed" in seen
        assert raw.json("mcp", "show", "raw")["server"]["timeout_seconds"] == 77
        assert (tmp_path / "mode").read_text() == "600\n" and '"timeout_seconds"' in (tmp_path / "seen").read_text()
        assert not list(tmp_path.glob("omni2ctl-*"))

    def test_nothing_changed_changes_nothing(self, raw, editor):
        assert "raw is as it was" in on_terminal(raw, "mcp", "edit", "raw", EDITOR=editor("s/x/x/"))

    def test_what_the_daemon_refuses_can_be_edited_again(self, raw, editor):
        program = editor('s/"timeout_seconds": [0-9]*/"timeout_seconds": 1/')
        with raw.terminal("mcp", "edit", "raw", EDITOR=program) as terminal:
            terminal.until("timeout_seconds must be")
            terminal.until("again")
            terminal.press("n\n")
            assert "nothing is changed" in terminal.rest() and terminal.process.returncode == 1

    def test_one_that_is_not_there_is_told(self, raw):
        with raw.terminal("mcp", "edit", "raw", EDITOR="/nowhere/ed") as terminal:
            assert "$EDITOR names the one to use" in terminal.rest() and terminal.process.returncode == 1
