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

# Write anew the pages that are made from tables: directives, and which test proves which statement.
docs:
    UPDATE_DOCS=1 cargo test -p noctule-config --test reference
    UPDATE_DOCS=1 cargo test -p conformance --test page

# Licences, sources and duplicate versions of dependencies (needs cargo-deny).
deny:
    cargo deny check licenses bans sources

# The simulation over many seeds.
simulate seeds="10000":
    cargo run --release -p simulation -- --seeds {{seeds}}

# Rounds of one fault (kill, power, disconnect, mixed) under load, with books kept outside of the broker. Loss of power
# needs root.
ledger fault="kill" rounds="200" seed="1":
    cargo build --release -p noctule-cli -p ledger
    target/release/ledger --fault {{fault}} --rounds {{rounds}} --seed {{seed}} --broker target/release/noctule \
        --paho tests/.environment/paho2/bin/python

# Damages stores at random: what was kept is there, or its loss is told.
damage rounds="1000" seed="1":
    NOCTULE_DAMAGE_ROUNDS={{rounds}} NOCTULE_DAMAGE_SEED={{seed}} cargo test -p noctule-storage -- whatever_is_damaged

# Fuzz one target for a while (needs cargo-fuzz).
fuzz target seconds="300":
    RUSTC_BOOTSTRAP=1 cargo fuzz run {{target}} -- -max_total_time={{seconds}}

# The brokers that ours is compared with, into bench/.peers.
peers:
    bench/peers/install

# Measure against the ceiling and the peers, each broker on a core of its own; `bench compare --help` tells more.
bench *arguments="--scenario traffic --scenario latency --scenario state --runs 5 --markdown":
    cargo build --release -p noctule-cli -p bench
    target/release/bench compare --pinned --broker relay --broker noctule --broker mosquitto \
        --broker rumqttd --broker nats {{arguments}}

# Several shards against one: on the same core, and on two.
bench-shards *arguments="--runs 5 --markdown":
    cargo build --release -p noctule-cli -p bench
    target/release/bench compare --pinned --broker noctule --broker noctule:threads=2 \
        --scenario p2p0 --scenario fanout0 --scenario many0 --scenario one0 {{arguments}}
    target/release/bench compare --pinned --broker noctule --broker noctule:threads=2,cores=0-1 \
        --scenario latency:publishers=10,subscribers=10 {{arguments}}

# What it costs to keep what is acknowledged, beside memory, a raw log and the peers.
bench-durable *arguments="--runs 3":
    cargo build --release -p noctule-cli -p bench
    target/release/bench durable {{arguments}}

# How soon a broker with a million retained and a million queued messages of 100 000 sessions serves again.
bench-restart *arguments="--runs 3":
    cargo build --release -p noctule-cli -p bench
    target/release/bench restart {{arguments}}

# A queue of very many messages for one session: filled, drained in order, and what memory it takes.
backlog messages="10000000":
    cargo build --release -p noctule-cli -p bench
    target/release/bench compare --runs 1 --patience 1800 --markdown --broker noctule:persistence=true \
        --scenario offline:publishers=1,connections=1,window=1000,items={{messages}}

# Ten minutes of mixed load with reconnect storms, churn and slow readers, on two shards: every message accounted for,
# memory flat.
soak *arguments="--minutes 10":
    cargo build --release -p noctule-cli -p bench
    target/release/bench soak {{arguments}}
