"""Writes a tiny random bitnet-b1.58 model with a byte-level vocabulary and a chat template: the same bytes every time."""
import json
import struct

import gguf
import numpy as np

EMBD, FF, HEADS, KV_HEADS, LAYERS = 128, 256, 4, 2, 2
MERGES = ["h e", "l l", "he ll", "hell o", "Ġ w"]
SPECIAL = ["<|begin|>", "<|im_start|>", "<|im_end|>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def byte_letters():
    """The letter that byte-level vocabularies write for each byte: itself where printable, else the next free one from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def tokens():
    letters = byte_letters()
    return [letters[byte] for byte in range(256)] + [merge.replace(" ", "") for merge in MERGES] + SPECIAL


def token_id(text):
    return tokens().index(text)


def add_tokenizer(writer, chat_template):
    vocabulary = tokens()
    normal, control = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([normal] * (len(vocabulary) - len(SPECIAL)) + [control] * len(SPECIAL))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(token_id("<|begin|>"))
    writer.add_eos_token_id(token_id("<|im_end|>"))
    writer.add_add_bos_token(True)
    if chat_template:
        writer.add_chat_template(CHAT_TEMPLATE)


def weight_tensors(n_vocab, seed):
    """(name, array), by GGUF's names."""
    random = np.random.default_rng(seed)

    def ternary(rows, cols):
        return (random.integers(-1, 2, (rows, cols)) * 0.05).astype(np.float16)

    def ones(size):
        return np.ones(size, np.float32)

    head = EMBD // HEADS
    yield "token_embd.weight", (random.standard_normal((n_vocab, EMBD)) * 0.1).astype(np.float16)
    yield "output_norm.weight", ones(EMBD)
    for layer in range(LAYERS):
        for name, tensor in {
            "attn_norm": ones(EMBD), "attn_sub_norm": ones(EMBD), "ffn_norm": ones(EMBD), "ffn_sub_norm": ones(FF),
            "attn_q": ternary(EMBD, EMBD), "attn_k": ternary(KV_HEADS * head, EMBD), "attn_v": ternary(KV_HEADS * head, EMBD),
            "attn_output": ternary(EMBD, EMBD), "ffn_gate": ternary(FF, EMBD), "ffn_up": ternary(FF, EMBD), "ffn_down": ternary(EMBD, FF),
        }.items():
            yield f"blk.{layer}.{name}.weight", tensor


# `padding`: bytes of a tensor that no model has use for, to make work on the file long.
def write(path, *, n_ctx=4096, weights=True, tokenizer=True, chat_template=True, name="tiny", seed=1, padding=0):
    writer = gguf.GGUFWriter(path, "bitnet-b1.58")
    writer.add_name(name)
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(EMBD)
    writer.add_feed_forward_length(FF)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    if tokenizer:
        add_tokenizer(writer, chat_template)
    if weights:
        for tensor_name, tensor in weight_tensors(len(tokens()), seed):
            writer.add_tensor(tensor_name, tensor)
    if padding:
        writer.add_tensor("padding", np.zeros(padding // 4, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


HF_NAMES = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
            "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_sub_norm": "self_attn.attn_sub_norm",
            "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj", "ffn_sub_norm": "mlp.ffn_sub_norm"}


def hf_name(name):
    if not name.startswith("blk."):
        return {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}[name]
    _, layer, part, kind = name.split(".")
    return f"model.layers.{layer}.{HF_NAMES[part]}.{kind}"


def safetensors(tensors):
    """The bytes of a SafeTensors file of (name, array of float16 or float32)."""
    header, data = {}, b""
    for name, array in tensors:
        header[name] = {"dtype": {"float16": "F16", "float32": "F32"}[array.dtype.name], "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    head = json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + data


def write_folder(folder, *, seed=1):
    """The model of write() as a HuggingFace folder: float weights of ternary values, a tokenizer.json and its companions."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = tokens()
    special = [{"id": vocabulary.index(token), "content": token, "special": True} for token in SPECIAL]
    documents = {
        "config.json": {"architectures": ["BitNetForCausalLM"], "hidden_size": EMBD, "intermediate_size": FF, "num_hidden_layers": LAYERS,
                        "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5,
                        "rope_theta": 10000.0, "vocab_size": len(vocabulary), "hidden_act": "relu2", "tie_word_embeddings": True},
        "tokenizer.json": {"added_tokens": special, "normalizer": None, "post_processor": None,
                           "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
                           "model": {"type": "BPE", "vocab": {t: i for i, t in enumerate(vocabulary) if t not in SPECIAL}, "merges": MERGES}},
        "tokenizer_config.json": {"bos_token": "<|begin|>", "eos_token": {"content": "<|im_end|>"}, "add_bos_token": True,
                                  "chat_template": CHAT_TEMPLATE},
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document))
    (folder / "model.safetensors").write_bytes(safetensors((hf_name(name), tensor) for name, tensor in weight_tensors(len(vocabulary), seed)))
    return folder
