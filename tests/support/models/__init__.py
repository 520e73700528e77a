"""Small .tflite files, by subject: what the tests compile and the fuzzers mutate."""
