# The commands of a contributor: `just` lists them, `just check` runs the gate.

_list:
    @just --list --unsorted

# The main job on a sample
run *arguments="events/kinesis-burst.json":
    cargo run --release -- run {{ arguments }}

# Everything that needs only Rust
test *filter:
    cargo test --locked {{ filter }}

# Real processes against moto and the emulator; needs Python 3.11
e2e *filter:
    cargo e2e {{ filter }}

# Format and lint, as the gate does
lint:
    cargo fmt --all
    cargo clippy --locked --all-features --all-targets -- -D warnings
    cargo clippy --locked -- -D warnings
    cargo clippy --locked --no-default-features --lib -- -D warnings

# The whole gate
check:
    .ci/run

# A bench by name, with the settings of what ships: decode, filter, interleaved, invocation
bench name *arguments:
    cargo bench --bench {{ name }} -- {{ arguments }}

# Instructions of an invocation against their limits; needs valgrind
instructions:
    tests/tools/instructions.sh

# The function as it ships, for this machine's processor
dist:
    cargo build --locked --profile dist --no-default-features --features lambda,libdeflate --bin stentor-lambda

# The operator's tool
install:
    cargo install --locked --path . --features aws

# The documentation of the crate
doc:
    cargo doc --locked --all-features --no-deps --document-private-items --open
