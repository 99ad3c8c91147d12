"""Writes the same tiny random model as a HuggingFace folder, in any of its stored forms, and as a GGUF file: numpy only."""
import json
import struct
import sys

import numpy as np
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))
from gguf_file import Tensor, model_metadata, write_gguf  # noqa: E402

f32 = np.float32
PROJECTIONS = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
               "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
NORMS = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
SUB_NORMS = {"bitnet-b1.58": {"attn_sub_norm": "self_attn.attn_sub_norm", "ffn_sub_norm": "mlp.ffn_sub_norm"},
             "bitnet": {"attn_sub_norm": "self_attn.inner_attn_ln", "ffn_sub_norm": "mlp.ffn_layernorm"}, "llama": {}, "qwen3": {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}}
CLASS = {"bitnet-b1.58": "BitNetForCausalLM", "bitnet": "BitnetForCausalLM", "llama": "LlamaForCausalLM", "qwen3": "Qwen3ForCausalLM"}


class Bf16:
    """bfloat16 values: their upper halves, and the float32 values that these are."""

    def __init__(self, values):
        bits = np.ascontiguousarray(values, f32).view(np.uint32)
        self.bits = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)

    def values(self):
        return (self.bits.astype(np.uint32) << 16).view(f32)


def write_safetensors(path, tensors):
    """`tensors`: name -> array or Bf16, laid out in this order."""
    dtypes = {"float32": "F32", "float16": "F16", "uint8": "U8", "int64": "I64"}
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in tensors.items():
        array = tensor.bits if isinstance(tensor, Bf16) else np.ascontiguousarray(tensor)
        dtype = "BF16" if isinstance(tensor, Bf16) else dtypes[array.dtype.name]
        header[name] = {"dtype": dtype, "shape": list(np.shape(array)), "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    head = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + data)


def pack(codes):
    """Codes (rows, columns) -> uint8 (rows / 4, columns): bits 2i and 2i+1 of row r hold row i * rows / 4 + r, plus 1."""
    quarters = (codes + 1).astype(np.uint8).reshape(4, codes.shape[0] // 4, -1)
    return quarters[0] | quarters[1] << 2 | quarters[2] << 4 | quarters[3] << 6


def absmean(weights):
    """The codes and the scale of full-precision weights, as the numeric specification has them."""
    factor = f32(1) / max(f32(np.abs(weights).mean(dtype=np.float64)), f32(1e-5))
    return np.clip(np.rint(weights * factor), -1, 1).astype(np.int8), f32(1) / factor


class TinyModel:
    """Random master weights; `codes` and `scales` by absmean. Embedding and norms are bfloat16 values."""

    def __init__(self, architecture, *, layers=2, embd=128, ff=256, heads=4, kv_heads=2, head_dim=None, vocab=96, eps=1e-5, theta=1e4,
                 tied=True, master="bf16", seed=1, input_norms=False):
        self.architecture, self.tied, self.eps, self.theta = architecture, tied, eps, theta
        self.layers, self.embd, self.ff, self.heads, self.kv_heads, self.vocab = layers, embd, ff, heads, kv_heads, vocab
        self.head_dim = head_dim or embd // heads
        random = np.random.default_rng(seed)
        q, kv = heads * self.head_dim, kv_heads * self.head_dim
        shapes = {"attn_q": (q, embd), "attn_k": (kv, embd), "attn_v": (kv, embd), "attn_output": (embd, q), "ffn_gate": (ff, embd),
                  "ffn_up": (ff, embd), "ffn_down": (embd, ff)}
        sizes = {"attn_sub_norm": q, "ffn_sub_norm": ff, "attn_q_norm": self.head_dim, "attn_k_norm": self.head_dim}
        norms = {"attn_norm": embd, "ffn_norm": embd} | {name: sizes[name] for name in SUB_NORMS[architecture]}
        self.norm_names = NORMS | SUB_NORMS[architecture]
        if input_norms:
            norms |= {f"{name}_norm_in": shape[1] for name, shape in shapes.items()}
            self.norm_names |= {f"{name}_norm_in": f"{hf}.rms_norm" for name, hf in PROJECTIONS.items()}
        self.embedding, self.head = (Bf16(random.standard_normal((vocab, embd)) * 0.1) for _ in range(2))
        self.output_norm = Bf16(random.uniform(0.5, 1.5, embd))
        self.norms = [{name: Bf16(random.uniform(0.5, 1.5, size)) for name, size in norms.items()} for _ in range(layers)]
        as_stored = {"bf16": Bf16, "f16": lambda w: w.astype(np.float16), "f32": lambda w: w.astype(f32)}[master]
        self.masters = [{name: as_stored(random.standard_normal(shape) * 0.04) for name, shape in shapes.items()} for _ in range(layers)]
        self.ternary = [{name: absmean(self.values(w)) for name, w in layer.items()} for layer in self.masters]

    @staticmethod
    def values(stored):
        return stored.values() if isinstance(stored, Bf16) else stored.astype(f32)

    def config(self, **changes):
        return {"architectures": [CLASS[self.architecture]], "hidden_size": self.embd, "intermediate_size": self.ff,
                "num_hidden_layers": self.layers, "num_attention_heads": self.heads, "num_key_value_heads": self.kv_heads,
                "max_position_embeddings": 128, "vocab_size": self.vocab, "rms_norm_eps": self.eps, "rope_theta": self.theta,
                "hidden_act": "relu2" if self.architecture == "bitnet-b1.58" else "silu", "tie_word_embeddings": self.tied} | (
                    {} if self.head_dim * self.heads == self.embd else {"head_dim": self.head_dim}) | changes

    def projections(self, form):
        """form: "master" (as trained), "multiplies" or "divides" (packed, by what weight_scale does), "float" (ternary values)."""
        for layer in range(self.layers):
            for name, hf in PROJECTIONS.items():
                base = f"model.layers.{layer}.{hf}.weight"
                codes, scale = self.ternary[layer][name]
                if form == "master":
                    yield base, self.masters[layer][name]
                elif form == "float":
                    yield base, codes * scale
                else:
                    yield base, pack(codes)
                    yield base + "_scale", np.array([scale if form == "multiplies" else f32(1) / scale], f32)

    def folder_tensors(self, form):
        tensors = {"model.embed_tokens.weight": self.embedding} | dict(self.projections(form)) | {"model.norm.weight": self.output_norm}
        for layer in range(self.layers):
            for name, hf in self.norm_names.items():
                tensors[f"model.layers.{layer}.{hf}.weight"] = self.norms[layer][name]
        return tensors | ({} if self.tied else {"lm_head.weight": self.head})

    def write_folder(self, folder, form, **config):
        folder.mkdir(exist_ok=True)
        quantisation = {"master": {}, "float": {}, "multiplies": {"linear_class": "autobitlinear", "quantization_mode": "offline"}, "divides": {}}[form]
        if form == "master" and self.architecture != "bitnet":
            quantisation = {"linear_class": "autobitlinear", "quantization_mode": "online"}
        if quantisation or form == "divides":
            config = {"quantization_config": {"quant_method": "bitnet"} | quantisation} | config
        (folder / "config.json").write_text(json.dumps(self.config(**config)))
        write_safetensors(folder / "model.safetensors", self.folder_tensors(form))
        return folder

    def gguf_tensors(self, form):
        """F32 tensors; projections of values -s, 0 and s, which any row length can hold."""
        def tensor(name, values):
            return Tensor(name, values.shape, "F32", lambda: [np.ascontiguousarray(values, f32)])

        yield tensor("token_embd.weight", self.embedding.values())
        yield tensor("output_norm.weight", self.output_norm.values())
        if not self.tied:
            yield tensor("output.weight", self.head.values())
        for layer in range(self.layers):
            for name, values in self.norms[layer].items():
                yield tensor(f"blk.{layer}.{name}.weight", values.values())
            for name in PROJECTIONS:
                codes, scale = self.ternary[layer][name]
                # What stands in a folder for 1 / scale is rounded once more.
                scale = f32(1) / (f32(1) / scale) if form == "divides" else scale
                values = codes * scale if form != "dense" else self.values(self.masters[layer][name])
                if self.architecture == "llama" and name in ("attn_q", "attn_k"):
                    values = self.permuted(values)
                yield tensor(f"blk.{layer}.{name}.weight", values)

    def permuted(self, values):
        """Rows of each head so that pairs (i, i + half) become neighbours, as converters of llama models write them."""
        return values.reshape(-1, 2, self.head_dim // 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)

    def write_gguf(self, path, form="multiplies", extra=()):
        metadata = model_metadata(self.architecture, "tiny", "F16", vocab=self.vocab, ctx=128, embd=self.embd, layers=self.layers, ff=self.ff,
                                  heads=self.heads, kv_heads=self.kv_heads, head_dim=self.head_dim, eps=self.eps, theta=self.theta)
        lengths = [(f"{self.architecture}.attention.{kind}_length", self.head_dim) for kind in ("key", "value")]
        write_gguf(path, [*self.gguf_tensors(form), *extra], metadata + lengths)
        return path


def shard(folder, count):
    """Cuts a folder's model.safetensors into `count` shards with an index."""
    whole = (folder / "model.safetensors").read_bytes()
    size = struct.unpack("<Q", whole[:8])[0]
    header = json.loads(whole[8:8 + size])
    del header["__metadata__"]
    names, index = list(header), {}
    for i in range(count):
        part, data = {}, b""
        file = f"model-{i + 1:05}-of-{count:05}.safetensors"
        for name in names[i::count]:
            begin, end = header[name]["data_offsets"]
            part[name] = header[name] | {"data_offsets": [len(data), len(data) + end - begin]}
            data += whole[8 + size + begin:8 + size + end]
            index[name] = file
        head = json.dumps(part).encode()
        (folder / file).write_bytes(struct.pack("<Q", len(head)) + head + data)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": index}))
    (folder / "model.safetensors").unlink()
