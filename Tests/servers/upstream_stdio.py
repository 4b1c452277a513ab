"""An MCP server on standard streams without a library, in the handshake era.

    --deaf         ignores the end of its input and SIGTERM
    --silent       answers nothing at all
    --garbage      prints lines that are no messages before and between its answers
    --exit CODE    ends at once, after a line on its error output

Tools: echo, hang, die, exit, huge, grow, and `cancelled`, which tells the ids it was told to cancel.
"""
import argparse
import json
import os
import signal
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--deaf", action="store_true")
parser.add_argument("--silent", action="store_true")
parser.add_argument("--garbage", action="store_true")
parser.add_argument("--exit", type=int)
options = parser.parse_args()
tools = ["echo", "hang", "die", "exit", "huge", "grow", "cancelled", "env"]
cancelled = []


def write(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def call(message):
    name = message["params"]["name"]
    if name == "hang":
        return
    if name == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "exit":
        sys.stderr.write("farewell\n")
        sys.stderr.flush()
        os._exit(3)
    result = {"content": [{"type": "text", "text": json.dumps(message["params"])}]}
    if name == "huge":
        result["text"] = "x" * message["params"]["arguments"]["bytes"]
    if name == "cancelled":
        result["ids"] = cancelled
    if name == "env":
        result["env"] = dict(os.environ)
    if name == "grow":
        tools.append(f"new{len(tools)}")
        write({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
    write({"jsonrpc": "2.0", "id": message["id"], "result": result})


def main():
    if options.exit is not None:
        sys.stderr.write("cannot find my database\n")
        sys.exit(options.exit)
    if options.deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for line in sys.stdin:
        if options.silent:
            continue
        message = json.loads(line)
        method = message.get("method")
        if options.garbage:
            print("Loading model... 50 %", flush=True)
        if method == "initialize":
            write({"jsonrpc": "2.0", "id": message["id"], "result": {
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": {"name": "upstream_stdio", "version": "1"}}})
        elif method == "notifications/cancelled":
            cancelled.append(message["params"]["requestId"])
        elif method == "tools/list":
            write({"jsonrpc": "2.0", "id": message["id"], "result": {
                "tools": [{"name": name, "inputSchema": {"type": "object"}} for name in tools]}})
        elif method == "tools/call":
            call(message)
        elif "id" in message:
            write({"jsonrpc": "2.0", "id": message["id"], "result": {}})
    while options.deaf:
        time.sleep(1)


main()
