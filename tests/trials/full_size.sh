#!/usr/bin/env bash
# Stable Diffusion 1.5 at its full size: full_size.sh DREAMFUSE MODEL [SIGNALS]. MODEL is a folder that
# `benches/peers/full_size.py make sd15 MODEL` wrote. Four items by themselves, then side by side: time and peak memory. Then
# SIGTERM at random moments of a run after its first step: each has to save within a second and end with 75.
set -euo pipefail
dreamfuse=$(realpath "$1") model=$(realpath "$2") signals=${3:-10}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work"
printf '%s\n' "a car" "a cup" "a red mushroom" "a golden teapot" > prompts.txt
cat > settings.toml <<END
views = 1
mesh_cells = 32
mesh_faces = 2000
texture_size = 128
END
for together in 1 4; do
  "$dreamfuse" batch plan prompts.txt --out "runs$together" --config settings.toml --prior "$model" --steps 1 --quiet > /dev/null
  /usr/bin/time -f "%e %M" -o "time$together" "$dreamfuse" batch run "runs$together" --index 0 --items-per-task 4 \
    --together "$together" > "log$together" 2>&1 || { cat "log$together"; exit 1; }
  read -r seconds memory < "time$together"
  echo "$together at a time: $seconds s, $((memory / 1024)) MiB"
done
same=0
for folder in runs1/*/; do
  cmp -s "$folder/mesh.glb" "runs4/$(basename "$folder")/mesh.glb" && same=$((same + 1))
done
echo "$same of 4 meshes have the same bytes"

"$dreamfuse" "a car" --prior "$model" --config settings.toml --set preview_every=1 --steps 1000 --out run > log 2>&1 & run=$!
longest=0
for i in $(seq "$signals"); do
  until [ "$(grep -cs '"event":"started"' run/events.jsonl)" = "$i" ] && grep -q '"event":"preview"' run/events.jsonl; do sleep 0.5; done
  sleep $((RANDOM % 20))
  begin=$(date +%s%N)
  kill -TERM $run
  code=0; wait $run || code=$?
  milliseconds=$((($(date +%s%N) - begin) / 1000000))
  [ $code = 75 ] || { echo "it ended with $code"; tail -3 log; exit 1; }
  [ $milliseconds -lt 1000 ] || { echo "it took $milliseconds ms"; exit 1; }
  [ $milliseconds -le $longest ] || longest=$milliseconds
  "$dreamfuse" resume run > log 2>&1 & run=$!
done
kill -KILL $run
echo "$signals SIGTERMs after the first step: saved and ended within $longest ms each"
