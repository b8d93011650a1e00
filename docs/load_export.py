"""Rebuilds encoder and decoder of an exported model in PyTorch, and reconstructs examples.

    vae-cli export --out model.safetensors
    vae-cli data show digits --split test --n 100 --out originals.npy
    python docs/load_export.py model.safetensors originals.npy reconstructions.npy

Needs torch, safetensors and numpy. Reads models with an mlp or conv network, a gaussian or point
posterior, and a likelihood whose mean is an activation of the decoder's output; without labels. The
result is that of `vae-cli reconstruct --out reconstructions.npy`. docs/pytorch.md explains the names.
"""

import json
import math
import sys

import numpy as np
import torch
from safetensors import safe_open
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "leaky-relu": nn.LeakyReLU, "tanh": nn.Tanh, "elu": nn.ELU, "silu": nn.SiLU}


class Mlp(nn.Module):
    """Linear layers, each with the activation or with a gate."""

    def __init__(self, inputs, hidden, activation, gated=False):
        super().__init__()
        widths = [inputs, *hidden]
        chain = lambda: nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
        self.layers, self.gates = chain(), chain() if gated else []
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x):
        for i, layer in enumerate(self.layers):
            x = layer(x) * torch.sigmoid(self.gates[i](x)) if self.gates else self.activation(layer(x))
        return x


class Head(nn.Module):
    """A linear layer after hidden layers: the head of a posterior, or an mlp decoder."""

    def __init__(self, trunk, width, outputs):
        super().__init__()
        self.trunk, self.output = trunk, nn.Linear(width, outputs)

    def forward(self, x):
        return self.output(self.trunk(x))


class Layer(nn.Module):
    """A convolution with optional group normalization."""

    def __init__(self, before, after, groups, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(before, after, 3, stride, padding=1)
        self.norm = nn.GroupNorm(groups, after) if groups else nn.Identity()

    def forward(self, x):
        return self.norm(self.conv(x))


class Stage(nn.Module):
    """A convolution that halves or doubles the image, then residual blocks."""

    def __init__(self, before, after, net, halve):
        super().__init__()
        self.size = nn.Identity() if halve else nn.Upsample(scale_factor=2)
        self.first = Layer(before, after, net["groups"], 2 if halve else 1)
        block = lambda: nn.ModuleList(Layer(after, after, net["groups"]) for _ in range(2))
        self.blocks = nn.ModuleList(block() for _ in range(net["residual"]))
        self.activation = ACTIVATIONS[net["activation"]]()

    def forward(self, x):
        x = self.activation(self.first(self.size(x)))
        for first, second in self.blocks:
            x = self.activation(x + second(self.activation(first(x))))
        return x


class ConvEncoder(nn.Module):
    def __init__(self, net, shape):
        super().__init__()
        channels = [shape[0], *net["channels"]]
        self.stages = nn.ModuleList(Stage(a, b, net, True) for a, b in zip(channels, channels[1:]))
        smallest = [channels[-1], *(side >> len(net["channels"]) for side in shape[1:])]
        self.shape, self.width = shape, math.prod(smallest)
        self.trunk = Mlp(self.width, net["hidden"], net["activation"])

    def forward(self, x):
        x = x.reshape(-1, *self.shape)
        for stage in self.stages:
            x = stage(x)
        return self.trunk(x.flatten(1))


class ConvDecoder(nn.Module):
    def __init__(self, net, latent, shape, outputs):
        super().__init__()
        channels = [*net["channels"], net["channels"][-1]]
        self.smallest = [channels[0], *(side >> len(net["channels"]) for side in shape[1:])]
        self.trunk = Mlp(latent, [*net["hidden"], math.prod(self.smallest)], net["activation"])
        self.stages = nn.ModuleList(Stage(a, b, net, False) for a, b in zip(channels, channels[1:]))
        self.output = nn.Conv2d(channels[-1], shape[0] * outputs, 3, padding=1)

    def forward(self, z):
        x = self.trunk(z).reshape(-1, *self.smallest)
        for stage in self.stages:
            x = stage(x)
        return self.output(x).flatten(1)


class Vae(nn.Module):
    """Encoder, posterior and decoder. The names of its tensors are those of the file."""

    def __init__(self, model, shape):
        super().__init__()
        encoder, decoder = model["encoder"], model["decoder"]
        numbers, self.likelihood = math.prod(shape), model["likelihood"]
        if encoder["kind"] == "mlp":
            widths = [numbers, *encoder["hidden"]]
            self.encoder = Mlp(numbers, encoder["hidden"], encoder["activation"], encoder["gated"])
        else:
            self.encoder = ConvEncoder(encoder, shape)
            widths = [self.encoder.width, *encoder["hidden"]]
        hidden = [widths[-1]] * (encoder["head_depth"] - 1)
        trunk = Mlp(widths[-1], hidden, encoder["activation"])
        self.posterior = nn.ModuleDict({"mean": Head(trunk, widths[-1], model["latent"])})
        outputs = 2 if self.likelihood.get("spread") == "pixel" else 1
        if decoder["kind"] == "mlp":
            width = [model["latent"], *decoder["hidden"]][-1]
            trunk = Mlp(model["latent"], decoder["hidden"], decoder["activation"], decoder["gated"])
            self.decoder = Head(trunk, width, numbers * outputs)
        else:
            self.decoder = ConvDecoder(decoder, model["latent"], shape, outputs)
        self.numbers = numbers

    def forward(self, x):
        """Decodes the mean of q(z|x) to the mean of p(x|z)."""
        first = self.decoder(self.posterior["mean"](self.encoder(x)))[:, : self.numbers]
        output = "sigmoid" if self.likelihood["kind"] == "bernoulli" else self.likelihood["output"]
        return {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "identity": lambda t: t}[output](first)


def load(path):
    """Returns the model in a file, and its description."""
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["description"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    model = about["config"]["model"]
    readable = (
        model["posterior"]["kind"] in ("gaussian", "point")
        and not model["posterior"].get("flow_steps")
        and model["condition"] == "none"
        and (model["likelihood"]["kind"] == "bernoulli" or "output" in model["likelihood"])
    )
    if not readable:
        sys.exit(f"{path}: this script does not read such a model; its first lines say which it reads")
    vae = Vae(model, about["input"])
    # The file also has log_var, and the parameters of a prior or a likelihood.
    missing = vae.load_state_dict(tensors, strict=False).missing_keys
    assert not missing, missing
    return vae.eval(), about


def to_x(values, transform):
    """Returns x of stored values."""
    if "affine" in transform:
        offset, unit = (np.array(transform["affine"][key], np.float32) for key in ("offset", "unit"))
        return values.astype(np.float32) if offset.size == 0 else (values - offset) / unit
    grey = values.astype(np.float32) / np.float32(255)
    return {"grey": grey, "signed": 2 * grey - 1, "binary": (values >= 128).astype(np.float32)}[transform["pixels"]]


def to_values(x, transform):
    """Returns x in the range of the data: images in [0, 1], vectors in their own units."""
    if transform == {"pixels": "signed"}:
        return (x + 1) / 2
    if "affine" in transform and transform["affine"]["unit"]:
        offset, unit = (np.array(transform["affine"][key], np.float32) for key in ("offset", "unit"))
        return x * unit + offset
    return x


def main(model, originals, out):
    vae, about = load(model)
    values = np.load(originals)
    x = to_x(values.reshape(len(values), -1), about["transform"])
    with torch.no_grad():
        reconstructed = vae(torch.from_numpy(x)).numpy()
    np.save(out, to_values(reconstructed, about["transform"]).reshape(values.shape))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
