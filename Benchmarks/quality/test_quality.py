"""Tests of the client and of the command. From this folder: python3 -m unittest"""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
import xml.etree.ElementTree
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import quality
import recorder
import suites
from endpoint import Endpoint, Refused, Unreachable, calls
from state import Journal


class CallTests(unittest.TestCase):
    def test_calls_come_from_the_trace(self):
        self.assertEqual(calls({}), 1)
        self.assertEqual(calls({"tasks": [{"host": "a"}], "attempts": [{}, {}]}), 2)
        lines = [{"host": "a"}, {"host": "b"}, {"host": None, "status": "skipped"}]
        self.assertEqual(calls({"tasks": lines}), 2)


class Handler(BaseHTTPRequestHandler):
    """Answers with `server.replies[path]`: a status and a body."""

    def _reply(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, body = self.server.replies[self.path]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.sent])

    do_GET = do_POST = _reply

    def log_message(self, *_):
        pass


class ClientTests(unittest.TestCase):
    def setUp(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.replies, self.server.sent = {}, None
        threading.Thread(
            target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.endpoint = Endpoint(self.url + "/", "", 30)

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()

    def replies(self, path, status, body):
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.server.replies["/v1" + path] = (status, text)

    def refusal(self):
        with self.assertRaises(Refused) as caught:
            self.endpoint.ask({"model": "m"})
        return caught.exception

    def test_an_answer_with_its_usage_and_trace(self):
        self.replies("/chat/completions", 200, {
            "choices": [{"message": {"content": "Answer: 4"}, "finish_reason": "length"}],
            "usage": {"completion_tokens": 7}, "tutti": {"tasks": [{"host": "a"}, {"host": "b"}]}})
        answer = self.endpoint.ask({"model": "m"})
        self.assertEqual((answer.text, answer.tokens, answer.calls, answer.cut),
                         ("Answer: 4", 7, 2, True))

    def test_a_server_without_usage_or_content_still_answers(self):
        self.replies("/chat/completions", 200, {"choices": [{"message": {"content": None}}]})
        answer = self.endpoint.ask({"model": "m"})
        self.assertEqual((answer.text, answer.tokens, answer.calls), ("", None, 1))

    def test_which_refusals_are_about_the_model(self):
        for status, error, about in [
            (404, {"message": "x", "code": "model_not_found", "param": "model"}, True),
            (400, {"message": "x", "param": "model"}, True),
            (400, {"message": "x", "param": "tutti.members"}, False),
            (502, {"message": "x"}, False),
        ]:
            self.replies("/chat/completions", status, {"error": error})
            refusal = self.refusal()
            self.assertEqual((refusal.status, refusal.about_model), (status, about))
            self.assertEqual(str(refusal), f"HTTP {status}: x")

    def test_what_is_no_answer_is_refused_not_crashed_on(self):
        for body in (b"<html>", b"[]", b"{}", b'{"choices": []}', b'{"choices": [null]}', b""):
            self.replies("/chat/completions", 200, body)
            self.refusal()

    def test_half_an_answer_is_refused(self):
        self.replies("/chat/completions", 200, b'{"choices": [{"message": {"content": "4"}}]}')
        self.server.sent = 10
        self.refusal()

    def test_the_list_of_models_is_optional_but_the_key_is_not(self):
        self.replies("/models", 200, {"data": [{"id": "m"}]})
        self.assertEqual(self.endpoint.models(), ["m"])
        self.replies("/models", 404, {"error": {"message": "no"}})
        self.assertIsNone(self.endpoint.models())
        self.replies("/models", 401, {"error": {"message": "no key"}})
        with self.assertRaises(Refused):
            self.endpoint.models()

    def test_nobody_there(self):
        self.server.shutdown()
        self.server.server_close()
        with self.assertRaises(Unreachable):
            self.endpoint.models()


class CommandTests(unittest.TestCase):
    def exits(self, *arguments):
        with contextlib.redirect_stderr(io.StringIO()) as said:
            with self.assertRaises(SystemExit) as caught:
                quality.main(list(arguments))
        return caught.exception.code, said.getvalue()

    def test_bad_arguments_exit_64_with_one_sentence(self):
        for arguments in ([], ["--tasks", "0"], ["--tasks", "x"], ["--nonsense"],
                          ["--timeout", "nan"], ["--base-url", "here"], ["--patterns", ","],
                          ["--model", "tutti/ensemble"], ["--suites", "prose"], ["--tutti", "[]"]):
            code, said = self.exits(*(["--out", "/tmp/x"] if arguments else []), *arguments)
            self.assertEqual(code, 64, arguments)
            self.assertEqual(len(said.splitlines()), 1, said)

    def test_no_server_exits_69_with_one_sentence(self):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        port = server.server_port
        server.server_close()
        code, said = self.exits(
            "--out", "/tmp/x", "--base-url", f"http://127.0.0.1:{port}/v1", "--model", "m")
        self.assertEqual(code, 69)
        self.assertEqual(len(said.splitlines()), 1, said)
        self.assertIn("no server answers", said)

    def test_a_model_that_the_server_lacks_is_named_next_to_those_it_has(self):
        with contextlib.redirect_stderr(io.StringIO()) as said, self.assertRaises(SystemExit):
            quality.choose_model("n", ["m", "tutti/fast"], False)
        self.assertIn("no model n; it offers m", said.getvalue())
        self.assertEqual(quality.choose_model(None, ["m", "tutti/fast"], False), "m")
        self.assertIsNone(quality.choose_model(None, ["m", "n"], True))


class Tutti(BaseHTTPRequestHandler):
    """A server with a model `m` that is always right, and patterns.

    It counts requests, and after `server.most` requests it does not answer any more.
    """

    def log_message(self, *_):
        pass

    def _send(self, body):
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self._send({"data": [{"id": "m"}, {"id": "tutti/auto"}, {"id": "tutti/ensemble"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.bodies.append(body)
            count = len(self.server.bodies)
        if count > self.server.most:
            self.server.full.set()
            self.server.over.wait(60)
            return
        answer = self.server.answers[body["messages"][0]["content"]]
        found = {"choices": [{"message": {"content": answer}, "finish_reason": "stop"}],
                 "usage": {"completion_tokens": 10 if body["model"] == "m" else 25}}
        if body["model"].startswith("tutti/"):
            found["tutti"] = {"confidence": 0.67, "reason": "because", "tasks": [
                {"host": "a"}, {"host": "b"}]}
        self._send(found)


class RunTests(unittest.TestCase):
    def setUp(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Tutti)
        self.server.bodies, self.server.most = [], 10_000
        self.server.lock, self.server.full = threading.Lock(), threading.Event()
        self.server.over = threading.Event()
        self.server.answers = {t.prompt: t.expected for t in suites.load("json", 9, 1)}
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.folder = tempfile.TemporaryDirectory()
        self.arguments = [
            "--out", self.folder.name, "--base-url",
            f"http://127.0.0.1:{self.server.server_port}/v1", "--suites", "json",
            "--tasks", "4", "--samples", "1", "--patterns", "tutti/ensemble,tutti/debate"]

    def tearDown(self):
        self.server.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.folder.cleanup()

    def run_quality(self, *more):
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            with contextlib.redirect_stderr(io.StringIO()) as said:
                status = quality.main(self.arguments + list(more))
        return status, shown.getvalue(), said.getvalue()

    def read(self, name):
        with open(os.path.join(self.folder.name, name), encoding="utf-8") as file:
            return file.read()

    def test_a_run_measures_the_model_and_the_patterns_and_writes_three_files(self):
        status, shown, said = self.run_quality()
        self.assertEqual(status, 0)
        self.assertIn("tutti/debate: not offered", said)
        self.assertEqual(len(self.server.bodies), 4 + 4 + 4)
        self.assertEqual(shown, self.read("report.md"))
        self.assertIn("| tutti/ensemble | 4 | 1.000 |", shown)
        found = json.loads(self.read("report.json"))
        self.assertEqual([c["column"] for c in found["columns"]],
                         ["once", "self-consistency, 1", "tutti/ensemble"])
        self.assertEqual(found["columns"][2]["calls"], 2)
        self.assertEqual([c["tokens"] for c in found["against_once"]], [1.0, 2.5])
        xml.etree.ElementTree.fromstring(self.read("curves.svg"))

    def test_the_request_of_a_pattern_is_the_one_of_the_anchor(self):
        self.run_quality()
        anchors = [b for b in self.server.bodies if b["model"] == "m" and b["temperature"] == 0]
        patterns = [b for b in self.server.bodies if b["model"] == "tutti/ensemble"]
        for anchor, pattern in zip(anchors, patterns):
            tutti = pattern.pop("tutti")
            self.assertEqual(pattern, anchor | {"model": "tutti/ensemble"})
            self.assertEqual(tutti, {"trace": True, "race": "single", "seed": anchor["seed"]})

    def test_the_same_command_asks_nothing_again(self):
        self.run_quality()
        _, shown, _ = self.run_quality()
        self.assertEqual(len(self.server.bodies), 12)
        self.assertEqual(shown, self.read("report.md"))

    def test_more_members_of_tutti_make_a_column_of_their_own(self):
        self.run_quality()
        _, shown, _ = self.run_quality("--tutti", '{"members": 3}', "--label", "with 3")
        self.assertEqual(self.server.bodies[-1]["tutti"]["members"], 3)
        self.assertIn("| tutti/ensemble with 3 | 4 |", shown)

    def test_each_pattern_is_a_column_of_the_recorder(self):
        with tempfile.TemporaryDirectory() as folder:
            recording = recorder.Recorder(
                ("127.0.0.1", 0), recorder.Records(Journal(os.path.join(folder, "r"))),
                recorder.Hosts({}, 1), [])
            threading.Thread(
                target=recording.serve_forever, args=(0.02,), daemon=True).start()
            _, _, said = self.run_quality(
                "--recorder", f"http://127.0.0.1:{recording.server_port}")
            recording.shutdown()
            recording.server_close()
            recording.records.journal.close()
        self.assertIn("tutti/ensemble: 0 recorded answers, 0 new ones, 0 failed", said)

    def test_another_seed_needs_another_folder(self):
        self.run_quality()
        with contextlib.redirect_stderr(io.StringIO()) as said:
            with self.assertRaises(SystemExit) as caught:
                quality.main(self.arguments + ["--seed", "2"])
        self.assertEqual(caught.exception.code, 64)
        self.assertIn("seed is 1 there, not 2", said.getvalue())

    def interrupted(self, number):
        """Stops a run after ten requests by a signal. Returns its exit status and its output."""
        self.server.most = 10
        process = subprocess.Popen(
            [sys.executable, quality.__file__, *self.arguments], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)
        self.assertTrue(self.server.full.wait(60))
        process.send_signal(number)
        shown, _ = process.communicate(timeout=60)
        return process.returncode, shown

    def test_sigterm_and_sigint_write_all_three_files_and_the_run_resumes(self):
        for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            found, shown = self.interrupted(number)
            self.assertEqual(found, status)
            self.assertIn("Interrupted", shown)
            self.assertEqual(shown, self.read("report.md"))
            self.assertTrue(json.loads(self.read("report.json"))["interrupted"])
            xml.etree.ElementTree.fromstring(self.read("curves.svg"))
            self.server.full.clear()
        self.server.most = 10_000
        _, shown, _ = self.run_quality()
        self.assertIn("| tutti/ensemble | 4 | 1.000 |", shown)


if __name__ == "__main__":
    unittest.main()
