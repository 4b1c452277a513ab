"""Help, manual page and completion of omni2ctl are made from one table: here they are compared."""
import json
import re
import subprocess

import pytest

from omni.control import MANUAL, PROGRAM, commands, entries, help_text, run
from omni.daemon import environment_without_surroundings


def manual() -> dict[str, dict[str, str]]:
    """The entries of the manual page by section, without the marks of troff."""
    text = MANUAL.read_text()
    for mark, meant in ((r"\-", "-"), (r"\[u2026]", "…"), (r"\(aq", "'"), (r"\(dq", '"'), (r"\e", "\\")):
        text = text.replace(mark, meant)
    sections = {}
    for section in text.split(".SH ")[1:]:
        title, _, body = section.partition("\n")
        sections[title] = dict(re.findall(r'^\.TP\n\.B "?(.*?)"?\n(.*)$', body, re.MULTILINE))
    return sections


def sentences(found: dict[str, str]) -> dict[str, str]:
    return {name: f"{text[0].upper()}{text[1:]}." for name, text in found.items()}


def test_lines_of_the_help_fit_a_terminal():
    for words in ([], ["mcp"], *(words for words, _ in commands())):
        assert max(map(len, help_text(*words).splitlines())) <= 80


class TestManual:
    def test_has_the_commands_of_the_help(self):
        text = help_text()
        expected = entries(text, "Commands")
        for words, _ in commands():
            expected |= entries(help_text(*words), "Options")
        assert manual()["COMMANDS"] == sentences(expected)

    def test_has_the_options_and_exit_codes_of_the_help(self):
        text = help_text()
        assert manual()["OPTIONS"] == sentences(entries(text, "Options of all commands"))
        assert manual()["EXIT STATUS"] == sentences(entries(text, "Exit status"))

    def test_tells_what_a_commands_own_help_tells(self):
        page = " ".join(MANUAL.read_text().replace(r"\-", "-").replace(r"\(aq", "'")
                        .replace(r"\(dq", '"').split())
        for words, _ in commands():
            detail = [part for part in help_text(*words).split("\n\n")[2:]
                      if not part.startswith("Options:")]
            assert all(" ".join(part.split()) in page for part in detail)

    def test_is_what_the_table_makes(self):
        """`omni2ctl manual >docs/man/omni2ctl.1` writes it anew."""
        assert run("manual").stdout == MANUAL.read_text()

    def test_man_finds_nothing_wrong_with_it(self):
        ended = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", MANUAL], capture_output=True, text=True)
        assert ended.returncode == 0 and ended.stderr == ""


# Completion

def completed(shell: str, line: str, **environment) -> set[str]:
    """What the shell would offer at the end of a line."""
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    if shell == "bash":
        text = (f'source <("$0" completion bash)\nCOMP_WORDS=({quoted})\nCOMP_CWORD={len(words) - 1}\n'
                'compopt() { echo FILES; }\n_omni2ctl\nprintf "%s\\n" "${COMPREPLY[@]}"\n')
    else:
        text = (f'compdef() {{ :; }}\nsource <("$0" completion zsh)\nwords=({quoted})\nCURRENT={len(words)}\n'
                'compadd() { shift; for one in "$@"; do [[ $one == ${words[CURRENT-1]}* ]] && print -r -- "$one"; done; true; }\n'
                '_files() { print FILES; }\n_omni2ctl\n')
    ended = subprocess.run([shell, *(["-f"] if shell == "zsh" else ["--norc"]), "-c", text, PROGRAM], capture_output=True,
                           text=True, timeout=30, env=environment_without_surroundings(
                               **{"PATH": f"{PROGRAM.parent}:/usr/bin:/bin", **environment}))
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
    return set(ended.stdout.split())


@pytest.mark.parametrize("shell", ["bash", "zsh"])
class TestCompletion:
    def test_has_every_command_of_the_help(self, shell):
        families: dict[str, set[str]] = {}
        for words, _ in commands():
            families.setdefault(words[0], set()).update(words[1:])
        assert completed(shell, "omni2ctl ") == set(families)
        for family, verbs in families.items():
            if verbs:
                assert completed(shell, f"omni2ctl {family} ") == verbs

    def test_has_every_option_of_the_help(self, shell):
        common = {synopsis.split()[0] for synopsis in entries(help_text(), "Options of all commands")}
        for words, _ in commands():
            own = {synopsis.split()[0] for synopsis in entries(help_text(*words), "Options")}
            assert completed(shell, f"omni2ctl {' '.join(words)} --") == own | common, words

    def test_has_the_choices_of_an_option(self, shell):
        assert completed(shell, "omni2ctl mcp add x --cache-policy ") == {"off", "listed", "read_only"}
        assert completed(shell, "omni2ctl mcp add x --cache-policy re") == {"read_only"}
        assert completed(shell, "omni2ctl completion ") == {"bash", "zsh"}

    def test_offers_files_where_a_file_is_meant(self, shell):
        assert completed(shell, "omni2ctl mcp import ") == {"FILES"}
        assert completed(shell, "omni2ctl status --token-file ") == {"FILES"}

    def test_offers_names_that_the_daemon_knows(self, shell, raw):
        raw.ok("user", "add", "ann", "--role", "developer")
        where = raw.environment
        assert completed(shell, "omni2ctl mcp show ", **where) == {"raw"}
        assert completed(shell, "omni2ctl tools call r", **where) == {"raw"}
        assert {"echo", "fail"} & completed(shell, "omni2ctl tools call raw ", **where)
        assert completed(shell, "omni2ctl user show ", **where) == {"ann"}
        assert "developer" in completed(shell, "omni2ctl user add bob --role ", **where)
        # Options before and between do not disturb, and the daemon that they name is asked.
        socket = raw.one.runtime / "admin.sock"
        assert completed(shell, f"omni2ctl --json --socket {socket} mcp show ") == {"raw"}

    def test_is_silent_without_a_daemon(self, shell, tmp_path):
        assert completed(shell, "omni2ctl mcp show ", RUNTIME_DIRECTORY=str(tmp_path)) == set()


def test_what_is_printed_for_shells_and_man_has_json_too():
    for words, member in ((["completion", "bash"], "script"), (["completion", "zsh"], "script"), (["manual"], "page")):
        assert json.loads(run(*words, "--json").stdout)[member] == run(*words).stdout


def test_stdio_says_how_it_is_meant():
    ended = run("stdio")
    assert ended.returncode == 64 and "omni2ctl mcp add NAME --command" in ended.stderr
    ended = run("stdio", "--", "/bin/true")
    assert ended.returncode == 1 and ended.stderr.startswith("omni2ctl: /bin/true: ")


class TestNames:
    def test_one_on_a_line(self, raw):
        raw.ok("role", "add", "reader")
        raw.ok("user", "add", "ann", "--role", "reader")
        assert raw.ok("names", "servers") == "raw\n" and raw.json("names", "users") == ["ann"]
        assert "reader" in raw.ok("names", "roles").split() and "echo" in raw.ok("names", "tools", "raw").split()
        assert {"Main", "Cache"} <= set(raw.ok("names", "sections").split())

    def test_mistakes(self, raw):
        assert "KIND is one of servers" in raw.refused("names", "things", status=64)
        assert "needs a SERVER" in raw.refused("names", "tools", status=64)
        assert "is one of bash, zsh" in run("completion", "fish").stderr
