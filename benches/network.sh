#!/usr/bin/env bash
# Reading over loopback from a real nginx: many tasks at once beside `wrk` on the same objects, archives of 60 MiB that are verified and
# written nowhere, and one large download to a file beside `curl`, with and without `sha256sum`.
#   benches/network.sh [SECONDS] [GIB] [ROUNDS]
# Needs nginx, wrk, curl, python3 and release builds (cargo build --release --bin ggen-market --example load_test). Works in TMPDIR.
set -euo pipefail
PATH=$PATH:/usr/sbin
seconds=${1:-15} gib=${2:-2} rounds=${3:-3}
target=$(cd "$(dirname "$0")/.." && pwd)/target/release
work=$(mktemp -d)
chmod 755 "$work"
nginx_pid=
trap '[ -n "$nginx_pid" ] && kill -TERM "$nginx_pid"; rm -rf "$work"' EXIT
cd "$work"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
base=http://127.0.0.1:$port

# 300 packages with archives of about 15 kB, and one record of a large file.
mkdir -p served packages sixty large
python3 - <<'PY'
import gzip, io, os, random, tarfile
random.seed(1)
for i in range(300):
    name = f"load-{i}"
    text = "".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789 \n", k=20000))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, body in [("Cargo.toml", f'[package]\nname = "{name}"\nversion = "1.0.0"\ndescription = "d"\nlicense = "MIT"\n'), ("src/lib.rs", text)]:
            info = tarfile.TarInfo(f"{name}-1.0.0/{path}")
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body.encode()))
    with open(f"packages/{name}-1.0.0.crate", "wb") as f:
        f.write(gzip.compress(out.getvalue(), mtime=0))
for i in range(4):
    name = f"noise-{i}"
    with tarfile.open(f"sixty/{name}-1.0.0.crate", "w:gz", compresslevel=1, format=tarfile.USTAR_FORMAT) as tar:
        manifest = f'[package]\nname = "{name}"\nversion = "1.0.0"\ndescription = "d"\nlicense = "MIT"\n'.encode()
        for path, body in [("Cargo.toml", manifest), ("src/noise", random.randbytes(60 << 20))]:
            info = tarfile.TarInfo(f"{name}-1.0.0/{path}")
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
PY
head -c "$((gib << 30))" /dev/zero | openssl enc -aes-128-ctr -K 00000000000000000000000000000000 -iv 00000000000000000000000000000000 -nosalt > large/file
sum=$(sha256sum large/file | cut -d' ' -f1)
printf '{"name":"large","version":"1.0.0","summary":"s","sha256":"%s","size":%s,"download_url":"%s/large/file"}\n' \
    "$sum" "$((gib << 30))" "$base" > list.jsonl
export HOME=$work XDG_CACHE_HOME=$work/cache
"$target/ggen-market" -q init --store served --origin load.example.com > key
"$target/ggen-market" -q build --source packages
mkdir big
(cd big && "$target/ggen-market" -q init --store ../served/big --origin big.example.com > ../big.key && "$target/ggen-market" -q build --source ../list.jsonl)
mkdir noise
(cd noise && "$target/ggen-market" -q init --store ../served/noise --origin noise.example.com > ../noise.key && "$target/ggen-market" -q build --source ../sixty)
ln -s "$work/large" served/large
cat > nginx.conf <<EOF
worker_processes 2; worker_rlimit_nofile 20000; pid $work/nginx.pid; events { worker_connections 8192; }
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; open_file_cache max=2000;
  client_body_temp_path $work/b; proxy_temp_path $work/p; fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
  server { listen 127.0.0.1:$port backlog=8192; root $work/served; } }
EOF
nginx -e stderr -c "$work/nginx.conf" -g 'daemon off;' 2> nginx.log &
nginx_pid=$!
until curl -so /dev/null "$base/checkpoint"; do
  kill -0 "$nginx_pid" || { cat nginx.log >&2; exit 1; }
  sleep 0.1
done
ulimit -n 16384

(cd served && printf '/%s\n' blobs/sha256/*) > paths
cat > paths.lua <<'EOF'
local paths, at = {}, 0
for line in io.lines("paths") do paths[#paths + 1] = line end
request = function() at = at % #paths + 1; return wrk.format("GET", paths[at]) end
EOF
echo "== $(wc -l < paths) objects, $(du -sh --apparent-size served/blobs | cut -f1)"
for _ in $(seq "$rounds"); do
    echo "-- wrk, 100 connections"
    wrk -t2 -c100 -d"${seconds}s" --latency -s paths.lua "$base" | grep -E '50%|99%|Requests/sec|Non-2xx|Socket errors' || true
    echo "-- load_test, 1000 tasks, archives"
    "$target/examples/load_test" --registry "$base" --key "$(cat key)" --tasks 1000 --seconds "$seconds" --what archive
done
echo "-- load_test, 1000 tasks, lookups"
"$target/examples/load_test" --registry "$base" --key "$(cat key)" --tasks 1000 --seconds "$seconds" --what lookup

echo "-- load_test, 5000 connections, archives"
"$target/examples/load_test" --registry "$base" --key "$(cat key)" --tasks 5000 --connections 5000 --seconds "$seconds" --what archive

echo "== 60 MiB, verified and written nowhere"
"$target/ggen-market" bench --registry "$base/noise" --key "$(cat noise.key)" --seconds "$seconds" --at-once 4 --read-only | grep download

echo "== $gib GiB"
for _ in $(seq "$rounds"); do
    /usr/bin/time -f "curl + sha256sum: %e s" sh -c "curl -sSo out '$base/large/file' && echo '$sum  out' | sha256sum -c --quiet && sync out"
    rm out
    /usr/bin/time -f "curl alone, flushed: %e s" sh -c "curl -sSo out '$base/large/file' && sync out"
    rm out
    /usr/bin/time -f "ggen-market fetch: %e s, %M KiB, %U s user, %S s system" "$target/ggen-market" -q fetch large --registry "$base/big" --key "$(cat big.key)" -o out
    rm out
done
