"""Commands about what multipliers are made of or followed by: adders, compressors, architectures."""
