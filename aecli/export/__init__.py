"""A trained map for other programs: ONNX, TensorBoard's projector, CSV, PyTorch, model hubs."""
