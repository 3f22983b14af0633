"""From a model's address to the SavedModel that is run: containers, archives, Keras files."""
