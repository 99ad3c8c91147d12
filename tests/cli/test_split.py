"""Are split models the same models, and files whole or absent whatever goes wrong?"""
import json
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import gguf
import pytest
import tiny_model


def tensors(path):
    return {tensor.name: (tensor.tensor_type, tensor.data.tobytes()) for tensor in gguf.GGUFReader(path).tensors}


def split(bitnet, model, *flags):
    return [Path(file["path"]) for file in json.loads(bitnet.text("split", model, "-o", bitnet.home / "m", "--json", *flags))["files"]]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_parts_have_llama_cpp_names_and_keys(bitnet, model):
    parts = split(bitnet, model, "--parts", 3)
    assert [path.name for path in parts] == [f"m-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    seen = {}
    for number, path in enumerate(parts):
        fields = gguf.GGUFReader(path).fields
        assert [fields[f"split.{key}"].contents() for key in ("no", "count")] == [number, 3]
        assert fields["split.tensors.count"].contents() == len(tensors(model))
        seen |= tensors(path)
    assert seen == tensors(model)


def test_split_and_merge_give_the_same_file(bitnet, model):
    for flags in (["--parts", 4], ["--size", "0.3M"]):
        first = split(bitnet, model, "--force", *flags)[0]
        assert " tensors, " in bitnet.text("merge", first, "-o", "whole.gguf", "--force")
        assert (bitnet.home / "whole.gguf").read_bytes() == model.read_bytes()


def test_no_part_is_larger_than_asked(bitnet, model):
    parts = split(bitnet, model, "--size", "300000")
    assert len(parts) > 2 and all(path.stat().st_size <= 300000 for path in parts)


def test_usage_is_checked(bitnet, model):
    assert "--size or --parts" in bitnet.refusal(2, "split", model, "-o", "m")
    assert "no size" in bitnet.refusal(2, "split", model, "-o", "m", "--size", "2X")
    assert "parts are not possible" in bitnet.refusal(2, "split", model, "-o", "m", "--parts", 1000)
    assert names(bitnet.home) == []


def test_a_taken_name_is_kept(bitnet, model):
    first = split(bitnet, model, "--parts", 2)[0]
    (bitnet.home / "whole.gguf").write_text("mine")
    assert "--force" in bitnet.refusal(2, "merge", first, "-o", "whole.gguf")
    assert (bitnet.home / "whole.gguf").read_text() == "mine"
    assert "file that is read" in bitnet.refusal(2, "merge", first, "-o", first, "--force")
    assert "file that is read" in bitnet.refusal(2, "merge", first, "-o", first.with_name("m-00002-of-00002.gguf"), "--force")


def test_a_missing_part_is_named(bitnet, model):
    first = split(bitnet, model, "--parts", 2)[0]
    first.with_name("m-00002-of-00002.gguf").unlink()
    assert "00002-of-00002" in bitnet.refusal(4, "merge", first, "-o", "whole.gguf")


def test_a_full_disk_leaves_nothing(bitnet, model):
    limit = model.stat().st_size // 2
    result = subprocess.run([bitnet.path, "merge", model, "-o", "whole.gguf"], capture_output=True, cwd=bitnet.home, env=bitnet.environment(),
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert result.returncode == 1 and result.stdout == b"" and result.stderr.count(b"\n") == 1
    assert b"cannot write" in result.stderr and names(bitnet.home) == []


def test_a_folder_that_cannot_be_written_is_named(bitnet, model):
    assert "cannot create" in bitnet.refusal(1, "merge", model, "-o", "absent/whole.gguf")


def test_an_interrupted_merge_leaves_nothing(bitnet, tmp_path):
    big = tiny_model.write(tmp_path / "big.gguf", padding=256 << 20)
    with bitnet.start("merge", big, "-o", "whole.gguf", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("*.part")) and time.monotonic() < deadline and process.poll() is None:
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    if process.returncode == 0:
        pytest.skip("the copy was finished before the interrupt arrived")
    assert (process.returncode, out, err) == (130, b"", b"bitnet: interrupted\n")
    assert names(tmp_path) == ["big.gguf"]
