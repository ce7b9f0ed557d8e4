//! Views by way of the command line.

use super::{ORIGIN, Sandbox};
use serde_json::json;

const PUBLIC: &str = "https://packages.example.com/ggen";

/// A registry whose configuration asks for these views.
fn with_views(views: &str) -> Sandbox {
    let s = Sandbox::published();
    let config = s.read("ggen-market.toml");
    s.write("ggen-market.toml", format!("views = {views}\nregistry = \"{PUBLIC}\"\n{config}"));
    s
}

#[test]
fn every_verb_that_writes_brings_the_views_along() {
    let s = with_views("[\"plain\", \"cargo\", \"ggen\"]");
    let run = s.run(&["build", "--source", "packages", "--json"]).ok();
    let views = run.json()["views"].clone();
    let said = |name: &str| views.as_array().unwrap().iter().find(|v| v["view"] == name).unwrap().clone();
    assert_eq!((said("plain")["files"].as_u64(), said("cargo")["files"].as_u64()), (Some(2), Some(2)));
    assert_eq!(said("ggen")["generation"], 1);
    assert_eq!(said("ggen")["notes"][0]["what"], "pack:greeter@0.1.0");
    assert!(
        run.err.contains("warning: ggen: pack:greeter@0.1.0: ggen's engine will refuse it: it has no ontology.ttl"),
        "{}",
        run.err
    );
    assert_eq!(s.read("registry/index/crate/he/ll/hello").lines().count(), 2);
    assert_eq!(s.read("registry/cargo/he/ll/hello").lines().count(), 2);
    assert!(s.read("registry/packages/greeter/versions/0.1.0").contains(&format!("{PUBLIC}/blobs/sha256/")));
    // Nobody reads half a file, and nothing is left lying about.
    let left = walkdir::WalkDir::new(s.path("registry"))
        .into_iter()
        .filter(|e| e.as_ref().unwrap().file_name().to_str().unwrap().contains('#'));
    assert_eq!(left.count(), 0);

    let again = s.run(&["build", "--source", "packages"]).ok();
    assert!(again.err.contains("nothing written in") && !again.err.contains("warning"), "{}", again.err);

    s.run(&["yank", "hello@1.1.0"]).ok();
    assert!(s.read("registry/cargo/he/ll/hello").lines().nth(1).unwrap().contains("\"yanked\":true"));
    s.run(&["unyank", "hello@1.1.0"]).ok();
    assert!(!s.read("registry/cargo/he/ll/hello").contains("\"yanked\":true"));
    s.a_crate("hello", "1.2.0", "Says hello again");
    s.run(&["publish", "packages/hello-1.2.0.crate"]).ok().says(&["2 files of views"]);
    assert_eq!(s.read("registry/cargo/he/ll/hello").lines().count(), 3);

    // An audit has nothing to say of views.
    s.run(&["verify", "--all", "--registry", "registry"]).ok();
    // A mirror has another address: it copies none.
    s.run(&["mirror", "registry", "copy"]).ok();
    assert!(s.path("copy/log").exists() && !s.path("copy/index").exists() && !s.path("copy/views").exists());
    // A dry run writes none.
    std::fs::remove_file(s.path("registry/views/cargo")).unwrap();
    s.run(&["build", "--source", "packages", "--dry-run"]).ok();
    assert!(!s.path("registry/views/cargo").exists());
}

#[test]
fn views_can_be_made_anew_and_chosen_for_one_run() {
    let s = with_views("[\"plain\"]");
    s.run(&["views"]).ok().says(&["plain: shows generation 1; 2 files, "]);
    s.run(&["views"]).ok().says(&["plain: shows generation 1; nothing written"]);
    s.write("registry/index/crate/he/ll/hello", "rubbish");
    s.run(&["views"]).ok().says(&["nothing written"]);
    let run = s.run(&["views", "--rebuild", "--json"]).ok();
    assert_eq!(
        (run.json()["views"][0]["files"].as_u64(), run.json()["views"][0]["whole"].as_bool()),
        (Some(1), Some(true))
    );
    assert_eq!(s.read("registry/index/crate/he/ll/hello").lines().count(), 2);
    s.run(&["views", "--views", "cargo", "--public-url", "http://localhost:8080/"]).ok();
    let config = s.read("registry/cargo/config.json");
    assert_eq!(config, "{\"dl\":\"http://localhost:8080/blobs/sha256/{sha256-checksum}\"}\n");
    s.run(&["views", "--views", "none"]).code(2).says(&["no views are set"]);
    s.run(&["views", "--views", "carog"])
        .code(2)
        .says(&["there is no view \"carog\"", "known: plain, cargo, ggen, site"]);
}

/// What was committed stands, whatever becomes of the views; and nobody would be told of a refusal a second time.
#[test]
fn what_was_published_and_refused_is_told_also_where_a_view_fails() {
    let s = with_views("[\"plain\", \"cargo\"]");
    s.write("registry/index", "in the way of a folder");
    s.a_crate("hello", "1.2.0", "Says hello again");
    s.write("packages/broken-1.0.0.crate", "no archive");
    let failed = ["error: the view plain is not up to date", "the next run brings the view up to date"];
    let run = s.run(&["build", "--source", "packages", "--json"]).code(1).says(&failed);
    let run =
        run.says(&["refused: packages/broken-1.0.0.crate", "1 release added, 3 unchanged, 1 refused; generation 2"]);
    let told = run.json();
    assert_eq!((&told["added"], &told["committed"], &told["generation"]), (&1.into(), &true.into(), &2.into()));
    assert_eq!((&told["refused"][0]["path"], &told["views"]), (&"packages/broken-1.0.0.crate".into(), &json!([])));
    assert!(
        run.err.find("refused:") < run.err.find("error:") && run.err.trim_end().ends_with("up to date"),
        "{}",
        run.err
    );

    let run = s.run(&["yank", "hello@1.1.0", "--json"]).code(1).says(&failed);
    assert_eq!(run.says(&["hello@1.1.0 is yanked; generation 3"]).json()["changed"], true);
    let run = s.run(&["refresh", "--json"]).code(1).says(&failed);
    assert_eq!(run.says(&["generation 4 holds until"]).json()["generation"], 4);
    // A view that could be written before the one that fails is told of, too.
    std::fs::rename(s.path("registry/index"), s.path("registry/cargo")).unwrap();
    let run = s.run(&["build", "--source", "packages", "--json"]).code(1).says(&["error: the view cargo is not"]);
    assert_eq!((&run.json()["views"][0]["view"], run.json()["views"].as_array().unwrap().len()), (&"plain".into(), 1));
    std::fs::remove_file(s.path("registry/cargo")).unwrap();
    s.run(&["build", "--source", "packages"]).code(3).says(&["files of views"]);
}

#[test]
fn mistakes_in_the_settings_are_told_with_their_place() {
    let s = Sandbox::with_registry();
    let config = s.read("ggen-market.toml");
    s.write(
        "ggen-market.toml",
        format!("views = [\"plain\", \"web\"]\ncargo_dependencies = \"there\"\ncargo_auth = 1\n{config}"),
    );
    s.run(&["build", "--source", "."]).code(2).says(&[
        "ggen-market.toml:1:19: `views`: there is no view \"web\"",
        "ggen-market.toml:2:22: `cargo_dependencies`: \"there\" is neither \"here\" nor \"crates.io\"",
        "ggen-market.toml:3:14: `cargo_auth` must be true or false, not a number",
    ]);
    // Without an address, Cargo could not be told where to download.
    s.write("ggen-market.toml", format!("views = [\"cargo\"]\n{config}"));
    s.a_crate("hello", "1.0.0", "Says hello");
    s.run(&["build", "--source", "packages"]).code(2).says(&[
        "the view cargo is not up to date",
        "needs the address under which readers find the registry",
        "--public-url",
    ]);
    // The release is published all the same.
    s.run(&["info", "hello", "--registry", "registry"]).ok();
    s.write("ggen-market.toml", format!("views = [\"cargo\"]\nregistry = \"https://u:secret@example.com\"\n{config}"));
    let run = s.run(&["build", "--source", "packages"]).code(2).says(&["must not hold a user or a password"]);
    assert!(!run.err.contains("secret"), "{}", run.err);
}

#[test]
fn cargo_is_told_where_the_registry_is() {
    let s = with_views("[\"cargo\"]");
    let name = ORIGIN.replace(['.', '/'], "-");
    let plain = format!("[registries.{name}]\nindex = \"sparse+{PUBLIC}/cargo/\"\n");
    assert_eq!(s.run(&["cargo-config"]).ok().out, plain);
    let replaced = s.run(&["cargo-config", "--name", "ours", "--replace-crates-io"]).ok().out;
    let want = "[registries.ours]\nindex = \"sparse+https://packages.example.com/ggen/cargo/\"\n\n[source.crates-io]\nreplace-with = \"ours\"\n";
    assert_eq!(replaced, want);
    s.run(&["cargo-config", "--name", "crates-io"]).code(2).says(&["is no name for a registry"]);
    let document = s.run(&["cargo-config", "--json"]).ok().json();
    assert_eq!((document["name"].as_str(), document["config"].as_str()), (Some(name.as_str()), Some(plain.as_str())));
    let config = s.read("ggen-market.toml");
    s.write("ggen-market.toml", format!("cargo_auth = true\n{config}"));
    assert!(
        s.run(&["cargo-config"]).ok().out.ends_with("\n[registry]\nglobal-credential-providers = [\"cargo:token\"]\n")
    );
    // The form that ggen's installer wants its key in.
    let hex = s.run(&["key", "--hex"]).ok().out;
    assert_eq!(hex.trim(), s.key().parse::<ggen_marketplace::VerifierKey>().unwrap().to_hex());
}

#[test]
fn a_template_with_a_mistake_is_named_with_its_line_and_nothing_is_published() {
    let s = with_views("[\"plain\", \"site\"]");
    let config = s.read("ggen-market.toml");
    s.write("ggen-market.toml", format!("site_title = \"Ours\"\nsite_templates = \"theme\"\n{config}"));
    s.run(&["build", "--source", "packages"]).code(1).says(&["cannot read the templates in theme"]);
    s.write("theme/home.html", "{% extends \"base.html\" %}\n{% block main %}\n{{ counts.pakages }}{% endblock %}");
    s.a_crate("hello", "1.2.0", "Says hello again");
    for verb in [&["build", "--source", "packages"][..], &["views"], &["yank", "hello@1.1.0"]] {
        s.run(verb).code(2).says(&["the templates in theme are of no use", "home.html:3: "]);
    }
    assert!(!s.path("registry/index.html").exists() && !s.path("registry/log/0000000002").exists());
    s.write(
        "theme/home.html",
        "{% extends \"base.html\" %}{% block main %}{{ site.title }}: {{ counts.packages }}{% endblock %}",
    );
    s.write("theme/assets/style.css", "body { color: red }");
    s.run(&["build", "--source", "packages"]).ok();
    assert!(s.read("registry/index.html").contains("Ours: 2"), "{}", s.read("registry/index.html"));
    assert_eq!(s.read("registry/assets/style.css"), "body { color: red }");
    // Another template: all pages are looked at, and those that it makes are written.
    s.write("theme/404.html", "nothing here");
    let views = s.run(&["views", "--json"]).ok().json()["views"].clone();
    assert_eq!((views[1]["whole"].as_bool(), views[1]["files"].as_u64()), (Some(true), Some(1)));
    // With the option in the place of the setting.
    s.write("other/home.html", "other");
    s.run(&["views", "--site-templates", "other"]).ok();
    assert_eq!(s.read("registry/index.html"), "other");
    s.run(&["views"]).ok();
    assert_eq!(s.read("registry/404.html"), "nothing here");
}
