"""What a SavedModel's protobuf says, read without TensorFlow."""
