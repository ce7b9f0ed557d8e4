//! What a reader asks for after something was not there: the boundary of a collection, and the note of a mirror. Both have
//! to be had over HTTP as well, or what went on purpose is taken for lost.

use super::nginx::{Nginx, program};
use crate::{
    cli::{Sandbox, collect},
    serve,
};

/// Reads the registry of the sandbox behind both servers, one after the other.
fn behind_each(s: &mut Sandbox, read: impl Fn(&Sandbox, &str)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(serve::start(s, |_| {}));
    read(s, &format!("http://{}", server.address));
    let Some(program) = program() else { return };
    let nginx = Nginx::start(program, s, "");
    read(s, &nginx.url);
}

/// What `doctor` says of a server that this project tells to use: nothing.
fn passes(s: &Sandbox, url: &str, notes: &str) {
    let run = s.run(&["doctor", "--quick", "--public-url", url]).ok().says(&["0 failed, 0 warnings"]);
    let line = format!("public_notes\tok\t{notes}: the same as in the store");
    assert!(run.out.lines().any(|l| l == line), "{}", run.out);
}

#[test]
fn what_was_collected_is_told_from_what_was_lost() {
    let mut s = collect::collected();
    behind_each(&mut s, |s, url| {
        let over = |args: &[&str]| s.run(&[args, &["--registry", url, "--cache", "reader"]].concat());
        over(&["verify", "--all"]).ok().says(&["3 older generations went as garbage"]);
        let history = over(&["history"]).ok().out;
        assert!(history.lines().last().unwrap().contains("\t-\t-\t"), "{history}");
        over(&["info", "hello", "--at", "1"]).code(6).says(&["generation 1 was collected as garbage"]);
        over(&["diff", "1", "4"]).code(6).says(&["generation 1 was collected as garbage"]);
        passes(s, url, "gc/boundary");
    });
}

#[test]
fn what_was_never_mirrored_is_told_from_what_was_lost() {
    let mut s = Sandbox::published();
    let line = |i: u32| {
        format!(
            r#"{{"name":"far-{i}","version":"1.0.0","summary":"{}","sha256":"{i:064x}","size":1,"download_url":"https://example.com/{i}"}}"#,
            "x".repeat(200)
        )
    };
    s.write("more/list.jsonl", (1..1_000).map(|i| line(i) + "\n").collect::<String>());
    s.run(&["build", "--source", "packages", "--source", "more"]).ok();
    std::fs::rename(s.path("registry"), s.path("source")).unwrap();
    s.run(&["mirror", "source", "registry", "--only", "crate:hello"]).ok();
    let far = (1..1_000)
        .map(|i| format!("pack:far-{i}"))
        .find(|far| s.run(&["info", far, "--registry", "registry"]).code != 0)
        .unwrap();
    behind_each(&mut s, |s, url| {
        let over = |args: &[&str]| s.run(&[args, &["--registry", url, "--cache", "reader"]].concat());
        over(&["verify", "--all"]).ok().says(&["is whole as far as it is mirrored", "not mirrored here: "]);
        over(&["info", &far]).code(4).says(&["is not mirrored here (this mirror holds only crate:hello"]);
        over(&["list"]).ok().says(&["what it does not hold is not in the list"]);
        over(&["history"]).ok();
        passes(s, url, "mirror.json");
    });
}
