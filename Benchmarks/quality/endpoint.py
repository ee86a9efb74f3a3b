"""A client for an OpenAI-compatible server. Uses only the standard library."""

import ipaddress
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field

# Larger than any answer: many thousand tokens with a trace.
MAXIMUM_BODY = 16 * 1024 * 1024


class Unreachable(Exception):
    """No server listens at the address."""


class Refused(Exception):
    """The server returned an error, or a body that is not a chat completion.

    `status` is the HTTP status, or 0 if there is none. `about_model` means that the server does not
    know the model.
    """

    def __init__(self, message, status=0, about_model=False):
        super().__init__(message)
        self.status = status
        self.about_model = about_model


@dataclass
class Answer:
    """One finished request.

    `tokens` is None if the server reports no usage. `calls` counts the requests to models that the
    server made for it. `recorder` is the recorder's member about the recorded answer, if there is
    one.
    """

    text: str
    tokens: int | None
    calls: int
    seconds: float
    cut: bool
    tutti: dict = field(default_factory=dict)
    prompt_tokens: int | None = None
    recorder: dict = field(default_factory=dict)


class Endpoint:
    """The API below `base_url`, which ends in `/v1`. `timeout`: seconds for a whole request."""

    def __init__(self, base_url, api_key, timeout):
        self.base_url = base_url.rstrip("/")
        self.api_key = api_key
        self.timeout = timeout
        # Requests to this machine must not go through a proxy.
        local = _is_loopback(urllib.parse.urlsplit(base_url).hostname or "")
        self.opener = urllib.request.build_opener(
            *([urllib.request.ProxyHandler({})] if local else [])
        )

    def models(self):
        """Returns the listed model names, or None if the server has no list.

        Raises Unreachable if no server answers, and Refused if it rejects the key.
        """
        try:
            listed = self._send("/models", None)
            return [entry["id"] for entry in listed["data"]]
        except Refused as refusal:
            if refusal.status in (401, 403):
                raise
            return None
        except (KeyError, TypeError):
            return None

    def ask(self, body, headers=None):
        """Returns one chat completion. Raises Unreachable or Refused."""
        began = time.monotonic()
        answer = self._send("/chat/completions", body, headers)
        seconds = time.monotonic() - began
        try:
            choice = answer["choices"][0]
            text = choice["message"].get("content") or ""
            usage = answer.get("usage") or {}
            tutti = answer.get("tutti") or {}
            tokens = usage.get("completion_tokens")
            cut = choice.get("finish_reason") == "length"
            return Answer(text, tokens, calls(tutti), seconds, cut, tutti,
                          usage.get("prompt_tokens"), answer.get("recorder") or {})
        except (KeyError, IndexError, TypeError, AttributeError):
            raise Refused(f"not a chat completion: {json.dumps(answer)[:200]}") from None

    def _send(self, path, body, more=None):
        headers = {"Accept": "application/json", "Content-Type": "application/json"} | (more or {})
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base_url + path, data, headers)
        deadline = time.monotonic() + self.timeout
        try:
            with self.opener.open(request, timeout=self.timeout) as response:
                return json.loads(self._read(response, deadline))
        except Refused:
            raise
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error.code, error.read(64 * 1024)) from None
        except TimeoutError:
            raise Refused(f"no answer within {self.timeout:g} s") from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise Refused(f"no answer within {self.timeout:g} s") from None
            raise Unreachable(str(error.reason)) from None
        except ValueError:
            raise Refused("the answer is not JSON") from None
        except OSError as error:
            # The connection broke during the answer: the server may still run.
            raise Refused(f"the connection broke: {error}") from None
        except Exception as error:  # http.client raises many types for a partial answer
            raise Refused(f"the answer broke off: {type(error).__name__}") from None

    def _read(self, response, deadline):
        """Returns the whole body.

        A server that sends a byte now and then never hits the socket's timeout, so the deadline is
        checked as well.
        """
        pieces, size = [], 0
        while piece := response.read1(64 * 1024):
            pieces.append(piece)
            size += len(piece)
            if size > MAXIMUM_BODY:
                raise Refused(f"the answer is longer than {MAXIMUM_BODY} bytes")
            if time.monotonic() > deadline:
                raise TimeoutError
        return b"".join(pieces)


def calls(tutti):
    """Returns the number of model requests of an answer, from the trace in its member `tutti`."""
    attempts = tutti.get("attempts")
    if attempts:
        return len(attempts)
    tasks = [task for task in tutti.get("tasks") or [] if task.get("host")]
    return len(tasks) or 1


def _refusal(status, body):
    try:
        error = json.loads(body)["error"]
        message, code, param = error["message"], error.get("code"), error.get("param")
    except (ValueError, KeyError, TypeError, AttributeError):
        message, code, param = body.decode(errors="replace")[:200].strip(), None, None
    about_model = status == 404 or (
        status == 400 and (code == "model_not_found" or param in (None, "", "model"))
    )
    return Refused(f"HTTP {status}: {message}", status, about_model)


def _is_loopback(host):
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
