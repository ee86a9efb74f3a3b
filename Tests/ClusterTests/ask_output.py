"""What `tutti ask` writes where, against a gateway that says exactly this. Run by AskTests.swift:

    python ask_output.py CASE TUTTI

Exit status 0 if the check holds; else the failed assertion is on standard error.
"""

import http.server
import json
import os
import pty
import subprocess
import sys
import threading


def text(content):
    chunk = {"choices": [{"index": 0, "delta": {"content": content}}]}
    return f"data: {json.dumps(chunk)}\n\n".encode()


def progress(event, task):
    step = {"event": event, "task": task, "role": "research", "host": "h", "model": "m"}
    return f": tutti {json.dumps(step)}\n\n".encode()


PLANNED = {"event": "planned", "pattern": "tutti/ensemble"}
PLANNED["tasks"] = [
    {"task": "draft-1", "role": "research", "inputs": []},
    {"task": "answer", "role": "coordinator", "inputs": ["draft-1"]},
]
HEAD = f": tutti {json.dumps(PLANNED)}\n\n".encode() + progress("task_started", "draft-1")
TAIL = progress("task_ended", "draft-1") + text(" fox.") + b"data: [DONE]\n\n"


class Gateway:
    """Answers one request with `first`, and with `second` when it is told to go on."""

    def __init__(self, first, second):
        self.go_on = threading.Event()
        gateway = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("connection", "close")
                self.end_headers()
                self.wfile.write(first)
                self.wfile.flush()
                gateway.go_on.wait(120)
                try:
                    self.wfile.write(second)
                except ConnectionError:
                    pass  # the one who asked has left

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


def piped(tutti):
    """What goes into a pipe is the answer, byte for byte, however progress and text alternate."""
    gateway = Gateway(HEAD + text("The quick\nbrown"), TAIL)
    gateway.go_on.set()
    done = subprocess.run(
        [tutti, "ask", "--url", gateway.url, "x"], stdin=subprocess.DEVNULL, capture_output=True
    )
    assert done.returncode == 0, done
    assert done.stdout == b"The quick\nbrown fox.\n", done
    assert b"task ended draft-1" in done.stderr, done


def terminal(tutti):
    """When the answer has begun to go into a pipe, which may end on the same terminal, nothing is
    drawn there any more: it would be drawn over the answer."""
    gateway = Gateway(HEAD + text("The quick"), TAIL)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [tutti, "ask", "--url", gateway.url, "x"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    answer = os.read(process.stdout.fileno(), 9)
    gateway.go_on.set()
    answer += process.stdout.read()
    assert process.wait() == 0
    drawn = b""
    try:
        while piece := os.read(ours, 1 << 16):
            drawn += piece
    except OSError:
        pass  # Linux's way to say that nobody holds the other end any more
    assert answer == b"The quick fox.\n", answer
    # The tree as it was before the text, and never with the task that ended after it.
    drawn = drawn.decode()
    assert "draft-1" in drawn and "\u2714" not in drawn, drawn


def overdue(tutti):
    """`--timeout` is for the whole answer, not for its beginning."""
    gateway = Gateway(HEAD + text("The quick"), TAIL)
    done = subprocess.run(
        [tutti, "ask", "--url", gateway.url, "--timeout", "8", "x"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    gateway.go_on.set()
    assert done.returncode == 75, done
    assert done.stdout == b"The quick\n", done
    assert b"--timeout" in done.stderr, done


def overloaded(tutti):
    """An error that comes in the stream ends the command like one that came as a status."""
    error = {"error": {"message": "Too much.", "type": "server_error", "code": "overloaded"}}
    gateway = Gateway(HEAD, f"data: {json.dumps(error)}\n\n".encode())
    gateway.go_on.set()
    done = subprocess.run(
        [tutti, "ask", "--url", gateway.url, "x"], stdin=subprocess.DEVNULL, capture_output=True
    )
    assert done.returncode == 75, done
    assert b"Too much." in done.stderr, done


if __name__ == "__main__":
    checks = [overloaded, overdue, piped, terminal]
    next(check for check in checks if check.__name__ == sys.argv[1])(sys.argv[2])
