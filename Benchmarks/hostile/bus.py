"""Hostile peers of a bus over tcp, without the cluster key.

Each row is a function of (ports, seconds). `ports` are the bus ports of registry and gateway.
"""

import random
import socket
import time

ROWS = {}
PUSH, SUBSCRIBE, PAIR = 0x50, 0x21, 0x10


def row(function):
    ROWS["bus-" + function.__name__.replace("_", "-")] = function
    return function


def greeting(protocol):
    return bytes([0, ord("S"), ord("P"), 0, 0, protocol, 0, 0])


def frame(body, length=None):
    return (len(body) if length is None else length).to_bytes(8, "big") + body


def say(port, *pieces, wait=0.2):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.02)
            connection.settimeout(wait)
            connection.recv(100)
    except OSError:
        pass


@row
def publisher(ports, seconds):
    """Sends 25 bytes to the port above each bus, on which a publisher may listen."""
    for port in ports:
        say(port + 1, greeting(SUBSCRIBE), frame(b"\x01" * 9))


@row
def protocols(ports, seconds):
    """Sends a greeting of every protocol, each with a message."""
    for port in ports:
        for protocol in range(0, 256, 3):
            say(port, greeting(protocol), frame(b"x" * 9), wait=0.02)


@row
def lengths(ports, seconds):
    """Sends frames that announce more bytes than follow."""
    for port in ports:
        for length in (0, 1, 1 << 20, 1 << 21, 1 << 31, 1 << 32, 1 << 62, (1 << 64) - 1):
            say(port, greeting(PUSH), frame(b"x" * 64, length))


@row
def noise(ports, seconds):
    """Sends random bytes, with and without a greeting."""
    chance = random.Random(4711)
    for port in ports:
        for _ in range(100):
            say(port, chance.randbytes(chance.randrange(1, 400)), wait=0.02)
            say(port, greeting(PUSH), frame(chance.randbytes(chance.randrange(1, 4_000))), wait=0.02)


@row
def flood(ports, seconds):
    """Sends 32 MB of unsealed frames."""
    for port in ports:
        say(port, greeting(PUSH), *[frame(b"x" * (1 << 20)) for _ in range(16)])


@row
def idle(ports, seconds):
    """Opens 600 silent connections."""
    held(ports, seconds, b"")


@row
def halves(ports, seconds):
    """Opens 300 connections to each bus and sends half of a 1 MB frame on each."""
    held(ports, seconds, greeting(PUSH) + frame(b"x" * (1 << 19), 1 << 20))


def held(ports, seconds, data):
    connections = []
    try:
        for number in range(600):
            connection = socket.socket()
            connection.settimeout(2)
            connections.append(connection)
            try:
                connection.connect(("127.0.0.1", ports[number % len(ports)]))
                connection.sendall(data)
            except OSError:
                break
        time.sleep(seconds)
    finally:
        for connection in connections:
            connection.close()
