"""Records framed by lengths and checksums, as TensorFlow writes them."""
