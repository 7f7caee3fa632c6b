#!/usr/bin/env bash
# What an item asks of a shared file system: metadata.sh DREAMFUSE. Counts the system calls that name a path under RUNS in one
# task of the default settings, and what a thousand nodes would make of them. Needs strace.
set -euo pipefail
dreamfuse=$(realpath "$1")
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work"
echo "a golden teapot" > prompts.txt
"$dreamfuse" batch plan prompts.txt --out runs --quiet > /dev/null
start=$(date +%s)
strace -f -qq --seccomp-bpf -e trace=%file,fsync,fdatasync -o calls "$dreamfuse" batch run runs --index 0 --quiet > /dev/null
seconds=$(($(date +%s) - start))
named=$(grep -c '"runs' calls) synced=$(grep -c 'sync(' calls)
awk -v named="$named" -v synced="$synced" -v seconds="$seconds" 'BEGIN {
  printf "%d calls that name a path and %d syncs in %d s: %.1f a second\n", named, synced, seconds, (named + synced) / seconds
  printf "a thousand nodes with one task each: %.0f a second\n", 1000 * (named + synced) / seconds }'
