"""Checks what `tutti apply` does if a registry fails in the middle, against a scripted registry. Run
by ApplyFailureTests.swift:

    python apply_cli.py CASE TUTTI

Exit status 0 if the check passes; otherwise standard error has the failed assertion.
"""

import hashlib
import hmac
import http.server
import json
import os
import socket
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
    "account": "default",
    "scopes": ["chat", "embeddings", "plans"],
    "state": "active",
    "permissions": {},
    "limits": {},
    "expires_at_ms": None,
}
HOST = {"object": "host", "id": "gpu", "url": "http://10.0.0.7:8000", "region": "eu"}


def listed(*records, more=False):
    return 200, {"object": "list", "data": list(records), "has_more": more}


def error(status, message):
    return status, {"error": {"message": message, "code": "internal_error"}}


class Registry:
    """A registry that answers with `routes`: by method and path, a list of answers of which the last
    one repeats. `None` ends the connection without an answer.
    """

    def __init__(self, **routes):
        self.seen = []  # (method, path, If-Match, body)
        self.routes = {
            "GET organisations": [listed()],
            "GET teams": [listed()],
            "GET keys": [listed()],
            "POST keys": [(201, RECORD | {"key": KEY})],
            f"DELETE keys/{ID}": [(200, RECORD | {"state": "revoked"})],
            f"GET key-budgets/{ID}": [(200, {"object": "key_budgets", "budgets": []})],
        } | {name.replace("_", " ", 1): answers for name, answers in routes.items()}
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                length = int(self.headers.get("content-length") or 0)
                body = json.loads(self.rfile.read(length) or b"null")
                answer = registry.answer(self.command, self.path, self.headers, body)
                if answer is None:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                data = json.dumps(answer[1]).encode()
                self.send_response(answer[0])
                self.send_header("content-length", str(len(data)))
                self.send_header("etag", '"7"')
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer

            def log_message(self, *arguments):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.directory = tempfile.TemporaryDirectory()
        own = f"http://127.0.0.1:{server.server_port}"
        self.write("admin-token", TOKEN)
        self.write(
            "cluster.json",
            json.dumps(
                {"gateway": own, "registry": own, "monitor": own, "pid": os.getpid()}
                | {"admin_token_file": self.path("admin-token")}
            ),
        )

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        os.chmod(self.path(name), 0o600)

    def answer(self, method, path, headers, body):
        url = urllib.parse.urlparse(path)
        name = url.path.removeprefix("/admin/v1/")
        if name == "proof":
            nonce = urllib.parse.parse_qs(url.query)["nonce"][0]
            text = f"tutti-registry-proof:{nonce}".encode()
            return 200, {"proof": hmac.new(TOKEN.encode(), text, hashlib.sha256).hexdigest()}
        self.seen.append((method, name, headers.get("if-match"), body))
        answers = self.routes.get(f"{method} {name}")
        if not answers:
            return error(404, f"{method} {name} is not scripted.")
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def apply(self, tutti, text, *options):
        self.write("cluster.yaml", text)
        file = ["-f", self.path("cluster.yaml"), "--keys-dir", self.path("keys")]
        return self.run(tutti, "apply", *file, "--yes", *options)

    def run(self, tutti, *arguments):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TUTTI_")}
        return subprocess.run(
            [tutti, *arguments, "--data-dir", self.directory.name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
        )

    def secret(self):
        path = self.path("keys/ci.key")
        return open(path).read() if os.path.exists(path) else None

    def changes(self):
        return [f"{method} {name}" for method, name, _, _ in self.seen if method != "GET"]


def lost(tutti):
    """Without an answer, the message names the key that may exist."""
    registry = Registry(POST_keys=[None])
    done = registry.apply(tutti, "keys: [{name: ci}]")
    assert done.returncode == 69, done
    assert "not known whether the change was made" in done.stderr, done
    assert "a new key ci, revoke it" in done.stderr, done
    assert registry.secret() is None and registry.changes() == ["POST keys"], registry.seen


def unsaved(tutti):
    """A key whose secret cannot be saved is revoked."""
    registry = Registry()
    os.mkdir(registry.path("keys"), 0o700)
    os.symlink("nowhere", registry.path("keys/ci.key"))
    done = registry.apply(tutti, "keys: [{name: ci}]")
    assert done.returncode == 1 and f"key {ID} was revoked" in done.stderr, done
    assert registry.changes() == ["POST keys", f"DELETE keys/{ID}"], registry.seen
    assert KEY not in done.stdout + done.stderr, done


def saved(tutti):
    """A failure after the creation of a key does not lose its secret."""
    registry = Registry(**{f"PUT_key-budgets/{ID}": [error(500, "The disk is full.")]})
    done = registry.apply(tutti, "keys: [{name: ci, budgets: [{amount: 1, period: day}]}]")
    assert done.returncode == 1 and "its secret is saved" in done.stderr, done
    assert "The disk is full." in done.stderr and "failed: key ci" in done.stderr, done
    assert registry.secret() == KEY + "\n", registry.seen
    assert KEY not in done.stdout + done.stderr, done


def doubled(tutti):
    """Two admins who apply one file at the same time do not make a key twice."""
    registry = Registry(GET_keys=[listed(), listed(RECORD)])
    done = registry.apply(tutti, "keys: [{name: ci}]")
    assert done.returncode == 1 and "another admin made the keys ci" in done.stderr, done
    assert registry.changes() == [], registry.seen


def changed(tutti):
    """A record that was changed after the comparison is neither changed nor removed."""
    other = HOST | {"region": "us"}
    for text in ["hosts: [{id: gpu, url: 'http://10.0.0.7:8000', region: asia}]", "hosts: []"]:
        registry = Registry(GET_hosts=[listed(HOST)], **{"GET_hosts/gpu": [(200, other)]})
        done = registry.apply(tutti, text, "--prune")
        assert done.returncode == 1 and "region was changed by another" in done.stderr, done
        assert registry.changes() == [], registry.seen
    registry = Registry(GET_hosts=[listed(HOST)], **{"GET_hosts/gpu": [error(404, "Gone.")]})
    done = registry.apply(tutti, "hosts: []", "--prune")
    assert done.returncode == 0 and "1 removed" in done.stdout, done
    assert registry.changes() == [], registry.seen


def guarded(tutti):
    """A change names the ETag of the record that it was compared with, also of a new record."""
    done = (200, HOST | {"region": "asia"})
    registry = Registry(
        GET_hosts=[listed(HOST)],
        GET_models=[listed()],
        **{
            "GET_hosts/gpu": [(200, HOST)],
            "PATCH_hosts/gpu": [done],
            "PATCH_models/big": [(200, {"id": "big"})],
        },
    )
    done = registry.apply(
        tutti,
        "hosts: [{id: gpu, url: 'http://10.0.0.7:8000', region: asia}]\n"
        "models: [{id: big, stands_for: [b, a]}]",
    )
    assert done.returncode == 0, done
    tags = [(name, tag) for method, name, tag, _ in registry.seen if method == "PATCH"]
    assert tags == [("hosts/gpu", '"7"'), ("models/big", '"0"')], registry.seen
    assert registry.seen[-1][3] == {"stands_for": ["b", "a"]}, registry.seen


def endless(tutti):
    """A part of a list is never taken for all of it."""
    for page in [listed(more=True), listed({"name": "no id"}, more=True)]:
        registry = Registry(GET_organisations=[page])
        done = registry.apply(tutti, "organisations: []", "--prune")
        assert done.returncode == 1, done
        assert "has no end" in done.stderr or "no list of" in done.stderr, done


def paged(tutti):
    """All pages of a list are read."""
    price = {"input": "1", "cached_input": "1", "output": "2", "effective_from_ms": 1000}
    first = listed(price | {"model": "a"}, more=True)
    first[1]["next"] = "QQ"
    registry = Registry(GET_prices=[first, listed(price | {"model": "b"})])
    text = "prices: [{model: a, input: 1, output: 2}, {model: b, input: 1, output: 2}]"
    done = registry.apply(tutti, text)
    assert done.returncode == 0 and done.stdout == "no changes\n", done
    # A list that has more and names no place for it is not read again from its beginning.
    registry = Registry(GET_prices=[listed(price | {"model": "a"}, more=True)])
    done = registry.apply(tutti, text)
    assert done.returncode == 1 and "has no end" in done.stderr, done


def removed(tutti):
    """An account is removed when gateways have returned its credits; one in use is not tried."""
    acme = {"id": "acme", "name": "Acme", "prepaid": False, "balance": "0", "held": "0"}
    held = 409, {"error": {"message": "Gateways hold credits.", "code": "holds_open"}}
    routes = {
        "GET_organisations/acme": [(200, acme)],
        "DELETE_organisations/acme": [held, (200, {"deleted": True})],
    }
    registry = Registry(GET_organisations=[listed(acme)], **routes)
    done = registry.apply(tutti, "organisations: []", "--prune")
    assert done.returncode == 0 and "1 removed" in done.stdout, done
    assert registry.changes() == ["DELETE organisations/acme"] * 2, registry.seen
    assert registry.seen[-1][2] == '"7"', registry.seen
    registry = Registry(GET_organisations=[listed(acme | {"balance": "-5"})], **routes)
    done = registry.apply(tutti, "organisations: []", "--prune")
    assert done.returncode == 0 and done.stdout == "no changes\n", done
    assert "its balance is -5 credits" in done.stderr and not registry.changes(), done
    routes["DELETE_organisations/acme"] = [held, (200, {"deleted": True})]
    registry = Registry(**routes)
    done = registry.run(tutti, "organisations", "remove", "acme", "--yes")
    assert done.returncode == 0, done
    assert registry.changes() == ["DELETE organisations/acme"] * 2, registry.seen


if __name__ == "__main__":
    checks = [lost, unsaved, saved, doubled, changed, guarded, endless, paged, removed]
    next(check for check in checks if check.__name__ == sys.argv[1])(sys.argv[2])
