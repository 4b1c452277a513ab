"""A stdio MCP server without a library, so that it can break every rule.

It behaves, in the handshake era, until a tool or an option makes it misbehave:

    --at-start  die · hang · garbage · only-garbage           before it has answered anything
    --deaf      ignore the end of stdin and SIGTERM: only SIGKILL ends it
    --pid FILE  append our process id, so that a test can look for survivors

Tools: `echo`, `count`, and one for each way to break during a call.
"""
import argparse
import json
import os
import signal
import sys
import time

TOOLS = {
    "echo": "gives the text back",
    "count": "counts its calls",
    "die": "exits in the middle of a call",
    "die_once": "exits in the middle of the first call ever; works when started again",
    "hang": "never answers",
    "garbage": "writes lines that are no JSON, then answers",
    "only_garbage": "writes a line that is no JSON instead of an answer",
    "huge": "answers with one line of many MiB",
    "endless": "writes a line that does not end",
    "split": "answers a byte at a time",
    "wrong_id": "answers under an id that nobody asked for, then under the right one",
    "twice": "answers twice",
    "chatter": "fills stderr, then answers",
    "no_result": "answers with neither result nor error",
    "error": "answers with a JSON-RPC error",
}
calls = 0


def write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def answer(identifier, result=None, error=None) -> str:
    message = {"jsonrpc": "2.0", "id": identifier}
    message.update({"error": error} if error else {"result": result})
    return json.dumps(message) + "\n"


def text(content: str) -> dict:
    return {"content": [{"type": "text", "text": content}], "isError": False}


def sleep_forever() -> None:
    while True:
        time.sleep(60)


def call(identifier, name: str, arguments: dict, marker: str | None) -> None:
    global calls
    calls += 1
    good = answer(identifier, text(f"{name} {arguments.get('text', calls)}"))
    if name == "die":
        os._exit(3)
    elif name == "die_once":
        if marker and not os.path.exists(marker):
            open(marker, "w").close()
            os._exit(3)
        write(good)
    elif name == "hang":
        sleep_forever()
    elif name == "garbage":
        write("this is no JSON\n\x00\x01\x02\n{\"jsonrpc\": \"2.0\", \"id\":\n\n[1,2,3]\n\"text\"\n" + good)
    elif name == "only_garbage":
        write("Traceback (most recent call last): nothing here is JSON\n")
        sleep_forever()
    elif name == "huge":
        size = int(arguments.get("text", 64)) << 20
        write(answer(identifier, text("x" * size)))
    elif name == "endless":
        block = "x" * (1 << 20)
        for _ in range(int(arguments.get("text", 256))):
            write(block)
        sleep_forever()
    elif name == "split":
        for byte in good:
            write(byte)
    elif name == "wrong_id":
        write(answer(987654321, text("not yours")) + good)
    elif name == "twice":
        write(good + good)
    elif name == "chatter":
        for line in range(20_000):
            print(f"line {line} of much that nobody asked for", file=sys.stderr)
        write(good)
    elif name == "no_result":
        write(json.dumps({"jsonrpc": "2.0", "id": identifier}) + "\n")
    elif name == "error":
        write(answer(identifier, error={"code": -32001, "message": "the server refuses",
                                        "data": {"why": "on purpose"}}))
    else:
        write(good)


def serve(options) -> None:
    for line in sys.stdin:
        try:
            request = json.loads(line)
        except ValueError:
            continue
        method, identifier = request.get("method"), request.get("id")
        parameters = request.get("params") or {}
        if identifier is None:
            continue
        if method == "initialize":
            write(answer(identifier, {
                "protocolVersion": parameters.get("protocolVersion", "2025-06-18"),
                "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": {"name": "raw", "version": "1"}}))
        elif method == "ping":
            write(answer(identifier, {}))
        elif method == "tools/list":
            schema = {"type": "object", "properties": {"text": {"type": "string"}}}
            write(answer(identifier, {"tools": [
                {"name": name, "description": what, "inputSchema": schema}
                for name, what in TOOLS.items()]}))
        elif method == "tools/call":
            if parameters.get("name") in TOOLS:
                call(identifier, parameters["name"], parameters.get("arguments") or {}, options.marker)
            else:
                write(answer(identifier, error={"code": -32602, "message": "unknown tool"}))
        else:
            write(answer(identifier, error={"code": -32601, "message": "method not found"}))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--at-start", default="")
    parser.add_argument("--deaf", action="store_true")
    parser.add_argument("--pid")
    parser.add_argument("--marker", help="file that remembers, across restarts, that die_once died")
    options = parser.parse_args()
    if options.pid:
        with open(options.pid, "a") as file:
            file.write(f"{os.getpid()}\n")
    if options.deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if options.at_start == "die":
        print("cannot work like this", file=sys.stderr)
        sys.exit(7)
    if options.at_start == "hang":
        sleep_forever()
    if options.at_start == "garbage":
        write("Welcome to the raw server!\nhave fun\n")
    if options.at_start == "only-garbage":
        while True:
            write("Welcome, and nothing but welcome\n")
            time.sleep(0.05)
    serve(options)
    if options.deaf:
        sleep_forever()


if __name__ == "__main__":
    main()
