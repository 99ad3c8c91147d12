#!/usr/bin/env python3
"""Writes a GGUF model of a real size with random weights: for speed measurements, memory tests and load tests. Needs numpy only.

The text such a model writes is noise, but its bytes, shapes and value ranges are those of a trained one. Every ternary matrix is
drawn from (seed, its name), so one seed gives the same codes in every weight type:

  make_random_model.py -o 2b.gguf                                 the shape of bitnet-b1.58-2B-4T, I2_S weights, f16 embedding
  make_random_model.py -o t.gguf --layers 4 --embd 256 --ff 768 --heads 8 --kv-heads 2 --vocab 4096 --type TQ1_0 --tokenizer
  make_random_model.py -o up.gguf --llama-cpp                     TQ2_0 weights and the names that llama.cpp's `bitnet` reads
  make_random_model.py -o e.gguf --shape embedding-0.6b           the shape of BitNet-embedding-0.6B; embedding-270m is the other one

Byte layouts: docs/formats.md.
"""
import argparse
import functools
import sys
import zlib

import numpy as np
from gguf_file import Tensor, i2_s_tail, model_metadata, write_gguf

BLOCK = 256                  # weights per TQ1_0, TQ2_0 and Q6_K block
CHUNK_WEIGHTS = 1 << 24      # weights made at a time, which bounds memory
ARCHITECTURES = {"bitnet-b1.58": ("sub",), "bitnet-25": ("sub",), "bitnet": ("sub",), "llama": (), "qwen3": ("qk", "input"),
                 "gemma3": ("qk", "post", "input")}  # the norms it has besides attn_norm and ffn_norm; qwen3 and gemma3 as embedding models
SHAPES = {
    "2b-4t": dict(layers=30, embd=2560, ff=6912, heads=20, kv_heads=5, head_dim=0, vocab=128256, ctx=4096, theta=500000.0, eps=1e-5,
                  arch="bitnet-b1.58"),
    "embedding-0.6b": dict(layers=28, embd=1024, ff=3072, heads=16, kv_heads=8, head_dim=128, vocab=151936, ctx=32768, theta=1e6, eps=1e-6,
                           arch="qwen3"),
    "embedding-270m": dict(layers=18, embd=640, ff=2048, heads=4, kv_heads=1, head_dim=256, vocab=262144, ctx=32768, theta=1e4, eps=1e-6,
                           arch="gemma3"),
}

# A random byte 0..80 stands for four ternary codes c0 c1 c2 c3 (weight + 1), c0 in its lowest base-3 digit. The codes belong to
# weights j, j + 32, j + 64 and j + 96 of a run of 128, because that is how both two-bit formats group them.
QUAD_CODES = np.array([[q // 3**i % 3 for i in range(4)] for q in range(81)], np.uint8)
QUAD_TO_I2_S = (QUAD_CODES << np.array([6, 4, 2, 0], np.uint8)).sum(1).astype(np.uint8)
QUAD_TO_TQ2_0 = (QUAD_CODES << np.array([0, 2, 4, 6], np.uint8)).sum(1).astype(np.uint8)


def generator(seed, name):
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def half_bytes(value):
    return np.frombuffer(np.float16(value).tobytes(), np.uint8)


# ---- ternary matrices: chunks of quads (rows, cols / 128, 32) -> bytes

def codes_of(quads):
    """Codes (rows, cols), one a byte."""
    rows, runs, _ = quads.shape
    return QUAD_CODES[quads].transpose(0, 1, 3, 2).reshape(rows, runs * 128)


def pack_i2_s(quads, scale):
    return QUAD_TO_I2_S[quads]


def pack_tq2_0(quads, scale):
    blocks = np.empty((quads.size // 64, 66), np.uint8)
    blocks[:, :64] = QUAD_TO_TQ2_0[quads].reshape(-1, 64)
    blocks[:, 64:] = half_bytes(scale)
    return blocks


def pack_tq1_0(quads, scale):
    codes = codes_of(quads).reshape(-1, BLOCK)
    blocks = np.empty((len(codes), 54), np.uint8)

    def put(at, digits):  # (blocks, up to 5 digits, bytes), the first digit the most significant of five
        value = np.zeros((len(codes), digits.shape[2]), np.uint16)
        for i in range(digits.shape[1]):
            value += digits[:, i] * np.uint16(81 // 3**i)
        blocks[:, at:at + digits.shape[2]] = (value * 256 + 242) // 243

    put(0, codes[:, :160].reshape(-1, 5, 32))
    put(32, codes[:, 160:240].reshape(-1, 5, 16))
    put(48, codes[:, 240:].reshape(-1, 4, 4))
    blocks[:, 52:] = half_bytes(scale)
    return blocks


def pack_f16(quads, scale):
    return np.array([-scale, 0, scale], np.float16)[codes_of(quads)]


PACKERS = {"I2_S": pack_i2_s, "TQ2_0": pack_tq2_0, "TQ1_0": pack_tq1_0, "F16": pack_f16}


def ternary_chunks(seed, name, shape, kind):
    """The bytes of one ternary matrix: a third of each code, |w| = 1.2 / sqrt(inputs) rounded to f16 so that every type holds it."""
    rows, cols = shape
    random = generator(seed, name)
    scale = float(np.float16(1.2 / np.sqrt(cols) * random.uniform(0.9, 1.1)))
    step = max(1, CHUNK_WEIGHTS // cols)
    for start in range(0, rows, step):
        quads = random.integers(0, 81, (min(step, rows - start), cols // 128, 32), np.uint8)
        yield PACKERS[kind](quads, scale)
    if kind == "I2_S":
        yield i2_s_tail(scale)


# ---- everything else

def embedding_chunks(seed, name, shape, kind):
    """Normal weights whose logits, as a tied head after the last norm, have a standard deviation near 3."""
    rows, cols = shape
    random = generator(seed, name)
    deviation = 3 / np.sqrt(cols)
    step = max(1, CHUNK_WEIGHTS // 4 // cols)
    for start in range(0, rows, step):
        count = min(step, rows - start)
        if kind == "Q6_K":
            yield random_q6_k(random, count * cols // BLOCK, deviation)
        else:
            yield (random.standard_normal((count, cols), np.float32) * np.float32(deviation)).astype(np.float16)


def random_q6_k(random, count, deviation):
    """Q6_K blocks of random quants: ql[128] qh[64], 16 int8 scales, one f16; value = f16 * scale * (quant - 32)."""
    blocks = random.integers(0, 256, (count, 210), np.uint8)
    scales = random.integers(48, 112, (count, 16), np.uint8)
    blocks[:, 192:208] = np.where(blocks[:, 192:208] & 1, scales, -scales.astype(np.int16)).astype(np.int8).view(np.uint8)
    blocks[:, 208:] = half_bytes(deviation / (18.5 * 82))  # 18.5 and 82: root mean squares of the quants and of the scales
    return blocks


def norm_chunks(seed, name, shape, kind):
    yield (1 + 0.1 * generator(seed, name).standard_normal(shape[0])).astype(np.float32)


# ---- the file

def model_tensors(m):
    """The tensors in file order, with the names of the published models."""
    q, kv = m.head_dim * m.heads, m.head_dim * m.kv_heads
    norms = ARCHITECTURES[m.arch]

    def tensor(name, shape, kind, chunks):
        return Tensor(name, shape, kind, functools.partial(chunks, m.seed, name, shape, kind))

    yield tensor("token_embd.weight", (m.vocab, m.embd), m.embd_type, embedding_chunks)
    for layer in range(m.layers):
        parts = [("attn_norm", m.embd), ("attn_q", (q, m.embd)), ("attn_k", (kv, m.embd)), ("attn_v", (kv, m.embd)),
                 *[("attn_q_norm", m.head_dim), ("attn_k_norm", m.head_dim)] * ("qk" in norms), *[("attn_sub_norm", q)] * ("sub" in norms),
                 ("attn_output", (m.embd, q)), *[("post_attention_norm", m.embd)] * ("post" in norms), ("ffn_norm", m.embd),
                 ("ffn_gate", (m.ff, m.embd)), ("ffn_up", (m.ff, m.embd)), *[("ffn_sub_norm", m.ff)] * ("sub" in norms),
                 ("ffn_down", (m.embd, m.ff)), *[("post_ffw_norm", m.embd)] * ("post" in norms)]
        for part, shape in parts:
            name = f"blk.{layer}.{part}"
            if not isinstance(shape, tuple):
                yield tensor(name + ".weight", (shape,), "F32", norm_chunks)
                continue
            if "input" in norms:
                yield tensor(name + "_norm_in.weight", (shape[1],), "F32", norm_chunks)
            yield tensor(name + ".weight", shape, m.type, ternary_chunks)
    yield tensor("output_norm.weight", (m.embd,), "F32", norm_chunks)


def metadata(m):
    pairs = model_metadata(m.arch, f"random-{m.shape}" if m.sized_by_shape else "random", m.type, vocab=m.vocab, ctx=m.ctx, embd=m.embd,
                           layers=m.layers, ff=m.ff, heads=m.heads, kv_heads=m.kv_heads, head_dim=m.head_dim, eps=m.eps,
                           theta=m.theta)
    if m.head_dim != m.embd // m.heads:
        pairs += [(f"{m.arch}.attention.key_length", m.head_dim), (f"{m.arch}.attention.value_length", m.head_dim)]
    if "input" in ARCHITECTURES[m.arch]:
        pairs.append((f"{m.arch}.pooling_type", 3))
    return pairs + (tokenizer_metadata(m.vocab) if m.tokenizer else [])


def tokenizer_metadata(vocab):
    """Byte-level BPE that only knows single bytes (ids 0 to 255), filler entries, and a begin and an end token at the end."""
    printable = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    others = [b for b in range(256) if b not in printable]
    symbol = {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}
    fillers = vocab - 256 - 2
    tokens = [symbol[b] for b in range(256)] + [f"<filler_{i}>" for i in range(fillers)] + ["<|begin|>", "<|end|>"]
    normal, control = 1, 3
    return [("tokenizer.ggml.model", "gpt2"), ("tokenizer.ggml.pre", "llama-bpe"), ("tokenizer.ggml.tokens", tokens),
            ("tokenizer.ggml.token_type", [normal] * (vocab - 2) + [control] * 2), ("tokenizer.ggml.merges", []),
            ("tokenizer.ggml.bos_token_id", vocab - 2), ("tokenizer.ggml.eos_token_id", vocab - 1),
            ("tokenizer.ggml.add_bos_token", False)]


def write_model(m, path):
    tensors = list(model_tensors(m))
    return len(tensors), write_gguf(path, tensors, metadata(m))


# ---- the command line

def parse(arguments):
    parser = argparse.ArgumentParser(description="Writes a GGUF model with random ternary weights.")
    add = parser.add_argument
    add("-o", "--out", required=True, help="file to write")
    add("--shape", choices=SHAPES, default="2b-4t", help="sizes to start from (default %(default)s)")
    for name in ("layers", "embd", "ff", "heads", "kv-heads", "vocab", "ctx"):
        add(f"--{name}", type=int, help="overrides the shape's")
    add("--head-dim", type=int, help="overrides the shape's; 0 = embd / heads")
    add("--theta", type=float, help="RoPE base, overrides the shape's")
    add("--eps", type=float, help="RMS norm epsilon, overrides the shape's")
    add("--arch", choices=ARCHITECTURES, help="architecture name, overrides the shape's")
    add("--type", choices=PACKERS, help="type of the ternary matrices (default I2_S)")
    add("--embd-type", choices=("F16", "Q6_K"), default="F16", help="type of token_embd (default %(default)s)")
    add("--tokenizer", action="store_true", help="add a synthetic byte-level tokenizer")
    add("--llama-cpp", action="store_true", help="a file llama.cpp loads: --arch bitnet --type TQ2_0 --tokenizer")
    add("--seed", type=int, default=1, help="(default %(default)s)")
    m = parser.parse_args(arguments)
    m.sized_by_shape = all(getattr(m, name) is None for name in SHAPES[m.shape] if name != "arch")
    m.arch = m.arch or ("bitnet" if m.llama_cpp else None)
    for name, value in SHAPES[m.shape].items():
        if getattr(m, name) is None:
            setattr(m, name, value)
    m.type = m.type or ("TQ2_0" if m.llama_cpp else "I2_S")
    m.tokenizer = m.tokenizer or m.llama_cpp
    for complaint in complaints(m):
        parser.error(complaint)
    m.head_dim = m.head_dim or m.embd // m.heads
    return m


def complaints(m):
    """What makes these sizes impossible."""
    unit = 256 if m.type.startswith("TQ") or m.embd_type == "Q6_K" else 128
    if min(m.layers, m.embd, m.ff, m.heads, m.kv_heads, m.vocab, m.ctx) < 1:
        yield "every size must be at least 1"
    elif m.embd % unit or m.ff % unit:
        yield f"--embd {m.embd} and --ff {m.ff} must be multiples of {unit} for these types"
    elif (m.embd % m.heads and not m.head_dim) or m.heads % m.kv_heads or (m.head_dim or m.embd // m.heads) % 2:
        yield f"--embd {m.embd} must be --heads {m.heads} times an even number, and --heads a multiple of --kv-heads {m.kv_heads}"
    if m.tokenizer and m.vocab < 258:
        yield f"--vocab {m.vocab} is too small for a byte-level tokenizer: 256 bytes and 2 special tokens"


def main(arguments):
    m = parse(arguments)
    count, size = write_model(m, m.out)
    print(f"{m.out}: {count} tensors, {size} bytes, {m.arch}, {m.type} weights, {m.embd_type} embedding, seed {m.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
