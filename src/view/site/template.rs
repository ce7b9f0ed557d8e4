//! The templates: those of the program, and over them, file by file, those of an operator.

use super::{draw, feed::escape};
use crate::{Error, ErrorKind, package::Sha256};
use bytes::Bytes;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, escape_formatter, value::Serde};
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../../templates/site/", $name)))),*]
    };
}

/// Every file of `templates/site`.
const BUILT_IN: &[(&str, &[u8])] = built_in![
    "404.html",
    "absent.html",
    "assets/icon.svg",
    "assets/search.js",
    "assets/site.js",
    "assets/style.css",
    "assets/theme.js",
    "base.html",
    "categories.html",
    "home.html",
    "icons/check.svg",
    "icons/copy.svg",
    "icons/down.svg",
    "icons/feed.svg",
    "icons/lens.svg",
    "icons/mark.svg",
    "icons/next.svg",
    "icons/out.svg",
    "icons/shield.svg",
    "icons/theme.svg",
    "icons/warn.svg",
    "keywords.html",
    "list.html",
    "macros.html",
    "package.html",
    "search.html",
];

/// The templates and assets of a web site: the program's own, in which an operator has replaced some. What is in here was parsed
/// and tried out on a small sample, so that a mistake is found before anything is published.
#[derive(Clone, PartialEq, Eq)]
pub struct Theme {
    files: Arc<BTreeMap<String, Bytes>>,
    digest: Sha256,
}

impl std::fmt::Debug for Theme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Theme({}, {} files)", self.digest.short(), self.files.len())
    }
}

impl Default for Theme {
    fn default() -> Self {
        Self::of(BUILT_IN.iter().map(|(name, bytes)| ((*name).to_owned(), Bytes::from_static(bytes))).collect())
    }
}

/// The most bytes that the files of a theme may have together.
pub(crate) const MAX_THEME: u64 = 32 << 20;

impl Theme {
    fn of(files: BTreeMap<String, Bytes>) -> Self {
        let mut text = String::new();
        for (name, bytes) in &files {
            text += &format!("{name} {}\n", Sha256::of(bytes));
        }
        Self { digest: Sha256::of(text.as_bytes()), files: Arc::new(files) }
    }

    /// The program's own templates with these files in the place of those of the same names, or beside them: templates
    /// (`*.html`), icons (`icons/*.svg`), and what lies below `assets/`.
    ///
    /// ```
    /// use ggen_marketplace::Theme;
    /// let home = |text: &str| Theme::with([("home.html".to_owned(), text.to_owned().into())].into());
    /// assert!(home("{% extends \"base.html\" %}{% block main %}Welcome to {{ site.title }}{% endblock %}").is_ok());
    /// let e = home("<h1>\n{{ site.titel }}").unwrap_err();
    /// assert!(e.to_string().starts_with("home.html:2: "));
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a file that is neither, and for a template with a mistake: it is named with its line.
    pub fn with(files: BTreeMap<String, Bytes>) -> Result<Self, Error> {
        let mut all = (*Self::default().files).clone();
        for (name, bytes) in files {
            check_name(&name)?;
            all.insert(name, bytes);
        }
        let total: u64 = all.values().map(|b| b.len() as u64).sum();
        if total > MAX_THEME {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("the templates have {total} bytes; at most {MAX_THEME} are taken"),
            ));
        }
        let theme = Self::of(all);
        super::trial::try_out(theme.templates()?)?;
        Ok(theme)
    }

    /// By which two themes are told apart.
    pub(crate) fn digest(&self) -> Sha256 {
        self.digest
    }

    /// The files that are served as they are.
    pub(super) fn assets(&self) -> impl Iterator<Item = (&str, Bytes)> {
        self.files.iter().filter(|(name, _)| name.starts_with("assets/")).map(|(name, b)| (name.as_str(), b.clone()))
    }

    pub(super) fn templates(&self) -> Result<Templates, Error> {
        let mut environment = Environment::new();
        // A misspelt name is an error, and not an empty text.
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        // As everywhere here: the usual way escapes the slashes of every link as well.
        environment.set_formatter(|out, state, value| match (state.auto_escape(), value.as_str()) {
            (AutoEscape::Html, Some(text)) if !value.is_safe() => Ok(out.write_str(&escape(text))?),
            _ => escape_formatter(out, state, value),
        });
        draw::add_to(&mut environment, &self.files)?;
        for (name, bytes) in self.files.iter().filter(|(name, _)| name.ends_with(".html") && !name.contains('/')) {
            let text = String::from_utf8(bytes.to_vec()).map_err(|e| {
                let line = bytes[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
                Error::new(ErrorKind::Invalid, format!("{name}:{line}: a template has to be UTF-8 text"))
            })?;
            environment.add_template_owned(name.clone(), text).map_err(|e| failed(name, &e))?;
        }
        Ok(Templates { environment })
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let placed = match name.split_once('/') {
        None => name.ends_with(".html"),
        Some(("icons", icon)) => icon.ends_with(".svg") && !icon.contains('/'),
        Some((folder, _)) => folder == "assets",
    };
    if placed && name.split('/').all(plain) && name.len() <= 200 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Invalid, format!("{name:?} is no file of a web site's templates")).with_hint(
        "templates are *.html at the top of the folder, icons are icons/*.svg; everything else belongs into assets/, with a name of letters, digits, -, _ and dots",
    ))
}

/// The error of a template, with its line.
fn failed(name: &str, e: &minijinja::Error) -> Error {
    // The innermost cause says where it is: the page that was rendered may only include what fails.
    let mut at = e;
    while let Some(inner) = std::error::Error::source(at).and_then(|s| s.downcast_ref::<minijinja::Error>()) {
        at = inner;
    }
    let file = at.name().or(e.name()).unwrap_or(name);
    let line = at.line().or(e.line()).unwrap_or(1);
    let what = at.detail().map_or_else(|| at.kind().to_string(), |detail| format!("{}: {detail}", at.kind()));
    Error::new(ErrorKind::Invalid, format!("{file}:{line}: {what}")).with_hint(
        "docs/views.md lists what each template is given; without `site_templates`, the program's own are used",
    )
}

/// Room for what most pages have, so that none is moved again and again as it grows.
const PAGE: usize = 16 << 10;

/// Templates that can be rendered.
pub(crate) struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    pub(super) fn render(&self, name: &str, context: impl Serialize) -> Result<Bytes, Error> {
        let template = self.environment.get_template(name).map_err(|e| failed(name, &e))?;
        let mut out = Vec::with_capacity(PAGE);
        template.render_captured_to(Serde(context), &mut out).map_err(|e| failed(name, &e))?;
        Ok(out.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_compiled_in() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/site");
        let mut found = Vec::new();
        for folder in ["", "assets/", "icons/"] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() {
                    found.push(format!("{folder}{}", entry.file_name().to_str().unwrap()));
                }
            }
        }
        found.sort();
        assert_eq!(found, BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }

    #[test]
    fn the_programs_own_templates_pass_the_trial() {
        Theme::with(BTreeMap::new()).unwrap();
    }

    #[test]
    fn a_mistake_is_named_with_file_and_line() {
        let theme = |name: &str, text: &str| Theme::with([(name.to_owned(), text.to_owned().into())].into());
        for (name, text, place) in [
            ("home.html", "a\nb {% if %}", "home.html:2: "),
            ("home.html", "\n\n{{ counts.pakages }}", "home.html:3: "),
            ("package.html", "{{ package.name }}\n{{ package.naem|upper }}", "package.html:2: "),
            ("list.html", "{% extends \"basis.html\" %}", "list.html:1: "),
            ("base.html", "<title>\n{{ page.titel }}</title>", "base.html:2: "),
            ("macros.html", "{% macro card(c, root, note) %}\n\n{{ nothing.x }}{% endmacro %}", "macros.html:3: "),
            ("search.html", "a\n{{ icon(\"lense\") }}", "search.html:2: "),
            ("404.html", "{{ number(\"many\") }}", "404.html:1: "),
            ("404.html", "{{ site.title|no_such_filter }}", "404.html:1: "),
        ] {
            let e = theme(name, text).unwrap_err();
            assert!(e.to_string().starts_with(place), "{name}: {e}");
        }
        let e = Theme::with([("home.html".to_owned(), Bytes::from_static(b"a\n\xff"))].into()).unwrap_err();
        assert!(e.to_string().starts_with("home.html:2: "), "{e}");
        for name in [
            "README.md",
            "x.css",
            "assets/../x",
            "assets/",
            "assets/.x",
            "sub/x.html",
            "assets/a b",
            "icons/x.png",
            "icons/a/b.svg",
        ] {
            assert!(
                theme(name, "").unwrap_err().to_string().contains("is no file of a web site's templates"),
                "{name}"
            );
        }
        assert_ne!(theme("_more.html", "x").unwrap().digest(), Theme::default().digest());
        assert_eq!(Theme::with(BTreeMap::new()).unwrap(), Theme::default());
    }
}
