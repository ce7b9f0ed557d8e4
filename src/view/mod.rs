//! Views: files for readers who do not read the tree. Cargo's index, JSON Lines for curl, ggen's catalogue, the web site; each a
//! function of the packages and of a few settings. Pure: packages in, files out. Who writes them, and in which order, is in
//! `publish/views.rs`; what a reader may rely on in `docs/views.md`.
//!
//! A view is never the truth: nothing that is verified goes by one, all can be deleted, and the next run makes them again.

mod cargo;
pub(crate) mod ggen;
mod plain;
pub(crate) mod site;

use crate::{
    Error, ErrorKind,
    format::{
        PackageLines,
        keys::{self, Class},
    },
    package::Sha256,
};
use bytes::Bytes;
pub(crate) use site::MAX_THEME;
pub use site::{SiteOptions, Theme};
use std::{fmt, str::FromStr};

/// A form in which other programs read the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum View {
    /// `index/`: the records of each package in one file of JSON Lines.
    Plain,
    /// `cargo/`: a sparse registry of Cargo.
    Cargo,
    /// `packages/` and `index.json`: what ggen's client, installer and scripts read of packs.
    Ggen,
    /// `index.html`, `p/` and more: a web site.
    Site,
}

impl View {
    /// Every view, in the order in which they are written.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Cargo, Self::Ggen, Self::Site];

    /// Its word in settings, keys and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Cargo => "cargo",
            Self::Ggen => "ggen",
            Self::Site => "site",
        }
    }

    /// Counts the forms of its files: a program that makes them otherwise makes all of them anew.
    fn form(self) -> u32 {
        match self {
            Self::Plain | Self::Cargo | Self::Ggen | Self::Site => 2,
        }
    }

    /// How the file of that key is served.
    pub(crate) fn class(self, key: &str) -> Class {
        match self {
            Self::Plain | Self::Cargo => Class::ViewText,
            Self::Ggen => Class::ViewJson,
            Self::Site => Class::Site(keys::site::media_type(key)),
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for View {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|v| v.as_str() == s).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Error::new(ErrorKind::Invalid, format!("there is no view {s:?}")).with_hint(format!("known: {known}"))
        })
    }
}

/// Where Cargo looks for a dependency of which the record names no registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CargoDependencies {
    /// In this registry: what a record without a registry means everywhere else, and what a copy of crates.io needs.
    #[default]
    Here,
    /// In crates.io: for a registry of one's own crates beside crates.io.
    CratesIo,
}

/// Which views there are, and the settings that they are made by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ViewOptions {
    /// The views.
    pub views: Vec<View>,
    /// The address under which readers find the store, `https://…` without a slash at its end. All but `plain` need it.
    pub public: Option<String>,
    /// Where Cargo looks for dependencies.
    pub cargo_dependencies: CargoDependencies,
    /// Cargo has to send its token with every request.
    pub cargo_auth: bool,
    /// What the web site is called, and what it looks like.
    pub site: SiteOptions,
}

impl ViewOptions {
    /// These views, of a registry that readers find under that address.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an address that is none, or that holds a password, a query or a fragment.
    pub fn new(views: &[View], public: Option<&str>) -> Result<Self, Error> {
        let mut views = views.to_vec();
        views.sort_unstable();
        views.dedup();
        let public = public.map(public_address).transpose()?;
        Ok(Self { views, public, ..Self::default() })
    }

    /// The address, for a view that cannot do without.
    pub(crate) fn address(&self, view: View) -> Result<&str, Error> {
        self.public.as_deref().ok_or_else(|| {
            let message = format!("the view {view} needs the address under which readers find the registry");
            Error::new(ErrorKind::Invalid, message)
                .with_hint("set `registry` in the configuration, or --public-url, to its https:// address")
        })
    }

    /// The URL that Cargo knows the registry by.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where no address is set.
    pub fn cargo_index(&self) -> Result<String, Error> {
        Ok(format!("sparse+{}/cargo/", self.address(View::Cargo)?))
    }

    /// What Cargo's users call a registry of that origin, where they choose no other name.
    pub fn cargo_name(origin: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        origin.chars().map(plain).collect()
    }

    /// What all files of a view depend on besides the packages: when it changes, all of them are looked at again.
    pub(crate) fn settings(&self, view: View) -> Sha256 {
        let mut text = format!("{view} {}\n", view.form());
        match view {
            View::Plain => {}
            View::Cargo => {
                let Self { public, cargo_dependencies, cargo_auth, .. } = self;
                text += &format!("{public:?} {cargo_dependencies:?} {cargo_auth}\n");
            }
            View::Ggen => text += &format!("{:?}\n", self.public),
            View::Site => {
                let Self { views, public, cargo_dependencies, site, .. } = self;
                let others = [View::Cargo, View::Ggen].map(|v| views.contains(&v));
                let SiteOptions { title, description, theme } = site;
                text += &format!(
                    "{public:?} {cargo_dependencies:?} {others:?} {title:?} {description:?} {}\n",
                    theme.digest()
                );
            }
        }
        Sha256::of(text.as_bytes())
    }
}

/// The address in its one form.
fn public_address(text: &str) -> Result<String, Error> {
    let bad = |why: &str| {
        Error::new(ErrorKind::Invalid, format!("the address of the registry {why}"))
            .with_hint("it has the form https://packages.example.com/path")
    };
    let url = url::Url::parse(text).map_err(|e| bad("is no URL").with_source(e))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(bad("has to begin with https:// (or http://)"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("must not hold a user or a password: everybody reads it"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("must not hold a query or a fragment"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// A file of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) key: String,
    /// A file without content is not made; one that is there is emptied. Nothing is ever deleted from a view: there is no
    /// deletion on a condition, and an old one that comes late must not take away what is new.
    pub(crate) bytes: Bytes,
}

/// JSON that has no effect where a server takes it for a page, as some do by the end of a package's name: what begins a tag or
/// an entity in HTML is written by its number, which says the same to whoever reads JSON. (Outside of strings JSON has none.)
fn inert(json: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(json.len() + json.len() / 16);
    for byte in json {
        match byte {
            b'<' => out.extend_from_slice(br"\u003c"),
            b'>' => out.extend_from_slice(br"\u003e"),
            b'&' => out.extend_from_slice(br"\u0026"),
            other => out.push(*other),
        }
    }
    out.into()
}

/// The files of one package.
#[derive(Debug, Default)]
pub(crate) struct Rendered {
    pub(crate) files: Vec<File>,
    /// What is not shown, and why.
    pub(crate) notes: Vec<Note>,
}

/// Something that a view does not show as one might expect.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// Which view.
    pub view: View,
    /// `kind:name`, with `@version` where it is about one release.
    pub what: String,
    /// Why.
    pub why: String,
}

/// The files that belong to no package.
pub(crate) fn fixed(view: View, options: &ViewOptions) -> Result<Vec<File>, Error> {
    Ok(match view {
        View::Plain => Vec::new(),
        // Those of the site need more: see `site::Maker::fixed`.
        View::Ggen | View::Site => {
            options.address(view)?;
            Vec::new()
        }
        View::Cargo => {
            vec![File { key: keys::CARGO_CONFIG.into(), bytes: cargo::config(options)?.into() }]
        }
    })
}

/// The files of a package.
pub(crate) fn package(view: View, options: &ViewOptions, package: &PackageLines) -> Rendered {
    match view {
        View::Plain => plain::package(package),
        View::Cargo => cargo::package(package, options),
        // They take more than records: see `ggen::make` and `site::Maker`.
        View::Ggen | View::Site => Rendered::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_form_and_no_secret() {
        let address = |t: &str| ViewOptions::new(&[], Some(t)).map(|o| o.public.unwrap());
        assert_eq!(address("https://Example.com/ggen//").unwrap(), "https://example.com/ggen");
        assert_eq!(address("http://localhost:8080").unwrap(), "http://localhost:8080");
        for bad in [
            "",
            "./registry",
            "s3://bucket",
            "https://",
            "https://u:p@example.com",
            "https://example.com/?a",
            "https://e.com/#x",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_setting_that_a_view_does_not_depend_on_does_not_remake_it() {
        let plain = ViewOptions::default();
        let mut other = ViewOptions::new(&[], Some("https://example.com")).unwrap();
        assert_eq!(plain.settings(View::Plain), other.settings(View::Plain));
        let before = other.settings(View::Cargo);
        assert_ne!(before, plain.settings(View::Cargo));
        other.cargo_auth = true;
        assert_ne!(before, other.settings(View::Cargo));
        assert_eq!(other.settings(View::Site), ViewOptions { cargo_auth: false, ..other.clone() }.settings(View::Site));
        other.cargo_auth = false;
        other.cargo_dependencies = CargoDependencies::CratesIo;
        assert_ne!(before, other.settings(View::Cargo));
        let before = other.settings(View::Site);
        let with = |site| ViewOptions { site, ..other.clone() };
        let theme = Theme::with([("_x.html".to_owned(), "x".into())].into()).unwrap();
        for site in [
            SiteOptions { title: Some("T".into()), ..SiteOptions::default() },
            SiteOptions { description: Some("D".into()), ..SiteOptions::default() },
            SiteOptions { theme, ..SiteOptions::default() },
        ] {
            assert_ne!(before, with(site.clone()).settings(View::Site));
            assert_eq!(other.settings(View::Cargo), with(site).settings(View::Cargo));
        }
    }

    #[test]
    fn a_view_has_one_word() {
        for view in View::ALL {
            assert_eq!(view.as_str().parse::<View>().unwrap(), view);
        }
        assert!("Cargo".parse::<View>().is_err());
    }
}
