"""Matrix products on a CUDA device: kernels as LLVM IR, PTX made by llvmlite, the CUDA driver called by ctypes.

One thread is to the device what a block is to the processor: its 32-bit registers hold bit-planes of 32 lanes. No
thread talks to another, except that those of a block share a table, so that the same IR compiled for the host, with the
launch grid as loops (`launching.HostLaunches`), computes the same bits. Nothing here needs a device or knows torch.

The way of a matrix product of floats or wide integers, `gate_products`:

    operand in lanes -> packing_kernel -> planes in device memory --.
    the other operand, one word at a time ------------------------> gate_matmul_kernel -> sums

Narrow codes take `table_products`: every product of two codes is computed once, and looked up in shared memory. So are
the products of fractions of bfloat16 and its like (`fraction_products`). `product_modules` chooses.
"""
