"""The native engine: oneDNN's primitives and kernels of our own, compiled into programs. `engine` is its front."""
