"""The moving average of the weights: what is shown and shipped while the raw ones still jump."""

import torch
from torch import Tensor, nn


class MovingAverage:
    """Averages the parameters of `modules`; early on it forgets faster, so that it is never stale.

    The decay after n updates is min(`decay`, (1 + n) / (10 + n)).
    """

    def __init__(self, modules: dict[str, nn.Module], *, decay: float = 0.998) -> None:
        self._decay = decay
        self.updates = 0
        self.weights: dict[str, dict[str, Tensor]] = {
            name: {key: value.detach().clone() for key, value in module.state_dict().items()}
            for name, module in modules.items()
        }

    @torch.no_grad()
    def update(self, modules: dict[str, nn.Module]) -> None:
        """Moves the average one step towards the modules' present weights."""
        self.updates += 1
        share = 1.0 - min(self._decay, (1 + self.updates) / (10 + self.updates))
        for name, module in modules.items():
            averages = self.weights[name]
            live = {k: v for k, v in module.state_dict().items() if v.is_floating_point()}
            targets = [averages[key] for key in live]
            torch._foreach_lerp_(targets, list(live.values()), share)
