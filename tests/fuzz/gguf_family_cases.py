"""Files of the families that are not llama: unusual ones that are right, and ones that must be refused."""
import struct

from gguf_seed import ARRAY, BOOL, STRING, add, changed, floats, number, put, real, text


def family(architecture, *more_norms):
    """Turns the seed into a model of another family: its keys' prefix, norms of queries and keys, and those named."""
    def change(s):
        s.entries = {key.replace("llama.", architecture + ".", 1): value for key, value in s.entries.items()}
        put("general.architecture", STRING, text(architecture))(s)
        for norm, size in (("attn_q_norm", 16), ("attn_k_norm", 16), *more_norms):
            add(f"blk.0.{norm}.weight", (size,), 0, floats(size))(s)
    return change


POST_NORMS = (("post_attention_norm", 32), ("post_ffw_norm", 32))
INPUT_NORMS = (*((f"{part}_norm_in", 32) for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up")),
               ("ffn_down_norm_in", 64))


def right_families():
    """name -> bytes of files that are right."""
    return {
        "ok_qwen3": changed(family("qwen3")),
        "ok_qwen3_embedding": changed(family("qwen3", *INPUT_NORMS), number("qwen3.pooling_type", 3)),
        "ok_gemma3": changed(family("gemma3", *POST_NORMS), number("gemma3.attention.sliding_window", 3)),
        "ok_gemma3_window_of_1": changed(family("gemma3", *POST_NORMS), number("gemma3.attention.sliding_window", 1),
                                         number("gemma3.attention.sliding_window_pattern", 0)),
        "ok_gemma3_embedding": changed(family("gemma3", *POST_NORMS, *INPUT_NORMS), number("gemma3.pooling_type", 1)),
    }


def wrong_families():
    """name -> bytes of files that must be refused."""
    out = {}
    qwen3, gemma3 = family("qwen3", *INPUT_NORMS), family("gemma3", *POST_NORMS)
    window = number("gemma3.attention.sliding_window", 3)
    pattern = "gemma3.attention.sliding_window_pattern"

    def case(name, base, *changes):
        out[name] = changed(base, *changes)

    def without(tensor):
        return lambda s: setattr(s, "tensors", [t for t in s.tensors if t[0] != f"blk.0.{tensor}.weight"])

    def shaped(tensor):
        return lambda s: s.tensor("blk.0." + tensor).__setitem__(slice(1, 5), [[8], 0, None, floats(8)])

    for base, prefix, norms in ((qwen3, "qwen3", (("attn_q_norm", 16), ("attn_k_norm", 16), *INPUT_NORMS)), (gemma3, "gemma3", POST_NORMS)):
        for norm, _ in norms:
            case(f"{prefix}_without_{norm}", base, without(norm))
            case(f"{prefix}_shape_of_{norm}", base, shaped(norm))
        for value in (4, 5, 2**31, 2**32 - 1):
            case(f"{prefix}_pooling_{value}", base, number(f"{prefix}.pooling_type", value))
        case(f"{prefix}_pooling_text", base, put(f"{prefix}.pooling_type", STRING, text("last")))
        case(f"{prefix}_not_causal", base, put(f"{prefix}.attention.causal", BOOL, b"\0"))
        case(f"{prefix}_softcapping", base, real(f"{prefix}.final_logit_softcapping", 30.0))
        case(f"{prefix}_sub_norm", base, add("blk.0.attn_sub_norm.weight", (32,), 0, floats(32)))
    case("qwen3_window", qwen3, number("qwen3.attention.sliding_window", 3))
    case("qwen3_post_norm", qwen3, add("blk.0.post_ffw_norm.weight", (32,), 0, floats(32)))
    case("qwen3_head", qwen3, add("cls.output.weight", (32, 2), 0, floats(64)))
    case("qwen3_hadamard", qwen3, number("prism.hadamard.block", 128))
    for value in (2**27 + 1, 2**31, 2**32 - 1):
        case(f"gemma3_window_{value}", gemma3, number("gemma3.attention.sliding_window", value))
        case(f"gemma3_pattern_{value}", gemma3, window, number(pattern, value))
    case("gemma3_pattern_text", gemma3, window, put(pattern, STRING, text("6")))
    case("gemma3_pattern_of_texts", gemma3, window, put(pattern, ARRAY, struct.pack("<IQ", STRING, 1) + text("1")))
    for count in (0, 2, 2**20):
        case(f"gemma3_pattern_array_{count}", gemma3, window, put(pattern, ARRAY, struct.pack("<IQ", BOOL, count) + bytes(count)))
    for value in (0.0, -1.0, float("nan"), float("inf")):
        case(f"gemma3_local_base_{value}", gemma3, window, real("gemma3.rope.freq_base_swa", value))
    return out
