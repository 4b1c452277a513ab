"""What docs/ says in tables is what the code says."""
import re

from omni.processes import ROOT

SOURCES = ROOT / "Sources"
JOURNAL = (ROOT / "docs/journal.md").read_text()
TELEMETRY = (ROOT / "docs/telemetry.md").read_text()


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its own two lines."""
    section = page.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def literal(text: str, start: int) -> str:
    """The dictionary literal that opens at `start`, over strings that hold brackets."""
    depth, is_text = 0, False
    for at in range(start, len(text)):
        if text[at] == '"' and text[at - 1] != "\\":
            is_text = not is_text
        if not is_text:
            depth += {"[": 1, "]": -1}.get(text[at], 0)
            if depth == 0:
                return text[start:at]
    raise AssertionError("a literal without an end")


def logged_fields() -> set[str]:
    """The names in every literal that a record is given; what a request is known by is appended."""
    names = {"trace_id", "span_id"}
    opening = re.compile(r"(?:fields:\s*(?:LogFields\s*=\s*)?|LogFields\s*=\s*)\[")
    for path in SOURCES.rglob("*.swift"):
        text = path.read_text()
        for found in opening.finditer(text):
            names |= set(re.findall(r'"([a-z_]+)":', literal(text, found.end() - 1)))
    return names


def test_every_field_of_the_journal_is_described():
    described = [cells[0].strip("`") for cells in rows(JOURNAL, "Fields")]
    assert described == sorted(described)
    assert set(described) == {name.upper() for name in logged_fields()}


def test_every_message_is_listed_with_its_subject():
    catalog = (ROOT / "systemd/omni2-native.catalog").read_text()
    entries = re.findall(r"^-- ([0-9a-f]{32})\nSubject: (.*)$", catalog, re.M)
    assert entries
    listed = [(cells[1].strip("`"), cells[0]) for cells in rows(JOURNAL, "Messages")]
    assert listed == [(number, re.sub(r"@[A-Z_]+@", "…", subject)) for number, subject in entries]


def test_every_service_is_named():
    services = re.findall(r'case \w+ = "(\w+)"', (SOURCES / "OmniIO/Systemd/Service.swift").read_text())
    said = JOURNAL.split("`SERVICE=` is one of ", 1)[1].split(";", 1)[0]
    assert re.findall(r"`(\w+)`", said) == services


def test_every_health_check_is_described(daemon):
    checks = daemon().get("/health").json()["checks"]
    described = [cells[0].strip("`") for cells in rows(TELEMETRY, "Health") if len(cells) == 4]
    assert described[0] == "Check" and set(described[2:]) == set(checks)
