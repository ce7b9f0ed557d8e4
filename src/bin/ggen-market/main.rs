//! The command line of the registry: one file for each verb, all of them over the library's public interface.
//!
//! Standard output is data and nothing else; whatever is for people goes to standard error. The exit code says what to do
//! next ([`failure::Code`]).

mod args;
mod bench;
mod build;
mod bundle;
mod cache;
mod cargo_config;
mod completions;
mod config;
mod diff;
mod doctor;
mod failure;
mod fetch;
mod files;
mod gc;
mod ggen_config;
mod history;
mod info;
mod init;
mod install;
mod json;
mod key;
mod list;
mod lockfile;
mod log;
mod mirror;
mod outdated;
mod output;
#[cfg(feature = "profiling")]
mod profile;
mod progress;
mod publish;
mod refresh;
mod resolve;
mod search;
mod serve;
mod settings;
mod show;
mod stats;
mod template;
mod verify;
mod versions;
mod views;
mod why;
mod yank;

use args::{Cli, Limits, Verb};
use clap::FromArgMatches as _;
use failure::{Code, Failure};
use output::Ui;
use settings::Settings;
use std::{fmt::Write as _, path::Path, process::ExitCode, time::Duration};
use tokio::runtime::Runtime;

/// How long an interrupted run may take to remove its temporary files.
const PATIENCE: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let matches = match args::command().color(color()).try_get_matches() {
        Ok(matches) => matches,
        Err(e) => {
            // A closed stream is no reason to fail differently.
            let _ = e.print();
            return exit(e.exit_code());
        }
    };
    let verb = matches.subcommand().map(|(_, verb)| verb);
    let on_command_line = Some(clap::parser::ValueSource::CommandLine);
    let key_file_given = verb.is_some_and(|v| {
        matches!(v.try_contains_id("key_file"), Ok(true)) && v.value_source("key_file") == on_command_line
    });
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            return exit(e.exit_code());
        }
    };
    let ui = Ui::new(&cli.global);
    log::start(&cli.global, ui);
    let started = settings(&cli, ui, key_file_given).and_then(|s| Ok((runtime(&s.limits)?, s)));
    let (runtime, settings) = match started {
        Ok(started) => started,
        Err(failure) => {
            failure.print(&ui);
            return exit(failure.code as i32);
        }
    };
    #[cfg(feature = "profiling")]
    let profile = match profile::Profile::start(&cli.global) {
        Ok(profile) => profile,
        Err(failure) => {
            failure.print(&ui);
            return exit(failure.code as i32);
        }
    };
    let code = runtime.block_on(supervise(cli, settings));
    // Threads that still read for an interrupted run are not waited for.
    runtime.shutdown_background();
    #[cfg(feature = "profiling")]
    if let Err(failure) = profile.finish(&ui) {
        failure.print(&ui);
    }
    exit(code)
}

/// What the run goes by. Two verbs read no configuration file: one makes it, and the other needs none.
fn settings(cli: &Cli, ui: Ui, key_file_given: bool) -> Result<Settings, Failure> {
    match cli.verb {
        Verb::Init(_) | Verb::Completions(_) => Settings::without_file(ui, cli, key_file_given),
        _ => Settings::load(ui, cli, key_file_given),
    }
}

/// The threads: some that see to the network, and rayon's, which compute.
fn runtime(limits: &Limits) -> Result<Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = limits.threads {
        builder.worker_threads(threads.get());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build_global();
        pool.map_err(|e| Failure::io("start", Path::new("the threads"), &std::io::Error::other(e)))?;
    }
    builder.enable_all().build().map_err(|e| Failure::io("start", Path::new("the runtime"), &e))
}

/// When the parser of the command line colors what it says: before it has read the option, which may be what it objects to.
fn color() -> clap::ColorChoice {
    let args: Vec<_> =
        std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).take_while(|a| a != "--").collect();
    let joined = args.iter().rev().find_map(|a| a.strip_prefix("--color="));
    let apart = || args.windows(2).rev().find(|w| w[0] == "--color").map(|w| w[1].as_str());
    let variable = std::env::var("GGEN_MARKET_COLOR").unwrap_or_default();
    match joined.or_else(apart).unwrap_or(&variable) {
        "always" => clap::ColorChoice::Always,
        "never" => clap::ColorChoice::Never,
        _ => clap::ColorChoice::Auto,
    }
}

fn exit(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Runs the verb until it ends or the user has enough.
async fn supervise(cli: Cli, settings: Settings) -> i32 {
    let ui = settings.ui;
    let interruption_means = cli.verb.interrupted();
    // Armed before anything is done, so that no signal falls between.
    let interrupted = interruption();
    let serves = matches!(cli.verb, Verb::Serve(_));
    let interrupted = async move {
        let code = interrupted.await;
        if !serves {
            return code;
        }
        // A server is told to stop: that is how its run ends. Only who has no patience breaks it off.
        ui.say(interruption_means);
        interruption().await
    };
    // A task of its own: should it block its thread, signals are heard all the same.
    let mut run = tokio::spawn(run(cli, settings));
    tokio::select! {
        ended = &mut run => match ended {
            Ok(Ok(code)) => code as i32,
            Ok(Err(failure)) => {
                failure.print(&ui);
                failure.code as i32
            }
            // The panic has said what it had to say.
            Err(_) => Code::Failed as i32,
        },
        code = interrupted => {
            run.abort();
            let _ = tokio::time::timeout(PATIENCE, run).await;
            ui.say("");
            ui.say(interruption_means);
            code
        }
    }
}

/// Ends with the exit code of the first SIGINT or SIGTERM.
fn interruption() -> impl Future<Output = i32> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let streams = signal(SignalKind::interrupt()).and_then(|i| Ok((i, signal(SignalKind::terminate())?)));
        async move {
            match streams {
                Ok((mut interrupt, mut terminate)) => tokio::select! {
                    Some(()) = interrupt.recv() => 130,
                    Some(()) = terminate.recv() => 143,
                    else => std::future::pending().await,
                },
                // Then the system's default holds: the process just ends.
                Err(_) => std::future::pending().await,
            }
        }
    }
    #[cfg(not(unix))]
    async {
        match tokio::signal::ctrl_c().await {
            Ok(()) => 130,
            Err(_) => std::future::pending().await,
        }
    }
}

async fn run(cli: Cli, settings: Settings) -> Result<Code, Failure> {
    tracing::debug!(verb = ?std::mem::discriminant(&cli.verb), "ggen-market {}", env!("CARGO_PKG_VERSION"));
    let settings = &settings;
    match &cli.verb {
        Verb::Init(args) => init::run(args, settings, cli.global.config.as_deref()).await,
        Verb::Completions(args) => completions::run(args, &settings.ui),
        Verb::Serve(args) => serve::run(args, settings, interruption()).await,
        Verb::Cache(args) => cache::run(args, settings),
        Verb::Key(args) => key::run(args, settings),
        Verb::Build(args) => build::run(args, settings).await,
        Verb::Publish(args) => publish::run(args, settings).await,
        Verb::Refresh(args) => refresh::run(args, settings).await,
        Verb::Views(args) => views::run(args, settings).await,
        Verb::CargoConfig(args) => cargo_config::run(args, settings),
        Verb::GgenConfig(args) => ggen_config::run(args, settings),
        Verb::Resolve(args) => resolve::run(args, settings).await,
        Verb::Install(args) => install::run(args, settings).await,
        Verb::Update(args) => install::update(args, settings).await,
        Verb::Remove(args) => install::remove(args, settings).await,
        Verb::Installed(args) => install::list(args, settings),
        Verb::Outdated(args) => outdated::run(args, settings).await,
        Verb::Why(args) => why::run(args, settings),
        Verb::Download(args) => bundle::download(args, settings).await,
        Verb::Export(args) => bundle::export(args, settings).await,
        Verb::Import(args) => bundle::import(args, settings).await,
        Verb::Gc(args) => gc::run(args, settings).await,
        Verb::Yank(args) => yank::yank(args, settings).await,
        Verb::Unyank(args) => yank::unyank(args, settings).await,
        Verb::Info(args) => info::run(args, settings).await,
        Verb::Versions(args) => versions::run(args, settings).await,
        Verb::List(args) => list::run(args, settings).await,
        Verb::Search(args) => search::run(args, settings).await,
        Verb::Show(args) => show::run(args, settings).await,
        Verb::Fetch(args) => fetch::run(args, settings).await,
        Verb::History(args) => history::run(args, settings).await,
        Verb::Diff(args) => diff::run(args, settings).await,
        Verb::Mirror(args) => mirror::run(args, settings).await,
        Verb::Verify(args) => verify::run(args, settings).await,
        Verb::Doctor(args) => doctor::run(args, settings).await,
        Verb::Bench(args) => bench::run(args, settings).await,
    }
}

/// The exit codes, as `--help` shows them.
fn exit_codes() -> String {
    let mut out = String::from("Exit codes:\n");
    for (code, meaning) in Code::ALL {
        // Writing to a text cannot fail.
        let _ = writeln!(out, "  {:<3} {meaning}", code as i32);
    }
    out + "  130 interrupted (143: told to end): nothing is lost"
}
