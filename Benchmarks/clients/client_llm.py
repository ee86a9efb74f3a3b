"""`llm`: prompts whole, streamed, with a schema, with a tool, and with the completion model."""

import llm
from llm.default_plugins.openai_models import Chat, Completion

from worker import KEY, LIMITS, QUESTION, TIMEOUT, TOOL, TOOL_QUESTION, result, same, serve


class NoRetries:
    """Sets limits in the client that the library makes, because the library has no option."""

    def get_client(self, *arguments, **named):
        return super().get_client(*arguments, **named).with_options(
            max_retries=0, timeout=TIMEOUT)


class OneChat(NoRetries, Chat):
    pass


class OneCompletion(NoRetries, Completion):
    pass


def model_of(kind, url, model, **more):
    return kind(model, model_name=model, api_base=url, key=KEY, **more)


def identifier(call):
    """Replaces random ids, which the library gives to calls without an id."""
    is_its_own = (call.tool_call_id or "").startswith("tc_")
    return None if is_its_own else same(call.tool_call_id)


def told(response):
    text = response.text()
    usage = response.usage()
    calls = [[identifier(call), call.name, call.arguments] for call in response.tool_calls()]
    whole = response.response_json or {}
    finish = whole.get("finish_reason") or [c.get("finish_reason") for c in whole.get("choices", [])]
    return result(text, finish, calls, [usage.input, usage.output])


def chat(url, model):
    return told(model_of(OneChat, url, model).prompt(QUESTION, system="You are terse.",
                                                     stream=False, key=KEY, **LIMITS))


def stream(url, model):
    return told(model_of(OneChat, url, model).prompt(QUESTION, stream=True, key=KEY, **LIMITS))


def schema(url, model):
    made = model_of(OneChat, url, model, supports_schema=True)
    return told(made.prompt(TOOL_QUESTION, schema=TOOL["function"]["parameters"], stream=False,
                            key=KEY, **LIMITS))


def weather(city: str, degrees: int) -> str:
    """Reports the weather of a city."""
    return "sunny"


def tools(url, model):
    made = model_of(OneChat, url, model, supports_tools=True)
    return told(made.prompt(TOOL_QUESTION, tools=[weather], stream=False, key=KEY, **LIMITS))


def tools_stream(url, model):
    made = model_of(OneChat, url, model, supports_tools=True)
    return told(made.prompt(TOOL_QUESTION, tools=[weather], stream=True, key=KEY, **LIMITS))


def completion_stream(url, model):
    return told(model_of(OneCompletion, url, model).prompt(QUESTION, stream=True, key=KEY, **LIMITS))


if __name__ == "__main__":
    serve([chat, stream, schema, tools, tools_stream, completion_stream])
