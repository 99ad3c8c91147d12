"""How are weights changed: Muon for the matrices of the body, AdamW for the rest, on a two-stage schedule."""
import torch


def orthogonalised(matrix, steps=5):
    """The nearest matrix with singular values near 1, by Newton and Schulz's iteration (Jordan et al. 2024, "Muon")."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose update is orthogonalised: every direction of a matrix moves alike. Weight decay is decoupled."""

    def __init__(self, params, lr, momentum=0.95, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum = state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
                update = orthogonalised(weight.grad.lerp(momentum, group["momentum"]))
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(update, alpha=-group["lr"] * max(1, weight.shape[0] / weight.shape[1]) ** 0.5)


def make_optimizers(model, lr, body_lr):
    """Learning rates at the peak of the schedule: `body_lr` for Muon's matrices, `lr` for embedding and norms."""
    body = [w for name, w in model.named_parameters() if name.endswith("_proj.weight")]
    rest = [w for name, w in model.named_parameters() if not name.endswith("_proj.weight")]
    optimizers = [Muon(body, lr=body_lr), torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.95))]
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
