"""Files of a run: one JSON value per line, so that an interrupted run can be resumed."""

import json
import os
import threading


class Different(Exception):
    """The folder has a run with other settings. The message names them."""


class Journal:
    """A file of JSON lines that only grows. `rows` has its content.

    Each line is on disk before `append` returns. A line that a killed process left incomplete is
    removed when the file is opened again.
    """

    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()
        self.rows = []
        end = 0
        if os.path.exists(path):
            with open(path, "rb") as file:
                for line in file:
                    row = _row(line)
                    if row is None:
                        break
                    self.rows.append(row)
                    end += len(line)
            if end < os.path.getsize(path):
                # A damaged line in the middle is not the mark of a killed process.
                if self._lines_after(end) > 1:
                    raise ValueError(f"{path} has a damaged line at byte {end}")
                os.truncate(path, end)
        self.file = open(path, "ab")

    def _lines_after(self, offset):
        with open(self.path, "rb") as file:
            file.seek(offset)
            return len(file.readlines())

    def append(self, row):
        line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
        with self.lock:
            self.file.write(line)
            self.file.flush()
            os.fsync(self.file.fileno())
            self.rows.append(row)

    def close(self):
        self.file.close()


def _row(line):
    """Returns the value of a line, or None if the line is incomplete."""
    if not line.endswith(b"\n"):
        return None
    try:
        return json.loads(line)
    except ValueError:
        return None


class Run:
    """The folder of a run: `settings.json`, `draws.jsonl` and `results.jsonl`.

    Draws are single answers of a model; results are answers of a pattern.
    """

    def __init__(self, folder, settings=None):
        """Opens or creates the folder. Raises Different if `settings` are not those of the run."""
        os.makedirs(folder, exist_ok=True)
        self.folder = folder
        path = os.path.join(folder, "settings.json")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                self.settings = json.load(file)
            wrong = [name for name, value in (settings or {}).items()
                     if self.settings.get(name) != value]
            if wrong:
                raise Different(", ".join(
                    f"{name} is {self.settings.get(name)} there, not {settings[name]}"
                    for name in wrong))
        else:
            self.settings = settings or {}
            write(path, json.dumps(self.settings, indent=1) + "\n")
        self.draws = Journal(os.path.join(folder, "draws.jsonl"))
        self.results = Journal(os.path.join(folder, "results.jsonl"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def close(self):
        self.draws.close()
        self.results.close()


def write(path, text):
    """Replaces the file atomically."""
    partial = f"{path}.{os.getpid()}.partial"
    with open(partial, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(partial, path)
