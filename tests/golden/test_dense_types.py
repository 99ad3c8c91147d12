"""Are the block formats decoded as gguf-py decodes them? A model in each type must give the bytes of its decoding stored as F32."""
import gguf
import numpy as np
import pytest

LAYERS, WIDTH, FF, HEADS, KV_HEADS, VOCAB = 2, 256, 512, 4, 2, 40
IDS = [3, 39, 0, 17, 17, 8]
HALVES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
SCALE = {"Q8_0": 1e-3, "Q4_0": 0.01, "Q4_1": 0.01, "Q5_0": 0.005, "Q5_1": 0.005, "Q4_K": 2e-4, "Q5_K": 1e-4, "Q6_K": 5e-5}


def random_blocks(random, kind, shape):
    """(rows, bytes of a row): random bits everywhere but in the half-precision scales, which stay small."""
    if kind in ("F16", "BF16"):
        weights = (random.standard_normal(shape) / 16).astype(np.float32)
        return gguf.quants.quantize(weights, gguf.GGMLQuantizationType[kind]).view(np.uint8)
    block, block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    blocks = random.integers(0, 256, (shape[0] * shape[1] // block, block_bytes), np.uint8)
    for at in HALVES[kind]:
        scales = (random.uniform(-1, 1, len(blocks)) * SCALE[kind]).astype(np.float16)
        blocks[:, at:at + 2] = scales[:, None].view(np.uint8)
    return blocks.reshape(shape[0], -1)


def matrices():
    kv = WIDTH // HEADS * KV_HEADS
    yield "token_embd.weight", (VOCAB, WIDTH)
    yield "output.weight", (VOCAB, WIDTH)
    for layer in range(LAYERS):
        for part, shape in {"attn_q": (WIDTH, WIDTH), "attn_k": (kv, WIDTH), "attn_v": (kv, WIDTH), "attn_output": (WIDTH, WIDTH),
                            "ffn_gate": (FF, WIDTH), "ffn_up": (FF, WIDTH), "ffn_down": (WIDTH, FF)}.items():
            yield f"blk.{layer}.{part}.weight", shape


def write_models(kind, as_stored, as_f32):
    """The same llama model twice: matrices of `kind`, and their decoding by gguf-py as F32."""
    writers = [gguf.GGUFWriter(str(path), "llama") for path in (as_stored, as_f32)]
    random = np.random.default_rng(5)
    for writer in writers:
        writer.add_block_count(LAYERS)
        writer.add_context_length(64)
        writer.add_embedding_length(WIDTH)
        writer.add_feed_forward_length(FF)
        writer.add_head_count(HEADS)
        writer.add_head_count_kv(KV_HEADS)
        writer.add_rope_dimension_count(WIDTH // HEADS)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_vocab_size(VOCAB)
        norms = ["output_norm"] + [f"blk.{i}.{part}_norm" for i in range(LAYERS) for part in ("attn", "ffn")]
        for name in norms:
            writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
    kind = gguf.GGMLQuantizationType[kind]
    for name, shape in matrices():
        blocks = random_blocks(random, kind.name, shape)
        writers[0].add_tensor(name, blocks, raw_dtype=kind)
        writers[1].add_tensor(name, gguf.quants.dequantize(blocks, kind).reshape(shape).astype(np.float32))
    for writer in writers:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


@pytest.mark.parametrize("kind", ["F16", "BF16", *HALVES])
def test_a_stored_type_gives_the_logits_of_its_decoding(bitnet, tmp_path, kind):
    write_models(kind, tmp_path / "stored.gguf", tmp_path / "f32.gguf")
    logits = bitnet.logits(tmp_path / "stored.gguf", IDS)
    assert np.isfinite(logits).all() and logits.std() > 0.01
    assert bitnet.npy_bytes(tmp_path / "stored.gguf", IDS) == bitnet.npy_bytes(tmp_path / "f32.gguf", IDS)
