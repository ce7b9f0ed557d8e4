//! The configuration file, in two phases: the text becomes a table that knows where everything stands, then each key is
//! checked. All mistakes are told at once, each with its place.

use crate::{
    args::{Limits, Order, tuning},
    failure::Failure,
};
use ggen_marketplace::{
    CargoDependencies, TransportOptions, VerifierKey, View,
    trust::{MAX_VALIDITY, Origin},
};
use std::{
    borrow::Cow,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Its name, where nobody says otherwise.
pub(crate) const FILE: &str = "ggen-market.toml";

/// More is no configuration file.
const MAX_BYTES: u64 = 1 << 20;

/// Every key.
pub(crate) const KEYS: [&str; 26] = [
    "origin",
    "store",
    "registry",
    "mirrors",
    "mirror_order",
    "ca_file",
    "registries",
    "key",
    "key_file",
    "sources",
    "views",
    "cargo_dependencies",
    "cargo_auth",
    "site_title",
    "site_description",
    "site_templates",
    "valid_for",
    "cache",
    "single_writer",
    "search",
    "threads",
    "connections",
    "upload_memory",
    "memory",
    "store_options",
    "authorization",
];

/// What a configuration file says, its paths made relative to the current directory instead of to the file.
#[derive(Debug, Default)]
pub(crate) struct Config {
    /// The file, where there is one.
    pub(crate) path: Option<PathBuf>,
    pub(crate) origin: Option<Origin>,
    pub(crate) store: Option<String>,
    pub(crate) registry: Option<String>,
    /// Other registries that dependencies may name: address and key.
    pub(crate) registries: Vec<(String, VerifierKey)>,
    pub(crate) mirrors: Vec<String>,
    pub(crate) mirror_order: Option<Order>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) key: Option<VerifierKey>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) sources: Vec<PathBuf>,
    pub(crate) views: Option<Vec<View>>,
    pub(crate) cargo_dependencies: CargoDependencies,
    pub(crate) cargo_auth: bool,
    pub(crate) site_title: Option<String>,
    pub(crate) site_description: Option<String>,
    pub(crate) site_templates: Option<PathBuf>,
    pub(crate) valid_for: Option<Duration>,
    pub(crate) cache: Option<PathBuf>,
    pub(crate) single_writer: bool,
    /// Whether a search index is made; by default one is.
    pub(crate) search: Option<bool>,
    pub(crate) limits: Limits,
    pub(crate) store_options: Vec<(String, String)>,
    /// Host and value.
    pub(crate) authorization: Vec<(String, String)>,
}

impl Config {
    /// Reads the file that was named, or the one in the current directory if there is one.
    pub(crate) fn load(named: Option<&Path>) -> Result<Self, Failure> {
        let path = named.unwrap_or(Path::new(FILE));
        let mut bytes = Vec::new();
        let opened = fs::File::open(path).and_then(|f| {
            (&f).take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
            Ok(f)
        });
        let file = match opened {
            Ok(file) if bytes.len() as u64 <= MAX_BYTES => file,
            Ok(_) => return Err(Failure::usage(format!("{} is too large for a configuration file", path.display()))),
            Err(e) if e.kind() == io::ErrorKind::NotFound && named.is_none() => return Ok(Self::default()),
            Err(e) => {
                return Err(Failure::usage(format!("cannot read the configuration file {}", path.display())).because(e));
            }
        };
        let text =
            String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{} is not UTF-8 text", path.display())))?;
        let config = Self::read(path, &text)?;
        #[cfg(unix)]
        config.require_private(&file)?;
        #[cfg(not(unix))]
        drop(file);
        Ok(config)
    }

    fn read(path: &Path, text: &str) -> Result<Self, Failure> {
        // A byte order mark is not TOML, but editors of one system write it and no reader can see it.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut check = Check { path, text, mistakes: Vec::new() };
        let (table, errors) = DeTable::parse_recoverable(text);
        for e in errors {
            check.mistake(e.span().map_or(0, |s| s.start), format!("not TOML: {}", e.message()), None);
        }
        // What a text that is only half understood means is not worth telling.
        let config = if check.mistakes.is_empty() { check.config(table.get_ref()) } else { Self::default() };
        check.mistakes.sort_by_key(|(at, _)| *at);
        match check.mistakes.into_iter().map(|(_, failure)| failure).reduce(Failure::and) {
            Some(all) => Err(all),
            None => Ok(config),
        }
    }

    /// A file with a secret in it is for its owner alone, as a key file is.
    #[cfg(unix)]
    fn require_private(&self, file: &fs::File) -> Result<(), Failure> {
        let option = self.store_options.iter().map(|(name, _)| name.as_str()).find(|name| is_secret(name));
        let Some(name) = option.or(self.authorization.first().map(|_| "authorization")) else { return Ok(()) };
        let file_path = self.path.as_deref().unwrap_or(Path::new(FILE));
        let path = file_path.display();
        let unreadable = |e: io::Error| Failure::usage(format!("cannot read the configuration file {path}")).because(e);
        if crate::files::open_to_others(file_path, file).map_err(unreadable)?.is_none() {
            return Ok(());
        }
        Err(Failure::usage(format!("others than you can read {path}, which holds `{name}`"))
            .hint(format!("run `chmod 600 {path}`, or set the variable of that name instead")))
    }
}

/// Whether an option of a store is one that nobody else may see.
fn is_secret(name: &str) -> bool {
    ["secret", "token", "password", "access_key", "sas", "credential", "service_account_key"]
        .iter()
        .any(|part| name.contains(part))
        && !name.ends_with("access_key_id")
}

/// The second phase.
struct Check<'a> {
    path: &'a Path,
    text: &'a str,
    mistakes: Vec<(usize, Failure)>,
}

type Key<'a> = Spanned<Cow<'a, str>>;
type Value<'a> = Spanned<DeValue<'a>>;

impl Check<'_> {
    fn mistake(&mut self, at: usize, message: impl std::fmt::Display, hint: Option<String>) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let failure = Failure::usage(format!("{}:{line}:{column}: {message}", self.path.display()));
        self.mistakes.push((at, if let Some(hint) = hint { failure.hint(hint) } else { failure }));
    }

    fn config(&mut self, table: &DeTable<'_>) -> Config {
        let mut config = Config { path: Some(self.path.to_owned()), ..Config::default() };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "origin" => config.origin = self.text(key, value).and_then(|t| self.parsed(key, value, t.parse())),
                "store" => config.store = self.text(key, value).map(|t| self.location(t)),
                "registry" => config.registry = self.text(key, value).map(|t| self.location(t)),
                "registries" => {
                    let texts = self.options(key, value).into_iter();
                    let parsed = texts.map(|(address, text)| Some((address, self.parsed(key, value, text.parse())?)));
                    config.registries = parsed.collect::<Vec<_>>().into_iter().flatten().collect();
                }
                "key" => config.key = self.text(key, value).and_then(|t| self.parsed(key, value, t.parse())),
                "key_file" => config.key_file = self.text(key, value).map(|t| self.relative(t)),
                "sources" => config.sources = self.paths(key, value),
                "views" => config.views = Some(self.views(key, value)),
                "cargo_dependencies" => {
                    let known = self.text(key, value).and_then(|t| self.parsed(key, value, cargo_dependencies(t)));
                    config.cargo_dependencies = known.unwrap_or_default();
                }
                "cargo_auth" => config.cargo_auth = self.truth(key, value),
                "site_title" => config.site_title = self.text(key, value).map(str::to_owned),
                "site_description" => config.site_description = self.text(key, value).map(str::to_owned),
                "site_templates" => config.site_templates = self.text(key, value).map(|t| self.relative(t)),
                "valid_for" => {
                    config.valid_for = self.text(key, value).and_then(|t| self.parsed(key, value, duration(t)));
                }
                "cache" => config.cache = self.text(key, value).map(|t| self.relative(t)),
                "single_writer" => config.single_writer = self.truth(key, value),
                "search" => config.search = Some(self.truth(key, value)),
                "threads" => config.limits.threads = self.number(key, value, tuning::threads),
                "connections" => config.limits.connections = self.number(key, value, tuning::connections),
                "upload_memory" => config.limits.upload_memory = self.number(key, value, tuning::upload_memory),
                "memory" => config.limits.memory = self.number(key, value, tuning::memory),
                "store_options" => config.store_options = self.options(key, value),
                "mirrors" => {
                    config.mirrors = self.list(key, value).into_iter().map(|text| self.location(&text)).collect();
                }
                "mirror_order" => {
                    let order = |text| <Order as clap::ValueEnum>::from_str(text, false);
                    config.mirror_order = self.text(key, value).and_then(|t| self.parsed(key, value, order(t)));
                }
                "ca_file" => config.ca_file = self.text(key, value).map(|t| self.relative(t)),
                "authorization" => {
                    config.authorization = self.options(key, value);
                    for (host, text) in &config.authorization {
                        let checked = TransportOptions::default().authorize(host, text);
                        let _ = self.parsed(key, value, checked);
                    }
                }
                unknown => {
                    let hint = match nearest(unknown, &KEYS) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("known keys: {}", KEYS.join(", ")),
                    };
                    self.mistake(key.span().start, format!("unknown key `{unknown}`"), Some(hint));
                }
            }
        }
        config
    }

    /// A text that is not empty.
    fn text<'v>(&mut self, key: &Key<'_>, value: &'v Value<'_>) -> Option<&'v str> {
        match value.get_ref().as_str() {
            Some("") => self.mistake(value.span().start, format!("`{}` is empty", key.get_ref()), None),
            Some(text) => return Some(text),
            None => {
                let message = format!("`{}` must be a string, not {}", key.get_ref(), found(value));
                self.mistake(value.span().start, message, None);
            }
        }
        None
    }

    /// A number, or a text that means one.
    fn number<T>(&mut self, key: &Key<'_>, value: &Value<'_>, read: fn(&str) -> Result<T, String>) -> Option<T> {
        match value.get_ref().as_integer() {
            // As it stands: what is no plain number is told with its own digits.
            Some(number) => self.parsed(key, value, read(number.as_str())),
            None => self.text(key, value).and_then(|text| self.parsed(key, value, read(text))),
        }
    }

    fn truth(&mut self, key: &Key<'_>, value: &Value<'_>) -> bool {
        value.get_ref().as_bool().unwrap_or_else(|| {
            let message = format!("`{}` must be true or false, not {}", key.get_ref(), found(value));
            self.mistake(value.span().start, message, None);
            false
        })
    }

    /// A table of strings. What their names may be is known to the store.
    fn options(&mut self, key: &Key<'_>, value: &Value<'_>) -> Vec<(String, String)> {
        let Some(table) = value.get_ref().as_table() else {
            let message = format!("`{}` must be a table of strings, not {}", key.get_ref(), found(value));
            self.mistake(value.span().start, message, None);
            return Vec::new();
        };
        let texts = table.iter().map(|(name, value)| (name, self.text(name, value)));
        texts.filter_map(|(name, text)| Some((name.get_ref().to_string(), text?.to_owned()))).collect()
    }

    fn paths(&mut self, key: &Key<'_>, value: &Value<'_>) -> Vec<PathBuf> {
        self.list(key, value).iter().map(|text| self.relative(text)).collect()
    }

    /// A list of strings that are not empty.
    fn list(&mut self, key: &Key<'_>, value: &Value<'_>) -> Vec<String> {
        let Some(list) = value.get_ref().as_array() else {
            let message = format!("`{}` must be a list of strings, not {}", key.get_ref(), found(value));
            self.mistake(value.span().start, message, None);
            return Vec::new();
        };
        let mut texts = Vec::with_capacity(list.len());
        for item in list {
            match item.get_ref().as_str() {
                Some("") => self.mistake(item.span().start, format!("`{}` holds an empty path", key.get_ref()), None),
                Some(text) => texts.push(text.to_owned()),
                None => {
                    let message = format!("`{}` must hold strings, not {}", key.get_ref(), found(item));
                    self.mistake(item.span().start, message, None);
                }
            }
        }
        texts
    }

    fn views(&mut self, key: &Key<'_>, value: &Value<'_>) -> Vec<View> {
        let Some(list) = value.get_ref().as_array() else {
            let message = format!("`{}` must be a list of strings, not {}", key.get_ref(), found(value));
            self.mistake(value.span().start, message, None);
            return Vec::new();
        };
        let mut views = Vec::with_capacity(list.len());
        for item in list {
            let text = item.get_ref().as_str();
            match text.map(str::parse::<View>) {
                Some(Ok(view)) => views.push(view),
                Some(Err(e)) => {
                    self.mistake(item.span().start, format!("`{}`: {e}", key.get_ref()), e.hint().map(Into::into));
                }
                None => {
                    let message = format!("`{}` must hold strings, not {}", key.get_ref(), found(item));
                    self.mistake(item.span().start, message, None);
                }
            }
        }
        views
    }

    fn parsed<T, E: std::fmt::Display>(&mut self, key: &Key<'_>, value: &Value<'_>, result: Result<T, E>) -> Option<T> {
        result.map_err(|e| self.mistake(value.span().start, format!("`{}`: {e}", key.get_ref()), None)).ok()
    }

    /// A path in the file is relative to the file.
    fn relative(&self, text: &str) -> PathBuf {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        folder.join(text)
    }

    fn location(&self, text: &str) -> String {
        if text.contains("://") || text == "memory:" {
            return text.to_owned();
        }
        // Both parts came as text, but for a folder of the file that is not: then the path is shown as well as it can be.
        self.relative(text).to_str().map_or_else(|| text.to_owned(), str::to_owned)
    }
}

fn found(value: &Value<'_>) -> &'static str {
    match value.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The word among `words` that was most likely meant.
fn nearest<'a>(word: &str, words: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    let best = words.iter().map(|w| (distance(&word, w), *w)).min()?;
    (best.0 <= 1 + word.len() / 4).then_some(best.1)
}

/// How many single letters have to be changed, added or taken away to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Where Cargo looks for dependencies of which nobody says where they are.
fn cargo_dependencies(text: &str) -> Result<CargoDependencies, String> {
    match text {
        "here" => Ok(CargoDependencies::Here),
        "crates.io" => Ok(CargoDependencies::CratesIo),
        _ => Err(format!("{text:?} is neither \"here\" nor \"crates.io\"")),
    }
}

/// Reads `7d`, `36h`, `90m` or `30s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    duration_up_to(text, MAX_VALIDITY)
}

/// Likewise, with another limit.
pub(crate) fn duration_up_to(text: &str, most: Duration) -> Result<Duration, String> {
    let bad = || format!("{text:?} is no length of time (expected the form 7d, 36h, 90m or 30s)");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(bad)?;
    let seconds = match unit {
        "d" => 86_400,
        "h" => 3600,
        "m" => 60,
        "s" => 1,
        _ => return Err(bad()),
    };
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    let whole = number.parse::<u64>().ok().and_then(|n| n.checked_mul(seconds)).map(Duration::from_secs);
    match whole {
        Some(d) if !d.is_zero() && d <= most => Ok(d),
        _ => Err(format!("{text} is out of range: more than nothing, at most {} days", most.as_secs() / 86_400)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_a_number_and_a_unit() {
        let seconds = |t: &str| duration(t).map(|d| d.as_secs());
        assert_eq!(seconds("7d"), Ok(604_800));
        assert_eq!(seconds("36h"), Ok(129_600));
        assert_eq!(seconds("90m"), Ok(5400));
        assert_eq!(seconds("1s"), Ok(1));
        for bad in ["", "d", "7", "7w", "-1d", "+1d", "1.5h", "0d", "8d", "7 d", "99999999999999999999d", "1ß", "七d"]
        {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_near_key_is_suggested_and_a_far_one_is_not() {
        for (typed, meant) in
            [("sotre", "store"), ("key-file", "key_file"), ("source", "sources"), ("Origin", "origin")]
        {
            assert_eq!(nearest(typed, &KEYS), Some(meant), "{typed}");
        }
        assert_eq!(nearest("colour", &KEYS), None);
    }
}
