//! What `init --template` writes out: nginx runs by it, and the rest is what its readers take it for.

mod files;
#[cfg(unix)]
mod jobs;
pub(crate) mod nginx;
mod notes;

use crate::cli::Sandbox;
use serde_json::json;

#[test]
fn templates_come_with_a_new_registry_or_later() {
    let s = Sandbox::new();
    let init = ["init", "--store", "registry", "--origin", crate::cli::ORIGIN, "--template", "nginx"];
    let run = s.run(&init).ok().says(&[
        "registry holds a new registry",
        "deploy/nginx/nginx.conf is written\n",
        "deploy/nginx/registry.conf is written\n",
    ]);
    assert_eq!(run.out.trim(), s.key(), "the public key is all that is on standard output");
    let config = s.read("ggen-market.toml");

    // Now there is a configuration: nothing but templates.
    let run = s.run(&["init", "--template", "systemd", "--template", "r2", "--template", "systemd"]).ok().says(&[
        "ggen-market-build.service is written; to be filled in by hand: YOUR-PACKAGES\n",
        "deploy/r2/README.md is written; to be filled in by hand: YOUR-ACCOUNT, YOUR-ADDRESS, YOUR-BUCKET\n",
    ]);
    let paths: Vec<_> = run.out.lines().collect();
    assert_eq!((paths.len(), paths[0]), (10, "deploy/systemd/ggen-market-.service.d/common.conf"));
    assert!(paths.iter().all(|p| s.path(p).is_file()), "{paths:?}");
    let store = format!("ReadWritePaths={}\n", s.path("registry").display());
    assert!(s.read("deploy/systemd/ggen-market-.service.d/common.conf").contains(&store));
    assert_eq!(s.read("ggen-market.toml"), config);
    s.run(&["verify"]).ok().says(&["generation 0 is whole"]);

    // As a document, and with what the command line says coming first.
    let args = ["init", "--json", "--template", "github-actions", "--store", "s3://some-bucket/some"];
    let document = s.run(&args).ok().json();
    assert_eq!(document["generation"], json!(null));
    assert_eq!(
        document["templates"],
        json!([{ "template": "github-actions", "path": ".github/workflows/registry.yml", "fill_in": ["YOUR-ADDRESS"] }])
    );
    assert!(s.read(".github/workflows/registry.yml").contains("--store s3://some-bucket/some\n"));
}

#[test]
fn no_file_is_written_over_and_none_is_written_beside_one_that_is_in_the_way() {
    let s = Sandbox::with_registry();
    s.write("deploy/nginx/registry.conf", "mine");
    s.run(&["init", "--template", "nginx"]).code(2).says(&["deploy/nginx/registry.conf is there already", "--force"]);
    assert_eq!(s.read("deploy/nginx/registry.conf"), "mine");
    assert!(!s.path("deploy/nginx/nginx.conf").exists());
    let (config, key) = (s.read("ggen-market.toml"), s.read("ggen-market.key"));
    s.write("ggen-market.toml", format!("{config}# mine\n"));
    s.run(&["init", "--template", "nginx", "--force"]).ok();
    assert!(s.read("deploy/nginx/registry.conf").contains("server {"));
    assert_eq!(s.read("ggen-market.toml"), format!("{config}# mine\n"), "the configuration is not meant");
    assert_eq!(s.read("ggen-market.key"), key);
    // A new registry is not made either.
    let s = Sandbox::new();
    s.write("deploy/nginx/nginx.conf", "mine");
    let init = ["init", "--store", "registry", "--origin", crate::cli::ORIGIN, "--template", "nginx"];
    s.run(&init).code(2).says(&["deploy/nginx/nginx.conf is there already"]);
    assert!(!s.path("ggen-market.toml").exists() && !s.path("ggen-market.key").exists());
}

#[test]
fn what_is_wrong_with_a_request_for_templates_is_told() {
    let s = Sandbox::with_registry();
    s.run(&["init", "--template", "apache"]).code(2).says(&["possible values: nginx, cloudfront"]);
    s.run(&["init", "--template", "nginx", "--origin", "other.example.com"])
        .code(2)
        .says(&["is of registry.example.com"]);
    s.run(&["init", "--template", "nginx", "--store", "deploy"]).code(2).says(&["would lie in the store"]);
    let config = s.read("ggen-market.toml");
    s.write("ggen-market.toml", config.replace("\norigin = ", "\n# origin = "));
    s.run(&["init", "--template", "nginx", "--origin", "x\nuser root;"]).code(2).says(&["is not an origin"]);
    assert!(!s.path("deploy").exists());
    Sandbox::new().run(&["init", "--template", "nginx"]).code(2).says(&["no origin is set"]);
}
