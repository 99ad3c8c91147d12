"""Does a converted model hold the same codes and scales, and give the same logits to the bit? Does verify see every difference?"""
import itertools
import json
import resource
import subprocess

import gguf
import numpy as np
import pytest
import shaped_model
import tiny_model

TILINGS = {"TL1": (64, 64, 32), "TL2": (32, 96, 32)}  # bm, bk, bmm
TERNARY = ["I2_S", "TQ1_0", "TQ2_0", "IQ1_BN", "IQ2_BN", "IQ2_BN_R4", "Q2_0", "Q2_0_G128", "PQ2_0", "PTQ1_0", "TL1", "TL2", "F16", "BF16", "F32"]
IDS = ["--ids", "5,9,17,3,200,44,5,5,101"]

@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Scales that half precision cannot hold, in I2_S; other implementations call a scale their own, too."""
    return shaped_model.write(tmp_path_factory.mktemp("source") / "source.gguf", scale=np.float32(0.0512345), kind="I2_S")


def convert(bitnet, source, name, *flags, command="convert"):
    (bitnet.home / name).parent.mkdir(exist_ok=True)
    report = json.loads(bitnet.text(command, source, "-o", bitnet.home / name, "--json", "--force", *flags))
    assert report["files"][0]["bytes"] == (bitnet.home / name).stat().st_size
    return bitnet.home / name


def write_kernel_config(path, kind):
    bm, bk, bmm = TILINGS[kind]
    embd, ff = shaped_model.EMBD, shaped_model.FF
    shapes = [(embd, embd), (embd // 2, embd), (ff, embd), (embd, ff)]
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"[Shape_{i}]\nm = {m}\nk = {k}\nbm = {bm}\nbk = {bk}\nbmm = {bmm}\n" for i, (m, k) in enumerate(shapes)))
    return path


def logits(bitnet, model):
    bitnet.text("logits", "-m", model, "--out", "o.npy", *IDS)
    return (bitnet.home / "o.npy").read_bytes()


def same(bitnet, a, b, *flags):
    report = json.loads(bitnet.text("verify", a, b, "--json", *flags))
    assert report["same"] and report["different"] == 0
    return report


def test_every_type_to_every_other_and_back_keeps_codes_scales_and_logits(bitnet, source):
    expected = logits(bitnet, source)
    for kind in TILINGS:
        for folder in (kind, f"there-{kind}"):
            write_kernel_config(bitnet.home / folder / "kernel_config.ini", kind)
    files = {kind: convert(bitnet, source, f"{kind}/m.gguf", "--type", kind) for kind in TERNARY}
    for kind, path in files.items():
        assert logits(bitnet, path) == expected, kind
        same(bitnet, source, path, "--exact")
    assert files["I2_S"].read_bytes() == source.read_bytes()
    for kind, other in itertools.permutations(TERNARY, 2):
        there = convert(bitnet, files[kind], f"there-{other}/m.gguf", "--type", other)
        back = convert(bitnet, there, "back.gguf", "--type", "I2_S")
        assert back.read_bytes() == source.read_bytes(), f"{kind} -> {other} -> I2_S"


@pytest.mark.parametrize("kind", TILINGS)
def test_tiles_are_those_of_the_kernel_configuration(bitnet, source, kind):
    """Which is kept beside the file, since nothing in the file says how to read it."""
    line = bitnet.refusal(2, "convert", source, "-o", "out/x.gguf", "--type", kind)
    assert "tensor 'blk.0.attn_q.weight'" in line and "kernel_config.ini" in line
    config = write_kernel_config(bitnet.home / "given" / "tiles.ini", kind)
    path = convert(bitnet, source, "out/m.gguf", "--type", kind, "--kernel-config", config)
    assert (path.parent / "kernel_config.ini").read_text() == config.read_text()
    assert logits(bitnet, path) == logits(bitnet, source)
    config.write_text(config.read_text() + "; another\n")
    line = bitnet.refusal(2, "convert", source, "-o", "out/x.gguf", "--type", kind, "--kernel-config", config)
    assert "another kernel configuration" in line
    config.write_text("[a]\nm = 1\n")
    assert "tiles.ini: line 1" in bitnet.refusal(4, "convert", source, "-o", "new/x.gguf", "--type", kind, "--kernel-config", config)
    assert sorted(p.name for p in path.parent.iterdir()) == ["kernel_config.ini", "m.gguf"]


def test_a_scale_that_fits_stays_in_the_blocks(bitnet, tmp_path):
    fits = shaped_model.write(tmp_path / "fits.gguf", scale=np.float32(0.0625), kind="I2_S")
    names = [t.name for t in gguf.GGUFReader(convert(bitnet, fits, "t.gguf", "--type", "TQ2_0")).tensors]
    assert names == [t for t in names if not t.endswith(".scale")]


def test_gguf_py_reads_the_same_values(bitnet, source):
    """gguf-py knows no I2_S; of what it knows, values times the scale beside them are the codes times the source's scale."""
    plain = {t.name: t for t in gguf.GGUFReader(convert(bitnet, source, "f32.gguf", "--type", "F32")).tensors}
    for kind in ("TQ1_0", "TQ2_0", "F16", "BF16"):
        tensors = {t.name: t for t in gguf.GGUFReader(convert(bitnet, source, f"{kind}.gguf", "--type", kind)).tensors}
        for name, tensor in tensors.items():
            if name.endswith(".scale"):
                continue
            values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(plain[name].data.shape)
            companion = tensors.get(name.removesuffix("weight") + "scale")
            scale = np.float32(1) if companion is None else companion.data[0]
            assert (values * scale == plain[name].data).all(), f"{kind} {name}"


@pytest.mark.parametrize("kind", ["F16", "BF16", "F32", "Q8_0", "Q6_K", "Q4_0"])
def test_the_embedding_takes_any_dense_type(bitnet, source, kind):
    path = convert(bitnet, source, "e.gguf", "--embedding", kind)
    types = {t.name: t.tensor_type.name for t in gguf.GGUFReader(convert(bitnet, path, "f.gguf", "--type", "F16")).tensors}
    assert types["token_embd.weight"] == kind
    report = same(bitnet, source, path)
    assert report["rounded"] == (0 if kind in ("F16", "F32") else 1)
    if kind == "F32":
        assert logits(bitnet, path) == logits(bitnet, source)


def test_llama_cpp_form_has_its_names(bitnet, source):
    path = convert(bitnet, source, "l.gguf", "--type", "TQ2_0", "--llama-cpp")
    reader = gguf.GGUFReader(path)
    assert reader.fields["general.architecture"].contents() == "bitnet"
    assert reader.fields["bitnet.hidden_activation"].contents() == "relu2"
    assert not [key for key in reader.fields if key.startswith("bitnet-b1.58")]
    names = {t.name for t in reader.tensors}
    assert "blk.0.attn_q.scale" in names and "output.weight" not in names
    assert logits(bitnet, path) == logits(bitnet, source)
    same(bitnet, source, path, "--exact")
    assert "which llama.cpp does not read" in bitnet.refusal(2, "convert", source, "-o", "x.gguf", "--llama-cpp")


def test_split_output_is_the_same_model(bitnet, source):
    bitnet.text("convert", source, "-o", "s.gguf", "--type", "TQ1_0", "--split-size", "300000")
    parts = sorted(bitnet.home.glob("s-*.gguf"))
    assert len(parts) > 1 and parts[0].name == f"s-00001-of-{len(parts):05}.gguf"
    same(bitnet, source, parts[0], "--exact")
    back = convert(bitnet, parts[0], "back.gguf", "--type", "I2_S")
    assert back.read_bytes() == source.read_bytes()


def test_what_a_type_cannot_hold_is_refused_by_name(bitnet, model):
    for kind in ("TQ1_0", "TQ2_0"):
        line = bitnet.refusal(2, "convert", model, "-o", "x.gguf", "--type", kind)
        assert "blk.0.attn_q.weight" in line and "256" in line and kind in line
    assert "rounded" in bitnet.refusal(2, "convert", model, "-o", "x.gguf", "--type", "Q8_0")
    assert "no weight type" in bitnet.refusal(2, "convert", model, "-o", "x.gguf", "--type", "X1")
    assert "ternary" in bitnet.refusal(2, "convert", model, "-o", "x.gguf", "--embedding", "I2_S")
    assert "no weight type" in bitnet.refusal(2, "quantize", model, "-o", "x.gguf", "--type", "hf")
    assert "must end with .gguf" in bitnet.refusal(2, "convert", model, "-o", "x.bin", "--type", "I2_S")
    assert list(bitnet.home.iterdir()) == []


def test_dense_matrices_are_not_made_ternary_by_convert(bitnet, tmp_path):
    dense = shaped_model.write(tmp_path / "dense.gguf", kind="dense")
    line = bitnet.refusal(2, "convert", dense, "-o", "x.gguf", "--type", "I2_S")
    assert "not ternary" in line and "bitnet quantize" in line


def test_faults_leave_nothing_under_the_name(bitnet, source):
    limit = source.stat().st_size // 3
    result = subprocess.run([bitnet.path, "convert", source, "-o", "x.gguf", "--type", "F16"], capture_output=True, cwd=bitnet.home,
                            env=bitnet.environment(), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert (result.returncode, result.stdout, result.stderr.count(b"\n")) == (1, b"", 1)
    assert "file that is read" in bitnet.refusal(2, "convert", source, "-o", source, "--type", "F16", "--force")
    (bitnet.home / "taken.gguf").write_text("mine")
    assert "--force" in bitnet.refusal(2, "convert", source, "-o", "taken.gguf", "--type", "F16")
    assert (bitnet.home / "taken.gguf").read_text() == "mine"
    assert [path.name for path in bitnet.home.iterdir()] == ["taken.gguf"]


def changed(path, out, name, at, byte):
    data = bytearray(path.read_bytes())
    tensor = next(t for t in gguf.GGUFReader(path).tensors if t.name == name)
    data[tensor.data_offset + at] = byte
    out.write_bytes(data)
    return out


def test_verify_names_the_tensor_that_differs(bitnet, source):
    f16 = convert(bitnet, source, "f16.gguf", "--type", "F16")
    # One code: the halves of -1, 0 and 1 differ in their second byte.
    tensor = next(t for t in gguf.GGUFReader(f16).tensors if t.name == "blk.1.ffn_up.weight")
    at = 2 * int(np.flatnonzero(tensor.data.reshape(-1) == 1)[0]) + 1
    other = changed(f16, bitnet.home / "other.gguf", "blk.1.ffn_up.weight", at, 0xBC)
    result = bitnet("verify", source, other)
    assert result.returncode == 1 and result.stderr == b""
    lines = result.stdout.decode().splitlines()
    assert len(lines) == 2 and "blk.1.ffn_up.weight" in lines[0] and "1 weights" in lines[0] and lines[1].startswith("not the same")
    report = json.loads(bitnet("verify", source, other, "--json").stdout)
    assert [t["name"] for t in report["tensors"] if t["result"] == "different"] == ["blk.1.ffn_up.weight"]


def test_verify_sees_a_scale(bitnet, source):
    tq2 = convert(bitnet, source, "tq2.gguf", "--type", "TQ2_0")
    result = bitnet("verify", source, changed(tq2, bitnet.home / "other.gguf", "blk.0.attn_k.scale", 0, 1))
    assert result.returncode == 1 and b"the scale of row 0" in result.stdout and b"attn_k" in result.stdout


def test_verify_names_missing_tensors(bitnet, source, models):
    result = bitnet("verify", source, models / "tiny.gguf")
    assert result.returncode == 1 and b"the shape is" in result.stdout
    assert "3" == str(bitnet("verify", source, "absent.gguf").returncode)


def test_quantize_makes_dense_matrices_smaller(bitnet, tmp_path):
    dense = shaped_model.write(tmp_path / "dense.gguf", kind="dense")
    for kind in ("Q8_0", "Q6_K", "Q4_0", "BF16"):
        path = convert(bitnet, dense, "q.gguf", "--type", kind, command="quantize")
        report = same(bitnet, dense, path)
        assert report["rounded"] == 7 * tiny_model.LAYERS, kind
        assert len(logits(bitnet, path)) == len(logits(bitnet, dense))


def test_quantize_ternarises_by_absmean(bitnet, tmp_path):
    dense = shaped_model.write(tmp_path / "dense.gguf", kind="dense")
    weights = {t.name: t.data.astype(np.float32) for t in gguf.GGUFReader(dense).tensors}
    made = gguf.GGUFReader(convert(bitnet, convert(bitnet, dense, "i.gguf", "--type", "I2_S", command="quantize"), "f.gguf", "--type", "F32"))
    seen = 0
    for tensor in made.tensors:
        if not tensor.name.startswith("blk.") or "norm" in tensor.name:
            continue
        w = weights[tensor.name]
        scale = np.float64(max(np.abs(w.astype(np.float64)).mean(), 1e-5))
        codes = np.clip(np.rint(w / np.float32(scale)), -1, 1)
        near_tie = np.abs(np.abs(w / np.float32(scale)) - 0.5) < 1e-4
        assert ((np.sign(tensor.data) == codes) | near_tie).all(), tensor.name
        assert np.allclose(np.abs(tensor.data[tensor.data != 0]), scale, rtol=1e-5), tensor.name
        seen += 1
    assert seen == 7 * tiny_model.LAYERS


def test_quantize_reports_size_and_perplexity(bitnet, tmp_path):
    dense = shaped_model.write(tmp_path / "dense.gguf", kind="dense")
    (tmp_path / "text.txt").write_text("hello world, hello all. " * 200)
    report = json.loads(bitnet.text("quantize", dense, "-o", "q.gguf", "--type", "TQ2_0", "--perplexity", "text.txt", "--json"))
    assert report["bytes"] < report["source_bytes"] and report["tensors"]["F16 -> TQ2_0"] == 7 * tiny_model.LAYERS
    for when, path in (("before", dense), ("after", "q.gguf")):
        measured = json.loads(bitnet.text("perplexity", "-m", path, "-f", "text.txt", "--json"))
        assert report["perplexity"][when]["value"] == measured["perplexity"], when
