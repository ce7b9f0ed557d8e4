//! `packages/` and `index.json`: what makes a registry a drop-in for ggen's tools, point by point.

use super::{PUBLIC, counts, require_right, shown, world_with};
use crate::support::{second_reader, world::World};
use ed25519_dalek::Verifier as _;
use ggen_marketplace::{View, package::PackageSpec};
use serde::Deserialize;
use serde_json::Value;
use sha2::Digest as _;
use std::{collections::BTreeMap, fs, io::Read as _};

/// What ggen's client reads, by its own words.
#[derive(Debug, Deserialize)]
struct PackageMetadata {
    id: String,
    version: String,
    description: String,
    author: String,
    license: String,
    download_url: String,
    digest: String,
    size_bytes: u64,
    #[serde(default)]
    dependencies: Vec<String>,
    published_at: String,
}

async fn world() -> World {
    let world = world_with(&[View::Ggen]).await;
    let pack = world.add_pack("Hello-Pack", "1.0.0", "hello {{ name }}");
    fs::write(
        pack.join("pack.toml"),
        "[pack]\nname = \"Hello-Pack\"\nversion = \"1.0.0\"\ndescription = \"Says hello, at length\"\n",
    )
    .unwrap();
    for (path, text) in [
        ("templates/deep/more.tmpl", "m"),
        ("templates/.hidden", "h"),
        ("gates/a.rq", "ASK {}"),
        ("gates/b.rq", "ASK {}"),
        ("gates/c.py", "pass"),
        ("ontology/extra.ttl", "@prefix : <#> ."),
        ("docs/readme.md", "# Hello"),
    ] {
        fs::create_dir_all(pack.join(path).parent().unwrap()).unwrap();
        fs::write(pack.join(path), text).unwrap();
    }
    let report = world.build().await.unwrap();
    assert!(report.refused.is_empty(), "{:?}", report.refused);
    assert_eq!((counts(&report), report.views[0].notes.as_slice()), (vec![(View::Ggen, 1, 2)], &[][..]));
    world
}

fn json(world: &World, key: &str) -> Value {
    serde_json::from_slice(&world.referee.objects()[key]).unwrap()
}

/// The bytes that a URL of the registry leads to.
fn behind(world: &World, url: &str) -> Vec<u8> {
    world.referee.objects()[url.strip_prefix(PUBLIC).unwrap().trim_start_matches('/')].clone()
}

/// Every file of an archive, by its path in there.
fn unpacked(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(archive));
    let files = tar.entries().unwrap().map(|e| {
        let mut e = e.unwrap();
        let mut bytes = Vec::new();
        e.read_to_end(&mut bytes).unwrap();
        (e.path().unwrap().to_str().unwrap().to_owned(), bytes)
    });
    files.filter(|(path, _)| !path.ends_with('/')).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn point_1_the_catalogue_is_of_version_2_stable_and_leads_to_immutable_blobs() {
    let world = world().await;
    let bytes = world.referee.objects()["index.json"].clone();
    let catalogue = json(&world, "index.json");
    assert_eq!(catalogue["schema"], "https://ggen.dev/marketplace/catalog/v2");
    let version = catalogue["marketplace_version"].as_str().unwrap().to_owned();
    let [row] = catalogue["packs"].as_array().unwrap().as_slice() else { panic!("{catalogue}") };
    let archive = behind(&world, row["download_url"].as_str().unwrap());
    let sha256 = second_reader::hex(&archive);
    assert_eq!(row["digest"], format!("sha256:{sha256}"));
    assert_eq!(row["download_url"], format!("{PUBLIC}/blobs/sha256/{sha256}"));
    assert_eq!(row["size_bytes"], archive.len());
    let hex = |bytes: &[u8]| hex::encode(sha2::Sha256::digest(bytes));
    let files = unpacked(&archive);
    assert_eq!(row["manifest_sha256"], hex(&files["Hello-Pack/pack.toml"]));
    let mut fingerprint = Vec::new();
    for path in ["ontology.ttl", "ontology/extra.ttl"] {
        for part in [path.as_bytes(), &files[&format!("Hello-Pack/{path}")]] {
            fingerprint.extend_from_slice(&(part.len() as u64).to_be_bytes());
            fingerprint.extend_from_slice(part);
        }
    }
    assert_eq!(row["ontology_fingerprint_sha256"], hex(&fingerprint));
    let counted = ["ontology_files", "templates", "native_gates", "verifier_gates"].map(|k| row[k].as_u64().unwrap());
    assert_eq!(counted, [2, 2, 2, 1]);
    let texts = ["name", "version", "description", "profile", "path"].map(|k| row[k].as_str().unwrap());
    assert_eq!(texts, ["Hello-Pack", "1.0.0", "Says hello, at length", "projection", "packs/Hello-Pack"]);
    // As Python's json.dump writes it, members sorted, two spaces.
    let text = String::from_utf8(bytes.clone()).unwrap();
    let head = format!("{{\n  \"marketplace_version\": \"{version}\",\n  \"packs\": [\n    {{\n      \"content_hash\"");
    assert!(text.starts_with(&head), "{text}");
    assert!(text.ends_with("}\n"));
    world.registry().update_views(true, &world.options).await.unwrap();
    assert_eq!(world.referee.objects()["index.json"], bytes);
    // Nor does a generation change it in which no pack changes; one in which a pack does changes its version.
    world.add_crate("alpha", "1.0.0", "a");
    assert_eq!(counts(&world.build().await.unwrap()), [(View::Ggen, 2, 0)]);
    assert_eq!(world.referee.objects()["index.json"], bytes);
    world.add_pack("other", "1.0.0", "t");
    world.build().await.unwrap();
    assert_ne!(json(&world, "index.json")["marketplace_version"], version);
    require_right(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn point_2_each_release_has_a_file_in_the_form_of_ggens_client() {
    let world = world().await;
    let key = "packages/hello-pack/versions/1.0.0";
    let read: PackageMetadata = serde_json::from_slice(&world.referee.objects()[key]).unwrap();
    let archive = behind(&world, &read.download_url);
    assert_eq!((read.id.as_str(), read.version.as_str()), ("hello-pack", "1.0.0"));
    assert_eq!((read.digest, read.size_bytes), (second_reader::hex(&archive), archive.len() as u64));
    assert_eq!(
        (read.description.as_str(), read.author.as_str(), read.license.as_str()),
        ("Says hello, at length", "", "")
    );
    assert_eq!((read.dependencies, read.published_at), (Vec::<String>::new(), world.options.now.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn point_3_the_signature_is_over_the_bytes_of_the_archive() {
    let world = world().await;
    let release = json(&world, "packages/hello-pack/versions/1.0.0");
    let archive = behind(&world, release["download_url"].as_str().unwrap());
    // As ggen's installer does: a key and a signature in hex, the raw bytes.
    let key: [u8; 32] = hex::decode(world.key.to_hex()).unwrap().try_into().unwrap();
    let key = ed25519_dalek::VerifyingKey::from_bytes(&key).unwrap();
    let signature: [u8; 64] = hex::decode(release["signature"].as_str().unwrap()).unwrap().try_into().unwrap();
    let signature = ed25519_dalek::Signature::from_bytes(&signature);
    key.verify(&archive, &signature).unwrap();
    let mut other = archive;
    other[20] ^= 1;
    assert!(key.verify(&other, &signature).is_err());
    assert_eq!(json(&world, "index.json")["packs"][0]["signature"], release["signature"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn points_4_and_5_the_archive_has_one_top_folder_and_the_content_hash_is_the_engines() {
    let world = world().await;
    let release = json(&world, "packages/hello-pack/versions/1.0.0");
    let files = unpacked(&behind(&world, release["download_url"].as_str().unwrap()));
    assert!(files.keys().all(|path| path.starts_with("Hello-Pack/")), "{:?}", files.keys());
    // As the engine does once the archive is unpacked: path and bytes of each file, in the order of paths.
    let mut hasher = blake3::Hasher::new();
    for (path, bytes) in &files {
        hasher.update(path.strip_prefix("Hello-Pack/").unwrap().as_bytes());
        hasher.update(bytes);
    }
    assert_eq!(release["content_hash"], format!("blake3:{}", hasher.finalize().to_hex()));
    assert_eq!(release["profile"], "projection");
}

#[tokio::test(flavor = "multi_thread")]
async fn point_7_packs_that_ggens_engine_refuses_are_told_with_the_reason() {
    let world = world_with(&[View::Ggen]).await;
    let change = |name: &str, manifest: Option<&str>, gone: &[&str]| {
        let pack = world.add_pack(name, "1.0.0", "t");
        if let Some(manifest) = manifest {
            fs::write(pack.join("pack.toml"), manifest).unwrap();
        }
        for path in gone {
            let path = pack.join(path);
            if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        }
        pack
    };
    change("good", None, &[]);
    change("no-templates", None, &["templates"]);
    change("no-ontology", None, &["ontology.ttl"]);
    change(
        "odd-key",
        Some("[pack]\nname = \"odd-key\"\nversion = \"1.0.0\"\ndescription = \"d\"\ncolour = \"red\"\n"),
        &[],
    );
    change("no-description", Some("[pack]\nname = \"no-description\"\nversion = \"1.0.0\"\n"), &[]);
    change("with.dots", None, &[]);
    let package = change("other-manifest", None, &["pack.toml"]);
    let manifest =
        "[package]\nname = \"other-manifest\"\nversion = \"1.0.0\"\ndescription = \"d\"\nlicense = \"MIT\"\n";
    fs::write(package.join("package.toml"), manifest).unwrap();
    world.add_lines("elsewhere.jsonl", 0..1);
    let report = world.build().await.unwrap();
    assert!(report.refused.is_empty(), "{:?}", report.refused);
    let mut notes: Vec<_> = report.views[0].notes.iter().map(|n| format!("{}: {}", n.what, n.why)).collect();
    notes.sort();
    assert_eq!(
        notes,
        [
            "pack:elsewhere-0@1.0.0: it is not in the catalogue and has no signature: its archive is hosted elsewhere",
            "pack:no-description@1.0.0: ggen's engine will refuse it: its pack.toml is not what the engine takes: missing field `description`",
            "pack:no-ontology@1.0.0: ggen's engine will refuse it: it has no ontology.ttl",
            "pack:no-templates@1.0.0: ggen's engine will refuse it: it has no templates/**/*.tmpl",
            "pack:odd-key@1.0.0: ggen's engine will refuse it: its pack.toml is not what the engine takes: unknown field `colour`, expected one of `name`, `version`, `description`",
            "pack:other-manifest@1.0.0: ggen's engine will refuse it: it has no pack.toml",
            "pack:with.dots@1.0.0: ggen's client cannot ask for it: its names have no dots",
        ]
    );
    assert_eq!(json(&world, "packages/no-ontology/versions/1.0.0")["engine_refuses"][0], "it has no ontology.ttl");
    // Told once, when it is published.
    world.add_pack("later", "1.0.0", "t");
    assert_eq!(world.build().await.unwrap().views[0].notes.len(), 0);
    require_right(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_writes_its_own_file_and_the_catalogue_and_reads_no_other_archive() {
    let world = world().await;
    for i in 0..20 {
        world.add_pack(&format!("other-{i}"), "1.0.0", "t");
    }
    world.build().await.unwrap();
    world.add_pack("other-3", "1.1.0+build.5", "t, improved");
    world.referee.take_writes();
    world.referee.take_reads();
    let report = world.build().await.unwrap();
    assert_eq!((report.views[0].files, report.views[0].whole), (3, false));
    let writes = world.referee.take_writes();
    let views: Vec<_> = writes.iter().filter(|k| !k.starts_with("blobs/") && !k.starts_with("log/")).collect();
    assert_eq!(
        views,
        [
            "checkpoint",
            "views/ggen",
            "packages/other-3/versions/1.1.0+build.5",
            "packages/other-3/versions/1.1.0 build.5",
            "index.json",
            "views/ggen"
        ]
    );
    // The files of a version with a plus are the same, wherever a store takes one for a space.
    let objects = world.referee.objects();
    assert_eq!(objects["packages/other-3/versions/1.1.0 build.5"], objects["packages/other-3/versions/1.1.0+build.5"]);
    let archives: Vec<_> =
        objects.iter().filter(|(k, v)| k.starts_with("blobs/") && is_tar(v)).map(|(k, _)| k).collect();
    let read = world.referee.take_reads();
    assert_eq!(read.iter().filter(|k| archives.contains(k)).count(), 1, "only the new archive was looked into");
    assert_eq!(json(&world, "index.json")["packs"].as_array().unwrap().len(), 21);
    require_right(&world).await;
}

fn is_tar(bytes: &[u8]) -> bool {
    let mut block = [0; 512];
    flate2::read::GzDecoder::new(bytes).read_exact(&mut block).is_ok() && &block[257..262] == b"ustar"
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_yanked_or_removed_leaves_the_catalogue() {
    let mut world = world().await;
    world.add_pack("Hello-Pack", "1.1.0", "newer");
    world.build().await.unwrap();
    assert_eq!(json(&world, "index.json")["packs"][0]["version"], "1.1.0");
    let id = "pack:hello-pack".parse::<PackageSpec>().unwrap().candidates().unwrap().remove(0);
    world.registry().yank(&id, &"1.1.0".parse().unwrap(), None, &world.options).await.unwrap();
    assert_eq!(json(&world, "index.json")["packs"][0]["version"], "1.0.0");
    // Whoever has it locked still gets it.
    assert_eq!(json(&world, "packages/hello-pack/versions/1.1.0")["yanked"], true);
    fs::remove_dir_all(world.sources().join("Hello-Pack")).unwrap();
    world.add_pack("stays", "1.0.0", "s");
    world.options.delete = true;
    world.build().await.unwrap();
    let names: Vec<_> =
        json(&world, "index.json")["packs"].as_array().unwrap().iter().map(|p| p["name"].clone()).collect();
    assert_eq!(names, ["stays"]);
    assert_eq!(world.referee.objects()["packages/hello-pack/versions/1.0.0"], b"");
    require_right(&world).await;
}

/// A catalogue that somebody changed is not carried on.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_catalogue_is_made_anew_by_the_next_release() {
    let world = world().await;
    let forged = String::from_utf8(world.referee.objects()["index.json"].clone()).unwrap();
    let forged = forged.replace("Says hello", "Says good-bye");
    world.referee.plant("index.json", forged.as_bytes()).await;
    world.add_pack("other", "1.0.0", "t");
    world.build().await.unwrap();
    assert!(!shown(&world.referee.objects())["index.json"].windows(8).any(|w| w == b"good-bye"));
    require_right(&world).await;
}
