//! The documents are true: the worked example of the format is a registry that can be read, and what the README shows runs.

use ggen_marketplace::{BuildOptions, Client, ClientOptions, Registry, SigningKey, Store, package::Timestamp};
use object_store::{ObjectStoreExt, memory::InMemory, path::Path};
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{Read, Write},
    path::PathBuf,
    sync::Arc,
};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The fenced block after `<!-- example: NAME -->`.
fn block(document: &str, name: &str) -> String {
    let marker = format!("<!-- example: {name} -->\n```");
    let (_, rest) = document.split_once(&marker).unwrap_or_else(|| panic!("no block {name}"));
    let (_, rest) = rest.split_once('\n').unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

fn gzip(raw: &[u8], level: u32) -> Vec<u8> {
    let mut gz = flate2::GzBuilder::new().operating_system(255).write(Vec::new(), flate2::Compression::new(level));
    gz.write_all(raw).unwrap();
    gz.finish().unwrap()
}

async fn put(store: &InMemory, key: &str, bytes: Vec<u8>) {
    store.put(&Path::from(key), bytes.into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worked_example_of_the_format_is_a_registry() {
    let path = file("docs/format.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        update(&path).await;
    }
    let document = fs::read_to_string(path).unwrap();
    let store = Arc::new(InMemory::new());
    let checkpoint = block(&document, "checkpoint");
    let slot = checkpoint.split_once("\n\n").unwrap().1.rsplit_once("\n\n").unwrap().0.to_owned() + "\n";
    for (name, level) in [("snapshot", 2), ("shard", 6), ("details", 3), ("changes", 6)] {
        // Blocks end with a line end for the page's sake; a snapshot is one line without.
        let raw = block(&document, name);
        let raw = if name == "snapshot" { raw.trim_end().to_owned() } else { raw };
        let bytes = gzip(raw.as_bytes(), level);
        let digest: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert!(document.contains(&digest), "the page shows the digest of its {name}");
        put(&store, &format!("blobs/sha256/{digest}"), bytes).await;
    }
    put(&store, "log/0000000001", slot.into_bytes()).await;
    put(&store, "checkpoint", checkpoint.into_bytes()).await;

    let key = block(&document, "key").trim().parse().unwrap();
    let mut options = ClientOptions::default();
    options.allow_expired = true;
    let client = Client::new(Store::new(store, "docs/format.md"), &[key], options).unwrap();
    let newest = client.latest().await.unwrap();
    assert_eq!(newest.generation(), 1);
    let record = newest.find_release(&"pack:hello-pack".parse().unwrap()).await.unwrap();
    assert_eq!(record.summary, "Says hello");
    assert!(block(&document, "shard").contains(&record.archive.sha256.to_string()));
    let detail = newest.detail(&record).await.unwrap().unwrap();
    assert_eq!(detail.homepage.as_deref(), Some("https://hello.example.com"));
}

/// Makes the example anew: `UPDATE_DOCS=1 cargo test --test it docs`.
async fn update(path: &std::path::Path) {
    let store = Arc::new(InMemory::new());
    let dir = tempfile::tempdir().unwrap();
    let key = SigningKey::generate("registry.example.com/ggen".parse().unwrap()).unwrap();
    let pinned = key.verifier().to_string();
    let registry = Registry::new(Store::new(store.clone(), "example"), key, &dir.path().join("state"));
    let mut options = BuildOptions::at(Timestamp::from_unix(1_795_000_000));
    options.search = false;
    registry.init(&options).await.unwrap();
    let list = dir.path().join("list.jsonl");
    let line = r#"{"name":"hello-pack","version":"1.0.0","summary":"Says hello","license":"MIT","homepage":"https://hello.example.com","sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","size":3,"download_url":"https://downloads.example.com/hello-pack-1.0.0.tar.gz"}"#;
    fs::write(&list, format!("{line}\n")).unwrap();
    registry.build(&[list], &options).await.unwrap();
    let get = async |key: &str| store.get(&Path::from(key)).await.unwrap().bytes().await.unwrap();
    let open = async |link: &serde_json::Value| {
        let bytes = get(&format!("blobs/sha256/{}", link["sha256"].as_str().unwrap())).await;
        let mut raw = String::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut raw).unwrap();
        raw
    };
    let checkpoint = String::from_utf8(get("checkpoint").await.to_vec()).unwrap();
    let link = checkpoint.lines().find_map(|l| l.strip_prefix("snapshot ")).unwrap();
    let sha256 = link.split(' ').next().unwrap();
    let snapshot = open(&serde_json::json!({ "sha256": sha256 })).await;
    let parsed: serde_json::Value = serde_json::from_str(&snapshot).unwrap();
    let (shard, changes) = (open(&parsed["index"][0]["link"]).await, open(&parsed["changes"]).await);
    let details = open(&parsed["details"]["link"]).await;
    let mut document = fs::read_to_string(path).unwrap();
    let head = "with the library and nothing else.\n";
    document.truncate(document.find(head).unwrap() + head.len());
    let shown = |name: &str, language: &str, text: &str| {
        format!("\n<!-- example: {name} -->\n```{language}\n{}\n```\n", text.trim_end_matches('\n'))
    };
    document += "\nThe key that a reader pins:\n";
    document += &shown("key", "text", &pinned);
    document +=
        "\n`checkpoint`, with `log/0000000001` inside it, from `ggen-market/claim/v1` to the first signature line:\n";
    document += &shown("checkpoint", "text", &checkpoint);
    document += &format!("\nThe snapshot that it cites, `blobs/sha256/{sha256}`, decompressed:\n");
    document += &shown("snapshot", "json", &snapshot);
    document += &format!(
        "\nThe only shard, `blobs/sha256/{}`, decompressed:\n",
        parsed["index"][0]["link"]["sha256"].as_str().unwrap()
    );
    document += &shown("shard", "json", &shard);
    document += &format!(
        "\nThe only leaf of details, `blobs/sha256/{}`:\n",
        parsed["details"]["link"]["sha256"].as_str().unwrap()
    );
    document += &shown("details", "json", &details);
    document += &format!("\nAnd the change list, `blobs/sha256/{}`:\n", parsed["changes"]["sha256"].as_str().unwrap());
    document += &shown("changes", "json", &changes);
    fs::write(path, document).unwrap();
}

/// Whether a line is what was promised, where `…` stands for anything.
fn matches(promised: &str, line: &str) -> bool {
    let mut parts = promised.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[test]
fn the_session_in_the_readme_is_real() {
    let readme = fs::read_to_string(file("README.md")).unwrap();
    let session = readme.split_once("<!-- session -->\n```console\n").unwrap().1.split_once("```").unwrap().0;
    let dir = tempfile::tempdir().unwrap();
    copy(&file("examples/packages"), &dir.path().join("packages"));
    let mut commands = 0;
    let mut screen = String::new();
    for step in session.split("$ ").skip(1) {
        let (command, promised) = step.split_once('\n').unwrap();
        let text = run(dir.path(), command);
        screen += &format!("$ {command}\n{text}");
        let lines: Vec<_> = text.lines().collect();
        let promised: Vec<_> = promised.lines().collect();
        if promised != ["…"] {
            assert_eq!(lines.len(), promised.len(), "{command}\n{text}");
            for (promised, line) in promised.iter().zip(lines) {
                assert!(matches(promised, line), "{command}\npromised: {promised}\nprinted:  {line}");
            }
        }
        commands += 1;
    }
    assert!(commands >= 8);
    let picture = file("docs/session.svg");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&picture, draw(&screen)).unwrap();
    }
    let picture = fs::read_to_string(picture).unwrap();
    for command in session.lines().filter(|l| l.starts_with("$ ")) {
        assert!(picture.contains(&escape(command)), "docs/session.svg lacks {command}: UPDATE_DOCS=1 draws it anew");
    }
}

/// What a command of the program prints, both streams in one, as a person sees them.
fn run(folder: &std::path::Path, command: &str) -> String {
    let words = command.strip_prefix("ggen-market ").unwrap_or_else(|| panic!("{command}"));
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &format!("exec \"$GGEN_MARKET\" {words} 2>&1")]).current_dir(folder).env_clear();
    shell.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    shell.env("HOME", folder).env("GGEN_MARKET", env!("CARGO_BIN_EXE_ggen-market"));
    let out = shell.output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{command}\n{text}");
    text
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A picture of a terminal with this text on it.
fn draw(screen: &str) -> String {
    const WIDTH: usize = 108;
    let mut body = String::new();
    let mut y = 52;
    for line in screen.lines() {
        let class = if line.starts_with("$ ") { "c" } else { "o" };
        let line = line.replace('\t', "  ");
        let cut: String = line.chars().take(WIDTH).collect();
        let more = if cut.len() < line.len() { "…" } else { "" };
        body += &format!(
            "<text class=\"{class}\" x=\"18\" y=\"{y}\" xml:space=\"preserve\">{}{more}</text>\n",
            escape(&cut)
        );
        y += 19;
    }
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="960" height="{0}" viewBox="0 0 960 {0}" role="img" aria-label="A session of ggen-market in a terminal">
<style>text {{ font: 13.5px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace }} .c {{ fill: #8be9a8; font-weight: 600 }} .o {{ fill: #d7dae0 }}</style>
<rect width="960" height="{0}" rx="9" fill="#171a21"/>
<circle cx="22" cy="20" r="6" fill="#ff5f57"/><circle cx="42" cy="20" r="6" fill="#febc2e"/><circle cx="62" cy="20" r="6" fill="#28c840"/>
{body}</svg>
"##,
        y + 4
    )
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(target).unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_in_the_page_on_packages_is_one() {
    let document = fs::read_to_string(file("docs/packages.md")).unwrap();
    let world = super::support::world::World::new().await;
    fs::write(world.sources().join("list.jsonl"), block(&document, "line")).unwrap();
    let report = world.build().await.unwrap();
    assert!(report.refused.is_empty() && report.added == 1, "{:?}", report.refused);
    let record = &world.found().records["pack/invoice-pdf-templates@0.9.0"];
    assert_eq!(record["dependencies"][0]["name"], "order-workflow-pack");
}
