#!/usr/bin/python3
"""A stdio MCP server with two tools: one tells its process id, one eats memory until it is stopped.

Nothing but the standard library: it runs on a host where nothing else is installed.
"""
import json
import os
import sys

TOOLS = [
    {"name": "who", "description": "The process id", "inputSchema": {"type": "object"}},
    {"name": "eat", "description": "Eats memory", "inputSchema": {"type": "object"}},
]


def answer(method, parameters):
    if method == "initialize":
        return {"protocolVersion": parameters["protocolVersion"], "capabilities": {"tools": {}},
                "serverInfo": {"name": "eater", "version": "1"}}
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call":
        if parameters["name"] == "eat":
            print("eating", file=sys.stderr, flush=True)
            eaten = []
            while True:
                eaten.append(b"x" * (8 << 20))
        return {"content": [{"type": "text", "text": str(os.getpid())}]}
    return {}


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message and "method" in message:
        result = answer(message["method"], message.get("params") or {})
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
