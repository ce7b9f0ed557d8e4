#!/usr/bin/env bash
# Installing hundreds of real crates over loopback from a real nginx, cold: resolve, download, verify, unpack, lock; beside
# `curl --parallel` that fetches the same archives and checks nothing, and `tar` that then unpacks them.
#   benches/install.sh FOLDER-OF-.crate-FILES [COUNT] [ROUNDS]
# And once more into another folder, from the cache (install_again), beside `cp -r` of what is installed: what a cache of unpacked packages
# could save at most.
# Interleaved: in every round one after the other. The crates wanted are taken from the folder in the order of their names, as long as
# they can be resolved together, until COUNT packages are found. Needs nginx, curl, python3 and a release build. Works in
# TMPDIR.
set -euo pipefail
PATH=$PATH:/usr/sbin
crates=$(realpath "${1:?usage: benches/install.sh FOLDER [COUNT] [ROUNDS]}")
count=${2:-300} rounds=${3:-5}
bin=$(realpath "${GGEN_MARKET:-${CARGO_TARGET_DIR:-target}/release/ggen-market}")
work=$(mktemp -d)
chmod 755 "$work"
nginx_pid=
trap '[ -n "$nginx_pid" ] && kill -TERM "$nginx_pid"; rm -rf "$work"' EXIT
cd "$work"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
base=http://127.0.0.1:$port
export HOME=$work XDG_CACHE_HOME=$work/cache

"$bin" -q init --store served --origin bench.example.com >key
"$bin" -q build --source "$crates" || [[ $? == 3 ]]
cat >nginx.conf <<EOF
worker_processes 2; pid $work/nginx.pid; events { worker_connections 4096; }
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000; open_file_cache max=4000;
  client_body_temp_path $work/b; proxy_temp_path $work/p; fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
  server { listen 127.0.0.1:$port backlog=4096; root $work/served; gzip on; gzip_types text/plain; } }
EOF
nginx -e stderr -c "$work/nginx.conf" -g 'daemon off;' 2>nginx.log &
nginx_pid=$!
until curl -so /dev/null "$base/checkpoint"; do
  kill -0 "$nginx_pid" || { cat nginx.log >&2; exit 1; }
  sleep 0.1
done

# What is wanted: each crate whose dependencies are all in the folder, until there are enough.
python3 - "$bin" "$base" "$(cat key)" "$count" <<'PY'
import json, subprocess, sys
binary, base, key, count = sys.argv[1:4] + [int(sys.argv[4])]
def ask(*args):
    return subprocess.run([binary, "-q", *args, "--registry", base, "--key", key, "--json"], capture_output=True, text=True)
names = sorted("crate:" + json.loads(line)["name"] for line in ask("list").stdout.splitlines())
good = [n for n in names if ask("resolve", n).returncode == 0]
wanted, packages = [], []
for at in range(0, len(good), 8):
    trial = wanted + good[at:at + 8]
    out = ask("resolve", *trial)
    if out.returncode != 0:
        continue
    wanted, packages = trial, json.loads(out.stdout)["packages"]
    if len(packages) >= count:
        break
found = len(packages)
with open("curl.conf", "w") as conf:
    for p in packages:
        conf.write(f'url = "{base}/blobs/sha256/{p["sha256"]}"\noutput = "fetched/{p["sha256"]}"\n')
size = sum(p["size"] for p in packages)
open("wanted", "w").write("\n".join(wanted) + "\n")
print(f"{len(wanted)} crates wanted, {found} packages found, {size / 1e6:.1f} MB of archives")
PY
mapfile -t wanted <wanted

# seconds COMMAND...: how long it takes.
seconds() {
  local began=$EPOCHREALTIME status=0
  "$@" >last.log 2>&1 || status=$?
  if ((status != 0)); then
    echo "$*: exit code $status" >&2
    tail -n 20 last.log >&2
    exit 1
  fi
  awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f\n", b - a }'
}
install_cold() { "$bin" -q install "${wanted[@]}" --into tree --registry "$base" --key "$(cat key)"; }
install_again() { "$bin" -q install --into again --registry "$base" --key "$(cat key)"; }
copy_tree() { cp -r tree copied; }
download_cold() { "$bin" -q download --all-of ggen.lock -o archives --registry "$base" --key "$(cat key)"; }
resolve_cold() { "$bin" -q resolve "${wanted[@]}" --registry "$base" --key "$(cat key)"; }
resolve_warm() { resolve_cold; }
unpack_only() { find fetched -type f -print0 | xargs -0 -P2 -n1 tar -C untarred -xzf; }
curl_parallel() { curl --parallel --parallel-max 32 --silent --show-error --config curl.conf; }
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

cases=(curl_parallel unpack_only install_cold install_again copy_tree download_cold resolve_cold resolve_warm)
for ((round = 0; round <= rounds; round++)); do
  rm -rf fetched untarred tree again copied archives ggen.lock
  mkdir fetched untarred
  for case in "${cases[@]}"; do
    case $case in install_cold | download_cold | resolve_cold) rm -rf cache ;; esac
    # The first round warms the page cache and does not count.
    if ((round == 0)); then seconds "$case" >/dev/null; else seconds "$case" >>"$case.txt"; fi
  done
done
for case in "${cases[@]}"; do printf '%-18s %s s\n' "$case" "$(median "$case.txt")"; done
paste install_cold.txt curl_parallel.txt unpack_only.txt download_cold.txt install_again.txt copy_tree.txt |
  awk '{ print $1 / $2 >"curl.txt"; print $1 / ($2 + $3) >"both.txt"; print $4 / $2 >"download.txt"; print $5 / $6 >"again.txt" }'
echo "$(find tree -type f -not -path '*/.ggen-market/*' | wc -l) files; install again / cp -r: $(median again.txt)"
echo "download / curl: $(median download.txt); install / curl: $(median curl.txt); install / (curl, then tar by 2 processes): $(median both.txt)"
