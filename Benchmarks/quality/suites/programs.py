"""Programming tasks with hidden tests.

A program of a model runs in a process of its own without files to write, sockets and other
processes. That protects from accidents, not from an attack: only measure models that you trust.
"""

import json
import os
import re
import resource
import secrets
import signal
import subprocess
import sys
import tempfile

from suites.task import Task, unvoted

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs.json")

MAX_TOKENS = 512
# Every reference needs less than a tenth of a second with all its tests.
SECONDS = 5
MEMORY = 512 * 1024 * 1024
# A process that is killed may not have been waited for by the kernel yet.
GRACE_SECONDS = 2
# The results of all tests of a program. The references need less than 1 KiB.
MAXIMUM_OUTPUT = 1024 * 1024

FENCE = re.compile(r"^[ \t]*```[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)

# Runs in the process of the program: reads one line of JSON, and writes one line that begins with
# the token in it. An event of Python's audit that is not named here raises an error, so that files
# can be read (for imports), and nothing can be written, started or connected.
RUNNER = r'''
import sys, json
order = json.loads(sys.stdin.readline())
sys.stdin.close()
write, dump, token = sys.__stdout__.write, json.dumps, order.pop("token")
harmless = {"import", "compile", "exec", "marshal.loads", "marshal.load", "os.listdir",
            "os.scandir", "sys._getframe", "code.__new__", "object.__getattr__",
            "object.__setattr__", "object.__delattr__", "builtins.id", "builtins.input",
            "builtins.input/result", "sys.excepthook", "sys.unraisablehook", "os.putenv",
            "gc.get_objects", "function.__new__", "re.compile", "sys._getframemodulename"}
def audit(event, arguments):
    if event == "open" and isinstance(arguments[2], int) and not arguments[2] & 0o3103:
        return
    if event not in harmless:
        raise PermissionError(event)
results = []
def run():
    space = {"__name__": "program"}
    exec(compile(order["code"], "program", "exec"), space)
    function = space[order["name"]]
    for arguments in order["arguments"]:
        try:
            results.append([dump(function(*arguments))])
        except Exception as error:
            results.append(None)
class Quiet:
    def write(self, text): return len(text)
    def flush(self): pass
    def isatty(self): return False
sys.stdout = sys.stderr = Quiet()
sys.addaudithook(audit)
try:
    run()
except BaseException as error:
    results = results or None
write("\n" + token + dump(results) + "\n")
sys.__stdout__.flush()
'''


def load(count):
    """Returns up to `count` programming tasks. There are 60."""
    return [_task(number, problem) for number, problem in enumerate(problems()[:count])]


def problems():
    with open(FILE, encoding="utf-8") as file:
        return json.load(file)


def prompt(problem):
    examples = "\n".join(
        f"{problem['name']}({', '.join(map(repr, arguments))}) == {result!r}"
        for arguments, result in problem["examples"])
    return (f"Write a Python function `{problem['signature']}`.\n\n{problem['text']}\n\nExamples:\n"
            f"{examples}\n\nReply with one Python code block that has only the function.")


def _task(number, problem):
    return Task(
        suite="code", number=number, label=problem["name"], prompt=prompt(problem),
        expected="\n".join(problem["reference"]), max_tokens=MAX_TOKENS,
        judge=lambda text: passes(problem, text), vote=unvoted)


def code_of(text, name):
    """Returns the program in an answer, or None if nothing in it defines the function.

    That is the code of all blocks, or of the first block that compiles alone and defines the
    function, or the whole text if it has no block.
    """
    blocks = FENCE.findall(text)
    for code in ["\n".join(blocks)] + blocks if blocks else [text]:
        if re.search(rf"^\s*(async\s+)?def\s+{re.escape(name)}\b", code, re.MULTILINE):
            try:
                compile(code, "program", "exec", dont_inherit=True)
                return code
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
    return None


def passes(problem, text):
    """Returns 1 if the program in an answer passes all tests, the examples included, else 0."""
    tests = problem["examples"] + problem["tests"]
    code = code_of(text, problem["name"])
    if code is None:
        return 0.0
    results = run(code, problem["name"], [arguments for arguments, _ in tests])
    if results is None or len(results) != len(tests):
        return 0.0
    return float(all(
        found is not None and same(json.loads(found[0]), expected)
        for found, (_, expected) in zip(results, tests)))


def same(found, expected):
    """Compares two values of JSON. True is not 1; 1.0 is 1; decimals may differ by rounding."""
    if isinstance(found, bool) or isinstance(expected, bool):
        return found is expected
    if isinstance(found, (int, float)) and isinstance(expected, (int, float)):
        return abs(found - expected) <= 1e-9 * max(1, abs(expected))
    if type(found) is not type(expected):
        return False
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[k], expected[k]) for k in found)
    return found == expected


def run(code, name, arguments):
    """Returns the results of a function as a list of [JSON text] or None for each call.

    Returns None if the program broke off, took too long, or does not define the function. The
    expected results never enter the process of the program.
    """
    token = secrets.token_hex(16)
    order = json.dumps({"token": token, "code": code, "name": name, "arguments": arguments})
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", RUNNER], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder, env={},
            start_new_session=True, preexec_fn=_limit)
        try:
            output, _ = process.communicate(order.encode() + b"\n", timeout=SECONDS + GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            output = b""
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
            process.communicate()
    if len(output) > MAXIMUM_OUTPUT:
        return None
    for line in output.decode(errors="replace").splitlines():
        if line.startswith(token):
            return json.loads(line[len(token):])
    return None


def _limit():
    """Limits the process of a program: time, memory, and no byte in any file."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
