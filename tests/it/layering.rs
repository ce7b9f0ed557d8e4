//! The shape of the code, held by a test: which module may use which, how long a file may be, and what no file may hold.
//! A finding names the file, the line and the rule. To change a rule, change [`MAY_USE`] here and `docs/` with it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The modules at the top of `src/`, and what each may use. Data flows one way: `source -> package -> format -> publish ->
/// store`, and `store -> client`. Only `error` is for all; `cpu` is for those who do I/O. Modules without I/O (`package`,
/// `format`, `trust`, `index`, `view`) never use those with; `store` uses `index`, `trust` and `view` because loading the
/// tree's nodes, keeping the trusted checkpoint and writing the files of views are I/O around them.
const MAY_USE: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("cpu", &[]),
    ("package", &["error"]),
    ("format", &["error", "package"]),
    ("trust", &["error", "package"]),
    ("index", &["error", "format", "package"]),
    ("resolve", &["error", "format", "package"]),
    ("source", &["cpu", "error", "package"]),
    ("store", &["cpu", "error", "format", "index", "package", "trust", "view"]),
    ("serve", &["error", "format", "package"]),
    ("view", &["error", "format", "index", "package"]),
    ("search", &["cpu", "error", "format", "package", "store"]),
    ("publish", &["cpu", "error", "format", "index", "package", "search", "source", "store", "trust", "view"]),
    ("client", &["cpu", "error", "format", "index", "package", "resolve", "search", "store", "trust", "view"]),
];

/// 500 is the aim; here it stops.
const MAX_LINES: usize = 600;

/// Macros that no file may use: an answer that is missing is an error, and not a panic.
const UNFINISHED: &[&str] = &["todo", "unimplemented"];

/// Macros for the command line alone: a library returns what it has to say, or traces it.
const PRINTING: &[&str] = &["dbg", "eprint", "eprintln", "print", "println"];

#[test]
fn the_sources_keep_to_the_layers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let exports = exports(&tokens(&fs::read_to_string(root.join("src/lib.rs")).unwrap()));
    let mut findings = Vec::new();
    let mut files = Vec::new();
    rust_files(&root.join("src"), &mut files);
    assert!(files.len() > 10, "the sources are not where this test looks");
    for file in files {
        let path = file.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        findings.extend(check(&path, &fs::read_to_string(&file).unwrap(), &exports));
    }
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

fn rust_files(folder: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// All findings in one file. `path` begins with `src/`; `exports` maps a name that `lib.rs` re-exports to its module.
fn check(path: &str, source: &str, exports: &BTreeMap<String, String>) -> Vec<String> {
    let mut findings = Vec::new();
    let lines = source.lines().count();
    if lines > MAX_LINES {
        findings.push(format!("{path}:{lines}: longer than {MAX_LINES} lines: split it by subject"));
    }
    let home: Vec<&str> = path.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect();
    let is_bin = home[0] == "bin";
    let tokens = tokens(source);
    for use_ in crate_paths(&home, &tokens).into_iter().filter(|_| !is_bin) {
        let module = exports.get(&use_.name).unwrap_or(&use_.name);
        if let Some(rule) = broken(home[0], module) {
            findings.push(format!("{path}:{}: {rule}", use_.line));
        }
    }
    let in_tests = home.last() == Some(&"tests");
    let mut modules = Modules::default();
    for (i, token) in tokens.iter().enumerate() {
        modules.step(&tokens, i);
        let next = |n: usize| tokens.get(i + n).map_or("", |t| t.text.as_str());
        if next(1) == "!" && next(2) != "=" {
            let word = token.text.as_str();
            if UNFINISHED.contains(&word) {
                findings.push(format!("{path}:{}: {word}! is not finished code", token.line));
            }
            let tested = in_tests || modules.names().any(|m| m == "tests");
            if PRINTING.contains(&word) && !is_bin && !tested {
                findings
                    .push(format!("{path}:{}: {word}! outside of src/bin: only the command line prints", token.line));
            }
        }
        if is_bin
            && (token.text == "#" && next(1) == "[" && next(2) == "path" || token.text == "include" && next(1) == "!")
        {
            findings.push(format!("{path}:{}: the command line uses only the library's public API", token.line));
        }
    }
    findings
}

/// The rule that a use of `to` in `from` breaks.
fn broken(from: &str, to: &str) -> Option<String> {
    let rules = |m: &str| MAY_USE.iter().find(|(name, _)| *name == m).map(|(_, uses)| *uses);
    if from == to || from == "lib" {
        return None;
    }
    let Some(allowed) = rules(from) else {
        return Some(format!("module {from} has no rule: add it to MAY_USE in tests/it/layering.rs"));
    };
    if rules(to).is_none() {
        return Some(format!(
            "{from} uses crate::{to}, which is neither a module with a rule nor re-exported from one"
        ));
    }
    (!allowed.contains(&to)).then(|| format!("{from} may not use {to}; it may use: {}", allowed.join(", ")))
}

struct Token {
    text: String,
    line: usize,
}

struct CratePath {
    name: String,
    line: usize,
}

/// The inline modules (`mod x { … }`) around a token.
#[derive(Default)]
struct Modules {
    depth: usize,
    open: Vec<(String, usize)>,
}

impl Modules {
    fn step(&mut self, tokens: &[Token], i: usize) {
        match tokens[i].text.as_str() {
            "{" => {
                self.depth += 1;
                if i >= 2 && tokens[i - 2].text == "mod" {
                    self.open.push((tokens[i - 1].text.clone(), self.depth));
                }
            }
            "}" => {
                self.open.retain(|(_, depth)| *depth < self.depth);
                self.depth = self.depth.saturating_sub(1);
            }
            _ => {}
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.open.iter().map(|(name, _)| name.as_str())
    }
}

/// Every name that is reached from the root of the crate: by `crate::name`, `crate::{name, …}`, or `super::` often enough.
fn crate_paths(home: &[&str], tokens: &[Token]) -> Vec<CratePath> {
    // src/a/mod.rs is the module a; src/a/b.rs is a::b.
    let depth = if matches!(home.last(), Some(&"mod" | &"lib" | &"main")) { home.len() - 1 } else { home.len() };
    let mut modules = Modules::default();
    let mut out = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        modules.step(tokens, i);
        let starts = i == 0 || !matches!(tokens[i - 1].text.as_str(), "::" | "$");
        let mut end = i;
        if starts && tokens[i].text == "super" {
            while tokens.get(end + 1).is_some_and(|t| t.text == "::")
                && tokens.get(end + 2).is_some_and(|t| t.text == "super")
            {
                end += 2;
            }
        }
        let at_root = starts
            && (tokens[i].text == "crate"
                || tokens[i].text == "super" && (end - i) / 2 + 1 >= depth + modules.open.len());
        if at_root && tokens.get(end + 1).is_some_and(|t| t.text == "::") {
            first_names(&tokens[end + 2..], &mut out);
        }
        i += 1;
    }
    out
}

/// The names right after `crate::`: one, or those at the top of a group.
fn first_names(tokens: &[Token], out: &mut Vec<CratePath>) {
    let Some(first) = tokens.first() else { return };
    if first.text != "{" {
        out.push(CratePath { name: first.text.clone(), line: first.line });
        return;
    }
    let (mut depth, mut wanted) = (0usize, false);
    for token in tokens {
        match token.text.as_str() {
            "{" => {
                depth += 1;
                wanted = depth == 1;
            }
            "}" => {
                depth -= 1;
                if depth == 0 {
                    return;
                }
            }
            "," => wanted = depth == 1,
            name if wanted => {
                out.push(CratePath { name: name.into(), line: token.line });
                wanted = false;
            }
            _ => {}
        }
    }
}

/// What `lib.rs` re-exports at the top: `pub use error::{Error, Result};` maps both names to `error`.
fn exports(tokens: &[Token]) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (i, window) in tokens.windows(4).enumerate() {
        let [public, use_, module, colons] = window else { continue };
        if public.text == "pub" && use_.text == "use" && colons.text == "::" {
            let mut names = Vec::new();
            first_names(&tokens[i + 4..], &mut names);
            out.extend(names.into_iter().map(|n| (n.name, module.text.clone())));
        }
    }
    out
}

/// Words, `::` and single punctuation marks of a Rust file; comments, strings and lifetimes are left out.
fn tokens(source: &str) -> Vec<Token> {
    let (s, mut i, mut line) = (source.as_bytes(), 0, 1);
    let mut out = Vec::new();
    while i < s.len() {
        let (start, rest) = (i, &source[i..]);
        let word = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        if rest.starts_with("//") {
            i += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            i += block_comment(rest);
        } else if let Some(length) = string(rest) {
            i += length;
        } else if word > 0 {
            i += word;
            out.push(Token { text: rest[..word].into(), line });
        } else if rest.starts_with("::") {
            i += 2;
            out.push(Token { text: "::".into(), line });
        } else {
            let c = rest.chars().next().unwrap();
            i += c.len_utf8();
            if !c.is_whitespace() {
                out.push(Token { text: c.into(), line });
            }
        }
        line += source[start..i].matches('\n').count();
    }
    out
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut i) = (0, 0);
    while i < rest.len() {
        let two = rest.as_bytes().get(i..i + 2);
        match two {
            Some(b"/*") => depth += 1,
            Some(b"*/") => depth -= 1,
            _ => {
                i += 1;
                continue;
            }
        }
        i += 2;
        if depth == 0 {
            return i;
        }
    }
    rest.len()
}

/// The length of the string, raw string, character or lifetime that `rest` begins with.
fn string(rest: &str) -> Option<usize> {
    let body = rest.trim_start_matches(['b', 'c']);
    let prefix = rest.len() - body.len();
    if prefix > 1 {
        return None;
    }
    if let Some(raw) = body.strip_prefix('r') {
        let hashes = raw.bytes().take_while(|b| *b == b'#').count();
        if raw[hashes..].starts_with('"') {
            let open = prefix + 1 + hashes + 1;
            let close = format!("\"{}", "#".repeat(hashes));
            return Some(rest[open..].find(&close).map_or(rest.len(), |n| open + n + close.len()));
        }
    }
    let quote = body.bytes().next().filter(|b| matches!(b, b'"' | b'\''))?;
    let s = body.as_bytes();
    // 'a is a lifetime, 'a' is a character.
    if quote == b'\'' && s.get(1) != Some(&b'\\') {
        let c = body[1..].chars().next()?;
        let closes = s.get(1 + c.len_utf8()) == Some(&b'\'');
        return Some(prefix + if closes { c.len_utf8() + 2 } else { 1 + c.len_utf8() });
    }
    let mut i = 1;
    while i < s.len() && s[i] != quote {
        i += if s[i] == b'\\' { 2 } else { 1 };
    }
    Some((prefix + i + 1).min(rest.len()))
}

/// What the check finds in a sample, without the path.
#[cfg(test)]
fn found(path: &str, source: &str) -> Vec<String> {
    let exports = exports(&tokens("pub use error::{Error, ErrorKind, Result};\npub use store::Store;"));
    check(path, source, &exports).iter().map(|f| f.strip_prefix(&format!("{path}:")).unwrap().to_owned()).collect()
}

#[test]
fn a_broken_arrow_is_found_with_its_line_and_rule() {
    let rule = "package may not use trust; it may use: error";
    for (source, line) in [
        ("use crate::trust::Origin;", 1),
        ("\nuse crate::{\n    Error,\n    trust::{Origin, note::Note},\n};", 4),
        ("fn f() {\n    crate::trust::decide();\n}", 2),
        ("use super::super::trust;", 1),
        ("mod tests {\n    use super::super::super::trust;\n}", 2),
        ("m! { let a = 'x'; let b: &'static str = \"\\\"\"; crate::trust::f() }", 1),
    ] {
        assert_eq!(found("src/package/name.rs", source), [format!("{line}: {rule}")], "{source}");
    }
    assert_eq!(found("src/package/mod.rs", "use super::trust;"), [format!("1: {rule}")]);
    assert_eq!(found("src/package/a/b.rs", "use super::super::super::trust;"), [format!("1: {rule}")]);
    for (path, source) in [
        ("src/client/mod.rs", "use crate::publish::Plan;"),
        ("src/client/mod.rs", "use crate::source::Source;"),
        ("src/publish/mod.rs", "use crate::client::Client;"),
        ("src/trust/mod.rs", "use crate::Store;"),
        ("src/index/mod.rs", "use crate::store::Store;"),
        ("src/store/mod.rs", "use crate::publish::Plan;"),
        ("src/store/mod.rs", "use crate::bin::main;"),
        ("src/store/mod.rs", "use crate::*;"),
        ("src/unheard_of/mod.rs", "use crate::package::Kind;"),
    ] {
        assert_eq!(found(path, source).len(), 1, "{path} {source}");
    }
}

#[test]
fn what_is_allowed_or_only_mentioned_is_not_found() {
    for (path, source) in [
        ("src/package/name.rs", "use super::Version;\nuse crate::{Error, ErrorKind};"),
        ("src/package/name.rs", "mod tests {\n    use super::super::Version;\n}"),
        ("src/package/a/b.rs", "use super::super::Version;"),
        ("src/package/mod.rs", "//! [`trust`](crate::trust)\n/* crate::trust /* */ crate::trust */ // crate::trust"),
        ("src/package/mod.rs", "const A: &str = \"crate::trust\"; const B: &str = r#\"\" crate::trust println!()\"#;"),
        (
            "src/package/mod.rs",
            "fn f<'a>(x: &'a u8) -> char { '\"' } fn g() -> char { '\\'' } const C: &str = \"todo!()\";",
        ),
        ("src/trust/mod.rs", "use crate::package::{Link, trust};\nuse crate::trust::Note;"),
        ("src/publish/plan.rs", "use crate::{Store, cpu, index::{self, Node}, source::Source, trust::{Claim, Slot}};"),
        ("src/lib.rs", "mod trust;\nuse crate::client::Client;"),
        ("src/bin/ggen-market/main.rs", "use crate::args::Args;\nfn main() { println!(\"data\"); }"),
        ("src/package/mod.rs", "mod tests {\n    fn f() { println!(\"shown by a test that fails\"); }\n}"),
        ("src/package/mod.rs", "macro_rules! m { () => { $crate::anything } }"),
    ] {
        assert_eq!(found(path, source), [""; 0], "{path} {source}");
    }
}

#[test]
fn other_rules_are_found_with_their_line() {
    assert_eq!(found("src/package/mod.rs", "\nfn f() { todo!() }"), ["2: todo! is not finished code"]);
    assert_eq!(found("src/bin/ggen-market/main.rs", "fn f() { unimplemented!() }").len(), 1);
    let printing = "mod tests {}\nfn f() { println!(); }";
    assert_eq!(found("src/package/mod.rs", printing), ["2: println! outside of src/bin: only the command line prints"]);
    assert_eq!(found("src/store/read.rs", "fn f() {\n    eprintln!();\n}").len(), 1);
    let long = "// line\n".repeat(MAX_LINES + 1);
    assert_eq!(found("src/package/mod.rs", &long), ["601: longer than 600 lines: split it by subject"]);
    assert_eq!(found("src/package/mod.rs", &"//\n".repeat(MAX_LINES)), [""; 0]);
    assert_eq!(found("src/bin/ggen-market/main.rs", "#[path = \"../../store/mod.rs\"]\nmod store;").len(), 1);
    assert_eq!(found("src/bin/ggen-market/main.rs", "include!(\"../../store/mod.rs\");").len(), 1);
}
