//! Crates that the real Cargo packaged against a registry of ours: it writes the address of the index into them.

use super::Desk;
use ggen_marketplace::{Client, ClientOptions, ErrorKind, MirrorOptions, Store, resolve::Lock};
use std::fs;

/// A registry with `base`, and with `project`, which Cargo packaged and which needs `base` from that same registry.
async fn packaged() -> Desk {
    let desk = Desk::new(|_| {}).await;
    desk.add("base", "1.0.0", "", &[("src/lib.rs", "pub const B: u32 = 1;")]);
    desk.build().await;
    desk.project("base = { version = \"1\", registry = \"ours\" }\n", "fn main() { println!(\"{}\", base::B); }");
    desk.cargo_ok(&["package", "--no-verify", "--allow-dirty"]).await;
    fs::copy(desk.path("project/target/package/project-0.1.0.crate"), desk.world.sources().join("project-0.1.0.crate"))
        .unwrap();
    desk.build().await;
    desk
}

fn client(desk: &Desk, place: &str) -> Client {
    Client::new(Store::open(place).unwrap(), std::slice::from_ref(&desk.world.key), ClientOptions::default()).unwrap()
}

const WANTED: &str = "crate:project";

#[tokio::test(flavor = "multi_thread")]
async fn what_cargo_packaged_here_is_resolved_and_installed_from_here() {
    let desk = packaged().await;
    let options = desk.options.views.as_ref().unwrap();
    let (address, index) = (options.public.clone().unwrap(), options.cargo_index().unwrap());
    let record = client(&desk, &address).latest().await.unwrap().find_release(&WANTED.parse().unwrap()).await.unwrap();
    assert_eq!(record.dependencies[0].registry.as_deref(), Some(index.as_str()));

    let here = client(&desk, &address);
    let found = here.resolve().want(WANTED.parse().unwrap()).run().await.unwrap();
    let names: Vec<_> = found.packages.iter().map(|p| (p.id.name(), p.registry.as_str())).collect();
    assert_eq!(names, [("base", here.origin()), ("project", here.origin())]);
    let lock =
        Lock::default().with(here.origin(), [(found.packages[1].id.clone(), "*".parse().unwrap())].into(), &found);
    here.install(&lock).into(desk.path("installed")).run().await.unwrap();
    assert!(desk.path("installed/crate/base-1.0.0/src/lib.rs").exists());

    // A copy elsewhere does not know that address, until somebody says that it is that of the same registry.
    let folder = desk.path("registry");
    let copy = client(&desk, folder.to_str().unwrap());
    let e = copy.resolve().want(WANTED.parse().unwrap()).run().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unsolvable);
    assert!(e.details().iter().any(|l| l.contains("a registry that is not configured")), "{:?}", e.details());
    for named in [&address, &index] {
        let again = copy.resolve().registry(named, here.clone()).want(WANTED.parse().unwrap()).run().await.unwrap();
        assert_eq!(again.packages, found.packages, "{named}");
        assert_eq!(again.generations.len(), 1);
    }
}

/// The registry's own origin is such an address, wherever it is read; and a mirror of a part holds what is needed by it.
#[tokio::test(flavor = "multi_thread")]
async fn a_dependency_that_names_the_origin_is_one_of_the_same_registry_for_every_reader() {
    let desk = Desk::new(|_| {}).await;
    let origin = desk.world.key.origin().as_str().to_owned();
    desk.add("base", "1.0.0", "", &[("src/lib.rs", "")]);
    let needs = format!("[dependencies.base]\nversion = \"1\"\nregistry-index = \"sparse+https://{origin}/cargo/\"\n");
    desk.add("project", "0.1.0", &needs, &[("src/lib.rs", "")]);
    desk.build().await;
    let folder = desk.path("registry");
    let whole = client(&desk, folder.to_str().unwrap());
    let found = whole.resolve().want(WANTED.parse().unwrap()).run().await.unwrap();
    assert_eq!(found.packages.len(), 2);
    let part = desk.path("part");
    let mut options = MirrorOptions::default();
    options.only = vec![WANTED.parse().unwrap()];
    let report = whole.mirror(&Store::create(part.to_str().unwrap()).unwrap(), &options).await.unwrap();
    assert_eq!(report.packages, 2, "{report:?}");
    let part = client(&desk, part.to_str().unwrap());
    part.latest().await.unwrap().find_release(&"crate:base".parse().unwrap()).await.unwrap();
    let verified = part.verify(&ggen_marketplace::VerifyOptions::all()).await.unwrap();
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
}
