"""What can be told, once for all: kinds of values, and the text that names each mistake's line."""
