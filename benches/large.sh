#!/usr/bin/env bash
# One large archive up to a bucket and down again: how long, and in how much memory.
#   benches/large.sh [MIB]      (2048 by default; takes three times that on the disk, and twice on the server's)
set -euo pipefail
mib=${1:-2048}
bin=$(realpath "${GGEN_MARKET:-${CARGO_TARGET_DIR:-target}/release/ggen-market}")
# shellcheck source=benches/server.sh
source "$(dirname "${BASH_SOURCE[0]}")/server.sh"
export HOME=$work GGEN_MARKET_CACHE=$work/cache
[[ -x /usr/bin/time ]] || { echo "install GNU time: it tells how much memory a program took" >&2; exit 2; }

# Noise, which nothing makes smaller.
mkdir -p large-1.0.0/src packages
printf '[package]\nname = "large"\nversion = "1.0.0"\ndescription = "Large"\nlicense = "MIT"\n' >large-1.0.0/Cargo.toml
head -c "${mib}M" /dev/urandom >large-1.0.0/src/noise
tar --create --sort=name --owner=0 --group=0 --format=ustar large-1.0.0 | gzip -1 >packages/large-1.0.0.crate
rm -rf large-1.0.0

find_server
prefix=bench-$RANDOM$RANDOM
"$bin" init --quiet --store "s3://$bucket/$prefix/registry" --origin bench.example.com >/dev/null
measured() { /usr/bin/time -f "$1: %e s, %U + %S CPU s, %M KiB at most" "${@:2}"; }
echo "an archive of $(du -m packages/large-1.0.0.crate | cut -f1) MiB"
measured "ggen-market build (checks, hashes, uploads)" "$bin" build --quiet --source packages
if type -P rclone >/dev/null; then
  export RCLONE_CONFIG_SERVER_UPLOAD_CUTOFF=64M
  measured "rclone copy up" rclone copy packages "server:$bucket/$prefix/rclone"
fi
measured "ggen-market fetch" "$bin" fetch large --registry "s3://$bucket/$prefix/registry" --output fetched >/dev/null
cmp fetched packages/large-1.0.0.crate && echo "the same bytes came back"
rm fetched
if type -P rclone >/dev/null; then
  measured "rclone copy down" rclone copy "server:$bucket/$prefix/rclone" down
fi
measured "sha256sum alone" sha256sum packages/large-1.0.0.crate >/dev/null
