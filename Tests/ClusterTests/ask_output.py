"""Checks the output streams of `tutti ask` against a scripted gateway. Run by AskTests.swift:

    python ask_output.py CASE TUTTI

Exit status 0 if the check passes; otherwise standard error has the failed assertion.
"""

import base64
import http.server
import json
import os
import pty
import subprocess
import sys
import tempfile
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
    """Answers one request with `first`, then with `second` after `go_on` is set.

    `request` is the JSON of the request.
    """

    def __init__(self, first, second):
        self.request = None
        self.go_on = threading.Event()
        gateway = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                gateway.request = json.loads(body)
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
                    pass  # the client closed the connection

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


def piped(tutti):
    """A pipe gets the exact bytes of the answer, even if progress and text alternate."""
    gateway = Gateway(HEAD + text("The quick\nbrown"), TAIL)
    gateway.go_on.set()
    done = subprocess.run(
        [tutti, "ask", "--url", gateway.url, "x"], stdin=subprocess.DEVNULL, capture_output=True
    )
    assert done.returncode == 0, done
    assert done.stdout == b"The quick\nbrown fox.\n", done
    assert b"task ended draft-1" in done.stderr, done


def terminal(tutti):
    """After the answer has begun, no progress is drawn on the terminal.

    The pipe of the answer may end on the same terminal, where progress would overwrite the answer.
    """
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
        pass  # on Linux: the other end is closed
    assert answer == b"The quick fox.\n", answer
    # The tree from before the text, without the task that ended after it.
    drawn = drawn.decode()
    assert "draft-1" in drawn and "\u2714" not in drawn, drawn


def overdue(tutti):
    """`--timeout` limits the whole answer, not only its beginning."""
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
    """An error event in the stream ends the command like an error status."""
    error = {"error": {"message": "Too much.", "type": "server_error", "code": "overloaded"}}
    gateway = Gateway(HEAD, f"data: {json.dumps(error)}\n\n".encode())
    gateway.go_on.set()
    done = subprocess.run(
        [tutti, "ask", "--url", gateway.url, "x"], stdin=subprocess.DEVNULL, capture_output=True
    )
    assert done.returncode == 75, done
    assert b"Too much." in done.stderr, done


def policy(tutti):
    """`--data-policy` is sent as an option of the request, and without it none is sent."""
    for arguments, policy in [([], None), (["--data-policy", "trusted"], "trusted")]:
        gateway = Gateway(HEAD, TAIL)
        gateway.go_on.set()
        done = subprocess.run(
            [tutti, "ask", "--url", gateway.url, *arguments, "x"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        assert done.returncode == 0, done
        options = gateway.request.get("tutti") or {}
        assert options.get("data_policy") == policy, gateway.request
        assert policy or "data_policy" not in options, gateway.request


def cut(tutti):
    """An answer that was cut at its limit is reported, and another end is not."""
    for arguments, tokens, finish, expected in [
        (["--max-tokens", "7"], 7, "length", b"cut at 7 tokens (max_tokens)"),
        ([], 9, "length", b"cut after 9 tokens at a limit"),
        (["--max-tokens", "7"], 5, "stop", None),
    ]:
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
        usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": tokens}}
        tail = b"".join(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in [end, usage])
        gateway = Gateway(text("The quick"), tail + b"data: [DONE]\n\n")
        gateway.go_on.set()
        done = subprocess.run(
            [tutti, "ask", "--url", gateway.url, *arguments, "x"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        assert done.returncode == 0 and done.stdout == b"The quick\n", done
        assert b"cut" not in done.stderr if expected is None else expected in done.stderr, done


def degraded(tutti):
    """If a draft stands in for the answer, its task and the reason are reported."""
    step = {"event": "task_ended", "task": "answer", "status": "degraded"}
    step |= {"reason": "the host was lost", "text_of": "draft-1"}
    ended = f": tutti {json.dumps(step)}\n\n".encode()
    gateway = Gateway(HEAD + text("The draft."), ended + b"data: [DONE]\n\n")
    gateway.go_on.set()
    done = subprocess.run(
        [tutti, "ask", "--url", gateway.url, "x"], stdin=subprocess.DEVNULL, capture_output=True
    )
    assert done.returncode == 0 and done.stdout == b"The draft.\n", done
    assert b"the answer is draft-1's text: the host was lost" in done.stderr, done


def asked(tutti, *arguments, **streams):
    """Asks with the arguments, and returns the request and the outcome."""
    gateway = Gateway(HEAD, TAIL)
    gateway.go_on.set()
    streams = streams or {"stdin": subprocess.DEVNULL}
    done = subprocess.run(
        [tutti, "ask", "--url", gateway.url, *arguments], capture_output=True, timeout=60, **streams
    )
    return gateway.request, done


def stdin(tutti):
    """A pipe or file on standard input is joined with the question."""
    request, done = asked(tutti, "What changed?", input=b"+ a\n")
    assert done.returncode == 0, done
    assert request["messages"] == [{"role": "user", "content": "What changed?\n\n+ a\n"}], request
    for arguments in [["-"], []]:
        request, done = asked(tutti, *arguments, input=b"Why?\n")
        assert request["messages"][0]["content"] == "Why?\n", (request, done)
    with open(__file__, "rb") as file:
        request, done = asked(tutti, "--no-stdin", "x", stdin=file)
    assert request["messages"][0]["content"] == "x", (request, done)
    request, done = asked(tutti)
    assert done.returncode == 64 and request is None, done
    request, done = asked(tutti, "x", input=b"\xff")
    assert done.returncode == 64 and b"UTF-8" in done.stderr, done


def parts(tutti):
    """Files, images, the system message, the race mode and the deadline reach the gateway."""
    png = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
    folder = tempfile.TemporaryDirectory()
    picture, notes = folder.name + "/a.png", folder.name + "/a.txt"
    with open(picture, "wb") as file:
        file.write(png)
    with open(notes, "w") as file:
        file.write("Ada wrote this.")
    options = ["--system", "Be brief.", "--race", "single", "--deadline", "7"]
    place = "https://example.com/b.jpg"
    images = ["--image", picture, "--image", place]
    request, done = asked(tutti, *options, *images, "--file", notes, "Who?")
    assert done.returncode == 0, done
    system, user = request["messages"]
    assert system == {"role": "system", "content": "Be brief."}, request
    text, *pictures = user["content"]
    assert text == {"type": "text", "text": "Who?\n\na.txt:\n\nAda wrote this."}, request
    data = "data:image/png;base64," + base64.b64encode(png).decode()
    assert [part["image_url"]["url"] for part in pictures] == [data, place], request
    assert request["tutti"]["race"] == "single", request
    assert request["tutti"]["deadlines_ms"] == {"total": 7000}, request
    request, done = asked(tutti, "--image", notes, "Who?")
    assert done.returncode == 64 and b"a.txt is no image" in done.stderr, done
    assert request is None, request


if __name__ == "__main__":
    checks = [cut, degraded, overloaded, overdue, parts, piped, policy, stdin, terminal]
    next(check for check in checks if check.__name__ == sys.argv[1])(sys.argv[2])
