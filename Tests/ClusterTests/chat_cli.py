"""Checks `tutti chat`, and commands without the admin token, against a scripted gateway. Run by
ChatTests.swift:

    python chat_cli.py CASE TUTTI

Exit status 0 if the check passes; otherwise standard error has the failed assertion.
"""

import http.server
import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import threading

# Far longer than every step: reaching it means a hang.
PATIENCE = 60

DONE = b"data: [DONE]\n\n"
CUT = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}\n\n'


def text(content):
    chunk = {"choices": [{"index": 0, "delta": {"content": content}}]}
    return f"data: {json.dumps(chunk)}\n\n".encode()


class Gateway:
    """Answers the n-th question with "Answer n.", in two pieces. Between them, it waits for `go_on`.
    An answer whose request has a limit ends as if the limit had cut it.

    `requests` are the JSON objects of the requests.
    """

    def __init__(self, is_ready=True):
        self.requests = []
        self.go_on = threading.Event()
        self.go_on.set()
        gateway = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def send(self, status, body, kind="application/json"):
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                if self.path == "/ready":
                    self.send(200 if is_ready else 503, b"{}")
                elif self.path == "/v1/models":
                    models = [{"id": "tutti/auto"}, {"id": "qwen3:32b"}, {"id": "a\nb"}]
                    self.send(200, json.dumps({"object": "list", "data": models}).encode())
                else:
                    self.send(404, b"{}")

            def do_POST(self):
                length = int(self.headers["content-length"])
                request = json.loads(self.rfile.read(length))
                gateway.requests.append(request)
                if request["model"] == "unknown":
                    message = "no host offers it; GET /v1/models lists the available models"
                    error = {"message": message, "code": "model_not_found"}
                    return self.send(404, json.dumps({"error": error}).encode())
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("connection", "close")
                self.end_headers()
                self.wfile.write(text(f"Answer {len(gateway.requests)}"))
                self.wfile.flush()
                gateway.go_on.wait(PATIENCE)
                try:
                    end = CUT if "max_tokens" in request else b""
                    self.wfile.write(text(".") + end + DONE)
                except ConnectionError:
                    pass  # the client has cancelled the request
                return None

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def messages(self, index):
        return [(m["role"], m["content"]) for m in self.requests[index]["messages"]]


def environment(**variables):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TUTTI_")}
    # An empty directory: no saved key, no token, no cluster.
    return kept | {"TERM": "dumb", "TUTTI_DATA_DIR": tempfile.mkdtemp()} | variables


def run(tutti, *arguments, lines=(), **variables):
    return subprocess.run(
        [tutti, *arguments],
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment(**variables),
    )


class Person:
    """A chat at a terminal. The answers are read from a pipe."""

    def __init__(self, tutti, *arguments):
        self.terminal, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [tutti, "chat", *arguments],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env=environment(),
        )
        os.close(theirs)

    def type(self, line):
        os.write(self.terminal, line.encode() + b"\n")

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def read(self, descriptor, end):
        """Reads until the text has arrived."""
        seen = b""
        while end not in seen:
            ready, _, _ = select.select([descriptor], [], [], PATIENCE)
            assert ready, seen
            piece = os.read(descriptor, 1)
            assert piece, seen
            seen += piece
        return seen

    def answer(self, end):
        return self.read(self.process.stdout.fileno(), end)

    def notes(self, end):
        return self.read(self.terminal, end)


def piped(tutti):
    """Each line is one turn, and each question is sent with the turns before it."""
    gateway = Gateway()
    lines = ["First?", "", "/model tutti/fast", "/undo", '"""', "Second", "part?", '"""', "Third?"]
    done = run(tutti, "chat", "--url", gateway.url, "--system", "Be brief.", lines=lines)
    assert done.returncode == 0, done
    assert done.stdout == "Answer 1.\nAnswer 2.\nAnswer 3.\n", done
    system = ("system", "Be brief.")
    second = ("user", "Second\npart?")
    assert gateway.messages(0) == [system, ("user", "First?")], gateway.requests
    assert gateway.messages(1) == [system, second], gateway.requests
    third = [system, second, ("assistant", "Answer 2."), ("user", "Third?")]
    assert gateway.messages(2) == third, gateway.requests
    assert [r["model"] for r in gateway.requests] == ["tutti/auto", "tutti/fast", "tutti/fast"]


def cut(tutti):
    """An answer that reached its limit is reported."""
    gateway = Gateway()
    arguments = ["--url", gateway.url, "--max-tokens", "7"]
    done = run(tutti, "chat", *arguments, lines=["First?"])
    assert done.returncode == 0 and done.stdout == "Answer 1.\n", done
    assert "cut at 7 tokens (max_tokens)" in done.stderr, done


def failed(tutti):
    """A failure ends its turn only. Without a terminal, its status is the command's."""
    gateway = Gateway()
    lines = ["/model unknown", "First?", "/model tutti/fast", "Second?", "/quit", "Third?"]
    done = run(tutti, "chat", "--url", gateway.url, lines=lines)
    assert done.returncode == 64, done
    assert done.stdout == "Answer 2.\n", done
    assert "`tutti status` lists the available models" in done.stderr, done
    assert gateway.messages(1) == [("user", "Second?")], gateway.requests
    assert len(gateway.requests) == 2, gateway.requests


def saved(tutti):
    """A saved conversation is continued, and no file is replaced without consent."""
    gateway = Gateway()
    folder = tempfile.TemporaryDirectory()
    talk, page = folder.name + "/talk.json", folder.name + "/talk.md"
    lines = ["First?", f"/save {talk}", f"/save {page}", f"/save {page}"]
    done = run(tutti, "chat", "--url", gateway.url, lines=lines)
    assert done.returncode == 64 and "exists; choose another name" in done.stderr, done
    turn = [("user", "First?"), ("assistant", "Answer 1.")]
    messages = json.load(open(talk))["messages"]
    assert [(m["role"], m["content"]) for m in messages] == turn, messages
    assert "## Question\n\nFirst?\n\n## Answer\n\nAnswer 1.\n" in open(page).read()
    done = run(tutti, "chat", "--url", gateway.url, "--continue", talk, lines=["Second?"])
    assert done.returncode == 0, done
    assert gateway.messages(1) == turn + [("user", "Second?")], gateway.requests
    done = run(tutti, "chat", "--url", gateway.url, "--continue", page, lines=["Second?"])
    assert done.returncode == 64 and "is not JSON" in done.stderr, done


def stopped(tutti):
    """Ctrl-C stops an answer and not the chat; the text so far stays in the conversation."""
    gateway = Gateway()
    gateway.go_on.clear()
    person = Person(tutti, "--url", gateway.url)
    person.notes(b"> ")
    person.type("First?")
    person.answer(b"Answer 1")
    person.interrupt()
    person.notes(b"stopped")
    gateway.go_on.set()
    person.type("Second?")
    person.answer(b"Answer 2.\n")
    turns = [("user", "First?"), ("assistant", "Answer 1"), ("user", "Second?")]
    assert gateway.messages(1) == turns, gateway.requests
    person.type("/quit")
    assert person.process.wait(PATIENCE) == 0


def interrupted(tutti):
    """At the prompt, Ctrl-C once says how to end, and twice within 2 s ends with status 0."""
    gateway = Gateway()
    person = Person(tutti, "--url", gateway.url)
    person.notes(b"> ")
    person.interrupt()
    person.notes(b"once more")
    # A machine under load may take more than 2 s between two signals.
    for _ in range(PATIENCE):
        person.interrupt()
        try:
            assert person.process.wait(1) == 0
            return
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError("the chat did not end")


def status(tutti):
    """Without the admin token, or with another cluster's, the status shows health and models."""
    gateway = Gateway()
    for variables in [{}, {"TUTTI_ADMIN_TOKEN": "a token of 16 bytes"}]:
        done = run(tutti, "status", "--url", gateway.url, **variables)
        assert done.returncode == 0, done
        assert "  ready" in done.stdout and "qwen3:32b" in done.stdout, done
        assert "services and hosts" in done.stderr, done
        done = run(tutti, "status", "--url", gateway.url, "--json", **variables)
        report = json.loads(done.stdout)
        assert report["ready"] and "hosts" not in report, report
    done = run(tutti, "status", "--url", Gateway(is_ready=False).url)
    assert done.returncode == 69 and "not ready" in done.stdout, done


def completed(tutti):
    """Shells complete the names of models, and get nothing if the cluster is gone."""
    url = Gateway().url
    for url, names in [(url, ["tutti/auto", "qwen3:32b"]), ("http://127.0.0.1:1", [])]:
        words = ["tutti", "ask", "--url", url, "-m", ""]
        done = run(tutti, "---completion", "ask", "--", "-m", "5", "0", *words)
        assert done.returncode == 0, done
        assert done.stdout.split() == names and done.stderr == "", done


if __name__ == "__main__":
    checks = [completed, cut, failed, interrupted, piped, saved, status, stopped]
    next(check for check in checks if check.__name__ == sys.argv[1])(sys.argv[2])
