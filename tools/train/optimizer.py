"""How are weights changed: Muon for the matrices of the body, AdamW for the rest, on a two-stage schedule."""
import torch


def orthogonalised(matrices, dtype, steps=5):
    """(n, rows, columns): the nearest matrices with singular values near 1, by Newton and Schulz's iteration (Jordan et al. 2024, "Muon"),
    which bears bfloat16."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = (matrices / (torch.linalg.matrix_norm(matrices, keepdim=True) + 1e-7)).to(dtype)
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose update is orthogonalised: every direction of a matrix moves alike. Weight decay is decoupled.

    Matrices of one shape are orthogonalised together, in `dtype`."""

    def __init__(self, params, lr, momentum=0.95, weight_decay=0.0, dtype=torch.float32):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype

    def direction(self, weight, momentum):
        """The step that Nesterov's momentum would make, before it is orthogonalised."""
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        return weight.grad.lerp(state["momentum"].lerp_(weight.grad, 1 - momentum), momentum)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    by_shape.setdefault(weight.shape, []).append(weight)
            for (rows, columns), weights in by_shape.items():
                directions = torch.stack([self.direction(w, group["momentum"]) for w in weights])
                rate = group["lr"] * max(1, rows / columns) ** 0.5
                for weight, update in zip(weights, orthogonalised(directions, self.dtype)):
                    weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)


def make_optimizers(model, lr, body_lr, dtype=torch.float32):
    """Learning rates at the peak of the schedule: `body_lr` for Muon's matrices, `lr` for embedding and norms."""
    body = [w for name, w in model.named_parameters() if name.endswith("_proj.weight")]
    rest = [w for name, w in model.named_parameters() if not name.endswith("_proj.weight")]
    optimizers = [Muon(body, lr=body_lr, dtype=dtype), torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.95))]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def set_schedule(optimizers, progress, warmup, weight_decay):
    """`progress` in [0, 1). Two stages as in "The Era of 1-bit LLMs: Training Tips, Code and FAQ" (2024): the rate falls slowly from
    its peak in the first half and from a lower start to zero in the second, where weights no longer decay."""
    if progress < warmup:
        rate = progress / warmup
    elif progress < 0.5:
        rate = 1 - 0.4 * progress / 0.5
    else:
        rate = 0.5 * (1 - progress) / 0.5
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * max(rate, 1e-3)
            group["weight_decay"] = weight_decay if progress < 0.5 and "momentum" in group else 0.0
