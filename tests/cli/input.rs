//! What `run` reads: standard input, pipes, compressed and unexpected files; and what becomes of its output.
