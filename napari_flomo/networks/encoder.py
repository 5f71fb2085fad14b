"""The base of encoders with published weights."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn


class Encoder(nn.Module):
    """Base class: prepares images and returns feature maps at several strides.

    Parameters
    ----------
    in_channels
        Channels of the images. A single channel is repeated three times, so that the first
        convolution keeps the shape of the published weights; other numbers change its shape.
    normalise
        Whether to subtract ``mean`` from images in 0..1 and divide by ``std``, as the published
        weights expect. Only for one or three channels.

    Attributes
    ----------
    channels
        Of the maps that `forward` returns, finest first.
    stem
        Name of the weights of the first convolution.
    unused
        Prefixes of tensors of published files that are not used here.
    """

    channels: tuple[int, ...]
    stem: str
    unused: tuple[str, ...]
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __init__(self, in_channels: int, normalise: bool) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.stem_channels = 3 if in_channels == 1 else in_channels
        if normalise and self.stem_channels != 3:
            raise ValueError(f"images of {in_channels} channels have no ImageNet mean")
        self.normalise = normalise

    def prepare(self, images: Tensor) -> Tensor:
        """Return the input of the first convolution for ``(N, in_channels, H, W)`` in 0..1."""
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            wanted = f"(N, {self.in_channels}, H, W)"
            raise ValueError(f"expected {wanted}, got {tuple(images.shape)}")
        if self.in_channels == 1:
            images = images.expand(-1, 3, -1, -1)
        if self.normalise:
            images = (images - images.new_tensor(self.mean)[:, None, None]) / images.new_tensor(
                self.std
            )[:, None, None]
        return images

    def initialise(self) -> None:
        """Initialise convolutions: Kaiming normal weights (fan out), zero biases."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


def load_encoder(encoder: Encoder, tensors: Mapping[str, Tensor]) -> None:
    """Copy published weights, by timm's names, into an encoder in place.

    The classifier and deeper stages are ignored. For images of two, four or more channels the
    kernels of red, green and blue are summed and shared equally. Raises `ValueError` if a tensor is
    missing, unknown or has another shape; the encoder is then unchanged.
    """
    own = encoder.state_dict()
    given = {
        name: tensor
        for name, tensor in tensors.items()
        if not name.startswith(encoder.unused) and not name.endswith("num_batches_tracked")
    }
    if strangers := sorted(given.keys() - own.keys()):
        raise ValueError(f"the encoder has no place for the tensor {strangers[0]}")
    if encoder.stem in given and encoder.stem_channels != 3:
        given[encoder.stem] = _other_channels(given[encoder.stem], encoder.stem_channels)
    for name, value in own.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name not in given:
            raise ValueError(f"the tensor {name} is missing")
        if given[name].shape != value.shape:
            found, expected = tuple(given[name].shape), tuple(value.shape)
            raise ValueError(f"the tensor {name} gives {found}, not {expected}")
    encoder.load_state_dict({**own, **{name: tensor.float() for name, tensor in given.items()}})


def _other_channels(kernel: Tensor, channels: int) -> Tensor:
    """Return an RGB kernel ``(F, 3, k, k)`` for another number of channels."""
    return kernel.sum(1, keepdim=True).expand(-1, channels, -1, -1) / channels
