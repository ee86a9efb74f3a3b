"""Decides if a client's direct result and its result through Tutti are equal."""

import json
import re

# Members of a result that are not compared. Messages are compared separately, by content.
WORDS = ("message", "host_message")


def differences(direct, through, path=""):
    """Returns lines that describe the differing members."""
    if isinstance(direct, dict) and isinstance(through, dict):
        found = []
        for name in dict.fromkeys([*direct, *through]):
            if name in WORDS or (path == "error" and may_differ(name, direct, through)):
                continue
            found += differences(direct.get(name), through.get(name), f"{path}.{name}".strip("."))
        if "host_message" in direct:
            words = through.get("host_message") or through.get("message") or ""
            if direct["host_message"] not in words:
                found.append(f"{path}.message: {shown(direct['host_message'])} is not in "
                             f"{shown(words)}")
        return found
    return [] if direct == through else [f"{path}: {shown(direct)} → {shown(through)}"]


def may_differ(name, direct, through):
    """Returns whether a difference is allowed for all habits.

    Tutti may add a type, code, parameter or retry time that the host does not send, and replaces a
    host's status above 500 by its own.
    """
    if name in ("type", "code", "param", "retry_after", "retry_after_ms"):
        return direct.get(name) is None
    statuses = direct.get("status") or 0, through.get("status") or 0
    return name == "status" and min(statuses) >= 500


def shown(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 240 else f"{text[:140]} … {text[-80:]} ({len(text)})"


def without(found, *names):
    return {name: value for name, value in found.items() if name not in names}


def repaired(found):
    """Unifies all replacements of a byte that is not UTF-8, and the letter it was part of."""
    return json.loads(re.sub("[\ufffd🌈]+", "?", json.dumps(found, ensure_ascii=False)))


def in_short(found):
    """Returns the error or the answer in one line."""
    if "error" not in found:
        return f"answer {shown(found)}"
    problem = found["error"]
    facts = [str(problem[name]) for name in ("class", "status", "type", "code", "param")
             if name in problem]
    words = problem.get("host_message") or problem.get("message") or ""
    return f"error {' '.join(facts)}: {shown(words)}"


def judge(habit, direct, through, baseline, extra_asked):
    """Returns "equal", "improved" or "different", and lines that describe the differences."""
    if ("error" in direct) != ("error" in through):
        lines = [f"{in_short(direct)}", f"→ {in_short(through)}"]
    else:
        lines = differences(direct, through)
        if lines and "error" in through:
            lines.append(f"Tutti's error: {shown(in_short(through))}")
    verdict = "different" if lines else "equal"
    if lines and habit.improves == "answer" and "error" not in through:
        # Usage is not compared, because Tutti cannot add it if the host sends none in a stream.
        wanted, got = (repaired(without(one, "model", "usage")) for one in (baseline, through))
        if wanted == got:
            verdict = "improved"
    is_refused = direct.get("error", {}).get("status", 0) >= 400
    if lines and habit.improves == "error" and "error" in through and not is_refused:
        verdict = "improved"
    if extra_asked > 1:
        lines.append(f"{extra_asked} more requests to the host than directly")
        verdict = "different"
    return verdict, lines


def table(rows, clients, habits):
    signs = {"equal": "=", "improved": "+", "different": "≠"}
    width = max(len(name) for name in habits) + 6
    lines = [" " * width + " ".join(f"{name[:7]:>7}" for name in clients)]
    for habit in habits:
        cells = []
        for client in clients:
            found = [r for r in rows if r["habit"] == habit and r["client"] == client]
            bad = sum(r["verdict"] == "different" for r in found)
            worst = next((v for v in ("different", "improved", "equal")
                          if any(r["verdict"] == v for r in found)), None)
            cell = f"≠ {bad}/{len(found)}" if bad else signs.get(worst, "·")
            cells.append(f"{cell:>7}")
        lines.append(f"{habits[habit].kind:4} {habit}".ljust(width) + " ".join(cells))
    return "\n".join(lines)


def report(rows, clients, habits):
    lines = [table(rows, clients, habits), ""]
    for habit in habits:
        bad = [r for r in rows if r["habit"] == habit and r["verdict"] == "different"]
        if not bad:
            continue
        lines.append(f"{habits[habit].kind} {habit}: {habits[habit].what}")
        # Calls with the same differences are grouped.
        ways = {}
        for row in bad:
            ways.setdefault("\n".join(row["differences"]), []).append(row)
        for way, alike in ways.items():
            calls = {}
            for row in alike:
                calls.setdefault(row["client"], []).append(row["call"])
            lines.append("  " + "; ".join(f"{client}: {', '.join(names)}"
                                          for client, names in calls.items()))
            lines += [f"      {line}" for line in way.split("\n")]
    counts = {v: sum(r["verdict"] == v for r in rows) for v in ("equal", "improved", "different")}
    lines.append(f"{len(rows)} calls: {counts['equal']} equal, {counts['improved']} improved as "
                 f"declared, {counts['different']} different")
    return "\n".join(lines)
