"""Honest clients in separate processes, so that the harness does not slow them.

    traffic.py paced PORT MODEL          a request every 50 ms, independent of earlier ones
    traffic.py steady PORT MODEL COUNT   COUNT clients, each with one request after the other

Each request prints two lines: at its start, the start time (monotonic seconds); at its end, the
start time, the duration in milliseconds, 1 if the answer was right, else 0, the status or error,
the kind of request (stream or whole, -kept on a kept connection), and the milliseconds to the connection and to the first byte.
The process ends when standard input ends.

The environment variable EXPECTED has the right answer, and KEY the clients' key.
"""

import asyncio
import json
import os
import re
import sys
import time

PATIENCE = 30
PACE = 0.05
MOST_OPEN = 400


KEY = os.environ.get("KEY", "")
AUTHORISATION = f"authorization: Bearer {KEY}\r\n".encode() if KEY else b""


class Connection:
    """A connection to the gateway. A kept one serves one request after the other, as in an SDK."""

    def __init__(self, port, is_kept):
        self.port = port
        self.is_kept = is_kept
        self.reader = self.writer = None

    async def ask(self, body, times):
        """Returns status and body of one answer. Appends the times of connection and first byte."""
        is_used = self.writer is not None
        try:
            return await self.exchange(body, times)
        except (OSError, asyncio.IncompleteReadError):
            # The gateway may close a connection that waits for a request.
            if not is_used or len(times) > 1:
                raise
            self.close()
            times.clear()
            return await self.exchange(body, times)
        finally:
            if not self.is_kept:
                self.close()

    async def exchange(self, body, times):
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        times.append(time.monotonic())
        self.writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n%s"
            b"content-type: application/json\r\n%scontent-length: %d\r\n\r\n"
            % (b"" if self.is_kept else b"connection: close\r\n", AUTHORISATION, len(body)) + body)
        await self.writer.drain()
        head = await self.reader.readuntil(b"\r\n\r\n")
        times.append(time.monotonic())
        status = int(head.split(b" ", 2)[1])
        length = re.search(rb"content-length: *(\d+)", head, re.I)
        if length:
            return status, await self.reader.readexactly(int(length[1]))
        data = b""
        while size := int(await self.reader.readline(), 16):
            data += await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)
        return status, data

    def close(self):
        if self.writer:
            self.writer.close()
        self.reader = self.writer = None


def text_of(body, stream):
    if not stream:
        start, end = body.find(b"{"), body.rfind(b"}")
        return json.loads(body[start : end + 1])["choices"][0]["message"]["content"]
    text = ""
    done = False
    for line in body.split(b"\n"):
        if line.startswith(b"data: {"):
            for choice in json.loads(line[6:])["choices"]:
                text += choice["delta"].get("content") or ""
        done = done or line.startswith(b"data: [DONE]")
    return text if done else None


async def one(connection, model, number, expected):
    stream = number % 2 == 0
    body = json.dumps({
        "model": model, "stream": stream,
        "messages": [{"role": "user", "content": f"Question {number}"}]}).encode()
    began = time.monotonic()
    print(f"{began:.6f}", flush=True)
    result, times = "wrong", []
    try:
        status, answer = await asyncio.wait_for(connection.ask(body, times), PATIENCE)
        result = str(status)
        right = status == 200 and text_of(answer, stream) == expected
    except (OSError, ValueError, KeyError, IndexError, TypeError, asyncio.TimeoutError,
            asyncio.IncompleteReadError) as error:
        connection.close()
        right = False
        result += f"-{type(error).__name__}"
    ended = time.monotonic()
    took = [(moment - began) * 1e3 for moment in (times + [ended, ended])[:2]]
    print(f"{began:.6f} {(ended - began) * 1e3:.2f} {int(right)} {result} "
          f"{'stream' if stream else 'whole'}{'-kept' if connection.is_kept else ''} {took[0]:.2f} {took[1]:.2f}", flush=True)


async def paced(port, model, expected):
    open_requests = set()
    number = 0
    next_one = time.monotonic()
    while True:
        if len(open_requests) < MOST_OPEN:
            task = asyncio.create_task(one(Connection(port, False), model, number, expected))
            open_requests.add(task)
            task.add_done_callback(open_requests.discard)
        number += 1
        next_one += PACE
        await asyncio.sleep(max(0, next_one - time.monotonic()))


async def steady(port, model, expected, count):
    async def client(first):
        number = first
        # Clients 0 and 1 of 4 keep their connection, so that each kind has streams and whole answers.
        connection = Connection(port, first % 4 < 2)
        while True:
            await one(connection, model, number, expected)
            number += count
            await asyncio.sleep(0.1)

    await asyncio.gather(*(client(first) for first in range(count)))


async def main():
    kind, port, model = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    expected = os.environ["EXPECTED"]
    work = asyncio.create_task(
        paced(port, model, expected) if kind == "paced"
        else steady(port, model, expected, int(sys.argv[4])))
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    work.cancel()


if __name__ == "__main__":
    asyncio.run(main())
