"""`smolagents`: the model whole and streamed, with tools, and an agent that calls one."""

from smolagents import OpenAIModel, Tool, ToolCallingAgent
from smolagents.models import agglomerate_stream_deltas

from worker import KEY, LIMITS, QUESTION, TIMEOUT, TOOL_QUESTION, result, same, serve

MESSAGES = [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}]
TOOL_MESSAGES = [{"role": "user", "content": [{"type": "text", "text": TOOL_QUESTION}]}]


class Weather(Tool):
    name = "weather"
    description = "Reports the weather of a city."
    inputs = {"city": {"type": "string", "description": "The city."},
              "degrees": {"type": "integer", "description": "Degrees."}}
    output_type = "string"

    def forward(self, city: str, degrees: int) -> str:
        return f"sunny in {city}"


def model_of(url, model):
    return OpenAIModel(model, api_base=url, api_key=KEY,
                       client_kwargs={"max_retries": 0, "timeout": TIMEOUT}, retry=False, **LIMITS)


def told(message):
    usage = message.token_usage
    calls = [[same(call.id), call.function.name, call.function.arguments]
             for call in message.tool_calls or []]
    return result(message.content, None, calls,
                  usage and [usage.input_tokens, usage.output_tokens])


def chat(url, model):
    return told(model_of(url, model).generate(MESSAGES))


def stream(url, model):
    return told(agglomerate_stream_deltas(list(model_of(url, model).generate_stream(MESSAGES))))


def tools(url, model):
    return told(model_of(url, model).generate(TOOL_MESSAGES, tools_to_call_from=[Weather()]))


def tools_stream(url, model):
    deltas = model_of(url, model).generate_stream(TOOL_MESSAGES, tools_to_call_from=[Weather()])
    return told(agglomerate_stream_deltas(list(deltas)))


def agent(url, model):
    """Runs one step: the agent calls the tool and observes its result."""
    made = ToolCallingAgent([Weather()], model_of(url, model), max_steps=1, verbosity_level=0)
    steps = [step for step in made.run(TOOL_QUESTION, stream=True)
             if type(step).__name__ == "ActionStep"]
    step = steps[0]
    if step.error:
        raise step.error
    return result(step.observations)


if __name__ == "__main__":
    serve([chat, stream, tools, tools_stream, agent])
