"""Suites of tasks: closed questions, JSON extraction, questions over documents, and programs."""

from suites.task import Task, Unusable

SUITES = ("closed", "json", "documents", "code")


def load(suite, count, seed, levels=None):
    """Returns up to `count` tasks of a suite. The same arguments give the same tasks.

    A larger `count` only adds tasks. `levels` are those of the closed questions; see reasoning.py.
    Raises Unusable if the suite cannot be loaded.
    """
    if suite == "closed":
        from suites import reasoning
        return reasoning.load(count, seed, levels)
    if suite == "json":
        from suites import extraction
        return extraction.load(count, seed)
    if suite == "documents":
        from suites import documents
        return documents.load(count, seed)
    if suite == "code":
        from suites import programs
        return programs.load(count)
    raise Unusable(f"there is no suite {suite}; there are {', '.join(SUITES)}")


__all__ = ["SUITES", "Task", "Unusable", "load"]
