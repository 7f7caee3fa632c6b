#!/usr/bin/env bash
# Many jobs share a cached model: cache.sh DREAMFUSE MODEL_FOLDER. Four times 60 at once and 100 offline ones beside them, with
# locks and links and without; then a cache that is read only. Needs Python and a C compiler.
set -euo pipefail
dreamfuse=$(realpath "$1") model=$(realpath "$2") here=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
python3 "$here/hub.py" 8917 "$model" & hub=$!
trap 'kill $hub; rm -rf "$work"' EXIT
cc -shared -fPIC -O1 -o "$work/without.so" "$here/without.c"
cd "$work"
export HF_ENDPOINT=http://127.0.0.1:8917
sleep 1
job() { "$dreamfuse" --threads 1 prior sample "a red apple" --prior toy/model --steps 1 -o "$1.png" > "$1.log" 2>&1 || echo "$1: $(cat "$1.log")" >> failures; }
round() { # NAME COUNT
  touch failures
  for i in $(seq "$2"); do job "$1-$i" & pids[$i]=$!; done
  for i in $(seq "$2"); do wait "${pids[$i]}"; done
}
for library in "" "$work/without.so"; do
  export HF_HOME=$work/home-${library:+without} LD_PRELOAD=$library
  for n in 1 2 3 4; do round "online$n" 60; done
  (export HF_HUB_OFFLINE=1; round offline 100) & offline=$!
  round beside 60
  wait $offline
  echo "locks and links ${library:+taken away}: 300 online and 100 offline jobs, $(wc -l < failures) failures"
  cat failures; [ ! -s failures ]
done
unset LD_PRELOAD
chmod -R a-w "$HF_HOME"
if [ "$(id -u)" = 0 ] && command -v setpriv > /dev/null; then
  chmod a+rx "$work"; as="setpriv --reuid=65534 --clear-groups"
else as=""; fi
mkdir -m 777 "$work/out"
HOME=$work/out $as "$dreamfuse" prior sample "a red apple" --prior toy/model --steps 1 -o "$work/out/x.png" > "$work/out/log" 2>&1 || { cat "$work/out/log"; exit 1; }
chmod -R u+w "$HF_HOME"
echo "a read-only cache: read"
