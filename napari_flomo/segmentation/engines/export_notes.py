"""The documentation of an exported graph: the steps before and after it."""

from __future__ import annotations

from typing import Any

from napari_flomo.models import ModelCard

LAYOUT = 1
"""Version of ``preprocessing.json``; incremented when a key changes its meaning."""

OPENVINO_NUMBERS = """

On a processor with bfloat16, OpenVINO uses it by default, which changes some labels. Compile with
`INFERENCE_PRECISION_HINT` set to `f32`, for example
`core.compile_model("model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})`."""


def preprocessing_notes(card: ModelCard, size: tuple[int, int], graph: str) -> dict[str, Any]:
    """Return the content of ``preprocessing.json`` for a graph, its size and file name."""
    steps, rule = card.preprocessing, card.preprocessing.intensity
    softmax = card.activation == "softmax"
    neighbours = {
        "step": "neighbours",
        "above_and_below": steps.neighbours,
        "channels": "those above, the slice itself, those below, in the order of the stack; "
        "0 where the stack ends",
    }
    return {
        "layout": LAYOUT,
        "graph": graph,
        "model": {
            "name": card.name,
            "network": card.network,
            "weights_sha256": card.sha256,
            "card_sha256": card.card_hash,
            "licence": card.licence,
        },
        "before": [
            {
                "step": "intensity",
                "rule": rule.rule,
                "low_percentile": rule.low,
                "high_percentile": rule.high,
                "over": "all slices of one frame"
                if card.input_kind == "stack"
                else "the whole photo",
                "becomes": [0, 1],
                "clipped": True,
                "image_of_one_value_becomes": 0,
            },
            {
                "step": "resample",
                "pixel_mm": steps.pixel_mm,
                "longer_side": steps.size,
                "new_pixels": "round(pixels x spacing / pixel_mm)"
                if steps.pixel_mm
                else "round(pixels x longer_side / the longer side)"
                if steps.size
                else "as they are",
                "interpolation": "bilinear, outer edges of the image stay where they are (half "
                "pixel centres); antialiased where pixels grow",
            },
            {
                "step": "crop",
                "pixels": steps.crop,
                "where": "centred: begins at floor((resampled - pixels) / 2), for rows and for "
                "columns; what lies outside the image is 0"
                if steps.crop
                else "nothing is cut: the resampled image must have the size of the graph",
            },
            *([neighbours] if steps.neighbours else []),
        ],
        "input": {
            "name": "image",
            "type": "float32",
            "axes": ["slices", "channels", "rows", "columns"],
            "shape": [None, card.in_channels, *size],
        },
        "output": {
            "name": "logits",
            "type": "float32",
            "axes": ["slices", "classes", "rows", "columns"],
            "shape": [None, card.num_classes, *size],
        },
        "after": {
            "probabilities": f"{card.activation}(logits / temperature)",
            "activation": card.activation,
            "temperature": card.temperature,
            "way_back": "undo the crop (outside it the background is certain), resample the "
            "probabilities to the image as above, then decide",
            "decision": "the class with the highest probability"
            if softmax
            else "the structure with the highest probability, if that reaches the threshold; "
            "else the background",
            "threshold": None if softmax else card.threshold,
            "postprocessing": card.postprocessing,
        },
        "classes": [
            {"channel": channel, "code": label.code, "name": label.name, "colour": label.colour}
            for channel, label in enumerate(card.classes)
        ],
    }


def readme(card: ModelCard, size: tuple[int, int], graph: str) -> str:
    """Return the text of ``README.md``."""
    is_onnx = graph.endswith(".onnx")
    runtime = "ONNX Runtime" if is_onnx else "OpenVINO"
    numbers = "" if is_onnx else OPENVINO_NUMBERS
    first = ", ".join(f"{label.code} {label.name}" for label in card.labels)
    return f"""# {card.name}, for {runtime}

`{graph}` maps `image` (float32: slices, {card.in_channels} channel(s), {size[0]} rows,
{size[1]} columns) to `logits` (slices, {card.num_classes} classes, rows, columns). Any number of
slices goes.{numbers}

- `preprocessing.json`: what is done to an image first, and to the logits afterwards. A network
  that is given other pixels or intensities than it was trained on gives wrong labels without any
  sign of it.
- `example.npz`: an image and its logits. Before use, check that your own program gets the same.
- `card.json`: the card of the model: training data, measured accuracy, licence.

Labels: {first}.

Licence of the weights: {card.licence}. Trained on: {card.training_data}

Not a medical device. Exported by napari-flomo.
"""
