"""Writes a tiny random bitnet-b1.58 model with a byte-level vocabulary and a chat template: the same bytes every time."""
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


def add_weights(writer, n_vocab, seed):
    random = np.random.default_rng(seed)

    def ternary(rows, cols):
        return (random.integers(-1, 2, (rows, cols)) * 0.05).astype(np.float16)

    def ones(size):
        return np.ones(size, np.float32)

    head = EMBD // HEADS
    writer.add_tensor("token_embd.weight", (random.standard_normal((n_vocab, EMBD)) * 0.1).astype(np.float16))
    writer.add_tensor("output_norm.weight", ones(EMBD))
    for layer in range(LAYERS):
        for name, tensor in {
            "attn_norm": ones(EMBD), "attn_sub_norm": ones(EMBD), "ffn_norm": ones(EMBD), "ffn_sub_norm": ones(FF),
            "attn_q": ternary(EMBD, EMBD), "attn_k": ternary(KV_HEADS * head, EMBD), "attn_v": ternary(KV_HEADS * head, EMBD),
            "attn_output": ternary(EMBD, EMBD), "ffn_gate": ternary(FF, EMBD), "ffn_up": ternary(FF, EMBD), "ffn_down": ternary(EMBD, FF),
        }.items():
            writer.add_tensor(f"blk.{layer}.{name}.weight", tensor)


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
        add_weights(writer, len(tokens()), seed)
    if padding:
        writer.add_tensor("padding", np.zeros(padding // 4, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
