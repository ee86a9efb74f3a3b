"""`aider-chat`: its model, and one turn of its coder in the ask mode."""

import os
import tempfile

os.environ["OPENAI_API_KEY"] = "none"
os.environ["AIDER_ANALYTICS"] = "false"
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.chdir(tempfile.mkdtemp())

from aider.coders import Coder  # noqa: E402
from aider.io import InputOutput  # noqa: E402
from aider.models import Model  # noqa: E402

from worker import KEY, LIMITS, QUESTION, TIMEOUT, result, serve, usage_of  # noqa: E402

MESSAGES = [{"role": "user", "content": QUESTION}]


def model_of(url, model):
    made = Model(f"openai/{model}")
    made.extra_params = {"api_base": url, "api_key": KEY, "timeout": TIMEOUT, "max_retries": 0,
                         **LIMITS}
    return made


def chat(url, model):
    _, answer = model_of(url, model).send_completion(MESSAGES, None, stream=False)
    choice = answer.choices[0]
    return result(choice.message.content, choice.finish_reason, None,
                  usage_of(getattr(answer, "usage", None)))


def stream(url, model):
    _, chunks = model_of(url, model).send_completion(MESSAGES, None, stream=True)
    texts, finish = [], None
    for chunk in chunks:
        for choice in chunk.choices:
            texts.append(choice.delta.content or "")
            finish = choice.finish_reason or finish
    return result("".join(texts), finish)


def turn(url, model, is_streamed):
    """Asks one question as aider does. Retries are off, because the first answer counts."""
    io = InputOutput(yes=True, pretty=False, fancy_input=False)
    errors = []
    io.tool_error = lambda message="", **named: errors.append(str(message))
    coder = Coder.create(main_model=model_of(url, model), io=io, edit_format="ask", use_git=False,
                         stream=is_streamed, map_tokens=0, suggest_shell_commands=False,
                         cache_prompts=False)
    from aider import coders
    coders.base_coder.RETRY_TIMEOUT = 0
    coder.run_one(QUESTION, preproc=False)
    return result(coder.partial_response_content, errors=[error.split(":")[0] for error in errors]
                  or None)


def ask(url, model):
    return turn(url, model, False)


def ask_stream(url, model):
    return turn(url, model, True)


if __name__ == "__main__":
    serve([chat, stream, ask, ask_stream])
