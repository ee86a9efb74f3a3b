"""Honest clients in separate processes, so that the harness does not slow them.

    traffic.py paced PORT MODEL          a request every 50 ms, independent of earlier ones
    traffic.py steady PORT MODEL COUNT   COUNT clients, each with one request after the other

Each request prints two lines: at its start, the start time (monotonic seconds); at its end, the
start time, the duration in milliseconds, 1 if the answer was right, else 0, the status or error,
the kind of request (stream or whole), and the milliseconds to the connection and to the first byte.
The process ends when standard input ends.

The environment variable EXPECTED has the right answer, and KEY the clients' key.
"""

import asyncio
import json
import os
import sys
import time

PATIENCE = 30
PACE = 0.05
MOST_OPEN = 400


KEY = os.environ.get("KEY", "")
AUTHORISATION = f"authorization: Bearer {KEY}\r\n".encode() if KEY else b""


async def ask(port, body, times):
    """Returns status and body of one answer. Appends the times of connection and first byte."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times.append(time.monotonic())
    try:
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n"
            b"content-type: application/json\r\n%scontent-length: %d\r\n\r\n"
            % (AUTHORISATION, len(body)) + body)
        await writer.drain()
        data = await reader.read(1 << 20)
        times.append(time.monotonic())
        while piece := await reader.read(1 << 16):
            data += piece
        return int(data.split(b" ", 2)[1]), data.partition(b"\r\n\r\n")[2]
    finally:
        writer.close()


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


async def one(port, model, number, expected):
    stream = number % 2 == 0
    body = json.dumps({
        "model": model, "stream": stream,
        "messages": [{"role": "user", "content": f"Question {number}"}]}).encode()
    began = time.monotonic()
    print(f"{began:.6f}", flush=True)
    result, times = "wrong", []
    try:
        status, answer = await asyncio.wait_for(ask(port, body, times), PATIENCE)
        result = str(status)
        right = status == 200 and text_of(answer, stream) == expected
    except (OSError, ValueError, KeyError, IndexError, TypeError, asyncio.TimeoutError,
            asyncio.IncompleteReadError) as error:
        right = False
        result += f"-{type(error).__name__}"
    ended = time.monotonic()
    took = [(moment - began) * 1e3 for moment in (times + [ended, ended])[:2]]
    print(f"{began:.6f} {(ended - began) * 1e3:.2f} {int(right)} {result} "
          f"{'stream' if stream else 'whole'} {took[0]:.2f} {took[1]:.2f}", flush=True)


async def paced(port, model, expected):
    open_requests = set()
    number = 0
    next_one = time.monotonic()
    while True:
        if len(open_requests) < MOST_OPEN:
            task = asyncio.create_task(one(port, model, number, expected))
            open_requests.add(task)
            task.add_done_callback(open_requests.discard)
        number += 1
        next_one += PACE
        await asyncio.sleep(max(0, next_one - time.monotonic()))


async def steady(port, model, expected, count):
    async def client(first):
        number = first
        while True:
            await one(port, model, number, expected)
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
