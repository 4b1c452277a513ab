"""A FastMCP server: `upstream_fastmcp.py TRANSPORT`, one of stdio, http, stateless, sse."""
import socket
import sys

from fastmcp import Context, FastMCP

server = FastMCP("upstream_fastmcp")


@server.tool
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool
async def steps(context: Context) -> str:
    """Reports its progress."""
    for step in range(3):
        await context.report_progress(step + 1, 3)
    return "done"


@server.tool
async def grow(context: Context) -> str:
    """Adds a tool, which changes the list."""

    def grown() -> str:
        return "grown"

    server.tool(grown)
    await context.send_notification(changed())
    return "done"


def changed():
    import mcp_types

    return mcp_types.ToolListChangedNotification()


@server.prompt
def greet(name: str) -> str:
    """Greets somebody."""
    return f"Say hello to {name}"


@server.resource("data://one")
def one() -> str:
    """The number one."""
    return "1"


@server.resource("data://{number}/square")
def square(number: int) -> str:
    """A square."""
    return str(int(number) ** 2)


transport = sys.argv[1]
if transport == "stdio":
    server.run(transport="stdio", show_banner=False)
else:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    print(port, flush=True)
    arguments = {"stateless_http": True} if transport == "stateless" else {}
    server.run(transport="sse" if transport == "sse" else "http", host="127.0.0.1", port=port,
               show_banner=False, log_level="warning", **arguments)
