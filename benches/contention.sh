#!/usr/bin/env bash
# Jobs that publish into one bucket at the same time, each its releases one by one, as processes of their own.
#   benches/contention.sh [JOBS] [RELEASES]      (16 jobs of 10 releases by default)
# Prints how long it took, and how many claims a commit needed: each lost claim is a generation that went to another job. Fails
# when a release is missing in the end.
set -euo pipefail
jobs=${1:-16} releases=${2:-10}
bin=$(realpath "${GGEN_MARKET:-${CARGO_TARGET_DIR:-target}/release/ggen-market}")
# shellcheck source=benches/server.sh
source "$(dirname "${BASH_SOURCE[0]}")/server.sh"
export HOME=$work
find_server
prefix=bench-$RANDOM$RANDOM
"$bin" init --quiet --store "s3://$bucket/$prefix" --origin bench.example.com >/dev/null

# One job: its own machine, as far as its cache and its trust state tell.
job() {
  local release sha256 lost
  for ((release = 0; release < releases; release++)); do
    sha256=$(printf '%s %s' "$1" "$release" | sha256sum | cut -c1-64)
    printf '{"name":"job-%s","version":"1.0.%s","sha256":"%s","size":1,"download_url":"https://example.com/x.tar.gz"}\n' \
      "$1" "$release" "$sha256" >"job-$1.jsonl"
    GGEN_MARKET_CACHE=$work/cache-$1 "$bin" -v publish "job-$1.jsonl" >/dev/null 2>"job-$1.log" \
      || { cat "job-$1.log" >&2; return 1; }
    lost=$(grep -c 'went to another writer' "job-$1.log") || true
    echo $((lost + 1)) >>claims
  done
}

began=$EPOCHREALTIME
running=()
for ((i = 0; i < jobs; i++)); do
  job "$i" &
  running+=($!)
done
for pid in "${running[@]}"; do wait "$pid"; done
ended=$EPOCHREALTIME

published=$("$bin" list --json --registry "s3://$bucket/$prefix" | grep -o '"versions":[0-9]*' | cut -d: -f2 | awk '{ n += $1 } END { print n + 0 }')
echo "$jobs jobs, $releases releases each: $published of $((jobs * releases)) are there"
awk -v a="$began" -v b="$ended" -v n="$((jobs * releases))" 'BEGIN { printf "%.1f s, %.1f commits/s\n", b - a, n / (b - a) }'
sort -n claims | awk '{ v[NR] = $1 } END {
  printf "claims for a commit: median %d, p90 %d, p99 %d, most %d\n", v[int((NR + 1) / 2)], v[int(NR * 0.9 + 0.5)], v[int(NR * 0.99 + 0.5)], v[NR] }'
((published == jobs * releases))
