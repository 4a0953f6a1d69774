"""What expressions and statements are worth: widths and signs, constants, nets."""
