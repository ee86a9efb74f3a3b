"""`lm-eval`'s `local-completions`: loglikelihood and generate_until, one and four prompts at once.

The tokens are words, so that no tokenizer has to be downloaded.
"""

from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalCompletionsAPI

from worker import TIMEOUT, result, serve

CONTEXTS = ["The capital of France is", "Red and green are", "One two three", "Water is"]
CONTINUATIONS = [" Paris", " colours of light", " four five", " wet"]


class WordTokens(LocalCompletionsAPI):
    """A tokenizer that numbers words. Prompts are sent as strings or as numbers."""

    def __init__(self, *, as_numbers=False, **named):
        super().__init__(tokenizer_backend=None, **named)
        self.words = ["<end>"]
        # The library only checks that a tokenizer exists: the methods below do the work.
        self.tokenizer = self.words
        self.tokenized_requests = as_numbers

    def tok_encode(self, string, *arguments, **named):
        found = []
        for word in string.split():
            if word not in self.words:
                self.words.append(word)
            found.append(self.words.index(word))
        return found

    def decode_batch(self, tokens):
        return [" ".join(self.words[token] for token in one) for one in tokens]

    @property
    def eot_token_id(self):
        return 0

    @property
    def prefix_token_id(self):
        return 0

    @property
    def eos_string(self):
        return "<end>"


def model_of(url, model, batch, as_numbers=False):
    return WordTokens(model=model, base_url=url + "/completions", batch_size=batch, max_retries=1,
                      timeout=TIMEOUT, as_numbers=as_numbers)


def likelihoods(made):
    requests = [Instance("loglikelihood", {}, pair, number)
                for number, pair in enumerate(zip(CONTEXTS, CONTINUATIONS))]
    return result([list(map(str, found)) for found in made.loglikelihood(requests)])


def generations(made):
    options = {"until": ["\n\n"], "max_gen_toks": 12, "temperature": 0}
    requests = [Instance("generate_until", {}, (context, options), number)
                for number, context in enumerate(CONTEXTS)]
    return result(made.generate_until(requests))


def loglikelihood(url, model):
    return likelihoods(model_of(url, model, 1))


def loglikelihood_4(url, model):
    return likelihoods(model_of(url, model, 4))


def loglikelihood_numbers(url, model):
    return likelihoods(model_of(url, model, 4, as_numbers=True))


def generate_until(url, model):
    return generations(model_of(url, model, 1))


def generate_until_4(url, model):
    return generations(model_of(url, model, 4))


if __name__ == "__main__":
    serve([loglikelihood, loglikelihood_4, loglikelihood_numbers, generate_until,
           generate_until_4])
