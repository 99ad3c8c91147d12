"""Writes GGUF version 3 files: a head with metadata and a tensor table, then the tensors' bytes, made when they are written.

Layout: ggml/docs/gguf.md of llama.cpp; the weight types: docs/formats.md. Needs numpy only.
"""
import os
import struct

import numpy as np

ALIGNMENT = 32
GGML_TYPE = {"F32": 0, "F16": 1, "Q8_0": 8, "Q6_K": 14, "TQ1_0": 34, "TQ2_0": 35, "I2_S": 36, "TL1": 38, "TL2": 39, "Q2_0": 42,
             "Q2_0_G128": 42, "IQ1_BN": 134, "IQ2_BN": 135, "PQ2_0": 142, "PTQ1_0": 143, "IQ2_BN_R4": 335}
FILE_TYPE = {"F16": 1, "TQ1_0": 36, "TQ2_0": 37, "I2_S": 40}
# Elements of a block, its bytes, bytes behind the last of the tensor, bytes before the first of each row.
BLOCKS = {"F32": (1, 4, 0, 0), "F16": (1, 2, 0, 0), "Q8_0": (32, 34, 0, 0), "Q6_K": (256, 210, 0, 0), "TQ1_0": (256, 54, 0, 0),
          "TQ2_0": (256, 66, 0, 0), "I2_S": (4, 1, 32, 0), "TL1": (4, 1, 32, 0), "Q2_0": (64, 18, 0, 0), "Q2_0_G128": (128, 34, 0, 0),
          "IQ1_BN": (64, 13, 0, 2), "IQ2_BN": (64, 16, 0, 4), "PQ2_0": (128, 34, 0, 0), "PTQ1_0": (128, 28, 0, 0),
          "IQ2_BN_R4": (64, 16, 0, 4)}


def tensor_bytes(kind, shape):
    elements = int(np.prod(shape))
    rows = elements // shape[-1]
    if kind == "TL2":  # docs/formats.md
        codes = (shape[-1] - 256) * rows // 3 * 5 // 8 + 256 * rows // 2 * 4 // 8
        return codes + -codes % 32 + 32
    block, block_bytes, tail, head = BLOCKS[kind]
    return elements // block * block_bytes + rows * head + tail


class Tensor:
    """`chunks` is called when the tensor is written and yields arrays that are its bytes in order. The shape is (rows, columns)."""

    def __init__(self, name, shape, kind, chunks):
        self.name, self.shape, self.kind, self.chunks = name, shape, kind, chunks
        self.bytes = tensor_bytes(kind, shape)


def encoded_string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def encoded_value(value):
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + encoded_string(value)
    if not value or isinstance(value[0], str):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(encoded_string, value))
    return struct.pack("<IIQ", 9, 5, len(value)) + np.array(value, "<i4").tobytes()


def padding(size):
    return bytes(-size % ALIGNMENT)


def head_of(tensors, metadata):
    """`metadata` is a list of (key, value)."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    head += b"".join(encoded_string(key) + encoded_value(value) for key, value in metadata)
    offset = 0
    for t in tensors:
        dims = struct.pack(f"<{len(t.shape)}Q", *reversed(t.shape))
        head += encoded_string(t.name) + struct.pack("<I", len(t.shape)) + dims + struct.pack("<IQ", GGML_TYPE[t.kind], offset)
        offset += t.bytes + len(padding(t.bytes))
    return head


def write_gguf(path, tensors, metadata):
    """Writes beside `path` and renames at the end, so that an interrupted run leaves no half file. Returns its size."""
    head = head_of(tensors, metadata)
    part = f"{path}.part"
    try:
        with open(part, "wb") as out:
            out.write(head + padding(len(head)))
            for t in tensors:
                start = out.tell()
                for chunk in t.chunks():
                    out.write(np.ascontiguousarray(chunk).data)
                assert out.tell() - start == t.bytes, t.name
                out.write(padding(t.bytes))
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.remove(part)
    return os.path.getsize(path)


def model_metadata(arch, name, kind, *, vocab, ctx, embd, layers, ff, heads, kv_heads, head_dim, eps, theta):
    """What every model of the llama and bitnet families says of its shape."""
    return [("general.architecture", arch), ("general.name", name), ("general.file_type", FILE_TYPE[kind]), (f"{arch}.vocab_size", vocab),
            (f"{arch}.context_length", ctx), (f"{arch}.embedding_length", embd), (f"{arch}.block_count", layers),
            (f"{arch}.feed_forward_length", ff), (f"{arch}.rope.dimension_count", head_dim), (f"{arch}.attention.head_count", heads),
            (f"{arch}.attention.head_count_kv", kv_heads), (f"{arch}.attention.layer_norm_rms_epsilon", eps),
            (f"{arch}.rope.freq_base", theta)]


def pack_i2_s(codes):
    """Codes -1, 0, 1 (rows, columns), columns a multiple of 128 -> bytes without the scale (docs/formats.md)."""
    runs = (codes.reshape(-1, 4, 32) + 1).astype(np.uint8)
    return runs[:, 0] << 6 | runs[:, 1] << 4 | runs[:, 2] << 2 | runs[:, 3]


def i2_s_tail(scale):
    return np.frombuffer(struct.pack("<f", scale) + bytes(28), np.uint8)


def quantise_q8_0(values):
    """float32, columns a multiple of 32 -> blocks of an f16 scale and 32 int8 (ggml's reference quantiser)."""
    blocks = np.ascontiguousarray(values, np.float32).reshape(-1, 32)
    scale = np.abs(blocks).max(1, keepdims=True) / np.float32(127)
    quants = np.rint(np.divide(blocks, scale, out=np.zeros_like(blocks), where=scale > 0)).astype(np.int8)
    return np.concatenate([scale.astype(np.float16).view(np.uint8), quants.view(np.uint8)], axis=1)
