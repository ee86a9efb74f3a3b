"""Hostile clients.

Each row is a function of (port, seconds). It returns None, or a sentence if the gateway's answer
breaks a limit. All rows are bounded in connections, bytes and time.

    clients.py list                          lists the rows
    clients.py ROW PORT SECONDS [MODEL]      plays a row; prints {"words": …, "statuses": […]}

`player.py` plays rows in processes of their own.
"""

import json
import os
import socket
import sys
import threading
import time

from cluster import GOOD_MODEL, LARGE_MODEL

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
USER = {"role": "user", "content": "hi"}
ROWS = {}
# Statuses of all answers since the harness last cleared the list. 0 means no answer.
STATUSES = []
# Address of the hostile client. Empty: the address of the honest clients.
SOURCE = os.environ.get("HOSTILE_SOURCE", "")
# Header of requests to a cluster that requires keys.
AUTHORISATION = ""


def row(function):
    ROWS["client-" + function.__name__.replace("_", "-")] = function
    return function


def connect(port, timeout=10, buffer=None):
    connection = socket.socket()
    connection.settimeout(timeout)
    if buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    try:
        if SOURCE:
            # IP_BIND_ADDRESS_NO_PORT: without it, a port of an earlier connection is not used again.
            connection.setsockopt(socket.IPPROTO_IP, 24, 1)
            connection.bind((SOURCE, 0))
        connection.connect(("127.0.0.1", port))
    except OSError:
        connection.close()
        raise
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def head(method, path, length, more=""):
    return (
        f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"connection: close\r\n{more or AUTHORISATION}content-length: {length}\r\n\r\n").encode()


def exchange(port, method, path, body=b"", more="", seconds=20, raw=None):
    """Returns the status of the answer (0: no answer) and its size in bytes."""
    deadline = time.monotonic() + seconds
    first, count = b"", 0
    try:
        with connect(port, seconds) as connection:
            try:
                connection.sendall(raw if raw is not None else head(method, path, len(body), more) + body)
            except ConnectionError:
                pass  # the server may answer before it has read a large body
            while time.monotonic() < deadline:
                connection.settimeout(max(0.01, deadline - time.monotonic()))
                piece = connection.recv(1 << 16)
                if not piece:
                    break
                count += len(piece)
                first = first or piece
    except OSError:
        pass
    try:
        status = int(first.split(b" ", 2)[1])
    except (IndexError, ValueError):
        status = 0
    STATUSES.append(status)
    return status, count


def chat(port, value, seconds=20, path=CHAT):
    return exchange(port, "POST", path, json.dumps(value).encode(), seconds=seconds)


def good(**more):
    return {"model": GOOD_MODEL, "messages": [USER], **more}


def opening():
    return b'{"model":"%s","messages":' % LARGE_MODEL.encode()


def large(content):
    return {"model": LARGE_MODEL, "messages": [{"role": "user", "content": content}]}


def together(count, work):
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def held(port, count, seconds, first=b"", each=None):
    """Holds connections open. Sends `first` on each, then `each` every second."""
    connections = []
    try:
        for _ in range(count):
            try:
                # Small, so that the kernel does not buffer the unread answer.
                connection = connect(port, 2, buffer=4_096)
                connections.append(connection)
                connection.sendall(first)
            except OSError:
                break
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(1)
            for connection in connections if each else []:
                try:
                    connection.sendall(each)
                except OSError:
                    pass
    finally:
        for connection in connections:
            connection.close()


# Connections


@row
def idle_connections(port, seconds):
    held(port, 600, seconds)


@row
def kept_connections(port, seconds):
    held(port, 600, seconds, b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")


@row
def renewed_connections(port, seconds):
    ask = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
    held(port, 600, seconds, ask, ask)


@row
def half_heads(port, seconds):
    held(port, 600, seconds, b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n", b"x-a: b\r\n")


@row
def slow_bodies(port, seconds):
    held(port, 300, seconds, head("POST", CHAT, 100_000) + b'{"model":"', b"a")


@row
def expect_continue(port, seconds):
    held(port, 300, seconds, head("POST", CHAT, 100_000, "expect: 100-continue\r\n"))


@row
def large_halves(port, seconds):
    body = opening() + b'[{"role":"user","content":"' + b"a" * 6_000_000
    held(port, 30, seconds, head("POST", CHAT, len(body) + 1_000) + body, b"a")


@row
def unread_pipeline(port, seconds):
    held(port, 4, seconds, b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n" * 4_000)


@row
def unread_answers(port, seconds):
    body = json.dumps({**large("hi"), "stream": True}).encode()
    held(port, 300, seconds, head("POST", CHAT, len(body)) + body)


@row
def storm(port, seconds):
    deadline = time.monotonic() + seconds
    together(30, lambda _: [chat(port, good(stream=True)) for _ in range(100)
                            if time.monotonic() < deadline])


@row
def leavers(port, seconds):
    body = json.dumps(good(stream=True)).encode()
    deadline = time.monotonic() + seconds

    def leave(_):
        for _ in range(200):
            if time.monotonic() > deadline:
                return
            try:
                with connect(port, 2) as connection:
                    connection.sendall(head("POST", CHAT, len(body)) + body)
            except OSError:
                pass

    together(10, leave)


@row
def small_chunks(port, seconds):
    body = json.dumps(good()).encode() + b" " * 100_000
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    raw = (b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
           b"transfer-encoding: chunked\r\n\r\n" + chunks)
    together(4, lambda _: exchange(port, "", "", raw=raw))


# Framing


def refused(port, raw, what):
    status, _ = exchange(port, "", "", raw=raw, seconds=5)
    return None if status in (400, 505) else f"{what} got {status}, not 400"


@row
def no_host(port, seconds):
    return refused(port, b"GET /health HTTP/1.1\r\nconnection: close\r\n\r\n", "a request without Host")


@row
def two_hosts(port, seconds):
    return refused(
        port, b"GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n",
        "a request with two Hosts")


@row
def old_chunked(port, seconds):
    return refused(
        port, b"POST /v1/chat/completions HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
        b"0\r\n\r\n", "chunked coding in HTTP/1.0")


# Requests


def bounded_error(port, body, path=CHAT, times=2):
    most = 0
    for _ in range(times):
        status, count = exchange(port, "POST", path, body)
        most = max(most, count)
    return f"an error answer had {most} bytes" if most > 64 << 10 else None


@row
def options_million(port, seconds):
    return bounded_error(
        port, json.dumps(good()).encode()[:-1] + b',"tutti":{' + b'"a":1,' * 999_999 + b'"a":1}}')


@row
def options_distinct(port, seconds):
    options = b",".join(b'"o%d":1' % number for number in range(500_000))
    return bounded_error(port, json.dumps(good()).encode()[:-1] + b',"tutti":{' + options + b"}}")


@row
def members_million(port, seconds):
    return bounded_error(
        port, json.dumps(good()).encode()[:-1] + b"," + b'"a":1,' * 999_999 + b'"a":1}')


@row
def option_name(port, seconds):
    return bounded_error(
        port, json.dumps(good(tutti={"o" * 5_000_000: 1})).encode())


@row
def messages_many(port, seconds):
    return bounded_error(port, json.dumps(good(messages=[USER] * 10_000)).encode())


@row
def messages_empty_arrays(port, seconds):
    return bounded_error(port, opening() + b"[" + b"[]," * 3_000_000 + b"[]]}")


@row
def parts_many(port, seconds):
    part = {"type": "text", "text": "a"}
    return bounded_error(
        port, json.dumps(large([part] * 100_000)).encode())


@row
def escapes(port, seconds):
    text = b"\\u00e9" * 600_000
    body = opening() + b'[{"role":"user","content":"' + text + b'"}]}'
    together(4, lambda _: exchange(port, "POST", CHAT, body))


@row
def marks(port, seconds):
    body = json.dumps(large("a" + "\u0301" * 1_500_000), ensure_ascii=False).encode()
    together(4, lambda _: exchange(port, "POST", CHAT, body))


@row
def large_bodies(port, seconds):
    body = json.dumps(large("a" * 3_900_000)).encode()
    together(20, lambda _: exchange(port, "POST", CHAT, body))


@row
def bodies_at_once(port, seconds):
    """More large bodies than a client's share of the memory, so that most of them wait."""
    body = json.dumps(large("a" * 3_900_000)).encode()
    together(200, lambda _: exchange(port, "POST", CHAT, body, seconds=seconds))


@row
def bodies_unneeded(port, seconds):
    """Requests that are answered without their bodies."""
    deadline = time.monotonic() + seconds
    body = b"a" * 3_900_000

    def send(number):
        more = "content-encoding: snappy\r\n" if number % 2 else ""
        path = CHAT if number % 2 else "/v1/unknown"
        while time.monotonic() < deadline:
            exchange(port, "POST", path, body, more, seconds=5)

    together(60, send)
    return None if set(STATUSES) <= {0, 404, 415} else "an odd status"


@row
def stops(port, seconds):
    chat(port, good(stream=True, stop=["a" * 200 + str(number) for number in range(20_000)]))
    chat(port, good(stream=True, stop=["T" * 2_000_000]))


def at_once(port, value, path=CHAT, count=12):
    """Sends requests that the host cannot fulfil, then an honest one."""
    together(count, lambda number: chat(port, {**value, "seed": number}, path=path))
    status, _ = chat(port, good(seed=1_000))
    return None if status == 200 else f"an honest request got {status} afterwards"


@row
def choices(port, seconds):
    return at_once(port, good(n=2, stream=True))


@row
def choices_whole(port, seconds):
    return at_once(port, good(n=2))


@row
def choices_most(port, seconds):
    return at_once(port, good(n=128))


@row
def best_of(port, seconds):
    return at_once(port, {"model": GOOD_MODEL, "prompt": "hi", "best_of": 2}, COMPLETIONS)


@row
def prompts_many(port, seconds):
    return at_once(port, {"model": GOOD_MODEL, "prompt": ["a", "b"]}, COMPLETIONS)


@row
def deadlines(port, seconds):
    for name in ("first_token", "inter_token", "total"):
        words = at_once(port, good(stream=True, tutti={"deadlines_ms": {name: 1}}))
        if words:
            return words


@row
def deadlines_long(port, seconds):
    for _ in range(6):
        chat(port, good(tutti={"deadlines_ms": {"total": 86_400_000, "first_token": 86_400_000}}))


# Plans


def preview(port, text, seconds=30, **options):
    return chat(
        port, {"model": "tutti/auto", "messages": [{"role": "user", "content": text}], **options},
        seconds=seconds, path="/v1/plans")


def previews(port, text, count=2, **options):
    """Sends plans with hostile texts, then an honest one."""
    together(count, lambda _: preview(port, text, **options))
    status, _ = preview(port, "Compare 1. rain, 2. wind and 3. snow in a paragraph each.")
    return None if status == 200 else f"an honest plan got {status} afterwards"


@row
def plan_sentences(port, seconds):
    return previews(port, "a. " * 20_000)


@row
def plan_items(port, seconds):
    return previews(port, "".join(f"{number}. a\n" for number in range(8_000)))


@row
def plan_commas(port, seconds):
    return previews(port, "compare " + "a, " * 20_000 + "and b")


@row
def plan_questions(port, seconds):
    return previews(port, "why? " * 12_000)


@row
def plan_quotes(port, seconds):
    return previews(port, "\"'`" * 20_000)


@row
def plan_brackets(port, seconds):
    return previews(port, "([{<" * 15_000)


@row
def plan_marks(port, seconds):
    return previews(port, "a" + "\u0301" * 30_000)


@row
def plan_lines(port, seconds):
    return previews(port, "\n" * 60_000)


@row
def plan_documents(port, seconds):
    documents = [{"title": f"d{number}", "text": "a. " * 30_000} for number in range(100)]
    return previews(port, "What is said?", tutti={"documents": documents})


@row
def plan_storm(port, seconds):
    return previews(port, "Compare rain and wind. " * 100, count=100)


@row
def plans_unread(port, seconds):
    body = json.dumps({
        "model": "tutti/ensemble", "stream": True, "messages": [USER]}).encode()
    held(port, 100, seconds, head("POST", CHAT, len(body)) + body)


# Other surfaces


@row
def models_flood(port, seconds):
    deadline = time.monotonic() + seconds
    together(20, lambda _: [exchange(port, "GET", "/v1/models") for _ in range(100)
                            if time.monotonic() < deadline])


@row
def long_path(port, seconds):
    together(10, lambda _: exchange(port, "GET", "/" + "p" * 1_000_000))


@row
def model_names(port, seconds):
    for number in range(300):
        chat(port, {"model": f"no-such-model-{number}" + "a" * 200, "messages": [USER]})


# Clients of hostile hosts


HOST_ROW_SECONDS = 20
UNREAD_SECONDS = 6


def of_host(port, row):
    """Runs the clients that a host's row needs. Returns the statuses of their answers."""
    client = row["client"]
    value = {"model": GOOD_MODEL if client["is_shared"] else f"hostile/{row['name']}"}
    if client["path"] == "/v1/embeddings":
        value["input"] = "hi"
    else:
        value.update(messages=[USER], stream=client["stream"])
    if client.get("first_token_ms"):
        value["tutti"] = {"deadlines_ms": {"first_token": client["first_token_ms"]}}
    body = json.dumps(value).encode()
    statuses = []
    if not client["reads"]:
        held(port, client["clients"], UNREAD_SECONDS, head("POST", client["path"], len(body)) + body)
        return statuses
    deadline = time.monotonic() + HOST_ROW_SECONDS

    def ask(_):
        mine = dict(value)
        for number in range(client["times"]):
            left = deadline - time.monotonic()
            if left <= 0:
                return
            # Hosts cache prompts, so each request has its own prompt.
            if "messages" in mine:
                mine["messages"] = [{"role": "user", "content": f"hi {number}"}]
            text = json.dumps(mine).encode()
            statuses.append(exchange(port, "POST", client["path"], text, seconds=left)[0])

    together(client["clients"], ask)
    return statuses


if __name__ == "__main__":
    if sys.argv[1] == "list":
        print("\n".join(ROWS))
    else:
        if len(sys.argv) > 4:
            GOOD_MODEL = LARGE_MODEL = sys.argv[4]
        said = ROWS[sys.argv[1]](int(sys.argv[2]), float(sys.argv[3]))
        print(json.dumps({"words": said, "statuses": sorted(set(STATUSES))}))
