"""foveate against PyTorch: training steps, inference and start-up, each measured in one run; see README.md."""
