//! Everything that is received is bounded: answers, dead-letter files, arguments.
