//! The web site: every link leads somewhere, one release touches few files, and what strangers write does nothing.

mod reads;
mod text;

use super::{PUBLIC, counts, require_right, shown, world_with};
use crate::support::{referee::Fault, second_reader::Objects, tarball::Tarball, world::World};
use ggen_marketplace::{
    BuildOptions, CargoDependencies, Report, Theme, View,
    package::{Kind, PackageId, PackageName, PackageSpec, Timestamp},
};
use std::{collections::BTreeSet, fs, sync::Arc};

/// Writes a crate: its manifest after name and version, and its readme.
pub(super) fn add(world: &World, name: &str, version: &str, manifest: &str, readme: impl AsRef<[u8]>) {
    let top = format!("{name}-{version}");
    let head = format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\n");
    let tarball = Tarball::default()
        .file(format!("{top}/Cargo.toml"), head + manifest)
        .file(format!("{top}/README.md"), readme)
        .file(format!("{top}/src/lib.rs"), "");
    fs::write(world.sources().join(format!("{top}.crate")), tarball.gz()).unwrap();
}

async fn built(world: &World) {
    let report = world.build().await.unwrap();
    assert!(report.refused.is_empty(), "{:?}", report.refused);
}

/// A small registry with something of everything.
async fn sample() -> World {
    let mut world = world_with(&[View::Cargo, View::Site]).await;
    // Not now, but always the same.
    world.options.now = Timestamp::from_unix(1_790_000_000);
    add(
        &world,
        "alpha",
        "1.0.0",
        "description = \"The first\"\nlicense = \"MIT\"\nkeywords = [\"json\", \"utf-8\"]\ncategories = [\"encoding\", \"web-programming::http\"]\nrepository = \"https://github.com/o/alpha\"\n",
        "# Alpha\n\nSee [the guide](docs/guide.md) and [below](#more).\n\n## More\n",
    );
    add(
        &world,
        "beta",
        "0.1.0",
        "description = \"The second\"\nkeywords = [\"json\"]\n[dependencies]\nalpha = \"1\"\nnowhere = { version = \"2\", optional = true }\n[dev-dependencies]\nalpha = \"1\"\n",
        "Beta",
    );
    world.add_pack("gamma", "1.0.0", "t");
    built(&world).await;
    world
}

fn text(world: &World, key: &str) -> String {
    let objects = world.referee.objects();
    String::from_utf8(objects.get(key).unwrap_or_else(|| panic!("{key} is not there")).clone()).unwrap()
}

/// What stands between `before` and `after`, each time.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    text.split(before).skip(1).map(|rest| rest.split_once(after).unwrap().0).collect()
}

fn unescaped(text: &str) -> String {
    let entities = [
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&#x2f;", "/"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ];
    entities.into_iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Every link of every page, feed and sitemap: those into the registry lead to what is there. Gives those that lead out.
fn walk(objects: &Objects) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let mut seen = 0;
    for (key, bytes) in objects {
        let ending = key.rsplit_once('.').map_or("", |(_, e)| e);
        if !["html", "xml", "atom"].contains(&ending) || bytes.is_empty() {
            continue;
        }
        let text = String::from_utf8(bytes.clone()).unwrap();
        let links = [("href=\"", "\""), ("src=\"", "\""), ("action=\"", "\""), ("<loc>", "</loc>")];
        let base = url::Url::parse(&format!("{PUBLIC}/{key}")).unwrap();
        for link in links.into_iter().flat_map(|(before, after)| between(&text, before, after)) {
            let link = unescaped(link);
            let url = base.join(&link).unwrap();
            let anchor = url.fragment().map(str::to_owned);
            let mut there = url.clone();
            there.set_fragment(None);
            there.set_query(None);
            match there.as_str().strip_prefix(&format!("{PUBLIC}/")) {
                Some(target) => {
                    seen += 1;
                    let found = objects.get(target).unwrap_or_else(|| panic!("{key}: {link} leads nowhere"));
                    assert!(!found.is_empty(), "{key}: {link} leads to nothing");
                    if let Some(anchor) = anchor.filter(|_| link.starts_with('#')) {
                        assert!(text.contains(&format!("id=\"{anchor}\"")), "{key}: {link}");
                    }
                }
                None => {
                    assert!(["http", "https", "mailto"].contains(&url.scheme()), "{key}: {link}");
                    out.insert(link);
                }
            }
        }
    }
    assert!(seen > 50, "{seen}");
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_of_every_page_leads_to_what_is_there() {
    let world = sample().await;
    let outside = walk(&world.referee.objects());
    let want = BTreeSet::from(["https://github.com/o/alpha", "https://github.com/o/alpha/blob/HEAD/docs/guide.md"]);
    assert_eq!(outside.iter().map(String::as_str).collect::<BTreeSet<_>>(), want);
    let page = text(&world, "p/crate/alpha.html");
    for part in [
        "<h2 id=\"readme-alpha\">Alpha</h2>",
        "cargo add --registry registry-example-com-ggen alpha@1.0.0",
        "ggen-market install crate:alpha@1.0.0",
        "href=\"../../p/crate/beta.html\"",
        "href=\"../../k/utf-8.html\"",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let absent = text(&world, "p/crate/nowhere.html");
    assert!(absent.contains("is not in this registry") && absent.contains("../../p/crate/beta.html"), "{absent}");
    // Sent for any path, so that nothing in it may count from there.
    let missing = text(&world, "404.html");
    assert!(
        between(&missing, "href=\"", "\"").iter().all(|l| l.starts_with(PUBLIC) || l.starts_with('#')),
        "{missing}"
    );
    // Nothing is loaded from anywhere else, and no script stands in a page.
    for (key, bytes) in world.referee.objects().iter().filter(|(k, _)| k.ends_with(".html")) {
        let html = String::from_utf8_lossy(bytes);
        assert!(html.contains("http-equiv=\"Content-Security-Policy\""), "{key}");
        for script in between(&html, "<script", ">") {
            assert!(script.starts_with(" src=\"") || script == " type=\"application/ld+json\"", "{key}: {script}");
        }
    }
    require_right(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_may_be_called_like_a_file_of_the_layout() {
    let world = world_with(&[View::Site]).await;
    for name in ["index", "assets", "search", "404", "site", "p", "home", "feed.atom", "index.html", "b"] {
        add(
            &world,
            name,
            "1.0.0",
            "keywords = [\"index\", \"index.2\", \"json\"]\ncategories = [\"index\"]\n[dependencies]\nsearch = \"1\"\n",
            "",
        );
        if !["index"].contains(&name) {
            world.add_pack(name, "1.0.0", "t");
        }
    }
    built(&world).await;
    walk(&world.referee.objects());
    for (key, name) in [
        ("p/crate/index.html", "index"),
        ("p/crate/index.html.html", "index.html"),
        ("p/crate/404.html", "404"),
        ("p/pack/search.html", "search"),
        ("p/crate/feed.atom.html", "feed.atom"),
    ] {
        let title = text(&world, key).split_once("<title>").unwrap().1.to_owned();
        assert!(title.starts_with(&format!("{name} 1.0.0")), "{key}: {title}");
    }
    assert!(text(&world, "index.html").contains("19"), "the home page is another file");
    require_right(&world).await;
}

/// Which files one release more touches: its package's, those of the packages that it newly depends on, and of each group one.
#[tokio::test(flavor = "multi_thread")]
async fn one_release_more_touches_what_shows_it_and_nothing_else() {
    let world = sample().await;
    world.referee.take_writes();
    add(
        &world,
        "beta",
        "0.2.0",
        "description = \"The second\"\nkeywords = [\"json\"]\n[dependencies]\nalpha = \"1\"\nnowhere = { version = \"2\", optional = true }\n",
        "Beta",
    );
    let report = world.build().await.unwrap();
    let writes: Vec<String> =
        world.referee.take_writes().into_iter().filter(|k| crate::support::rules::is_view(k)).collect();
    let of_site = |k: &&String| !k.starts_with("cargo/") && !k.starts_with("views/");
    let mut found: Vec<&str> = writes.iter().filter(of_site).map(String::as_str).collect();
    found.sort_unstable();
    let digest = sha2_of("crate/beta");
    let (bucket, half) = (&digest[..2], &digest[..1]);
    let state = |group: &str| format!("site/{group}.json");
    let mut want: Vec<String> = vec!["feed.atom".into(), "index.html".into(), "k/json.html".into()];
    want.extend(["p/crate/beta.html".into(), "p/crate/beta.atom".into()]);
    want.extend([state(&format!("b/{bucket}")), state(&format!("b/{half}")), state("home"), state("k/json")]);
    // What it is found by: its name, its keyword, the word of its description that says something.
    want.extend(["n-be", "t-jso", "t-sec"].map(|shard| format!("search/{shard}.json")));
    want.sort_unstable();
    // The part of the sitemap says when a package changed, and the time of the build has not gone on.
    assert_eq!(found, want);
    assert_eq!(counts(&report)[1], (View::Site, 2, want.len() as u64));
    assert!(!report.views[1].whole);
    // What had to be read: no page of another package.
    let reads = world.referee.take_reads();
    assert!(!reads.iter().any(|k| k.starts_with("p/") && !k.starts_with("p/crate/beta")), "{reads:?}");

    // A dependency more: the page of what it depends on as well, and nothing of who depended on that before.
    add(&world, "delta", "1.0.0", "[dependencies]\nalpha = \"1\"\n", "");
    world.build().await.unwrap();
    let writes = world.referee.take_writes();
    let pages: Vec<_> = writes.iter().filter(|k| k.starts_with("p/")).map(String::as_str).collect();
    assert_eq!(
        pages.iter().copied().collect::<BTreeSet<_>>(),
        BTreeSet::from(["p/crate/alpha.html", "p/crate/delta.atom", "p/crate/delta.html"])
    );
    assert!(text(&world, "p/crate/alpha.html").contains("../../p/crate/delta.html"));
    // Nothing new costs the site nothing.
    world.build().await.unwrap();
    world.registry().refresh(&world.options).await.and_then(Report::require_views).unwrap();
    assert!(!world.referee.take_writes().iter().any(|k| crate::support::rules::is_view(k)));
    require_right(&world).await;
}

fn sha2_of(text: &str) -> String {
    crate::support::second_reader::hex(text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yank_and_a_removal_are_shown_with_their_reasons() {
    let world = sample().await;
    let id = |spec: &str| spec.parse::<PackageSpec>().unwrap().candidates().unwrap().remove(0);
    let (alpha, version) = (id("crate:alpha"), "1.0.0".parse().unwrap());
    world
        .registry()
        .yank(&alpha, &version, Some("it <eats> files"), &world.options)
        .await
        .and_then(Report::require_views)
        .unwrap();
    let page = text(&world, "p/crate/alpha.html");
    assert!(page.contains("it &lt;eats&gt; files") && page.contains("Yanked"), "{page}");
    assert!(text(&world, "k/json.html").contains("is-yanked"));
    assert!(text(&world, "p/crate/alpha.atom").contains("<summary>Yanked: it &lt;eats&gt; files</summary>"));
    assert!(!text(&world, "index.html").contains("p/crate/alpha.html"), "what is yanked is nothing to begin with");
    require_right(&world).await;
    world.registry().unyank(&alpha, &version, &world.options).await.and_then(Report::require_views).unwrap();
    require_right(&world).await;

    let mut options = world.options.clone();
    options.delete = true;
    fs::remove_file(world.sources().join("alpha-1.0.0.crate")).unwrap();
    world.registry().build(&[world.sources()], &options).await.and_then(Report::require_views).unwrap();
    let page = text(&world, "p/crate/alpha.html");
    assert!(page.contains("removed") && !page.contains("cargo add") && !page.contains("blobs/sha256"), "{page}");
    // Its category is empty: the page of it says that there is nothing, and nothing leads to it.
    assert_eq!(text(&world, "c/encoding.html"), text(&world, "404.html"));
    assert!(!text(&world, "categories.html").contains("encoding"));
    assert_eq!(text(&world, "site/c/encoding.json"), "");
    assert!(!text(&world, "index.html").contains("alpha.html"));
    assert!(!shown(&world.referee.objects()).contains_key("search/n-al.json"));
    require_right(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_more_than_a_hundred_leads_by_letters_and_shrinks_again() {
    let world = world_with(&[View::Site]).await;
    let name = |i: u32| format!("n{i:03}");
    for i in 0..101 {
        add(&world, &name(i), "1.0.0", "keywords = [\"many\"]\n", "");
    }
    built(&world).await;
    let (first, rest) = (text(&world, "k/many.html"), text(&world, "k/many.n1.html"));
    assert!(
        first.contains("n099") && !first.contains("p/crate/n100.html") && first.contains("href=\"../k/many.n.html\"")
    );
    assert!(text(&world, "k/many.n.html").contains("href=\"../k/many.n1.html\""));
    assert!(rest.contains("p/crate/n100.html") && rest.contains("href=\"../k/many.html\""), "{rest}");
    walk(&world.referee.objects());
    add(&world, &name(0), "1.1.0", "", "");
    built(&world).await;
    assert!(text(&world, "k/many.html").contains("p/crate/n100.html"));
    for gone in ["k/many.n.html", "k/many.n0.html", "k/many.n1.html"] {
        assert_eq!(text(&world, gone), text(&world, "404.html"));
    }
    require_right(&world).await;
}

/// All packages have a word, a keyword and a dependency in common: a release costs no more than among a quarter of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_costs_the_same_however_many_packages_have_its_words() {
    let mut costs = Vec::new();
    for count in [350u32, 1400] {
        let mut world = world_with(&[View::Site]).await;
        let record = |i: u32, version: &str| {
            let sha256 = sha2_of(&format!("{i} {version}"));
            format!(
                "{{\"kind\":\"crate\",\"name\":\"common{i}\",\"version\":\"{version}\",\"format\":\"crate\",\"sha256\":\"{sha256}\",\"size\":1,\
                 \"download_url\":\"https://example.com/{i}\",\"published\":\"2026-01-01T00:00:00Z\",\"summary\":\"Shares ontologies with number{i}\",\
                 \"keywords\":[\"shared\"],\"dependencies\":[{{\"name\":\"base\",\"req\":\"1\"}}]}}\n"
            )
        };
        let all: String = (0..count).map(|i| record(i, "1.0.0")).collect();
        fs::write(world.sources().join("all.jsonl"), all).unwrap();
        let id = |i: u32| PackageId::new(Kind::Crate, &PackageName::new(&format!("common{i}")).unwrap()).unwrap();
        world.options.downloads = Arc::new((0..count).map(|i| (id(i), u64::from(count - i))).collect());
        built(&world).await;
        let dependents = text(&world, "p/crate/base.html");
        assert!(dependents.contains(&format!("and {} more", count - 50)), "{dependents}");
        // One that stands among the best, one that does not, and one that is new.
        for i in [7, count - 9, count] {
            fs::write(world.sources().join("one.jsonl"), record(i, "1.1.0")).unwrap();
            let report = world.build().await.unwrap();
            let site = &report.views[0];
            assert!(!site.whole && site.files < 60, "{count}: {} files", site.files);
            costs.push(site.bytes);
        }
        // The best of all leaves, and another one takes its place.
        world
            .registry()
            .yank(&id(0), &"1.0.0".parse().unwrap(), None, &world.options)
            .await
            .and_then(Report::require_views)
            .unwrap();
        let best = text(&world, "search/t-ont.json");
        assert!(best.find("crate/common1\"").is_some() && !best.contains("crate/common0\""), "{best}");
        require_right(&world).await;
    }
    let (few, many) = costs.split_at(3);
    for (few, many) in few.iter().zip(many) {
        assert!(many * 10 < few * 18, "{costs:?} bytes");
    }
}

/// Downloads are no part of a record: the search index knows them, and the site follows it.
#[tokio::test(flavor = "multi_thread")]
async fn downloads_that_change_are_shown_where_nothing_else_does() {
    let mut world = sample().await;
    let id = |name: &str| PackageId::new(Kind::Crate, &PackageName::new(name).unwrap()).unwrap();
    for (count, files) in [(1_234, true), (1_234, false), (5_000, true)] {
        world.options.downloads = Arc::new([(id("alpha"), count)].into());
        world.referee.take_writes();
        let report = world.build().await.unwrap();
        let written = world.referee.take_writes();
        assert_eq!(written.iter().any(|k| k == "p/crate/alpha.html"), files, "{count}: {written:?}");
        assert!(
            !report.views[1].whole && !written.iter().any(|k| k.starts_with("p/") && !k.starts_with("p/crate/alpha"))
        );
        require_right(&world).await;
    }
    assert!(text(&world, "p/crate/alpha.html").contains("5,000"));
    assert!(text(&world, "index.html").contains("5,000"));
    // Told of a package together with a release of another one.
    world.options.downloads = Arc::new([(id("alpha"), 7), (id("beta"), 9)].into());
    world.add_crate("delta", "1.0.0", "d");
    built(&world).await;
    require_right(&world).await;
    // Together with a release of its own that changes nothing else of what is shown.
    world.options.downloads = Arc::new([(id("alpha"), 8_888)].into());
    add(&world, "alpha", "0.9.0", "description = \"Before the first\"\n", "");
    let report = world.build().await.unwrap();
    assert!(!report.views[1].whole && text(&world, "k/json.html").contains("8,888"));
    require_right(&world).await;
    // Without an index nothing is known.
    world.options.downloads = Arc::default();
    world.options.search = false;
    world.add_crate("delta", "1.1.0", "d");
    built(&world).await;
    require_right(&world).await;
    assert!(!text(&world, "index.html").contains("5,000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_lost_or_broken_remakes_the_site() {
    for spoil in [
        b"".as_slice(),
        b"{\"rows\":{}}\n",
        b"{\"rows\":{\"crate/alpha\":",
        b"{\"rows\":{\"crate/alpha\":17,\"crate/beta\":{}}}",
    ] {
        for group in ["k/json", "home", "categories"] {
            let world = sample().await;
            let key = format!("site/{group}.json");
            world.referee.plant(&key, spoil).await;
            add(&world, "alpha", "1.1.0", "keywords = [\"json\"]\ncategories = [\"encoding\"]\n", "");
            let report = world.build().await.unwrap();
            assert!(report.views[1].whole, "{key} {}", String::from_utf8_lossy(spoil));
            require_right(&world).await;
        }
    }
}

/// Every write of a run, with a death after it; what it had to do was then taken back, so that only its marker tells of it.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_dead_run_wrote_of_the_site_is_put_right() {
    let mut step = 0;
    loop {
        let world = sample().await;
        let id = "crate:alpha".parse::<PackageSpec>().unwrap().candidates().unwrap().remove(0);
        let version = "1.0.0".parse().unwrap();
        world.referee.take_writes();
        world.referee.set_fault(Some(Fault::DieAfter(step)));
        let died =
            world.registry().yank(&id, &version, None, &world.options).await.and_then(Report::require_views).is_err();
        world.referee.set_fault(None);
        let without = BuildOptions::at(world.options.now);
        // Where the death was before the commit, there is nothing to take back.
        let _ = world.registry().unyank(&id, &version, &without).await;
        world.registry().update_views(false, &world.options).await.unwrap();
        require_right(&world).await;
        if !died {
            break;
        }
        step += 3;
    }
    assert!(step > 24, "{step}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_builds_of_the_same_give_the_same_bytes_and_settings_show() {
    let files = |world: &World| {
        let mut files = shown(&world.referee.objects());
        // The key is another one in each world.
        let key = world.key.to_string();
        let id = key.split('+').nth(1).unwrap().to_owned();
        for bytes in files.values_mut() {
            *bytes = String::from_utf8_lossy(bytes).replace(&id, "KEY").into_bytes();
        }
        files
    };
    let (mut a, b) = (sample().await, sample().await);
    assert_eq!(files(&a), files(&b));
    let mut views = a.options.views.clone().unwrap();
    views.site.title = Some("Tom & <Jerry>".into());
    views.site.description = Some("What \"they\" share".into());
    views.cargo_dependencies = CargoDependencies::CratesIo;
    views.site.theme =
        Theme::with([("search.html".to_owned(), "{{ site.title }} {{ page.root }}".into())].into()).unwrap();
    a.options.views = Some(views);
    a.build().await.unwrap();
    assert_eq!(text(&a, "search.html"), "Tom &amp; &lt;Jerry&gt; ");
    assert!(text(&a, "opensearch.xml").contains("<ShortName>Tom &amp; &lt;Jerry&gt;</ShortName>"));
    // On crates.io there may be anything: no link, no dependents.
    let beta = text(&a, "p/crate/beta.html");
    assert!(!beta.contains("p/crate/alpha.html") && beta.contains("crates.io"), "{beta}");
    assert!(!text(&a, "p/crate/alpha.html").contains("p/crate/beta.html"));
    assert_eq!(text(&a, "p/crate/nowhere.html"), text(&a, "404.html"));
    require_right(&a).await;
}
