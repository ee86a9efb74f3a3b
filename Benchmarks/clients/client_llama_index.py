"""`llama-index-llms-openai-like`: chat and completion, whole and streamed, and tools."""

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike

from worker import (
    KEY, LIMITS, QUESTION, TIMEOUT, TOOL_QUESTION, result, same, serve, usage_of)

MESSAGES = [ChatMessage(role="system", content="You are terse."),
            ChatMessage(role="user", content=QUESTION)]


def model_of(url, model, is_chat=True):
    return OpenAILike(model=model, api_base=url, api_key=KEY, is_chat_model=is_chat,
                      is_function_calling_model=True, max_retries=0, timeout=TIMEOUT,
                      reuse_client=False, **LIMITS)


def told(answer, llm=None):
    choice = answer.raw.choices[0] if answer.raw and answer.raw.choices else None
    calls = llm and llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
    text = answer.message.content if hasattr(answer, "message") else answer.text
    return result(text, choice and choice.finish_reason,
                  [[same(call.tool_id), call.tool_name, call.tool_kwargs] for call in calls or []],
                  usage_of(getattr(answer.raw, "usage", None)))


def chat(url, model):
    return told(model_of(url, model).chat(MESSAGES))


def stream(url, model):
    texts, last = [], None
    for last in model_of(url, model).stream_chat(MESSAGES):
        texts.append(last.delta or "")
    return result("".join(texts), message=last and last.message.content)


def weather(city: str, degrees: int) -> str:
    """Reports the weather of a city."""
    return city


def tools(url, model):
    llm = model_of(url, model)
    tool = FunctionTool.from_defaults(weather)
    return told(llm.chat_with_tools([tool], user_msg=TOOL_QUESTION), llm)


def tools_stream(url, model):
    llm = model_of(url, model)
    tool = FunctionTool.from_defaults(weather)
    last = None
    for last in llm.stream_chat_with_tools([tool], user_msg=TOOL_QUESTION):
        pass
    return told(last, llm)


def completion(url, model):
    return told(model_of(url, model, is_chat=False).complete(QUESTION))


def completion_stream(url, model):
    texts = [answer.delta or "" for answer in model_of(url, model, False).stream_complete(QUESTION)]
    return result("".join(texts))


if __name__ == "__main__":
    serve([chat, stream, tools, tools_stream, completion, completion_stream])
