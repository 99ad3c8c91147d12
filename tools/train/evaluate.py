"""What did a run learn? Held-out perplexity, by PyTorch and by the engine, and the share of zeros in weights and activations.

evaluate.py WORK RUN [--engine BITNET --model MODEL.gguf] [--windows N]: prints one JSON object.
evaluate.py WORK RUN --record FILE --windows N: writes N held-out windows with this loss, for a test of the exported model.
"""
import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from engine_loss import engine_loss
from export import load_run, ternary_matrices
from train import device_at_hand, heldout_loss, heldout_windows


@torch.no_grad()
def activation_zeros(model, windows):
    """Per layer, the share of zeros in relu(gate) squared."""
    zeros, total = [0.0] * len(model.layers), 0

    def hook(layer):
        def count(module, inputs, output):
            # The gated product is what the norm reads: it is zero where the gate is, but for a rare zero of `up`.
            zeros[layer] += (inputs[0] == 0).float().mean().item()
        return count

    handles = [block.mlp.ffn_sub_norm.register_forward_hook(hook(i)) for i, block in enumerate(model.layers)]
    for window in windows:
        model(torch.from_numpy(window[None, :-1]).to(model.norm.weight.device))
        total += 1
    for handle in handles:
        handle.remove()
    return [round(z / total, 4) for z in zeros]


def weight_zeros(model):
    """Per layer, the share of zero codes over all its matrices."""
    zeros, total = [0] * len(model.layers), [0] * len(model.layers)
    for name, (codes, _) in ternary_matrices(model).items():
        layer = int(name.split(".")[1])
        zeros[layer] += int((codes == 0).sum())
        total[layer] += codes.size
    return [round(z / t, 4) for z, t in zip(zeros, total)]


def part_of(options):
    return "focus_heldout" if options.focus else "heldout"


def record(options):
    """What a test needs to know of the held-out text and of PyTorch's result."""
    model, _ = load_run(options.run)
    held_out = np.load(options.work / f"{part_of(options)}.npy")
    windows = heldout_windows(held_out, model.shape.ctx, options.windows)
    text = Tokenizer.from_file(str(options.work / "tokenizer.json")).decode(windows[:, :-1].flatten().tolist())
    loss = heldout_loss(model, held_out, "cpu", options.windows)
    options.record.write_text(json.dumps({"loss": loss, "windows": windows.tolist(), "text": text}) + "\n")


def evaluate(options):
    model, config = load_run(options.run)
    held_out = np.load(options.work / f"{part_of(options)}.npy")
    facts = json.loads((options.work / "corpus.json").read_text())[part_of(options)]
    device = device_at_hand()
    loss = heldout_loss(model.to(device), held_out, device, options.windows)
    windows = heldout_windows(held_out, model.shape.ctx, options.windows)
    report = {"run": options.run.name, "twin": config["twin"], "text": part_of(options), "parameters": sum(p.numel() for p in model.parameters()),
              "heldout_tokens": len(windows) * model.shape.ctx, "heldout_loss": round(loss, 4), "perplexity": round(math.exp(loss), 3),
              "bits_per_byte": round(loss / math.log(2) * facts["tokens"] / facts["bytes"], 4)}
    if not config["twin"]:
        report["weight_zeros"] = weight_zeros(model)
        report["relu2_zeros"] = activation_zeros(model, windows[:32])
    if options.engine:
        report["engine_perplexity"] = round(math.exp(engine_loss(options.engine, options.model, windows)), 3)
    return report


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--focus", action="store_true", help="on the text that corpus.py --focus chose")
    parser.add_argument("--windows", type=int, help="of the held-out text, from its beginning (default all)")
    parser.add_argument("--engine", metavar="BITNET", help="the program, to compare with PyTorch")
    parser.add_argument("--model", type=Path, help="the GGUF file of this run, for --engine")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write windows, their text and the loss there, nothing else")
    options = parser.parse_args(arguments)
    if options.record:
        record(options)
        return
    if options.engine and not options.model:
        parser.error("--engine needs --model")
    print(json.dumps(evaluate(options)))


if __name__ == "__main__":
    main(sys.argv[1:])
