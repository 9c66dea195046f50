#!/usr/bin/env bash
# Counts the instructions of one invocation under callgrind and compares them with inflate alone and with
# naive Rust (benches/instructions.rs). Time depends on what else a machine does; this does not.
#
# The limits are for processors with AVX2, on the fixed payloads of the bench, at 0.1 % of matches.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Shape and lines for each request, most of Stentor / inflate alone, most of Stentor / naive: in thousandths, a little
# above the measured values. They hold for the profile `release`, which builds without LTO; with the fat LTO of `dist`
# the first is up to 25 lower.
limits=("large-1 1195 184" "small-1 1214 184" "large-3 1260 148" "small-3 1281 153")

# The most for one alert: redaction, statement, pattern and tally, without finding it.
alert_limit=62500

if ! command -v valgrind >/dev/null; then
    echo "valgrind is missing: install it (apt-get install valgrind)" >&2
    exit 1
fi
if ! grep -qs avx2 /proc/cpuinfo; then
    echo "the limits hold for processors with AVX2, and this is none" >&2
    exit 1
fi

# The features of the end-to-end tests, whose build this shares.
cargo build --locked --release --features aws,lambda --example instructions
bench=${CARGO_TARGET_DIR:-target}/release/examples/instructions
scratch=target/tmp/instructions
mkdir -p "$scratch"
"$bench" make "$scratch"

count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$bench" "$1" "$scratch/$2.json" 2>&1 |
        sed -n 's/.*Collected : //p'
}

failed=0
for limit in "${limits[@]}"; do
    read -r shape of_inflate of_naive <<<"$limit"
    nothing=$(count nothing "$shape")
    inflate=$(($(count inflate "$shape") - $(count inflate-ready "$shape")))
    naive=$(($(count naive "$shape") - nothing))
    stentor=$(($(count stentor "$shape") - nothing))
    echo "$shape: $((stentor / 1000)) thousand instructions:" \
        "$((1000 * stentor / inflate)) ‰ of inflate alone (at most $of_inflate)," \
        "$((1000 * stentor / naive)) ‰ of naive Rust (at most $of_naive)"
    ((1000 * stentor <= of_inflate * inflate && 1000 * stentor <= of_naive * naive)) || failed=1
done

# The second of two rounds, less the search for the log events.
alerts=$("$bench" alerts-once "$scratch/alerts.json")
round() { echo $(($(count "$1-twice" alerts) - $(count "$1-once" alerts))); }
each=$((($(round alerts) - $(round hits)) / alerts))
echo "one alert: $each instructions (at most $alert_limit)"
((each <= alert_limit)) || failed=1
exit $failed
