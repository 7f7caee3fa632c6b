#!/usr/bin/env bash
# SIGKILL at random moments, inside the writing of checkpoints too: kills.sh DREAMFUSE [COUNT]. Each item is started again and
# has to end in the bytes of an undisturbed one.
set -euo pipefail
dreamfuse=$(realpath "$1") count=${2:-200} here=$(realpath "$(dirname "$0")")
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work"
# A checkpoint each second step: most kills fall into one's writing or next to it.
sed 's/^checkpoint_every = .*/checkpoint_every = 2/' "$here/small.toml" > small.toml
printf 'a red car\n' > prompts.txt
plan() { "$dreamfuse" batch plan prompts.txt --out "$1" --steps 60 --config small.toml > /dev/null 2>&1; }
key() { sed 's/.*"key":"\([0-9a-f]*\)".*/\1/' "$1/plan.jsonl"; }
plan undisturbed
"$dreamfuse" --threads 1 batch run undisturbed --index 0 > /dev/null 2>&1
killed=0 partial=0 finished=0
for i in $(seq "$count"); do
  plan runs
  "$dreamfuse" --threads 1 batch run runs --index 0 > log 2>&1 & run=$!
  sleep "$((RANDOM % 2)).$(printf %03d $((RANDOM % 1000)))"
  if kill -KILL $run 2> /dev/null; then killed=$((killed + 1)); else finished=$((finished + 1)); fi
  wait $run 2> /dev/null || true
  if ls -A runs/*/checkpoints 2> /dev/null | grep -q partial; then partial=$((partial + 1)); fi
  "$dreamfuse" --threads 1 batch run runs --index 0 > log 2>&1 || { cat log; exit 1; }
  cmp "runs/$(key runs)/mesh.glb" "undisturbed/$(key undisturbed)/mesh.glb"
  rm -rf runs
done
echo "$killed killed, $partial of them while a checkpoint was written, $finished had ended before; $count results, all with the bytes of an undisturbed run"
