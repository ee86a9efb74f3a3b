#!/usr/bin/env python3
"""Sends 1, 6 and 12 long prompts at once to a slow llama.cpp, directly and through Tutti.

    slow_host.py --bin DIR --real MODEL_ENV [--at-once 1,6,12]

A prompt has some 1,450 tokens, which a small machine reads in seconds. The server answers two at
once, so the last prompts wait for minutes. Tutti must return as many answers as the server, and
answer a short question of another client afterwards. Exit code 1 if it does not.
"""

import argparse
import concurrent.futures
import http.client
import json
import sys
import time
import urllib.error
import urllib.request

from compare import Cluster, LocalModel

# The default of the official clients: ten minutes.
SECONDS = 600
LONG = " ".join(f"Item {number} costs {number * 7 % 100} crowns." for number in range(160))


def ask(url, model, text, max_tokens=16):
    """Returns the seconds, and the failure or None."""
    body = {"model": model, "max_tokens": max_tokens, "temperature": 0,
            "messages": [{"role": "user", "content": text}]}
    request = urllib.request.Request(url + "/chat/completions", data=json.dumps(body).encode(),
                                     headers={"content-type": "application/json"})
    started = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            text = json.load(answer)["choices"][0]["message"]["content"]
            failure = None if text else "an empty answer"
    except urllib.error.HTTPError as refusal:
        failure = f"{refusal.code}: {refusal.read().decode(errors='replace')[:300]}"
    except (OSError, http.client.HTTPException, ValueError, KeyError) as broken:
        failure = repr(broken)
    return time.monotonic() - started, failure


def ask_at_once(url, model, number):
    with concurrent.futures.ThreadPoolExecutor(number) as pool:
        # Each prompt begins differently, so that no prompt cache contains it.
        questions = [f"Question {i}. {LONG} What costs most?" for i in range(number)]
        return list(pool.map(lambda question: ask(url, model, question), questions))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--real", required=True, metavar="MODEL_ENV")
    parser.add_argument("--at-once", default="1,6,12")
    options = parser.parse_args()
    host, cluster, is_good = LocalModel(options.real), None, True
    try:
        cluster = Cluster(options.bin)
        cluster.admin("POST", "/hosts?wait_ms=4000", {"url": host.ready["url"], "id": "slow"})
        gateway = f"http://127.0.0.1:{cluster.port}/v1"
        places = {"directly": host.direct("llama_cpp"), "through": gateway}
        model = host.ready["model"]
        for _ in range(10):
            ask(gateway, model, "Say hello.", max_tokens=4)
        for number in map(int, options.at_once.split(",")):
            answered = {}
            for place, url in places.items():
                found = ask_at_once(url, model, number)
                times = sorted(seconds for seconds, failure in found if failure is None)
                failures = sorted({failure for _, failure in found if failure})
                answered[place] = len(times)
                span = f"{times[0]:.1f} to {times[-1]:.1f} s" if times else "none"
                print(f"{number:2} at once, {place:8}: {len(times)} of {number} answered, {span}")
                for failure in failures:
                    print(f"      {failure}")
            seconds, failure = ask(gateway, model, "Say hello.", max_tokens=4)
            print(f"      short question afterwards: {failure or f'answered in {seconds:.1f} s'}")
            is_good = is_good and answered["through"] >= answered["directly"] and not failure
    finally:
        if cluster:
            cluster.stop()
        host.stop()
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
