//! The lock file: what it says of overrides, who else writes to it, and what `outdated` makes of it.

use super::install::packs;

/// An override decides over what was asked for as well, and all verbs read the lock file so.
#[test]
fn an_override_of_what_is_wanted_is_locked_whole() {
    let s = packs();
    s.run(&["install", "base@^1", "tool", "--override", "base@^2", "--into", "deps"]).ok();
    assert_eq!(s.read("deps/pack/base/templates/main.tmpl"), "base 2.0.0\n");
    for how in ["--frozen", "--locked"] {
        s.run(&["install", how, "--into", "deps"]).ok();
    }
    assert_eq!(s.run(&["why", "base"]).ok().out, "pack:base 2.0.0\npack:tool 0.3.0 -> pack:base 2.0.0\n");
    s.run(&["export", "bundle.tar"]).ok();
    s.run(&["import", "bundle.tar", "--cache", "new", "--lock-file", "new.lock"]).ok();
    assert_eq!(s.read("new.lock"), s.read("ggen.lock"));
    s.run(&["remove", "tool", "--into", "deps"]).ok();
    assert_eq!(s.read("deps/pack/base/templates/main.tmpl"), "base 2.0.0\n");
    s.run(&["install", "--frozen", "--into", "deps"]).ok().says(&["1 there already"]);
}
