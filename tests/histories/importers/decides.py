"""A server that says when it decided: late, in pieces, after an interim answer, or never.

python decides.py PORT
"""

import asyncio
import itertools
import random
import sys
import time

RNG = random.Random(4)
TURNS = itertools.cycle(("in pieces", "no", "interim", "", "hang up", "too late", "", ""))


async def answer(writer: asyncio.StreamWriter, turn: str) -> bool:
    """Answer one request; False if the connection is to be closed."""
    if turn == "interim":
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        await writer.drain()
    await asyncio.sleep(RNG.random() * 0.03 + (turn == "too late"))
    if turn == "hang up":
        return False
    status = (
        b'429 No\r\nRetry-After: 3\r\nRateLimit: "default";r=0;t=3' if turn == "no" else b"200 OK"
    )
    lines = b"HTTP/1.1 %b\r\nX-Decided-Ns: %d\r\nContent-Length: 2\r\n\r\nok"
    data = lines % (status, time.time_ns())
    size = 9 if turn == "in pieces" else len(data)
    for start in range(0, len(data), size):
        writer.write(data[start : start + size])
        await writer.drain()
        await asyncio.sleep(0.002 if size == 9 else 0)
    return True


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection."""
    try:
        while await reader.readuntil(b"\r\n\r\n") and await answer(writer, next(TURNS)):
            pass
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    """Serve until killed."""
    async with await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()


asyncio.run(main())
