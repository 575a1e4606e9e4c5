# Everyday commands. `just --list` shows them.

# Build and run the broker.
run *arguments:
    cargo run --release -- broker {{arguments}}

# Everything CI checks.
test:
    ./tests/run

# Formatting and lints, as CI asks for them.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Licences, sources and duplicate versions of dependencies (needs cargo-deny).
deny:
    cargo deny check licenses bans sources

# The simulation over many seeds.
simulate seeds="10000":
    cargo run --release -p simulation -- --seeds {{seeds}}

# Fuzz one target for a while (needs cargo-fuzz).
fuzz target seconds="300":
    RUSTC_BOOTSTRAP=1 cargo fuzz run {{target}} -- -max_total_time={{seconds}}

# Measure against the ceiling, each on its own core.
bench *arguments="--scenario p2p0 --scenario fanout0 --runs 5":
    cargo build --release -p noctule-cli -p bench
    target/release/bench compare --broker relay --broker target/release/noctule --pinned {{arguments}}
