//! Texts with places that are filled in: the configuration file that `init` writes, and what an operator needs around a
//! registry (a web server, a CDN, scheduled jobs), which `init --template` writes.

use crate::{
    config,
    failure::Failure,
    files::write_new,
    output::Ui,
    settings::{Known, lies_in},
};
use clap::ValueEnum;
use serde::Serialize;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};
use url::Url;

/// What an operator can have written out. To add one: a folder below `templates/deploy`, a line here, its files in
/// [`Template::files`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Template {
    /// deploy/nginx: a web server for a store that is a folder
    Nginx,
    /// deploy/cloudfront: an S3 bucket behind CloudFront: policies, lifecycle, caching
    Cloudfront,
    /// deploy/r2: Cloudflare R2: caching, lifecycle, what stands in for policies
    R2,
    /// deploy/minio: a MinIO server in a container, with a bucket that anyone may read
    Minio,
    /// .github/workflows: builds into a bucket on every push, refreshes every day, collects garbage every week
    GithubActions,
    /// deploy/kubernetes: the same jobs as CronJobs
    Kubernetes,
    /// deploy/systemd: the same jobs as timers and hardened services
    Systemd,
}

/// A file of a template: where it goes, and its text.
type File = (&'static str, &'static str);

/// The files that come from below `templates/deploy`, each with the place it goes to.
macro_rules! files {
    ($($to:literal = $from:literal),* $(,)?) => {
        &[$(($to, include_str!(concat!("../../../templates/deploy/", $from)))),*]
    };
}

impl Template {
    fn name(self) -> String {
        self.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
    }

    fn files(self) -> &'static [File] {
        match self {
            Self::Nginx => files![
                "deploy/nginx/nginx.conf" = "nginx/nginx.conf",
                "deploy/nginx/registry.conf" = "nginx/registry.conf",
            ],
            Self::Cloudfront => files![
                "deploy/cloudfront/README.md" = "cloudfront/README.md",
                "deploy/cloudfront/bucket-policy.json" = "cloudfront/bucket-policy.json",
                "deploy/cloudfront/bucket-policy-public.json" = "cloudfront/bucket-policy-public.json",
                "deploy/cloudfront/cache-checkpoint.json" = "cloudfront/cache-checkpoint.json",
                "deploy/cloudfront/cache-immutable.json" = "cloudfront/cache-immutable.json",
                "deploy/cloudfront/collector-policy.json" = "cloudfront/collector-policy.json",
                "deploy/cloudfront/lifecycle.json" = "cloudfront/lifecycle.json",
                "deploy/cloudfront/publisher-policy.json" = "cloudfront/publisher-policy.json",
            ],
            Self::R2 => files![
                "deploy/r2/README.md" = "r2/README.md",
                "deploy/r2/cache-rules.json" = "r2/cache-rules.json",
                "deploy/r2/lifecycle.json" = "r2/lifecycle.json",
            ],
            Self::Minio => files!["deploy/minio/docker-compose.yml" = "minio/docker-compose.yml"],
            Self::GithubActions => files![".github/workflows/registry.yml" = "github-actions/registry.yml"],
            Self::Kubernetes => files!["deploy/kubernetes/cronjobs.yaml" = "kubernetes/cronjobs.yaml"],
            Self::Systemd => files![
                // systemd reads this folder for every service whose name begins so.
                "deploy/systemd/ggen-market-.service.d/common.conf" = "systemd/common.conf",
                "deploy/systemd/ggen-market-build.service" = "systemd/ggen-market-build.service",
                "deploy/systemd/ggen-market-build.timer" = "systemd/ggen-market-build.timer",
                "deploy/systemd/ggen-market-gc.service" = "systemd/ggen-market-gc.service",
                "deploy/systemd/ggen-market-gc.timer" = "systemd/ggen-market-gc.timer",
                "deploy/systemd/ggen-market-refresh.service" = "systemd/ggen-market-refresh.service",
                "deploy/systemd/ggen-market-refresh.timer" = "systemd/ggen-market-refresh.timer",
            ],
        }
    }
}

/// Fills in the places `{{name}}` of a text. In one pass: a value that looks like a place stays as it is. What another
/// program will fill in, `${{name}}`, is left to it.
pub(crate) fn fill(text: &str, value: impl Fn(&str) -> String) -> String {
    let mut pieces = text.split("{{");
    let mut before = pieces.next().unwrap_or_default();
    let mut out = before.to_owned();
    for piece in pieces {
        if before.ends_with('$') {
            out.push_str("{{");
            out.push_str(piece);
            before = piece;
            continue;
        }
        let (name, rest) = piece.split_once("}}").unwrap_or((piece, ""));
        out.push_str(&value(name));
        out.push_str(rest);
        before = rest;
    }
    out
}

/// What the places of a template stand for.
#[derive(Debug, Default)]
pub(crate) struct Places {
    origin: Option<String>,
    key: Option<String>,
    /// A folder's absolute path, or an address.
    store: Option<String>,
    folder: bool,
    /// The bucket and the prefix of the keys in it, which is empty or ends with a slash.
    bucket: Option<(String, String)>,
    /// Where readers find the registry over HTTP, without a slash at the end.
    address: Option<Url>,
    sources: Vec<String>,
}

/// Whether a text means the same in every language of the templates, quoted or not: no space, no quote, nothing that any of
/// them would take for a variable, a comment, or the name and password in an address.
fn tame(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._/:+=".contains(&b))
}

impl Places {
    /// From what is known about the registry. What is not tame counts as not known: it is left to be filled in by hand.
    pub(crate) fn new(known: &Known) -> Self {
        let absolute = |p: &Path| std::path::absolute(p).ok().and_then(|p| p.to_str().map(str::to_owned));
        let folder = known.store.as_deref().and_then(folder);
        let store = match &folder {
            Some(folder) => absolute(folder),
            None => known.store.clone().filter(|s| s.contains("://")).map(|s| s.trim_end_matches('/').to_owned()),
        };
        let store = store.filter(|s| tame(s));
        let bucket = store.as_deref().and_then(|s| s.strip_prefix("s3://")).map(|rest| {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            (bucket.to_owned(), if prefix.is_empty() { String::new() } else { format!("{prefix}/") })
        });
        let address = known.registry.as_deref().filter(|r| tame(r)).and_then(|r| Url::parse(r).ok());
        Self {
            origin: known.origin.clone(),
            key: known.key.clone().filter(|k| tame(k)),
            folder: folder.is_some() && store.is_some(),
            store,
            bucket,
            address: address.filter(|a| matches!(a.scheme(), "http" | "https") && a.has_host()),
            sources: known.sources.iter().filter_map(|s| absolute(s)).filter(|s| tame(s)).collect(),
        }
    }

    fn value(&self, place: &str) -> String {
        let or = |value: Option<&str>, unknown: &str| value.unwrap_or(unknown).to_owned();
        let bucket = self.bucket.as_ref();
        let host = self.address.as_ref().and_then(Url::host_str);
        // What stands behind the host in the registry's address, without a slash at the end.
        let path = self.address.as_ref().map_or("", |a| a.path().trim_end_matches('/'));
        match place {
            "origin" => or(self.origin.as_deref(), "YOUR-ORIGIN"),
            "key" => or(self.key.as_deref(), "YOUR-PUBLIC-KEY"),
            "store" => or(self.store.as_deref(), "s3://YOUR-BUCKET"),
            "bucket store" => or(self.store.as_deref().filter(|_| bucket.is_some()), "s3://YOUR-BUCKET"),
            "bucket" => or(bucket.map(|(bucket, _)| bucket.as_str()), "YOUR-BUCKET"),
            "prefix" => or(bucket.map(|(_, prefix)| prefix.as_str()), ""),
            "root" => or(self.store.as_deref().filter(|_| self.folder), "/YOUR-FOLDER"),
            "writable" => or(self.store.as_deref().filter(|_| self.folder), ""),
            "address" => or(self.address.as_ref().map(|a| a.as_str().trim_end_matches('/')), "https://YOUR-ADDRESS"),
            "host" => or(host, "YOUR-ADDRESS"),
            "server name" => or(host, "_"),
            "path" => path.to_owned(),
            "base" => path.replace('.', "\\.").replace('+', "\\+"),
            "listen" => self.listen(),
            "sources" if self.sources.is_empty() => "--source /YOUR-PACKAGES".into(),
            "sources" => self.sources.iter().map(|s| format!("--source {s}")).collect::<Vec<_>>().join(" "),
            other => unreachable!("no place is called {other:?}"),
        }
    }

    /// Where a web server listens: at the registry's own address if that is plain HTTP, else for a proxy on the same machine.
    fn listen(&self) -> String {
        let plain = self.address.as_ref().filter(|a| a.scheme() == "http");
        let port = plain.and_then(Url::port_or_known_default);
        match (plain.and_then(Url::host), port) {
            (Some(url::Host::Domain(_)), Some(port)) => port.to_string(),
            (Some(address), Some(port)) => format!("{address}:{port}"),
            _ => "127.0.0.1:8080".into(),
        }
    }
}

/// The folder that a store is, if it is one.
fn folder(store: &str) -> Option<PathBuf> {
    match Url::parse(store) {
        Ok(url) if url.scheme() == "file" => url.to_file_path().ok(),
        _ if store.contains("://") || store == "memory:" => None,
        _ => Some(store.into()),
    }
}

/// A file of a template, filled in.
#[derive(Debug, Serialize)]
pub(crate) struct Rendered {
    template: String,
    path: String,
    /// What stands in the file for something that nobody has said: it is to be filled in by hand.
    fill_in: BTreeSet<String>,
    #[serde(skip)]
    text: String,
}

/// The files of these templates.
pub(crate) fn render(templates: &[Template], places: &Places) -> Vec<Rendered> {
    let once = templates.iter().enumerate().filter(|(i, t)| !templates[..*i].contains(t)).map(|(_, t)| *t);
    let filled = |template: Template, (path, text): &File| {
        let text = fill(text, |place| places.value(place));
        Rendered { template: template.name(), path: (*path).into(), fill_in: unfilled(&text), text }
    };
    once.flat_map(|template| template.files().iter().map(move |file| filled(template, file))).collect()
}

/// The words in capitals that stand for something nobody has said.
fn unfilled(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_uppercase() && c != '-');
    words.filter(|w| w.starts_with("YOUR-")).map(str::to_owned).collect()
}

/// Refuses to begin where a file is in the way, or would be public.
pub(crate) fn check(files: &[Rendered], store: Option<&str>, force: bool) -> Result<(), Failure> {
    let store = store.and_then(folder);
    for Rendered { path, .. } in files {
        let path = Path::new(path);
        if !force && path.symlink_metadata().is_ok() {
            return Err(Failure::usage(format!("{} is there already", path.display()))
                .hint("--force writes it anew; move it away to keep it"));
        }
        if store.as_ref().is_some_and(|store| lies_in(path, store)) {
            return Err(Failure::usage(format!("{} would lie in the store", path.display()))
                .hint(format!("a store is public: run this where {} may stay", config::FILE)));
        }
    }
    Ok(())
}

/// Writes them, and says so.
pub(crate) fn write(files: &[Rendered], force: bool, ui: &Ui) -> Result<(), Failure> {
    for file in files {
        let path = Path::new(&file.path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| Failure::io("make the folder", folder, &e))?;
        }
        write_new(path, file.text.as_bytes(), force, 0o644)?;
        let by_hand: Vec<_> = file.fill_in.iter().map(String::as_str).collect();
        ui.note(&match by_hand.as_slice() {
            [] => format!("{} is written", file.path),
            words => format!("{} is written; to be filled in by hand: {}", file.path, words.join(", ")),
        });
    }
    Ok(())
}

/// Their paths, one on each line.
pub(crate) fn print(files: &[Rendered], ui: &Ui) -> Result<(), Failure> {
    ui.write(|out| files.iter().try_for_each(|file| writeln!(out, "{}", file.path)))
}

#[cfg(test)]
mod tests;
