"""A small GGUF model whose every part can be changed before it is written."""
import random
import struct

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


def put(key, kind, body):
    """A change of a seed: one metadata entry, new or another."""
    return lambda s: s.entries.__setitem__(key, (kind, body))


def number(key, value):
    return put(key, U32, struct.pack("<I", value))


def real(key, value):
    return put(key, F32, struct.pack("<f", value))


def add(name, dims, kind, raw):
    """A change of a seed: one more tensor."""
    return lambda s: s.tensors.append([name, list(dims), kind, None, raw])


def floats(count, value=1.0):
    return struct.pack(f"<{count}f", *[value] * count)


def changed(*changes):
    seed = Seed()
    for change in changes:
        change(seed)
    return seed.data()


def align(size):
    """Lays the file out for another alignment and says so in it."""
    def change(s):
        s.alignment = size
        number("general.alignment", size)(s)
    return change
