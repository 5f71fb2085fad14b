"""Quality of a model's uncertainty: calibration, error detection, predicted Dice, robustness."""
