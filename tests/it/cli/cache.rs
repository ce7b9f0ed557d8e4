//! `cache`: where it is, how much it is, and that cleaning it forgets nothing that protects.

use super::Sandbox;

#[test]
fn cleaning_frees_what_can_be_fetched_again_and_keeps_what_is_trusted() {
    let s = Sandbox::published();
    let cache = |what: &str| s.run(&["cache", what, "--cache", "reader", "--json"]).ok().json();
    assert_eq!(s.run(&["cache", "dir", "--cache", "reader"]).ok().out, "reader\n");
    assert_eq!(cache("size")["files"], 0, "nothing there is no error");
    let info = ["info", "hello", "--registry", "registry", "--cache", "reader"];
    s.run(&info).ok();
    let size = cache("size");
    assert_eq!((&size["files"], &size["cleaned"]), (&2.into(), &false.into()), "snapshot and shard: {size}");
    let bytes: u64 = walkdir::WalkDir::new(s.path("reader/blobs"))
        .into_iter()
        .map(|e| e.unwrap().metadata().unwrap())
        .filter(std::fs::Metadata::is_file)
        .map(|m| m.len())
        .sum();
    assert_eq!(size["bytes"], bytes);
    assert_eq!(size["parts"][0], serde_json::json!({ "name": "blobs", "files": 2, "bytes": bytes }));
    let text = s.run(&["cache", "size", "--cache", "reader"]).ok().out;
    assert!(text.starts_with("blobs\t2\t") && text.contains("\nall\t2\t"), "{text}");
    s.write("reader/notes.txt", "mine");
    let trusted = || {
        let folder = std::fs::read_dir(s.path("reader/trust")).unwrap().next().unwrap().unwrap().path();
        std::fs::read(folder.join("checkpoint")).unwrap()
    };
    let before = trusted();
    s.run(&["cache", "clean", "--cache", "reader"]).ok().says(&["2 files removed"]);
    assert!(!s.path("reader/blobs").exists());
    assert_eq!((trusted(), s.read("reader/notes.txt")), (before, "mine".into()));
    let clean = cache("clean");
    assert_eq!((&clean["files"], &clean["cleaned"]), (&0.into(), &true.into()));
    // An older state is still known for what it is.
    s.run(&[&info[..], &["--offline"]].concat()).code(4);
    s.run(&info).ok();
    s.run(&["cache", "remove"]).code(2);
}
