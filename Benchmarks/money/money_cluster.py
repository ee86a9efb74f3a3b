"""A cluster of real processes with keys, prices and budgets, and a host that reports its answers."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "hostile"))
from cluster import children  # noqa: E402
from ports import free_ports  # noqa: E402

MICRO = 1_000_000


def micro(credits):
    """Converts a decimal string of credits to micro-credits."""
    sign = -1 if credits.startswith("-") else 1
    whole, _, fraction = credits.lstrip("-").partition(".")
    return sign * (int(whole) * MICRO + int((fraction + "000000")[:6]))


def environment():
    return {k: v for k, v in os.environ.items() if not k.startswith("TUTTI_")}


class MoneyCluster:
    """`tutti up` for some hosts, and further gateways on its bus."""

    def __init__(self, bin_dir, hosts, prefix="tutti-money-"):
        self.bin_dir = bin_dir
        self.directory = tempfile.mkdtemp(prefix=prefix)
        self.data = self.directory + "/data"
        self.port = free_ports(3)
        self.gateways = {}
        self.log = open(self.directory + "/log", "w+")
        command = [f"{bin_dir}/tutti", "up", "--port", str(self.port), "--data-dir", self.data]
        for url in hosts:
            command += ["--host", url]
        # The cluster ends when its standard input closes, which happens when this process ends.
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=self.log, stderr=subprocess.STDOUT,
            env={**environment(), "TUTTI_LIFELINE_FD": "0"})
        self.wait(lambda: os.path.exists(self.data + "/cluster.json"), 120, "start")
        self.wait(lambda: self.is_ready(self.port), 60, "become ready")
        with open(self.data + "/admin-token") as file:
            self.token = file.read().strip()

    def wait(self, condition, seconds, what):
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.flush()
                with open(self.directory + "/log") as file:
                    text = file.read()[-2000:]
                self.stop()
                raise SystemExit(f"money: the cluster did not {what}:\n{text}")
            time.sleep(0.05)

    @staticmethod
    def is_ready(port):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as reply:
                return reply.status == 200
        except (OSError, ValueError):
            return False

    def add_gateway(self, name):
        """Starts another gateway, and returns its port."""
        port = free_ports()
        self.gateways[name] = subprocess.Popen(
            [f"{self.bin_dir}/tutti-gateway", "--name", name, "--port", str(port),
             "--data-dir", self.data],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
            env=environment())
        self.wait(lambda: self.is_ready(port), 60, f"start {name}")
        return port

    def services(self):
        """Process ids by executable name."""
        return children(self.process.pid)

    # Admin API

    def request(self, method, path, body=None, timeout=60):
        """Returns status and body of an admin request."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port + 1}/admin/v1{path}", data, method=method,
            headers={"content-type": "application/json",
                     "authorization": f"Bearer {self.token}"})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def admin(self, method, path, body=None):
        """Returns the JSON of a successful admin request."""
        status, text = self.request(method, path, body)
        if status >= 300:
            raise SystemExit(f"money: {method} {path}: {status} {text.decode()[:500]}")
        return json.loads(text)

    def retried(self, path, seconds=60):
        """Returns the JSON of a GET. The registry may be restarting."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.admin("GET", path)
            except (OSError, ValueError, SystemExit):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)

    def transactions(self):
        """Returns all transactions of the ledger in order."""
        status, text = self.request("GET", "/ledger/export?format=jsonl")
        if status != 200:
            raise SystemExit(f"money: the ledger was not exported: {status}")
        return [json.loads(line) for line in text.splitlines()]

    def settlements(self):
        """Returns the notes of all settlements."""
        notes = (json.loads(t["note"]) for t in self.transactions() if t["kind"] == "settle")
        return list(notes)

    def holds(self):
        """Returns the micro-credits held, by organisation."""
        balances = self.retried("/ledger/balances?limit=1000")["data"]
        found = {b["account"]: micro(b["balance"]) for b in balances}
        return {a: n for a, n in found.items() if a.startswith("holds/") and n != 0}

    def wait_for_holds(self, seconds):
        """Waits until no money is held, and returns how long it took. `None` means that some
        still is."""
        begin = time.monotonic()
        while time.monotonic() - begin < seconds:
            if not self.holds():
                return time.monotonic() - begin
            time.sleep(0.5)
        return None

    def stop(self):
        for gateway in self.gateways.values():
            gateway.terminate()
        self.process.send_signal(signal.SIGTERM)
        for process in [*self.gateways.values(), self.process]:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.process.stdin.close()
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class CountingHost:
    """An OpenAI-compatible host in this process. Its answers are numbered words, one per token.

    It reports half of each prompt as cached."""

    def __init__(self, models, tokens=(4, 16), pause=(0.001, 0.03), seed=1):
        self.models, self.tokens, self.pause = models, tokens, pause
        self.rng = random.Random(seed)
        # Called after the last byte of an answer was sent.
        self.on_last_event = None
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        reader = client.makefile("rb")
        try:
            while self.answer(client, reader):
                pass
        except (OSError, ValueError):
            pass
        finally:
            reader.close()
            client.close()

    def answer(self, client, reader):
        line = reader.readline()
        if not line:
            return False
        path = line.split()[1]
        length = 0
        while (header := reader.readline()) not in (b"\r\n", b""):
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        body = reader.read(length)
        if path.endswith(b"/models"):
            listing = {"object": "list",
                       "data": [{"id": m, "object": "model"} for m in self.models]}
            client.sendall(self.response(listing))
        elif path.endswith(b"/chat/completions"):
            self.complete(client, json.loads(body))
        else:
            client.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        return True

    @staticmethod
    def response(value):
        text = json.dumps(value).encode()
        return (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                % len(text)) + text

    def complete(self, client, request):
        count = self.rng.randint(*self.tokens)
        most = request.get("max_completion_tokens") or request.get("max_tokens")
        finish = "length" if most and most <= count else "stop"
        count = min(count, most or count)
        text = json.dumps(request["messages"])
        usage = {"prompt_tokens": max(1, len(text) // 5), "completion_tokens": count}
        usage["total_tokens"] = usage["prompt_tokens"] + count
        usage["prompt_tokens_details"] = {"cached_tokens": usage["prompt_tokens"] // 2}
        shape = {"id": "c", "created": 1, "model": request["model"]}
        if not request.get("stream"):
            time.sleep(self.rng.uniform(*self.pause) * 2)
            words = " ".join(f"w{n}" for n in range(count))
            client.sendall(self.response({**shape, "object": "chat.completion", "usage": usage, "choices": [
                {"index": 0, "finish_reason": finish,
                 "message": {"role": "assistant", "content": words}}]}))
        else:
            client.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                           b"transfer-encoding: chunked\r\n\r\n")
            shape["object"] = "chat.completion.chunk"

            def send(value):
                data = value if isinstance(value, bytes) else json.dumps(value).encode()
                event = b"data: " + data + b"\n\n"
                client.sendall(b"%x\r\n%s\r\n" % (len(event), event))

            for number in range(count):
                time.sleep(self.rng.uniform(*self.pause))
                send({**shape, "choices": [
                    {"index": 0, "delta": {"content": f"w{number} "}, "finish_reason": None}]})
            send({**shape, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
            if (request.get("stream_options") or {}).get("include_usage"):
                send({**shape, "choices": [], "usage": usage})
            send(b"[DONE]")
            client.sendall(b"0\r\n\r\n")
        if self.on_last_event:
            self.on_last_event()

    def stop(self):
        self.socket.close()
