"""Sends invalid data to mailboxes: mailbox_noise.py SEED ADDRESS…

Implements nanomsg's ipc protocol: a greeting of eight bytes, then frames of a type byte, eight
bytes of length, and the body.
"""

import random
import socket
import sys

PUSH = bytes([0, ord("S"), ord("P"), 0, 0, 5 * 16, 0, 0])


def connect(address):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(address.removeprefix("ipc://"))
    connection.sendall(PUSH)
    greeting = connection.recv(8)
    assert greeting[:4] == PUSH[:4], greeting
    return connection


def frame(body):
    return bytes([1]) + len(body).to_bytes(8, "big") + body


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def nested(depth, field):
    """Returns a message nested in itself `depth` times."""
    body = b""
    for _ in range(depth):
        body = varint(field << 3 | 2) + varint(len(body)) + body
    return body


def bodies(chance):
    yield b""
    yield bytes(1_000)
    yield bytes(1_000_000)
    yield b"\xff" * 1_000
    for field in (1, 2, 5, 16, 20):
        yield nested(5_000, field)
    for _ in range(200):
        yield chance.randbytes(chance.randrange(1, 400))


def main():
    chance = random.Random(int(sys.argv[1]))
    for address in sys.argv[2:]:
        with connect(address) as connection:
            for body in bodies(chance):
                connection.sendall(frame(body))
        # Too large: the process closes the connection, at once or during the write.
        with connect(address) as connection:
            try:
                connection.sendall(frame(bytes(10 << 20)))
            except OSError:
                pass
        # An incomplete frame, and a connection without a greeting.
        with connect(address) as connection:
            connection.sendall(bytes([1]) + (1_000).to_bytes(8, "big") + b"half")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(address.removeprefix("ipc://"))
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")


main()
