"""Prints an answer on standard output and the progress of its plan on standard error.

    python3 progress_client.py GATEWAY MODEL QUESTION

It uses the standard library only. The key in TUTTI_API_KEY is sent, if there is one.
"""

import json
import os
import sys
import urllib.error
import urllib.request


def events(lines):
    """The steps of the plan, as ("step", object), and the events of the answer, as ("data", text)."""
    data = []
    for line in lines:
        line = line.decode().rstrip("\r\n")
        if line.startswith(": tutti "):
            steps = json.loads(line.removeprefix(": tutti "))
            # One step is an object; steps that happened at the same time are an array.
            for step in steps if isinstance(steps, list) else [steps]:
                yield "step", step
        elif line.startswith("data: "):
            data.append(line.removeprefix("data: "))
        elif not line and data:
            yield "data", "\n".join(data)
            data = []


def describe(step):
    """One line for a step. A newer gateway may send events that this client does not know."""
    if step["event"] == "planned":
        return f"planned {step['pattern']}: {len(step['tasks'])} tasks"
    words = [step["event"], step.get("task", "")]
    for member in ("role", "host", "model", "status", "tokens", "total_ms", "reason"):
        if member in step:
            words.append(f"{member}={step[member]}")
    return " ".join(words)


def main(gateway, model, question):
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": question}]}
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("TUTTI_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(
        gateway + "/v1/chat/completions", json.dumps(body).encode(), headers
    )
    try:
        response = urllib.request.urlopen(request, timeout=600)
    except urllib.error.HTTPError as error:
        sys.exit(json.load(error)["error"]["message"])
    is_complete = False
    for kind, event in events(response):
        if kind == "step":
            print(describe(event), file=sys.stderr)
        elif event == "[DONE]":
            is_complete = True
        else:
            chunk = json.loads(event)
            if "error" in chunk:
                sys.exit("\n" + chunk["error"]["message"])
            for choice in chunk.get("choices", []):
                print(choice.get("delta", {}).get("content") or "", end="", flush=True)
    print()
    if not is_complete:
        sys.exit("the answer was cut off")


if __name__ == "__main__":
    main(*sys.argv[1:])
