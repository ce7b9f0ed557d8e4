//! The jobs of the templates, set up by the commands that stand in them and run as they will be: by somebody else, in another
//! folder. What the configuration file says holds there too.

use super::files::{setting, text, unit, yaml};
use crate::cli::Sandbox;
use ggen_marketplace::package::Timestamp;
use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Who runs the units in the place of their own user, where this is run by root.
const NOBODY: u32 = 65_534;

/// With settings that stand in the configuration file alone, and that template.
fn configured(template: &str) -> Sandbox {
    let s = Sandbox::with_registry();
    s.a_crate("hello", "1.0.0", "Says hello");
    let more = "sources = [\"packages\"]\nviews = [\"plain\"]\nvalid_for = \"3d\"\nsearch = false\n";
    s.write("ggen-market.toml", s.read("ggen-market.toml") + more);
    s.run(&["init", "--template", template]).ok();
    fs::set_permissions(s.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    s
}

/// What was published as the configuration wants it.
fn is_as_configured(s: &Sandbox) {
    assert!(s.path("registry/index").is_dir(), "no view is written");
    let history = s.run(&["history", "-n", "1", "--json"]).ok().json();
    let newest = &history["generations"][0];
    let time = |what: &str| newest[what].as_str().unwrap().parse::<Timestamp>().unwrap().unix();
    assert_eq!(time("expires") - time("time"), 3 * 86_400, "{newest}");
    assert_eq!(s.run(&["search", "hello"]).code, 6, "there is no search index");
}

/// The command lines in the comment at the beginning of a file.
fn commands(text: &str) -> Vec<&str> {
    text.lines().map_while(|l| l.strip_prefix('#')).filter_map(|l| l.strip_prefix("     ")).collect()
}

/// The same path in the folder that stands for the whole machine.
fn inside(s: &Sandbox, path: &str) -> PathBuf {
    s.path("machine").join(path.trim_start_matches('/'))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

#[test]
fn the_units_as_they_are_set_up_do_what_the_configuration_says() {
    let s = configured("systemd");
    let common = s.read("deploy/systemd/ggen-market-.service.d/common.conf");
    for folder in ["/usr/local/bin", "/etc/systemd/system", "/state"] {
        fs::create_dir_all(inside(&s, folder)).unwrap();
    }
    fs::copy(env!("CARGO_BIN_EXE_ggen-market"), s.path("ggen-market")).unwrap();
    let who = if is_root() { format!("{NOBODY}:{NOBODY}") } else { ":".into() };
    for line in commands(&common) {
        if ["systemctl", "useradd"].iter().any(|c| line.starts_with(c)) {
            continue;
        }
        let mut line = line.replace("ggen-market:ggen-market", &who).replace("FOLDER", "registry");
        for place in ["/etc/", "/usr/"] {
            line = line.replace(&format!(" {place}"), &format!(" {}/", inside(&s, place).display()));
        }
        let status = Command::new("sh").args(["-ec", &line]).current_dir(s.path(".")).status().unwrap();
        assert!(status.success(), "{line}");
    }
    run_unit(&s, "build");
    is_as_configured(&s);
    run_unit(&s, "refresh");
    is_as_configured(&s);
}

/// Runs a unit that was set up as systemd does, as far as the program sees it.
fn run_unit(s: &Sandbox, verb: &str) {
    let read = |name: &str| {
        let path = inside(s, "/etc/systemd/system").join(name);
        unit(name, &fs::read_to_string(path).unwrap())
    };
    let common = read("ggen-market-.service.d/common.conf");
    let own = read(&format!("ggen-market-{verb}.service"));
    let (credentials, state) = (s.path("credentials"), inside(s, "/state"));
    fs::create_dir_all(&credentials).unwrap();
    fs::create_dir_all(state.join("ggen-market")).unwrap();
    for credential in setting(&common, "Service", "LoadCredential") {
        let (name, from) = credential.split_once(':').unwrap();
        let to = credentials.join(name);
        let _ = fs::remove_file(&to);
        fs::copy(inside(s, from), &to).unwrap_or_else(|e| panic!("{from} is not set up: {e}"));
        // As the access list of a credential shows.
        fs::set_permissions(&to, fs::Permissions::from_mode(0o440)).unwrap();
    }
    let start = setting(&own, "Service", "ExecStart")[0];
    let mut words = start.split(' ');
    let mut command = Command::new(inside(s, words.next().unwrap()));
    command.args(words).current_dir("/").env_clear().env("CREDENTIALS_DIRECTORY", &credentials).stdin(Stdio::null());
    for variable in setting(&common, "Service", "Environment") {
        let (name, value) = variable.split_once('=').unwrap();
        let value = value.replace("%S", state.to_str().unwrap()).replace("%d", credentials.to_str().unwrap());
        command.env(name, value);
    }
    if is_root() {
        for path in [state.join("ggen-market"), credentials] {
            chown(&path);
        }
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{start}\n{said}");
}

fn chown(path: &Path) {
    let who = format!("{NOBODY}:{NOBODY}");
    assert!(Command::new("chown").arg("-R").arg(who).arg(path).status().unwrap().success());
}

#[test]
fn the_cron_jobs_as_they_are_set_up_do_what_the_configuration_says() {
    let s = configured("kubernetes");
    let written = s.read("deploy/kubernetes/cronjobs.yaml");
    let kubectl = commands(&written).join("\n");
    let documents = yaml(&s, "deploy/kubernetes/cronjobs.yaml");
    for (number, job) in documents[1..].iter().enumerate() {
        let pod = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let mut command = Command::new(env!("CARGO_BIN_EXE_ggen-market"));
        command.current_dir("/").env_clear().stdin(Stdio::null());
        // The volumes: where each is mounted, and the folder that stands for it.
        let mut volumes = Vec::new();
        for (volume, mount) in pod["volumes"].as_vec().unwrap().iter().zip(container["volumeMounts"].as_vec().unwrap())
        {
            let name = text(&volume["name"], "volume");
            assert_eq!(name, text(&mount["name"], "mount"));
            let folder =
                s.path(if name == "packages" { "packages".to_owned() } else { format!("v{number}-{name}") }.as_str());
            fs::create_dir_all(&folder).unwrap();
            if let Some(map) = volume["configMap"]["name"].as_str() {
                assert_eq!(mount["readOnly"].as_bool(), Some(true));
                let made = kubectl.lines().find_map(|l| l.strip_prefix(&format!("kubectl create configmap {map} ")));
                let made = made.unwrap_or_else(|| panic!("nothing makes {map}:\n{kubectl}"));
                let from = made.split(' ').find_map(|w| w.strip_prefix("--from-file=")).unwrap();
                // The files of a map can be read by everybody in the container.
                fs::write(folder.join(from), s.read(from)).unwrap();
                fs::set_permissions(folder.join(from), fs::Permissions::from_mode(0o644)).unwrap();
            }
            volumes.push((text(&mount["mountPath"], "mount").to_owned(), folder.display().to_string()));
        }
        let there = |value: &str| {
            let (mount, folder) = volumes.iter().find(|(mount, _)| value.starts_with(mount.as_str()))?;
            Some(value.replacen(mount, folder, 1))
        };
        for variable in container["env"].as_vec().unwrap() {
            let name = text(&variable["name"], "name");
            match variable["value"].as_str() {
                Some(value) => command.env(name, there(value).unwrap_or_else(|| value.to_owned())),
                None if name == "GGEN_MARKET_SECRET_KEY" => command.env(name, s.read("ggen-market.key")),
                None => &mut command,
            };
        }
        for argument in container["args"].as_vec().unwrap() {
            let argument = text(argument, "argument");
            // In the place of the bucket.
            let registry = argument.starts_with("s3://").then(|| s.path("registry").display().to_string());
            command.arg(registry.or_else(|| there(argument)).unwrap_or_else(|| argument.to_owned()));
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        is_as_configured(&s);
    }
}
