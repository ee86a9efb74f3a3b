"""Hosts with hostile lists of models, in a process of their own.

    lists.py KIND COUNT        starts COUNT hosts; prints their URLs; ends with standard input

Kinds: `long` lists 1,000 models, `odd` lists names of 250 bytes with marks, `flap` lists other models
and another version at each probe. None of them answers a request.
"""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cluster import outsider

ROWS = {
    "list-long": ("long", 8), "list-odd": ("odd", 8), "list-flap": ("flap", 40),
}


def names(kind, host, probe):
    if kind == "long":
        return [f"vendor-{host}/some.model-name-v{number}-instruct-q4" for number in range(1_000)]
    if kind == "odd":
        return ["\u00e9-" * 78 + f"embed-{host}-{number}" for number in range(240)]
    return [f"flap-{host}-{probe % 7}-{number}" for number in range(8)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        if self.path.endswith("/models"):
            server.probes += 1
            listing = names(server.kind, server.server_port, server.probes)
            body = {"object": "list", "data": [{"id": name, "object": "model"} for name in listing]}
        elif self.path == "/version":
            body = {"version": f"0.6.{server.probes}"}
        else:
            self.send_error(404)
            return
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        self.send_error(503)

    def log_message(self, *_):
        pass


class Hosts:
    """A process with some hosts of one kind."""

    def __init__(self, kind, count):
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), kind, str(count)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, preexec_fn=outsider)
        self.urls = [self.process.stdout.readline().strip() for _ in range(count)]

    def stop(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def main():
    kind, count = sys.argv[1], int(sys.argv[2])
    for _ in range(count):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.kind, server.probes = kind, 0
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
