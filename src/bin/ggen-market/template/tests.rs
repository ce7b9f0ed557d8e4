//! The templates are complete, fill in what they should, and hold only commands that this program has.

use super::*;
use crate::{
    args::{Cli, command},
    settings::SECRET,
};
use clap::Parser as _;
use std::collections::BTreeMap;
use yaml_rust2::{Yaml, YamlLoader};

fn known() -> Known {
    Known {
        origin: Some("registry.example.com/ggen".into()),
        key: Some("registry.example.com/ggen+195b6cb9+AarC/TOTB+1r=".into()),
        store: Some("s3://some-bucket/some/prefix/".into()),
        registry: Some("https://registry.example.com:8443/g.gen/".into()),
        sources: vec!["/srv/packages".into(), "/srv/more".into()],
    }
}

fn all(known: &Known) -> Vec<Rendered> {
    render(Template::value_variants(), &Places::new(known))
}

fn values<const N: usize>(known: &Known, places: [&str; N]) -> [String; N] {
    let all = Places::new(known);
    places.map(|p| all.value(p))
}

#[test]
fn every_file_of_every_template_is_written_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/deploy");
    let files = walkdir::WalkDir::new(&root).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file());
    let mut there: Vec<_> = files.map(|e| fs::read_to_string(e.path()).unwrap()).collect();
    let mut listed: Vec<_> = Template::value_variants().iter().flat_map(|t| t.files()).map(|(_, t)| *t).collect();
    there.sort();
    listed.sort_unstable();
    assert_eq!(there, listed, "templates/deploy holds something that no Template lists");
    let mut folders: Vec<_> =
        fs::read_dir(root).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    let mut names: Vec<_> = Template::value_variants().iter().map(|t| t.name()).collect();
    folders.sort();
    names.sort();
    assert_eq!(folders, names, "a template is called as its folder is");
    let mut paths: Vec<_> = all(&known()).into_iter().map(|r| r.path).collect();
    let number = paths.len();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), number, "two templates write one file");
}

#[test]
fn places_are_filled_once_and_those_of_others_are_left_to_them() {
    let filled = fill("a {{x}} ${{ secrets.{{x}} }} b ${{y}} {{x}}{{x}}", |name| format!("<{name} {{{{x}}}}>"));
    assert_eq!(filled, "a <x {{x}}> ${{ secrets.<x {{x}}> }} b ${{y}} <x {{x}}><x {{x}}>");
    // A value that ends with a dollar sign protects nothing.
    assert_eq!(fill("{{a}}{{b}}", |_| "$".into()), "$$");
}

#[test]
fn what_is_known_is_filled_in() {
    let mut known = known();
    let s3 = ["store", "bucket store", "bucket", "prefix", "root", "writable", "sources"];
    assert_eq!(
        values(&known, s3),
        [
            "s3://some-bucket/some/prefix",
            "s3://some-bucket/some/prefix",
            "some-bucket",
            "some/prefix/",
            "/YOUR-FOLDER",
            "",
            "--source /srv/packages --source /srv/more"
        ]
    );
    let http = ["address", "host", "server name", "path", "base", "listen"];
    assert_eq!(
        values(&known, http),
        [
            "https://registry.example.com:8443/g.gen",
            "registry.example.com",
            "registry.example.com",
            "/g.gen",
            "/g\\.gen",
            "127.0.0.1:8080"
        ]
    );
    known.store = Some("/srv/registry".into());
    assert_eq!(
        values(&known, s3)[..6],
        ["/srv/registry", "s3://YOUR-BUCKET", "YOUR-BUCKET", "", "/srv/registry", "/srv/registry"]
    );
    known.store = Some("file:///srv/registry".into());
    assert_eq!(values(&known, ["root"]), ["/srv/registry"]);
    for (address, listen) in [
        ("http://127.0.0.1:9000", "127.0.0.1:9000"),
        ("http://10.0.0.1/x", "10.0.0.1:80"),
        ("http://[::1]:9000", "127.0.0.1:8080"),
        ("http://registry.example.com", "80"),
        ("/srv/registry", "127.0.0.1:8080"),
    ] {
        known.registry = Some(address.into());
        assert_eq!(values(&known, ["listen"]), [listen], "{address}");
    }
    // A bucket without a prefix; and nothing at all.
    known.store = Some("s3://some-bucket".into());
    assert_eq!(values(&known, ["bucket", "prefix"]), ["some-bucket", ""]);
    let nothing = Known::default();
    assert_eq!(
        values(&nothing, ["origin", "key", "store", "root", "address", "host", "server name", "base", "sources"]),
        [
            "YOUR-ORIGIN",
            "YOUR-PUBLIC-KEY",
            "s3://YOUR-BUCKET",
            "/YOUR-FOLDER",
            "https://YOUR-ADDRESS",
            "YOUR-ADDRESS",
            "_",
            "",
            "--source /YOUR-PACKAGES"
        ]
    );
}

/// What could end a string, or mean something, in a language of the templates is not written into any of them; nor is a
/// password.
#[test]
fn what_would_have_to_be_quoted_is_left_to_a_person() {
    for bad in ["a b", "a\"b", "a'b", "a$b", "a%b", "a;b", "a#b", "a{b", "a\nb", "a\\b", "a`b", "a&b", "a(b", "ä"] {
        let known = Known {
            store: Some(format!("/srv/{bad}")),
            registry: Some(format!("https://registry.example.com/{bad}")),
            sources: vec![format!("/srv/{bad}").into()],
            ..Known::default()
        };
        assert_eq!(
            values(&known, ["store", "root", "writable", "address", "base", "sources"]),
            ["s3://YOUR-BUCKET", "/YOUR-FOLDER", "", "https://YOUR-ADDRESS", "", "--source /YOUR-PACKAGES"],
            "{bad}"
        );
    }
    let known = Known {
        store: Some("s3://AKIA:hunter2@bucket/x".into()),
        registry: Some("https://user:hunter2@registry.example.com".into()),
        ..Known::default()
    };
    assert!(all(&known).iter().all(|r| !r.text.contains("hunter2")));
}

#[test]
fn what_is_to_be_filled_in_by_hand_is_told() {
    let by_hand = |known: &Known| -> BTreeMap<String, Vec<String>> {
        let mut all_words: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for file in all(known) {
            all_words.entry(file.template).or_default().extend(file.fill_in);
        }
        all_words.values_mut().for_each(|words| {
            words.sort();
            words.dedup();
        });
        all_words
    };
    let told = by_hand(&known());
    assert_eq!(told["cloudfront"], ["YOUR-ACCOUNT", "YOUR-DISTRIBUTION"]);
    assert_eq!(told["r2"], ["YOUR-ACCOUNT"]);
    assert_eq!(told["kubernetes"], ["YOUR-IMAGE", "YOUR-REGION"]);
    assert_eq!(told["nginx"], ["YOUR-FOLDER"]);
    assert!(told["github-actions"].is_empty() && told["systemd"].is_empty(), "{told:?}");
    let told = by_hand(&Known::default());
    assert_eq!(told["github-actions"], ["YOUR-ADDRESS", "YOUR-BUCKET", "YOUR-ORIGIN", "YOUR-PUBLIC-KEY"]);
    assert_eq!(told["nginx"], ["YOUR-FOLDER", "YOUR-ORIGIN"]);
}

/// The command lines of this program in a text: at the beginning of a line, behind what a language puts before a command,
/// or as code in a sentence.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.trim_start_matches(|c: char| c == '#' || c.is_whitespace());
        let line = ["run: ", "ExecStart=", "$ "].iter().find_map(|p| line.strip_prefix(p)).unwrap_or(line);
        for code in line.split('`') {
            let Some(words) = shlex::split(code) else { continue };
            let words: Vec<_> =
                words.into_iter().take_while(|w| !["|", "||", "&&", ";"].contains(&w.as_str())).collect();
            let is_ours = words.first().is_some_and(|w| w == "ggen-market" || w.ends_with("/ggen-market"));
            if is_ours && words.len() > 1 {
                found.push(words);
            }
        }
    }
    found
}

/// The command lines of the containers in a YAML document.
fn container_commands(yaml: &Yaml, found: &mut Vec<Vec<String>>) {
    if let Some(list) = yaml["command"].as_vec() {
        let words = list.iter().chain(yaml["args"].as_vec().into_iter().flatten());
        found.push(words.map(|w| w.as_str().expect("words of commands are strings").to_owned()).collect());
    }
    match yaml {
        Yaml::Array(items) => items.iter().for_each(|i| container_commands(i, found)),
        Yaml::Hash(members) => members.values().for_each(|v| container_commands(v, found)),
        _ => {}
    }
}

/// Each is one of this program's verbs, with options that it has.
fn check_commands(place: &str, lines: &[Vec<String>]) -> Vec<String> {
    let verbs = lines.iter().map(|words| {
        let verb = words[1].as_str();
        if let Err(e) = Cli::try_parse_from(words) {
            panic!("{place}: {words:?}: {e}");
        }
        verb.to_owned()
    });
    verbs.collect()
}

#[test]
fn every_command_in_a_template_is_one_of_this_program() {
    let mut verbs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in all(&known()) {
        let mut lines = command_lines(&file.text);
        if file.template == "kubernetes" {
            YamlLoader::load_from_str(&file.text).unwrap().iter().for_each(|y| container_commands(y, &mut lines));
        }
        verbs.entry(file.template).or_default().extend(check_commands(&file.path, &lines));
    }
    assert_eq!(verbs["github-actions"], ["refresh", "build", "refresh", "gc", "verify", "verify"]);
    assert_eq!(verbs["kubernetes"], ["build", "refresh", "gc"]);
    assert_eq!(verbs["systemd"], ["build", "gc", "refresh"]);
    assert_eq!(verbs["cloudfront"], ["doctor", "verify"]);
    assert_eq!(verbs["r2"], ["doctor", "doctor", "verify"]);
    let page = include_str!("../../../../docs/deploy.md");
    assert!(check_commands("docs/deploy.md", &command_lines(page)).len() >= 8);
}

#[test]
fn every_variable_in_a_template_is_one_of_this_program() {
    let mut tree = command();
    tree.build();
    let variables = tree.get_subcommands().flat_map(clap::Command::get_arguments).filter_map(clap::Arg::get_env);
    let mut known_ones: Vec<_> = variables.map(|v| v.to_string_lossy().into_owned()).collect();
    known_ones.extend([SECRET.to_owned(), "GGEN_MARKET_SOURCES".into(), "GGEN_MARKET_LOG".into()]);
    let mut seen = 0;
    for file in all(&known()) {
        let words = file.text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words.filter(|w| w.starts_with("GGEN_MARKET_")) {
            assert!(known_ones.iter().any(|k| k == word), "{}: {word}", file.path);
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen}");
}
