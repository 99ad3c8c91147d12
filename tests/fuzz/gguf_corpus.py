#!/usr/bin/env python3
"""Writes malformed variants of a small GGUF model and checks that the program refuses each: exit 4, one line, no crash, no hang.

gguf_corpus.py FOLDER                 writes the variants
gguf_corpus.py FOLDER --check BITNET  and runs `BITNET inspect` and `BITNET run` on each
"""
import argparse
import pathlib
import random
import struct
import subprocess
import sys
import time

U32, F32, BOOL, STRING, ARRAY = 4, 6, 7, 8, 9


def text(value):
    raw = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(raw)) + raw


def entry(key, kind, body):
    return text(key) + struct.pack("<I", kind) + body


class Seed:
    """A llama model of one layer with 8 tokens; every part can be replaced before it is written."""

    def __init__(self):
        self.magic, self.version, self.alignment = b"GGUF", 3, 32
        self.tensor_count = self.entry_count = None
        self.entries = {
            "general.architecture": (STRING, text("llama")),
            "llama.block_count": (U32, struct.pack("<I", 1)),
            "llama.embedding_length": (U32, struct.pack("<I", 32)),
            "llama.feed_forward_length": (U32, struct.pack("<I", 64)),
            "llama.context_length": (U32, struct.pack("<I", 64)),
            "llama.attention.head_count": (U32, struct.pack("<I", 2)),
            "llama.attention.head_count_kv": (U32, struct.pack("<I", 1)),
            "llama.attention.layer_norm_rms_epsilon": (F32, struct.pack("<f", 1e-5)),
            "llama.rope.freq_base": (F32, struct.pack("<f", 1e4)),
            "tokenizer.ggml.model": (STRING, text("gpt2")),
            "tokenizer.ggml.pre": (STRING, text("gpt-2")),
            "tokenizer.ggml.tokens": (ARRAY, struct.pack("<IQ", STRING, 8) + b"".join(text(t) for t in "a b c d ab cd <s> </s>".split())),
            "tokenizer.ggml.token_type": (ARRAY, struct.pack("<IQ8i", 5, 8, 1, 1, 1, 1, 1, 1, 3, 3)),
            "tokenizer.ggml.merges": (ARRAY, struct.pack("<IQ", STRING, 2) + text("a b") + text("c d")),
            "tokenizer.ggml.bos_token_id": (U32, struct.pack("<I", 6)),
            "tokenizer.ggml.eos_token_id": (U32, struct.pack("<I", 7)),
        }
        rng = random.Random(7)
        self.tensors = []  # name, dims fastest first, type, offset or None, bytes
        shapes = {"token_embd": (32, 8), "output_norm": (32,), "blk.0.attn_norm": (32,), "blk.0.ffn_norm": (32,), "blk.0.attn_q": (32, 32),
                  "blk.0.attn_k": (32, 16), "blk.0.attn_v": (32, 16), "blk.0.attn_output": (32, 32), "blk.0.ffn_gate": (32, 64),
                  "blk.0.ffn_up": (32, 64), "blk.0.ffn_down": (64, 32)}
        for name, dims in shapes.items():
            count = 1
            for d in dims:
                count *= d
            self.tensors.append([name + ".weight", list(dims), 0, None, struct.pack(f"<{count}f", *(rng.uniform(-1, 1) for _ in range(count)))])

    def tensor(self, name):
        return next(t for t in self.tensors if t[0] == name + ".weight")

    def data(self):
        table, blob = b"", b""
        for name, dims, kind, offset, raw in self.tensors:
            at = len(blob) if offset is None else offset
            table += text(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims) + struct.pack("<IQ", kind, at)
            blob += raw + bytes(-len(raw) % self.alignment)
        head = self.magic + struct.pack("<I", self.version)
        head += struct.pack("<QQ", len(self.tensors) if self.tensor_count is None else self.tensor_count,
                            len(self.entries) if self.entry_count is None else self.entry_count)
        head += b"".join(entry(k, *v) for k, v in self.entries.items()) + table
        return head + bytes(-len(head) % self.alignment) + blob


def variants():
    """name -> bytes of files that must be refused."""
    out = {}

    def case(name, change):
        seed = Seed()
        change(seed)
        out[name] = seed.data()

    def put(key, kind, body):
        return lambda s: s.entries.__setitem__(key, (kind, body))

    whole = Seed().data()
    for size in (1, 3, 4, 7, 8, 15, 23, 24, 25, 40, 100, 300, 500, 900, len(whole) // 2, len(whole) - 100, len(whole) - 1):
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

    for value in (0, 2**40 + 1, 2**63, 2**64 - 1):
        case(f"dim_{value}", lambda s, v=value: s.tensor("token_embd").__setitem__(1, [v, 8]))
    for dims in ([2**32, 2**32], [2**31, 2**31, 4], [2**16] * 4, [2**40], [2**32 + 1, 8], []):
        case("dim_product_" + "_".join(map(str, dims)), lambda s, d=dims: s.tensor("token_embd").__setitem__(1, d))
    case("dims_5", lambda s: s.tensor("token_embd").__setitem__(1, [2, 2, 2, 2, 16]))
    for kind in (4, 5, 15, 16, 31, 37, 38, 39, 42, 142, 1000, 2**32 - 1):
        case(f"type_{kind}", lambda s, k=kind: s.tensor("token_embd").__setitem__(2, k))
    for offset in (1, 31, 2**20, 2**40, 2**63, 2**64 - 32):
        case(f"offset_{offset}", lambda s, o=offset: s.tensor("blk.0.ffn_down").__setitem__(3, o))
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
    case("expert_count", put("llama.expert_count", U32, struct.pack("<I", 8)))

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


def check(bitnet, path, allowed, arguments):
    """None when the program behaves, else what is wrong."""
    start = time.monotonic()
    try:
        done = subprocess.run([bitnet, *arguments], capture_output=True, timeout=20, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return "hangs"
    elapsed = time.monotonic() - start
    lines = done.stderr.decode("utf-8", "replace").splitlines()
    if done.returncode not in allowed:
        return f"exit {done.returncode}: {lines[:2]}"
    if done.returncode and len(lines) != 1:
        return f"{len(lines)} lines on stderr: {lines[:3]}"
    if any(ord(c) < 32 for c in lines[0]) if lines else False:
        return "control characters on stderr"
    return f"takes {elapsed:.1f} s" if elapsed > 5 else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--check", metavar="BITNET")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    failed, messages = 0, set()
    seed_file = options.folder / "ok_seed.gguf"
    seed_file.write_bytes(Seed().data())
    cases = variants()
    for name, data in cases.items():
        (options.folder / f"{name.replace('/', '_')}.gguf").write_bytes(data)
    if not options.check:
        return 0
    problem = check(options.check, seed_file, {0}, ["run", "-m", str(seed_file), "--ids", "0,1", "-n", "4"])
    results = [("ok_seed", problem)]
    for name in cases:
        path = options.folder / f"{name.replace('/', '_')}.gguf"
        results.append((name, check(options.check, path, {4}, ["run", "-m", str(path), "--ids", "0,1", "-n", "4"])))
        results.append((name + " (inspect)", check(options.check, path, {0, 4}, ["inspect", str(path)])))
    for name, problem in results:
        if problem:
            failed += 1
            print(f"{name}: {problem}")
    for name in cases:
        path = options.folder / f"{name.replace('/', '_')}.gguf"
        done = subprocess.run([options.check, "run", "-m", str(path), "--ids", "0", "-n", "1"], capture_output=True, stdin=subprocess.DEVNULL)
        messages.add(done.stderr.decode("utf-8", "replace").split(".gguf", 1)[-1].strip())
    print(f"{len(messages)} distinct messages for {len(cases)} files")
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed or len(messages) < 40 else 0


if __name__ == "__main__":
    sys.exit(main())
