#!/usr/bin/env bash
# Seconds from the command to its first finished step, size of the stripped binary, and peak memory of a run of STEPS
# steps (the default run's 800 unless said otherwise).
set -euo pipefail
cd "$(dirname "$0")/.."
steps=${1:-800}
cargo build --release --quiet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
strip -o "$work/dreamfuse" target/release/dreamfuse
echo "stripped binary: $(($(stat -c %s "$work/dreamfuse") / 1000000)) MB"
start=$(date +%s%N)
# The first step is logged when it is the last one.
"$work/dreamfuse" "a squirrel at an easel" --seed 1 --steps 1 --out "$work/first" > /dev/null 2>&1 &
until grep -qs '"step"' "$work/first/events.jsonl"; do sleep 0.005; done
echo "first step after $((($(date +%s%N) - start) / 1000000)) ms"
wait
/usr/bin/time -f 'peak memory of '"$steps"' steps: %M KiB, %e s' \
  "$work/dreamfuse" "a squirrel at an easel" --seed 1 --steps "$steps" --out "$work/whole" > /dev/null 2> "$work/log"
tail -1 "$work/log"
