"""The table and the JSON of a run."""

import dataclasses

import scoring
from measurement import DIRECT

HEADINGS = ("pattern", "tasks", "score", "95 % interval", "right", "tokens", "calls", "seconds",
            "unmarked", "cut", "errors")


def label(column):
    budget = f" for {column.budget_of}" if column.budget_of else ""
    plural = "" if column.samples == 1 else "s"
    samples = f", {column.samples} sample{plural}" if column.samples else ""
    return f"{column.name}{budget}{samples}"


def rows(columns, total):
    """Returns one row per column, self-consistency below the pattern that it is compared with."""
    ordered = []
    for column in columns:
        if not column.budget_of:
            ordered.append(column)
            ordered += [c for c in columns if c.budget_of == column.name]
    return [_row(column, total) for column in ordered]


def _row(column, total):
    name = label(column)
    if column.missing and not column.results:
        kind = "not measured" if column.budget_of else "not offered"
        return (name, f"{kind}: {column.missing}")
    if not column.results:
        return (name, "no task finished")
    count = len(column.results)
    low, high = scoring.wilson(column.score, count)
    return (
        name, f"{count}" if count == total else f"{count}/{total}", f"{column.score:.3f}",
        f"{low:.3f} to {high:.3f}", str(sum(r.score >= 0.999 for r in column.results)),
        _number(column.mean("tokens"), 0), _number(column.mean("calls"), 1),
        _number(column.mean("seconds"), 1), str(sum(not r.marked for r in column.answered)),
        str(sum(r.cut for r in column.results)), str(sum(len(r.errors) for r in column.results)),
    )


def _number(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def table(columns, total):
    lines = [HEADINGS] + rows(columns, total)
    widths = [max(len(line[i]) for line in lines if len(line) == len(HEADINGS))
              for i in range(len(HEADINGS))]
    widths[0] = max(len(line[0]) for line in lines)
    return "\n".join(
        "  ".join([line[0].ljust(widths[0])]
                  + ([line[1]] if len(line) == 2 else
                     [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])])).rstrip()
        for line in lines)


def comparisons(columns, seed):
    """Returns how much better each pattern is than direct and than self-consistency at its budget.

    Compares over the tasks that both sides have.
    """
    by_name = {c.name: c for c in columns if not c.budget_of and c.results}
    pairs = []
    for name, pattern in by_name.items():
        if name == DIRECT:
            continue
        rivals = [by_name[DIRECT]] if DIRECT in by_name else []
        rivals += [c for c in columns if c.budget_of == name and c.results]
        pairs += [_compare(pattern, rival, seed) for rival in rivals]
    return [pair for pair in pairs if pair]


def _compare(pattern, rival, seed):
    theirs = {r.task: r.score for r in rival.results}
    differences = [r.score - theirs[r.task] for r in pattern.results if r.task in theirs]
    if not differences:
        return None
    return {
        "pattern": pattern.name, "minus": label(rival), "tasks": len(differences),
        "difference": sum(differences) / len(differences),
        "interval": scoring.paired_interval(differences, seed),
        "token_ratio": _ratio(pattern.mean("tokens"), rival.mean("tokens")),
    }


def _ratio(one, other):
    return one / other if one and other else None


def comparison_lines(pairs):
    width = max((len(f"{p['pattern']} - {p['minus']}") for p in pairs), default=0)
    for p in pairs:
        name = f"{p['pattern']} - {p['minus']}".ljust(width)
        interval = ("scores are the same on every task" if p["interval"] is None
                    else f"{p['interval'][0]:+.3f} to {p['interval'][1]:+.3f}")
        ratio = "" if p["token_ratio"] is None else f", {p['token_ratio']:.2f} times its tokens"
        yield f"{name}  {p['difference']:+.3f}  {interval}, {p['tasks']} tasks{ratio}"


def text(columns, total, seed, interrupted):
    lines = [table(columns, total)]
    pairs = comparisons(columns, seed)
    if pairs:
        lines += ["", "Difference of the scores on the same tasks, with its 95 % interval:"]
        lines += comparison_lines(pairs)
    if interrupted:
        lines += ["", "Interrupted: patterns have different numbers of tasks, or are missing."]
    return "\n".join(lines)


def record(columns, settings, base_url, datasets, versions, seed, interrupted):
    """Returns all data of a run, for `--json`."""
    return {
        "base_url": base_url, "settings": dataclasses.asdict(settings), "datasets": datasets,
        "versions": versions, "interrupted": interrupted,
        "columns": [
            {
                "pattern": column.name, "budget_of": column.budget_of or None,
                "samples": column.samples or None, "missing": column.missing or None,
                "score": column.score,
                "interval": scoring.wilson(column.score, len(column.results))
                if column.results else None,
                "completion_tokens": column.mean("tokens"), "calls": column.mean("calls"),
                "seconds": column.mean("seconds"),
                "errors": sum(len(r.errors) for r in column.results),
                "results": [dataclasses.asdict(result) for result in column.results],
            }
            for column in columns
        ],
        "comparisons": comparisons(columns, seed),
    }
