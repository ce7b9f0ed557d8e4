#!/usr/bin/env bash
# Publishing a folder of real archives, against what merely copying and decompressing them costs.
#   benches/ingest.sh FOLDER-OF-.crate-FILES [ROUNDS]
# Interleaved, one after the other in every round, so that a machine that slows down slows down all; prints medians and the
# ratio. The registry is on the same file system as the copies.
set -euo pipefail
crates=$(realpath "${1:?usage: benches/ingest.sh FOLDER [ROUNDS]}")
rounds=${2:-7}
bin=$(realpath "${GGEN_MARKET:-${CARGO_TARGET_DIR:-target}/release/ggen-market}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export HOME=$work GGEN_MARKET_CACHE=$work/cache

# seconds COMMAND...: how long it takes.
seconds() {
  local began=$EPOCHREALTIME
  "$@" >/dev/null 2>&1
  awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f\n", b - a }'
}
copy() { cp -r "$crates" copy; }
inflate() { find "$crates" -name '*.crate' -print0 | xargs -0 -P2 -n 64 gzip -dc >/dev/null; }
publish() { "$bin" build --quiet --source "$crates" || [[ $? == 3 ]]; }
unchanged() { publish; }
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

for ((round = 0; round <= rounds; round++)); do
  rm -rf copy registry cache ggen-market.*
  "$bin" init --quiet --store registry --origin bench.example.com >/dev/null
  for what in copy inflate publish unchanged; do
    # The first round warms the page cache and does not count.
    if ((round == 0)); then seconds $what >/dev/null; else seconds $what >>"$what.txt"; fi
  done
done
count=$(find "$crates" -name '*.crate' | wc -l)
echo "$count archives, $(du -sm "$crates" | cut -f1) MB, $rounds rounds, medians in seconds"
for what in copy inflate publish unchanged; do printf '%-10s %s\n' $what "$(median $what.txt)"; done
paste copy.txt inflate.txt publish.txt | awk '{ print $3 / ($1 + $2) }' >ratio.txt
echo "publish / (copy + inflate by 2 processes): $(median ratio.txt)"
