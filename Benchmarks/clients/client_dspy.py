"""`dspy` with its default engine (litellm or its own client): predictions and plain calls."""

import asyncio
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import dspy  # noqa: E402

from worker import KEY, LIMITS, QUESTION, TIMEOUT, result, serve, usage_of  # noqa: E402


def model_of(url, model, **more):
    return dspy.LM(f"openai/{model}", api_base=url, api_key=KEY, cache=False, num_retries=0,
                   timeout=TIMEOUT, **{"temperature": 0.5, "max_tokens": 200, **LIMITS}, **more)


def chat(url, model):
    lm = model_of(url, model)
    found = lm(QUESTION)
    last = lm.history[-1] if lm.history else {}
    return result(found, None, None, usage_of(last.get("usage") or None))


def predict(url, model):
    with dspy.context(lm=model_of(url, model)):
        return result(dspy.Predict("question -> answer")(question=QUESTION).answer)


def predict_stream(url, model):
    listener = dspy.streaming.StreamListener(signature_field_name="answer")
    program = dspy.streamify(dspy.Predict("question -> answer"), stream_listeners=[listener])

    async def ask():
        texts, last = [], None
        with dspy.context(lm=model_of(url, model)):
            async for part in program(question=QUESTION):
                if isinstance(part, dspy.Prediction):
                    last = part.answer
                elif isinstance(part, dspy.streaming.StreamResponse):
                    texts.append(part.chunk)
        return result(last, streamed="".join(texts))
    return asyncio.run(ask())


def completion(url, model):
    return result(model_of(url, model, model_type="text")("One is"))


if __name__ == "__main__":
    serve([chat, predict, predict_stream, completion])
