"""Fan-out with Python's websockets: its broadcast(), which frames once and writes to each."""
import asyncio
import sys

from websockets.asyncio.server import broadcast, serve

subscribers = set()


async def handle(connection):
    if connection.request.path == "/pub":
        async for message in connection:
            broadcast(subscribers, message)
        return
    subscribers.add(connection)
    try:
        await connection.wait_closed()
    finally:
        subscribers.discard(connection)


async def main():
    async with serve(handle, "127.0.0.1", int(sys.argv[1]), compression=None, backlog=4096,
                     ping_interval=None):
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
