"""Types of command-line options, and messages, of the commands in this folder."""

import argparse
import json
import sys
import urllib.parse

# Exit codes from sysexits.h, as in Tutti's own commands.
USAGE, UNAVAILABLE, INTERRUPTED = 64, 69, 130


class Parser(argparse.ArgumentParser):
    def error(self, message):
        fail(f"{message} (--help lists the options)", USAGE)


def fail(message, status):
    print(f"quality: {message}", file=sys.stderr)
    sys.exit(status)


def say(message):
    print(f"quality: {message}", file=sys.stderr, flush=True)


def whole(low, high):
    """Returns an option type: an integer from `low` to `high`."""
    def read(text):
        if not text.lstrip("-").isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(
                f"must be an integer from {low} to {high}, not {text!r}")
        return int(text)
    return read


def decimal(low, high):
    """Returns an option type: a number from `low` to `high`."""
    def read(text):
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"must be a number from {low} to {high}, not {text!r}")
        return number
    return read


def names(text):
    found = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not found:
        raise argparse.ArgumentTypeError("must have at least one name")
    return found


def url(text):
    try:
        parts = urllib.parse.urlsplit(text)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise argparse.ArgumentTypeError(f"must be an http or https URL, not {text!r}")
    return text


def members(text):
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError(f"must be a JSON object, not {text!r}")
    return found
