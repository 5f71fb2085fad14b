"""README.md of a model on the Hub, generated from its card."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from napari_flomo.models.card import ModelCard

# Licences that the Hub knows, by their SPDX identifiers in lower case.
HUB_LICENCES = {
    *("apache-2.0", "bsd-3-clause", "cc0-1.0", "mit", "cc-by-4.0", "cc-by-sa-4.0"),
    *("cc-by-nc-4.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-4.0"),
}

# Metrics that describe the cost of the training.
COSTS = ("training_hours", "training_time", "energy_kwh", "co2_kg", "hardware")

KINDS = {
    "stack": "slices of medical volumes (one slice at a time)",
    "photo": "photos and other flat images",
}


def readme_text(card: ModelCard, repo: str) -> str:
    """Return the README of a model in a repository: a YAML header and Markdown."""
    sections = [
        "---\n" + _header(card) + "---",
        f"# {card.name}",
        f"{card.network} for {KINDS[card.input_kind]}; segments {card.summary}. The file "
        "`card.json` determines how the weights are used; this page is generated from it.",
        "## Use",
        f"```bash\npip install napari-flomo\n"
        f"flomo segment image.nii.gz -o labels.nii.gz --model hf:{repo}\n```",
        "## Intended use",
        "Research and education. This is not a medical device, it has not been validated for "
        "clinical use, and must not be used for decisions about patients.",
        "## Labels",
        _labels(card),
        "## Preprocessing",
        _preprocessing(card),
        "## Training",
        card.training_data,
        *([card.protocol] if card.protocol else []),
        *_costs(card.metrics),
        "## Measured accuracy",
        _metrics(card.metrics),
        "## Limits",
        "The model was trained only on the data named above. Results may be worse for other "
        "devices, settings, patients or diseases, without a warning. Check every result, and "
        "evaluate the model on your own data before you rely on it.",
        "## Lineage and licence",
        _lineage(card),
    ]
    return "\n\n".join(sections) + "\n"


def config_text(card: ModelCard) -> str:
    """Return ``config.json``: the arguments of the network, where tools of the Hub expect them."""
    config = {
        "library_name": "napari-flomo",
        "network": card.network,
        "in_channels": card.in_channels,
        "num_classes": card.num_classes,
        "network_arguments": dict(card.network_arguments),
    }
    return json.dumps(config, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _header(card: ModelCard) -> str:
    """Return the YAML; every value is written as JSON, which is valid YAML."""
    licence = card.licence.lower().replace(" ", "-")
    header: dict[str, Any] = {"library_name": "napari-flomo"}
    if licence in HUB_LICENCES:
        header["license"] = licence
    else:
        header |= {"license": "other", "license_name": licence or "unknown"}
    header["pipeline_tag"] = "image-segmentation"
    header["tags"] = ["image-segmentation", "medical", "pytorch", "uncertainty", card.network]
    score = card.metrics.get("mean_dice")
    if isinstance(score, int | float):
        header["metrics"] = ["dice"]
        header["model-index"] = [_result(card, float(score))]
    return "".join(
        f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in header.items()
    )


def _result(card: ModelCard, score: float) -> dict[str, Any]:
    """Return the metric in the form that the Hub displays."""
    data = card.training_data.split(".")[0] or "unknown"
    part = card.metrics.get("split")
    data = f"{data} ({part} part)" if isinstance(part, str) else data
    metric = {"type": "dice", "name": "Mean Dice", "value": score}
    return {
        "name": card.name,
        "results": [
            {
                "task": {"type": "image-segmentation"},
                "dataset": {"type": "custom", "name": data},
                "metrics": [metric],
            }
        ],
    }


def _labels(card: ModelCard) -> str:
    rows = ["| code | name | SNOMED CT | colour |", "|---|---|---|---|"]
    for label in card.labels:
        term = f"{label.snomed.code} ({label.snomed.meaning})" if label.snomed else ""
        rows.append(f"| {label.code} | {_cell(label.name)} | {_cell(term)} | `{label.colour}` |")
    return "\n".join(rows)


def _preprocessing(card: ModelCard) -> str:
    steps = card.preprocessing
    size = "not resampled"
    if steps.pixel_mm is not None:
        size = f"resampled to {steps.pixel_mm:g} mm"
    elif steps.size is not None:
        size = f"resampled, longer side {steps.size}"
    view = "whole image" if steps.crop is None else f"centred square of {steps.crop} pixels"
    rule, channels = steps.intensity, str(card.in_channels)
    if steps.neighbours:
        channels += f" (each slice between its {steps.neighbours} above and below)"
    return "\n".join(
        [
            f"- pixels: {size}; field of view: {view}; channels: {channels}",
            f"- intensities: percentiles {rule.low:g} and {rule.high:g} of the {rule.per} become "
            "0 and 1",
            f"- output: {card.activation} of the logits divided by {card.temperature:g}"
            + (f", threshold {card.threshold:g}" if card.activation == "sigmoid" else ""),
        ]
    )


def _metrics(metrics: Mapping[str, Any]) -> str:
    rows = [(name, value) for name, value in flatten(metrics) if name not in COSTS]
    protocol = [str(value) for name, value in rows if name == "protocol"]
    rows = [(name, value) for name, value in rows if name != "protocol"]
    if not rows:
        return "Not measured."
    lines = ["| metric | value |", "|---|---|"]
    lines += [f"| {_cell(name)} | {_cell(_shown(value))} |" for name, value in rows]
    text = "\n".join(lines)
    return f"{text}\n\nProtocol: {protocol[0]}." if protocol else text


def _costs(metrics: Mapping[str, Any]) -> list[str]:
    """Return the cost of the training, as far as it is in the card."""
    named = [
        f"{name.replace('_', ' ')}: {_shown(metrics[name])}" for name in COSTS if name in metrics
    ]
    return [f"Cost of the training: {'; '.join(named)}."] if named else []


def _lineage(card: ModelCard) -> str:
    return "\n".join(
        [
            f"- licence of the weights: {card.licence}",
            f"- tuned from: {_cell(card.parent or 'no other model')}",
            *(
                f"  - {_cell(key)}: {_cell(_shown(value))}"
                for key, value in flatten(card.lineage or {})
            ),
            *_gate(card),
            f"- created: {card.created or 'date unknown'}",
            f"- SHA-256 of `model.safetensors`: `{card.sha256}`",
            f"- hash of the card: `{card.card_hash}`",
            *(_earlier(version) for version in card.history),
        ]
    )


def _gate(card: ModelCard) -> list[str]:
    """Return the lines on the comparison with the parent."""
    if card.gate is None:
        return [] if card.parent is None else ["- compared with its parent: not yet"]
    lines = [f"- compared with its parent: {_cell(str(card.gate.get('verdict')))}"]
    return lines + [f"  - {_cell(str(reason))}" for reason in card.gate.get("reasons", ())]


def _earlier(version: Mapping[str, Any]) -> str:
    """Return the line on earlier weights of the same name."""
    dice = version.get("metrics", {}).get("mean_dice")
    figure = "" if dice is None else f", mean Dice {_shown(dice)}"
    return f"- previous: weights of {version.get('created')}{figure}, `{version.get('sha256')}`"


def flatten(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested values with their names joined: ``("dice, left ventricle, ED", 0.93)``."""
    for name, value in values.items():
        key = f"{before}, {name}" if before else str(name)
        if isinstance(value, Mapping):
            yield from flatten(value, key)
        else:
            yield key, value


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " to ".join(map(_shown, value)) if len(value) == 2 else ", ".join(map(_shown, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cell(text: str) -> str:
    """Escape a text for a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")
