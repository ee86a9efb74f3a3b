"""`instructor`: typed answers by tools and by JSON, whole and streamed."""

import instructor
import openai
from pydantic import BaseModel

from worker import KEY, LIMITS, TIMEOUT, TOOL_QUESTION, result, serve, usage_of

MESSAGES = [{"role": "user", "content": TOOL_QUESTION}]


class Weather(BaseModel):
    city: str
    degrees: int


def client(url, mode):
    base = openai.OpenAI(base_url=url, api_key=KEY, max_retries=0, timeout=TIMEOUT)
    return instructor.from_openai(base, mode=mode)


def typed(url, model, mode):
    found, answer = client(url, mode).chat.completions.create_with_completion(
        model=model, messages=MESSAGES, response_model=Weather, max_retries=1, **LIMITS)
    return result(found.model_dump(), answer.choices[0].finish_reason, None,
                  usage_of(answer.usage))


def tools(url, model):
    return typed(url, model, instructor.Mode.TOOLS)


def json_mode(url, model):
    return typed(url, model, instructor.Mode.JSON)


def schema(url, model):
    return typed(url, model, instructor.Mode.JSON_SCHEMA)


def partial_stream(url, model):
    """Streams a typed answer that grows. Each state is a partial answer."""
    states = [part.model_dump() for part in client(url, instructor.Mode.TOOLS)
              .chat.completions.create_partial(model=model, messages=MESSAGES,
                                               response_model=Weather, max_retries=1, **LIMITS)]
    return result(states[-1] if states else None)


if __name__ == "__main__":
    serve([tools, json_mode, schema, partial_stream])
