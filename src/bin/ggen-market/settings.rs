//! What a run goes by: option, else environment variable, else configuration file, else default; and what is opened by it.

#[cfg(unix)]
use crate::files::open_to_others;
use crate::{
    args::{Address, Cache, Cli, Init, Key, Limits, Mirror, Order, Reader, State, ViewArgs, Writer},
    config::{self, Config},
    failure::Failure,
    output::Ui,
};
use ggen_marketplace::{
    BuildOptions, Client, ClientOptions, MirrorOrder, Registry, SigningKey, SnapshotReader, Store, StoreOptions, Theme,
    TransportOptions, VerifierKey, View, ViewOptions, default_cache,
    package::{Sha256, Timestamp},
    trust::MAX_VALIDITY,
};
use std::{
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};
use zeroize::Zeroizing;

/// The variable that may hold the secret key itself. (Never an option: command lines are seen by everybody.)
pub(crate) const SECRET: &str = "GGEN_MARKET_SECRET_KEY";

/// The variable that may hold what is sent as `Authorization` to the registry's host. (Never an option, either.)
pub(crate) const AUTHORIZATION: &str = "GGEN_MARKET_AUTHORIZATION";

/// More is no key file.
const MAX_KEY_FILE: u64 = 4096;

/// The settings of one run.
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) ui: Ui,
    pub(crate) limits: Limits,
    /// Whether `--key-file` stands on the command line, and so comes before a key in the environment.
    key_file_given: bool,
}

/// A variable that is empty is as good as unset: that is how a CI job switches one off.
fn filled(text: Option<&String>) -> Option<String> {
    text.filter(|t| !t.is_empty()).cloned()
}

fn filled_path(path: Option<&PathBuf>) -> Option<PathBuf> {
    path.filter(|p| !p.as_os_str().is_empty()).cloned()
}

/// One place, or several addresses apart by spaces, as a variable holds them.
fn places(text: &str) -> Vec<String> {
    let parts: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
    match parts.len() {
        0 => Vec::new(),
        1.. if parts.iter().all(|p| p.contains("://")) => parts,
        _ => vec![text.to_owned()],
    }
}

fn limits(cli: &Cli) -> Result<Limits, Failure> {
    cli.tuning.limits().map_err(Failure::usage)
}

impl Settings {
    pub(crate) fn load(ui: Ui, cli: &Cli, key_file_given: bool) -> Result<Self, Failure> {
        let config = Config::load(filled_path(cli.global.config.as_ref()).as_deref())?;
        Ok(Self { limits: limits(cli)?.or(config.limits), config, ui, key_file_given })
    }

    /// Those of a run that makes the configuration file and reads none.
    pub(crate) fn without_file(ui: Ui, cli: &Cli, key_file_given: bool) -> Result<Self, Failure> {
        Ok(Self { config: Config::default(), ui, limits: limits(cli)?, key_file_given })
    }

    /// The same with the configuration file of the current directory.
    pub(crate) fn with_file(&self) -> Result<Self, Failure> {
        let config = Config::load(None)?;
        Ok(Self { limits: self.limits.or(config.limits), config, ..*self })
    }

    /// What is known about a registry that may be there already, without opening it or its key.
    pub(crate) fn known(&self, args: &Init) -> Known {
        let registry = filled(env::var("GGEN_MARKET_REGISTRY").ok().as_ref());
        Known {
            origin: filled(args.origin.as_ref()).or_else(|| self.config.origin.as_ref().map(ToString::to_string)),
            key: self.config.key.as_ref().map(ToString::to_string),
            store: filled(args.store.as_ref()).or_else(|| self.config.store.clone()),
            registry: registry.or_else(|| self.config.registry.clone()),
            sources: self.sources(&[]).unwrap_or_default(),
        }
    }

    /// The error for a setting that nobody gave.
    fn missing(&self, what: &str, ways: &str, key: &str) -> Failure {
        let file = self.config.path.as_deref().unwrap_or(Path::new(config::FILE)).display();
        Failure::usage(format!("no {what} is set")).hint(format!("{ways}, or write `{key} = …` into {file}"))
    }

    pub(crate) fn store(&self, given: Option<&String>) -> Result<String, Failure> {
        filled(given)
            .or_else(|| self.config.store.clone())
            .ok_or_else(|| self.missing("store", "give --store, set GGEN_MARKET_STORE", "store"))
    }

    /// The registry to read, and its mirrors: by default, what the store is.
    fn registries(&self, given: &[String]) -> Result<Vec<String>, Failure> {
        let given: Vec<_> = given.iter().flat_map(|text| places(text)).collect();
        if !given.is_empty() {
            // Mirrors in the file are those of the registry in the file.
            return Ok(given);
        }
        let store = || filled(env::var("GGEN_MARKET_STORE").ok().as_ref()).or_else(|| self.config.store.clone());
        let first = self.config.registry.clone().or_else(|| {
            // Who lists nothing but mirrors means them.
            if self.config.mirrors.is_empty() { store() } else { None }
        });
        let all: Vec<_> = first.into_iter().chain(self.config.mirrors.iter().cloned()).collect();
        if all.is_empty() {
            return Err(self.missing("registry", "give --registry, set GGEN_MARKET_REGISTRY", "registry"));
        }
        Ok(all)
    }

    /// Whether somebody says where readers find the registry, and not only where it is written to.
    pub(crate) fn names_registry(&self, given: &Reader) -> bool {
        given.registry.iter().any(|r| !r.trim().is_empty())
            || self.config.registry.is_some()
            || !self.config.mirrors.is_empty()
    }

    /// How to read over HTTP where these are the places of the registry.
    fn transport(
        &self,
        order: Option<Order>,
        ca_file: Option<&PathBuf>,
        registries: &[String],
    ) -> Result<TransportOptions, Failure> {
        let mut options = TransportOptions::default();
        options.order = match order.or(self.config.mirror_order) {
            Some(Order::Fastest) => MirrorOrder::Fastest,
            Some(Order::RoundRobin) => MirrorOrder::RoundRobin,
            Some(Order::Listed) | None => MirrorOrder::Listed,
        };
        options.ca_files.extend(filled_path(ca_file).or_else(|| self.config.ca_file.clone()));
        for (host, value) in &self.config.authorization {
            options.authorize(host, value)?;
        }
        let value = env::var(AUTHORIZATION).ok().map(Zeroizing::new).filter(|v| !v.trim().is_empty());
        let url = registries.iter().find_map(|r| r.strip_prefix("https://").or_else(|| r.strip_prefix("http://")));
        if let (Some(value), Some(url)) = (value, url) {
            let authority = url.split(['/', '?', '#']).next().unwrap_or(url);
            let host = authority.rsplit('@').next().unwrap_or(authority);
            options.authorize(host, &value)?;
        }
        Ok(options)
    }

    /// How to open a store. Readers go by it as well: the registry may be in a bucket that is not public.
    pub(crate) fn store_options(&self, single_writer: bool) -> StoreOptions {
        let mut options = StoreOptions::default();
        options.options.clone_from(&self.config.store_options);
        options.single_writer = single_writer || self.config.single_writer;
        options.connections = self.limits.connections;
        options.upload_memory = self.limits.upload_memory;
        options
    }

    pub(crate) fn sources(&self, given: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
        if !given.is_empty() {
            return Ok(given.to_vec());
        }
        let listed = env::var_os("GGEN_MARKET_SOURCES").unwrap_or_default();
        let listed: Vec<_> = env::split_paths(&listed).filter(|p| !p.as_os_str().is_empty()).collect();
        let sources = if listed.is_empty() { self.config.sources.clone() } else { listed };
        if sources.is_empty() {
            return Err(self.missing("source", "give --source, set GGEN_MARKET_SOURCES", "sources"));
        }
        Ok(sources)
    }

    /// The folder for caches and trust state, if there is a place for it.
    fn cache_if_any(&self, given: &Cache) -> Option<PathBuf> {
        filled_path(given.cache.as_ref()).or_else(|| self.config.cache.clone()).or_else(default_cache)
    }

    /// The folder in which a writer remembers what it trusts and what it has scanned.
    pub(crate) fn cache(&self, given: &Cache) -> Result<PathBuf, Failure> {
        self.cache_if_any(given)
            .ok_or_else(|| self.missing("cache folder", "give --cache, set GGEN_MARKET_CACHE", "cache"))
    }

    fn valid_for(&self, given: Option<&String>) -> Result<Duration, Failure> {
        match filled(given) {
            Some(text) => config::duration(&text).map_err(|e| Failure::usage(format!("--valid-for: {e}"))),
            None => Ok(self.config.valid_for.unwrap_or(MAX_VALIDITY)),
        }
    }

    /// The secret key, if any is set, and the file that it came from.
    pub(crate) fn find_key(&self, given: &Key) -> Result<(SigningKey, Option<PathBuf>), Failure> {
        let text = env::var(SECRET).ok().map(Zeroizing::new).filter(|t| !t.trim().is_empty());
        if let Some(text) = text.filter(|_| !self.key_file_given) {
            let key = SigningKey::from_secret_text(&text);
            return Ok((key.map_err(|e| Failure::usage(format!("{SECRET} holds no secret key")).because(e))?, None));
        }
        let path = filled_path(given.key_file.as_ref()).or_else(|| self.config.key_file.clone());
        let path = path.ok_or_else(|| {
            let ways = format!("give --key-file, set GGEN_MARKET_KEY_FILE, or {SECRET} to the key itself");
            self.missing("secret key", &ways, "key_file")
        })?;
        Ok((read_key(&path)?, Some(path)))
    }

    /// The secret key, held to what the configuration says about it.
    pub(crate) fn key(&self, given: &Key) -> Result<(SigningKey, Option<PathBuf>), Failure> {
        let (key, path) = self.find_key(given)?;
        let said = self.config.origin.as_ref().filter(|o| *o != key.origin());
        if let Some(origin) = said {
            return Err(Failure::usage(format!("the secret key is of {}, not of {origin}", key.origin()))
                .hint("the origin in the configuration is that of another registry"));
        }
        if self.config.key.as_ref().is_some_and(|k| k != key.verifier()) {
            return Err(Failure::usage("the secret key and the public key in the configuration are no pair")
                .hint("`ggen-market key` prints the public key of the secret one"));
        }
        Ok((key, path))
    }

    /// Opens a registry to write to.
    pub(crate) fn writer(&self, given: &Writer) -> Result<Writing, Failure> {
        let location = self.store(given.store.as_ref())?;
        let (key, key_file) = self.key(&given.key)?;
        let mut options = self.build_options(given.valid_for.as_ref())?;
        options.views = self.views(&given.views)?;
        options.search = !given.no_search && self.config.search.unwrap_or(true);
        let cache = self.cache(&given.cache)?;
        let store = Store::open_with(&location, &self.store_options(given.single_writer))?;
        if let (Some(file), Some(folder)) = (&key_file, store.path())
            && lies_in(file, folder)
        {
            return Err(public_key_file(file, folder));
        }
        let verifier = key.verifier().clone();
        let registry = Registry::new(store.clone(), key, &cache);
        Ok(Writing { registry, options, store, verifier, key_file, cache })
    }

    /// Which views to write, if any.
    fn views(&self, given: &ViewArgs) -> Result<Option<ViewOptions>, Failure> {
        let views = match filled(given.views.as_ref()) {
            Some(text) if text == "none" => Vec::new(),
            Some(text) => text.split(',').map(|v| v.trim().parse::<View>()).collect::<Result<_, _>>()?,
            None => self.config.views.clone().unwrap_or_default(),
        };
        if views.is_empty() {
            return Ok(None);
        }
        let mut options = self.view_options(&views, &given.address)?;
        options.site.title.clone_from(&self.config.site_title);
        options.site.description.clone_from(&self.config.site_description);
        let folder = filled_path(given.site_templates.as_ref()).or_else(|| self.config.site_templates.clone());
        if let Some(folder) = folder.filter(|_| views.contains(&View::Site)) {
            // Before anything is written: a template with a mistake changes nothing.
            options.site.theme = Theme::open(&folder)?;
        }
        Ok(Some(options))
    }

    /// The settings of views: the address that stands in them is that of the readers.
    pub(crate) fn view_options(&self, views: &[View], given: &Address) -> Result<ViewOptions, Failure> {
        let is_url = |r: &&String| r.starts_with("http://") || r.starts_with("https://");
        let public =
            filled(given.public_url.as_ref()).or_else(|| self.config.registry.as_ref().filter(is_url).cloned());
        let mut options = ViewOptions::new(views, public.as_deref())?;
        options.cargo_dependencies = self.config.cargo_dependencies;
        options.cargo_auth = self.config.cargo_auth;
        Ok(options)
    }

    pub(crate) fn build_options(&self, valid_for: Option<&String>) -> Result<BuildOptions, Failure> {
        let mut options = BuildOptions::at(Timestamp::for_build()?);
        options.clock = Timestamp::now();
        options.validity = self.valid_for(valid_for)?;
        Ok(options)
    }

    /// The folder and the validity of a registry that is to be made.
    pub(crate) fn new_registry(&self, args: &Init) -> Result<(String, BuildOptions, PathBuf), Failure> {
        let store = self.store(args.store.as_ref())?;
        Ok((store, self.build_options(args.valid_for.as_ref())?, self.cache(&args.cache)?))
    }

    /// Opens a registry to read.
    pub(crate) fn client(&self, given: &Reader) -> Result<Client, Failure> {
        self.client_of(None, given)
    }

    /// Opens the registry at that place to read; without a place, the one that is set.
    pub(crate) fn client_of(&self, registry: Option<&String>, given: &Reader) -> Result<Client, Failure> {
        let registries = match registry {
            Some(place) => vec![place.clone()],
            None => self.registries(&given.registry)?,
        };
        let key = self.pinned(given.key.as_ref())?;
        let mut how = self.store_options(false);
        how.transport = self.transport(given.mirror_order, given.ca_file.as_ref(), &registries)?;
        let store = Store::open_mirrors(&registries, &how)?;
        Ok(Client::new(store, &[key], self.client_options(given))?)
    }

    /// Opens the other registries that dependencies may name, each with the address by which they do. What the environment
    /// authorizes for the first registry is sent to the host of that one alone.
    pub(crate) fn others(&self, given: &Reader) -> Result<Vec<(String, Client)>, Failure> {
        let first = self.registries(&given.registry)?;
        let open = |(address, key): &(String, VerifierKey)| {
            let mut how = self.store_options(false);
            how.transport = self.transport(given.mirror_order, given.ca_file.as_ref(), &first)?;
            let store = Store::open_with(address, &how)?;
            Ok((address.clone(), Client::new(store, std::slice::from_ref(key), self.client_options(given))?))
        };
        self.config.registries.iter().map(open).collect()
    }

    fn client_options(&self, given: &Reader) -> ClientOptions {
        let mut options = self.reading();
        options.offline = given.offline;
        options.allow_expired = given.allow_expired;
        options.cache = if given.no_cache { None } else { self.cache_if_any(&given.cache) };
        options
    }

    /// How any registry is read.
    fn reading(&self) -> ClientOptions {
        let mut options = ClientOptions::default();
        options.memory = self.limits.memory.map_or(options.memory, |m| m.get() as u64);
        options
    }

    /// Opens a registry to be mirrored.
    pub(crate) fn mirrored(&self, given: &Mirror) -> Result<Client, Failure> {
        let key = self.pinned(given.key.as_ref())?;
        let mut options = self.reading();
        options.allow_expired = given.allow_expired;
        options.cache = if given.no_cache { None } else { self.cache_if_any(&given.cache) };
        let mut how = self.store_options(false);
        how.transport = self.transport(None, given.ca_file.as_ref(), std::slice::from_ref(&given.from))?;
        let store = Store::open_with(&given.from, &how)?;
        Ok(Client::new(store, &[key], options)?)
    }

    /// The public key, if one is set.
    pub(crate) fn pinned_if_any(&self, given: Option<&String>) -> Result<Option<VerifierKey>, Failure> {
        Ok(match filled(given) {
            Some(text) => Some(text.parse::<VerifierKey>()?),
            None => self.config.key.clone(),
        })
    }

    fn pinned(&self, given: Option<&String>) -> Result<VerifierKey, Failure> {
        self.pinned_if_any(given)?.ok_or_else(|| {
            let ways = "take it from the registry's operator, who prints it with `ggen-market key`; then give --key, \
                        set GGEN_MARKET_KEY";
            self.missing("public key to check the registry against", ways, "key")
        })
    }

    /// The state of a registry that was asked for.
    pub(crate) async fn snapshot(&self, given: &State) -> Result<SnapshotReader, Failure> {
        let client = self.client(&given.reader)?;
        Ok(match given.at {
            Some(pin) => client.at(pin).await?,
            None => client.latest().await?,
        })
    }
}

/// What templates are filled from, as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) origin: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) store: Option<String>,
    pub(crate) registry: Option<String>,
    pub(crate) sources: Vec<PathBuf>,
}

/// A registry that is open to write to.
pub(crate) struct Writing {
    pub(crate) registry: Registry,
    pub(crate) options: BuildOptions,
    pub(crate) store: Store,
    pub(crate) verifier: VerifierKey,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) cache: PathBuf,
}

impl Writing {
    /// Where a scan of these sources for this store remembers which files it has read.
    pub(crate) fn scan_cache(&self, sources: &[PathBuf]) -> PathBuf {
        let absolute = |p: &Path| std::path::absolute(p).unwrap_or_else(|_| p.to_owned());
        let store = self.store.path().map_or_else(|| self.store.to_string().into(), absolute);
        let all = [store].into_iter().chain(sources.iter().map(|s| absolute(s)));
        let name: Vec<u8> = all.flat_map(|p| [p.as_os_str().as_encoded_bytes(), b"\0"].concat()).collect();
        self.cache.join("scan").join(Sha256::of(&name).short())
    }

    /// A reader of the same registry. A writer may look at what has expired: it is the one who renews it.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let mut options = ClientOptions::default();
        options.cache = Some(self.cache.clone());
        options.allow_expired = true;
        Ok(Client::new(self.store.clone(), std::slice::from_ref(&self.verifier), options)?)
    }
}

/// Whether a file lies in a folder, whatever links lead to either.
pub(crate) fn lies_in(file: &Path, folder: &Path) -> bool {
    let real = |p: &Path| fs::canonicalize(p).or_else(|_| std::path::absolute(p)).unwrap_or_else(|_| p.to_owned());
    // The file may be one that is yet to be made.
    let parent = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = real(folder);
    real(file).starts_with(&folder) || real(parent).starts_with(&folder)
}

/// The error for a secret key where everybody will find it.
pub(crate) fn public_key_file(file: &Path, folder: &Path) -> Failure {
    Failure::usage(format!("the key file {} lies in the store {}", file.display(), folder.display())).hint(
        "a store is public: keep the secret key elsewhere, and take this one for stolen if the store was ever served",
    )
}

/// Reads a key file. Its content is in no message.
pub(crate) fn read_key(path: &Path) -> Result<SigningKey, Failure> {
    let failed = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::io("read the key file", path, &e).hint("`ggen-market init` makes one; --key-file names another")
        }
        _ => Failure::io("read the key file", path, &e),
    };
    let file = fs::File::open(path).map_err(failed)?;
    #[cfg(unix)]
    if let Some(mode) = open_to_others(path, &file).map_err(failed)? {
        let path = path.display();
        return Err(Failure::usage(format!("others than you can read the key file {path} (mode {mode:04o})"))
            .hint(format!("run `chmod 600 {path}`, and make a new key if somebody may have read it")));
    }
    // Sized once: a text that grows leaves copies of its beginning behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_FILE as usize + 1));
    file.take(MAX_KEY_FILE).read_to_string(&mut text).map_err(failed)?;
    SigningKey::from_secret_text(&text)
        .map_err(|e| Failure::usage(format!("{} is no key file", path.display())).because(e))
}
