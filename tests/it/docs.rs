//! The documents are true: the worked example of the format is a registry that can be read, and what the README shows runs.

use ggen_marketplace::{BuildOptions, Client, ClientOptions, Registry, SigningKey, Store, package::Timestamp};
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
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

fn gzip(raw: &[u8]) -> Vec<u8> {
    let mut gz = flate2::GzBuilder::new().operating_system(255).write(Vec::new(), flate2::Compression::new(6));
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
    for name in ["snapshot", "shard", "changes"] {
        // Blocks end with a line end for the page's sake; a snapshot is one line without.
        let raw = block(&document, name);
        let raw = if name == "snapshot" { raw.trim_end().to_owned() } else { raw };
        let bytes = gzip(raw.as_bytes());
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
}

/// Makes the example anew: `UPDATE_DOCS=1 cargo test --test it docs`.
async fn update(path: &std::path::Path) {
    let store = Arc::new(InMemory::new());
    let dir = tempfile::tempdir().unwrap();
    let key = SigningKey::generate("registry.example.com/ggen".parse().unwrap()).unwrap();
    let pinned = key.verifier().to_string();
    let registry = Registry::new(Store::new(store.clone(), "example"), key, &dir.path().join("state"));
    let options = BuildOptions::at(Timestamp::from_unix(1_795_000_000));
    registry.init(&options).await.unwrap();
    let list = dir.path().join("list.jsonl");
    let line = r#"{"name":"hello-pack","version":"1.0.0","summary":"Says hello","license":"MIT","sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","size":3,"download_url":"https://downloads.example.com/hello-pack-1.0.0.tar.gz"}"#;
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
    document += &format!("\nAnd the change list, `blobs/sha256/{}`:\n", parsed["changes"]["sha256"].as_str().unwrap());
    document += &shown("changes", "json", &changes);
    fs::write(path, document).unwrap();
}
