#!/usr/bin/env bash
# Real S3 servers for the tests: installed once into $CI_TOOLS, started on free ports of the loopback interface with their data in
# the scratch folder, stopped by their process ids. docs/testing.md says what each one is good for.
#
# Sourced by .ci/run. By hand: .ci/servers.sh COMMAND... runs a command while the servers are up.
#
# The tests find them by these variables, where NAME is the server's name in capitals:
#   GGEN_TEST_S3_SERVERS="minio moto garage"      those that run
#   GGEN_TEST_S3_<NAME>_ENDPOINT, _BUCKET, _ACCESS_KEY, _SECRET_KEY, _REGION
#   GGEN_TEST_S3_<NAME>_PUBLIC_URL                the same bucket as anyone may read it, without a signature
#   GGEN_TEST_S3                                  the same servers in one line each, with what they are known to lack
# shellcheck shell=bash

# The community edition is published as source only; this is the last commit of its main branch.
readonly MINIO_VERSION=v0.0.0-20260212201848-7aac2a2c5b7c
readonly GARAGE_VERSION=2.5.0
readonly BUCKET=registry

servers_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
server_pids=() minio_build="" ports=()

# Why a server does not run; set by the functions below before they return with a failure. They are called in conditions, where
# `set -e` does not hold: every step says itself what follows when it fails.
why=""

# Begins what takes long. MinIO is built beside the other steps, and yields to them.
prepare_servers() {
  mkdir -p "$CI_TOOLS/bin"
  need_command curl curl
  if ! minio_is_pinned && command -v go >/dev/null; then
    echo "building MinIO $MINIO_VERSION beside the next steps (once; it is kept in $CI_TOOLS)"
    setsid nice -n 19 bash -c "$(declare -f build_minio); build_minio $MINIO_VERSION" >"$scratch/minio-build.log" 2>&1 &
    minio_build=$!
  fi
  if ! prepare_moto; then echo "moto: $why"; fi
}

build_minio() {
  set -e
  # No settings of the machine's that are meant for building other things.
  unset GOOS GOARCH GOEXPERIMENT
  export GOFLAGS=-trimpath GOWORK=off CGO_ENABLED=0 GOBIN=$CI_TOOLS/minio.new
  rm -rf "$GOBIN" && mkdir "$GOBIN" && cd "$GOBIN"
  go install -ldflags='-s -w' "github.com/minio/minio@$1"
  mv minio "$CI_TOOLS/bin/minio"
  # Last, and so only beside a whole binary.
  echo "$1" >"$CI_TOOLS/bin/minio.version"
  rm -rf "$GOBIN"
}

minio_is_pinned() {
  [[ -x $CI_TOOLS/bin/minio && $(cat "$CI_TOOLS/bin/minio.version" 2>/dev/null) == "$MINIO_VERSION" ]]
}

moto_is_pinned() {
  cmp -s "$servers_folder/moto.txt" "$CI_TOOLS/moto/installed.txt"
}

prepare_moto() {
  if moto_is_pinned; then return 0; fi
  command -v python3 >/dev/null || { why="no python3 on this machine"; return 1; }
  echo "installing moto (once; it is kept in $CI_TOOLS)"
  rm -rf "$CI_TOOLS/moto"
  {
    # Debian keeps what makes such an environment in a package of its own.
    python3 -m venv "$CI_TOOLS/moto" || { (install_package python3-venv) && python3 -m venv --clear "$CI_TOOLS/moto"; }
  } >"$scratch/moto-install.log" 2>&1 || { why="python3 makes no virtual environment"; return 1; }
  "$CI_TOOLS/moto/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$servers_folder/moto.txt" \
    >>"$scratch/moto-install.log" 2>&1 \
    || { why="pip could not install it: $(tail -n 1 "$scratch/moto-install.log")"; return 1; }
  cp "$servers_folder/moto.txt" "$CI_TOOLS/moto/installed.txt"
}

# start_servers SECONDS: starts what can be had, at least one that judges conditional writes. MinIO's build is waited for until
# this shell is that old.
start_servers() {
  local deadline=$1 name
  export GGEN_TEST_S3_SERVERS="" GGEN_TEST_S3=""
  for name in minio moto garage; do
    why=""
    if "start_$name" "$deadline"; then
      export "GGEN_TEST_S3_SERVERS=${GGEN_TEST_S3_SERVERS:+$GGEN_TEST_S3_SERVERS }$name"
    else
      skip "S3 server $name: ${why:-it did not start}"
    fi
  done
  [[ " ${GGEN_TEST_S3_SERVERS:-} " == *" minio "* || " ${GGEN_TEST_S3_SERVERS:-} " == *" moto "* ]] \
    || fail "neither MinIO nor moto runs: nothing would judge conditional writes on a real server"
}

start_minio() {
  local program=$CI_TOOLS/bin/minio version=$MINIO_VERSION
  wait_for_minio "$1"
  if ! minio_is_pinned; then
    why=${why:-no go on this machine to build it with}
    program=$(command -v minio) || return 1
    version="$("$program" --version | head -n 1 | cut -d' ' -f3-), not the pinned one ($why)"
  fi
  local key secret
  key=ci$(random_hex 8) secret=$(random_hex 20)
  mkdir -p "$scratch/minio"
  # Nothing of the caller's environment: a MINIO_… variable would change the server under test.
  launch minio /minio/health/ready env -i "HOME=$scratch/minio" "PATH=$PATH" "MINIO_ROOT_USER=$key" "MINIO_ROOT_PASSWORD=$secret" \
    MINIO_BROWSER=off MINIO_UPDATE=off "$program" server --quiet --address 127.0.0.1:@0 "$scratch/minio/data" || return 1
  local endpoint=http://127.0.0.1:${ports[0]}
  local policy='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":["s3:GetObject"],"Resource":["arn:aws:s3:::'$BUCKET'/*"]}]}'
  signed us-east-1 "$key" "$secret" "$endpoint/$BUCKET" || return 1
  signed us-east-1 "$key" "$secret" "$endpoint/$BUCKET?policy=" --data-binary "$policy" || return 1
  announce minio "$version" "$endpoint" "$key" "$secret" us-east-1 "$endpoint/$BUCKET"
}

# Until the build is over, or this shell is $1 seconds old.
wait_for_minio() {
  if [[ -z $minio_build ]]; then return 0; fi
  while kill -0 "$minio_build" 2>/dev/null; do
    if ((SECONDS > $1)); then
      why="its build is not done after $((SECONDS / 60)) minutes (Go keeps what it compiled: the next run goes on from there)"
      stop_build
      return
    fi
    sleep 1
  done
  wait "$minio_build" || why="its build failed: $(tail -n 3 "$scratch/minio-build.log" | tr '\n' ' ')"
  minio_build=""
}

start_moto() {
  prepare_moto || return 1
  local version key=ci secret=ci
  version=$(sed -n 's/^moto==//p' "$servers_folder/moto.txt")
  # It judges no key: any will do.
  launch moto / env -u AWS_ENDPOINT_URL "$CI_TOOLS/moto/bin/moto_server" -H 127.0.0.1 -p @0 || return 1
  local endpoint=http://127.0.0.1:${ports[0]}
  signed us-east-1 "$key" "$secret" "$endpoint/$BUCKET" --header 'x-amz-acl: public-read' || return 1
  announce moto "$version" "$endpoint" "$key" "$secret" us-east-1 "$endpoint/$BUCKET" race
}

start_garage() {
  local program found
  # Built by .ci/install-garage.sh, not here: it takes longer than all the rest.
  program=$(command -v garage) || { why="not installed (.ci/install-garage.sh builds it; that takes a quarter of an hour)"; return 1; }
  found=$("$program" --version 2>/dev/null)
  [[ $found == *"$GARAGE_VERSION"* ]] || { why="$program is ${found:-of an unknown version}, wanted is $GARAGE_VERSION"; return 1; }
  local key secret config=$scratch/garage.toml
  key=GK$(random_hex 12) secret=$(random_hex 32)
  garage_config >"$config"
  launch garage / env "GARAGE_DEFAULT_ACCESS_KEY=$key" "GARAGE_DEFAULT_SECRET_KEY=$secret" "GARAGE_DEFAULT_BUCKET=$BUCKET" \
    "$program" --config "$config" server --single-node --default-bucket || return 1
  # Of its names for a bucket, the web server looks for the one that is the host.
  found=$("$program" --config "$config" bucket website --allow "$BUCKET" 2>&1 &&
    "$program" --config "$config" bucket alias "$BUCKET" localhost 2>&1) || { why=$(tail -n 2 <<<"$found" | tr '\n' ' '); return 1; }
  announce garage "$GARAGE_VERSION" "http://127.0.0.1:${ports[0]}" "$key" "$secret" garage "http://localhost:${ports[1]}" create,race,update
}

garage_config() {
  cat <<TOML
metadata_dir = "$scratch/garage/meta"
data_dir = "$scratch/garage/data"
db_engine = "sqlite"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:@2"
rpc_public_addr = "127.0.0.1:@2"
rpc_secret = "$(random_hex 32)"

[s3_api]
s3_region = "garage"
api_bind_addr = "127.0.0.1:@0"
root_domain = ".s3.localhost"

[s3_web]
bind_addr = "127.0.0.1:@1"
root_domain = ".web.localhost"
index = "index.html"
TOML
}

# launch NAME PATH COMMAND...: starts a server and waits until it answers at PATH. @0, @1 and @2 in its arguments and in
# $scratch/NAME.toml stand for free ports, which the caller finds in `ports`; it answers at the first. A port that another process
# takes first costs one more try.
launch() {
  local name=$1 path=$2 log=$scratch/$1.log settings=$scratch/$1.toml template="" pid tries
  shift 2
  if [[ -f $settings ]]; then template=$(cat "$settings"); fi
  for tries in 1 2 3; do
    find_ports
    if [[ -n $template ]]; then fill_ports "$template" >"$settings"; fi
    local command=() word
    for word in "$@"; do command+=("$(fill_ports "$word")"); done
    "${command[@]}" >"$log" 2>&1 &
    pid=$!
    server_pids+=("$pid")
    if answers "$pid" "http://127.0.0.1:${ports[0]}$path"; then return 0; fi
    kill "$pid" 2>/dev/null || true
  done
  why="it did not answer after $tries starts: $(tail -n 2 "$log" | tr '\n' ' ')"
  return 1
}

fill_ports() {
  local text=${1//@0/${ports[0]}}
  text=${text//@1/${ports[1]}}
  printf '%s\n' "${text//@2/${ports[2]}}"
}

# Three ports below those that the system gives out by itself, so that no client's socket takes one meanwhile.
find_ports() {
  local candidate
  ports=()
  while ((${#ports[@]} < 3)); do
    candidate=$((20000 + RANDOM % 12000))
    if [[ " ${ports[*]-} " != *" $candidate "* ]] && ! (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null; then
      ports+=("$candidate")
    fi
  done
}

# answers PID URL: waits half a minute for any answer, as long as the process lives.
answers() {
  local ends=$((SECONDS + 30))
  while kill -0 "$1" 2>/dev/null && ((SECONDS < ends)); do
    # Whoever answers must be ours: a server that found its port taken is about to die.
    if curl --silent --noproxy '*' --output /dev/null --max-time 2 "$2" && sleep 0.2 && kill -0 "$1" 2>/dev/null; then return 0; fi
    sleep 0.2
  done
  return 1
}

# signed REGION KEY SECRET URL [CURL ARGUMENTS]: a PUT with a signature.
signed() {
  local region=$1 user=$2:$3 url=$4 body="" hash answer
  shift 4
  if [[ ${1:-} == --data-binary ]]; then body=$2; fi
  hash=$(printf '%s' "$body" | sha256sum | cut -d' ' -f1)
  # The secret goes through standard input, not through the list of processes.
  answer=$(printf 'user = "%s"\n' "$user" | curl --config - --silent --show-error --fail-with-body --noproxy '*' --max-time 20 --request PUT \
    --aws-sigv4 "aws:amz:$region:s3" --header "x-amz-content-sha256: $hash" "$@" "$url" 2>&1) || { why="PUT $url: $answer"; return 1; }
}

# announce NAME VERSION ENDPOINT KEY SECRET REGION PUBLIC-URL [LACKS]
announce() {
  local prefix=GGEN_TEST_S3_${1^^}
  export "${prefix}_ENDPOINT=$3" "${prefix}_BUCKET=$BUCKET" "${prefix}_ACCESS_KEY=$4" "${prefix}_SECRET_KEY=$5" \
    "${prefix}_REGION=$6" "${prefix}_PUBLIC_URL=$7"
  export "GGEN_TEST_S3=${GGEN_TEST_S3:+$GGEN_TEST_S3 }$1=$3/$BUCKET?region=$6${8:+&lacks=$8}"
  ran+=("$1 $2")
  echo "$1 $2 runs at $3"
}

random_hex() {
  od -An -v -N "$1" -tx1 /dev/urandom | tr -d ' \n'
}

stop_build() {
  if [[ -z $minio_build ]]; then return 0; fi
  # Its own process group: the compilers go too.
  kill -- "-$minio_build" 2>/dev/null || true
  wait "$minio_build" 2>/dev/null || true
  minio_build=""
}

# Ends what was started here and nothing else; safe to call twice, and before anything ran. It is called by the trap on exit, where
# nothing may stop it half-way.
stop_servers() {
  set +e
  local pid tries
  stop_build
  for pid in ${server_pids[@]+"${server_pids[@]}"}; do
    kill "$pid" 2>/dev/null || continue
    for ((tries = 0; tries < 50; tries++)); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  server_pids=()
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  set -euo pipefail
  (($#)) || { echo "usage: .ci/servers.sh COMMAND... (runs it while the S3 servers are up)" >&2; exit 2; }
  # shellcheck source=.ci/lib.sh
  source "$servers_folder/lib.sh"
  export CI_TOOLS=${CI_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/ggen-market-ci}
  export PATH=$CI_TOOLS/bin:$PATH
  scratch=$(mktemp -d)
  finish() {
    local status=$?
    stop_servers
    rm -rf "$scratch"
    exit "$status"
  }
  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  exec 3>&1 >&2
  prepare_servers
  start_servers 3600
  exec >&3 3>&-
  "$@"
fi
