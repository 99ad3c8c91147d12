"""Draws the loss curves of training runs, each behind the run that it started from: plot_loss.py OUT.png RUN [RUN ...]"""
import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402


def stages(folder):
    """[(name, log, million tokens before it)] from the first stage to the run of this folder, which lies beside the others."""
    start = json.loads((folder / "config.json").read_text()).get("start")
    before = stages(folder.parent / start) if start else []
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return before + [(folder.name, log, before[-1][2] + before[-1][1][-1]["tokens"] / 1e6 if before else 0.0)]


def main(arguments):
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for folder in map(Path, arguments[1:]):
        color = None
        for name, log, behind in stages(folder):
            tokens = [behind + entry["tokens"] / 1e6 for entry in log]
            line, = axes.plot(tokens, [entry["heldout"] for entry in log], color=color, label=f"{name}, held out")
            color = line.get_color()
            axes.plot(tokens, [entry["loss"] for entry in log], color=color, alpha=0.4, linewidth=0.8, label=f"{name}, training")
    axes.set(xlabel="million tokens seen", ylabel="nats per token", title="Loss")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(arguments[0], dpi=110)


if __name__ == "__main__":
    main(sys.argv[1:])
