"""Do `bitnet bench` and `bitnet doctor` report measurements that hang together?"""
import csv
import json
import os
import pathlib
import statistics

import pytest

FAST = ["-p", "8", "-n", "4", "-r", "3"]


def energy_is_readable():
    zones = [zone for zone in pathlib.Path("/sys/class/powercap").glob("*") if (zone / "name").is_file()]
    packages = [zone for zone in zones if (zone / "name").read_text().startswith("package-")]
    return any(os.access(zone / "energy_uj", os.R_OK) for zone in packages)


def test_bench_rows(bitnet, model):
    rows = json.loads(bitnet.text("bench", "-m", model, "-p", "8,16", "-n", "4", "-d", "0,32", "-t", "1,2", "-r", "3", "-o", "json"))
    assert [row["test"] for row in rows] == ["pp8", "pp16", "tg4", "pp8@d32", "pp16@d32", "tg4@d32"] * 2
    assert [row["threads"] for row in rows] == [1] * 6 + [2] * 6
    for row in rows:
        assert len(row["samples"]) == 3 and min(row["samples"]) > 0
        assert row["mean"] == pytest.approx(statistics.mean(row["samples"]))
        assert row["median"] == pytest.approx(statistics.median(row["samples"]))
        assert row["stddev"] == pytest.approx(statistics.stdev(row["samples"]))
        assert row["read_bandwidth_gb_per_second"] > 0 and row["cpu"] and row["isa"]
        assert (row["joules_per_token"] or 1) > 0 and (row["joules_per_token"] is None) == (not energy_is_readable())
        if row["test"].startswith("tg"):
            assert row["gb_per_second"] == pytest.approx(row["bytes_per_token"] * row["mean"] / 1e9)
    shallow, deep = rows[2], rows[5]
    assert deep["bytes_per_token"] > shallow["bytes_per_token"] > 0


def test_bench_of_sequences_together(bitnet, model):
    rows = json.loads(bitnet.text("bench", "-m", model, "-p", "0", "-n", "4", "--parallel", "1,3,9", "-d", "16", "-r", "2", "-o", "json"))
    assert [(row["test"], row["sequences"]) for row in rows] == [("tg4@d16", 1), ("tg4x3@d16", 3), ("tg4x9@d16", 9)]
    assert all(sample > 0 for row in rows for sample in row["samples"])
    assert [row["bytes_per_token"] is None for row in rows] == [False, True, True]


def test_bench_ranges_and_forms(bitnet, model):
    lines = bitnet.text("bench", "-m", model, "-p", "4-12+4", "-n", "0", "-r", "1", "-o", "jsonl").splitlines()
    assert [json.loads(line)["test"] for line in lines] == ["pp4", "pp8", "pp12"]
    table = list(csv.DictReader(bitnet.text("bench", "-m", model, *FAST, "-o", "csv").splitlines()))
    assert [row["test"] for row in table] == ["pp8", "tg4"] and len(table[0]["samples"].split()) == 3
    text = bitnet.text("bench", "-m", model, *FAST)
    assert "| tg4 " in text and "GB/s of measured" in text


def test_bench_refuses_more_than_the_context(bitnet, models):
    assert "the context holds 64" in bitnet.refusal(5, "bench", "-m", models / "short.gguf", "-p", "60", "-d", "10")


def test_doctor_finds_the_kernels_sound(bitnet, model):
    report = json.loads(bitnet.text("doctor", "--json", env={"BITNET_MODEL": str(model)}))
    assert report["healthy"] is True and report["cpu"]["threads"] >= 1 and report["memory"]["total"] > 0
    assert report["isa"]["available"][0] == "scalar" and report["isa"]["selected"] in report["isa"]["available"]
    assert all(test == {"passed": True, "failed": []} for test in report["isa"]["self_test"].values())
    assert report["read_bandwidth"][0]["threads"] == 1 and report["read_bandwidth"][0]["bytes_per_second"] > 1e8
    assert report["default_model"]["loads"] is True


def test_doctor_does_not_trust_a_default_model_that_fails(bitnet, model, tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(model.read_bytes()[:-100])
    result = bitnet("doctor", env={"BITNET_MODEL": str(broken)})
    assert result.returncode == 1 and b"DOES NOT LOAD" in result.stdout and b"NOT HEALTHY" in result.stdout
