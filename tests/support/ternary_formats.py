"""The ternary formats once more, in numpy: codes and scales to bytes, and bytes back, as docs/formats.md draws them.

Written from the drawings alone, as whole-array permutations, so that the tests compare two ways of reading them. `codes` is (rows,
columns) of 0 to 2; scales are (1, 1), (rows, 1) or (rows, blocks).
"""
import numpy as np

IDS = {"I2_S": 36, "TQ1_0": 34, "TQ2_0": 35, "IQ1_BN": 134, "IQ2_BN": 135, "IQ2_BN_R4": 335, "Q2_0": 42, "Q2_0_G128": 42, "PQ2_0": 142,
       "PTQ1_0": 143, "TL1": 38, "TL2": 39}
SHIFTS = np.array([0, 2, 4, 6], np.uint8)


def planes(codes, stride, first_on_top=False):
    """(n, 4 * stride) codes to (n, stride) bytes: byte i holds codes i, i + stride, i + 2 stride, i + 3 stride."""
    shifts = SHIFTS[::-1] if first_on_top else SHIFTS
    return (codes.reshape(len(codes), 4, stride) << shifts[:, None]).sum(axis=1).astype(np.uint8)


def runs(codes):
    """(n, 4 * m) codes to (n, m) bytes of four consecutive ones, the first in the bottom bits."""
    return (codes.reshape(len(codes), -1, 4) << SHIFTS).sum(axis=2).astype(np.uint8)


def fraction(values):
    return ((values * 256 + 242) // 243).astype(np.uint8)


def digits_first_on_top(codes, stride):
    """(n, stride * k) codes, k up to 5, to (n, stride) bytes of digits to base 3."""
    digits = codes.reshape(len(codes), -1, stride).astype(np.int64)
    return fraction((digits * 3 ** (4 - np.arange(digits.shape[1]))[:, None]).sum(axis=1))


def in_blocks(codes, scales, block, scale_type, pack, scale_first):
    blocks = codes.reshape(-1, block)
    each = np.repeat(scales, codes.shape[1] // block // scales.shape[1], axis=1)
    each = np.broadcast_to(each, (codes.shape[0], each.shape[1])).reshape(-1, 1).astype(scale_type).view(np.uint8)
    packed = pack(blocks)
    return np.hstack([each, packed] if scale_first else [packed, each]).tobytes()


def behind_row_scales(codes, scales, scale_type, pack):
    heads = np.broadcast_to(scales, (codes.shape[0], 1)).astype(scale_type).view(np.uint8)
    return np.hstack([heads, pack(codes.reshape(-1, 64)).reshape(codes.shape[0], -1)]).tobytes()


def with_tail(body, scales):
    return body.tobytes() + np.float32(scales[0, 0]).tobytes() + bytes(28)


def tq1_0(b):
    return np.hstack([digits_first_on_top(b[:, :160], 32), digits_first_on_top(b[:, 160:240], 16), digits_first_on_top(b[:, 240:], 4)])


def ptq1_0(b):
    return np.hstack([digits_first_on_top(b[:, :80], 16), digits_first_on_top(b[:, 80:120], 8), digits_first_on_top(b[:, 120:], 2)])


def iq1_bn(b):
    fours = b.reshape(-1, 4, 16).astype(np.int64)
    fives = fraction((fours[:, :, :15].reshape(-1, 12, 5) * 3 ** np.arange(5)).sum(axis=2))
    return np.hstack([fives, fraction((fours[:, :, 15] * 3 ** np.arange(4)).sum(axis=1, keepdims=True))])


def iq2_bn_r4(codes, scales):
    rows, cols = codes.shape
    heads = np.broadcast_to(scales, (rows, 1)).astype(np.float32).reshape(-1, 4).view(np.uint8)
    # (fours of rows, row, sixteens of columns, plane, byte) -> (fours of rows, sixteens, row, byte) with the planes packed
    parts = codes.reshape(rows // 4, 4, cols // 16, 4, 4).transpose(0, 2, 1, 4, 3)
    body = (parts << SHIFTS).sum(axis=4).astype(np.uint8).reshape(rows // 4, -1)
    return np.hstack([heads, body]).tobytes()


def tl1(codes, scales, tiling):
    bm, bk, bmm = tiling
    by = 256 // bmm
    pairs = codes[:, 0::2] * 3 + codes[:, 1::2]
    fours = pairs[:, 0::2] << 4 | pairs[:, 1::2]  # (rows, columns / 4)
    rows, cols = fours.shape
    cut = fours.reshape(rows // bm, bm // bmm, bmm // 16, 16, cols * 4 // bk, bk // by, by // 4)
    return with_tail(cut.transpose(0, 4, 1, 5, 2, 6, 3).astype(np.uint8), scales)


EIGHTS = np.concatenate([np.arange(0, 8), np.arange(16, 24), np.arange(8, 16), np.arange(24, 32)])


def strips_of_32(values, bm, columns_of_block):
    """(rows, columns) -> (row blocks, column blocks, strips of rows, columns of a block, 32)."""
    rows, cols = values.shape
    return values.reshape(rows // bm, bm // 32, 32, cols // columns_of_block, columns_of_block).transpose(0, 3, 1, 4, 2)


def tl2(codes, scales, tiling):
    bm, bk, _ = tiling
    rows, cols = codes.shape
    triple_cols = cols // bk * bk
    parts = []
    if triple_cols:
        weights = codes[:, :triple_cols].reshape(rows, -1, 3).astype(np.int64) - 1
        value = weights @ [9, 3, 1]
        index = np.abs(value)
        parts.append(strips_of_32(index[:, 0::2] << 4 | index[:, 1::2], bm, bk // 6)[..., EIGHTS])
        negative = strips_of_32((value < 0).astype(np.int64), bm, bk // 3)
        negative = negative.reshape(*negative.shape[:3], bk // 24, 8, 2, 16)  # triple, upper or lower sixteen of the rows, row
        words = (negative << np.arange(15, -1, -1).reshape(8, 2, 1)).sum(axis=(4, 5))
        parts.append(words.astype("<u2"))
    if triple_cols < cols:
        rest = codes[:, triple_cols:]
        pairs = rest[:, 0::2] * 3 + rest[:, 1::2]
        parts.append(strips_of_32(pairs[:, 0::2] << 4 | pairs[:, 1::2], bm, 8)[..., EIGHTS])
    body = b"".join((p if p.dtype == np.dtype("<u2") else p.astype(np.uint8)).tobytes() for p in parts)
    reserved = (cols - 256) * rows // 3 * 5 // 8 + 256 * rows // 2 * 4 // 8
    reserved += -reserved % 32
    return body.ljust(reserved, b"\0") + np.float32(scales[0, 0]).tobytes() + bytes(28)


def encode(kind, codes, scales, tiling=None):
    """The bytes of a tensor."""
    codes, scales = np.asarray(codes, np.uint8), np.asarray(scales, np.float32)
    half, full = np.float16, np.float32
    if kind == "I2_S":
        return with_tail(planes(codes.reshape(-1, 128), 32, first_on_top=True), scales)
    if kind == "TQ1_0":
        return in_blocks(codes, scales, 256, half, tq1_0, scale_first=False)
    if kind == "TQ2_0":
        return in_blocks(codes, scales, 256, half, lambda b: planes(b.reshape(-1, 128), 32).reshape(-1, 64), scale_first=False)
    if kind == "PTQ1_0":
        return in_blocks(codes, scales, 128, half, ptq1_0, scale_first=False)
    if kind == "Q2_0":
        return in_blocks(codes, scales, 64, half, runs, scale_first=True)
    if kind in ("Q2_0_G128", "PQ2_0"):
        return in_blocks(codes, scales, 128, half, runs, scale_first=True)
    if kind == "IQ1_BN":
        return behind_row_scales(codes, scales, half, iq1_bn)
    if kind == "IQ2_BN":
        return behind_row_scales(codes, scales, full, lambda b: planes(b, 16))
    if kind == "IQ2_BN_R4":
        return iq2_bn_r4(codes, scales)
    return {"TL1": tl1, "TL2": tl2}[kind](codes, scales, tiling)
