#!/usr/bin/env python3
"""A model host that records the answers of real hosts and repeats them.

    python3 recorder.py --file records.jsonl --host NAME=URL --host NAME=URL

A request is known by its model, messages, limit and sampling, not by its seed: the n-th request of
a column gets the n-th recorded answer, and a missing one is asked of the real host and recorded.
With temperature 0 there is one answer. The header X-Record names n instead of counting. So Tutti's
patterns are measured from end to end in seconds, and every column that asks the same question gets
the same answers.

    POST /column {"name": …}   starts a column: its requests count from 0 again
    GET /statistics            the column, and its hits, misses and errors
"""

import argparse
import hashlib
import http.client
import json
import signal
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from state import Journal

# Members of a request that decide the answer, apart from the seed. The other members are about
# the way of the answer to the client.
DECISIVE = (
    "model messages max_tokens response_format stop temperature top_p top_k min_p logit_bias "
    "presence_penalty frequency_penalty repeat_penalty grammar json_schema"
).split()

# A client that resends a whole conversation stays below this.
MAXIMUM_BODY = 16 * 1024 * 1024

# Letters of one chunk of a repeated stream. About what a model sends with six tokens.
PIECE = 24


class HostFailed(Exception):
    """The real host did not answer. `status` is the HTTP status for the client."""

    def __init__(self, message, status=502):
        super().__init__(message)
        self.status = status


def number(value):
    """Returns the same value for 0 and 0.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def plain(message):
    """Returns a message in which a content of one text part is a text."""
    content = message.get("content") if isinstance(message, dict) else None
    if (isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict)
            and content[0].get("type") == "text"):
        return dict(message, content=content[0].get("text"))
    return message


def key(body):
    """Returns the name of a request, without its seed and its way to the client."""
    body = dict(body)
    if body.get("max_completion_tokens") is not None:
        body["max_tokens"] = body["max_completion_tokens"]
    known = {name: number(body[name]) for name in DECISIVE if body.get(name) is not None}
    known["messages"] = [plain(message) for message in known.get("messages") or []]
    text = json.dumps(known, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def is_greedy(body):
    return body.get("temperature") == 0


class Records:
    """Recorded answers, and the counters of the current column. Safe to use from many threads."""

    def __init__(self, journal):
        self.journal = journal
        self.condition = threading.Condition()
        self.known = {(row["key"], row["n"]): row for row in journal.rows if "key" in row}
        self.open = set()
        self.start("")

    def start(self, column):
        with self.condition:
            self.column, self.uses = column, {}
            self.hits = self.misses = self.errors = 0

    def take(self, name, greedy, n=None):
        """Returns (n, record): the number of this use, if it is not given, and its record.

        The record is None if the caller has to ask the host, and then to call `add` or `drop`.
        Waits while another request asks for the same record.
        """
        with self.condition:
            if greedy:
                n = 0
            elif n is None:
                n = self.uses.get(name, 0)
                self.uses[name] = n + 1
            self.condition.wait_for(lambda: (name, n) not in self.open)
            record = self.known.get((name, n))
            if record:
                self.hits += 1
            else:
                self.misses += 1
                self.open.add((name, n))
            return n, record

    def add(self, record):
        self.journal.append(record)
        with self.condition:
            self.known[record["key"], record["n"]] = record
            self.open.discard((record["key"], record["n"]))
            self.condition.notify_all()

    def drop(self, name, n):
        """Frees a record that the host did not deliver."""
        with self.condition:
            self.errors += 1
            self.open.discard((name, n))
            self.condition.notify_all()

    def statistics(self):
        with self.condition:
            return {"column": self.column, "hits": self.hits, "misses": self.misses,
                    "errors": self.errors, "records": len(self.known)}


class Hosts:
    """The real hosts by model name. Without any, only recorded answers are given."""

    def __init__(self, urls, timeout):
        self.urls, self.timeout = urls, timeout

    def ask(self, body, forward):
        """Asks the host of the model, and calls `forward` with each piece of text as it comes.

        Returns (text, finish reason, usage, log-probabilities). Raises HostFailed. The host always
        streams, so that a client's deadlines between tokens see the model's own pace.
        """
        url = self.urls.get(body.get("model"))
        if url is None:
            raise HostFailed("not recorded, and there is no host of this model", 503)
        parts = urllib.parse.urlsplit(url)
        body = dict(body, stream=True, stream_options={"include_usage": True})
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=self.timeout)
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(body),
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            if answer.status != 200:
                said = answer.read(64 * 1024).decode(errors="replace")
                status = answer.status if 400 <= answer.status < 500 else 502
                raise HostFailed(f"the host answered {answer.status}: {said[:500]}", status)
            return self._read(answer, forward)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise HostFailed(f"the host broke off: {error}") from None
        finally:
            connection.close()

    def _read(self, answer, forward):
        texts, finish, usage, likelihoods = [], None, None, []
        while line := answer.readline():
            if not line.startswith(b"data:") or line[5:].strip() == b"[DONE]":
                continue
            chunk = json.loads(line[5:])
            if chunk.get("error"):
                raise HostFailed(f"the host reported {json.dumps(chunk['error'])[:500]}")
            usage = chunk.get("usage") or usage
            for choice in chunk.get("choices") or []:
                piece = (choice.get("delta") or {}).get("content")
                if piece:
                    texts.append(piece)
                    forward(piece)
                finish = choice.get("finish_reason") or finish
                for token in (choice.get("logprobs") or {}).get("content") or []:
                    likelihoods.append(round(token["logprob"], 4))
        if finish is None:
            raise HostFailed("the host broke off without a finish reason")
        return "".join(texts), finish, usage, likelihoods


class Recorder(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, records, hosts, names):
        super().__init__(address, Handler)
        self.records, self.hosts, self.names = records, hosts, names


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Small writes of a stream are sent at once.
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path == "/v1/models":
            self._send(200, {"object": "list", "data": [
                {"id": name, "object": "model", "created": 0, "owned_by": "recorder"}
                for name in self.server.names]})
        elif self.path == "/health":
            self._send(200, {"status": "ok"})
        elif self.path == "/statistics":
            self._send(200, self.server.records.statistics())
        else:
            self._refuse(404, f"no such path {self.path[:200]}")

    def do_POST(self):
        body = self._body()
        if body is None:
            return
        if self.path == "/column":
            self.server.records.start(str(body.get("name")))
            self._send(200, self.server.records.statistics())
        elif self.path != "/v1/chat/completions":
            self._refuse(404, f"no such path {self.path[:200]}")
        elif body.get("model") not in self.server.names:
            self._refuse(404, f"no model {str(body.get('model'))[:200]}", "model_not_found")
        elif body.get("tools") or body.get("n") not in (None, 1):
            self._refuse(400, "the recorder has texts only: no tools, and one choice")
        else:
            self._chat(body)

    def _body(self):
        try:
            size = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            size = -1
        if not 0 <= size <= MAXIMUM_BODY:
            self.close_connection = True
            self._refuse(413, "the body has no usable length")
            return None
        try:
            body = json.loads(self.rfile.read(size))
        except ValueError:
            body = None
        if not isinstance(body, dict):
            self._refuse(400, "the body is no JSON object")
            return None
        return body

    # MARK: - Answers

    def _chat(self, body):
        records = self.server.records
        name = key(body)
        wanted = self.headers.get("X-Record") or ""
        n, record = records.take(
            name, is_greedy(body), int(wanted) if wanted.isdecimal() and len(wanted) < 6 else None)
        stream = Stream(self, body) if body.get("stream") else None
        if record is None:
            began = time.monotonic()
            try:
                text, finish, usage, likelihoods = self.server.hosts.ask(
                    body, stream.piece if stream else lambda piece: None)
            except BaseException as error:
                records.drop(name, n)
                if not isinstance(error, HostFailed):
                    raise
                if stream and stream.has_begun:
                    # The client sees a broken stream, as it would from the host itself.
                    self.close_connection = True
                else:
                    self._refuse(error.status, str(error))
                return
            record = {"key": name, "n": n, "model": body["model"], "text": text, "finish": finish,
                      "usage": usage, "seconds": round(time.monotonic() - began, 3)}
            if likelihoods:
                record["logprobs"] = likelihoods
            records.add(record)
        elif stream:
            for at in range(0, len(record["text"]), PIECE):
                stream.piece(record["text"][at:at + PIECE])
        if stream:
            stream.end(record)
        else:
            answer = {
                "id": f"chatcmpl-{name[:16]}-{n}", "object": "chat.completion", "created": 0,
                "model": record["model"], "choices": [{
                    "index": 0, "finish_reason": record["finish"],
                    "message": {"role": "assistant", "content": record["text"]}}],
                # The real time of the answer, and the log-probabilities of its tokens.
                "recorder": {"n": n, "seconds": record["seconds"],
                             "logprobs": record.get("logprobs")}}
            if record["usage"]:
                answer["usage"] = record["usage"]
            self._send(200, answer)

    def _refuse(self, status, message, code=None):
        self._send(status, {"error": {
            "message": message, "type": "invalid_request_error" if status < 500 else "server_error",
            "code": code, "param": None}})

    def _send(self, status, body):
        data = json.dumps(body, ensure_ascii=False).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True


class Stream:
    """An answer as server-sent events. A client that left is not written to any more.

    The answer of the host is still read to its end and recorded, because another column will ask
    for it.
    """

    def __init__(self, handler, body):
        self.handler, self.model = handler, body["model"]
        self.with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        self.has_begun = self.is_gone = False

    def piece(self, text):
        delta = {"content": text}
        if not self.has_begun:
            delta["role"] = "assistant"
        self._chunk({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

    def end(self, record):
        self._chunk({"choices": [{"index": 0, "delta": {}, "finish_reason": record["finish"]}]})
        if self.with_usage and record["usage"]:
            self._chunk({"choices": [], "usage": record["usage"]})
        self._write(b"data: [DONE]\n\n")
        self._write(b"")

    def _chunk(self, members):
        chunk = {"id": "chatcmpl-recorded", "object": "chat.completion.chunk", "created": 0,
                 "model": self.model} | members
        self._write(b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n")

    def _write(self, data):
        if self.is_gone:
            return
        try:
            if not self.has_begun:
                self.has_begun = True
                self.handler.send_response(200)
                self.handler.send_header("Content-Type", "text/event-stream")
                self.handler.send_header("Transfer-Encoding", "chunked")
                self.handler.end_headers()
            self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.handler.wfile.flush()
        except OSError:
            self.is_gone = True
            self.handler.close_connection = True


def host(text):
    name, separator, url = text.partition("=")
    parts = urllib.parse.urlsplit(url)
    if not (name and separator and parts.scheme == "http" and parts.hostname and parts.port):
        raise argparse.ArgumentTypeError(f"must be NAME=http://ADDRESS:PORT, not {text!r}")
    return name, url


def main(arguments):
    parser = argparse.ArgumentParser(
        description="Records the answers of model hosts, and repeats them.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--file", required=True, help="records, one JSON value per line")
    parser.add_argument("--host", type=host, action="append", default=[], metavar="NAME=URL",
                        help="a model and its host; repeatable")
    parser.add_argument("--listen", default="127.0.0.1", help="address")
    parser.add_argument("--port", type=int, default=9200)
    parser.add_argument("--timeout", type=float, default=600, metavar="SECONDS",
                        help="maximum silence of a host")
    options = parser.parse_args(arguments)
    records = Records(Journal(options.file))
    names = list(dict.fromkeys([name for name, _ in options.host]
                               + [row["model"] for row in records.journal.rows]))
    server = Recorder((options.listen, options.port), records,
                      Hosts(dict(options.host), options.timeout), names)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"http://{options.listen}:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        return 0
    finally:
        server.server_close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
