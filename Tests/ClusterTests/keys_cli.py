"""Checks `tutti keys`, and the key of other commands, against a scripted cluster. Run by
KeysCommandTests.swift:

    python keys_cli.py CASE TUTTI

Exit status 0 if the check passes; otherwise standard error has the failed assertion.
"""

import hashlib
import hmac
import http.server
import json
import os
import pty
import subprocess
import sys
import tempfile
import threading
import urllib.parse

ID = "abcdefgh2345"
KEY = f"tutti-{ID}-" + "s" * 42 + "A"
TOKEN = "a-token-of-the-cluster"
RECORD = {
    "object": "key",
    "id": ID,
    "name": "ci",
    "account": "acme",
    "scopes": ["chat"],
    "state": "active",
    "permissions": {"models": ["m"]},
    "limits": {"requests_per_minute": 60},
    "expires_at_ms": 1801353600000,
}
CHUNK = {"choices": [{"index": 0, "delta": {"content": "Hello."}}]}


class Cluster:
    """Gateway, registry and monitor on three consecutive ports, and the data directory."""

    def __init__(self, proves=True, keys=(RECORD,)):
        self.seen = []  # (method, path, bearer token, body)
        self.keys = list(keys)
        cluster = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                length = int(self.headers.get("content-length") or 0)
                body = json.loads(self.rfile.read(length) or b"null")
                token = (self.headers.get("authorization") or "").removeprefix("Bearer ")
                cluster.seen.append((self.command, self.path, token, body))
                status, value = cluster.answer(self.command, self.path, token, body, proves)
                data = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = answer

            def log_message(self, *arguments):
                pass

        while True:
            gateway = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            port = gateway.server_port
            try:
                others = [
                    http.server.ThreadingHTTPServer(("127.0.0.1", port + i), Handler)
                    for i in (1, 2)
                ]
                break
            except (OSError, OverflowError):
                gateway.server_close()
        for server in [gateway, *others]:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{port}"
        self.directory = tempfile.TemporaryDirectory()
        addresses = {
            name: f"http://127.0.0.1:{port + i}"
            for i, name in enumerate(["gateway", "registry", "monitor"])
        }
        self.write("admin-token", TOKEN)
        self.write(
            "cluster.json",
            json.dumps(
                addresses | {"pid": os.getpid(), "admin_token_file": self.path("admin-token")}
            ),
        )

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def write(self, name, text, mode=0o600):
        with open(self.path(name), "w") as file:
            file.write(text)
        os.chmod(self.path(name), mode)

    def answer(self, method, path, token, body, proves):
        url = urllib.parse.urlparse(path)
        query = urllib.parse.parse_qs(url.query)
        if url.path == "/admin/v1/proof":
            secret = TOKEN if proves else "another"
            text = f"tutti-registry-proof:{query['nonce'][0]}".encode()
            return 200, {"proof": hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()}
        if url.path.startswith("/admin/"):
            if token != TOKEN:
                return 401, {"error": {"message": "No.", "code": "invalid_api_key"}}
            return self.admin(method, url.path.removeprefix("/admin/v1/"), query)
        if token != KEY:
            return 401, {"error": {"message": "No such key.", "code": "invalid_api_key"}}
        return 200, f"data: {json.dumps(CHUNK)}\n\ndata: [DONE]\n\n".encode()

    def admin(self, method, path, query):
        if (method, path) == ("GET", "keys"):
            after = query.get("after", [""])[0]
            rest = [key for key in self.keys if key["id"] > after]
            # Pages of one key, whatever the client asked for.
            page = {"object": "list", "data": rest[:1], "has_more": len(rest) > 1}
            return 200, page | {"is_open": not self.keys}
        if (method, path) in [("POST", "keys"), ("POST", f"keys/{ID}/rotate")]:
            return 201, RECORD | {"key": KEY}
        if path == "audit" and query.get("kind") == ["host"] and "before" not in query:
            # The first page has none of the wanted changes.
            return 200, {"data": [], "has_more": True, "next": 5}
        if path == "audit":
            entry = {"position": 1, "time_ms": 0, "author": "me", "kind": "key", "id": ID}
            return 200, {"data": [entry | {"before": None, "after": RECORD}], "has_more": False}
        if path.startswith(f"keys/{ID}"):
            return 200, RECORD
        return 404, {"error": {"message": "There is no such key.", "code": "key_not_found"}}

    def run(self, tutti, *arguments, url=None, stdin=subprocess.DEVNULL, **variables):
        """Runs a command that finds the cluster by the data directory, or by `url`."""
        place = ["--data-dir", self.directory.name] + (["--url", url] if url else [])
        command, rest = list(arguments), []
        if "--" in command:
            rest = command[command.index("--") :]
            command = command[: command.index("--")]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TUTTI_")}
        return subprocess.run(
            [tutti, *command, *place, *rest],
            stdin=stdin,
            capture_output=True,
            text=True,
            env=environment | variables,
        )

    def bodies(self, method):
        return [body for seen, _, _, body in self.seen if seen == method]

    def tokens(self):
        return {token for _, _, token, _ in self.seen if token}


def created(tutti):
    """A new key is the only text on standard output, and --save keeps it for other commands."""
    cluster = Cluster(keys=())
    done = cluster.run(tutti, "keys", "create", "ci", "--tokens-per-day", "5", "--save")
    assert done.returncode == 0, done
    assert done.stdout == KEY + "\n" and KEY not in done.stderr, done
    assert "first key" in done.stderr, done
    assert cluster.bodies("POST") == [{"name": "ci", "limits": {"tokens_per_day": 5}}], cluster.seen
    saved = cluster.path("client-key")
    assert os.stat(saved).st_mode & 0o777 == 0o600
    assert open(saved).read() == KEY + "\n"
    done = cluster.run(tutti, "ask", "Hello")
    assert done.returncode == 0 and done.stdout == "Hello.\n", done
    done = cluster.run(tutti, "keys", "rotate", ID, "--grace", "1h", "--json")
    assert json.loads(done.stdout)["key"] == KEY and KEY not in done.stderr, done
    assert cluster.bodies("POST")[-1] == {"grace_ms": 3600000}, cluster.seen


def refused(tutti):
    """Mistakes are found before a request is sent, and errors never repeat a secret."""
    cluster = Cluster()
    for arguments, part in [
        (["keys", "create", "ci", "--scope", "chatt"], "did you mean chat"),
        (["keys", "create", "ci", "--expires", "soon"], "--expires"),
        (["keys", "create", KEY], "whole key"),
        (["keys", "show", KEY], "whole key"),
        (["keys", "list", KEY], f"{ID}-***"),
        (["keys", "set", ID], "name one"),
        (["keys", "rotate", ID, "--grace", "x"], "--grace"),
        (["audit", "--limit", "0"], "--limit"),
        (["audit", "--action", "delete"], "--action"),
        (["audit", "--from", "soon"], "--from"),
        (["audit", "--author", KEY], "whole key"),
    ]:
        done = cluster.run(tutti, *arguments)
        assert done.returncode == 64 and part in done.stderr, done
        assert KEY not in done.stdout + done.stderr, done
    assert not cluster.seen, cluster.seen
    done = cluster.run(tutti, "keys", "show", "zzzzzzzzzzzz")
    assert done.returncode == 1 and "no such key" in done.stderr, done


def listed(tutti):
    """All pages are listed, as a table or as a line of JSON for each key."""
    cluster = Cluster(keys=(RECORD, RECORD | {"id": "bbbbbbbbbbbb", "name": "second"}))
    done = cluster.run(tutti, "keys", "list")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 3, done
    assert lines[1].startswith(ID) and "2027-01-31" in lines[1] and "second" in lines[2], done
    done = cluster.run(tutti, "keys", "list", "--json")
    names = [json.loads(line)["name"] for line in done.stdout.splitlines()]
    assert names == ["ci", "second"], done
    done = cluster.run(tutti, "keys", "show", f"tutti-{ID}")
    assert done.returncode == 0 and "60 requests/min" in done.stdout, done
    done = cluster.run(tutti, "keys", "set", ID, "--clear", "model", "--expires", "never")
    assert done.returncode == 0, done
    change = {"permissions": {"models": []}, "expires_at_ms": None}
    assert cluster.bodies("PATCH") == [change], cluster.seen
    done = cluster.run(tutti, "audit", "--kind", "key", "--id", ID)
    assert done.returncode == 0 and "created" in done.stdout, done
    assert cluster.seen[-1][1].endswith(f"audit?limit=100&kind=key&id={ID}"), cluster.seen
    filters = ["--author", f"tutti-{ID}", "--action", "create", "--from", "2027-01-01"]
    done = cluster.run(tutti, "audit", *filters, "--to", "2027-01-02", "--limit", "3")
    query = f"author=key%20tutti-{ID}&action=create&from_ms=1798761600000&to_ms=1798848000000"
    assert done.returncode == 0 and "created" in done.stdout, done
    assert cluster.seen[-1][1].endswith(f"audit?limit=3&{query}"), cluster.seen
    done = cluster.run(tutti, "audit", "--kind", "host")
    assert done.returncode == 0 and "created" in done.stdout, done
    assert cluster.seen[-1][1].endswith("audit?limit=100&kind=host&before=5"), cluster.seen


def revoked(tutti):
    """A key is revoked only with consent: yes on a terminal, or --yes."""
    cluster = Cluster()
    done = cluster.run(tutti, "keys", "revoke", ID)
    assert done.returncode == 64 and "--yes" in done.stderr, done
    for answer, status in [("no", 1), ("yes", 0)]:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [tutti, "keys", "revoke", ID, "--data-dir", cluster.directory.name],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
        )
        os.close(theirs)
        os.write(ours, answer.encode() + b"\n")
        assert process.wait(60) == status, (answer, cluster.seen)
        os.close(ours)
    assert len(cluster.bodies("DELETE")) == 1, cluster.seen
    done = cluster.run(tutti, "keys", "revoke", ID, "--yes")
    assert done.returncode == 0 and len(cluster.bodies("DELETE")) == 2, done
    assert done.stdout == "", done
    for arguments in [["revoke", "--yes"], ["disable"], ["enable"]]:
        done = cluster.run(tutti, "keys", *arguments, ID, "--json")
        assert done.returncode == 0 and json.loads(done.stdout)["id"] == ID, done


def imposter(tutti):
    """A registry that does not prove itself gets neither the token nor a key."""
    cluster = Cluster(proves=False)
    done = cluster.run(tutti, "keys", "list")
    assert done.returncode == 1 and "does not prove" in done.stderr, done
    done = cluster.run(tutti, "ask", "Hello", TUTTI_API_KEY=KEY)
    assert done.returncode == 1 and "was not sent" in done.stderr, done
    assert not cluster.tokens(), cluster.seen
    # The user names the address.
    done = cluster.run(tutti, "ask", "Hello", url=cluster.url, TUTTI_API_KEY=KEY)
    assert done.returncode == 0 and cluster.tokens() == {KEY}, done


def presented(tutti):
    """A key comes from the variable, --key-file or the saved file, and goes to no open network."""
    cluster = Cluster()
    done = cluster.run(tutti, "ask", "Hello")
    assert done.returncode == 64 and "no key was sent" in done.stderr, done
    cluster.write("client-key", "wrong-saved\n")
    done = cluster.run(tutti, "ask", "Hello")
    assert done.returncode == 64 and "client-key" in done.stderr, done
    assert "wrong-saved" in cluster.tokens() and "wrong-saved" not in done.stderr, done
    cluster.write("key", KEY)
    done = cluster.run(tutti, "ask", "--key-file", cluster.path("key"), "Hello")
    assert done.returncode == 0, done
    cluster.write("key", KEY, mode=0o640)
    done = cluster.run(tutti, "ask", "--key-file", cluster.path("key"), "Hello")
    assert done.returncode == 64 and "chmod 600" in done.stderr, done
    done = cluster.run(tutti, "ask", "--key-file", cluster.path("none"), "Hello")
    assert done.returncode == 64 and "does not exist" in done.stderr, done
    far = "http://192.0.2.1:8080"
    done = cluster.run(tutti, "ask", "Hello", url=far, TUTTI_API_KEY=KEY)
    assert done.returncode == 64 and "without encryption" in done.stderr, done
    for command in [["logs"], ["trace", "0" * 32], ["plan", "Hello"]]:
        cluster.seen.clear()
        cluster.run(tutti, *command, TUTTI_API_KEY=KEY)
        assert cluster.seen[-1][2] == KEY, cluster.seen


if __name__ == "__main__":
    checks = [created, refused, listed, revoked, imposter, presented]
    next(check for check in checks if check.__name__ == sys.argv[1])(sys.argv[2])
