"""Quality of a model's uncertainty: calibration, errors found, predicted Dice, shifted images."""
