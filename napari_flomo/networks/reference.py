"""Load weights of the official Keras code into a network in reference form."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import nn

LEAVES = {
    "kernel": "weight",
    "gamma": "weight",
    "bias": "bias",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
"""Keras' names of variables, and PyTorch's."""


def to_torch(array: np.ndarray, module: nn.Module) -> np.ndarray:
    """Transpose a Keras array to the layout of the PyTorch module.

    Convolution kernels are ``(kh, kw, in, out)`` in Keras, depthwise kernels ``(kh, kw, C, 1)``,
    dense kernels ``(in, out)``.
    """
    if array.ndim == 4:
        is_depthwise = isinstance(module, nn.Conv2d) and module.groups > 1
        return array.transpose(2, 3, 0, 1) if is_depthwise else array.transpose(3, 2, 0, 1)
    return array.T if array.ndim == 2 else array


def load_reference_weights(network: nn.Module, path: str | os.PathLike[str]) -> None:
    """Load official weights into a network (or module) in reference form, in place.

    Parameters
    ----------
    network
        Built with ``reference=True``.
    path
        ``.npz`` of float arrays named ``<module>.<layer>.<leaf>`` in Keras' layouts.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If an array is missing, unknown or of the wrong shape; the network is then unchanged.
    """
    with np.load(Path(path), allow_pickle=False) as archive:
        load_reference_arrays(network, {name: archive[name] for name in archive.files})


def load_reference_arrays(network: nn.Module, arrays: dict[str, np.ndarray]) -> None:
    """Load arrays named and laid out as `load_reference_weights` expects."""
    modules = dict(network.named_modules())
    state = network.state_dict()
    wanted = {name for name in state if not name.endswith("num_batches_tracked")}
    loaded: dict[str, torch.Tensor] = {}
    for name, array in arrays.items():
        module_name, _, leaf = name.rpartition(".")
        own = f"{module_name}.{LEAVES.get(leaf, leaf)}"
        if own not in wanted:
            raise ValueError(f"the network has no place for the array {name}")
        value = torch.from_numpy(to_torch(array, modules[module_name]).copy())
        if value.shape != state[own].shape:
            expected = tuple(state[own].shape)
            raise ValueError(f"the array {name} gives {tuple(value.shape)}, not {expected}")
        loaded[own] = value.to(state[own].dtype)
    if missing := wanted - loaded.keys():
        raise ValueError(f"{len(missing)} arrays are missing, the first is {min(missing)}")
    network.load_state_dict({**state, **loaded})
