//! Standard output is data, standard error is for people, and either may be gone.

use super::Sandbox;
use std::io::Read as _;

#[test]
fn a_reader_that_leaves_is_no_error() {
    let s = Sandbox::published();
    for args in [
        &["list"][..],
        &["list", "--json"],
        &["info", "hello"],
        &["completions", "bash"],
        &["fetch", "hello", "-o", "-"],
        &["verify", "--json"],
    ] {
        let mut child = s.start(args);
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{args:?}: {said}");
        assert!(!said.contains("panic") && !said.contains("error"), "{args:?}: {said}");
    }
    // Help, which clap prints.
    let mut child = s.start(&["--help"]);
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn nobody_has_to_listen_to_messages() {
    let s = Sandbox::published();
    let mut child = s.start(&["build", "--source", "packages", "-vv", "--json"]);
    drop(child.stderr.take());
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    serde_json::from_str::<serde_json::Value>(&out).unwrap();
}

#[test]
fn messages_go_to_standard_error_and_data_to_standard_output() {
    let s = Sandbox::published();
    for args in [&["build", "--source", "packages"][..], &["yank", "hello@1.0.0"], &["verify"], &["fetch", "hello"]] {
        let run = s.run(args).ok();
        assert!(run.out.is_empty() && !run.err.is_empty(), "{args:?}");
        assert_eq!(
            s.run(&[&["-q", "--force"][..1], args, if args[0] == "fetch" { &["--force"] } else { &[] }].concat())
                .ok()
                .err,
            ""
        );
    }
    for args in [&["list"][..], &["info", "hello"], &["versions", "hello"], &["show", "hello"], &["history"], &["key"]]
    {
        let run = s.run(args).ok();
        assert!(!run.out.is_empty() && run.err.is_empty(), "{args:?}: {}", run.err);
    }
    let run = s.run(&["info", "nothing", "--json"]).code(6);
    assert!(run.out.is_empty() && run.err.starts_with("error: "), "{}", run.err);
}

#[test]
fn verbose_runs_tell_what_happens_on_standard_error_only() {
    let s = Sandbox::published();
    let quiet = s.run(&["info", "hello"]).ok();
    let loud = s.run(&["info", "hello", "-vv"]).ok();
    assert_eq!(quiet.out, loud.out);
    assert!(loud.err.contains("DEBUG ggen_market"), "{}", loud.err);
}

#[test]
fn color_is_for_terminals_and_for_those_who_ask() {
    let mut s = Sandbox::published();
    let colored = |run: super::Run| (run.out.contains('\x1b'), run.err.contains('\x1b'));
    assert_eq!(colored(s.run(&["info", "hello"])), (false, false));
    assert_eq!(colored(s.run(&["info", "hello", "--color", "always"])), (true, false));
    assert_eq!(colored(s.run(&["info", "nothing", "--color", "always"])), (false, true));
    s.set("GGEN_MARKET_COLOR", "always");
    assert_eq!(colored(s.run(&["info", "hello"])), (true, false));
    assert_eq!(colored(s.run(&["info", "hello", "--color", "never"])), (false, false));
    // Also what the parser of the command line says.
    assert_eq!(colored(s.run(&["nonsense"])), (false, true));
    assert_eq!(colored(s.run(&["nonsense", "--color=never"])), (false, false));
    assert_eq!(colored(s.run(&["--color", "never", "nonsense"])), (false, false));
    // An option says more than a variable that is meant for every program.
    s.set("NO_COLOR", "1");
    s.set("GGEN_MARKET_COLOR", "auto");
    assert_eq!(colored(s.run(&["info", "hello"])), (false, false));
    assert_eq!(colored(s.run(&["info", "hello", "--color", "always"])), (true, false));
}

#[test]
fn what_a_package_says_is_no_command_to_the_terminal() {
    let s = Sandbox::published();
    let shown = s.run(&["show", "greeter@0.1.0"]).ok();
    assert!(shown.out.contains("For \u{fffd}[31mall"), "{}", shown.out);
    assert!(!shown.out.contains('\x1b'));
}

#[test]
fn completions_are_there_for_every_shell() {
    let s = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = s.run(&["completions", shell]).ok().out;
        for verb in ["unyank", "completions", "versions"] {
            assert!(script.contains(verb), "{shell}: {verb}");
        }
    }
}

/// As `/dev/null` and `/dev/stdout` are: what has that name is written to, and not replaced.
#[cfg(unix)]
#[test]
fn a_pipe_or_a_device_is_written_to_and_stays_what_it_is() {
    use std::os::unix::fs::FileTypeExt as _;
    let s = Sandbox::published();
    let pipe = s.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    s.run(&["fetch", "hello@1.0.0", "--output", "file"]).ok();
    let reader = {
        let pipe = pipe.clone();
        std::thread::spawn(move || std::fs::read(pipe).unwrap())
    };
    s.run(&["fetch", "hello@1.0.0", "--output", "pipe", "--force"]).ok();
    assert!(pipe.symlink_metadata().unwrap().file_type().is_fifo());
    assert!(reader.join().unwrap() == std::fs::read(s.path("file")).unwrap());
    s.run(&["install", "hello@1.0.0"]).ok();
    let reader = {
        let pipe = pipe.clone();
        std::thread::spawn(move || std::fs::read(pipe).unwrap())
    };
    s.run(&["export", "pipe"]).ok();
    assert!(pipe.symlink_metadata().unwrap().file_type().is_fifo());
    assert!(reader.join().unwrap().len() > 1024);
}
