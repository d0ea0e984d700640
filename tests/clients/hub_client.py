"""Drives a running server through huggingface_hub's InferenceClient, unchanged.

    python hub_client.py --url http://127.0.0.1:8080

Prints one line a check and ends with "N passed, M failed".
"""


import numpy as np
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from checks import check, main

def client(url, path):
    # With a whole address as its model the client asks there.
    return InferenceClient(model=url + path, token="none")


@check
def feature_extraction_of_one_text(url):
    vector = client(url, "/embed").feature_extraction("Les Parties coopèrent de bonne foi.")
    assert vector.ndim == 2 and vector.shape[0] == 1, vector.shape
    assert abs(np.linalg.norm(vector) - 1) < 1e-4


@check
def feature_extraction_of_many_texts(url):
    texts = ["peace", "war", "water"]
    vectors = client(url, "/embed").feature_extraction(texts)
    assert vectors.shape[0] == 3, vectors.shape
    one = client(url, "/embed").feature_extraction("war")
    assert np.allclose(vectors[1], one[0], atol=1e-4), "batched equals single"


@check
def feature_extraction_with_parameters(url):
    ask = client(url, "/embed").feature_extraction
    named = ask("peace", prompt_name="query")
    written = ask("query: peace")
    assert np.allclose(named, written, atol=1e-5)
    short = ask("peace", dimensions=8)
    assert short.shape == (1, 8), short.shape
    ask("peace " * 4000, truncate=True, truncation_direction="left")


@check
def a_long_text_is_refused(url):
    try:
        client(url, "/embed").feature_extraction("peace " * 4000)
    except HfHubHTTPError as error:
        assert error.response.status_code == 413, error
        assert "tokens and the model takes" in error.response.text, error.response.text
    else:
        raise AssertionError("it was shortened in silence")


@check
def sentence_similarity(url):
    near, far = client(url, "/similarity").sentence_similarity(
        "Access to drinking water is a human right.",
        other_sentences=["L'accès à l'eau potable est un droit humain.", "The train leaves at noon."],
    )
    assert near > far, (near, far)


if __name__ == "__main__":
    main(__doc__, lambda args: args.url, ["--url"])
