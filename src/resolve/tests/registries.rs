//! Which registry a dependency names.

use super::*;

#[test]
fn a_registry_is_named_by_its_origin_its_addresses_and_what_cargo_makes_of_them() {
    for named in [
        "one.example",
        "https://one.example",
        "https://one.example/",
        "https://one.example/cargo",
        "sparse+https://one.example/cargo/",
        "http://mirror.example/ggen",
        "sparse+http://mirror.example/ggen/cargo/",
    ] {
        let mut graph = Graph::new("inner 1.0.0");
        graph.add(0, &format!("app 1.0.0: inner ^1 in {named}"));
        let mut question = Graph::question(&["app"]);
        question.registries[0].aliases = vec!["http://mirror.example/ggen".into()];
        assert_eq!(shown(&graph.ask(question).unwrap()), "app 1.0.0, inner 1.0.0", "{named}");
    }
    // What only looks like it is none of it, and the name here is not taken for the one there.
    for named in [
        "http://one.example",
        "https://one.example.evil.example/cargo/",
        "https://evil.example/one.example",
        "https://one.example/other",
        "https://one.example/cargo/cargo/",
        "sparse+https://one.example/cargo/x/",
        "https://one.example:8443/cargo/",
        "https://user@one.example/cargo/",
        "https://mirror.example/ggen/cargo/",
        "http://mirror.example/cargo/",
        "http://mirror.example/",
        "git+https://one.example/cargo/",
    ] {
        let mut graph = Graph::new("inner 1.0.0");
        graph.add(0, &format!("app 1.0.0: inner ^1 in {named}"));
        let mut question = Graph::question(&["app"]);
        question.registries[0].aliases = vec!["http://mirror.example/ggen".into()];
        let text = graph.refused(question);
        assert!(text.contains("a registry that is not configured"), "{named}: {text}");
    }
    // One that is configured under the very address that Cargo would make of another one comes first.
    let mut graph = Graph::new("inner 1.0.0");
    graph.add(1, "inner 1.5.0");
    graph.add(0, "app 1.0.0: inner ^1 in sparse+https://one.example/cargo/");
    let mut question = Graph::question(&["app"]);
    question.registries[1].aliases = vec!["https://one.example/cargo".into()];
    assert_eq!(shown(&graph.ask(question).unwrap()), "app 1.0.0, inner 1.5.0");
}
