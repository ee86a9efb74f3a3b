"""Habits: framing and end of answers."""

import json

from habit import habit
from scripted_host import (
    REASONING, TEXT, Response, dump, error, event, honest, pieces, stream, whole)



@habit("-")
def exact(request):
    """Answers according to the API reference."""
    return honest(request)


# MARK: - Frames

@habit("K1", improves="answer")
def pretty_body(request):
    """Ignores `stream` and returns a body of many lines."""
    return whole(json.dumps(request.body(), indent=2).encode() + b"\n")


@habit("K1", improves="answer")
def padded_body(request):
    """Sends blank lines until the body is ready, also if a stream was requested."""
    return Response(parts=[b"\n\n  \n", b" " * 512 + b"\n", dump(request.body()), b"\n\n"])


@habit("K1", improves="answer")
def many_data_lines(request):
    """Spreads the JSON of an event over several `data:` lines."""
    def frame(chunk):
        lines = json.dumps(chunk, indent=1, ensure_ascii=False).encode().split(b"\n")
        return b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"
    return stream(request.chunks(), frame=frame) if request.stream else honest(request)


@habit("K1")
def carriage_returns(request):
    """Ends lines with CR LF, names events, and puts no space after `data:`."""
    def frame(chunk):
        return b"event: message\r\nid: 7\r\nretry: 100\r\ndata:" + dump(chunk) + b"\r\n\r\n"
    if not request.stream:
        return honest(request)
    return stream([*map(frame, request.chunks()), b"data:[DONE]\r\n\r\n"], done=False)


@habit("K7", improves="answer")
def empty_data(request):
    """Sends empty `data:` lines as a heartbeat."""
    if not request.stream:
        return honest(request)
    return stream([part for chunk in request.chunks() for part in (b"data: \n\n", chunk)])


@habit("K7", improves="answer")
def invalid_utf8(request):
    """Sends a byte inside a string that is not valid UTF-8."""
    def broken(value):
        return dump(value).replace(" 🌈".encode(), b" \xf0\x9f\x8c", 1)
    if request.stream:
        return stream(request.chunks(), frame=lambda chunk: b"data: " + broken(chunk) + b"\n\n")
    return whole(broken(request.body()))


@habit("K28", improves="answer")
def null_first(request):
    """Sends `data: null` before the first chunk, as llama.cpp does for two prompts."""
    return stream([b"data: null\n\n", *request.chunks()]) if request.stream else honest(request)


@habit("K28", improves="answer")
def not_objects(request):
    """Sends events that are numbers, strings and arrays between the chunks."""
    if not request.stream:
        return honest(request)
    odd = [b"data: 0\n\n", b"data: \"ping\"\n\n", b"data: []\n\n"]
    chunks = request.chunks()
    return stream(odd + chunks[:3] + odd + chunks[3:])


@habit("K8")
def large_event(request):
    """Sends 2 MB in one event or body."""
    big = TEXT + "0123456789abcdef" * (2 << 16)
    if not request.is_chat or request.calls:
        return honest(request)
    if request.stream:
        chunks = [request.delta({"role": "assistant", "content": big}), request.delta({}, "stop")]
        return stream(chunks + request.asked_usage())
    return whole(request.body(big))


@habit("K16", is_slow=True, calls=("chat", "stream"))
def comments_first(request):
    """Sends comments for 6 s before the first chunk."""
    if not request.stream:
        return Response(parts=[1.0, *[b"\n", 1.0] * 5, dump(request.body())])
    return stream([*[b": PROCESSING\n\n", 1.0] * 6, *request.chunks()])


@habit("K16")
def comments_between(request):
    """Sends comments and pings between the chunks."""
    if not request.stream:
        return honest(request)
    return stream([part for chunk in request.chunks() for part in (b": ping\n\n", chunk, b":\n\n")])


@habit("K14")
def gzipped(request):
    """Compresses every answer, streams too."""
    return honest(request).gzipped()


@habit("K14")
def gzipped_error(request):
    """Compresses its refusals."""
    return error(400, "This picture is too large.", "invalid_request_error", "image_too_large",
                 "messages").gzipped()


@habit("K25")
def http_1_0(request):
    """Answers with HTTP/1.0 and ends the answer by closing the connection."""
    response = honest(request)
    response.framing = "close"
    return response


@habit("K25")
def closes_connections(request):
    """Closes the connection after each answer without announcing it."""
    response = honest(request)
    response.closes = True
    return response


# MARK: - End of an answer

@habit("K2")
def finish_empty(request):
    """Writes `finish_reason: ""` into every chunk but the last."""
    if not request.stream:
        return honest(request)
    chunks = request.chunks()
    for chunk in chunks:
        for choice in chunk["choices"]:
            choice["finish_reason"] = choice["finish_reason"] or ""
    return stream(chunks)


@habit("K2")
def stop_twice(request):
    """Sends `stop` in the last chunk with text and in another one after it."""
    if not request.stream:
        return honest(request)
    chunks = []
    for chunk in request.chunks():
        if chunks and chunk["choices"] and chunk["choices"][0]["finish_reason"]:
            last = chunks[-1]["choices"][0] if chunks[-1]["choices"] else {}
            if last.get("index") == chunk["choices"][0]["index"]:
                last["finish_reason"] = chunk["choices"][0]["finish_reason"]
        chunks.append(chunk)
    return stream(chunks)


@habit("K2")
def stop_on_reasoning(request):
    """Sends `stop` at the end of the reasoning, before the answer."""
    if not request.stream or not request.is_chat or request.calls:
        return honest(request)
    first = [request.delta({"role": "assistant", "content": None, "reasoning_content": piece})
             for piece in pieces(REASONING)]
    first[-1]["choices"][0]["finish_reason"] = "stop"
    return stream(first + [0.1] + request.chunks())


@habit("K3", improves="answer")
def done_without_finish(request):
    """Ends a stream with `[DONE]`, without a finish_reason."""
    if not request.stream:
        return honest(request)
    chunks = request.chunks()
    for chunk in chunks:
        for choice in chunk["choices"]:
            choice["finish_reason"] = None
    return stream(chunks)


@habit("K3")
def finish_without_done(request):
    """Ends a stream after the finish_reason, without `[DONE]`."""
    return stream(request.chunks(), done=False) if request.stream else honest(request)


@habit("K3", improves="answer")
def body_without_finish(request):
    """Returns a whole body without finish_reason, also if a stream was requested."""
    body = request.body()
    for choice in body["choices"]:
        del choice["finish_reason"]
    return whole(body)


@habit("K3", improves="error", calls=("stream", "tools_stream", "completion_stream"))
def cut(request):
    """Ends a stream in the middle with neither finish_reason nor `[DONE]`."""
    if not request.stream:
        return honest(request)
    chunks = request.chunks()
    return stream(chunks[:len(chunks) // 2], done=False)


@habit("K13", improves="error", calls=("stream", "tools_stream", "completion_stream"))
def dropped(request):
    """Drops the connection in the middle of a stream."""
    if not request.stream:
        return honest(request)
    chunks = request.chunks()
    response = stream(chunks[:len(chunks) // 2], done=False)
    response.framing = "drop"
    return response


@habit("K13")
def error_in_stream(request):
    """Reports an error as an event in the middle of a stream."""
    if not request.stream:
        return honest(request)
    chunks = request.chunks()
    problem = {"error": {"message": "The worker ran out of memory.", "type": "server_error",
                         "param": None, "code": "out_of_memory"}}
    return stream([*chunks[:3], event(problem)], done=False)


@habit("K22", improves="error")
def abort_finish(request):
    """Ends with finish_reason `abort`, as vLLM and SGLang do when they are stopped."""
    if request.stream:
        return stream(request.chunks(finish="abort"))
    return whole(request.body(finish="abort"))


@habit("K22", improves="error")
def error_finish(request):
    """Ends with finish_reason `error`, as proxies do if their host failed."""
    if request.stream:
        return stream(request.chunks(finish="error"))
    return whole(request.body(finish="error"))


@habit("K2")
def length_finish(request):
    """Ends with finish_reason `length`."""
    if request.stream:
        return stream(request.chunks(finish="length"))
    return whole(request.body(finish="length"))


@habit("K2")
def empty_answer(request):
    """Stops without any text."""
    return stream(request.chunks("")) if request.stream else whole(request.body(""))
