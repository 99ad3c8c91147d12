"""Does `bitnet inspect` hash what is there, and tell damaged weights from sound ones?"""
import hashlib
import json

import gguf
import numpy as np
import pytest
import shaped_model
import tiny_model


def test_hashes_are_those_of_the_bytes(bitnet, model):
    report = json.loads(bitnet.text("inspect", model, "--hash", "--json"))
    data = model.read_bytes()
    assert [file["sha256"] for file in report["sha256"]] == [hashlib.sha256(data).hexdigest()]
    for tensor in report["tensors"]:
        part = data[tensor["offset"]:tensor["offset"] + tensor["bytes"]]
        assert tensor["sha256"] == hashlib.sha256(part).hexdigest(), tensor["name"]
    assert hashlib.sha256(data).hexdigest() in bitnet.text("inspect", model, "--hash")


def test_a_sound_model_passes(bitnet, model, tmp_path):
    for path in (model, shaped_model.write(tmp_path / "i.gguf", kind="I2_S"), shaped_model.write(tmp_path / "d.gguf", kind="dense")):
        report = json.loads(bitnet.text("inspect", path, "--check", "--json"))
        assert report["check"] == {"tensors": len(report["tensors"]), "damaged": []}


def place(path, name):
    return next((t.data_offset, t.data) for t in gguf.GGUFReader(path).tensors if t.name == name)


def write_values(path, name, change):
    data = bytearray(path.read_bytes())
    at, values = place(path, name)
    values = change(np.array(values))
    data[at:at + values.nbytes] = values.tobytes()
    path.write_bytes(data)


def with_value(values, value):
    values.reshape(-1)[3] = value
    return values


DAMAGE = {
    "a NaN in a norm": ("blk.1.attn_norm.weight", lambda v: with_value(v, np.nan), "1 of 256 values are NaN or infinite"),
    "an infinite embedding": ("token_embd.weight", lambda v: with_value(v, np.inf), "values are NaN or infinite"),
    "a norm of zeros": ("blk.0.ffn_norm.weight", np.zeros_like, "all 256 values are zero"),
    "an absurd norm": ("output_norm.weight", lambda v: v * np.float32(1e6), "a value of magnitude 1000000 is absurd"),
    "a matrix of zeros": ("blk.0.ffn_up.weight", np.zeros_like, "zero"),
    "no zeros": ("blk.0.ffn_up.weight", lambda v: np.where(v > 0, v.max(), v.min()).astype(v.dtype), "0.00 % of the codes are zeros"),
    "one sign": ("blk.0.attn_q.weight", np.abs, "have the same sign"),
    "an absurd scale": ("blk.1.attn_v.weight", lambda v: np.sign(v) * v.dtype.type(40000), "scales are absurd"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_named(bitnet, tmp_path, case):
    name, change, word = DAMAGE[case]
    path = shaped_model.write(tmp_path / "m.gguf")
    write_values(path, name, change)
    result = bitnet("inspect", path, "--check", "--json")
    assert result.returncode == 4 and result.stderr.count(b"\n") == 1 and b"1 of" in result.stderr
    [damaged] = json.loads(result.stdout)["check"]["damaged"]
    assert damaged["name"] == name and any(word in problem for problem in damaged["problems"]), damaged
    text = bitnet("inspect", path, "--check").stdout.decode()
    assert f"{name}: " in text and word in text


def test_damaged_scales_and_codes_of_packed_types_are_named(bitnet, tmp_path):
    path = shaped_model.write(tmp_path / "m.gguf", kind="I2_S")
    at = json.loads(bitnet.text("inspect", path, "--json"))["tensors"]
    tensor = next(t for t in at if t["name"] == "blk.0.attn_k.weight")
    scale = tensor["offset"] + tensor["bytes"] - 32
    for value, word in ((np.nan, "not finite"), (0, "every scale is zero"), (1e9, "absurd")):
        data = bytearray(path.read_bytes())
        data[scale:scale + 4] = np.float32(value).tobytes()
        (tmp_path / "s.gguf").write_bytes(data)
        result = bitnet("inspect", "s.gguf", "--check", "--json")
        assert result.returncode == 4, value
        [damaged] = json.loads(result.stdout)["check"]["damaged"]
        assert damaged["name"] == "blk.0.attn_k.weight" and word in damaged["problems"][0]
    data = bytearray(path.read_bytes())
    data[tensor["offset"]] = 0xFF
    (tmp_path / "c.gguf").write_bytes(data)
    [damaged] = json.loads(bitnet("inspect", "c.gguf", "--check", "--json").stdout)["check"]["damaged"]
    assert "has code 3" in damaged["problems"][0]
