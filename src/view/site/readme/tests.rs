use super::*;
use proptest::prelude::*;

fn shown(text: &str) -> String {
    let file = TextFile { path: "README.md".into(), text: text.into(), truncated: false };
    html(Some(&file), None, Some("https://github.com/o/r")).unwrap_or_default()
}

#[test]
fn what_people_write_is_shown() {
    for (text, want) in [
        (
            "# Top\n## `code` & more\n# Top",
            "<h2 id=\"readme-top\">Top</h2>\n<h3 id=\"readme-code--more\"><code>code</code> &amp; more</h3>\n<h2 id=\"readme-top-1\">Top</h2>\n",
        ),
        ("a *b* **c** ~~d~~", "<p>a <em>b</em> <strong>c</strong> <del>d</del></p>\n"),
        ("3. x\n4. y", "<ol start=\"3\">\n<li>x</li>\n<li>y</li>\n</ol>\n"),
        ("- [x] a\n- [ ] b", "<ul>\n<li>\u{2611} a</li>\n<li>\u{2610} b</li>\n</ul>\n"),
        (
            "```rust,no_run\nlet a = \"<\";\n```",
            "<pre><code class=\"language-rust\">let a = &quot;&lt;&quot;;\n</code></pre>\n",
        ),
        (
            "|a|b|\n|-|-|\n|1|2|",
            "<table>\n<thead><tr><th>a</th><th>b</th></tr></thead>\n<tr><td>1</td><td>2</td></tr>\n</table>\n",
        ),
        (
            "[x](#Some-Part) [y](docs/a.md) [z](/LICENSE)",
            "<p><a href=\"#readme-some-part\">x</a> <a href=\"https://github.com/o/r/blob/HEAD/docs/a.md\" rel=\"nofollow noopener\">y</a> <a href=\"https://github.com/o/r/blob/HEAD/LICENSE\" rel=\"nofollow noopener\">z</a></p>\n",
        ),
        (
            "[![CI](https://e.com/b.svg)](https://e.com/ci)",
            "<p><a href=\"https://e.com/ci\" rel=\"nofollow noopener\">CI</a></p>\n",
        ),
        (
            "![A *view*](https://e.com/x.png)",
            "<p><a class=\"image\" href=\"https://e.com/x.png\" rel=\"nofollow noopener\">A view</a></p>\n",
        ),
        ("<h1 align=\"center\">Name</h1>\n\n<!-- no -->text<br>more", "<p>Name</p>\n<p>text\nmore</p>\n"),
    ] {
        assert_eq!(shown(text), want, "{text}");
    }
}

#[test]
fn what_could_do_something_does_nothing() {
    for (text, want) in [
        ("<script>alert(1)</script>", ""),
        ("a <script>alert(1)</script> b", "<p>a alert(1) b</p>\n"),
        ("<img src=x onerror=alert(1)>", ""),
        ("<div onclick=\"x\">text</div>", "<p>text</p>\n"),
        ("<sc<script>ript>alert(1)</script>", "<p>&lt;script&gt;alert(1)</p>\n"),
        ("[x](javascript:alert(1)) [y](data:text/html,a) [z](JaVaScript:a)", "<p>x y z</p>\n"),
        ("[x](  javascript:alert(1))", "<p>x</p>\n"),
        ("[x](vbscript:a) [y](file:///etc/passwd) [z](//e.com)", "<p>x y z</p>\n"),
        ("[x](&#106;avascript:alert(1))", "<p>x</p>\n"),
        (
            "[x](https://e.com/\"onclick=a)",
            "<p><a href=\"https://e.com/%22onclick=a\" rel=\"nofollow noopener\">x</a></p>\n",
        ),
        ("[x](../../../../other/repo)", "<p>x</p>\n"),
        ("![x](javascript:a) ![y](data:image/png;base64,AA)", "<p>x y</p>\n"),
        ("<javascript:alert(1)>", "<p>javascript:alert(1)</p>\n"),
        ("```\"><script>\nx\n```", "<pre><code class=\"language-script\">x\n</code></pre>\n"),
        ("# <b id=\"x\">\" onload=\"</b>", "<h2 id=\"readme--onload\">&quot; onload=&quot;</h2>\n"),
        ("\u{0}a\u{8}b", "<p>\u{fffd}a\u{fffd}b</p>\n"),
    ] {
        assert_eq!(shown(text), want, "{text}");
    }
}

#[test]
fn a_readme_that_is_too_long_is_cut_and_other_forms_are_shown_as_they_are() {
    let long = "0123456789abcde\n".repeat(5 << 16);
    let html_of_long = shown(&long);
    assert!(html_of_long.len() < MAX_SHOWN + 200 && html_of_long.ends_with("what is shown here was cut.</p>\n"));
    let file = |path: &str| TextFile { path: path.into(), text: "a <b>\n=====".into(), truncated: true };
    let want = "<pre>a &lt;b&gt;\n=====</pre>\n<p class=\"cut\">The readme goes on; what is shown here was cut.</p>\n";
    assert_eq!(html(Some(&file("README.rst")), None, None).unwrap(), want);
    assert_eq!(html(None, Some("a\n\n<b>"), None).unwrap(), "<p>a</p>\n<p>&lt;b&gt;</p>\n");
    assert_eq!(html(None, None, None), None);
    let deep = shown(&">".repeat(20_000));
    assert!(deep.matches("<blockquote>").count() <= MAX_DEPTH);
    shown(&"[".repeat(50_000));
    shown(&"*a ".repeat(50_000));
}

#[test]
fn links_are_resolved_where_the_repository_is_known() {
    for (repository, readme, link, want) in [
        ("https://github.com/o/r.git", "README.md", "a", Some("https://github.com/o/r/blob/HEAD/a")),
        (
            "https://github.com/o/r/tree/main/crates/x",
            "docs/README.md",
            "../a#b",
            Some("https://github.com/o/r/blob/HEAD/crates/x/a#b"),
        ),
        ("https://gitlab.com/o/r", "README.md", "a", Some("https://gitlab.com/o/r/-/blob/HEAD/a")),
        ("https://example.com/o/r", "README.md", "a", None),
        ("https://github.com/o", "README.md", "a", None),
        ("https://github.com/o/r", "README.md", "../../x", None),
        ("javascript:alert(1)", "README.md", "a", None),
    ] {
        assert_eq!(Places::new(Some(repository), readme).link(link).as_deref(), want, "{repository} {link}");
    }
    assert_eq!(web_address("https://user:secret@example.com/"), None);
    assert_eq!(web_address(" HTTPS://Example.com/\"a ").as_deref(), Some("https://example.com/%22a"));
}

proptest! {
    /// Every element that is opened is closed, and only those are opened that stand here.
    #[test]
    fn only_known_elements_come_out_and_they_nest(text in "([ \n#>*_`|~<>/!\\[\\]()\"'=&;:a-c-]|<script>|</script>|javascript:|https://e|<a href=|- |1\\. ){0,60}") {
        const ELEMENTS: &[&str] = &["a", "blockquote", "code", "del", "em", "h2", "h3", "h4", "h5", "h6", "li", "ol", "p", "pre", "strong", "table", "td", "th", "thead", "tr", "ul"];
        let html = shown(&text);
        let mut open = Vec::new();
        for tag in html.split('<').skip(1) {
            let (inner, after) = tag.split_once('>').unwrap();
            prop_assert!(!after.contains('>'), "{}", html);
            let name = inner.split(' ').next().unwrap();
            if ["br", "hr"].contains(&name) { continue; }
            match name.strip_prefix('/') {
                Some(name) => prop_assert_eq!(open.pop(), Some(name), "{}", html),
                None => {
                    prop_assert!(ELEMENTS.contains(&name), "{}", html);
                    open.push(name);
                }
            }
            if let Some((_, href)) = inner.split_once("href=\"") {
                let scheme = ["https://", "http://", "mailto:", "#"].iter().any(|s| href.starts_with(s));
                prop_assert!(scheme, "{}", html);
            }
        }
        prop_assert!(open.is_empty(), "{}", html);
    }
}

/// (Each of them was once looked for an end in all that follows: 0.85 s in place of 5 ms for the longest readme.)
#[test]
fn brackets_that_are_no_tags_are_text_however_many_there_are() {
    let text = format!("<div>\n{}\n</div>", "<5".repeat(100 << 10));
    assert!(shown(&text).contains(&"&lt;5".repeat(100 << 10)));
}
