"""The manual pages that are written by hand say what the code does. omni2.conf(5) is made from the settings
by the unit tests, omni2ctl(1) is held to its help by test_omni2ctl.py."""
import re
import subprocess
from pathlib import Path

from conftest import BINARY

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs/man"


def page(name):
    text = (PAGES / name).read_text()
    for mark, meant in ((r"\-", "-"), (r"\(aq", "'"), (r"\[u2026]", "…")):
        text = text.replace(mark, meant)
    return text


def section(text, title):
    return text.partition(f".SH {title}\n")[2].partition("\n.SH ")[0]


def source(path):
    return (ROOT / path).read_text()


class TestDaemon:
    def test_has_the_options_of_the_help(self):
        usage = subprocess.run([BINARY, "--help"], check=True, capture_output=True, text=True).stdout
        options = set(re.findall(r"--[a-z]+", usage.partition("\n\n")[0]))
        assert options == set(re.findall(r"--[a-z]+", section(page("omni2-native.8"), "OPTIONS")))
        assert options

    def test_has_the_exit_codes_of_the_code(self):
        codes = set(re.findall(r"static let \w+: Int32 = (\d+)", source("Sources/omni2-native/Main/ConfigurationArguments.swift")))
        told = set(re.findall(r"^\.B (\d+)$", section(page("omni2-native.8"), "EXIT STATUS"), re.M))
        assert told == codes
        prevented = re.search(r"^RestartPreventExitStatus=(.*)$",
                              source("systemd/omni2-native.service"), re.M)[1].split()
        assert set(prevented) == {"64", "78"} <= codes

    def test_has_the_credentials_and_units_of_the_package(self):
        text = page("omni2-native.8")
        unit = source("systemd/omni2-native.service")
        for name in re.findall(r"^LoadCredential=([a-z-]+):", unit, re.M):
            assert name in section(text, "FILES"), name
        for unit in (ROOT / "systemd").glob("omni2-*"):
            if unit.suffix in (".service", ".socket"):
                assert unit.name in text, unit.name

    def test_has_the_signals_that_are_handled(self):
        names = re.findall(r"SIG[A-Z]+", section(page("omni2-native.8"), "SIGNALS"))
        assert set(names) == {"SIGTERM", "SIGINT", "SIGHUP"}
        handled = re.search(r"signalDescriptor\(\[(.*?)\]\)", source("Sources/omni2-native/Main/Daemon.swift"))[1]
        assert handled.split(", ") == [".terminate", ".interrupt", ".hangUp"]


class TestCache:
    def test_tool_has_its_words_and_exit_codes(self):
        text = page("omni2-cache.1")
        code = source("clients/c/omni2-cache.c")
        codes = re.findall(r"EXIT_[A-Z]+ = (\d)", code)
        assert re.findall(r"^\.B (\d)$", section(text, "EXIT STATUS"), re.M) == codes
        for verb in ("get", "contains", "key", "stats"):
            assert f'"{verb}"' in code and f"\n.B {verb}\n" in text

    def test_concept_names_what_there_is(self):
        text = page("omni2-cache.7")
        exported = source("clients/c/omni2cache.map")
        for function in re.findall(r"omni2_cache_[a-z_]+(?=$|\W)", text.replace("omni2_cache.h", "")):
            assert f"{function};" in exported, function
        settings = source("packaging/omni2.conf").partition("[Cache]")[2].partition("\n[")[0]
        for key in re.findall(r"\b([A-Z]\w+)=", section(text, "LIMITS")) + ["SameUser"]:
            assert f"#{key}=" in settings, key
        header = source("clients/c/include/omni2cache.h")
        assert "0: 200;" in header and "200 ms" in text
        assert "/run/omni2/cache.sock" in header and "/run/omni2/cache.sock" in text
