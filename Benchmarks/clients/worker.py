"""Shared code of the client scripts, which read calls as JSON lines and print results.

An input line is {"call": NAME, "url": BASE_URL, "model": MODEL}. An output line is a result: the
members of `result()` that the client library supports, or {"error": {...}}. Libraries print to
standard error.
"""

import json
import os
import sys

QUESTION = "Name three colours of the rainbow."
TOOL_QUESTION = "What is the weather in Köln?"
MESSAGES = [{"role": "system", "content": "You are terse."}, {"role": "user", "content": QUESTION}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Reports the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
            "required": ["city", "degrees"],
        },
    },
}
KEY = "none"
# A real model must return a short text, and the same one each time.
IS_REAL = "CLIENTS_REAL" in os.environ
LIMITS = {"max_tokens": 24, "temperature": 0} if IS_REAL else {}
# The current call, as read.
task = {}
# Seconds for one call: longer than any habit takes, shorter than compare.py waits.
TIMEOUT = 40


def result(text=None, finish=None, calls=None, usage=None, **more):
    """Returns the result of a client library, without the members that it lacks."""
    found = {"text": text, "finish": finish, "calls": calls or None, "usage": usage, **more}
    return {name: value for name, value in found.items() if value is not None}


def same(identifier):
    """Returns the id of a tool call.

    The ids of a real model are random. For it, returns whether the call has an id.
    """
    return bool(identifier) if IS_REAL else identifier


def usage_of(usage):
    """Returns prompt, answer and total tokens from an object or a dictionary in OpenAI's format."""
    if usage is None:
        return None
    def get(name):
        return usage.get(name) if isinstance(usage, dict) else getattr(usage, name, None)
    return [get("prompt_tokens"), get("completion_tokens"), get("total_tokens")]


def status_of(error):
    for owner in (error, getattr(error, "response", None)):
        status = getattr(owner, "status_code", None)
        if isinstance(status, int):
            return status
    return None


def body_of(error):
    """Returns the error object of the host's body, if the library kept it."""
    body = getattr(error, "body", None)
    if isinstance(body, dict):
        return body.get("error") if isinstance(body.get("error"), dict) else body
    try:
        return error.response.json()["error"]
    except Exception:  # not kept, not JSON, not an object, or an unread stream
        return {}


def problem(error):
    """Returns the innermost error with a status, or the raised error."""
    chain, cause = [], error
    while cause is not None and len(chain) < 10:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    named = next((e for e in chain if status_of(e)), error)
    found = {"class": type(error).__name__, "status": status_of(named)}
    if named is not error:
        found["cause"] = type(named).__name__
    body = body_of(named)
    body = body if isinstance(body, dict) else {}
    for name in ("type", "code", "param"):
        value = getattr(named, name, None) or body.get(name)
        found[name] = None if value is None else str(value)
    headers = getattr(getattr(named, "response", None), "headers", None) or {}
    found["retry_after"] = headers.get("retry-after")
    found["retry_after_ms"] = headers.get("retry-after-ms")
    # The host's message, if the library keeps it apart from its own.
    words = body.get("message")
    found["host_message" if words else "message"] = str(words or named)[:2000]
    return {name: value for name, value in found.items() if value is not None}


def serve(calls):
    """Answers the lines of standard input. `calls`: functions of base URL and model."""
    # Output of the libraries must not mix with the results.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    by_name = {call.__name__: call for call in calls}
    print(json.dumps({"calls": list(by_name)}), file=out)
    for line in sys.stdin:
        task.clear()
        task.update(json.loads(line))
        try:
            found = by_name[task["call"]](task["url"], task["model"])
        except Exception as error:  # an error of any class is a result
            found = {"error": problem(error)}
        print(json.dumps(found, ensure_ascii=True, default=str), file=out)
