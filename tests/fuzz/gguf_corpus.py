#!/usr/bin/env python3
"""Writes malformed variants of a small GGUF model and checks that the program refuses each: exit 4, one line, no crash, no hang.

gguf_corpus.py FOLDER                 writes the variants
gguf_corpus.py FOLDER --check BITNET  and runs `BITNET inspect` and `BITNET run` on each

Beside them stand unusual files that are right (ok_*: exit 0) and files with one random byte changed (flip_*: exit 0 or 4).
What can be told only when the weights are loaded is named load_*: `inspect` may accept it.
"""
import argparse
import pathlib
import random
import struct
import subprocess
import sys
import time

from gguf_family_cases import right_families, wrong_families
from gguf_seed import ARRAY, BOOL, F32, STRING, U32, Seed, add, align, changed, floats, number, put, real, text


def right_variants():
    """name -> bytes of files that are unusual but right."""
    def half_norm(s):
        s.tensor("output_norm")[2:] = [1, None, struct.pack("<32e", *[1.0] * 32)]

    per_layer = put("llama.attention.head_count_kv", ARRAY, struct.pack("<IQi", 5, 1, 1))
    return {
        "ok_seed": changed(),
        "ok_version_2": changed(lambda s: setattr(s, "version", 2)),
        "ok_bytes_after_the_end": changed() + b"more" * 100,
        "ok_alignment_8": changed(align(8)),
        "ok_alignment_64": changed(align(64)),
        "ok_alignment_1MiB": changed(align(2**20)),
        "ok_tensors_in_reverse": changed(lambda s: s.tensors.reverse()),
        "ok_entries_in_reverse": changed(lambda s: setattr(s, "entries", dict(reversed(list(s.entries.items()))))),
        "ok_tensor_of_another_name": changed(add("x.y", (4,), 0, floats(4))),
        "ok_array_empty": changed(put("x.list", ARRAY, struct.pack("<IQ", STRING, 0))),
        "ok_string_empty": changed(put("x.text", STRING, text(""))),
        "ok_heads_per_layer": changed(per_layer),
        "ok_rope_linear": changed(put("llama.rope.scaling.type", STRING, text("linear")), real("llama.rope.scaling.factor", 2.0)),
        "ok_logit_scale_1": changed(real("llama.logit_scale", 1.0)),
        "ok_norm_f16": changed(half_norm),
        "ok_output": changed(add("output.weight", (32, 8), 0, floats(256))),
    } | right_families()


def flipped_variants(count, seed):
    """name -> bytes of the seed with one byte changed; they may be right or wrong, but nothing may go wrong."""
    rng, whole = random.Random(seed), changed()
    table = whole.index(b"blk.0.ffn_down") + 80  # most of the file is weights, where a change says little
    out = {}
    for i in range(count):
        at = rng.randrange(table)
        out[f"flip_{i}_at_{at}"] = whole[:at] + bytes([whole[at] ^ rng.randrange(1, 256)]) + whole[at + 1:]
    return out


def wrong_variants():
    """name -> bytes of files that must be refused."""
    out = wrong_families()

    def case(name, change):
        out[name] = changed(change)

    whole = changed()
    for size in (1, 3, 4, 7, 8, 15, 23, 24, 25, 40, *range(60, 2000, 60), len(whole) // 2, len(whole) - 100, len(whole) - 1):
        out[f"trunc_{size}"] = whole[:size]
    for value in (1, 4, 99, 0, 0x03000000, 2**32 - 1):
        case(f"version_{value}", lambda s, v=value: setattr(s, "version", v))
    for value in (b"GGML", b"\0\0\0\0", b"gguf"):
        case(f"magic_{value.hex()}", lambda s, v=value: setattr(s, "magic", v))
    for value in (12, 1000, 2**20, 2**31, 2**32, 2**60, 2**63, 2**64 - 1):
        case(f"tensor_count_{value}", lambda s, v=value: setattr(s, "tensor_count", v))
        case(f"kv_count_{value}", lambda s, v=value: setattr(s, "entry_count", v))
        case(f"array_length_{value}_strings", put("x.list", ARRAY, struct.pack("<IQ", STRING, value * 1000 % 2**64 or 2**60)))
        case(f"array_length_wrap_{value}_u64", put("x.list", ARRAY, struct.pack("<IQ", 10, max(value, 2**20))))
        case(f"string_length_{value}", put("x.text", STRING, struct.pack("<Q", max(value, 2**20))))
    case("array_depth_2", put("x.list", ARRAY, struct.pack("<IQ", ARRAY, 1) + struct.pack("<IQ", U32, 0)))
    case("value_type_13", put("x.value", 13, b"\0" * 8))
    case("value_bool_2", put("x.flag", BOOL, b"\2"))
    case("key_not_utf8", put(b"\xff\xfe", U32, struct.pack("<I", 1)))
    case("key_empty", put("", U32, struct.pack("<I", 1)))
    case("key_70000", put("k" * 70000, U32, struct.pack("<I", 1)))
    for value in (0, 1, 3, 4, 33, 2**21, 2**31):
        case(f"alignment_{value}", put("general.alignment", U32, struct.pack("<I", value)))
    case("alignment_text", put("general.alignment", STRING, text("32")))
    case("alignment_u64", put("general.alignment", 10, struct.pack("<Q", 32)))
    case("alignment_1MiB_not_laid_out", number("general.alignment", 2**20))
    case("split_count_2", number("split.count", 2))
    case("value_bool_2_in_array", put("x.list", ARRAY, struct.pack("<IQ3B", BOOL, 3, 1, 0, 2)))
    case("array_of_type_13", put("x.list", ARRAY, struct.pack("<IQ", 13, 1) + b"\0" * 8))
    out["key_twice"] = changed(number("x.a", 1), number("x.b", 2)).replace(text("x.b"), text("x.a"))

    for value in (0, 2**40 + 1, 2**63, 2**64 - 1):
        case(f"dim_{value}", lambda s, v=value: s.tensor("token_embd").__setitem__(1, [v, 8]))
    for dims in ([2**32, 2**32], [2**31, 2**31, 4], [2**16] * 4, [2**40], [2**32 + 1, 8], []):
        case("dim_product_" + "_".join(map(str, dims)), lambda s, d=dims: s.tensor("token_embd").__setitem__(1, d))
    for kind, block in ((8, 32), (36, 128), (34, 256), (35, 256), (14, 256)):
        case(f"dim_nbytes_wraps_{kind}", lambda s, k=kind, b=block: s.tensor("token_embd").__setitem__(slice(1, 3), [[2**40 // b * b, 2**22 - 1], k]))
        case(f"dim_not_whole_blocks_{kind}", lambda s, k=kind, b=block: s.tensor("token_embd").__setitem__(slice(1, 3), [[b - 1, 1], k]))
    for count in (2**31, 2**32 - 1):
        out[f"dims_count_{count}"] = whole.replace(text("token_embd.weight") + struct.pack("<I", 2), text("token_embd.weight") + struct.pack("<I", count))
    case("dims_5", lambda s: s.tensor("token_embd").__setitem__(1, [2, 2, 2, 2, 16]))
    for kind in (4, 5, 9, 10, 11, 15, 16, 20, 24, 28, 29, 31, 37, 39, 40, 42, 134, 135, 142, 143, 335, 1000, 2**32 - 1):
        case(f"type_{kind}", lambda s, k=kind: s.tensor("token_embd").__setitem__(2, k))
    case("load_type_38", lambda s: s.tensor("token_embd").__setitem__(2, 38))  # of TL1's size, but no embedding can be TL1
    for offset in (1, 31, 2**20, 2**40, 2**63, 2**64 - 32):
        case(f"offset_{offset}", lambda s, o=offset: s.tensor("blk.0.ffn_down").__setitem__(3, o))
    for name, part in (("last_block_past_end", 32), ("one_past_end", 2**20)):
        case(f"offset_{name}", lambda s, p=part: s.tensor("blk.0.ffn_down").__setitem__(3, len(b"".join(t[4] for t in s.tensors)) - 64 * 32 * 4 + p))
    case("offset_overlap", lambda s: s.tensor("output_norm").__setitem__(3, 0))
    case("tensor_twice", lambda s: s.tensors.append(list(s.tensors[0])))
    case("tensor_name_empty", lambda s: s.tensor("blk.0.ffn_up").__setitem__(0, ""))
    case("tensor_name_not_utf8", lambda s: s.tensor("blk.0.ffn_up").__setitem__(0, b"\xc3("))
    case("tensor_name_long", lambda s: s.tensor("blk.0.ffn_up").__setitem__(0, "w" * 5000))
    for name in [t[0] for t in Seed().tensors]:
        case(f"tensor_missing_{name}", lambda s, n=name: setattr(s, "tensors", [t for t in s.tensors if t[0] != n]))
        case(f"tensor_shape_{name}", lambda s, n=name: next(t for t in s.tensors if t[0] == n).__setitem__(1, [16]))

    for key in [k for k in Seed().entries if k.startswith(("llama.", "general."))]:
        if not key.endswith(("freq_base", "head_count_kv")):
            case(f"missing_{key}", lambda s, k=key: s.entries.pop(k))
        case(f"text_{key}", put(key, STRING, text("x")) if not key.endswith("architecture") else put(key, U32, struct.pack("<I", 1)))
        if Seed().entries[key][0] == U32:
            for value in (0, 7, 2**31, 2**32 - 1):
                if not (key.endswith("context_length") and value == 7):
                    case(f"value_{key}_{value}", put(key, U32, struct.pack("<I", value)))
        if Seed().entries[key][0] == F32:
            for value in (float("nan"), float("inf"), -1.0):
                case(f"value_{key}_{value}", put(key, F32, struct.pack("<f", value)))
    case("architecture_unknown", put("general.architecture", STRING, text("mamba\x1b[2J")))
    case("rope_scaling_yarn", put("llama.rope.scaling.type", STRING, text("yarn")))
    case("expert_count", number("llama.expert_count", 8))
    case("hidden_activation", put("llama.hidden_activation", STRING, text("gelu")))
    case("attention_not_causal", put("llama.attention.causal", BOOL, b"\0"))
    for key in ("logit_scale", "residual_scale", "embedding_scale", "attention.clamp_kqv", "final_logit_softcapping", "rope.scaling.attn_factor"):
        case(f"arithmetic_{key}", real(f"llama.{key}", 3.0))
    for value in (0.0, -2.0, float("nan")):
        case(f"rope_factor_{value}", real("llama.rope.scaling.factor", value))
    for value in (0, 3, 18, 2**32 - 1):
        case(f"rope_dimension_{value}", number("llama.rope.dimension_count", value))
        case(f"key_length_{value}", number("llama.attention.key_length", value))
    case("value_length", number("llama.attention.value_length", 8))
    case("heads_per_layer_0", put("llama.attention.head_count_kv", ARRAY, struct.pack("<IQi", 5, 1, 0)))
    case("heads_per_layer_2", put("llama.attention.head_count_kv", ARRAY, struct.pack("<IQ2i", 5, 2, 1, 1)))
    case("heads_per_layer_bytes", put("llama.attention.head_count_kv", ARRAY, struct.pack("<IQB", 0, 1, 1)))
    case("heads_per_layer_text", put("llama.attention.head_count_kv", ARRAY, struct.pack("<IQ", STRING, 1) + text("1")))
    for name in ("blk.0.attn_q.bias", "output.bias", "blk.0.attn_q_norm.weight", "blk.0.attn_sub_norm.weight", "blk.0.ffn_gate_inp.weight"):
        case(f"tensor_foreign_{name}", add(name, (32,), 0, floats(32)))
    for value in (float("nan"), float("inf")):
        case(f"scale_{value}", add("blk.0.attn_q.scale", (1,), 0, floats(1, value)))
    case("scale_f16", add("blk.0.attn_q.scale", (1,), 1, b"\0\0"))
    case("scale_shape", add("blk.0.attn_q.scale", (2,), 0, floats(2)))
    for value in (0.0, -1.0, float("nan"), float("inf")):
        case(f"rope_freqs_{value}", add("rope_freqs.weight", (8,), 0, floats(8, value)))
    case("rope_freqs_shape", add("rope_freqs.weight", (4,), 0, floats(4)))
    case("output_shape", add("output.weight", (32, 9), 0, floats(288)))
    case("norm_q8_0", lambda s: s.tensor("output_norm").__setitem__(slice(2, 5), [8, None, bytes(34)]))
    case("load_scale_of_a_dense_weight", add("blk.0.attn_q.scale", (1,), 0, floats(1, 0.5)))
    case("load_embedding_i2_s", lambda s: s.tensor("token_embd").__setitem__(slice(2, 5), [36, None, bytes(96)]))

    def tokens(*items):
        return put("tokenizer.ggml.tokens", ARRAY, struct.pack("<IQ", STRING, len(items)) + b"".join(text(t) for t in items))

    def merges(*items):
        return put("tokenizer.ggml.merges", ARRAY, struct.pack("<IQ", STRING, len(items)) + b"".join(text(t) for t in items))

    case("tok_merges_no_space", merges("ab"))
    case("tok_merges_only_space", merges(" "))
    case("tok_merge_result_missing", merges("a c"))
    case("tok_merge_part_missing", merges("a zz"))
    for value in (8, 1000, 2**31, 2**32 - 2):
        case(f"tok_eos_id_{value}", put("tokenizer.ggml.eos_token_id", U32, struct.pack("<I", value)))
        case(f"tok_bos_id_{value}", put("tokenizer.ggml.bos_token_id", U32, struct.pack("<I", value)))
    case("tok_tokens_too_many", tokens(*[f"t{i}" for i in range(9)]))
    case("tok_tokens_of_numbers", put("tokenizer.ggml.tokens", ARRAY, struct.pack("<IQ8i", 5, 8, *range(8))))
    case("tok_tokens_none", tokens())
    case("tok_types_short", put("tokenizer.ggml.token_type", ARRAY, struct.pack("<IQ2i", 5, 2, 1, 1)))
    case("tok_types_99", put("tokenizer.ggml.token_type", ARRAY, struct.pack("<IQ8i", 5, 8, *[99] * 8)))
    case("tok_model_unknown", put("tokenizer.ggml.model", STRING, text("magic")))
    case("tok_pre_unknown", put("tokenizer.ggml.pre", STRING, text("magic")))
    case("tok_scores_short", put("tokenizer.ggml.scores", ARRAY, struct.pack("<IQ2f", 6, 2, 0, 0)))
    case("chat_template_syntax", put("tokenizer.chat_template", STRING, text("{% if %}")))
    case("chat_template_include", put("tokenizer.chat_template", STRING, text("{% include '/etc/passwd' %}")))
    case("chat_template_depth", put("tokenizer.chat_template", STRING, text("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}")))
    case("chat_template_open", put("tokenizer.chat_template", STRING, text("{{ 'x")))
    return out


def check(bitnet, arguments, allowed):
    """(what is wrong or None, the line on stderr)."""
    start = time.monotonic()
    try:
        done = subprocess.run([bitnet, *arguments], capture_output=True, timeout=20, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return "hangs", ""
    elapsed = time.monotonic() - start
    lines = done.stderr.decode("utf-8", "replace").splitlines()
    line = lines[0] if lines else ""
    if done.returncode not in allowed:
        return f"exit {done.returncode}: {lines[:2]}", line
    if done.returncode and len(lines) != 1:
        return f"{len(lines)} lines on stderr: {lines[:3]}", line
    if any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in line):
        return "control characters on stderr", line
    return (f"takes {elapsed:.1f} s" if elapsed > 5 else None), line


def check_all(bitnet, files):
    """Runs the program on every file; prints what is wrong and returns (results, failures, distinct messages)."""
    results, failed, messages = 0, 0, set()
    for name, path in files.items():
        right, either = name.startswith("ok_"), name.startswith("flip_")
        inspect_allowed = {0} if right else {0, 4} if either or name.startswith("load_") else {4}
        runs = [("inspect", ["inspect", str(path)], inspect_allowed)]
        if not either:
            runs.append(("run", ["run", "-m", str(path), "--ids", "0,1", "-n", "4"], {0} if right else {4}))
        for command, arguments, allowed in runs:
            problem, line = check(bitnet, arguments, allowed)
            results += 1
            if allowed == {4}:
                messages.add(line.split(".gguf", 1)[-1].strip())
            if problem:
                failed += 1
                print(f"{name} ({command}): {problem}")
    return results, failed, messages


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--check", metavar="BITNET")
    parser.add_argument("--flips", type=int, default=200, help="files with one random byte changed (default 200)")
    parser.add_argument("--seed", type=int, default=1, help="of those changes (default 1)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    wrong = wrong_variants()
    files = {}
    for name, data in {**right_variants(), **wrong, **flipped_variants(options.flips, options.seed)}.items():
        files[name] = options.folder / f"{name.replace('/', '_')}.gguf"
        files[name].write_bytes(data)
    if not options.check:
        return 0
    results, failed, messages = check_all(options.check, files)
    print(f"{len(messages)} distinct messages for {len(wrong)} wrong files")
    print(f"{results - failed} passed, {failed} failed (flips of seed {options.seed})")
    return 1 if failed or len(messages) < 40 else 0


if __name__ == "__main__":
    sys.exit(main())
