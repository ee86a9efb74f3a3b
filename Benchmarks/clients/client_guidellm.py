"""`guidellm`: requests of its HTTP backend, chat and completion, whole and streamed."""

import asyncio
import os
from urllib.parse import urlsplit

os.environ["HF_HUB_OFFLINE"] = "1"

from guidellm.backends.openai.http import OpenAIHTTPBackend  # noqa: E402
from guidellm.schemas import GenerationRequest, RequestInfo  # noqa: E402
from guidellm.schemas.backends.openai_http import OpenAIHTTPBackendArgs  # noqa: E402

from worker import KEY, QUESTION, TIMEOUT, result, serve  # noqa: E402

def asked(url, model, form, is_streamed):
    # The library removes the path from the base URL and expects it in its routes.
    base = urlsplit(url)
    routes = {form: base.path.strip("/") + form.removeprefix("/v1")}

    async def ask():
        backend = OpenAIHTTPBackend(OpenAIHTTPBackendArgs(
            target=f"{base.scheme}://{base.netloc}", model=model, request_format=form,
            api_key=KEY, api_routes=routes, timeout=TIMEOUT, http2=False, stream=is_streamed, max_tokens=24,
            extras={"body": {"temperature": 0}}))
        await backend.process_startup()
        try:
            request = GenerationRequest(columns={"text_column": [QUESTION]})
            found, info = None, RequestInfo()
            async for response, info in backend.resolve(request, info):
                found = response or found
            return told(found, info)
        finally:
            await backend.process_shutdown()
    return asyncio.run(ask())


def told(found, info):
    def tokens(metrics):
        return [metrics.text_tokens, metrics.total_tokens]
    if found is None:
        return result()
    return result(found.text, None, found.tool_calls,
                  [*tokens(found.input_metrics), *tokens(found.output_metrics)],
                  reasoning=found.reasoning_text,
                  has_first_token=bool(info.timings.first_token_iteration))


def chat(url, model):
    return asked(url, model, "/v1/chat/completions", False)


def stream(url, model):
    return asked(url, model, "/v1/chat/completions", True)


def completion(url, model):
    return asked(url, model, "/v1/completions", False)


def completion_stream(url, model):
    return asked(url, model, "/v1/completions", True)


if __name__ == "__main__":
    serve([chat, stream, completion, completion_stream])
