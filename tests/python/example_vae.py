"""A VAE as in PyTorch's examples (fc1, fc21, fc22, fc3, fc4), untrained: saves files that `import`
reads or refuses, and what the model makes of examples.

    python example_vae.py ORIGINALS.npy FOLDER

Writes into FOLDER: vae.pt (the state dict), nested.pt (the same in a checkpoint beside other tensors),
half.pt (f16), vae.safetensors, code.pt (a pickle that calls os.system), model.pt (the module itself),
old.pt (the format before PyTorch 1.6), nan.pt, and reconstructions.npy of vae.pt.
"""

import os
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 400)
        self.fc21 = nn.Linear(400, 20)
        self.fc22 = nn.Linear(400, 20)
        self.fc3 = nn.Linear(20, 400)
        self.fc4 = nn.Linear(400, 784)

    def forward(self, x):
        mean = self.fc21(torch.relu(self.fc1(x)))
        return torch.sigmoid(self.fc4(torch.relu(self.fc3(mean))))


class Code:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


originals, folder = sys.argv[1:]
path = lambda name: os.path.join(folder, name)
torch.manual_seed(0)
vae = VAE()
state = vae.state_dict()
torch.save(state, path("vae.pt"))
torch.save({"model": state, "optimizer": {"step": torch.zeros(1)}}, path("nested.pt"))
torch.save({name: tensor.half() for name, tensor in state.items()}, path("half.pt"))
save_file({name: tensor.contiguous() for name, tensor in state.items()}, path("vae.safetensors"))
torch.save({**state, "code": Code(path("code-ran"))}, path("code.pt"))
torch.save(vae, path("model.pt"))
torch.save(state, path("old.pt"), _use_new_zipfile_serialization=False)
torch.save({**state, "fc3.bias": state["fc3.bias"] * float("nan")}, path("nan.pt"))
x = torch.from_numpy(np.load(originals).astype(np.float32) / np.float32(255))
with torch.no_grad():
    made = vae(x.flatten(1)).reshape(x.shape)
np.save(path("reconstructions.npy"), made.numpy())
