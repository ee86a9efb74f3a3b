#!/usr/bin/env python3
"""Asks the embedded model the first questions of a new user, through `tutti up`.

    TUTTI_MODEL_ENV=FOLDER Benchmarks/first_questions.py --bin BIN [--times 1] [--model tutti/auto]

Prints the tokens, the finish reason and the longest repetition of each answer. Exits with 1 if a
request fails, an answer has more than 1,024 completion tokens, or an answer repeats a period of at
most 200 bytes over more than 600 bytes.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from ports import free_ports

MOST_TOKENS = 1_024
LONGEST_PERIOD = 200
MOST_REPEATED = 600

QUESTIONS = [
    # Greetings, and questions about the model.
    "Hello", "Hi, how are you?", "Who are you?", "What can you do?", "Thank you!", "test", "?",
    # Facts.
    "What is the capital of France?", "Who wrote Romeo and Juliet?", "How tall is Mount Everest?",
    "When did the Second World War end?", "What is photosynthesis?", "Why is the sky blue?",
    "How does a refrigerator work?", "What is the speed of light?", "Who was Marie Curie?",
    # Lists.
    "List ten animals.", "Name the planets of the solar system.", "List the months of the year.",
    "Give me 20 ideas for dinner.", "List all countries in Europe.", "Count from 1 to 50.",
    "List the first 30 prime numbers.", "Name five programming languages and one use of each.",
    # Small programs.
    "Write a Python function that reverses a string.", "Write FizzBuzz in JavaScript.",
    "Write a SQL query that counts users by country.", "What does `git rebase` do?",
    "Write a bash loop over all .txt files.", "Write an HTML page with a heading and a list.",
    # Arithmetic and logic.
    "What is 17 + 25?", "What is 12 times 12?", "What is 15 % of 80?",
    "A train travels 60 km in 45 minutes. How fast is it?",
    "If all cats are animals, is every animal a cat?", "Is 97 a prime number?",
    # Translation and other languages.
    "Translate 'good morning' into French.", "Translate 'Where is the station?' into German.",
    "Wie heißt die Hauptstadt von Österreich?", "¿Cuál es la capital de España?",
    "Say hello in five languages.",
    # Writing.
    "Write a haiku about autumn.", "Tell me a joke.", "Write a short story about a dragon.",
    "Write an email that asks for a day off.", "Write a poem with four lines about the sea.",
    "Summarise the plot of Cinderella.", "Give me three names for a bakery.",
    # Requests that tempt a small model to repeat itself.
    "Write the word tutti again and again.", "Write a very long essay about water.",
]
assert len(QUESTIONS) == 50


def repetition(text):
    """The period and the length, in bytes, of the longest part that repeats a period of at most
    LONGEST_PERIOD bytes at least once. (0, 0) means that there is none."""
    data = text.encode()
    best = (0, 0)
    for period in range(1, min(LONGEST_PERIOD, len(data) // 2) + 1):
        equal = 0
        for first, second in zip(data, data[period:]):
            equal = equal + 1 if first == second else 0
            if equal >= period and equal + period > best[1]:
                best = (period, equal + period)
    return best


def ask(port, model, question):
    """Text, completion tokens and finish reason of the answer."""
    body = {"model": model, "messages": [{"role": "user", "content": question}]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(body).encode(),
        headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as reply:
        answer = json.load(reply)
    choice = answer["choices"][0]
    return (
        choice["message"].get("content") or "", answer["usage"]["completion_tokens"],
        choice.get("finish_reason"))


def start(folder, data, port, log):
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith("TUTTI_") or k == "TUTTI_MODEL_ENV"}
    # The cluster ends when its standard input closes, which happens when this process ends.
    process = subprocess.Popen(
        [os.path.join(folder, "tutti"), "up", "--port", str(port), "--data-dir", data + "/data"],
        stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT,
        env={**kept, "TUTTI_LIFELINE_FD": "0"})
    while not os.path.exists(data + "/data/cluster.json"):
        if process.poll() is not None:
            log.seek(0)
            raise SystemExit(f"first-questions: the cluster did not start:\n{log.read()[-2000:]}")
        time.sleep(0.1)
    return process


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", required=True)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--model", default="tutti/auto")
    options = parser.parse_args()
    data = tempfile.mkdtemp(prefix="tutti-ask-")
    faults, tokens_of_all, finishes, longest = [], [], {}, 0
    with open(data + "/log", "w+") as log:
        port = free_ports(3)
        process = start(options.bin, data, port, log)
        try:
            print(f"{'question':52}{'tokens':>7} {'finish':8}{'period':>7}{'repeats':>8}{'s':>7}")
            for _ in range(max(1, options.times)):
                for question in QUESTIONS:
                    began = time.monotonic()
                    try:
                        text, tokens, finish = ask(port, options.model, question)
                    except (OSError, ValueError, LookupError) as error:
                        detail = error.read().decode() if isinstance(error, urllib.error.HTTPError) else ""
                        faults.append(f"“{question}” failed: {error} {detail[:300]}")
                        continue
                    period, repeated = repetition(text)
                    print(f"{question[:50]:52}{tokens:>7} {finish or '-':8}{period:>7}{repeated:>8}"
                          f"{time.monotonic() - began:>7.1f}", flush=True)
                    tokens_of_all.append(tokens)
                    finishes[finish] = finishes.get(finish, 0) + 1
                    longest = max(longest, repeated)
                    if tokens > MOST_TOKENS:
                        faults.append(f"“{question}” has {tokens} tokens")
                    if repeated > MOST_REPEATED:
                        faults.append(f"“{question}” repeats {period} bytes over {repeated} bytes")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            process.stdin.close()
            shutil.rmtree(data, ignore_errors=True)
    reasons = ", ".join(f"{count} {name}" for name, count in sorted(finishes.items(), key=str))
    print(f"\n{len(tokens_of_all)} answers, at most {max(tokens_of_all, default=0)} tokens, "
          f"finished by {reasons}; the longest repetition has {longest} bytes")
    if faults:
        raise SystemExit("\n".join(faults))


if __name__ == "__main__":
    main()
