"""Reading an int8 .tflite as a typed graph, and checking it; fixed-point arithmetic."""
