"""A crowd of dashboards in a process of its own, and somebody who publishes to them.

    crowd.py ADDRESS PORT TOKEN COUNT RATE

Opens COUNT WebSocket connections, says `ready`, and publishes RATE events per second over one more
until a line comes in. Then it waits until everybody has everything, and prints what happened as JSON.
Every connection's bytes are taken apart frame by frame: an event that is missing, doubled, out of
order or cut shows, and so does a connection that ends.
"""
import base64
import json
import os
import resource
import selectors
import socket
import sys
import time

TYPE = "load_test"
# Readers look now and then, as a busy page would: what came meanwhile is taken in one piece.
LOOK = 0.05
PATIENCE = 60


class Client:
    # The same bytes reach everybody: each event is read once.
    known: dict[bytes, int] = {}

    def __init__(self, address: str, port: int, token: str, path: str):
        self.rest = b""
        self.next = 0
        self.problem = None
        self.replies: list[dict] = []
        self.socket = socket.create_connection((address, port), timeout=30)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            (f"GET {path} HTTP/1.1\r\nHost: {address}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
             f"Authorization: Bearer {token}\r\n\r\n").encode())
        head = b""
        while b"\r\n\r\n" not in head:
            piece = self.socket.recv(65536)
            if not piece:
                raise ConnectionError(f"no handshake: {head!r}")
            head += piece
        head, self.rest = head.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise ConnectionError(head.decode())
        self.socket.setblocking(False)

    def read(self) -> None:
        try:
            piece = self.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError as error:
            return self.fail(f"ended: {error}")
        if not piece:
            return self.fail("closed")
        self.take(self.rest + piece)

    def take(self, data: bytes) -> None:
        position, end = 0, len(data)
        while end - position >= 2:
            first, length, start = data[position], data[position + 1], position + 2
            if length == 126:
                if end - position < 4:
                    break
                length, start = data[position + 2] << 8 | data[position + 3], position + 4
            elif length == 127:
                if end - position < 10:
                    break
                length, start = int.from_bytes(data[position + 2:position + 10]), position + 10
            if start + length > end:
                break
            position = start + length
            if first == 0x81:
                self.event(data[start:position])
            elif first == 0x89:
                self.send(0x8A, data[start:position])
            else:
                return self.fail(f"frame {first:02x} {data[start:position]!r}")
        self.rest = data[position:]

    def event(self, payload: bytes) -> None:
        number = Client.known.get(payload)
        if number is None:
            event = json.loads(payload)
            if event.get("resync"):
                return self.fail("lost its place")
            if event.get("type") != TYPE:
                self.replies.append(event)
                return
            number = Client.known[payload] = event["data"]["n"]
        if number != self.next:
            return self.fail(f"event {number} where {self.next} was due")
        self.next += 1

    def send(self, first: int, payload: bytes) -> None:
        # A mask of zeros leaves the payload as it is.
        size = bytes([0x80 | len(payload)]) if len(payload) < 126 else bytes([0xFE]) + len(payload).to_bytes(2)
        try:
            self.socket.sendall(bytes([first]) + size + b"\0\0\0\0" + payload)
        except OSError as error:
            self.fail(f"cannot send: {error}")

    def fail(self, problem: str) -> None:
        self.problem = self.problem or problem


def main() -> None:
    address, port, token, count, rate = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    selector = selectors.DefaultSelector()
    clients = [Client(address, port, token, f"/ws?event_types={TYPE}") for _ in range(count)]
    publisher = Client(address, port, token, "/ws")
    for client in [*clients, publisher]:
        selector.register(client.socket, selectors.EVENT_READ, client)
    selector.register(sys.stdin, selectors.EVENT_READ)
    print("ready", flush=True)
    published, ending, begun, deadline = 0, False, time.monotonic(), None
    while True:
        for key, _ in selector.select(0):
            if key.data is None:
                selector.unregister(sys.stdin)
                ending, deadline = True, time.monotonic() + PATIENCE
                continue
            key.data.read()
            if key.data.problem:
                selector.unregister(key.fileobj)
        if not ending:
            while published < (time.monotonic() - begun) * rate and not publisher.problem:
                publisher.send(0x81, json.dumps(
                    {"action": "publish", "type": TYPE, "id": published,
                     "data": {"n": published, "text": "x" * 150}}).encode())
                published += 1
        elif time.monotonic() > deadline or all(c.problem or c.next >= published for c in clients):
            break
        time.sleep(LOOK)
    replies = [one for one in publisher.replies if one.get("type") == "published"]
    sequences = [one["seq"] for one in replies]
    problems = [c.problem for c in [*clients, publisher] if c.problem]
    late = [c.next for c in clients if not c.problem and c.next < published]
    if [one["id"] for one in replies] != list(range(published)):
        problems.append(f"{len(replies)} of {published} publications were answered")
    if sequences != sorted(set(sequences)):
        problems.append("numbers of events do not rise")
    print(json.dumps({"published": published, "received": sum(c.next for c in clients),
                      "seconds": round(time.monotonic() - begun, 1), "problems": len(problems),
                      "examples": problems[:5], "behind": late[:5]}), flush=True)


main()
