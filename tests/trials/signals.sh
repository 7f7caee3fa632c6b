#!/usr/bin/env bash
# SIGTERM twice within a millisecond, at random moments: signals.sh DREAMFUSE [COUNT]. Each run has to end within a second
# with 75 and leave a state that resumes, or, before anything was begun, nothing.
set -euo pipefail
dreamfuse=$(realpath "$1") count=${2:-200}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work"
printf 'views = 1\n[scene]\nlevels = 4\nfinest = 32\nlog2_table = 12\nhidden = 16\noccupancy_cells = 16\n' > small.toml
saved=0 unbegun=0 longest=0
for i in $(seq "$count"); do
  "$dreamfuse" --threads 1 "a car" --steps 100000 --config small.toml --out "run$i" > log 2>&1 & run=$!
  sleep "0.$(printf %03d $((RANDOM % 900)))"
  begin=$(date +%s%N)
  kill -TERM $run; kill -TERM $run 2> /dev/null || true
  code=0; wait $run || code=$?
  milliseconds=$((($(date +%s%N) - begin) / 1000000))
  [ $milliseconds -lt 1000 ] || { echo "run $i took $milliseconds ms to end"; exit 1; }
  [ $milliseconds -le $longest ] || longest=$milliseconds
  [ $code = 75 ] || [ $code = 143 ] || { echo "run $i ended with $code"; cat log; exit 1; }
  if [ -e "run$i/config.toml" ]; then
    ls "run$i"/checkpoints/*.checkpoint > /dev/null; saved=$((saved + 1))
  else
    [ ! -e "run$i/events.jsonl" ]; unbegun=$((unbegun + 1))
  fi
  rm -rf "run$i"
done
echo "$count pairs of SIGTERM: $saved saved states, $unbegun runs had not begun, 0 lost, the longest took $longest ms"
