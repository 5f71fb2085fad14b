"""The choices of the user in the module's parameter node, saved with the scene."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any


def _default_threshold() -> float:
    from napari_flomo.session import uncertainty_maps

    return uncertainty_maps.THRESHOLD


@dataclass(frozen=True)
class Parameters:
    """The choices of the panel.

    Attributes
    ----------
    model
        Name or folder; empty for the default.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    scope
        ``"slice"``, ``"stack"`` or ``"all"``, see `Scope.of_choice`.
    mirrored
        Whether to average over mirror images.
    show_uncertainty
        Whether the uncertainty map is shown over the image.
    opacity
        Opacity of the uncertainty map, 0 to 1.
    threshold
        Uncertainty below this is transparent, 0 to 1.
    """

    model: str = ""
    device: str = "auto"
    scope: str = "stack"
    mirrored: bool = False
    show_uncertainty: bool = False
    opacity: float = 0.6
    threshold: float = field(default_factory=_default_threshold)


def read(node: Any) -> Parameters:
    """Read the choices; missing or invalid ones get their default."""
    from napari_flomo.session import messages

    default = Parameters()
    devices, scopes = (
        {name for _title, name, _tip in known} for known in (messages.DEVICES, messages.SCOPES)
    )
    found = {one.name: node.GetParameter(one.name) for one in fields(Parameters)}
    return Parameters(
        model=found["model"] or default.model,
        device=found["device"] if found["device"] in devices else default.device,
        scope=found["scope"] if found["scope"] in scopes else default.scope,
        mirrored=found["mirrored"] == "true",
        show_uncertainty=(found["show_uncertainty"] or node.GetParameter("show_doubt")) == "true",
        opacity=_fraction(found["opacity"], default.opacity),
        threshold=_fraction(found["threshold"], default.threshold),
    )


def write(node: Any, parameters: Parameters) -> None:
    """Write the choices as one modification of the node."""
    changing = node.StartModify()
    try:
        for one in fields(parameters):
            value = getattr(parameters, one.name)
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if node.GetParameter(one.name) != text:
                node.SetParameter(one.name, text)
    finally:
        node.EndModify(changing)


def change(node: Any, **changes: Any) -> Parameters:
    """Change some of the choices and return all."""
    parameters = replace(read(node), **changes)
    write(node, parameters)
    return parameters


def image(node: Any) -> Any:
    """Return the chosen volume or sequence node; None without one."""
    return node.GetNodeReference("image")


def choose_image(node: Any, chosen: Any) -> None:
    """Set the chosen volume or sequence node."""
    wanted = None if chosen is None else chosen.GetID()
    if node.GetNodeReferenceID("image") != wanted:
        node.SetNodeReferenceID("image", wanted)


def _fraction(text: str | None, default: float) -> float:
    try:
        value = float(text or "")
    except ValueError:
        return default
    return value if 0 <= value <= 1 else default
