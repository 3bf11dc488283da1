"""What is decided. Pure: values go in, values come out, and nothing is read, written, timed or logged."""
