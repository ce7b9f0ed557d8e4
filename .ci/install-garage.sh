#!/usr/bin/env bash
# Builds Garage, the S3 server that ignores conditional writes, into $CI_TOOLS/bin, where .ci/run finds it. Not part of a CI run: it
# takes a quarter of an hour on two cores. docs/testing.md says what the tests learn from it.
#   CI_TOOLS    where tools are installed (default: ~/.cache/ggen-market-ci)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/lib.sh
source .ci/lib.sh
# shellcheck source=.ci/servers.sh
source .ci/servers.sh

export CI_TOOLS=${CI_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/ggen-market-ci}
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
mkdir -p "$CI_TOOLS"
CARGO_TARGET_DIR=$build nice -n 10 cargo install --locked --version "$GARAGE_VERSION" --root "$CI_TOOLS" garage
"$CI_TOOLS/bin/garage" --version
