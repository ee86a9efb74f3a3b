"""Hostile clients of a cluster with keys, and strangers without one, at all its ports.

Each row is a function of (target, seconds). It returns None, or a sentence if an answer breaks a
limit.
"""

import json
import socket
import time

import clients
from clients import CHAT, USER, exchange, good, head, held, together

ROWS = {}
UNAUTHORISED, LIMITED = (401, 403), (429, 503)


def row(function):
    ROWS["account-" + function.__name__.replace("_", "-")] = function
    return function


class Target:
    """The ports of a cluster and the keys of its clients."""

    def __init__(self, port, keys):
        self.gateway, self.registry, self.monitor = port, port + 1, port + 2
        self.keys = keys

    def bearer(self, name):
        """The header with a key; empty if the cluster requires none."""
        key = self.keys.get(name)
        return f"authorization: Bearer {key}\r\n" if key else ""


def get(port, path, more="", seconds=20):
    return exchange(port, "GET", path, more=more, seconds=seconds)


def chat(target, key, value, seconds=20):
    return exchange(
        target.gateway, "POST", CHAT, json.dumps(value).encode(), target.bearer(key), seconds)[0]


def kept(port, request, seconds, count=20, most=20_000):
    """Sends the same request on kept connections, one after the answer to the other.

    Returns the number of answers."""
    deadline = time.monotonic() + seconds
    counts = []

    def send(_):
        answers = 0
        try:
            with clients.connect(port, 5) as connection:
                reader = connection.makefile("rb")
                while time.monotonic() < deadline and answers < most:
                    connection.sendall(request)
                    status = reader.readline()
                    if not status:
                        break
                    length = 0
                    while (line := reader.readline()) not in (b"\r\n", b""):
                        if line.lower().startswith(b"content-length:"):
                            length = int(line.split(b":")[1])
                    reader.read(length)
                    clients.STATUSES.append(int(status.split(b" ", 2)[1]))
                    answers += 1
        except (OSError, ValueError, IndexError):
            pass
        counts.append(answers)

    together(count, send)
    return sum(counts)


def request(method, path, more="", body=b""):
    return (f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"{more}content-length: {len(body)}\r\n\r\n").encode() + body


def only(allowed, what):
    """A sentence if another status than these was seen. 0 means that the connection was closed."""
    others = sorted(set(clients.STATUSES) - set(allowed) - {0})
    return f"{what} got {others}" if others else None


# Keys


@row
def wrong_keys(target, seconds):
    body = json.dumps(good()).encode()
    bearer = "authorization: Bearer tutti-abcdefghij23-" + "a" * 42 + "A\r\n"
    kept(target.gateway, request("POST", CHAT, bearer, body), seconds)
    return only((401, 429), "a wrong key")


@row
def no_keys(target, seconds):
    """Displaces no record of others from the request log, and is counted in metrics."""
    body = json.dumps(good()).encode()
    kept(target.gateway, request("POST", CHAT, "", body), seconds)
    time.sleep(2)
    with clients.connect(target.monitor, 10) as connection:
        connection.sendall(request("GET", "/requests?limit=1000", target.bearer("honest"))
                           .replace(b"content-length", b"connection: close\r\ncontent-length"))
        data = b""
        while piece := connection.recv(1 << 16):
            data += piece
    records = json.loads(data.partition(b"\r\n\r\n")[2])["data"]
    if not records:
        return "the log has no record of the honest key"
    return only((401, 429), "a request without a key")


@row
def long_keys(target, seconds):
    for key in ("a" * 16_000, "tutti-" + "a" * 1_000_000, "tutti-abcdefghij23-" + "\u00e9" * 4_000):
        for name in ("authorization: Bearer ", "x-api-key: ", "api-key: "):
            exchange(target.gateway, "POST", CHAT, b"{}", f"{name}{key}\r\n".encode().decode("latin-1"))
    for query in ("api_key=" + target.keys.get("flood", ""), "a=" + "b" * 20_000, "&".join("x=1" for _ in range(5_000))):
        get(target.gateway, "/v1/models?" + query)
    return only((200, 400, 401, 404, 414, 429, 431), "a long key")


@row
def many_headers(target, seconds):
    many = "".join(f"x-api-key: {'k' * 100}\r\n" for _ in range(90))
    kept(target.gateway, request("GET", "/v1/models", many), seconds)
    return only((400, 401, 429, 431), "many keys")


@row
def bodies_above_the_limit(target, seconds):
    """A key above its requests per minute sends large bodies."""
    for _ in range(12):
        chat(target, "limited", good())
    body = json.dumps(clients.large("a" * 3_900_000)).encode()
    deadline = time.monotonic() + seconds

    def send(_):
        while time.monotonic() < deadline:
            exchange(target.gateway, "POST", CHAT, body, target.bearer("limited"), seconds=5)

    together(8, send)
    return None if 429 in clients.STATUSES else "no request was above the limit"


# Money


@row
def waiting_for_money(target, seconds):
    """500 requests of a key wait for a budget that pays none of them at once."""
    body = json.dumps(good(stream=True, max_tokens=1_000_000)).encode()
    held(target.gateway, 500, seconds, head("POST", CHAT, len(body), target.bearer("poor")) + body)
    status = chat(target, "honest", good())
    return None if status == 200 else f"an honest request got {status} next to them"


@row
def empty_budget(target, seconds):
    body = json.dumps(good(max_tokens=1_000_000)).encode()
    kept(target.gateway, request("POST", CHAT, target.bearer("poor"), body), seconds)
    return only((200, 402, 429, 503), "an empty budget")


@row
def leavers_with_holds(target, seconds):
    body = json.dumps(good(stream=True)).encode()
    first = head("POST", CHAT, len(body), target.bearer("flood")) + body
    deadline = time.monotonic() + seconds

    def leave(_):
        while time.monotonic() < deadline:
            try:
                with clients.connect(target.gateway, 2) as connection:
                    connection.sendall(first)
            except OSError:
                pass

    together(10, leave)


@row
def unread_with_holds(target, seconds):
    body = json.dumps({**clients.large("hi"), "stream": True}).encode()
    held(target.gateway, 300, seconds, head("POST", CHAT, len(body), target.bearer("flood")) + body)
    status = chat(target, "honest", good())
    return None if status == 200 else f"an honest request got {status} next to them"


# Usage, lists and small pages


@row
def usage_flood(target, seconds):
    kept(target.gateway, request("GET", "/v1/usage?days=31", target.bearer("flood")), seconds, 30)
    return only((200, 429, 503), "a request for usage")


@row
def usage_odd(target, seconds):
    for query in ("days=0", "days=-1", "days=99999999999999999999", "days=1&days=2", "x=" + "y" * 8_000,
                  "days=%00", "days=" + "9" * 8_000):
        get(target.gateway, "/v1/usage?" + query, target.bearer("flood"))
    return only((200, 400, 429, 431), "an odd request for usage")


@row
def models_kept(target, seconds):
    kept(target.gateway, request("GET", "/v1/models", target.bearer("flood")), seconds, 30)
    return only((200, 429, 503), "a list of models")


@row
def near_names(target, seconds):
    names = ["vendor-1/some.model-name-v1-instruct-q5", "z" * 250, "\u00e9-" * 80 + "embed"]
    deadline = time.monotonic() + seconds

    def send(number):
        value = {"model": names[number % 3], "messages": [USER]}
        while time.monotonic() < deadline:
            chat(target, "flood", value)

    together(12, send)
    return only((404, 429, 503), "an unknown model")


@row
def ready_flood(target, seconds):
    """Needs no key."""
    kept(target.gateway, request("GET", "/ready"), seconds, 30)
    return only((200, 503, 429), "GET /ready")


@row
def metrics_flood(target, seconds):
    for port in (target.gateway, target.registry, target.monitor):
        kept(port, request("GET", "/metrics", target.bearer("scraper")), seconds / 3, 20)
    return only((200, 429, 503), "GET /metrics")


# The admin API and the monitor


@row
def admin_guesses(target, seconds):
    for path in ("/admin/v1/hosts", "/admin/v1/keys", "/admin/v1/proof?nonce=" + "0" * 64):
        kept(target.registry, request("GET", path, "authorization: Bearer wrong\r\n"), seconds / 3)
    return only((200, 401, 429), "a wrong admin token")


@row
def admin_lists(target, seconds):
    """An admin who may only read asks for the most expensive lists at once."""
    paths = ["/hosts?limit=1000", "/keys?limit=1000", "/organisations?limit=1000", "/prices?limit=1000",
             "/models?limit=1000", "/audit?limit=1000&id=none", "/ledger?limit=1000",
             "/ledger/balances?limit=1000", "/ledger/export?format=csv", "/ledger/verify",
             "/openapi.json", "/settings"]
    together(len(paths), lambda number: kept(
        target.registry, request("GET", "/admin/v1" + paths[number], target.bearer("reader")), seconds, 4))
    return only((200, 429, 503), "a list of the admin API")


@row
def admin_odd(target, seconds):
    deep = b'{"a":' * 10_000 + b"1" + b"}" * 10_000
    wide = b"{" + b",".join(b'"m%d":1' % n for n in range(5_000)) + b"}"
    for method, path in (("POST", "/keys"), ("POST", "/hosts"), ("POST", "/transfers"), ("POST", "/prices"),
                         ("PATCH", "/settings"), ("PATCH", "/models/x"), ("POST", "/organisations")):
        for body in (deep, wide, b"[" * 30_000, b"9" * 60_000, b"\xff" * 1_000, b"x" * 200_000):
            exchange(target.registry, method, "/admin/v1" + path, body, target.bearer("reader"))
    for query in ("/ledger?after=" + ":" * 5_000, "/ledger?after=9223372036854775807:-1",
                  "/ledger?from_ms=-1", "/audit?before=99999999999999999999", "/keys?after=" + "%ff" * 2_000,
                  "/hosts?limit=1e9", "/hosts?tag=" + "a" * 20_000, "/ledger?account=" + "%00" * 1_000):
        get(target.registry, "/admin/v1" + query, target.bearer("reader"))
    get(target.registry, "/admin/v1/keys", target.bearer("reader") + "if-match: " + '"a",' * 5_000 + "\r\n")
    return only((200, 400, 401, 403, 413, 429, 431), "an odd request of the admin API")


@row
def monitor_flood(target, seconds):
    """A client's key asks for its own records all the time; an operator's question is answered."""
    paths = ["/requests?limit=1000", "/usage?days=31", "/requests?limit=1000&since=0"]
    together(3, lambda number: kept(
        target.monitor, request("GET", paths[number], target.bearer("flood")), seconds, 10))
    return only((200, 429, 503), "a request for records")


@row
def bus_mailboxes(target, seconds):
    """Strangers at the ports of the cluster that are no HTTP."""
    for port in (target.gateway, target.registry, target.monitor):
        for data in (b"\x00SP\x00\x00\x50\x00\x00" + b"x" * 100, b"\x16\x03\x01" + b"\x00" * 500,
                     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 100):
            try:
                with clients.connect(port, 2) as connection:
                    connection.sendall(data)
                    connection.recv(100)
            except OSError:
                pass
