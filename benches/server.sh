#!/usr/bin/env bash
# The S3 server that the benches of this folder run against; sourced by them.
#
# It is named by BENCH_S3_ENDPOINT, BENCH_S3_BUCKET, BENCH_S3_ACCESS_KEY, BENCH_S3_SECRET_KEY and BENCH_S3_REGION; or without these it
# is one that runs in the tests (.ci/servers.sh benches/…, BENCH_S3_SERVER=garage chooses); or else a MinIO of its own, if `minio`
# is there. Sourcing it makes a scratch folder, `work`, and goes there; in the end that goes, and what is in `processes` is ended.
# shellcheck shell=bash

work=$(mktemp -d)
processes=()
finish() {
  local status=$? pid
  for pid in ${processes[@]+"${processes[@]}"}; do
    kill "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
  done
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
cd "$work"

# The server's address and keys into `endpoint`, `bucket` and the variables that all of the tools read.
find_server() {
  local name=${BENCH_S3_SERVER:-} prefix=BENCH_S3
  if [[ -z ${BENCH_S3_ENDPOINT:-} && -n ${GGEN_TEST_S3_SERVERS:-} ]]; then
    name=${name:-${GGEN_TEST_S3_SERVERS%% *}}
    prefix=GGEN_TEST_S3_${name^^}
  elif [[ -z ${BENCH_S3_ENDPOINT:-} ]]; then
    start_minio
    name="a MinIO of its own"
  fi
  local endpoint_of=${prefix}_ENDPOINT bucket_of=${prefix}_BUCKET key_of=${prefix}_ACCESS_KEY secret_of=${prefix}_SECRET_KEY
  local region_of=${prefix}_REGION
  endpoint=${!endpoint_of:?there is no such server}
  bucket=${!bucket_of}
  point_to "$endpoint"
  export AWS_ACCESS_KEY_ID=${!key_of} AWS_SECRET_ACCESS_KEY=${!secret_of}
  export AWS_REGION=${!region_of:-us-east-1} AWS_ALLOW_HTTP=true AWS_EC2_METADATA_DISABLED=true
  export AWS_DEFAULT_REGION=$AWS_REGION
  # Some builds of rclone cannot start with it, and nothing here is encrypted.
  unset AWS_CA_BUNDLE
  export RCLONE_CONFIG_SERVER_TYPE=s3 RCLONE_CONFIG_SERVER_PROVIDER=Other RCLONE_CONFIG_SERVER_ENV_AUTH=true
  export RCLONE_CONFIG_SERVER_REGION=$AWS_REGION RCLONE_CONFIG=/dev/null
  echo "server: ${name:-the one of BENCH_S3_ENDPOINT}"
}

point_to() { export AWS_ENDPOINT_URL=$1 S3_ENDPOINT_URL=$1 RCLONE_CONFIG_SERVER_ENDPOINT=$1; }

start_minio() {
  command -v minio >/dev/null || { echo "no server: set BENCH_S3_ENDPOINT, or install minio" >&2; exit 2; }
  local port=$((20000 + RANDOM % 12000)) i
  export BENCH_S3_ENDPOINT=http://127.0.0.1:$port BENCH_S3_BUCKET=bench BENCH_S3_ACCESS_KEY=bench BENCH_S3_SECRET_KEY=bench-bench
  # A folder beside MinIO's own becomes a bucket.
  mkdir -p minio/bench
  MINIO_ROOT_USER=bench MINIO_ROOT_PASSWORD=bench-bench MINIO_BROWSER=off MINIO_UPDATE=off \
    minio server --quiet --address "127.0.0.1:$port" minio >minio.log 2>&1 &
  processes+=($!)
  for ((i = 0; i < 100; i++)); do
    kill -0 $! 2>/dev/null || break
    if curl --silent --fail --output /dev/null "$BENCH_S3_ENDPOINT/minio/health/ready"; then return 0; fi
    sleep 0.1
  done
  cat minio.log >&2
  exit 1
}
