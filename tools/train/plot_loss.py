"""Draws the loss curves of training runs: plot_loss.py OUT.png RUN [RUN ...]"""
import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402


def main(arguments):
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for folder in map(Path, arguments[1:]):
        log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        tokens = [entry["tokens"] / 1e6 for entry in log]
        line, = axes.plot(tokens, [entry["heldout"] for entry in log], label=f"{folder.name}, held out")
        axes.plot(tokens, [entry["loss"] for entry in log], color=line.get_color(), alpha=0.4, linewidth=0.8, label=f"{folder.name}, training")
    axes.set(xlabel="million tokens seen", ylabel="nats per token", title="Loss")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(arguments[0], dpi=110)


if __name__ == "__main__":
    main(sys.argv[1:])
