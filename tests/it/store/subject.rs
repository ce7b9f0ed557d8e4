//! The stores that the cases run on.

use crate::support::s3::{Access, S3};
use futures::TryStreamExt;
use ggen_marketplace::Store;
use object_store::{ObjectStore, local::LocalFileSystem, memory::InMemory};
use std::{sync::Arc, time::Duration};

/// A place, and how to open it.
pub(super) struct Subject {
    pub(super) name: String,
    lacks: Vec<String>,
    place: Place,
}

enum Place {
    Memory(Arc<InMemory>),
    Folder(tempfile::TempDir),
    TestServer { server: Box<S3>, registry: Box<S3> },
    Server(Access),
}

pub(super) async fn memory() -> [Subject; 1] {
    [Subject { name: "memory".into(), lacks: Vec::new(), place: Place::Memory(Arc::new(InMemory::new())) }]
}

pub(super) async fn folder() -> [Subject; 1] {
    let lacks = ["update", "attributes", "order"].map(Into::into).into();
    [Subject { name: "folder".into(), lacks, place: Place::Folder(tempfile::tempdir().unwrap()) }]
}

pub(super) async fn test_server() -> [Subject; 1] {
    let server = S3::with(|settings| {
        settings.referee = false;
        settings.page = 300;
    });
    let (server, registry) = (Box::new(server.await), Box::new(S3::start().await));
    [Subject { name: "the test server".into(), lacks: Vec::new(), place: Place::TestServer { server, registry } }]
}

/// The servers that the environment names.
pub(super) async fn servers() -> Vec<Subject> {
    let named = std::env::var("GGEN_TEST_S3").unwrap_or_default();
    if named.trim().is_empty() {
        println!("skipped: GGEN_TEST_S3 names no server");
    }
    named.split_whitespace().map(|text| parse(text, |name| std::env::var(name).ok())).collect()
}

fn parse(text: &str, variable: impl Fn(&str) -> Option<String>) -> Subject {
    let (name, url) = text.split_once('=').unwrap_or_else(|| panic!("GGEN_TEST_S3: {text:?} is not NAME=URL"));
    let url = url::Url::parse(url).unwrap_or_else(|e| panic!("GGEN_TEST_S3: {url:?}: {e}"));
    let key = |kind: &str, usual: &str| {
        let own = format!("GGEN_TEST_S3_{}_{kind}", name.to_uppercase());
        variable(&own).or_else(|| variable(usual)).unwrap_or_else(|| panic!("neither {own} nor {usual} is set"))
    };
    let mut path = url.path().trim_matches('/').splitn(2, '/');
    let bucket = path.next().filter(|b| !b.is_empty()).unwrap_or_else(|| panic!("GGEN_TEST_S3: {name}: no bucket"));
    let mut nonce = [0; 8];
    getrandom::fill(&mut nonce).unwrap();
    let prefix = format!("{}/ggen-test-{}", path.next().unwrap_or(""), hex::encode(nonce));
    let mut access = Access {
        endpoint: url.origin().ascii_serialization(),
        bucket: bucket.into(),
        prefix: prefix.trim_matches('/').into(),
        key: key("ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
        secret: key("SECRET_KEY", "AWS_SECRET_ACCESS_KEY"),
        // As a program has it; the cases that must not be retried take them off again.
        retries: 3,
        timeout: Duration::from_secs(60),
        ..Access::default()
    };
    let mut lacks = Vec::new();
    for (option, value) in url.query_pairs() {
        match option.as_ref() {
            "region" => access.region = value.into(),
            "lacks" => lacks = value.split(',').map(Into::into).collect(),
            "checksum" => access.checksum = value != "no",
            other => panic!("GGEN_TEST_S3: {name}: unknown option {other:?}"),
        }
    }
    Subject { name: name.into(), lacks, place: Place::Server(access) }
}

impl Subject {
    /// Opens it, with a client of its own where there is one.
    pub(super) fn open(&self) -> Arc<dyn ObjectStore> {
        match &self.place {
            Place::Memory(memory) => Arc::clone(memory) as _,
            Place::Folder(folder) => Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap()),
            Place::TestServer { server, .. } => server.access().object_store(),
            Place::Server(access) => access.object_store(),
        }
    }

    /// As [`Subject::open`], with retries off.
    pub(super) fn open_once(&self) -> Arc<dyn ObjectStore> {
        match &self.place {
            Place::Server(access) => Access { retries: 0, ..access.clone() }.object_store(),
            _ => self.open(),
        }
    }

    /// As one opens it to whom it does not keep apart who writes at once.
    pub(super) fn for_a_single_writer(&self) -> Subject {
        let Place::Server(access) = &self.place else { panic!("{} knows who came first", self.name) };
        let access = Access { single_writer: true, ..access.clone() };
        Self { name: self.name.clone(), lacks: self.lacks.clone(), place: Place::Server(access) }
    }

    /// Opens it for a registry.
    pub(super) fn registry(&self) -> Store {
        match &self.place {
            Place::Memory(memory) => Store::new(Arc::clone(memory) as _, "memory:"),
            Place::Folder(folder) => Store::create(folder.path().to_str().unwrap()).unwrap(),
            Place::TestServer { registry, .. } => registry.store(),
            Place::Server(access) => access.store(),
        }
    }

    /// Whether it does this; says so where it does not.
    pub(super) fn does(&self, what: &str) -> bool {
        let lacks = self.lacks.iter().any(|l| l == what);
        if lacks {
            println!("skipped: {} is known not to do {what:?}", self.name);
        }
        !lacks
    }

    /// The test server that holds the registry, where it does.
    pub(super) fn referee(&self) -> Option<&S3> {
        match &self.place {
            Place::TestServer { registry, .. } => Some(registry),
            _ => None,
        }
    }

    /// How many uploads were begun and neither completed nor aborted, where that is known.
    pub(super) fn open_uploads(&self) -> Option<usize> {
        match &self.place {
            Place::TestServer { server, .. } => Some(server.open_uploads()),
            _ => None,
        }
    }

    /// Deletes what a case left on a server.
    pub(super) async fn clean(&self) {
        if let Place::Server(_) = &self.place {
            let store = self.open();
            let listed = store.list(None);
            let keys: Vec<_> = listed.map_ok(|m| m.location).try_collect().await.unwrap();
            let keys = futures::stream::iter(keys.into_iter().map(Ok));
            store.delete_stream(Box::pin(keys)).try_for_each(|_| async { Ok(()) }).await.unwrap();
        }
    }
}

#[test]
fn a_server_is_named_in_full_or_not_at_all() {
    let keys = |name: &str| match name {
        "GGEN_TEST_S3_GARAGE_ACCESS_KEY" => Some("GK1".to_owned()),
        "AWS_ACCESS_KEY_ID" => Some("other".to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some("secret".to_owned()),
        _ => None,
    };
    let subject = parse("garage=http://localhost:3900/reg/a/b?region=garage&lacks=create,update&checksum=no", keys);
    let Place::Server(access) = &subject.place else { panic!() };
    assert_eq!((access.endpoint.as_str(), access.bucket.as_str()), ("http://localhost:3900", "reg"));
    assert_eq!((access.region.as_str(), access.key.as_str(), access.secret.as_str()), ("garage", "GK1", "secret"));
    assert!(access.prefix.starts_with("a/b/ggen-test-") && !access.checksum, "{}", access.prefix);
    assert!(!subject.does("update") && subject.does("race"));
    for wrong in ["http://localhost/reg", "m=localhost", "m=http://localhost/", "m=http://localhost/reg?retries=1"] {
        assert!(std::panic::catch_unwind(|| parse(wrong, keys)).is_err(), "{wrong}");
    }
}
