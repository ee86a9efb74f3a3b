"""An HTTP host on 127.0.0.1 whose answers are exact bytes, which habits.py defines.

Each habit listens on its own port, so that Tutti sees one host per habit.
"""

import asyncio
import gzip
import json

# The text has letters of two to four bytes, a line end, quotes and a code fence.
TEXT = (
    "Grün is one colour of the rainbow, “violet” another — and 🌈 red is the first.\n"
    "```python\nprint(\"3 < 7\")\n```\nAsk for more, if you like, at any time."
)
REASONING = "The rainbow has seven colours. Three are enough."
ARGUMENTS = {"city": "Köln \"am Rhein\"", "degrees": 21}
AFTER_TOOLS = "It is 21 degrees in Köln."
CREATED = 1_700_000_000


def dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def pieces(text):
    """Splits a text into words with a leading space, like a model's tokens."""
    words = text.split(" ")
    return [words[0]] + [" " + word for word in words[1:]]


class Request:
    """One request with its honest answer: `chunks()` of a stream, or `body()`."""

    def __init__(self, habit, method, path, headers, data):
        self.habit = habit
        self.method, self.path, self.headers = method, path, headers
        try:
            self.json = json.loads(data) if data else {}
        except ValueError:
            self.json = {}
        self.stream = self.json.get("stream") is True
        self.is_chat = path.endswith("/chat/completions")
        self.messages = self.json.get("messages") or []
        self.has_usage = bool((self.json.get("stream_options") or {}).get("include_usage"))

    @property
    def model(self):
        return self.json.get("model") or self.habit

    # MARK: - Content

    @property
    def last(self):
        return self.messages[-1] if self.messages else {}

    def content_text(self):
        texts = []
        for message in self.messages:
            content = message.get("content")
            for part in content if isinstance(content, list) else [content]:
                texts.append(part.get("text", "") if isinstance(part, dict) else part or "")
        return "\n".join(texts)

    @property
    def calls(self):
        """Names and arguments of the tool calls."""
        tools = self.json.get("tools") or []
        if not tools or self.json.get("tool_choice") == "none":
            return []
        if any(m.get("role") == "tool" for m in self.messages):
            return []
        return [(tools[0]["function"]["name"], json.dumps(ARGUMENTS, ensure_ascii=False))]

    @property
    def text(self):
        if any(m.get("role") == "tool" for m in self.messages):
            return AFTER_TOOLS
        if (self.json.get("response_format") or {}).get("type", "text") != "text":
            return json.dumps(ARGUMENTS, ensure_ascii=False, indent=2)
        if "[[ ## answer ## ]]" in self.content_text():
            return f"[[ ## answer ## ]]\n{TEXT}\n\n[[ ## completed ## ]]"
        return TEXT

    @property
    def prompts(self):
        prompt = self.json.get("prompt", "")
        many = isinstance(prompt, list) and not (prompt and isinstance(prompt[0], int))
        return prompt if many else [prompt]

    @property
    def choices(self):
        n = self.json.get("n") or 1
        return n if self.is_chat else n * len(self.prompts)

    @property
    def usage(self):
        count = len(pieces(self.text)) * self.choices
        return {"prompt_tokens": 11, "completion_tokens": count, "total_tokens": 11 + count}

    # MARK: - Honest forms

    def head(self, kind):
        prefix = "chatcmpl" if self.is_chat else "cmpl"
        return {"id": f"{prefix}-{self.habit}", "object": kind, "created": CREATED,
                "model": self.model}

    def chunk(self, choices, **more):
        kind = "chat.completion.chunk" if self.is_chat else "text_completion"
        return {**self.head(kind), "choices": choices, **more}

    def delta(self, delta, finish=None, index=0, **more):
        return self.chunk([{"index": index, "delta": delta, "finish_reason": finish, **more}])

    def usage_chunk(self):
        return self.chunk([], usage=self.usage)

    def asked_usage(self):
        return [self.usage_chunk()] if self.has_usage else []

    def chunks(self, text=None, finish=None, with_usage=None):
        """The events of an honest stream, without `[DONE]`."""
        made = self.chat_chunks(text, finish) if self.is_chat else self.completion_chunks(finish)
        return made if with_usage is False else made + self.asked_usage()

    def chat_chunks(self, text, finish):
        made = []
        for index in range(self.choices):
            made.append(self.delta({"role": "assistant", "content": ""}, index=index))
            if self.calls and text is None:
                for number, (name, arguments) in enumerate(self.calls):
                    call = {"index": number, "id": f"call_{number}", "type": "function",
                            "function": {"name": name, "arguments": ""}}
                    made.append(self.delta({"tool_calls": [call]}, index=index))
                    for piece in pieces(arguments):
                        part = {"index": number, "function": {"arguments": piece}}
                        made.append(self.delta({"tool_calls": [part]}, index=index))
                made.append(self.delta({}, finish or "tool_calls", index=index))
            else:
                for piece in pieces(self.text if text is None else text):
                    made.append(self.delta({"content": piece}, index=index))
                made.append(self.delta({}, finish or "stop", index=index))
        return made

    def completion_chunks(self, finish):
        made = []
        for index in range(self.choices):
            for text, logprobs in self.completion_parts(index):
                made.append(self.chunk([{"index": index, "text": text, "logprobs": logprobs,
                                         "finish_reason": None}]))
        # All choices begin first, then end one after the other.
        for index in range(self.choices):
            made.append(self.chunk([{"index": index, "text": "", "logprobs": None,
                                     "finish_reason": finish or self.completion_finish}]))
        return made

    @property
    def completion_finish(self):
        return "length" if self.json.get("max_tokens") == 1 else "stop"

    def completion_parts(self, index):
        """Texts and their logprobs, with the prompt first if the client requested an echo."""
        prompt = self.prompts[index // (self.json.get("n") or 1)]
        written = pieces(TEXT)[:self.json.get("max_tokens") or 1000]
        if self.json.get("echo"):
            told = prompt if isinstance(prompt, str) else " ".join(map(str, prompt))
            written = (pieces(told) if isinstance(prompt, str) else
                       [f" {token}" for token in prompt]) + written
        parts, offset = [], 0
        for number, text in enumerate(written):
            logprobs = None
            if self.json.get("logprobs") is not None:
                value = None if number == 0 else -0.125 * (1 + number % 7)
                logprobs = {"tokens": [text], "token_logprobs": [value], "text_offset": [offset],
                            "top_logprobs": [None if value is None else {text: value}]}
            parts.append((text, logprobs))
            offset += len(text)
        return parts

    def message(self, text=None):
        if self.calls and text is None:
            calls = [{"id": f"call_{number}", "type": "function",
                      "function": {"name": name, "arguments": arguments}}
                     for number, (name, arguments) in enumerate(self.calls)]
            return {"role": "assistant", "content": None, "tool_calls": calls}
        return {"role": "assistant", "content": self.text if text is None else text}

    def body(self, text=None, finish=None):
        choices = []
        for index in range(self.choices):
            if self.is_chat:
                reason = finish or ("tool_calls" if self.calls and text is None else "stop")
                choices.append({"index": index, "message": self.message(text),
                                "finish_reason": reason})
                continue
            parts = self.completion_parts(index)
            logprobs = None
            if self.json.get("logprobs") is not None:
                logprobs = {key: [value for _, one in parts for value in one[key]]
                            for key in parts[0][1]}
            choices.append({"index": index, "text": "".join(text for text, _ in parts),
                            "logprobs": logprobs, "finish_reason": finish or self.completion_finish})
        kind = "chat.completion" if self.is_chat else "text_completion"
        return {**self.head(kind), "choices": choices, "usage": self.usage}


class Response:
    """Status, headers and parts: bytes to send, or seconds to wait."""

    def __init__(self, status=200, headers=None, parts=(), framing="chunked"):
        self.status = status
        self.headers = {"content-type": "application/json", **(headers or {})}
        self.parts = list(parts)
        self.framing = framing
        # Seconds before the head is sent.
        self.delay = 0.0
        # Close the connection after the response, for any framing.
        self.closes = False

    def gzipped(self):
        data = gzip.compress(b"".join(p for p in self.parts if isinstance(p, bytes)), mtime=0)
        half = len(data) // 2
        self.parts = [data[:half], data[half:]]
        self.headers["content-encoding"] = "gzip"
        return self


def event(chunk):
    return b"data: " + dump(chunk) + b"\n\n"


DONE = b"data: [DONE]\n\n"


def stream(items, done=True, frame=event, **headers):
    """A stream of events. A dictionary becomes an event; bytes are sent unchanged."""
    parts = [frame(item) if isinstance(item, dict) else item for item in items]
    if done:
        parts.append(DONE)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(200, {"content-type": "text/event-stream", **named}, parts)


def whole(body, status=200, headers=None):
    data = body if isinstance(body, bytes) else dump(body)
    return Response(status, headers, [data], framing="length")


def error(status, message, kind, code=None, param=None, headers=None):
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return whole(body, status, headers)


def honest(request):
    return stream(request.chunks()) if request.stream else whole(request.body())


# MARK: - The server

class ScriptedHost:
    """Plays one habit. `answer(request)` gives the response to a POST, `models(request)` to a GET."""

    def __init__(self, habit):
        self.habit = habit
        self.asked = 0
        self.server = None

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, limit=1 << 26)
        port = self.server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}{self.habit.base}"

    async def serve(self, reader, writer):
        try:
            while await self.exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def exchange(self, reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return False
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        data = b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await reader.readline()).strip(), 16):
                data += await reader.readexactly(size)
                await reader.readline()
            await reader.readline()
        elif length := int(headers.get("content-length", 0)):
            data = await reader.readexactly(length)
        response = self.respond(Request(self.habit.name, method, path.split("?")[0], headers, data))
        return await self.send(writer, response)

    def respond(self, request):
        base = self.habit.base or "/v1"
        if request.method == "GET" and request.path == "/asked":
            return whole({"asked": self.asked})
        if request.method == "GET":
            if request.path == base + "/models":
                return self.habit.models()
            return error(404, f"no such path: {request.path}", "invalid_request_error")
        if request.path not in (base + "/chat/completions", base + "/completions"):
            return error(404, f"no such path: {request.path}", "invalid_request_error")
        self.asked += 1
        return self.habit.answer(request)

    async def send(self, writer, response):
        await asyncio.sleep(response.delay)
        parts, framing = response.parts, response.framing
        headers = dict(response.headers)
        version = "HTTP/1.0" if framing == "close" else "HTTP/1.1"
        if framing == "length":
            headers["content-length"] = str(sum(len(p) for p in parts if isinstance(p, bytes)))
        elif framing in ("chunked", "drop"):
            headers["transfer-encoding"] = "chunked"
        head = [f"{version} {response.status} Scripted"]
        head += [f"{name}: {value}" for name, value in headers.items()]
        writer.write(("\r\n".join(head) + "\r\n\r\n").encode("latin-1"))
        for part in parts:
            if not isinstance(part, bytes):
                await asyncio.sleep(part)
            elif framing in ("chunked", "drop"):
                # An empty chunk would end the body.
                if part:
                    writer.write(b"%x\r\n" % len(part) + part + b"\r\n")
            else:
                writer.write(part)
            await writer.drain()
        if framing == "chunked":
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return framing in ("chunked", "length") and not response.closes
