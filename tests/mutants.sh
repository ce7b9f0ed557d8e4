#!/usr/bin/env bash
# Are the tests blind? Breaks one rule of the protocol at a time, in a copy of the sources, and expects the tests to go red.
#   tests/mutants.sh [NAME...]      (all of them by default; `tests/mutants.sh --list` names them)
# The last line says how many were caught; the exit code is 1 if one was not. Takes some minutes to build, and then
# about half a minute for each.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
# A folder of its own: Cargo takes the copy for the checkout itself, and would mix up what it built of either.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}/mutants CARGO_TERM_COLOR=never RUST_BACKTRACE=0

names=() breaks=() tests=()
# mutant NAME TESTS: what follows on standard input is a Perl program that breaks the sources; it runs in the copy.
mutant() {
  names+=("$1")
  tests+=("$2")
  breaks+=("$(cat)")
}

# replace FILE OLD NEW, in Perl: exactly one place, or the mutant is out of date.
readonly PRELUDE='
use strict; use warnings;
sub replace {
  my ($file, $old, $new) = @_;
  open(my $in, "<", $file) or die "$file: $!"; local $/; my $text = <$in>; close $in;
  my $count = () = $text =~ /\Q$old\E/g;
  die "$file: $count places for: $old\n" unless $count == 1;
  $text =~ s/\Q$old\E/$new/;
  open(my $out, ">", $file) or die "$file: $!"; print $out $text; close $out;
}
'

mutant "a claim without a condition (I2)" "publish:: s3::writers simulation::" <<'PERL'
replace("src/store/write.rs", "options.mode = PutMode::Create;\n        }\n        match self.commits", "options.mode = PutMode::Overwrite;\n        }\n        match self.commits");
PERL
mutant "a claim that is retried below (I4)" "s3::" <<'PERL'
replace("src/store/cloud.rs", "commits: open(0)?", "commits: open(RETRIES)?");
PERL
mutant "an unclear claim that is taken for lost (I3)" "s3::answers s3::writers" <<'PERL'
replace("src/publish/commit.rs", "            match self.store.get_signed(&key, None).await {\n                Ok(Fetched::New { bytes, .. }) => return Ok(bytes == *slot.bytes()),", "            if last.is_some() { return Ok(false); }\n            match self.store.get_signed(&key, None).await {\n                Ok(Fetched::New { bytes, .. }) => return Ok(bytes == *slot.bytes()),");
PERL
mutant "old objects that are relied on (I10)" "collect::" <<'PERL'
replace("src/store/write.rs", "meta.size == link.size && age <= YOUNG &&", "meta.size == link.size && age <= YOUNG * 10_000 &&");
PERL
mutant "planted objects that are relied on (I10)" "publish::" <<'PERL'
replace("src/store/write.rs", "age <= YOUNG && self.is_right(link).await", "age <= YOUNG");
PERL
mutant "commits that do not look at the boundary (I15)" "collect::" <<'PERL'
replace("src/publish/commit.rs", "if self.was_collected_since(session.base()).await {", "if self.was_collected_since(session.base()).await && false {");
PERL
mutant "writers that go by the base of the claim that succeeds (I15)" "collect::" <<'PERL'
replace("src/publish/commit.rs", "self.was_collected_since(session.base()).await", "self.was_collected_since(Some(head.slot.claim().generation)).await");
PERL
mutant "pointers that are mended without another look (I12)" "publish::" <<'PERL'
replace("src/publish/head.rs", "return self.mend(checkpoint, version, watch).await;", "let bytes = checkpoint.bytes().clone();\n            self.store.put_pointer(keys::CHECKPOINT, keys::Class::Pointer, bytes, version).await?;\n            return Ok(slot);");
PERL
mutant "collections without a boundary (I15)" "collect::" <<'PERL'
replace("src/publish/gc.rs", "            if !self.store.replace_signed(keys::BOUNDARY, before.as_ref().map(|b| &b.version), &bytes).await? {", "            if gone.is_empty() && !self.store.replace_signed(keys::BOUNDARY, before.as_ref().map(|b| &b.version), &bytes).await? {");
PERL
mutant "deletions without a second look (I16)" "collect:: simulation::" <<'PERL'
replace("src/store/sweep.rs", "if self.last_written(&from).await? != Some(written) {\n                return Ok(Discarded::Changed);\n            }\n            if looked", "if looked");
PERL
mutant "garbage that is not marked first (I16)" "collect::" <<'PERL'
replace("src/publish/gc.rs", ".filter(|marked| *marked >= modified).unwrap_or(now)", ".filter(|marked| *marked >= modified).unwrap_or(modified)");
PERL
mutant "the snapshot before what it links (I1)" "publish::" <<'PERL'
replace("src/publish/put.rs", "        let mut pages: Vec<_> = index.pages", "        let mut late = Vec::new();\n        let mut pages: Vec<_> = index.pages");
replace("src/publish/put.rs", "            self.put_all(puts, session, options).await?;\n        }\n", "            late.extend::<Vec<_>>(puts);\n        }\n");
replace("src/publish/put.rs", "        Ok(snapshot.link)", "        self.put_all(late, session, options).await?;\n        Ok(snapshot.link)");
PERL
mutant "details that outlive their release" "publish::" <<'PERL'
replace("src/publish/details.rs", ".filter(|c| c.change == ReleaseChange::Removed)", ".filter(|_| false)");
PERL
mutant "leaves of details that keep what they name (I14)" "publish:: collect::" <<'PERL'
replace("src/publish/live.rs", "            self.add(entry.link.sha256);\n            return false;", "            self.add(entry.link.sha256);\n            return self.walked.insert(entry.link.sha256);");
PERL
mutant "an audit that takes a leaf for right wherever it is cited (I28)" "publish::" <<'PERL'
replace("src/client/verify/blobs.rs", "self.leaves.get(&entry.link.sha256).is_none_or(|(seen, _)| seen != entry)", "self.seen.insert(entry.link.sha256)");
PERL
mutant "the pointer before the claim (I12)" "publish::" <<'PERL'
replace("src/publish/commit.rs", "            if self.claim(&slot, options).await? {", "            self.publish_checkpoint(&slot, &batch.watch, options, &mut session.tally).await?;\n            if self.claim(&slot, options).await? {");
PERL
mutant "cleaning up when it is unclear (I5)" "publish:: s3::answers" <<'PERL'
replace("src/store/sweep.rs", "    async fn delete(&self, key: &str)", "    pub(crate) async fn delete(&self, key: &str)");
replace("src/publish/commit.rs", "                last = Some(e);\n            }\n            match", "                last = Some(e);\n                self.store.delete(&key).await?;\n            }\n            match");
PERL
mutant "claims without a nonce (I7)" "publish::" <<'PERL'
replace("src/publish/options.rs", "        self.fill_random(&mut nonce)?;\n        Ok(nonce)", "        if false { self.fill_random(&mut nonce)?; }\n        Ok(nonce)");
PERL
mutant "time that goes back (I6)" "publish::" <<'PERL'
replace("src/publish/commit.rs", "options.now.max(before.claim().time)", "options.now");
PERL
mutant "a clock that may be ahead (I6)" "s3::conditions" <<'PERL'
replace("src/publish/commit.rs", "self.store.clock_ahead().is_some() && ahead > SKEW", "self.store.clock_ahead().is_some() && ahead > SKEW * 1_000_000");
PERL
mutant "lots that are not waited for" "cli::network::" <<'PERL'
replace("src/store/hashing.rs", "            self.catch_up().await;\n            self.hash_lot();", "            self.hash_lot();");
PERL
mutant "a cut-off that is the later of two" "resolve::what_is_too_young" <<'PERL'
replace("src/client/resolve.rs", "[self.exclude_newer, young].into_iter().flatten().min()", "[self.exclude_newer, young].into_iter().flatten().max()");
PERL
mutant "a part that is asked for once" "transport::parts" <<'PERL'
replace("src/search/remote.rs", "    for _ in 0..2 {\n        if matches!", "    for _ in 0..0 {\n        if matches!");
PERL
mutant "a question that goes on when nobody waits" "search::remote" <<'PERL'
replace("src/search/searcher.rs", "remote::fetch(&self.store, &self.readings, lacking).await?,", "{ let (s, r) = (self.store.clone(), self.readings.clone()); tokio::spawn(async move { remote::fetch(&s, &r, lacking).await }).await.map_err(|e| Error::new(ErrorKind::Io, e.to_string()))?? }");
PERL
mutant "sessions without an end (I11)" "publish:: simulation:: s3:: collect::" <<'PERL'
replace("src/publish/put.rs", "self.began.elapsed() > SESSION", "self.began.elapsed() > SESSION * 10_000");
PERL

if [[ ${1:-} == --list ]]; then
  printf '%s\n' "${names[@]}"
  exit
fi

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
# shellcheck source=.ci/lib.sh
source .ci/lib.sh
copy_sources "$copy"
wanted() {
  local name
  if (($# == 1)); then return 0; fi
  for name in "${@:2}"; do if [[ $1 == *"$name"* ]]; then return 0; fi; done
  return 1
}

caught=0 tried=0 missed=()
for i in "${!names[@]}"; do
  wanted "${names[i]}" "$@" || continue
  tried=$((tried + 1))
  rm -rf "$copy/src" && cp -a src "$copy/src"
  (cd "$copy" && perl -e "$PRELUDE ${breaks[i]}")
  # Newer than what was built of the mutant before.
  find "$copy/src" -name '*.rs' -exec touch {} +
  if ! (cd "$copy" && cargo test --quiet --test it --no-run) >"$copy/log" 2>&1; then
    cat "$copy/log"
    fail "${names[i]}: it does not compile, so it shows nothing"
  fi
  status=0
  # A broken protocol may also never come to an end; that shows nothing, since a slow machine does not either.
  # shellcheck disable=SC2086 # words
  (cd "$copy" && GGEN_SIMULATIONS=${GGEN_SIMULATIONS:-40} timeout 1200 cargo test --quiet --test it -- ${tests[i]}) >"$copy/log" 2>&1 || status=$?
  if ((status == 0 || status == 124)); then
    missed+=("${names[i]}")
    printf 'MISSED  %s (exit code %d)\n' "${names[i]}" "$status"
  else
    caught=$((caught + 1))
    by=$(sed -n 's/^    \([a-z0-9_]*::[a-z0-9_:]*\)$/\1/p' "$copy/log" | sort -u | head -n 2 | paste -sd ' ')
    printf 'caught  %s: %s\n' "${names[i]}" "${by:-the run broke off}"
  fi
done
printf '%d of %d caught\n' "$caught" "$tried"
((${#missed[@]} == 0))
