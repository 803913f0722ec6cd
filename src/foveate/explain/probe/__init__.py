"""What asks a model: its layers, activations, gradients, and what is computed from them. It draws nothing."""
