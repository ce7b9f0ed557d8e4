# Helpers of .ci/run: steps with their times, what was skipped, and the README's marked blocks.
# shellcheck shell=bash

steps=() skipped=() ran=() current=""

# step TITLE COMMAND...: runs it under a heading. Called as a plain statement, so that `set -e` holds inside.
step() {
  local started=$SECONDS
  current=$1
  shift
  printf '\n== %s\n' "$current"
  "$@"
  steps+=("$(printf '%5d s  %s' "$((SECONDS - started))" "$current")")
  printf '== %s: ok, %d s\n' "$current" "$((SECONDS - started))"
  current=""
}

skip() {
  skipped+=("$1")
  printf 'SKIPPED %s\n' "$1"
}

fail() {
  printf 'error: %s\n' "$1" >&2
  exit 1
}

# report STATUS: the summary, also after a failure.
report() {
  printf '\n== summary (%d s)\n' "$SECONDS"
  if ((${#steps[@]})); then printf '%s\n' "${steps[@]}"; fi
  if ((${#ran[@]})); then
    printf 'S3 servers that the tests ran against:\n'
    printf '  - %s\n' "${ran[@]}"
  fi
  if ((${#skipped[@]})); then
    printf 'skipped:\n'
    printf '  - %s\n' "${skipped[@]}"
  else
    printf 'skipped: nothing\n'
  fi
  if (($1 == 0)); then
    printf 'PASSED\n'
  else
    printf 'FAILED in: %s\n' "${current:-start}"
  fi
}

# need_command COMMAND PACKAGE: installs the package of the system where the command is missing.
need_command() {
  if ! command -v "$1" >/dev/null; then install_package "$2"; fi
}

install_package() {
  command -v apt-get >/dev/null || fail "no $1 on this machine, and no apt-get to install it with"
  local root=()
  if ((EUID != 0)); then root=(sudo); fi
  # Quiet: the names of package mirrors do not belong into a log.
  ${root[@]+"${root[@]}"} apt-get update -qq >/dev/null
  ${root[@]+"${root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >/dev/null
}

# block FILE NAME: the fenced block that follows the line `<!-- NAME -->` in a page, without its fences. A leading "$ " (a prompt)
# is taken off.
block() {
  [[ -f $1 ]] || fail "no $1"
  awk -v marker="<!-- $2 -->" '
    { sub(/[ \t\r]+$/, "") }
    state == 0 && $0 == marker { state = 1; next }
    state == 1 && /^```/ { state = 2; next }
    state == 1 && NF { exit }
    state == 2 && /^```/ { state = 3; exit }
    state == 2 { sub(/^\$ /, ""); print }
    END { exit state != 3 }
  ' "$1" || fail "$1: no fenced block directly after <!-- $2 -->"
}

show() {
  sed 's/^/$ /' "$1"
}

# copy_sources FOLDER: the checkout as it is now, without what git ignores.
copy_sources() {
  if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    # Files that were deleted but not committed are still listed.
    git ls-files --cached --others --exclude-standard -z |
      while IFS= read -r -d '' file; do if [[ -e $file ]]; then printf '%s\0' "$file"; fi; done |
      tar --null --files-from=- --create --file=- | tar --extract --file=- --directory="$1"
  else
    tar --exclude=./target --create --file=- . | tar --extract --file=- --directory="$1"
  fi
}

# expect_lines EXPECTED ACTUAL: every expected line is in the output, in their order; "…" stands for anything.
expect_lines() {
  local want pattern line found
  exec 3<"$2"
  while IFS= read -r want || [[ -n $want ]]; do
    want=$(trim "$want")
    if [[ -z ${want//…/} ]]; then continue; fi
    pattern=${want//\\/\\\\}
    pattern=${pattern//\*/\\*}
    pattern=${pattern//\?/\\?}
    pattern=${pattern//\[/\\[}
    pattern=${pattern//…/*}
    found=""
    while IFS= read -r line <&3 || [[ -n $line ]]; do
      # The right side is a pattern on purpose.
      # shellcheck disable=SC2053
      if [[ $(trim "$line") == $pattern ]]; then
        found=yes
        break
      fi
    done
    [[ -n $found ]] || fail "the README promises this line, which is not in the output (or not after the line before it): $want"
  done <"$1"
  exec 3<&-
  echo "the output is what the README shows"
}

trim() {
  local text=${1//$'\r'/}
  text=${text#"${text%%[![:space:]]*}"}
  printf '%s' "${text%"${text##*[![:space:]]}"}"
}
