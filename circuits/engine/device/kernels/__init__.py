"""The kernels, each written once for the device and the host (`thread_code`)."""
