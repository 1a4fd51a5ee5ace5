"""A plain PyTorch program: a variational autoencoder of 784-400-20 on images in memory.

python torch_vae.py TRAIN.npy TEST.npy EPOCHS, uint8 (n, 784) each; prints one JSON object. It needs
PyTorch and numpy alone.
"""

import json
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

_BATCH = 128


class Vae(nn.Module):  # type: ignore[misc]
    """The network of Kingma and Welling's example: 400 hidden units, 20 numbers in a code."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(784, 400)
        self.mean, self.log_variance = nn.Linear(400, 20), nn.Linear(400, 20)
        self.back, self.out = nn.Linear(20, 400), nn.Linear(400, 784)

    def loss(self, images: Any) -> Any:
        """Return the negative bound of images (n, 784) in 0..1, summed, with one sample of each."""
        hidden = F.relu(self.hidden(images))
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        codes = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        logits = self.out(F.relu(self.back(codes)))
        entropy = F.binary_cross_entropy_with_logits(logits, images, reduction="sum")
        return entropy - (1 + log_variance - mean**2 - log_variance.exp()).sum() / 2


def main() -> None:
    """Train and print."""
    torch.manual_seed(0)
    train, test = (torch.from_numpy(np.load(path) / np.float32(255)) for path in sys.argv[1:3])
    network = Vae()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    seconds, processor = [], []
    for _ in range(int(sys.argv[3])):
        started, busy = time.perf_counter(), time.process_time()
        order = torch.randperm(len(train))
        for start in range(0, len(train) - _BATCH + 1, _BATCH):
            optimizer.zero_grad()
            loss = network.loss(train[order[start : start + _BATCH]]) / _BATCH
            loss.backward()
            optimizer.step()
        seconds.append(time.perf_counter() - started)
        processor.append(time.process_time() - busy)
    with torch.no_grad():
        bound = network.loss(test).item() / len(test)
    print(json.dumps({"bound": bound, "seconds": seconds, "processor": processor}))


if __name__ == "__main__":
    main()
