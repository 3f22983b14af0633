"""What the inputs of a model are fed with: tensors, serialized messages, pictures; and which column each means."""
