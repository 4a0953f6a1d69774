"""Code generation: LLVM IR for LUT programs and for the float and integer kernels around them."""
