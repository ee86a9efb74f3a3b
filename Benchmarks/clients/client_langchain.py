"""`langchain-openai`: the chat model whole, streamed, with tools, with a schema, and in a batch."""

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAI

from worker import (
    KEY, LIMITS, QUESTION, TIMEOUT, TOOL, TOOL_QUESTION, result, same, serve, usage_of)

MESSAGES = [SystemMessage("You are terse."), HumanMessage(QUESTION)]


def model_of(url, model, **more):
    return ChatOpenAI(base_url=url, api_key=KEY, model=model, max_retries=0, timeout=TIMEOUT,
                      **LIMITS, **more)


def told(message):
    usage = message.usage_metadata
    calls = [[same(call["id"]), call["name"], call["args"]] for call in message.tool_calls]
    calls += [[same(call["id"]), call["name"], call["args"], "invalid"]
              for call in message.invalid_tool_calls]
    return result(message.content, message.response_metadata.get("finish_reason"), calls,
                  usage and [usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]],
                  refusal=message.additional_kwargs.get("refusal"))


def chat(url, model):
    return told(model_of(url, model).invoke(MESSAGES))


def stream(url, model):
    whole = None
    for chunk in model_of(url, model).stream(MESSAGES):
        whole = chunk if whole is None else whole + chunk
    return told(whole)


def tools(url, model):
    """Returns the tool call, and the answer to its result."""
    bound = model_of(url, model).bind_tools([TOOL])
    question = HumanMessage(TOOL_QUESTION)
    first = bound.invoke([question])
    results = [ToolMessage("sunny", tool_call_id=call["id"] or "") for call in first.tool_calls]
    last = bound.invoke([question, AIMessage(first.content, tool_calls=first.tool_calls), *results])
    return result([told(first), told(last)])


def tools_stream(url, model):
    whole = None
    for chunk in model_of(url, model).bind_tools([TOOL]).stream([HumanMessage(TOOL_QUESTION)]):
        whole = chunk if whole is None else whole + chunk
    return told(whole)


def schema(url, model):
    form = TOOL["function"]["parameters"] | {"title": "Weather", "description": "Of a city."}
    chain = model_of(url, model).with_structured_output(form, method="json_schema",
                                                        include_raw=True)
    found = chain.invoke(TOOL_QUESTION)
    return result(found["parsed"], raw=told(found["raw"]))


def completion(url, model):
    """Sends two prompts in one request, as each batch of the completion model does."""
    llm = OpenAI(base_url=url, api_key=KEY, model=model, max_retries=0, timeout=TIMEOUT,
                 **{**LIMITS, "max_tokens": 8})
    found = llm.generate(["One is", "Two are"])
    return result([[g.text, g.generation_info and g.generation_info.get("finish_reason")]
                   for one in found.generations for g in one], None, None,
                  usage_of((found.llm_output or {}).get("token_usage")))


if __name__ == "__main__":
    serve([chat, stream, tools, tools_stream, schema, completion])
