"""A language model's service with a script instead of a model: Anthropic's Messages and OpenAI's chat
completions, streaming, with every way of going wrong.

    model_server.py PORT

POST /control/script takes a list of turns, one per request:
    {"text": ["pieces"], "calls": [{"name", "arguments"}], "usage": {"input", "output", "cached"},
     "delay": seconds between pieces, "cut": true ends the stream in the middle,
     "fail": "message inside the stream", "status": refuse with this status}
GET /control/requests tells what was asked, GET /control/ended how many answers were cut by the client.
"""
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOCK = threading.Lock()
SCRIPT: list[dict] = []
REQUESTS: list[dict] = []
ENDED = 0


def anthropic(turn: dict):
    usage = {"input": 10, "output": 5, "cached": 0, **turn.get("usage", {})}
    yield "message_start", {"type": "message_start", "message": {"id": "msg_1", "role": "assistant", "content": [],
        "usage": {"input_tokens": usage["input"], "cache_read_input_tokens": usage["cached"], "output_tokens": 1}}}
    yield "ping", {"type": "ping"}
    index = 0
    if turn.get("text"):
        yield "content_block_start", {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        for piece in turn["text"]:
            yield "content_block_delta", {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
        yield "content_block_stop", {"type": "content_block_stop", "index": 0}
        index = 1
    for number, call in enumerate(turn.get("calls", [])):
        yield "content_block_start", {"type": "content_block_start", "index": index, "content_block": {
            "type": "tool_use", "id": f"toolu_{number}", "name": call["name"], "input": {}}}
        text = json.dumps(call.get("arguments", {}))
        for start in range(0, len(text), 7):
            yield "content_block_delta", {"type": "content_block_delta", "index": index, "delta": {
                "type": "input_json_delta", "partial_json": text[start:start + 7]}}
        yield "content_block_stop", {"type": "content_block_stop", "index": index}
        index += 1
    if "fail" in turn:
        yield "error", {"type": "error", "error": {"type": "overloaded_error", "message": turn["fail"]}}
        return
    if turn.get("cut"):
        return
    yield "message_delta", {"type": "message_delta", "delta": {
        "stop_reason": "tool_use" if turn.get("calls") else "end_turn"}, "usage": {"output_tokens": usage["output"]}}
    yield "message_stop", {"type": "message_stop"}


def openai(turn: dict):
    usage = {"input": 10, "output": 5, "cached": 0, **turn.get("usage", {})}

    def chunk(delta: dict, reason: str | None = None) -> tuple[None, dict]:
        return None, {"id": "c", "object": "chat.completion.chunk",
                      "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    yield chunk({"role": "assistant", "content": ""})
    for piece in turn.get("text", []):
        yield chunk({"content": piece})
    for number, call in enumerate(turn.get("calls", [])):
        yield chunk({"tool_calls": [{"index": number, "id": f"call_{number}", "type": "function",
                                     "function": {"name": call["name"], "arguments": ""}}]})
        text = json.dumps(call.get("arguments", {}))
        for start in range(0, len(text), 7):
            yield chunk({"tool_calls": [{"index": number, "function": {"arguments": text[start:start + 7]}}]})
    if "fail" in turn:
        yield None, {"error": {"message": turn["fail"], "type": "server_error"}}
        return
    if turn.get("cut"):
        return
    yield chunk({}, "tool_calls" if turn.get("calls") else "stop")
    yield None, {"choices": [], "usage": {"prompt_tokens": usage["input"] + usage["cached"],
                                          "completion_tokens": usage["output"],
                                          "prompt_tokens_details": {"cached_tokens": usage["cached"]}}}
    yield None, "[DONE]"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        pass

    def answer(self, value, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        with LOCK:
            self.answer(ENDED if self.path.endswith("ended") else REQUESTS)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"null")
        with LOCK:
            if self.path == "/control/script":
                SCRIPT[:] = body
                REQUESTS.clear()
                return self.answer({"turns": len(SCRIPT)})
            REQUESTS.append({"path": self.path, "body": body, "headers": dict(self.headers)})
            turn = SCRIPT.pop(0) if SCRIPT else {"text": ["Nothing is left to say."]}
        if "status" in turn:
            return self.answer({"error": {"type": "x", "message": turn.get("message", "refused")}}, turn["status"])
        self.stream(turn, anthropic if self.path.endswith("/messages") else openai)

    def stream(self, turn: dict, protocol) -> None:
        global ENDED
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            for name, data in protocol(turn):
                text = data if isinstance(data, str) else json.dumps(data)
                self.wfile.write(((f"event: {name}\n" if name else "") + f"data: {text}\n\n").encode())
                self.wfile.flush()
                time.sleep(turn.get("delay", 0))
        except OSError:
            with LOCK:
                ENDED += 1


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
