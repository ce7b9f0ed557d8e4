//! What a build holds in memory, by the kernel's own account of the process.

use super::{Run, Sandbox};
use sha2::{Digest as _, Sha256};
use std::{fmt::Write as _, fs, time::Duration};

const PACKAGES: u64 = 6_000;

/// Releases of so many packages; with something to read, 12 kB of it that hardly compress and that no other one has.
fn list(s: &Sandbox, version: &str, with_readme: bool) -> u64 {
    let mut text = String::new();
    for number in 0..PACKAGES {
        let digest = |i: u64| hex::encode(Sha256::digest([number.to_be_bytes(), i.to_be_bytes()].concat()));
        let readme: String = if with_readme { (0..180).map(|i| digest(i) + " ").collect() } else { String::new() };
        writeln!(
            text,
            r#"{{"name":"read-{number}","version":"{version}","summary":"One","homepage":"https://example.com","readme":"{readme}","sha256":"{}","size":1,"download_url":"https://example.com/1"}}"#,
            digest(version.len() as u64)
        )
        .unwrap();
    }
    s.write("packages/list.jsonl", &text);
    text.len() as u64
}

/// The most memory that a run took, in bytes.
fn peak(s: &Sandbox, args: &[&str]) -> u64 {
    let mut child = s.start(args);
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    // The mark only rises, and what comes after the last look at it is the end of the process.
    while child.try_wait().unwrap().is_none() {
        let now = fs::read_to_string(&status).unwrap_or_default();
        let line = now.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default();
        most = most.max(line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    Run { code: output.status.code().unwrap_or(-1), out: String::new(), err }.ok().says(&["6000 releases added"]);
    most * 1024
}

/// Details wait on disk: those that are new, and those in whose leaves something changes.
#[test]
fn a_build_does_not_hold_its_details() {
    // What is read ahead of a list grows with the processors, and there is more of it with readmes.
    let build = ["build", "--source", "packages", "--no-search", "--threads", "2"];
    let of = |with_readme: bool| {
        let s = Sandbox::with_registry();
        let bytes = list(&s, "1.0.0", with_readme);
        let first = peak(&s, &build);
        // Each leaf is read, and written with twice as much in it.
        list(&s, "1.0.1", with_readme);
        (first, peak(&s, &build), bytes)
    };
    let ((bare, bare_again, _), (first, second, bytes)) = (of(false), of(true));
    println!(
        "{bytes} bytes of lines: {first} and then {second} bytes of memory, {bare} and {bare_again} without readmes"
    );
    assert!(bytes > 70_000_000 && bare > 5_000_000, "{bytes} {bare}");
    assert!(first < bare + 25_000_000, "{first} bytes, {bare} without readmes");
    assert!(second < bare_again + 35_000_000, "{second} bytes, {bare_again} without readmes");
}
