"""Habits: unusual shapes of answers."""

from habit import habit
from scripted_host import REASONING, honest, pieces, stream, whole


@habit("K6", improves="answer")
def message_beside_delta(request):
    """Repeats the text so far as `message` next to each `delta`."""
    if not request.stream or not request.is_chat:
        return honest(request)
    chunks, text = request.chunks(), ""
    for chunk in chunks:
        for choice in chunk["choices"]:
            text += choice["delta"].get("content") or ""
            choice["message"] = {"role": "assistant", "content": text}
    return stream(chunks)


@habit("K6", improves="answer")
def counting_index(request):
    """Counts `index` up with every chunk of its only choice."""
    if not request.stream or request.choices != 1:
        return honest(request)
    chunks = request.chunks()
    for number, chunk in enumerate(chunks):
        for choice in chunk["choices"]:
            choice["index"] = number
    return stream(chunks)


@habit("K6")
def content_arrays(request):
    """Returns content as a list of parts, as Mistral does for reasoning."""
    if not request.is_chat or request.calls:
        return honest(request)
    def parts(text):
        return [{"type": "text", "text": text}]
    if not request.stream:
        body = request.body()
        for choice in body["choices"]:
            choice["message"]["content"] = parts(choice["message"]["content"])
        return whole(body)
    chunks = request.chunks()
    for chunk in chunks:
        for choice in chunk["choices"]:
            if choice["delta"].get("content"):
                choice["delta"]["content"] = parts(choice["delta"]["content"])
    return stream(chunks)


@habit("K6")
def calls_without_ids(request):
    """Names two tool calls without ids, each whole in one chunk."""
    if not request.calls:
        return honest(request)
    (name, first), = request.calls
    second = first.replace("Köln", "Paris")
    calls = [{"type": "function", "function": {"name": name, "arguments": arguments}}
             for arguments in (first, second)]
    if not request.stream:
        body = request.body()
        body["choices"][0]["message"]["tool_calls"] = calls
        return whole(body)
    chunks = [request.delta({"role": "assistant", "content": None})]
    for number, call in enumerate(calls):
        chunks.append(request.delta({"tool_calls": [{"index": number, **call}]}))
    return stream([*chunks, request.delta({}, "tool_calls"), *request.asked_usage()])


@habit("K6")
def calls_in_one_chunk(request):
    """Streams two whole tool calls in one chunk with ids."""
    if not request.calls:
        return honest(request)
    (name, first), = request.calls
    second = first.replace("Köln", "Paris")
    calls = [{"id": f"c{number}", "type": "function",
              "function": {"name": name, "arguments": arguments}}
             for number, arguments in enumerate((first, second))]
    if not request.stream:
        body = request.body()
        body["choices"][0]["message"]["tool_calls"] = calls
        return whole(body)
    numbered = [{"index": number, **call} for number, call in enumerate(calls)]
    return stream([request.delta({"role": "assistant", "content": None, "tool_calls": numbered}),
                   request.delta({}, "tool_calls"), *request.asked_usage()])


@habit("K6", improves="answer")
def repeated_strings(request):
    """Repeats id, type and name of a tool call, and the role, in every chunk."""
    if not request.stream:
        return honest(request)
    chunks = request.chunks()
    names = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            if "delta" not in choice:
                continue
            choice["delta"]["role"] = "assistant"
            for call in choice["delta"].get("tool_calls", []):
                named = names.setdefault(call["index"], call)
                call["id"], call["type"] = named["id"], "function"
                call["function"]["name"] = named["function"]["name"]
    return stream(chunks)


@habit("K30")
def token_ids(request):
    """Adds `token_ids` to every chunk and `prompt_token_ids` to the first, as vLLM does."""
    if not request.stream:
        body = request.body()
        body["prompt_token_ids"] = [1, 2, 3]
        for choice in body["choices"]:
            choice["token_ids"] = list(range(100, 112))
        return whole(body)
    chunks, number = request.chunks(), 100
    chunks[0]["prompt_token_ids"] = [1, 2, 3]
    for chunk in chunks:
        for choice in chunk["choices"]:
            choice["token_ids"] = [number]
            number += 1
    return stream(chunks)


@habit("K30")
def refusal(request):
    """Refuses with a text in `refusal` and null content."""
    if not request.is_chat:
        return honest(request)
    words = "I cannot help with that."
    if not request.stream:
        body = request.body()
        for choice in body["choices"]:
            choice["message"] = {"role": "assistant", "content": None, "refusal": words}
            choice["finish_reason"] = "stop"
        return whole(body)
    first = request.delta({"role": "assistant", "content": None, "refusal": ""})
    made = [request.delta({"refusal": piece}) for piece in pieces(words)]
    return stream([first, *made, request.delta({}, "stop"), *request.asked_usage()])


@habit("K30")
def reasoning(request):
    """Sends reasoning with null content before the answer."""
    if not request.is_chat or request.calls:
        return honest(request)
    if not request.stream:
        body = request.body()
        for choice in body["choices"]:
            choice["message"]["reasoning_content"] = REASONING
        return whole(body)
    thoughts = [request.delta({"role": "assistant", "content": None, "reasoning_content": piece})
                for piece in pieces(REASONING)]
    return stream(thoughts + request.chunks())


@habit("K30")
def logprobs(request):
    """Adds log probabilities to the chunks and the body."""
    if not request.is_chat or request.calls:
        return honest(request)
    def entry(piece):
        return {"token": piece, "logprob": -0.25, "bytes": list(piece.encode()), "top_logprobs": []}
    if not request.stream:
        body = request.body()
        for choice in body["choices"]:
            choice["logprobs"] = {"content": [entry(p) for p in pieces(request.text)],
                                  "refusal": None}
        return whole(body)
    chunks = request.chunks()
    for chunk in chunks:
        for choice in chunk["choices"]:
            text = choice["delta"].get("content")
            choice["logprobs"] = {"content": [entry(text)], "refusal": None} if text else None
    return stream(chunks)


@habit("K24", improves="answer")
def usage_always(request):
    """Sends a usage chunk without `choices`, also to clients that did not request it."""
    if not request.stream:
        return honest(request)
    last = request.usage_chunk()
    del last["choices"]
    return stream([*request.chunks(with_usage=False), last])


@habit("K24", improves="answer")
def usage_in_every_chunk(request):
    """Sends the usage so far with every chunk."""
    if not request.stream:
        return honest(request)
    chunks = request.chunks(with_usage=False)
    for number, chunk in enumerate(chunks):
        chunk["usage"] = {"prompt_tokens": 11, "completion_tokens": number,
                          "total_tokens": 11 + number}
    return stream(chunks)


@habit("K29", calls=("chat", "stream", "prefill", "prefill_stream"))
def prefill(request):
    """Repeats a prefill in a whole answer, but not in a stream."""
    if request.last.get("role") != "assistant":
        return honest(request)
    given = request.last["content"]
    if request.stream:
        return stream(request.chunks(" and violet."))
    return whole(request.body(given + " and violet."))


@habit("K2", calls=("completion", "completion_stream", "loglikelihood", "generate_until",
                    "loglikelihood_4", "generate_until_4"))
def batch(request):
    """Answers several prompts at once, choice after choice, `data: null` first, as llama.cpp."""
    if not request.stream:
        return honest(request)
    first = [b"data: null\n\n"] if len(request.prompts) > 1 else []
    return stream(first + request.chunks())


@habit("K31", calls=("chat", "stream"))
def headers(request):
    """Sends the request id and rate limit headers that official clients read."""
    response = honest(request)
    response.headers.update({
        "x-request-id": "req_0123456789", "openai-processing-ms": "17",
        "openai-organization": "org-scripted", "openai-version": "2020-10-01",
        "x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-remaining-tokens": "149984", "x-ratelimit-reset-requests": "1s"})
    return response


@habit("K31", calls=("chat", "stream"))
def told_headers(request):
    """Answers with the headers of the client that it received."""
    names = ("openai-organization", "openai-project", "user-agent")
    told = "; ".join(f"{name}={request.headers.get(name)}" for name in names)
    return stream(request.chunks(told)) if request.stream else whole(request.body(told))
