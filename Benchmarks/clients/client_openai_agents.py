"""`openai-agents` with its chat completions model: whole, streamed, with a tool, typed."""

import asyncio

import openai
from agents import (
    Agent, ModelSettings, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled)
from pydantic import BaseModel

from worker import KEY, LIMITS, QUESTION, TIMEOUT, TOOL_QUESTION, result, serve

set_tracing_disabled(True)


class Weather(BaseModel):
    city: str
    degrees: int


@function_tool
def weather(city: str, degrees: int) -> str:
    """Reports the weather of a city."""
    return "sunny"


def agent(url, model, **more):
    client = openai.AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0, timeout=TIMEOUT)
    return Agent(name="a", instructions="You are terse.", model_settings=ModelSettings(**LIMITS),
                 model=OpenAIChatCompletionsModel(model=model, openai_client=client), **more)


def told(run):
    usage = run.context_wrapper.usage
    calls = [[item.raw_item.call_id and True, item.raw_item.name, item.raw_item.arguments]
             for item in run.new_items if item.type == "tool_call_item"]
    output = run.final_output
    return result(output.model_dump() if isinstance(output, BaseModel) else output, None, calls,
                  [usage.input_tokens, usage.output_tokens, usage.total_tokens])


def chat(url, model):
    return told(asyncio.run(Runner.run(agent(url, model), QUESTION, max_turns=2)))


async def streamed(made, question):
    run = Runner.run_streamed(made, question, max_turns=2)
    texts = []
    async for event in run.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            texts.append(event.data.delta)
    return told(run) | {"streamed": "".join(texts)}


def stream(url, model):
    return asyncio.run(streamed(agent(url, model), QUESTION))


def tools(url, model):
    """Returns the tool call, and the answer to its result."""
    run = Runner.run(agent(url, model, tools=[weather]), TOOL_QUESTION, max_turns=3)
    return told(asyncio.run(run))


def tools_stream(url, model):
    return asyncio.run(streamed(agent(url, model, tools=[weather]), TOOL_QUESTION))


def typed(url, model):
    run = Runner.run(agent(url, model, output_type=Weather), TOOL_QUESTION, max_turns=2)
    return told(asyncio.run(run))


if __name__ == "__main__":
    serve([chat, stream, tools, tools_stream, typed])
