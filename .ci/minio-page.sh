#!/usr/bin/env bash
# Runs the commands of docs/minio.md as they stand there, on a free port and below a scratch folder, and the script of the compose
# file's `bucket` service against the MinIO of the tests (.ci/servers.sh .ci/minio-page.sh).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/lib.sh
source .ci/lib.sh
# shellcheck source=.ci/servers.sh
source .ci/servers.sh

readonly PAGE=docs/minio.md COMPOSE=templates/deploy/minio/docker-compose.yml
program=$(dirname "$(realpath "${GGEN_MARKET:-${CARGO_TARGET_DIR:-target}/debug/ggen-market}")")
scratch=$(mktemp -d)
finish() {
  local status=$?
  stop_servers
  rm -rf "$scratch"
  exit "$status"
}
trap finish EXIT

for file in "$PAGE" "$COMPOSE"; do
  grep -qF "github.com/minio/minio@$MINIO_VERSION" "$file" || fail "$file installs another MinIO than the tests do ($MINIO_VERSION)"
done

# The commands of a block, on this run's port instead of the page's.
commands() { block "$PAGE" "minio: $1" | sed "s/\b9000\b/${ports[0]}/g"; }

find_ports
mkdir "$scratch/page"
cp -r examples/packages "$scratch/page"
{
    commands keys
  echo "$(commands server) >server.log 2>&1 & echo \$! >server.pid"
  echo "curl --silent --fail --retry 60 --retry-delay 1 --retry-connrefused http://localhost:${ports[0]}/minio/health/ready"
  commands bucket
  commands publish
  # Somebody else, with nothing remembered.
  echo "export GGEN_MARKET_CACHE=reader"
  echo "{"
  commands read
  echo "} >list"
} >"$scratch/page.sh"
show "$scratch/page.sh"
status=0
(cd "$scratch/page" && env -i "HOME=$scratch/page" "PATH=$program:$PATH" GGEN_MARKET_COLOR=never bash -euo pipefail "$scratch/page.sh") || status=$?
# Not a child of this shell: its number is in a file.
if [[ -s $scratch/page/server.pid ]]; then kill "$(cat "$scratch/page/server.pid")"; fi
((status == 0)) || fail "$PAGE: its commands do not run (exit code $status)"
cat "$scratch/page/list"
grep -q '^pack:order-workflow-pack' "$scratch/page/list" || fail "$PAGE: the reader does not see what was published"

# Twice: it can be run again.
python=$CI_TOOLS/moto/bin/python
[[ -x $python ]] || python=python3
"$python" - "$COMPOSE" >"$scratch/bucket.sh" <<'PYTHON' || fail "$COMPOSE cannot be read (this takes Python with PyYAML)"
import sys, yaml

services = yaml.safe_load(open(sys.argv[1]))["services"]
bucket = services["bucket"]
assert bucket["image"] == services["minio"]["image"] and bucket["entrypoint"] == ["/bin/sh", "-ec"]
print(bucket["command"][0].replace("$$", "$"))
PYTHON
export MINIO_URL=$GGEN_TEST_S3_MINIO_ENDPOINT MINIO_ROOT_USER=$GGEN_TEST_S3_MINIO_ACCESS_KEY
export MINIO_ROOT_PASSWORD=$GGEN_TEST_S3_MINIO_SECRET_KEY
/bin/sh -ec "$(cat "$scratch/bucket.sh")"
/bin/sh -ec "$(cat "$scratch/bucket.sh")"
answer() { curl --silent --noproxy '*' --output /dev/null --write-out '%{http_code}' "$@"; }
[[ $(answer "$MINIO_URL/packages/absent") == 404 ]] || fail "$COMPOSE: not everyone may read the bucket"
[[ $(answer --request PUT --data x "$MINIO_URL/packages/planted") == 403 ]] || fail "$COMPOSE: anyone may write to the bucket"
