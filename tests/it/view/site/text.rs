//! What strangers write, by exact output; and what machines read.

use super::{PUBLIC, add, between, built, sample, text, walk};
use crate::view::world_with;
use ggen_marketplace::View;

const HOSTILE: &str = "<script>alert(1)</script>\" onload='x'";

#[tokio::test(flavor = "multi_thread")]
async fn script_in_what_a_package_says_of_itself_is_text() {
    let world = world_with(&[View::Site]).await;
    let quoted = HOSTILE.replace('"', "\\\"");
    add(
        &world,
        "evil",
        "1.0.0",
        &format!(
            "description = \"{quoted}\"\nlicense = \"{quoted}\"\nkeywords = [\"{quoted}\"]\ncategories = [\"</title>\"]\n\
             homepage = \"javascript:alert(1)\"\nrepository = \"https://example.com/{quoted}\"\ndocumentation = \"data:text/html,x\"\n\
             [features]\n\"<b>\" = []\n"
        ),
        "# <script>alert(2)</script>\n\n[a](javascript:alert(3)) ![b](https://example.com/pixel.png) <img src=x onerror=alert(4)> &lt;i&gt;\n\n</div></main>",
    );
    let report = world.build().await.unwrap();
    // What a manifest may not say at all is refused elsewhere; the rest has to be here.
    assert!(report.refused.is_empty(), "{:?}", report.refused);
    let page = text(&world, "p/crate/evil.html");
    let readme = "<h2 id=\"readme-alert2\">alert(2)</h2>\n<p>a <a class=\"image\" href=\"https://example.com/pixel.png\" rel=\"nofollow noopener\">b</a>  &lt;i&gt;</p>\n";
    assert!(page.contains(&format!("<div class=\"readme\" dir=\"auto\">{readme}</div>")), "{page}");
    for (key, bytes) in world.referee.objects().iter().filter(|(k, _)| k.ends_with(".html") || k.ends_with(".atom")) {
        let mut html = String::from_utf8_lossy(bytes).into_owned();
        // What stands in a block of data is looked at below.
        if let Some((before, after)) = html.split_once("<script type=\"application/ld+json\">") {
            html = format!("{before}{}", after.split_once("</script>").unwrap().1);
        }
        for bad in ["<script>", "onload='", "\" onload", "href=\"javascript", "href=\"data:", "<img", "<b>"] {
            assert!(!html.contains(bad), "{key}: {bad}: {html}");
        }
        assert!(html.matches("</title>").count() <= 1 + html.matches("<title>").count(), "{key}: {html}");
    }
    // In a block of data, too.
    let data = between(&page, "<script type=\"application/ld+json\">", "</script>");
    let [data] = data.as_slice() else { panic!("{page}") };
    assert!(!data.contains('<'), "{data}");
    let document: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(document["description"], HOSTILE);
    assert_eq!((document["name"].as_str(), document["version"].as_str()), (Some("evil"), Some("1.0.0")));
    let outside = walk(&world.referee.objects());
    assert!(outside.iter().all(|l| l.starts_with("https://example.com/") && !l.contains(['"', '<'])), "{outside:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_readme_is_cut_and_a_broken_one_mended() {
    let world = world_with(&[View::Site]).await;
    add(&world, "long", "1.0.0", "", "some words of a line\n".repeat(5 << 20 >> 4));
    add(&world, "broken", "1.0.0", "", b"caf\xe9 \xff\xfe\x00 end");
    add(&world, "none", "1.0.0", "description = \"Only this\"\n", "");
    built(&world).await;
    let long = text(&world, "p/crate/long.html");
    assert!(long.len() < 300_000 && long.contains("what is shown here was cut."), "{}", long.len());
    assert!(text(&world, "p/crate/broken.html").contains("<p>caf\u{fffd} \u{fffd}\u{fffd}\u{fffd} end</p>"));
    assert!(text(&world, "p/crate/none.html").contains("Only this"));
}

/// The elements of an XML document, with their text; panics where it is none.
fn elements(xml: &str) -> Vec<(String, String)> {
    use quick_xml::{Reader, events::Event};
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let (mut open, mut out) = (Vec::new(), Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(e) => {
                e.attributes().for_each(|a| drop(a.unwrap()));
                open.push((String::from_utf8(e.name().as_ref().to_vec()).unwrap(), String::new()));
            }
            Event::Empty(e) => e.attributes().for_each(|a| drop(a.unwrap())),
            Event::Text(t) => {
                if let Some((_, text)) = open.last_mut() {
                    text.push_str(std::str::from_utf8(&t).unwrap());
                }
            }
            Event::End(_) => out.push(open.pop().unwrap()),
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(open.is_empty());
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn feeds_sitemaps_and_the_search_description_are_well_formed() {
    let world = sample().await;
    let of = |xml: &str, name: &str| {
        elements(xml).into_iter().filter(|(n, _)| n == name).map(|(_, t)| t).collect::<Vec<_>>()
    };
    for (key, bytes) in &world.referee.objects() {
        if [".xml", ".atom"].iter().any(|e| key.ends_with(e)) {
            assert!(elements(std::str::from_utf8(bytes).unwrap()).len() > 1, "{key}");
        }
    }
    let feed = text(&world, "feed.atom");
    let ids = of(&feed, "id");
    assert_eq!(ids[0], format!("{PUBLIC}/feed.atom"));
    assert_eq!(ids.len(), 4);
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    // Of the feed and of each entry, as RFC 4287 asks: id, title, updated; and an author.
    assert_eq!((of(&feed, "title").len(), of(&feed, "updated").len(), of(&feed, "author").len()), (4, 4, 1));
    assert!(of(&feed, "updated").iter().all(|t| t.parse::<ggen_marketplace::package::Timestamp>().is_ok()));
    assert_eq!(of(&text(&world, "p/crate/alpha.atom"), "title")[1], "alpha 1.0.0");
    let mut pages = Vec::new();
    for part in of(&text(&world, "sitemap.xml"), "loc") {
        pages.extend(of(&text(&world, part.strip_prefix(&format!("{PUBLIC}/")).unwrap()), "loc"));
    }
    for page in ["index.html", "p/crate/alpha.html", "p/pack/gamma.html", "c/encoding.html"] {
        assert!(pages.contains(&format!("{PUBLIC}/{page}")), "{page}: {pages:?}");
    }
    assert!(!pages.iter().any(|p| p.contains("nowhere") || p.contains("404")), "{pages:?}");
    let opensearch = text(&world, "opensearch.xml");
    assert!(opensearch.contains(&format!("template=\"{PUBLIC}/search.html?q={{searchTerms}}\"")), "{opensearch}");
    assert!(text(&world, "robots.txt").ends_with(&format!("Disallow: /ggen/site/\nSitemap: {PUBLIC}/sitemap.xml\n")));
}
