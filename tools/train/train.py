"""Trains a BitNet b1.58 language model, or its full-precision twin, on what corpus.py prepared.

train.py WORK RUN [--twin] [--tokens N] [--focus-from SHARE] ... : reads WORK/train.npy and WORK/focus_train.npy, writes
RUN/checkpoint.pt, RUN/log.jsonl and RUN/config.json.
Run again, it goes on from the checkpoint; with the same seed and machine the result is that of one run in one piece.
"""
import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

from model import LanguageModel, Shape
from optimizer import make_optimizers, set_schedule


class Batches:
    """Windows of ctx + 1 ids; each epoch cuts the text at another offset and shuffles, all of it a function of (seed, epoch)."""

    def __init__(self, ids, ctx, size, seed, device):
        self.ids, self.ctx, self.size, self.seed = torch.from_numpy(ids.astype(np.int64)).to(device), ctx, size, seed
        self.window = torch.arange(ctx + 1, device=device)
        self.per_epoch = (len(ids) - ctx - 1) // ctx // size
        if self.per_epoch < 1:
            raise SystemExit(f"{len(ids)} tokens of text are less than one batch of {size} windows of {ctx}")
        self.epoch, self.starts = -1, None

    def __getitem__(self, step):
        epoch, index = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            random = np.random.default_rng([self.seed, epoch])
            offset = random.integers(self.ctx)
            starts = random.permutation((len(self.ids) - offset - 1) // self.ctx) * self.ctx + offset
            self.starts, self.epoch = torch.from_numpy(starts).to(self.ids.device), epoch
        starts = self.starts[index * self.size:(index + 1) * self.size]
        windows = self.ids[starts[:, None] + self.window]
        return windows[:, :-1], windows[:, 1:]


def heldout_windows(ids, ctx, limit=None):
    """Consecutive windows of ctx + 1 ids, the last of each being the next one's first: (windows, ctx + 1), at most `limit`."""
    count = max(1, (len(ids) - 1) // ctx)
    return np.stack([ids[i * ctx:(i + 1) * ctx + 1] for i in range(min(count, limit or count))]).astype(np.int64)


@torch.no_grad()
def heldout_loss(model, ids, device, limit=None):
    """Mean nats per token over the windows, each token but a window's first predicted once."""
    windows = torch.from_numpy(heldout_windows(ids, model.shape.ctx, limit)).to(device)
    was_training = model.training
    model.eval()
    total = sum(model.loss(part[:, :-1], part[:, 1:]).item() * len(part) for part in windows.split(16))
    model.train(was_training)
    return total / len(windows)


def device_at_hand():
    return "cuda" if torch.cuda.is_available() else "cpu"


def multiplies_bfloat16(device):
    """Whether the device multiplies bfloat16 faster than float32."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported()
    return any(getattr(torch.cpu, f"_is_{name}_supported", bool)() for name in ("avx512_bf16", "amx_tile"))


class Run:
    """A training run in a folder: model, optimizers, and how far it has come."""

    def __init__(self, options):
        self.options, self.folder = options, options.run
        self.folder.mkdir(parents=True, exist_ok=True)
        self.device = device_at_hand()
        torch.manual_seed(options.seed)
        self.steps = max(1, options.tokens // (options.batch * options.ctx))
        # The step from which on the focus alone is read: there the schedule has yet to come down, so that what it reads last it learns best.
        self.focus_step = min(self.steps, round(options.focus_from * self.steps))
        parts = ["", "focus_"] if self.focus_step < self.steps else [""]
        self.heldout = np.load(options.work / f"{parts[-1]}heldout.npy")
        self.batches = [Batches(np.load(options.work / f"{part}train.npy"), options.ctx, options.batch, options.seed, self.device) for part in parts]
        vocab = json.loads((options.work / "corpus.json").read_text())["vocab"]
        self.shape = Shape(vocab=vocab, layers=options.layers, embd=options.embd, ff=options.ff, heads=options.heads,
                           kv_heads=options.kv_heads, ctx=options.ctx)
        self.model = LanguageModel(self.shape, is_ternary=not options.twin, dropout=options.dropout).to(self.device)
        if options.precision == "auto":
            options.precision = "bfloat16" if multiplies_bfloat16(self.device) else "float32"
        self.dtype = getattr(torch, options.precision)
        self.optimizers = make_optimizers(self.model, options.lr, options.body_lr, self.dtype)
        self.step, self.seconds, self.is_checked = 0, 0.0, False
        self.config = {"shape": self.shape.as_dict(), "twin": options.twin, "seed": options.seed, "batch": options.batch, "steps": self.steps,
                       "lr": options.lr, "body_lr": options.body_lr, "weight_decay": options.weight_decay, "warmup": options.warmup,
                       "dropout": options.dropout, "focus_from": options.focus_from, "precision": options.precision}

    @property
    def checkpoint(self):
        return self.folder / "checkpoint.pt"

    def resume(self):
        if not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, map_location=self.device)
        if state["config"] != self.config:
            raise SystemExit(f"{self.checkpoint} belongs to another run: {state['config']}, asked for {self.config}")
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        self.step, self.seconds = state["step"], state["seconds"]

    def save(self):
        state = {"config": self.config, "model": self.model.state_dict(), "optimizers": [o.state_dict() for o in self.optimizers],
                 "step": self.step, "seconds": self.seconds}
        part = self.checkpoint.with_suffix(".part")
        torch.save(state, part)
        os.replace(part, self.checkpoint)
        (self.folder / "config.json").write_text(json.dumps(self.config, indent=1) + "\n")

    def log(self, **facts):
        line = json.dumps({"step": self.step, "tokens": self.step * self.options.batch * self.options.ctx, **facts})
        with open(self.folder / "log.jsonl", "a") as file:
            file.write(line + "\n")
        print(line, flush=True)

    def batch(self):
        """(inputs, targets) of this step, each (batch, ctx)."""
        if self.step < self.focus_step:
            return self.batches[0][self.step]
        return self.batches[-1][self.step - self.focus_step]

    def check_gradients(self):
        """Whether the first step moves every weight: compiled code can lose a gradient and go on, learning little."""
        for name, weight in self.model.named_parameters():
            if weight.grad is None or not weight.grad.any():
                raise SystemExit(f"no gradient reaches {name}: try without --compile, or another version of torch than {torch.__version__}")
        self.is_checked = True

    def train_step(self, loss_of):
        """The loss before the step, on the device: reading it each step would make the host wait."""
        torch.manual_seed(self.options.seed << 32 | self.step)  # what dropout leaves out is a function of the step too
        inputs, targets = self.batch()
        set_schedule(self.optimizers, self.step / self.steps, self.options.warmup, self.options.weight_decay)
        loss = loss_of(inputs, targets)
        loss.backward()
        if not self.is_checked:
            self.check_gradients()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return loss.detach()

    def loss(self, inputs, targets):
        """Weights, sums and the loss are float32; with bfloat16 the factors of the products are rounded to it."""
        if self.dtype == torch.float32:
            return self.model.loss(inputs, targets)
        with torch.autocast(self.device, self.dtype):
            return self.model.loss(inputs, targets)

    def go(self):
        options = self.options
        loss_of = torch.compile(self.loss) if options.compile and hasattr(torch, "compile") else self.loss
        until = min(self.steps, options.stop_at or self.steps)
        losses, since = [], time.monotonic()
        while self.step < until:
            losses.append(self.train_step(loss_of))
            last = self.step == until
            if self.step % options.log_every == 0 or last:
                mean = round(torch.stack(losses).mean().item(), 4)
                spent = time.monotonic() - since
                self.seconds += spent
                rate = len(losses) * options.batch * options.ctx / spent
                held_out = heldout_loss(self.model, self.heldout, self.device, options.heldout_windows)
                self.log(loss=mean, heldout=round(held_out, 4), tokens_per_second=round(rate),
                         hours=round(self.seconds / 3600, 3))
                self.save()
                losses, since = [], time.monotonic()


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("work", type=Path, help="folder that corpus.py wrote")
    add("run", type=Path, help="folder of this run")
    add("--twin", action="store_true", help="full-precision weights and activations, all else the same")
    add("--focus-from", type=float, default=1.0, metavar="SHARE",
        help="of the steps, after which only the files of corpus.py --focus are read (default %(default)s: never)")
    for name, default in Shape().as_dict().items():
        if name in ("layers", "embd", "ff", "heads", "kv_heads", "ctx"):
            add("--" + name.replace("_", "-"), type=int, default=default, help="(default %(default)s)")
    add("--tokens", type=int, default=20_000_000, help="to see in all (default %(default)s)")
    add("--batch", type=int, default=32, help="windows per step (default %(default)s)")
    add("--lr", type=float, default=3e-3, help="peak rate of embedding and norms (default %(default)s)")
    add("--body-lr", type=float, default=0.02, help="peak rate of the matrices (default %(default)s)")
    add("--weight-decay", type=float, default=0.1, help="of the matrices, in the first half (default %(default)s)")
    add("--dropout", type=float, default=0.0, help="share of a block's outputs left out in training (default %(default)s)")
    add("--warmup", type=float, default=0.02, help="share of the steps (default %(default)s)")
    add("--seed", type=int, default=1, help="(default %(default)s)")
    add("--log-every", type=int, default=50, metavar="STEPS", help="also of checkpoints (default %(default)s)")
    add("--heldout-windows", type=int, default=64, help="looked at on the way (default %(default)s)")
    add("--precision", choices=("auto", "float32", "bfloat16"), default="auto",
        help="of the factors in products; auto: bfloat16 where the machine multiplies it faster (default %(default)s)")
    add("--stop-at", type=int, metavar="STEP", help="end early, to go on later")
    add("--compile", action="store_true", help="torch.compile where torch has it: a third faster on CPUs")
    return parser.parse_args(arguments)


def main(arguments):
    run = Run(parse(arguments))
    run.resume()
    run.go()


if __name__ == "__main__":
    main(sys.argv[1:])
