//! Names of packages and versions end in what their authors like, and servers of plain files go by that: whatever type a file
//! of a view is served as, it does nothing.

use super::{require_right, shown, world_with};
use ggen_marketplace::{View, package::Record};
use std::fs;

const IMAGE: &str = "<img src=x onerror='alert(1)'> & <script>alert(2)</script>";

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_a_server_takes_for_a_page_has_no_tags() {
    let world = world_with(&[View::Plain, View::Cargo, View::Ggen]).await;
    let pack = world.add_pack("evil.html", "1.0.0-a.html", "x");
    fs::write(
        pack.join("pack.toml"),
        format!("[pack]\nname = \"evil.html\"\nversion = \"1.0.0-a.html\"\ndescription = \"{IMAGE}\"\nauthor = \"{IMAGE}\"\n"),
    )
    .unwrap();
    let list = format!(
        r#"{{"name":"more.htm","version":"2.0.0-b.shtml","summary":"{IMAGE}","keywords":["<b>"],"sha256":"{:064x}","size":1,"download_url":"https://downloads.example.com/a?b&c","dependencies":[{{"name":"evil.html","req":">=1, <2"}}]}}"#,
        1
    );
    fs::write(world.sources().join("list.jsonl"), list).unwrap();
    let report = world.build().await.unwrap();
    assert!(report.refused.is_empty(), "{:?}", report.refused);
    let files = shown(&world.referee.objects());
    let keys: Vec<_> = files.keys().map(String::as_str).collect();
    for key in [
        "index.json",
        "index/pack/ev/il/evil.html",
        "index/pack/mo/re/more.htm",
        "packages/evil.html/versions/1.0.0-a.html",
    ] {
        assert!(keys.contains(&key), "{key} in {keys:?}");
    }
    for (key, bytes) in &files {
        let text = std::str::from_utf8(bytes).unwrap();
        assert!(!text.contains(['<', '>', '&']), "{key}: {text}");
    }
    // It says the same as ever to whoever reads JSON.
    let newest = world.client().latest().await.unwrap();
    for (name, key) in
        [("pack:evil.html", "index/pack/ev/il/evil.html"), ("pack:more.htm", "index/pack/mo/re/more.htm")]
    {
        let package = newest.find(&name.parse().unwrap()).await.unwrap();
        let shown: Vec<Record> =
            std::str::from_utf8(&files[key]).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(shown, package.releases, "{key}");
        assert!(shown[0].summary.starts_with("<img src=x"), "{:?}", shown[0]);
    }
    let release: serde_json::Value =
        serde_json::from_slice(&files["packages/evil.html/versions/1.0.0-a.html"]).unwrap();
    assert_eq!(release["author"], IMAGE);
    require_right(&world).await;
}
