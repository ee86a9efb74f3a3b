"""Calls of the official `openai` package."""

import base64

import openai

from worker import (
    KEY, LIMITS, MESSAGES, TIMEOUT, TOOL, TOOL_QUESTION, result, same, serve, task, usage_of)

PREFILL = [*MESSAGES, {"role": "assistant", "content": "Red, green"}]
PARTS = ("Answer each in a paragraph: 1. What is rain? 2. What is wind? 3. What is snow? "
         "4. What is fog?")
NAMED_HEADERS = ("x-request-id", "openai-processing-ms", "openai-organization", "openai-version",
                 "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests",
                 "x-ratelimit-remaining-tokens", "x-ratelimit-reset-requests")
EXTRAS = ("reasoning_content", "token_ids", "prompt_token_ids")


def client(url):
    return openai.OpenAI(base_url=url, api_key=KEY, max_retries=0, timeout=TIMEOUT,
                         organization="org-client", project="project-client")


def headers_of(raw):
    return {name: raw.headers[name] for name in NAMED_HEADERS if name in raw.headers} or None


def whole(url, model, messages=MESSAGES, **more):
    raw = client(url).chat.completions.with_raw_response.create(
        model=model, messages=messages, **LIMITS, **more)
    answer = raw.parse()
    choice = answer.choices[0]
    calls = [[same(call.id), call.type, call.function.name, call.function.arguments]
             for call in choice.message.tool_calls or []]
    extra = {name: value for part in (answer, choice, choice.message) for name in EXTRAS
             if (value := getattr(part, name, None)) is not None}
    return result(choice.message.content, choice.finish_reason, calls, usage_of(answer.usage),
                  refusal=choice.message.refusal, role=choice.message.role,
                  logprobs=tokens(choice.logprobs), choices=len(answer.choices), model=answer.model,
                  extra=extra or None, headers=headers_of(raw))


def tokens(logprobs):
    return [entry.token for entry in logprobs.content] if logprobs and logprobs.content else None


def streamed(url, model, messages=MESSAGES, **more):
    raw = client(url).chat.completions.with_raw_response.create(
        model=model, messages=messages, stream=True, **LIMITS, **more)
    text, refusal, calls, extra, heard = [], [], {}, {}, []
    finish = usage = name_of_model = None
    indices = set()
    for chunk in raw.parse():
        if chunk is None or not getattr(chunk, "model", None):
            continue
        name_of_model = chunk.model
        usage = usage_of(chunk.usage) or usage
        collect(extra, chunk)
        for choice in chunk.choices or []:
            indices.add(choice.index)
            finish = choice.finish_reason or finish
            text.append(choice.delta.content or "")
            refusal.append(choice.delta.refusal or "")
            heard += tokens(choice.logprobs) or []
            collect(extra, choice)
            collect(extra, choice.delta)
            for call in choice.delta.tool_calls or []:
                parts = calls.setdefault(call.index, [None, None, "", ""])
                parts[0] = same(call.id) or parts[0]
                parts[1] = call.type or parts[1]
                # As in most clients, the name is set once and arguments are joined.
                parts[2] = parts[2] or call.function.name or ""
                parts[3] += call.function.arguments or ""
    return result("".join(text), finish, [calls[index] for index in sorted(calls)], usage,
                  refusal="".join(refusal) or None, logprobs=heard or None, model=name_of_model,
                  choices=len(indices), extra=extra or None, headers=headers_of(raw))


def collect(extra, part):
    for name in EXTRAS:
        value = getattr(part, name, None)
        if value is not None:
            extra[name] = extra[name] + value if name in extra else value


def chat(url, model):
    return whole(url, model)


def stream(url, model):
    return streamed(url, model)


def stream_usage(url, model):
    return streamed(url, model, stream_options={"include_usage": True})


def tools(url, model):
    return whole(url, model, [{"role": "user", "content": TOOL_QUESTION}], tools=[TOOL])


def tools_stream(url, model):
    return streamed(url, model, [{"role": "user", "content": TOOL_QUESTION}], tools=[TOOL])


def prefill(url, model):
    return whole(url, model, PREFILL)


def prefill_stream(url, model):
    return streamed(url, model, PREFILL)


def completion(url, model):
    answer = client(url).completions.create(
        model=model, prompt=["One is", "Two are"], logprobs=1, **{"max_tokens": 8, **LIMITS})
    return result([choice.text for choice in sorted(answer.choices, key=lambda c: c.index)],
                  [choice.finish_reason for choice in answer.choices], None,
                  usage_of(answer.usage), logprobs=[choice.logprobs and choice.logprobs.model_dump()
                                                    for choice in answer.choices])


def completion_stream(url, model):
    texts, finish = {}, {}
    for chunk in client(url).completions.create(
            model=model, prompt=["One is", "Two are"], stream=True,
            **{"max_tokens": 8, **LIMITS}):
        for choice in (chunk and chunk.choices) or []:
            texts[choice.index] = texts.get(choice.index, "") + (choice.text or "")
            finish[choice.index] = choice.finish_reason or finish.get(choice.index)
    return result([texts[index] for index in sorted(texts)],
                  [finish[index] for index in sorted(finish)])


def photo(url, model):
    """Sends a picture of 5 MB, as from a phone, as a data URL."""
    data = base64.b64encode(bytes(range(256)) * (5 << 12)).decode()
    content = [{"type": "text", "text": "What is this?"},
               {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}}]
    return whole(url, model, [{"role": "user", "content": content}])


def no_limit(url, model):
    """Sends -1, which llama.cpp and vLLM read as no limit."""
    return whole(url, model, max_tokens=-1)


def dense_prompt(url, model):
    """Sends a prompt with many bytes and few tokens."""
    return whole(url, model, [{"role": "user", "content": "=" * 8200}])


def pattern(url, model):
    """Asks the host directly, or through Tutti a pattern with the host's model."""
    asked, more = model, {}
    if task["through"]:
        asked, more = f"tutti/{task['call']}", {"extra_body": {"tutti": {"members": [model]}}}
    answer = whole(url, asked, [{"role": "user", "content": PARTS}], **more)
    return result(bool(answer.get("text")), answer["finish"])


def ensemble(url, model):
    return pattern(url, model)


def debate(url, model):
    return pattern(url, model)


def maestro(url, model):
    return pattern(url, model)


def decompose(url, model):
    return pattern(url, model)


if __name__ == "__main__":
    serve([chat, stream, stream_usage, tools, tools_stream, prefill, prefill_stream, completion,
           completion_stream, photo, no_limit, dense_prompt, ensemble, debate, maestro, decompose])
