"""`pydantic-ai-slim[openai]`: an agent whole, streamed, with a tool and with a typed answer."""

import asyncio

import openai
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from worker import KEY, LIMITS, QUESTION, TIMEOUT, TOOL_QUESTION, result, serve


class Weather(BaseModel):
    city: str
    degrees: int


def agent(url, model, **more):
    client = openai.AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0, timeout=TIMEOUT)
    return Agent(OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client)),
                 retries=0, model_settings=LIMITS or None, **more)


def told(output, run):
    usage = run.usage
    responses = [m for m in run.all_messages() if m.kind == "response"]
    calls = [[part.tool_call_id and True, part.tool_name, part.args_as_dict()]
             for m in responses for part in m.parts if part.part_kind == "tool-call"]
    return result(output.model_dump() if isinstance(output, BaseModel) else output,
                  [m.finish_reason for m in responses], calls,
                  [usage.input_tokens, usage.output_tokens],
                  thinking=[part.content for m in responses for part in m.parts
                            if part.part_kind == "thinking"] or None)


def chat(url, model):
    run = agent(url, model, system_prompt="You are terse.").run_sync(QUESTION)
    return told(run.output, run)


def stream(url, model):
    async def ask():
        async with agent(url, model).run_stream(QUESTION) as run:
            parts = [part async for part in run.stream_text(delta=True, debounce_by=None)]
            return told("".join(parts), run)
    return asyncio.run(ask())


def weather(city: str, degrees: int) -> str:
    """Reports the weather of a city."""
    return "sunny"


def tools(url, model):
    """Returns the tool call, and the answer to its result."""
    run = agent(url, model, tools=[weather]).run_sync(TOOL_QUESTION)
    return told(run.output, run)


def tools_stream(url, model):
    async def ask():
        async with agent(url, model, tools=[weather]).run_stream(TOOL_QUESTION) as run:
            parts = [part async for part in run.stream_text(delta=True, debounce_by=None)]
            return told("".join(parts), run)
    return asyncio.run(ask())


def typed(url, model):
    run = agent(url, model, output_type=Weather).run_sync(TOOL_QUESTION)
    return told(run.output, run)


if __name__ == "__main__":
    serve([chat, stream, tools, tools_stream, typed])
