#!/usr/bin/env python3
"""Writes malformed SafeTensors files, model folders and shard indexes, and checks that the program refuses each with its reason.

folder_corpus.py FOLDER                 writes them
folder_corpus.py FOLDER --check BITNET  and runs `BITNET inspect` and `BITNET run` on each

A wrong file ends in exit 4 with one line that holds the words listed beside it. Beside them stand unusual files that are right (ok_*:
exit 0) and files with one random byte changed (flip_*: exit 0 or 4). What can be told only when the weights are loaded is named load_*.
"""
import argparse
import json
import pathlib
import random
import struct
import sys

from gguf_corpus import check
from safetensors_files import RIGHT, entry, file_of, one, right_files, wrong_files

EMBD, FF, KV, VOCAB = 32, 64, 16, 8


class Folder:
    """A llama model of one layer with a tokenizer; every file can be replaced before it is written."""

    def __init__(self):
        rng = random.Random(7)
        norms = {"model.norm": EMBD, "model.layers.0.input_layernorm": EMBD, "model.layers.0.post_attention_layernorm": EMBD}
        shapes = {"model.embed_tokens": (VOCAB, EMBD), "model.layers.0.self_attn.q_proj": (EMBD, EMBD), "model.layers.0.self_attn.k_proj": (KV, EMBD),
                  "model.layers.0.self_attn.v_proj": (KV, EMBD), "model.layers.0.self_attn.o_proj": (EMBD, EMBD),
                  "model.layers.0.mlp.gate_proj": (FF, EMBD), "model.layers.0.mlp.up_proj": (FF, EMBD), "model.layers.0.mlp.down_proj": (EMBD, FF)}
        self.tensors = {}  # name -> dtype, shape, bytes
        for name, shape in {**{n: (s,) for n, s in norms.items()}, **shapes}.items():
            count = shape[0] * (shape[1] if len(shape) > 1 else 1)
            self.tensors[name + ".weight"] = ["F32", shape, struct.pack(f"<{count}f", *(rng.uniform(-1, 1) for _ in range(count)))]
        self.config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": EMBD, "intermediate_size": FF, "num_hidden_layers": 1,
                       "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": VOCAB, "rms_norm_eps": 1e-5, "max_position_embeddings": 64,
                       "rope_theta": 1e4, "tie_word_embeddings": True, "hidden_act": "silu", "eos_token_id": 7}
        self.tokenizer = {"added_tokens": [{"id": 6, "content": "<s>", "special": True}, {"id": 7, "content": "</s>", "special": True}], "normalizer": None,
                          "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}, "post_processor": None,
                          "model": {"type": "BPE", "vocab": {t: i for i, t in enumerate("a b c d ab cd".split())}, "merges": ["a b", "c d"]}}
        self.tokenizer_config = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "add_bos_token": True, "chat_template": "{{ messages[0].content }}"}
        self.generation_config = {"eos_token_id": [7, 6]}
        self.shards = 0
        self.index = None  # changes the index's object
        self.other = {}    # name -> bytes, written last

    def pack(self, scale=0.5):
        """Every projection in the packed form, all zero."""
        for name in [n for n in self.tensors if "_proj" in n]:
            rows, cols = self.tensors[name][1]
            self.tensors[name] = ["U8", (rows // 4, cols), b"\x55" * (rows // 4 * cols)]
            self.tensors[name + "_scale"] = ["F32", (1,), struct.pack("<f", scale)]
        self.config["quantization_config"] = {"quant_method": "bitnet"}

    @staticmethod
    def safetensors(tensors):
        header, data = {}, b""
        for name, (dtype, shape, raw) in tensors.items():
            header[name] = entry(dtype, shape, (len(data), len(data) + len(raw)))
            data += raw
        return file_of(json.dumps(header), data)

    def files(self):
        out = {name + ".json": json.dumps(getattr(self, name)).encode() for name in ("config", "tokenizer", "tokenizer_config", "generation_config")}
        if self.shards == 0:
            out["model.safetensors"] = self.safetensors(self.tensors)
        else:
            names, weight_map = list(self.tensors), {}
            for i in range(self.shards):
                file = f"model-{i + 1:05}-of-{self.shards:05}.safetensors"
                out[file] = self.safetensors({n: self.tensors[n] for n in names[i::self.shards]})
                weight_map |= {n: file for n in names[i::self.shards]}
            index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
            if self.index:
                self.index(index)
            out["model.safetensors.index.json"] = json.dumps(index).encode()
        out |= self.other
        return {name: data for name, data in out.items() if data is not None}


def changed(*changes):
    folder = Folder()
    for change in changes:
        change(folder)
    return folder.files()


def config(**values):
    return lambda f: f.config.update(values)


def put(name, data):
    return lambda f: f.other.__setitem__(name, data if data is None or isinstance(data, bytes) else json.dumps(data).encode())


def sharded(change=None):
    def apply(f):
        f.shards, f.index = 3, change
    return apply


def moved(index):
    """One tensor is said to be in another shard than it is."""
    name, file = next(iter(index["weight_map"].items()))
    index["weight_map"][name] = next(f for f in index["weight_map"].values() if f != file)


def right_folders():
    return {
        "seed": changed(),
        "packed": changed(Folder.pack),
        "sharded": changed(sharded()),
        "one_shard": changed(lambda f: setattr(f, "shards", 1)),
        "no_tokenizer": changed(put("tokenizer.json", None)),
        "no_small_files": changed(put("tokenizer_config.json", None), put("generation_config.json", None)),
        "template_in_a_file": changed(put("chat_template.jinja", b"{{ messages[0].content }}")),
        "null_members": changed(config(rope_scaling=None, quantization_config=None, head_dim=None)),
        "other_files": changed(put("README.md", b"x"), put("pytorch_model.bin", b"x"), put("x.gguf", b"x")),
        "head_untied": changed(config(tie_word_embeddings=False), lambda f: f.tensors.__setitem__("lm_head.weight", f.tensors["model.embed_tokens.weight"])),
        "head_left_alone": changed(lambda f: f.tensors.__setitem__("lm_head.weight", f.tensors["model.embed_tokens.weight"])),
        "rotations": changed(lambda f: f.tensors.__setitem__("model.layers.0.self_attn.rotary_emb.inv_freq", ["F32", (8,), bytes(32)])),
        "online": changed(config(quantization_config={"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "online"})),
    }


def wrong_folders():
    """name -> (files, words of the refusal)."""
    out = {}

    def case(name, words, *changes):
        out[name] = (changed(*changes), words)

    case("config_absent", "has no config.json", put("config.json", None))
    case("config_absent_beside_gguf", "give the GGUF file in it: a.gguf", put("config.json", None), put("a.gguf", b"GGUF"))
    for name, data, words in [("empty", b"", "is empty"), ("text", b"x", "is not JSON"), ("cut", b'{"a":', "is not JSON"), ("array", b"[]", "is not a JSON object"),
                              ("zero_behind", b"{}\0", "byte 2 is zero"), ("not_utf8", b'{"a":"\xff"}', "is not JSON"), ("twice", b'{"a":1,"a":2}', "'a' appears twice"),
                              ("twice_inside", b'{"a":[{"b":1,"b":2}]}', "'b' appears twice"), ("deep", b'{"a":' + b"[" * 100000 + b"]" * 100000 + b"}", "nested deeper than 64"),
                              ("deep_open", b"[" * 1000000, "nested deeper than 64")]:
        case(f"config_{name}", words, put("config.json", data))
        case(f"tokenizer_config_{name}", words, put("tokenizer_config.json", data))
        case(f"generation_config_{name}", words, put("generation_config.json", data))
    for key in ("architectures", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "rms_norm_eps", "max_position_embeddings"):
        case(f"missing_{key}", key, lambda f, k=key: f.config.pop(k))
        case(f"text_{key}", key, config(**{key: "x"}))
        case(f"list_{key}", key, config(**{key: [1, 2]}))
        if key not in ("architectures", "rms_norm_eps"):
            for value in (0, -1, 1.5, 2**31, 2**63, 2**64):
                case(f"value_{key}_{value}", key, config(**{key: value}))
    for key, value, words in [("num_attention_heads", 3, "must divide"), ("num_attention_heads", 32, "even numbers"), ("num_key_value_heads", 4, "must divide"), ("num_key_value_heads", 0, "allowed are"),
                              ("head_dim", 0, "allowed are"), ("head_dim", 15, "even"), ("hidden_size", 64, "the config asks for"), ("intermediate_size", 65, "the config asks for"),
                              ("vocab_size", 9, "the config asks for"), ("num_hidden_layers", 2, "is missing"), ("rms_norm_eps", 0, "above 0"), ("rms_norm_eps", -1.0, "above 0"),
                              ("rms_norm_eps", 2, "at most 1"), ("rms_norm_eps", 1e-60, "above 0"), ("rope_theta", 0, "above 1"), ("rope_theta", 1e300, "at most"), ("rope_theta", [1], "must be a number"),
                              ("tie_word_embeddings", "yes", "true or false"), ("tie_word_embeddings", False, "'lm_head.weight' is missing"), ("hidden_act", "gelu", "supported are"),
                              ("hidden_act", 1, "must be a string"), ("attention_bias", True, "attention_bias"), ("mlp_bias", True, "mlp_bias"), ("partial_rotary_factor", 0.5, "only 1"),
                              ("num_local_experts", 8, "only 0"), ("architectures", ["MambaForCausalLM\x1b[2J"], "supported are"), ("architectures", [], "one model class"), ("architectures", [1], "one model class"),
                              ("rope_scaling", {"type": "yarn", "factor": 2}, "supported are"), ("rope_scaling", {"type": "linear"}, "factor is missing"), ("rope_scaling", {"type": "linear", "factor": 0}, "above 0"),
                              ("rope_scaling", {"rope_type": "llama3", "factor": 8}, "low_freq_factor is missing"), ("rope_scaling", [], "must be an object"), ("rope_parameters", {"rope_theta": "x"}, "must be a number"),
                              ("rope_scaling", {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 1}, "must be above low_freq_factor"),
                              ("quantization_config", [], "must be an object"), ("quantization_config", {"quant_method": "gptq"}, "supported are bitnet"),
                              ("quantization_config", {"linear_class": "linear"}, "supported are bitlinear"), ("quantization_config", {"quantization_mode": "both"}, "supported are offline"),
                              ("quantization_config", {"quantization_mode": "online"}, "autobitlinear alone"), ("quantization_config", {"use_rms_norm": True}, "has no norms before its projections"),
                              ("quantization_config", {"linear_class": "autobitlinear", "quantization_mode": "online", "modules_to_not_convert": ["mlp"]}, "supported is lm_head"),
                              ("eos_token_id", 8, "eos_token_id"), ("eos_token_id", -1, "eos_token_id"), ("eos_token_id", ["x"], "eos_token_id")]:
        case(f"config_{key}_{json.dumps(value)[:60]}", words, config(**{key: value}))
    for name in Folder().tensors:
        case(f"tensor_missing_{name}", f"'{name}' is missing", lambda f, n=name: f.tensors.pop(n))
        case(f"tensor_shape_{name}", f"'{name}' has shape", lambda f, n=name: f.tensors.__setitem__(n, ["F32", (3,), bytes(12)]))
        case(f"tensor_type_{name}", f"'{name}' is I32", lambda f, n=name: f.tensors[n].__setitem__(0, "I32"))
    for name in ("x", "model.layers.0.self_attn.q_proj.bias", "model.layers.0.self_attn.q_norm.weight", "model.layers.1.input_layernorm.weight",
                 "model.layers.0.self_attn.attn_sub_norm.weight", "model.layers.00.input_layernorm.weight"):
        case(f"tensor_foreign_{name}", "is not a part of architecture llama", lambda f, n=name: f.tensors.__setitem__(n, ["F32", (1,), bytes(4)]))
    up = "model.layers.0.mlp.up_proj.weight"
    case("packed_without_config", "no quantization_config", Folder.pack, lambda f: f.config.pop("quantization_config"))
    case("packed_but_online", "no quantization_config with quantization_mode offline", Folder.pack,
         lambda f: f.config.__setitem__("quantization_config", {"linear_class": "autobitlinear", "quantization_mode": "online"}))
    case("packed_without_scale", "weight_scale' is missing", Folder.pack, lambda f: f.tensors.pop(up + "_scale"))
    for value in (float("nan"), float("inf"), 0.0):
        case(f"packed_scale_{value}", "finite", Folder.pack, lambda f, v=value: f.tensors.__setitem__(up + "_scale", ["F32", (1,), struct.pack("<f", v)]))
    case("packed_scale_shape", "weight_scale' has shape (2)", Folder.pack, lambda f: f.tensors.__setitem__(up + "_scale", ["F32", (2,), bytes(8)]))
    case("packed_scale_type", "weight_scale' is U8", Folder.pack, lambda f: f.tensors.__setitem__(up + "_scale", ["U8", (1,), bytes(1)]))
    case("packed_shape", "the config asks for (16, 32)", Folder.pack, lambda f: f.tensors.__setitem__(up, ["U8", (FF, EMBD), bytes(FF * EMBD)]))
    case("load_packed_code_3", "code 3", Folder.pack, lambda f: f.tensors.__setitem__(up, ["U8", (FF // 4, EMBD), b"\xff" * (FF // 4 * EMBD)]))
    case("load_scale_of_a_dense_weight", "has a scale of its own", lambda f: f.tensors.__setitem__(up + "_scale", ["F32", (1,), struct.pack("<f", 0.5)]))
    case("load_master_not_finite", "not finite", config(quantization_config={"linear_class": "autobitlinear", "quantization_mode": "online"}),
         lambda f: f.tensors[up].__setitem__(2, struct.pack("<f", float("nan")) + f.tensors[up][2][4:]))

    case("weights_absent", "neither model.safetensors nor", put("model.safetensors", None))
    case("weights_pickled", "pickles are not read, because they run code: pytorch_model.bin", put("model.safetensors", None), put("pytorch_model.bin", b"\x80\x02"))
    case("weights_empty", "is empty", put("model.safetensors", b""))
    for name, (data, words) in wrong_files().items():
        if name.startswith(("trunc", "pair")):
            case(f"weights_{name}", words, put("model.safetensors", data))
    case("index_text", "is not JSON", sharded(), put("model.safetensors.index.json", b"x"))
    case("index_array", "is not a JSON object", sharded(), put("model.safetensors.index.json", b"[]"))
    case("index_twice", "appears twice", sharded(), put("model.safetensors.index.json", b'{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}'))
    case("index_map_absent", "weight_map is missing", sharded(lambda i: i.pop("weight_map")))
    case("index_map_empty", "weight_map is missing, empty", sharded(lambda i: i.update(weight_map={})))
    case("index_map_list", "no object", sharded(lambda i: i.update(weight_map=[])))
    for number, file in enumerate(["../model.safetensors", "/etc/passwd", "a/b.safetensors", "..", ".hidden.safetensors", "", "model.bin", "a\0.safetensors", "a\n.safetensors", 1, None]):
        case(f"index_file_{number}", "must be the name of a .safetensors file in the folder", sharded(lambda i, f=file: i["weight_map"].update({"x": f})))
    case("index_shard_absent", "shard other.safetensors is missing", sharded(lambda i: i["weight_map"].update({"x": "other.safetensors"})))
    case("index_shard_removed", "shard model-00002-of-00003.safetensors is missing", sharded(), put("model-00002-of-00003.safetensors", None))
    case("index_shard_left_over", "does not name model-00004-of-00004.safetensors", sharded(), put("model-00004-of-00004.safetensors", one(RIGHT)))
    case("index_shard_broken", "header needs", sharded(), put("model-00002-of-00003.safetensors", one(RIGHT)[:30]))
    case("index_tensor_moved", "where the index has", sharded(moved))
    case("index_tensor_unknown", "is not in", sharded(lambda i: i["weight_map"].update({"x": "model-00001-of-00003.safetensors"})))
    case("index_tensor_left_out", "where the index has not put it", sharded(lambda i: i["weight_map"].pop("model.norm.weight")))

    def tokenizer(name, words, change):
        case(f"tokenizer_{name}", words, lambda f: change(f.tokenizer))

    tokenizer("type", "supported are BPE", lambda t: t["model"].update(type="Magic"))
    tokenizer("id_negative", "must be an id", lambda t: t["model"]["vocab"].update(x=-1))
    tokenizer("id_huge", "must", lambda t: t["model"]["vocab"].update(x=2**31))
    tokenizer("too_many", "the embedding has 8 rows", lambda t: t["added_tokens"].append({"id": 8, "content": "<x>", "special": True}))
    tokenizer("merge_result", "ac", lambda t: t["model"]["merges"].append("a c"))
    tokenizer("split", "not a known expression", lambda t: t.update(pre_tokenizer={"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"}))
    case("tokenizer_text", "is not JSON", put("tokenizer.json", b"x"))
    for name, value in (("bos_token", "<none>"), ("eos_token", {"content": "<none>"}), ("bos_token", 3), ("eos_token", {"content": 3})):
        case(f"tokenizer_config_{name}_{json.dumps(value)}", name, lambda f, n=name, v=value: f.tokenizer_config.update({n: v}))
    for name, source in (("syntax", "{% if %}"), ("include", "{% include '/etc/passwd' %}"), ("depth", "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}")):
        case(f"template_{name}", "chat template", lambda f, s=source: f.tokenizer_config.update(chat_template=s))
        case(f"template_file_{name}", "chat template", put("chat_template.jinja", source.encode()))
    for key, value in (("temperature", "x"), ("temperature", [1]), ("top_p", 2), ("top_k", 1.5), ("top_k", 2**40), ("repetition_penalty", 0)):
        case(f"generation_{key}_{json.dumps(value)}", "generation_config.json: ", lambda f, k=key, v=value: f.generation_config.update({k: v}))
    for value in (8, -1, 2**40, "7", [7, 8], [[7]]):
        case(f"generation_eos_{json.dumps(value)}", "generation_config.json: eos_token_id", lambda f, v=value: f.generation_config.update(eos_token_id=v))
    return out


def flipped(count, seed):
    """Files and folders with one byte changed; they may be right or wrong, but nothing may go wrong."""
    rng, files, folders = random.Random(seed), {}, {}
    whole = right_files()["metadata"]
    for i in range(count // 2):
        at = rng.randrange(len(whole))
        files[f"flip_{i}_at_{at}"] = whole[:at] + bytes([whole[at] ^ rng.randrange(1, 256)]) + whole[at + 1:]
    for i in range(count // 2):
        folder = changed(sharded()) if i % 2 else changed(Folder.pack)
        name = rng.choice([n for n in folder])
        data = folder[name]
        at = rng.randrange(min(len(data), 2500))  # of weights a change says little
        folder[name] = data[:at] + bytes([data[at] ^ rng.randrange(1, 256)]) + data[at + 1:]
        folders[f"flip_{i}_{name}_at_{at}"] = folder
    return files, folders


def safe(name):
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name)[:120]


def write(root, count, seed):
    """Everything as (name, path, words or None)."""
    cases = []
    files, folders = flipped(count, seed)
    single = {f"ok_{n}": (d, None) for n, d in right_files().items()} | wrong_files() | {n: (d, None) for n, d in files.items()}
    (root / "files").mkdir(parents=True, exist_ok=True)
    for name, (data, words) in single.items():
        path = root / "files" / f"{safe(name)}.safetensors"
        path.write_bytes(data)
        cases.append((name, path, words))
    whole = {f"ok_{n}": (f, None) for n, f in right_folders().items()} | wrong_folders() | {n: (f, None) for n, f in folders.items()}
    for name, (parts, words) in whole.items():
        path = root / "folders" / safe(name)
        path.mkdir(parents=True, exist_ok=True)
        for part in path.iterdir():
            part.unlink()
        for part, data in parts.items():
            (path / part).write_bytes(data)
        cases.append((name, path, words))
    return cases


def check_all(bitnet, cases):
    """Runs the program on every case; prints what is wrong and returns (results, failures)."""
    results, failed = 0, 0
    for name, path, words in cases:
        right, either = name.startswith("ok_"), name.startswith("flip_")
        inspect_allowed = {0} if right else {0, 4} if either or name.startswith("load_") else {4}
        runs = [(["inspect", str(path)], inspect_allowed)]
        if path.is_dir() and not either:
            runs.append((["run", "-m", str(path), "--ids", "0,1", "-n", "4"], {0} if right else {4}))
        for arguments, allowed in runs:
            problem, line = check(bitnet, arguments, allowed)
            results += 1
            if not problem and allowed == {4} and not any(word in line for word in words.split("|")):
                problem = f"does not say '{words}': {line}"
            if problem:
                failed += 1
                print(f"{name} ({arguments[0]}): {problem}")
    return results, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--check", metavar="BITNET")
    parser.add_argument("--flips", type=int, default=200, help="files with one random byte changed (default 200)")
    parser.add_argument("--seed", type=int, default=1, help="of those changes (default 1)")
    options = parser.parse_args()
    cases = write(options.folder, options.flips, options.seed)
    if not options.check:
        return 0
    results, failed = check_all(options.check, cases)
    print(f"{results - failed} passed, {failed} failed (flips of seed {options.seed})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
