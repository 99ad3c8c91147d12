"""Does the server answer with the model that a request names, and load and unload those of the operator's folder alone?"""
import json
import os
import shutil

import pytest
import tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with models of different seeds: they answer differently."""
    path = tmp_path_factory.mktemp("folder")
    for seed, name in enumerate(["one", "two", "three"]):
        tiny_model.write(path / f"{name}.gguf", n_ctx=512, seed=seed)
    return path


def text_of(server, model, **fields):
    fields = {"prompt": "Once upon", "max_tokens": 12, "seed": 1, "ignore_eos": True} | fields
    answer = server.post("/v1/completions", **fields, **({} if model is None else {"model": model}))
    return answer["model"], answer["choices"][0]["text"]


def models_of(server):
    return {m["id"]: m["status"]["value"] for m in json.loads(server.ask("GET", "/v1/models")[2])["data"]}


@pytest.fixture(scope="module")
def alone(start, folder):
    return {name: text_of(start(file=folder / f"{name}.gguf"), "whatever")[1] for name in ["one", "two", "three"]}


def test_requests_choose_their_model(start, folder, alone):
    server = start("-m", f"second={folder / 'two.gguf'}", file=folder / "one.gguf")
    assert models_of(server) == {"one": "loaded", "second": "loaded"}
    assert len(set(alone.values())) == 3
    assert text_of(server, "one") == ("one", alone["one"])
    assert text_of(server, "second") == ("second", alone["two"])
    assert text_of(server, None) == ("one", alone["one"])  # the first one
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2, "model": "second"}
    assert server.post("/v1/chat/completions", **body)["model"] == "second"
    vectors = [server.post("/v1/embeddings", model=m, input="a text")["data"][0]["embedding"] for m in ("one", "second")]
    assert vectors[0] != vectors[1]
    assert server.post("/tokenize", model="second", content="a")["count"] >= 1


def test_an_unknown_model_is_refused_where_there_are_several(start, folder):
    server = start("-m", f"second={folder / 'two.gguf'}", file=folder / "one.gguf")
    for path, body in [("/v1/completions", {"prompt": "a"}), ("/v1/embeddings", {"input": "a"}), ("/tokenize", {"content": "a"}),
                       ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]})]:
        error = server.refusal(404, path, body | {"model": "three"})
        assert (error["code"], error["param"]) == ("model_not_found", "model")
        assert str(folder) not in error["message"] and "three" in error["message"]
    assert server.refusal(403, "/models/load", {"model": "one"})["message"].endswith("--model-folder allows it")


def test_models_of_a_folder_are_loaded_when_asked_for(start, folder, alone):
    server = start("--model-folder", folder, "--max-models", 2, file=folder / "one.gguf")
    assert models_of(server) == {"one": "loaded", "three": "unloaded", "two": "unloaded"}
    assert text_of(server, "two")[1] == alone["two"]
    assert text_of(server, "three")[1] == alone["three"]  # one of the others made room
    assert list(models_of(server).values()).count("loaded") == 2
    assert server.post("/models/unload", model="three")["success"]
    assert server.post("/models/load", model="one")["success"]
    assert models_of(server)["one"] == "loaded"
    assert text_of(server, "one")[1] == alone["one"]
    for name in ["../folder/one", "one.gguf", "/etc/passwd", str(folder / "one.gguf"), ".", "none", "a\u0000b"]:
        for path in ["/models/load", "/models/unload"]:
            assert server.refusal(404, path, {"model": name})["code"] == "model_not_found"
    server.refusal(400, "/models/load", {})
    server.refusal(400, "/models/load", {"model": 3})


def test_what_finds_no_room_is_told_in_figures_and_without_paths(start, folder):
    server = start("--model-folder", folder, "--max-models", 1, file=folder / "one.gguf")
    busy = server.connect()
    busy.request("POST", "/v1/completions", json.dumps({"prompt": "a", "max_tokens": 400, "ignore_eos": True, "stream": True,
                                                        "model": "one"}), {"Content-Type": "application/json"})
    answer = busy.getresponse()
    answer.read(10)
    status, _, text = server.ask("POST", "/v1/completions", {"prompt": "a", "model": "two", "max_tokens": 1})
    answer.read()
    busy.close()
    if status != 200:  # the stream may have ended before
        error = json.loads(text)["error"]
        assert status == 503 and error["code"] == "no_room" and "'one'" in error["message"]
    assert text_of(server, "two")[0] == "two"


def test_a_broken_file_is_named_in_the_log_and_not_to_the_client(start, folder, tmp_path):
    shutil.copy(folder / "one.gguf", tmp_path / "good.gguf")
    (tmp_path / "bad.gguf").write_bytes((folder / "two.gguf").read_bytes()[:1000])
    server = start("--model-folder", tmp_path, file=folder / "one.gguf")
    error = server.refusal(500, "/models/load", {"model": "bad"})
    assert error["code"] == "model_load_failed" and str(tmp_path) not in error["message"]
    assert text_of(server, "good")[0] == "good"
    assert models_of(server)["bad"] == "unloaded"


def test_models_that_do_not_fit_are_refused_at_start(model, folder, tmp_path):
    import subprocess
    from conftest import PROGRAM
    command = [PROGRAM, "serve", "-m", folder / "one.gguf", "-m", folder / "two.gguf", "--port", "0", "-t", "1"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BITNET_")}
    for flags, words in [(["--max-models", "1"], "one more than the 1"), (["--kv-memory", "64", "--model-memory", "100"], "100.0 MiB"),
                         (["-m", folder / "one.gguf"], "two models have the name 'one'"), (["--alias", "x"], "--alias")]:
        result = subprocess.run(list(map(str, command + flags)), capture_output=True, timeout=60, env=environment)
        assert result.returncode not in (0, -11) and words in result.stderr.decode(), result.stderr
        assert len(result.stderr.decode().strip().splitlines()) == 1
