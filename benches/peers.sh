#!/usr/bin/env bash
# Each thing that the program does beside the tools that people would otherwise use for it: interleaved, medians, ratios.
#   benches/peers.sh FOLDER-OF-.crate-FILES [ROUNDS]
# A tool that is not installed is left out, and said to be. Everything is on this machine: a folder, an nginx on loopback, and with
# .ci/servers.sh in front an S3 server. ggen-market checks whatever it reads against digests and a signature; of the others, sha256sum and
# cargo check digests. Needs python3 and a release build. Works in TMPDIR.
set -euo pipefail
crates=$(realpath "${1:?usage: benches/peers.sh FOLDER [ROUNDS]}")
rounds=${2:-5}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(realpath "${GGEN_MARKET:-${CARGO_TARGET_DIR:-target}/release/ggen-market}")
work=$(mktemp -d)
chmod 755 "$work"
nginx_pid=
trap '[ -n "$nginx_pid" ] && kill -TERM "$nginx_pid"; rm -rf "$work"' EXIT
cd "$work"
# Cargo is found by the home of whoever runs this, and keeps what it fetches here.
export RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup} CARGO_HOME=$work/cargo PATH=$PATH:/usr/sbin
export HOME=$work GGEN_MARKET_CACHE=$work/cache RCLONE_CONFIG=/dev/null
unset CARGO_TARGET_DIR

have() { type -P "$1" >/dev/null; }
missing=()
for tool in nginx curl rclone s5cmd aws cargo sqlite3 wrk; do have "$tool" || missing+=("$tool"); done
if python3 -c 'import sqlite3; sqlite3.connect(":memory:").execute("create virtual table t using fts5(a)")' 2>/dev/null; then
  missing=("${missing[@]/sqlite3/}")
fi
for tool in "${missing[@]}"; do [[ -z $tool ]] || echo "left out: $tool is not installed"; done

# seconds COMMAND...: how long it takes; what fails ends everything.
seconds() {
  local began=$EPOCHREALTIME status=0
  "$@" >last.log 2>&1 || status=$?
  # 3: some archives were refused, and the others published.
  if ((status != 0 && status != 3)); then
    echo "$*: exit code $status" >&2
    tail -n 20 last.log >&2
    exit 1
  fi
  awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.4f\n", b - a }'
}
median() { sort -n | awk '{ v[NR] = $1 } END { printf "%.3f", v[int((NR + 1) / 2)] }'; }

# compare TITLE OURS OTHER...: functions, one after the other in every round; the first round warms up and does not count.
compare() {
  local title=$1 what round
  shift
  rm -f -- *.seconds
  for ((round = 0; round <= rounds; round++)); do
    for what in "$@"; do
      if declare -F "before_$what" >/dev/null; then "before_$what"; fi
      if ((round == 0)); then seconds "$what" >/dev/null; else seconds "$what" >>"$what.seconds"; fi
    done
  done
  echo "== $title"
  for what in "$@"; do
    printf '%-32s %9s s   ours / it: %s\n' "${what//_/ }" "$(median <"$what.seconds")" \
      "$(paste "$1.seconds" "$what.seconds" | awk '{ print $1 / $2 }' | median)"
  done
}

before_build() {
  rm -rf registry cache ggen-market.*
  "$bin" --quiet init --store registry --origin bench.example.com >/dev/null
}
build() { "$bin" --quiet build --source "$crates"; }
before_cp() { rm -rf copy; }
cp() { command cp -r "$crates" copy; }
sha256sum_all() { find "$crates" -name '*.crate' -print0 | xargs -0 -P2 -n50 sha256sum; }
gzip_all() { find "$crates" -name '*.crate' -print0 | xargs -0 -P2 -n50 gzip -dc >/dev/null; }
before_rclone_local() { rm -rf rcloned; }
rclone_local() { rclone copy --checksum --transfers 8 "$crates" rcloned; }
peers=(cp sha256sum_all gzip_all)
if have rclone; then peers+=(rclone_local); fi
compare "publish $(find "$crates" -name '*.crate' | wc -l) archives, $(du -sm "$crates" | cut -f1) MB, into an empty folder" build "${peers[@]}"

again() { build; }
rclone_again() { rclone_local; }
diff_again() { diff -rq "$crates" copy; }
peers=(diff_again)
if have rclone; then peers+=(rclone_again); fi
compare "the same again, nothing new" again "${peers[@]}"

key=$("$bin" key)
audit() { "$bin" --quiet verify --all; }
blobs_by_sha256sum() { (cd registry/blobs/sha256 && find . -type f -printf '%P  %P\n' | sha256sum --check --quiet); }
compare "audit everything that is stored" audit blobs_by_sha256sum

if have nginx && have curl; then
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  base=http://127.0.0.1:$port
  "$bin" --quiet views --views cargo --public-url "$base" >/dev/null
  cat >nginx.conf <<CONF
worker_processes 2; pid $work/nginx.pid; events { worker_connections 4096; }
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; open_file_cache max=4000; default_type application/octet-stream;
  client_body_temp_path $work/b; proxy_temp_path $work/p; fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
  server { listen 127.0.0.1:$port backlog=4096; root $work/registry; autoindex on; } }
CONF
  nginx -e stderr -c "$work/nginx.conf" -g 'daemon off;' 2>nginx.log &
  nginx_pid=$!
  until curl -so /dev/null "$base/checkpoint"; do sleep 0.1; done
  reader=(--registry "$base" --key "$key")

  find registry/blobs registry/log -type f -printf "url = \"$base/%P\"\noutput = \"fetched/%f\"\n" >curl.conf
  sed -i "s|$base/|&|; s|url = \"$base/sha256|url = \"$base/blobs/sha256|; s|url = \"$base/0|url = \"$base/log/0|" curl.conf
  before_mirror() { rm -rf mirrored cache; }
  mirror() { "$bin" --quiet mirror "$base" mirrored --key "$key"; }
  before_curl_parallel() { rm -rf fetched && mkdir fetched; }
  curl_parallel() { curl --parallel --parallel-max 32 --silent --show-error --fail --config curl.conf; }
  before_rclone_http() { rm -rf rcloned; }
  rclone_http() { rclone copy --transfers 32 --checkers 32 --http-url "$base/blobs" :http: rcloned; }
  peers=(curl_parallel)
  if have rclone; then peers+=(rclone_http); fi
  compare "copy the whole registry over HTTP" mirror "${peers[@]}"

  mirror_again() { mirror; }
  rclone_http_again() { rclone_http; }
  if have rclone; then compare "the same again, nothing new" mirror_again rclone_http_again; fi

  # What can be resolved from these archives alone: crates whose dependencies are all among them, those included that cargo takes by features.
  python3 - "$bin" "${reader[@]}" >wanted <<'PY'
import json, subprocess, sys
binary, reader = sys.argv[1], sys.argv[2:]
def ask(*args):
    return subprocess.run([binary, "-q", *args, *reader, "--json"], capture_output=True, text=True)
names = sorted("crate:" + json.loads(line)["name"] for line in ask("list").stdout.splitlines())
wanted = []
for name in names:
    if len(wanted) < 50 and ask("resolve", "--optional", *wanted, name).returncode == 0:
        wanted.append(name)
print("\n".join(wanted))
PY
  mapfile -t wanted <wanted
  if have cargo && ((${#wanted[@]} > 0)) && [[ -n ${wanted[0]} ]]; then
    mkdir -p project/src project/.cargo
    echo >project/src/lib.rs
    {
      printf '[package]\nname = "project"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\n'
      printf '%s = { version = "*", registry = "bench" }\n' "${wanted[@]#crate:}"
    } >project/Cargo.toml
    printf '[registries.bench]\nindex = "sparse+%s/cargo/"\n' "$base" >project/.cargo/config.toml
    before_resolve_cold() { rm -rf cache; }
    resolve_cold() { "$bin" --quiet resolve "${wanted[@]}" "${reader[@]}"; }
    before_cargo_cold() { rm -rf cargo/registry project/Cargo.lock; }
    cargo_cold() { cargo generate-lockfile --quiet --manifest-path project/Cargo.toml; }
    if (cd project && cargo generate-lockfile --quiet) >cargo.log 2>&1; then
      cargo_cold() { (cd project && cargo generate-lockfile --quiet); }
      compare "lock ${#wanted[@]} crates and what they need, nothing cached" resolve_cold cargo_cold
      resolve_warm() { "$bin" --quiet resolve "${wanted[@]}" "${reader[@]}"; }
      before_cargo_warm() { rm -f project/Cargo.lock; }
      cargo_warm() { (cd project && cargo generate-lockfile --quiet); }
      compare "the same, with warm caches" resolve_warm cargo_warm
    else
      echo "left out: cargo locks other packages from these (it looks at features and at dependencies for tests)"
      tail -n 3 cargo.log
    fi
  fi
fi

# In one process each, a thousand questions one after the other, each a name; in microseconds.
if python3 -c 'import sqlite3; sqlite3.connect(":memory:").execute("create virtual table t using fts5(a)")' 2>/dev/null; then
  "$bin" list --registry registry --key "$key" --json >packages.jsonl
  echo "== search by name, in microseconds"
  for ((round = 1; round <= rounds; round++)); do
    "$bin" bench --read-only --registry registry --key "$key" --seconds 1 --at-once 1 --json |
      python3 -c 'import json, sys; r = next(r for r in json.load(sys.stdin)["operations"] if r["operation"].startswith("search")); print(r["p50"], r["p99"])' >>ours.us
    python3 - packages.jsonl >>sqlite.us <<'PY'
import json, sqlite3, sys, time
packages = [json.loads(line) for line in open(sys.argv[1], encoding="utf8")]
db = sqlite3.connect(":memory:")
db.execute("create virtual table p using fts5(name, summary, tokenize = 'porter unicode61')")
db.executemany("insert into p values (?, ?)", ((p["name"], p.get("summary") or "") for p in packages))
times = []
for p in (packages * 1000)[:1000]:
    match = " OR ".join(f'"{word}"' for word in p["name"].replace("_", "-").split("-") if word)
    began = time.perf_counter()
    db.execute("select name, summary from p where p match ? order by bm25(p) limit 20", (match,)).fetchall()
    times.append(time.perf_counter() - began)
times.sort()
print(times[len(times) // 2] * 1e6, times[len(times) * 99 // 100] * 1e6)
PY
  done
  for who in ours sqlite; do
    printf '%-32s p50 %s, p99 %s\n' "$who" "$(cut -d' ' -f1 $who.us | median)" "$(cut -d' ' -f2 $who.us | median)"
  done
fi

if [[ -n ${GGEN_TEST_S3_SERVERS:-}${BENCH_S3_ENDPOINT:-} ]] || have minio; then
  echo "== upload to an S3 server"
  GGEN_MARKET=$bin "$here/s3.sh" "$crates" "$rounds"
else
  echo "left out: an S3 server (.ci/servers.sh benches/peers.sh … starts one)"
fi
