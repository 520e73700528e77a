"""Any int8 .tflite file to C: read, simplify, place, lower, plan, emit. See docs/compile.md."""
