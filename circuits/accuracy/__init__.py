"""How wrong a multiplier is: error metrics, closed forms, bilinear forms."""
