"""HTTP and WebSocket as bare bytes, for what no library would send."""
import base64
import http.client
import io
import os
import socket
import struct
from dataclasses import dataclass


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Conversation:
    """A TCP connection that sends exactly what it is told."""

    def __init__(self, port: int, timeout: float = 10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.stream = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()

    def send(self, data: bytes, piece: int | None = None) -> None:
        """Sends everything, or in pieces of so many bytes. A peer that hangs up early is no error."""
        try:
            for start in range(0, len(data), piece or max(len(data), 1)):
                self.socket.sendall(data[start:start + (piece or len(data))])
        except (BrokenPipeError, ConnectionResetError):
            pass

    def answer(self, method: str = "GET") -> Answer | None:
        """The next answer, or nil when the peer closed without one."""
        try:
            if not self.stream.peek(1):
                return None
            response = http.client.HTTPResponse(_Stream(self.stream), method=method)
            response.begin()
            body = b"" if response.status == 101 else response.read()
        except ConnectionResetError:
            return None
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)

    def is_closed(self) -> bool:
        """Waits for the peer's end of stream."""
        try:
            return self.stream.read(1) == b""
        except ConnectionResetError:
            return True

    def read(self, count: int) -> bytes:
        return self.stream.read(count)


class _Stream:
    """What HTTPResponse takes for a socket; leaves the stream open for the next answer."""

    def __init__(self, stream: io.BufferedReader):
        self.stream = stream

    def makefile(self, _mode: str):
        return _Unclosed(self.stream)


class _Unclosed:
    def __init__(self, stream):
        self.stream = stream

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def close(self):
        pass

    def flush(self):
        pass


def exchange(port: int, data: bytes, piece: int | None = None, timeout: float = 10) -> Answer | None:
    """Sends the bytes on a fresh connection and returns the first answer."""
    with Conversation(port, timeout) as conversation:
        conversation.send(data, piece)
        return conversation.answer()


class RawWebSocket(Conversation):
    """A WebSocket client that may break every rule of framing."""

    def __init__(self, port: int, token: str, path: str = "/ws"):
        super().__init__(port)
        key = base64.b64encode(os.urandom(16)).decode()
        self.send((f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
                   f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                   f"Authorization: Bearer {token}\r\n\r\n").encode())
        answer = self.answer()
        assert answer is not None and answer.status == 101, answer

    def frame(self, opcode: int, payload: bytes = b"", fin: bool = True, masked: bool = True,
              reserved: int = 0, length: int | None = None) -> bytes:
        """A frame; `length` overrides what the header claims."""
        claimed = len(payload) if length is None else length
        head = bytes([(0x80 if fin else 0) | (reserved << 4) | opcode])
        flag = 0x80 if masked else 0
        if claimed < 126:
            head += bytes([flag | claimed])
        elif claimed < 65536:
            head += bytes([flag | 126]) + struct.pack("!H", claimed)
        else:
            head += bytes([flag | 127]) + struct.pack("!Q", claimed)
        if not masked:
            return head + payload
        mask = os.urandom(4)
        return head + mask + bytes(byte ^ mask[index & 3] for index, byte in enumerate(payload))

    def receive(self) -> tuple[int, bytes] | None:
        """The next frame as (opcode, payload), or nil at the end of the stream."""
        try:
            head = self.read(2)
            if len(head) < 2:
                return None
            length = head[1] & 0x7F
            if length == 126:
                length = struct.unpack("!H", self.read(2))[0]
            elif length == 127:
                length = struct.unpack("!Q", self.read(8))[0]
            assert not head[1] & 0x80, "a server must not mask"
            return head[0] & 0x0F, self.read(length)
        except ConnectionResetError:
            return None

    def close_code(self) -> int | None:
        """Reads on until the close frame; nil when the stream ends without one."""
        while (frame := self.receive()) is not None:
            if frame[0] == 8:
                return struct.unpack("!H", frame[1][:2])[0] if len(frame[1]) >= 2 else 1005
        return None
