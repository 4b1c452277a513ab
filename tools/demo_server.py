"""The Streamable HTTP server of the demonstration: three small tools on a loopback port."""
import sys

from fastmcp import FastMCP
from mcp_types import ToolAnnotations

server = FastMCP("notes")
notes: dict[str, str] = {"welcome": "Every call of this tool went through omni2-native."}
reads = 0


@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
def read_note(name: str) -> str:
    """Reads a note. The number tells how often this server itself was asked."""
    global reads
    reads += 1
    return f"{notes.get(name, 'no such note')} (read {reads})"


@server.tool
def write_note(name: str, text: str) -> str:
    """Writes a note."""
    notes[name] = text
    return f"wrote {name}"


if __name__ == "__main__":
    server.run(transport="http", host="127.0.0.1", port=int(sys.argv[1]), show_banner=False,
               log_level="warning")
