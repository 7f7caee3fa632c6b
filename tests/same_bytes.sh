#!/usr/bin/env bash
# Does this tree compute what an earlier commit computed? Builds both, runs a small prompt with the earlier
# commit's weights and configuration, and compares the meshes byte by byte.
#   tests/same_bytes.sh COMMIT
# Runs of 8b691c5 had these bytes up to 4fb7b1d. Since then random numbers are drawn view by view, and others.
set -euo pipefail
cd "$(dirname "$0")/.."
commit=${1:?a commit}
work=$(mktemp -d)
trap 'git worktree remove --force "$work/tree" 2> /dev/null; rm -rf "$work"' EXIT
git worktree add --quiet --detach "$work/tree" "$commit"
export CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")
(cd "$work/tree" && cargo build --release --quiet)
cp "$CARGO_TARGET_DIR/release/dreamfuse" "$work/earlier"
cargo build --release --quiet

"$work/earlier" "a red mushroom" --steps 40 --seed 7 --out "$work/before"
weights=$work/tree/crates/dreamfuse-diffusion/assets/embedded-prior
sed "s#^prior = .*#prior = \"$weights\"#" "$work/before/config.toml" > "$work/pinned.toml"
"$CARGO_TARGET_DIR/release/dreamfuse" "a red mushroom" --config "$work/pinned.toml" --out "$work/after"
for file in mesh.glb mesh.ply; do
  cmp "$work/before/$file" "$work/after/$file" || { echo "$file differs from $commit's"; exit 1; }
done
echo "mesh.glb and mesh.ply have the bytes of $commit"
