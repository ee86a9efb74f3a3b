"""Sends malformed or slow requests over a bare socket. Run by BadInputTests.swift:

    python bad_input.py CASE PORT MODEL

Prints one JSON object: the status of the answer (0: closed without an answer), its error object,
and the seconds that it took.
"""

import json
import socket
import sys
import time

# Far longer than every deadline of the tests: reaching it means a hang.
PATIENCE = 60


def connect(port):
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def head(method, path, length, more=""):
    return (
        f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"connection: close\r\n{more}content-length: {length}\r\n\r\n"
    ).encode()


def read_all(connection):
    data = b""
    try:
        while piece := connection.recv(65536):
            data += piece
            if len(data) > 1 << 22:
                break
    except ConnectionError:
        pass  # the server closed the connection: the data so far count
    return data


def parsed(data, closed_by_us=False):
    if not data:
        return {"status": 0}
    top, _, body = data.partition(b"\r\n\r\n")
    status = int(top.split(b" ", 2)[1])
    if b"transfer-encoding: chunked" in top.lower():
        rest, body = body, b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            count = int(size or b"0", 16)
            body, rest = body + rest[:count], rest[count + 2 :]
            if count == 0:
                break
    answer = {"status": status}
    try:
        answer["error"] = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        answer["body"] = body[:200].decode("utf-8", "replace")
    return answer


def exchange(port, method, path, body=b"", more=""):
    with connect(port) as connection:
        try:
            connection.sendall(head(method, path, len(body), more) + body)
        except ConnectionError:
            pass  # the server may answer before it has read a large body
        return parsed(read_all(connection))


def drip(port, data, seconds_between):
    """Sends one byte at a time, until an answer arrives or the connection closes."""
    with connect(port) as connection:
        connection.settimeout(seconds_between)
        begin = time.monotonic()
        got = b""
        for byte in data:
            if time.monotonic() - begin > PATIENCE:
                return {"status": -1}
            try:
                connection.sendall(bytes([byte]))
                piece = connection.recv(65536)
            except TimeoutError:
                continue
            except ConnectionError:
                return parsed(got)
            if not piece:
                return parsed(got)
            got += piece
            connection.settimeout(PATIENCE)
            return parsed(got + read_all(connection))
        return {"status": -1}


CHAT = "/v1/chat/completions"


def main(case, port, model):
    port = int(port)

    def chat(value):
        return exchange(port, "POST", CHAT, json.dumps(value).encode())

    user = {"role": "user", "content": "hi"}
    good = {"model": model, "messages": [user], "max_tokens": 4}
    if case == "good":
        return chat(good)
    if case == "invalid_json":
        return exchange(port, "POST", CHAT, b'{"model": "x", "messages": [')
    if case == "not_utf8":
        return exchange(
            port, "POST", CHAT, b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}'
        )
    if case == "not_an_object":
        return exchange(port, "POST", CHAT, b"[1, 2, 3]")
    if case == "empty_body":
        return exchange(port, "POST", CHAT)
    if case == "deep_nesting":
        return exchange(port, "POST", CHAT, b'{"messages":' + b"[" * 200_000)
    if case == "no_messages":
        return chat({"model": model})
    if case == "empty_messages":
        return chat({"model": model, "messages": []})
    if case == "no_model":
        return chat({"messages": [user]})
    if case == "unknown_model":
        return chat({"model": "no-such-model", "messages": [user]})
    if case == "wrong_types":
        return chat({"model": 7, "messages": "hello"})
    if case == "wrong_message_type":
        return chat({"model": model, "messages": [1, 2]})
    if case == "wrong_stream_type":
        return chat({**good, "stream": "yes"})
    if case == "unknown_option":
        return chat({**good, "tutti": {"colour": "red"}})
    if case == "option_out_of_range":
        return chat({**good, "tutti": {"rounds": 99}})
    if case == "small_budget":
        return chat({**good, "model": "tutti/ensemble", "tutti": {"budget": {"tokens": 20}}})
    if case == "plan_logprobs":
        return chat({**good, "model": "tutti/ensemble", "logprobs": True})
    if case == "ten_megabytes":
        return chat({**good, "messages": [{"role": "user", "content": "x" * 10_000_000}]})
    if case == "large_body":
        return chat({**good, "messages": [{"role": "user", "content": "x" * 40_000_000}]})
    if case == "many_messages":
        return chat({"model": model, "messages": [user] * 100_000})
    if case == "unknown_path":
        return exchange(port, "GET", "/v2/nothing")
    if case == "wrong_method":
        return exchange(port, "DELETE", CHAT)
    if case == "many_headers":
        more = "".join(f"x-flood-{number}: {'y' * 100}\r\n" for number in range(5_000))
        return exchange(port, "GET", "/v1/models", more=more)
    if case == "long_header":
        return exchange(port, "GET", "/v1/models", more=f"x-long: {'y' * 1_000_000}\r\n")
    if case == "long_path":
        return exchange(port, "GET", "/" + "p" * 1_000_000)
    if case == "not_http":
        with connect(port) as connection:
            connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            return parsed(read_all(connection))
    if case == "slow_head":
        return drip(port, head("GET", "/v1/models", 0) * 40, 1)
    if case == "slow_body":
        body = json.dumps(good).encode()
        with connect(port) as connection:
            connection.sendall(head("POST", CHAT, len(body) + 1_000))
            connection.settimeout(1)
            begin = time.monotonic()
            for byte in body + b" " * 1_000:
                if time.monotonic() - begin > PATIENCE:
                    return {"status": -1}
                try:
                    connection.sendall(bytes([byte]))
                    piece = connection.recv(65536)
                except TimeoutError:
                    continue
                except ConnectionError:
                    return {"status": 0}
                return parsed(piece + read_all(connection)) if piece else {"status": 0}
    raise SystemExit(f"no case {case}")


if __name__ == "__main__":
    begin = time.monotonic()
    result = main(*sys.argv[1:])
    result["seconds"] = round(time.monotonic() - begin, 1)
    print(json.dumps(result))
