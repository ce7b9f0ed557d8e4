#!/usr/bin/env bash
# The web site in a real browser: makes a small registry with the program, hostile packages among it, serves it, and drives Debian's
# Chromium through it (tests/browser). Installs what is missing: chromium and node by apt, playwright-core and axe-core by npm, into a cache.
#
#   CI_TOOLS        where npm's packages are kept (default: ~/.cache/ggen-market-ci)
#   CI_ARTIFACTS    where the pictures go (default: a folder that is removed again)
#   CHROMIUM        the browser (default: Chromium or Chrome in PATH)
#   GGEN_MARKET     another program than that of CARGO_TARGET_DIR
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/lib.sh
source .ci/lib.sh

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
[[ $CARGO_TARGET_DIR == /* ]] || CARGO_TARGET_DIR=$PWD/$CARGO_TARGET_DIR
tools=${CI_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/ggen-market-ci}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

without() {
  echo "skipped: $1"
  exit 0
}

if [[ -z ${CHROMIUM:-} ]]; then
  for CHROMIUM in chromium-browser google-chrome chromium; do if command -v "$CHROMIUM" >/dev/null; then break; fi; done
  # The last of them is what Debian calls it.
  if ! (need_command "$CHROMIUM" chromium); then without "no chromium on this machine, and not to be installed"; fi
fi
if ! (need_command node nodejs && need_command npm npm); then without "no node and npm on this machine, and not to be installed"; fi
(($(node -p 'process.versions.node.split(".")[0]') >= 20)) || without "node is older than 20"
CHROMIUM=$(command -v "$CHROMIUM") || fail "there is no such browser as CHROMIUM says"

# One folder for each state of the lock: a change of it never meets what was installed before.
modules=$tools/browser-$(cat tests/browser/package.json tests/browser/package-lock.json | sha256sum | cut -c1-16)
if [[ ! -e $modules/installed ]]; then
  mkdir -p "$modules"
  cp tests/browser/package.json tests/browser/package-lock.json "$modules"
  # It says itself what it lacks; the names of mirrors do not belong into a log.
  if ! (cd "$modules" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >"$scratch/npm.log" 2>&1); then
    without "npm could not install playwright-core and axe-core"
  fi
  touch "$modules/installed"
fi

GGEN_MARKET=${GGEN_MARKET:-$CARGO_TARGET_DIR/debug/ggen-market}
if [[ ! -x $GGEN_MARKET || ${CI_BROWSER_BUILD:-1} == 1 ]]; then cargo build --quiet --locked; fi

# A registry as its operator makes it.
node tests/browser/sources.mjs "$scratch/packages"
cp -r examples/packages "$scratch/examples"
registry() { (cd "$scratch" && GGEN_MARKET_CACHE=$scratch/cache GGEN_MARKET_COLOR=never "$GGEN_MARKET" --quiet "$@"); }
registry init --store ./registry --origin registry.example.com/shop >/dev/null
registry build --source ./packages --source ./examples --stats downloads.tsv >/dev/null
rm -r "$scratch/packages/withdrawn"
registry build --source ./packages --source ./examples --delete >/dev/null
registry yank gone-already@1.0.0 --reason "<script>document.documentElement.dataset.ran=1</script> \"no longer\" & <b>kept</b>" >/dev/null
registry yank crate:tide_tables@1.0.0 --reason "the tides of leap years are an hour late" >/dev/null
registry views --views cargo,ggen,site --public-url https://registry.example.com/shop >/dev/null

export BROWSER_MODULES=$modules BROWSER_ARTIFACTS=${CI_ARTIFACTS:-$scratch/artifacts}/site
export SITE_FOLDER=$scratch/registry CHROMIUM GGEN_MARKET HOME=$scratch
node --test --test-reporter=spec tests/browser/site.test.mjs
