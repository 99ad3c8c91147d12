#!/usr/bin/env python3
"""Records what `transformers` computes for the tiny models of family_models.py, in float32, for tests/golden/test_families.py.

make_family_vectors.py [FAMILY...]     writes tests/golden/families/FAMILY.npz; needs torch and transformers (5.23 was used)

Ternary matrices with one scale get int8 activations, as their models are trained: every Linear is replaced by
  s = 127 / max(max|x|, 1e-5) per token; q = clamp(round half even(x * s), -128, 127); y = (q . codes) / s * scale
behind its own RMSNorm where the family has one. The strict prompt is the one of many whose values stay farthest from a rounding
tie, where a difference in a last bit would turn into a whole step.
"""
import pathlib
import sys

import numpy as np
import torch
import transformers
from family_models import FAMILIES, PROJECTIONS, Ternary, family, weights_of

OUT = pathlib.Path(__file__).resolve().parents[1] / "tests" / "golden" / "families"
HF_PROJECTIONS = dict(zip(PROJECTIONS, ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj",
                                        "mlp.up_proj", "mlp.down_proj"), strict=True))
HF_NORMS = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_sub_norm": "self_attn.attn_sub_norm",
            "ffn_sub_norm": "mlp.ffn_sub_norm", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
GEMMA_NORMS = HF_NORMS | {"ffn_norm": "pre_feedforward_layernorm", "post_attention_norm": "post_attention_layernorm",
                          "post_ffw_norm": "post_feedforward_layernorm"}
STRICT_TRIES, STRICT_LENGTH, LENGTH, KEPT_ROWS = 400, 5, 40, 16


class QuantisedLinear(torch.nn.Module):
    """The formula above; remembers how near any value came to a tie."""
    nearest = float("inf")

    def __init__(self, weight, gain, eps):
        super().__init__()
        self.codes, self.scale = torch.from_numpy(weight.codes), torch.tensor(weight.scales)
        self.gain, self.eps = None if gain is None else torch.from_numpy(gain), eps

    def forward(self, x):
        if self.gain is not None:
            x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.gain
        s = 127.0 / x.abs().amax(-1, keepdim=True).clamp(min=1e-5)
        scaled = x * s
        QuantisedLinear.nearest = min(QuantisedLinear.nearest, float((scaled - scaled.floor() - 0.5).abs().min()))
        return torch.clamp(torch.round(scaled), -128, 127) @ self.codes.T / s * self.scale


def hf_model(name):
    m = family(name)
    common = dict(vocab_size=m["vocab"], hidden_size=m["embd"], intermediate_size=m["ff"], num_hidden_layers=m["layers"],
                  num_attention_heads=m["heads"], num_key_value_heads=m["kv_heads"], head_dim=m["head_dim"], rms_norm_eps=m["eps"],
                  max_position_embeddings=m["ctx"], tie_word_embeddings=m["tied"], attn_implementation="eager")
    rope = {"rope_type": "default", "rope_theta": m["theta"]}
    if m["arch"].startswith("bitnet"):
        activation = "silu" if m["arch"] == "bitnet" else "relu2"
        return transformers.BitNetForCausalLM(transformers.BitNetConfig(**common, rope_parameters=rope, hidden_act=activation))
    if m["arch"] == "llama":
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(**common, rope_parameters=rope))
    if m["arch"] == "qwen3":
        return transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**common, rope_parameters=rope))
    keys = dict(m["keys"])
    if m["window"]:
        rope |= {"rope_type": "linear", "factor": keys["rope.scaling.factor"]}
    local = {"rope_type": "default", "rope_theta": keys.get("rope.freq_base_swa", m["theta"])}
    period = keys.get("attention.sliding_window_pattern", 1)
    kinds = ["full_attention" if (i + 1) % period == 0 else "sliding_attention" for i in range(m["layers"])]
    return transformers.Gemma3ForCausalLM(transformers.Gemma3TextConfig(
        **common, rope_parameters={"full_attention": rope, "sliding_attention": local}, layer_types=kinds,
        sliding_window=m["window"] or m["ctx"], query_pre_attn_scalar=m["head_dim"], hidden_activation="gelu_pytorch_tanh"))


def loaded(name):
    """The model with our weights in it, every one of its parameters set."""
    m, model = family(name), hf_model(name).float().eval()
    gemma = m["arch"] == "gemma3"
    arrays = weights_of(name)
    for table in {"token_embd", "output"} & arrays.keys():
        if isinstance(arrays[table], Ternary):
            arrays[table] = arrays[table].dense()
    state = {"model.embed_tokens.weight": arrays["token_embd"], "model.norm.weight": arrays["output_norm"] - gemma,
             "lm_head.weight": arrays.get("output", arrays["token_embd"])}
    quantised = {}
    for layer in range(m["layers"]):
        for ours, theirs in (GEMMA_NORMS if gemma else HF_NORMS).items():
            if f"blk.{layer}.{ours}" in arrays:
                state[f"model.layers.{layer}.{theirs}.weight"] = arrays[f"blk.{layer}.{ours}"] - gemma
        for ours, theirs in HF_PROJECTIONS.items():
            weight = arrays[f"blk.{layer}.{ours}"]
            state[f"model.layers.{layer}.{theirs}.weight"] = weight.dense()
            if isinstance(weight, Ternary) and np.ndim(weight.scales) == 0:
                quantised[f"model.layers.{layer}.{theirs}"] = QuantisedLinear(weight, arrays.get(f"blk.{layer}.{ours}_norm_in"), m["eps"])
    model.load_state_dict({key: torch.from_numpy(np.asarray(value, np.float32)) for key, value in state.items()}, strict=True)
    for path, module in quantised.items():
        parent, child = path.rsplit(".", 1)
        setattr(model.get_submodule(parent), child, module)
    return model


@torch.no_grad()
def compute(model, ids):
    """Logits (tokens, vocabulary) and last hidden states (tokens, embd) behind the final norm; how near a tie came."""
    QuantisedLinear.nearest = float("inf")
    ids = torch.tensor([ids])
    hidden = model.model(ids).last_hidden_state
    return model.lm_head(hidden)[0].numpy(), hidden[0].numpy(), QuantisedLinear.nearest


def record(name):
    m, model = family(name), loaded(name)
    random = np.random.default_rng(7)
    ids = random.integers(0, m["vocab"], LENGTH)
    logits, hidden, nearest = compute(model, ids)
    arrays = {"tokens": ids.astype(np.int32), "logits": logits[-KEPT_ROWS:], "hidden_last": hidden[-1], "hidden_mean": hidden.mean(0),
              "hidden_cls": hidden[0]}
    if nearest < float("inf"):
        tries = [random.integers(0, m["vocab"], STRICT_LENGTH) for _ in range(STRICT_TRIES)]
        best = max(tries, key=lambda ids: compute(model, ids)[2])
        logits, hidden, nearest = compute(model, best)
        arrays |= {"strict_tokens": best.astype(np.int32), "strict_logits": logits, "strict_hidden_last": hidden[-1]}
    OUT.mkdir(exist_ok=True)
    np.savez_compressed(OUT / f"{name}.npz", **{key: value if value.dtype == np.int32 else value.astype(np.float32)
                                                for key, value in arrays.items()})
    print(f"{name}: logits of standard deviation {logits.std():.3f}, nearest tie {nearest:.2e}, "
          f"{(OUT / f'{name}.npz').stat().st_size} bytes, transformers {transformers.__version__}")


if __name__ == "__main__":
    for chosen in sys.argv[1:] or FAMILIES:
        record(chosen)
