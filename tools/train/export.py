"""Writes a trained run as a GGUF file that bitnet loads, and as a HuggingFace folder.

export.py WORK RUN -o MODEL.gguf [--hf FOLDER] [--embedding Q8_0|F16]
GGUF: I2_S weights, f32 norms. Folder: the packed form of microsoft/bitnet-b1.58-2B-4T (uint8 with weight_scale, which multiplies).
"""
import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from corpus import END
from model import LanguageModel, Projection, Shape, ternary

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from gguf_file import Tensor, i2_s_tail, model_metadata, pack_i2_s, quantise_q8_0, write_gguf  # noqa: E402

GGUF_NAME = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
             "self_attn.attn_sub_norm": "attn_sub_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
             "mlp.ffn_sub_norm": "ffn_sub_norm", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
MODEL_NAME = "bitnet-tales"
DESCRIPTION = "It continues English stories. It was not taught to answer questions or to follow instructions."
# How its tokens are best drawn, by transformers' names, and the keys by which GGUF files say so. A small model holds on to a few phrases:
# cooler draws keep its grammar, the penalty keeps it from going round in circles.
SAMPLING = {"temperature": 0.3, "top_k": 40, "top_p": 0.95, "min_p": 0.1, "repetition_penalty": 1.2}
GGUF_SAMPLING = {"temperature": "temp", "top_k": "top_k", "top_p": "top_p", "min_p": "min_p", "repetition_penalty": "penalty_repeat"}
PENALTY_LAST_N = 128
# A model of stories knows no roles: what is said in turns is one text, which it continues.
CHAT_TEMPLATE = "{% for message in messages %}{{ '' if loop.first else ' ' }}{{ message.content | trim }}{% endfor %}"


def load_run(folder):
    """The trained model of a run, in evaluation mode, on the CPU."""
    state = torch.load(folder / "checkpoint.pt", map_location="cpu")
    model = LanguageModel(Shape(**state["config"]["shape"]), is_ternary=not state["config"]["twin"])
    model.load_state_dict(state["model"])
    return model.eval(), state["config"]


def gguf_name(name):
    """model.layers.3.mlp.up_proj.weight -> blk.3.ffn_up.weight"""
    if name.startswith("layers."):
        _, layer, rest = name.split(".", 2)
        return f"blk.{layer}.{GGUF_NAME[rest.removesuffix('.weight')]}.weight"
    return {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}[name]


def ternary_matrices(model):
    """name of the weight -> (codes int8 (rows, columns), scale)"""
    out = {}
    for name, module in model.named_modules():
        if isinstance(module, Projection):
            codes, scale = ternary(module.weight.detach())
            out[name + ".weight"] = codes.to(torch.int8).cpu().numpy(), float(scale)
    return out


def gguf_tensors(model, embedding):
    matrices = ternary_matrices(model)
    for name, weight in model.state_dict().items():
        if name in matrices:
            codes, scale = matrices[name]
            kind, chunks = "I2_S", [pack_i2_s(codes), i2_s_tail(scale)]
        elif weight.dim() == 2:
            values = weight.numpy()
            kind, chunks = embedding, [quantise_q8_0(values) if embedding == "Q8_0" else values.astype(np.float16)]
        else:
            kind, chunks = "F32", [weight.numpy()]
        yield Tensor(gguf_name(name), tuple(weight.shape), kind, lambda chunks=chunks: chunks)


def tokenizer_metadata(document):
    """GGUF's form of a byte-level BPE tokenizer.json."""
    vocab = document["model"]["vocab"]
    tokens = sorted(vocab, key=vocab.get)
    merges = [m if isinstance(m, str) else " ".join(m) for m in document["model"]["merges"]]
    normal, control = 1, 3
    end = vocab[END]
    return [("tokenizer.ggml.model", "gpt2"), ("tokenizer.ggml.pre", "gpt-2"), ("tokenizer.ggml.tokens", tokens),
            ("tokenizer.ggml.token_type", [control if i == end else normal for i in range(len(tokens))]), ("tokenizer.ggml.merges", merges),
            ("tokenizer.ggml.bos_token_id", end), ("tokenizer.ggml.eos_token_id", end), ("tokenizer.ggml.add_bos_token", True),
            ("tokenizer.chat_template", CHAT_TEMPLATE)]


def write_model_file(model, document, path, embedding):
    s = model.shape
    metadata = model_metadata("bitnet-b1.58", MODEL_NAME, "I2_S", vocab=s.vocab, ctx=s.ctx, embd=s.embd, layers=s.layers, ff=s.ff,
                              heads=s.heads, kv_heads=s.kv_heads, head_dim=s.head_dim, eps=s.eps, theta=s.theta)
    about = [("general.description", DESCRIPTION), ("general.license", "mit")]
    sampling = [(f"general.sampling.{GGUF_SAMPLING[name]}", value) for name, value in SAMPLING.items()]
    sampling.append(("general.sampling.penalty_last_n", PENALTY_LAST_N))
    return write_gguf(path, list(gguf_tensors(model, embedding)), metadata + about + sampling + tokenizer_metadata(document))


def tokenizer_document(document):
    """The folder's tokenizer.json: as trained, and every text begins with END, as the GGUF file's add_bos_token says."""
    begin, text = {"SpecialToken": {"id": END, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    return document | {"post_processor": {"type": "TemplateProcessing", "single": [begin, text], "pair": [begin, text, {"Sequence": {"id": "B", "type_id": 1}}],
                                          "special_tokens": {END: {"id": END, "ids": [document["model"]["vocab"][END]], "tokens": [END]}}}}


def pack_hf(codes):
    """Codes (rows, columns) -> uint8 (rows / 4, columns): bits 2i and 2i+1 of row r hold row i * rows / 4 + r, plus 1."""
    quarters = (codes + 1).astype(np.uint8).reshape(4, codes.shape[0] // 4, -1)
    return quarters[0] | quarters[1] << 2 | quarters[2] << 4 | quarters[3] << 6


def write_hf_folder(model, document, folder):
    folder.mkdir(parents=True, exist_ok=True)
    s, matrices, tensors = model.shape, ternary_matrices(model), {}
    for name, weight in model.state_dict().items():
        if name in matrices:
            codes, scale = matrices[name]
            tensors[f"model.{name}"] = torch.from_numpy(pack_hf(codes))
            tensors[f"model.{name}_scale"] = torch.tensor([scale])
        else:
            tensors[f"model.{name}"] = weight.clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {"architectures": ["BitNetForCausalLM"], "model_type": "bitnet", "vocab_size": s.vocab, "hidden_size": s.embd,
              "intermediate_size": s.ff, "num_hidden_layers": s.layers, "num_attention_heads": s.heads, "num_key_value_heads": s.kv_heads,
              "max_position_embeddings": s.ctx, "rms_norm_eps": s.eps, "rope_theta": s.theta, "hidden_act": "relu2",
              "tie_word_embeddings": True, "attention_bias": False, "bos_token_id": 0, "eos_token_id": 0, "torch_dtype": "float32",
              "quantization_config": {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "offline"}}
    tokenizer_config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": END, "eos_token": END, "model_max_length": s.ctx,
                        "chat_template": CHAT_TEMPLATE}
    for name, content in {"config.json": config, "tokenizer.json": tokenizer_document(document), "tokenizer_config.json": tokenizer_config,
                          "generation_config.json": {"bos_token_id": 0, "eos_token_id": 0, "do_sample": True} | SAMPLING}.items():
        (folder / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--hf", type=Path, help="folder to write too")
    parser.add_argument("--embedding", choices=("Q8_0", "F16"), default="Q8_0", help="(default %(default)s)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # a matrix's scale is a sum, and rounds by how many threads add it
    model, config = load_run(options.run)
    if config["twin"]:
        parser.error(f"{options.run} is a full-precision twin, there is nothing ternary to write")
    document = json.loads((options.work / "tokenizer.json").read_text(encoding="utf-8"))
    size = write_model_file(model, document, options.out, options.embedding)
    print(f"{options.out}: {size} bytes")
    if options.hf:
        write_hf_folder(model, document, options.hf)
        print(f"{options.hf}: written")


if __name__ == "__main__":
    main(sys.argv[1:])
