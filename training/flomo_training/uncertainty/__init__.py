"""How honest a model's doubt is: calibration, errors found, predicted Dice, shifted images."""
