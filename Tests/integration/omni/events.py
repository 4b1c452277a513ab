"""A WebSocket's events: received in the background, awaited by what they say."""
import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed


class Events:
    def __init__(self, socket: ClientConnection):
        self.socket = socket
        # Everything received, in order: decoded JSON, or the text itself where it is none.
        self.seen: list = []
        self.arrived = asyncio.Condition()
        self.is_closed = False

    @classmethod
    @asynccontextmanager
    async def listening(cls, socket: ClientConnection) -> AsyncIterator["Events"]:
        events = cls(socket)
        task = asyncio.create_task(events._receive())
        try:
            yield events
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _receive(self) -> None:
        try:
            async for text in self.socket:
                try:
                    self.seen.append(json.loads(text))
                except ValueError:
                    self.seen.append(text)
                async with self.arrived:
                    self.arrived.notify_all()
        except ConnectionClosed:
            pass
        self.is_closed = True
        async with self.arrived:
            self.arrived.notify_all()

    async def send(self, message) -> None:
        await self.socket.send(message if isinstance(message, (str, bytes)) else json.dumps(message))

    async def subscribe(self, *types: str, **filters) -> str:
        """Subscribes and returns the subscription's id."""
        count = len(self.of_type("subscribed"))
        await self.send({"action": "subscribe", "event_types": list(types), "filters": filters})
        await self.until(lambda: len(self.of_type("subscribed")) > count)
        return self.of_type("subscribed")[-1]["subscription_id"]

    def of_type(self, kind: str) -> list[dict]:
        return [one for one in self.seen if isinstance(one, dict) and one.get("type") == kind]

    async def until(self, condition: Callable[[], object], within: float = 10, what: str = ""):
        """Waits until the condition holds, looking anew whenever something arrives."""
        async with self.arrived:
            deadline = time.monotonic() + within
            while not (value := condition()):
                rest = deadline - time.monotonic()
                if rest <= 0 or self.is_closed:
                    state = f"closed {self.socket.close_code}" if self.is_closed else f"not within {within} s"
                    raise AssertionError(f"{state}: {what or 'event'}; received {self.seen!r}")
                try:
                    await asyncio.wait_for(self.arrived.wait(), rest)
                except TimeoutError:
                    pass
            return value

    async def first(self, within: float = 10):
        return await self.until(lambda: self.seen[:1], within, "first frame") and self.seen[0]

    async def event(self, kind: str, within: float = 10, where: Callable[[dict], bool] = lambda _: True) -> dict:
        """The first event of that type for which `where` holds."""

        def found():
            return next((one for one in self.of_type(kind) if where(one)), None)

        return await self.until(found, within, kind)

    async def text(self, wanted: str, within: float = 10) -> None:
        await self.until(lambda: wanted in self.seen, within, wanted)

    async def fence(self, within: float = 10) -> None:
        """Waits for the answer to a ping of ours: what was sent before it has been handled."""
        count = self.seen.count("pong")
        await self.send({"action": "ping"})
        await self.until(lambda: self.seen.count("pong") > count, within, "pong")

    async def closed(self, within: float = 10) -> int:
        """Waits for the end and returns the close code."""
        await asyncio.wait_for(self.socket.wait_closed(), within)
        return self.socket.close_code
