"""FastMCP's own proxy in front of an MCP server: proxy.py PORT URL"""
import sys

from fastmcp.server import create_proxy

create_proxy(sys.argv[2]).run(transport="http", host="127.0.0.1", port=int(sys.argv[1]), show_banner=False,
                              log_level="error")
