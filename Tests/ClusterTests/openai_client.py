"""Checks Tutti with the official `openai` package. Run by ClientTests.swift:

    python openai_client.py CHECK GATEWAY_URL [MODEL [HOST_URL or TEXT]]

Exit status 0 if the check passes; otherwise standard error has the failed assertion.
"""

import json
import sys

import openai

QUESTION = [{"role": "user", "content": "Name three colours of the rainbow."}]


def client(url):
    # No retries, because the first answer is checked.
    return openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0, timeout=120)


def ask(url, model, stream=False, messages=None, **more):
    return client(url).chat.completions.create(
        model=model, messages=messages or QUESTION, stream=stream, **more
    )


def text_of(chunks):
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def chat(url, model):
    answer = ask(url, model, max_tokens=16)
    assert answer.object == "chat.completion", answer
    assert answer.choices[0].message.role == "assistant", answer
    assert answer.choices[0].message.content.strip(), answer
    assert answer.choices[0].finish_reason in ("stop", "length"), answer
    assert 1 <= answer.usage.completion_tokens <= 17, answer.usage
    assert answer.usage.total_tokens > answer.usage.completion_tokens, answer.usage
    raw = client(url).chat.completions.with_raw_response.create(
        model=model, messages=QUESTION, max_tokens=4
    )
    assert len(raw.headers["x-tutti-trace"]) == 32, raw.headers


def stream(url, model):
    chunks = list(
        ask(url, model, stream=True, max_tokens=16, stream_options={"include_usage": True})
    )
    assert text_of(chunks).strip(), chunks
    assert {c.object for c in chunks} == {"chat.completion.chunk"}, chunks
    assert len({c.id for c in chunks}) == 1, chunks
    assert len({c.model for c in chunks}) == 1, chunks
    reasons = [c.choices[0].finish_reason for c in chunks if c.choices]
    assert [r for r in reasons if r] in (["stop"], ["length"]), reasons
    assert chunks[-1].usage.completion_tokens > 0, chunks[-1]


FOUR = [
    {
        "role": "user",
        "content": "Answer each in a long paragraph: 1. What is rain? 2. What is wind? "
        "3. What is snow? 4. What is fog?",
    }
]


def real_pattern(url, model):
    """A streamed plan on real models gives one whole answer and a complete trace."""
    options = {"tutti": {"trace": True, "members": 2, "rounds": 1, "seed": 3}}
    if model not in ("tutti/ensemble", "tutti/debate"):
        del options["tutti"]["members"]
    if model != "tutti/debate":
        del options["tutti"]["rounds"]
    # A split needs long answers, otherwise it saves no time.
    limit = 16 if model != "tutti/decompose" else 500
    chunks = list(
        ask(
            url,
            model,
            stream=True,
            messages=FOUR if model == "tutti/decompose" else QUESTION,
            max_tokens=limit,
            stream_options={"include_usage": True},
            extra_body=options,
        )
    )
    assert text_of(chunks).strip(), chunks
    assert len({c.id for c in chunks}) == 1 and len({c.model for c in chunks}) == 1, chunks
    traces = [c.tutti for c in chunks if getattr(c, "tutti", None)]
    assert len(traces) == 1, chunks
    trace = traces[0]
    if trace["pattern"] == "direct":
        assert model == "tutti/auto" and trace["reason"], trace
        return
    assert chunks[0].model == model, chunks[0]
    assert trace["first_token_ms"] >= trace["first_progress_ms"] >= 0, trace
    roles = {task["role"] for task in trace["tasks"]}
    if model == "tutti/maestro":
        assert {"coordinator", "critic"} <= roles, trace
    assert chunks[-1].usage.completion_tokens > 0, chunks[-1]


def models(url, model):
    names = [m.id for m in client(url).models.list()]
    for wanted in (model, "tutti/fast", "tutti/ensemble"):
        assert wanted in names, names
    assert client(url).models.retrieve(model).id == model


def errors(url, model):
    try:
        ask(url, model + "-of-nobody")
        raise AssertionError("an unknown model was answered")
    except openai.NotFoundError as error:
        assert error.status_code == 404 and error.code == "model_not_found", error
        assert model in error.message, error.message  # the near name
    try:
        client(url).chat.completions.create(model=model, messages=[])
        raise AssertionError("a request without messages was answered")
    except openai.BadRequestError as error:
        assert error.status_code == 400 and error.type == "invalid_request_error", error
    try:
        ask(url, model, extra_body={"tutti": {"no_such_option": 1}})
        raise AssertionError("an unknown option was accepted")
    except openai.BadRequestError as error:
        assert "no_such_option" in error.message, error.message
    try:
        client(url).models.retrieve(model + "-of-nobody")
        raise AssertionError("an unknown model was found")
    except openai.NotFoundError:
        pass


def broken_stream(url, model):
    """The host drops the connection during the answer, so the stream must raise, not just end."""
    got = []
    try:
        for chunk in ask(url, model, stream=True):
            got.append(chunk)
    except openai.APIError as error:
        assert text_of(got), "the stream broke before any text"
        assert error.message, error
        return
    raise AssertionError(f"a broken stream ended like a whole one: {text_of(got)!r}")


def same_text(url, model, host):
    """The same call to the model server and through Tutti gives the same text."""
    long = [
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": "What is the capital of France, and on which river is it?"},
    ]
    for messages in (QUESTION, long):
        texts = {}
        for place, address in (("direct", host), ("tutti", url)):
            fixed = dict(temperature=0, max_tokens=32, seed=7, messages=messages)
            whole = ask(address, model, **fixed).choices[0].message.content
            texts[place, "whole"] = whole
            texts[place, "stream"] = text_of(ask(address, model, stream=True, **fixed))
        assert len(set(texts.values())) == 1 and "".join(texts.values()).strip(), texts


TOLD = [
    {"role": "system", "content": "You are terse."},
    {"role": "user", "content": "Hello."},
    {"role": "assistant", "content": "Hi."},
    {"role": "user", "content": "Tell me."},
]


def streams(url, model, text):
    """The stream is one whole answer with the text `text`."""
    chunks = list(
        ask(url, model, stream=True, messages=TOLD, stream_options={"include_usage": True})
    )
    assert text_of(chunks) == text, (text_of(chunks), text)
    assert len({c.id for c in chunks}) == 1, chunks
    assert {c.model for c in chunks} == {model}, chunks
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop", chunks
    assert chunks[-1].usage.completion_tokens > 0, chunks[-1]


def says(url, model, text):
    """Whole or streamed, the answer is the text `text`."""
    answer = ask(url, model, messages=TOLD, max_tokens=500)
    assert answer.choices[0].message.content == text, (answer, text)
    assert answer.choices[0].finish_reason == "stop", answer
    assert answer.model == model and answer.usage.completion_tokens > 0, answer
    short = ask(url, model, messages=TOLD, max_tokens=3)
    assert short.choices[0].finish_reason == "length", short
    assert text.startswith(short.choices[0].message.content), short
    streams(url, model, text)


def tools(url, model):
    """Two tool calls, streamed or not, and the turn that returns their results."""
    weather = {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather in a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
    question = [{"role": "user", "content": "<weather>"}]
    wanted = [("weather", {"city": "Paris"}), ("weather", {"city": "Köln \"am Rhein\""})]
    whole = ask(url, model, messages=question, tools=[weather]).choices[0]
    assert whole.finish_reason == "tool_calls", whole
    calls = whole.message.tool_calls
    assert [(c.function.name, json.loads(c.function.arguments)) for c in calls] == wanted, whole
    assert len({c.id for c in calls}) == 2 and all(c.id for c in calls), whole

    heard, reasons = {}, []
    for chunk in ask(url, model, stream=True, messages=question, tools=[weather]):
        for choice in chunk.choices:
            reasons.append(choice.finish_reason)
            for call in choice.delta.tool_calls or []:
                name, arguments = heard.setdefault(call.index, ["", ""])
                heard[call.index] = [
                    name + (call.function.name or ""),
                    arguments + (call.function.arguments or ""),
                ]
    assert [(n, json.loads(a)) for _, (n, a) in sorted(heard.items())] == wanted, heard
    assert reasons[-1] == "tool_calls", reasons

    results = [
        {"role": "tool", "tool_call_id": c.id, "content": "sunny in " + c.function.arguments}
        for c in calls
    ]
    thanks = [{"role": "user", "content": "<thanks>"}]
    turn = question + [whole.message.model_dump(exclude_none=True)] + results + thanks
    last = ask(url, model, messages=turn, tools=[weather]).choices[0]
    assert last.message.content == "It is sunny in both.", last


def ensemble(url, model):
    answer = ask(url, "tutti/ensemble", max_tokens=24, extra_body={"tutti": {"trace": True}})
    assert answer.choices[0].message.content.strip(), answer
    facts = answer.model_extra["tutti"]
    assert facts["pattern"].endswith("ensemble"), facts
    done = [task for task in facts["tasks"] if task["status"] == "done"]
    assert len(done) >= 3, facts
    assert len(facts["hosts"]) >= 2, facts
    assert answer.usage.completion_tokens > facts["sink_usage"]["completion_tokens"], facts


PARTS = (
    "Please do the following, in order. 1. Explain what a tide is and why there are two in a day. "
    "2. Describe how a tide mill works. 3. Compare it with a wind mill, with the reasons. "
    "4. Write a short poem about the sea. Take care that every part is complete."
)


def pattern(url, model):
    """Whole or streamed, a pattern answers like any model, and progress comments do no harm."""
    told = dict(messages=[{"role": "user", "content": PARTS}], max_tokens=200)
    facts = {"tutti": {"trace": True}}
    chunks = list(
        ask(url, model, stream=True, stream_options={"include_usage": True}, extra_body=facts, **told)
    )
    assert text_of(chunks).strip(), chunks
    assert len({c.id for c in chunks}) == 1, chunks
    assert {c.model for c in chunks} == {model}, chunks
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] in ("stop", "length"), chunks
    assert chunks[-1].usage.completion_tokens > 0, chunks[-1]
    trace = chunks[-1].model_extra["tutti"]
    assert trace["first_progress_ms"] <= trace["first_token_ms"], trace
    whole = ask(url, model, extra_body=facts, **told)
    assert whole.choices[0].message.content.strip(), whole
    assert whole.model_extra["tutti"]["tasks"], whole


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    checks = [chat, stream, models, errors, broken_stream, same_text, ensemble, streams, says, tools]
    checks += [pattern, real_pattern]
    {check.__name__: check for check in checks}[name](*arguments)
