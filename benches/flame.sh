#!/usr/bin/env bash
# Where the time of a step goes: records the default run with Linux's perf and draws docs/flame-step.svg. Needs perf and
# `cargo install inferno`. Frames of the thread pool are left out: every parallel piece is shown under what asked for it.
set -euo pipefail
cd "$(dirname "$0")/.."
executable=$(cargo bench --workspace --bench measure --no-run --message-format json |
  sed -n 's/.*"executable":"\([^"]*measure-[^"]*\)".*/\1/p')
data=$(mktemp)
trap 'rm -f "$data"' EXIT
perf record --output "$data" --call-graph dwarf,32768 --freq 99 "$executable" step 100 > /dev/null
perf script --input "$data" 2> /dev/null | inferno-collapse-perf |
  # A line is frames between semicolons, a space and a count.
  awk '{ count = $NF; sub(/ [0-9]+$/, ""); n = split($0, frames, ";"); kept = "step"
         for (i = 2; i <= n; i++)
           if (frames[i] !~ /^<*(rayon|core|std|alloc|pulp|measure::|main|_start|start_thread|clone|__libc|\[unknown)/)
             kept = kept ";" frames[i]
         print kept, count }' |
  inferno-flamegraph --title "A step of the default run" --minwidth 0.3 > docs/flame-step.svg
