#!/usr/bin/env bash
# Uploading a folder of real archives to one S3 server, against tools that only copy files there: first, unchanged, and with 1 % new.
#   benches/s3.sh FOLDER-OF-.crate-FILES [ROUNDS]
# ggen-market also reads, checks and indexes every archive; the others copy them. Interleaved, one after the other in every round, so
# that a machine that slows down slows down all; every round has prefixes of its own. Prints medians of wall and of the client's CPU
# seconds, and what a round of each tool asked the server for.
#
# benches/server.sh says which server that is. Tools that are not installed are left out: rclone, s5cmd, aws.
set -euo pipefail
crates=$(realpath "${1:?usage: benches/s3.sh FOLDER [ROUNDS]}")
rounds=${2:-5}
bin=$(realpath "${GGEN_MARKET:-${CARGO_TARGET_DIR:-target}/release/ggen-market}")
# shellcheck source=benches/server.sh
source "$(dirname "${BASH_SOURCE[0]}")/server.sh"
export HOME=$work

# What each tool does in a case with the folder it is given, in the round's own prefix.
ggen-market() {
  # 3: some archives were refused, and the others published.
  "$bin" build --quiet --source "$2" || [[ $? == 3 ]]
}
rclone() { command rclone copy --transfers 32 "$2" "server:$bucket/$prefix/rclone"; }
# One listing instead of a request for each file's time, where there are files already.
rclone-checksum() { command rclone copy --transfers 32 --checksum "$2" "server:$bucket/$prefix/rclone-checksum"; }
s5cmd() {
  local verb="sync"
  # Faster into an empty prefix, and the same result.
  if [[ $1 == first ]]; then verb="cp"; fi
  command s5cmd --log error "$verb" "$2/" "s3://$bucket/$prefix/s5cmd/"
}
aws() { command aws s3 sync --only-show-errors "$2" "s3://$bucket/$prefix/aws"; }

tools=(ggen-market)
for tool in rclone s5cmd aws; do
  # Not `command -v`, which would find the functions above.
  if type -P "$tool" >/dev/null; then
    tools+=("$tool")
    if [[ $tool == rclone ]]; then tools+=(rclone-checksum); fi
  else
    echo "left out: $tool is not installed"
  fi
done

# measure TOOL CASE FOLDER: appends wall and CPU seconds to TOOL.CASE.
measure() {
  local began=$EPOCHREALTIME status=0
  TIMEFORMAT='%U %S'
  { time "$1" "$2" "$3" >"$1.log" 2>&1; } 2>cpu || status=$?
  local ended=$EPOCHREALTIME
  if ((status != 0)); then
    echo "$1, $2: exit code $status" >&2
    cat "$1.log" >&2
    exit 1
  fi
  # The first round warms the page cache and does not count.
  if ((round > 0)); then
    awk -v a="$began" -v b="$ended" '{ printf "%.3f %.3f\n", b - a, $1 + $2 }' cpu >>"$1.$2"
  fi
}

# A registry and prefixes of their own, and DO TOOL CASE FOLDER for every tool and case.
run_round() {
  local tool case folder=$work/folder
  prefix=bench-$RANDOM$RANDOM
  rm -rf cache ggen-market.toml ggen-market.key folder
  cp -al most folder
  "$bin" init --quiet --store "s3://$bucket/$prefix/registry" --origin bench.example.com >/dev/null
  for case in "${cases[@]}"; do
    if [[ $case == changed ]]; then cp -al --no-clobber all/. folder/; fi
    for tool in "${tools[@]}"; do "$1" "$tool" "$case" "$folder"; done
  done
}

# All archives, and all but each hundredth: these are what is new in the third case.
mkdir most all
count=0
while IFS= read -r -d '' file; do
  count=$((count + 1))
  cp "$file" all/
  if ((count % 100 != 0)); then ln "all/${file##*/}" most/; fi
done < <(find "$crates" -name '*.crate' -print0 | sort -z)

find_server
# There is one writer, so that servers without conditional writes can be measured too.
export GGEN_MARKET_CACHE=$work/cache GGEN_MARKET_SINGLE_WRITER=true
cases=(first unchanged changed)
for ((round = 0; round <= rounds; round++)); do run_round measure; done

median() { sort -n | awk '{ v[NR] = $1 } END { printf "%.2f", v[int((NR + 1) / 2)] }'; }
echo "$count archives, $(du -sm "$crates" | cut -f1) MB, $rounds rounds, medians of seconds"
echo "ratio: wall of ggen-market / wall of the tool, in the same round"
table() { printf '%-16s' "$1" && printf '%11s' "${@:2}" && echo; }
table tool first CPU ratio unchanged CPU ratio changed CPU ratio
for tool in "${tools[@]}"; do
  row=()
  for case in "${cases[@]}"; do
    row+=("$(cut -d' ' -f1 "$tool.$case" | median)" "$(cut -d' ' -f2 "$tool.$case" | median)"
      "$(paste -d' ' "ggen-market.$case" "$tool.$case" | awk '{ print $1 / $3 }' | median)")
  done
  table "$tool" "${row[@]}"
done

# Once more through a proxy that writes down what it is asked; this round is not timed.
if ! PATH=$PATH:/usr/sbin command -v nginx >/dev/null; then
  echo "requests: not counted, nginx is not installed"
  exit
fi
port=$((20000 + RANDOM % 12000))
cat >nginx.conf <<CONF
daemon off;
pid $work/nginx.pid;
error_log $work/nginx.log;
events {}
http {
  log_format method '\$request_method';
  access_log $work/requests method;
  client_max_body_size 0;
  client_body_temp_path $work/nginx-body;
  proxy_temp_path $work/nginx-proxy;
  fastcgi_temp_path $work/nginx-fastcgi;
  uwsgi_temp_path $work/nginx-uwsgi;
  scgi_temp_path $work/nginx-scgi;
  server {
    listen 127.0.0.1:$port;
    location / {
      # These are part of what was signed, and the proxy would change them.
      proxy_set_header Host \$http_host;
      proxy_set_header Expect \$http_expect;
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_pass $endpoint;
    }
  }
}
CONF
PATH=$PATH:/usr/sbin nginx -c "$work/nginx.conf" -p "$work" 2>>nginx.log &
processes+=($!)
sleep 1
point_to "http://127.0.0.1:$port"
count_requests() {
  : >requests
  "$1" "$2" "$3" >"$1.log" 2>&1 || { cat "$1.log" >&2; exit 1; }
  # Written when an answer is over, which the client may know a moment earlier.
  sleep 0.3
  printf '%-16s %-10s %s\n' "$1" "$2" "$(sort requests | uniq -c | awk '{ printf "%s%s %s", (NR > 1 ? ", " : ""), $1, $2 }')"
}
echo
printf '%-16s %-10s %s\n' tool case requests
run_round count_requests
