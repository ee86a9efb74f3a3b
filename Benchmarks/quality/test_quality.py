"""Tests of the client, the command and the tasks. From this folder: python3 -m unittest"""

import contextlib
import importlib.util
import io
import json
import os
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import quality
import tasks
from endpoint import Endpoint, Refused, Unreachable, calls
from scoring import extract


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
        for arguments in (["--tasks", "0"], ["--tasks", "x"], ["--nonsense"], ["--timeout", "nan"],
                          ["--base-url", "here"], ["--model", "tutti/ensemble"], ["--patterns", ","],
                          ["--json", "/no/such/folder/file"], ["--json", "/"]):
            code, said = self.exits(*arguments)
            self.assertEqual(code, 64, arguments)
            self.assertEqual(len(said.splitlines()), 1, said)

    def test_no_server_exits_69_with_one_sentence(self):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        port = server.server_port
        server.server_close()
        code, said = self.exits("--base-url", f"http://127.0.0.1:{port}/v1", "--model", "m")
        self.assertEqual(code, 69)
        self.assertEqual(len(said.splitlines()), 1, said)
        self.assertIn("no server answers", said)

    def test_a_model_that_the_server_lacks_is_named_beside_those_it_has(self):
        with contextlib.redirect_stderr(io.StringIO()) as said, self.assertRaises(SystemExit):
            quality.choose_model("n", ["m", "tutti/fast"])
        self.assertIn("no model n; it offers m", said.getvalue())
        self.assertEqual(quality.choose_model(None, ["m", "tutti/fast"]), "m")

    def test_the_file_is_written_whole(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "out.json")
            quality.write(path, {"a": "ü"})
            with open(path, encoding="utf-8") as file:
                self.assertEqual(json.load(file), {"a": "ü"})
            self.assertEqual(os.listdir(folder), ["out.json"])


@unittest.skipUnless(importlib.util.find_spec("reasoning_gym"), "reasoning-gym is not installed")
class ReasoningGymTests(unittest.TestCase):
    def test_every_standard_task_is_solved_by_its_own_answer_through_our_extraction(self):
        for task in tasks.load(tasks.STANDARD, 3 * len(tasks.STANDARD), 1):
            with self.subTest(task.dataset):
                found = extract(f"I think so.\nAnswer: {task.entry['answer']}")
                self.assertEqual(task.score(found.answer), 1.0)
                # Some verifiers give part of the score for each letter in the right place.
                self.assertLess(task.score("nothing of the kind"), 0.5)
                self.assertEqual(task.score(None), 0.0)

    def test_the_same_seed_gives_the_same_tasks_and_another_gives_others(self):
        def prompts(count, seed):
            return [task.prompt for task in tasks.load(tasks.STANDARD[:3], count, seed)]

        self.assertEqual(prompts(7, 1), prompts(7, 1))
        self.assertEqual(prompts(7, 1)[:4], prompts(4, 1))
        self.assertNotEqual(prompts(7, 1), prompts(7, 2))

    def test_an_unknown_data_set_is_named(self):
        with self.assertRaisesRegex(tasks.UnknownDataset, "no_such"):
            tasks.load(["no_such"], 1, 1)


if __name__ == "__main__":
    unittest.main()
