//! The jobs of the templates, set up by the commands that stand in them and run as they will be: by somebody else, in another
//! folder.

use super::files::{setting, unit};
use crate::cli::Sandbox;
use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Who runs the units in the place of their own user, where this is run by root.
const NOBODY: u32 = 65_534;

/// A registry with something to publish, and that template.
fn configured(template: &str) -> Sandbox {
    let s = Sandbox::with_registry();
    s.a_crate("hello", "1.0.0", "Says hello");
    let more = "sources = [\"packages\"]\n";
    s.write("ggen-market.toml", s.read("ggen-market.toml") + more);
    s.run(&["init", "--template", template]).ok();
    fs::set_permissions(s.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    s
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
fn the_units_as_they_are_set_up_publish_into_a_folder() {
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
    s.run(&["info", "hello"]).ok();
    run_unit(&s, "refresh");
    s.run(&["info", "hello"]).ok();
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
        for path in [state.join("ggen-market"), credentials.clone()] {
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
