//! `search` on a folder, and what `build --stats` and `--no-search` do to it.

use super::Sandbox;

#[test]
fn packages_are_found_by_name_word_and_mistake() {
    let s = Sandbox::published();
    let names = |args: &[&str]| -> Vec<String> {
        let all = [&["search"], args].concat();
        s.run(&all).ok().out.lines().map(|l| l.split('\t').next().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&["hello"]), ["crate:hello"]);
    assert_eq!(names(&["helo"]), ["crate:hello"]);
    assert_eq!(names(&["greet"]), ["pack:greeter", "crate:hello"]);
    assert_eq!(names(&["everybody", "hello"]), ["crate:hello"]);
    assert_eq!(names(&["--keyword", "greeting", "--license", "mit", "--kind", "crate"]), ["crate:hello"]);
    assert_eq!(names(&["--sort", "name", "-n", "1", "--offset", "1"]), ["crate:hello"]);
    assert_eq!(names(&["says -everybody"]), [""; 0]);
    assert_eq!(names(&["--kind", "pack", "--", "templates", "-everybody"]), ["pack:greeter"]);
    assert_eq!(names(&["no-such-thing-at-all"]), [""; 0]);
    // A word that nothing has is taken for the nearest word of a name, and that is said.
    let run = s.run(&["search", "helol", "kind:crate"]).ok();
    assert!(run.out.starts_with("crate:hello\t"), "{}", run.out);
    assert!(run.err.contains("nothing has `helol`; these have `hello`"), "{}", run.err);
    let json = s.run(&["search", "helol", "kind:crate", "--json"]).ok().json();
    assert_eq!(json["corrected"], serde_json::json!({"helol": "hello"}));
    let json = s.run(&["search", "hello", "--json", "--explain"]).ok().json();
    let hit = &json["hits"][0];
    assert_eq!((&json["total"], &json["generation"], &json["query"]), (&1.into(), &1.into(), &"hello".into()));
    assert_eq!((&hit["name"], &hit["version"], &hit["yanked"]), (&"hello".into(), &"1.1.0".into(), &false.into()));
    assert_eq!(hit["explanation"][0], serde_json::json!({"part": "name", "worth": 600.0}));
    let json = s.run(&["search", "--facets", "--json"]).ok().json();
    assert_eq!(
        json["facets"]["kind"],
        serde_json::json!([{"count": 1, "value": "crate"}, {"count": 1, "value": "pack"}])
    );
    assert!(json["hits"][0]["explanation"].is_null());
    for (query, what) in [("\"open", "column 1"), ("a colour:red", "column 3"), ("a*b", "column 2")] {
        let run = s.run(&["search", query]);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{}", run.err);
        assert!(run.err.contains(what), "{}", run.err);
    }
}

#[test]
fn counts_and_the_lack_of_an_index_are_settings_of_the_build() {
    let s = Sandbox::published();
    s.write("stats.tsv", "crate:hello\t12\ngreeter,40\n");
    s.run(&["build", "--source", "packages", "--stats", "stats.tsv"]).ok();
    let json = s.run(&["search", "--sort", "downloads", "--json"]).ok().json();
    let counts: Vec<_> = json["hits"].as_array().unwrap().iter().map(|h| (&h["name"], &h["downloads"])).collect();
    assert_eq!(counts, [(&"greeter".into(), &40.into()), (&"hello".into(), &12.into())]);
    let again = s.run(&["build", "--source", "packages", "--stats", "stats.tsv", "--json"]).ok().json();
    assert_eq!((&again["objects"], &again["committed"]), (&0.into(), &false.into()));
    s.write("stats.tsv", "hello 12\n");
    assert_eq!(s.run(&["build", "--source", "packages", "--stats", "stats.tsv"]).code, 2);
    s.a_crate("late", "1.0.0", "Comes last");
    s.run(&["build", "--source", "packages", "--no-search"]).ok();
    let run = s.run(&["search", "late"]);
    assert_eq!(run.code, 6, "{}", run.err);
    assert!(run.err.contains("has no search index"), "{}", run.err);
}
