"""Tests of the recorder with a scripted host. From this folder: python3 -m unittest"""

import json
import os
import tempfile
import threading
import unittest
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import recorder
from state import Journal

USAGE = {"prompt_tokens": 5, "completion_tokens": 2}


class Host(BaseHTTPRequestHandler):
    """Streams "answer N" for its N-th request, or what `server.script` returns."""

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.bodies.append(body)
            number = len(self.server.bodies)
        status, chunks = self.server.script(number)
        self.send_response(status)
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")


def answer(text):
    def chunk(delta, finish):
        return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    return (200, [chunk({"role": "assistant"}, None)] + [chunk({"content": c}, None) for c in text]
            + [chunk({}, "stop"), {"choices": [], "usage": USAGE}])


def served(server):
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


class RecorderTests(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "records.jsonl")
        self.host = served(ThreadingHTTPServer(("127.0.0.1", 0), Host))
        self.host.bodies, self.host.lock = [], threading.Lock()
        self.host.script = lambda number: answer(f"answer {number}")
        self.start()

    def start(self):
        self.journal = Journal(self.path)
        self.server = served(recorder.Recorder(
            ("127.0.0.1", 0), recorder.Records(self.journal),
            recorder.Hosts({"m": f"http://127.0.0.1:{self.host.server_port}"}, 10), ["m"]))

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.journal.close()

    def tearDown(self):
        self.stop()
        self.host.shutdown()
        self.host.server_close()
        self.folder.cleanup()

    def send(self, path, body, headers=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.server.server_port}{path}",
            None if body is None else json.dumps(body).encode(), headers or {})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as reply:
            return reply.read().decode()

    def ask(self, temperature=0.7, headers=None, **more):
        body = {"model": "m", "messages": [{"role": "user", "content": "?"}],
                "temperature": temperature} | more
        return json.loads(self.send("/v1/chat/completions", body, headers))

    def text(self, *arguments, **more):
        return self.ask(*arguments, **more)["choices"][0]["message"]["content"]

    def column(self, name):
        self.send("/column", {"name": name})

    def statistics(self):
        return json.loads(self.send("/statistics", None))

    def test_the_same_key_gives_its_records_in_order_per_column(self):
        self.column("one")
        self.assertEqual([self.text(seed=n) for n in range(3)],
                         ["answer 1", "answer 2", "answer 3"])
        self.column("two")
        self.assertEqual([self.text(seed=n + 10) for n in range(4)],
                         ["answer 1", "answer 2", "answer 3", "answer 4"])
        self.assertEqual(self.statistics(), {
            "column": "two", "hits": 3, "misses": 1, "errors": 0, "records": 4})

    def test_a_greedy_request_has_one_record(self):
        self.assertEqual([self.text(0, seed=n) for n in range(3)], ["answer 1"] * 3)
        self.assertEqual(self.text(0.0), "answer 1")

    def test_records_survive_the_recorder(self):
        self.text(0)
        self.stop()
        self.start()
        self.assertEqual(self.text(0), "answer 1")
        self.assertEqual(len(self.host.bodies), 1)

    def test_a_header_names_the_record(self):
        self.text()
        self.text()
        for wanted in (1, 0, 2):
            self.assertEqual(self.text(headers={"X-Record": str(wanted)}), f"answer {wanted + 1}")

    def test_a_stream_and_a_body_share_a_record_and_its_usage(self):
        body = self.ask(0)
        self.assertEqual(body["usage"], USAGE)
        stream = self.send("/v1/chat/completions", {
            "model": "m", "temperature": 0,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "?"}]}],
            "stream": True, "stream_options": {"include_usage": True}})
        lines = [line[6:] for line in stream.splitlines() if line]
        self.assertEqual(lines.pop(), "[DONE]")
        chunks = [json.loads(line) for line in lines]
        self.assertEqual("".join(c["choices"][0]["delta"].get("content", "")
                                 for c in chunks if c["choices"]), "answer 1")
        self.assertEqual(chunks[-2]["choices"][0]["finish_reason"], "stop")
        self.assertEqual(chunks[-1]["usage"], USAGE)

    def test_a_stream_of_a_new_answer_is_recorded_whole(self):
        stream = self.send("/v1/chat/completions", {
            "model": "m", "messages": [{"role": "user", "content": "?"}], "temperature": 0,
            "stream": True})
        self.assertIn('"content": "a"', stream)
        self.assertEqual(self.text(0), "answer 1")
        self.assertEqual(len(self.host.bodies), 1)

    def test_what_decides_an_answer_is_in_its_key_and_the_seed_is_not(self):
        body = {"model": "m", "messages": [], "temperature": 0.7}
        for other in ({"max_tokens": 1}, {"stop": ["x"]}, {"top_p": 0.5}, {"temperature": 0.8},
                      {"response_format": {"type": "json_object"}},
                      {"messages": [{"role": "user", "content": "?"}]}):
            self.assertNotEqual(recorder.key(body), recorder.key(body | other))
        for same in ({"seed": 1}, {"stream": True}, {"logprobs": True}, {"user": "x"},
                     {"stop": None}):
            self.assertEqual(recorder.key(body), recorder.key(body | same))
        self.assertEqual(recorder.key(body | {"max_tokens": 5}),
                         recorder.key(body | {"max_completion_tokens": 5}))

    def test_a_failure_of_the_host_is_not_recorded(self):
        self.host.script = lambda number: (500, []) if number == 1 else answer(f"answer {number}")
        with self.assertRaises(urllib.error.HTTPError) as caught:
            self.ask(0)
        self.assertEqual(caught.exception.code, 502)
        caught.exception.close()
        self.assertEqual(self.text(0), "answer 2")
        self.assertEqual(self.statistics()["errors"], 1)

    def test_an_answer_that_breaks_off_is_not_recorded(self):
        self.host.script = lambda number: (200, answer("half")[1][:3])
        with self.assertRaises(urllib.error.HTTPError) as caught:
            self.ask(0)
        caught.exception.close()
        self.assertEqual(self.journal.rows, [])

    def test_concurrent_greedy_requests_ask_the_host_once(self):
        gate = threading.Event()

        def script(number):
            gate.wait(10)
            return answer(f"answer {number}")

        self.host.script = script
        found = []
        threads = [threading.Thread(target=lambda: found.append(self.text(0))) for _ in range(4)]
        for thread in threads:
            thread.start()
        gate.set()
        for thread in threads:
            thread.join()
        self.assertEqual(found, ["answer 1"] * 4)
        self.assertEqual(len(self.host.bodies), 1)

    def test_bad_requests_are_refused(self):
        for path, body, status in [
            ("/v1/chat/completions", {"model": "other", "messages": []}, 404),
            ("/v1/chat/completions", {"model": "m", "messages": [], "tools": [{}]}, 400),
            ("/v1/completions", {"model": "m"}, 404), ("/v1/chat/completions", [], 400),
        ]:
            with self.assertRaises(urllib.error.HTTPError) as caught:
                self.send(path, body)
            self.assertEqual(caught.exception.code, status)
            caught.exception.close()


if __name__ == "__main__":
    unittest.main()
