//! `verify`: the audit.

use crate::{
    args::Verify,
    failure::{Code, Failure, Message},
    json::Amount,
    output::{bytes, count},
    progress::Bar,
    settings::Settings,
};
use ggen_marketplace::{Client, NotMirrored, VerifyOptions};
use serde::Serialize;

#[derive(Serialize)]
struct Document {
    generation: u64,
    objects: u64,
    bytes: u64,
    packages: u64,
    releases: u64,
    collected: u64,
    unreferenced: Option<Amount>,
    marked: Option<Amount>,
    not_mirrored: Option<LeftOut>,
    skipped: u64,
    problems: Vec<Found>,
}

#[derive(Serialize)]
struct LeftOut {
    generations: u64,
    nodes: u64,
    archives: u64,
    details: u64,
}

#[derive(Serialize)]
struct Found {
    generation: u64,
    #[serde(flatten)]
    error: Message,
}

/// The registry to audit, whichever option names it.
fn client(args: &Verify, settings: &Settings) -> Result<Client, Failure> {
    let Some(store) = &args.store else { return settings.client(&args.reader) };
    // An option comes before a variable, so a variable is no second answer.
    let variable = std::env::var("GGEN_MARKET_REGISTRY").ok();
    if args.reader.registry.iter().any(|r| Some(r) != variable.as_ref()) {
        return Err(Failure::usage("--store and --registry name one thing").hint("give one of them"));
    }
    settings.client_of(Some(store), &args.reader)
}

/// `3 generations, 12 nodes, 4 archives, 2 leaves of details`, without what there is none of.
fn left_out(n: &NotMirrored) -> Option<String> {
    let parts = [(n.generations, "generation"), (n.nodes, "node"), (n.archives, "archive")];
    let mut parts: Vec<_> = parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| count(n, what)).collect();
    match n.details {
        0 => {}
        1 => parts.push("1 leaf of details".into()),
        n => parts.push(format!("{n} leaves of details")),
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

pub(crate) async fn run(args: &Verify, settings: &Settings) -> Result<Code, Failure> {
    let ui = &settings.ui;
    if args.reader.offline {
        return Err(Failure::usage("an audit reads everything from the registry itself: --offline forbids that")
            .hint("leave out --offline (and GGEN_MARKET_OFFLINE), or name a copy of the registry with --registry"));
    }
    if args.resume && args.reader.no_cache {
        return Err(Failure::usage(
            "where an audit stopped is remembered in the cache folder: --no-cache forbids that",
        )
        .hint("leave out --no-cache (and GGEN_MARKET_NO_CACHE)"));
    }
    let client = client(args, settings)?;
    let mut options = if args.all { VerifyOptions::all() } else { VerifyOptions::default() };
    options.resume = args.resume;
    let bar = Bar::spinner(ui, "reading and hashing everything");
    let verified = client.verify(&options).await;
    bar.clear();
    let verified = verified?;
    for problem in &verified.problems {
        let mut message = Message::from(&problem.error);
        message.at(&format!("generation {}", problem.generation));
        message.print(ui, "problem:");
    }
    let problems = verified.problems.len() as u64;
    let (generation, releases) = (verified.generation, verified.releases);
    let what = format!(
        "{}, {} in {} and {} read",
        count(verified.objects, "object"),
        bytes(verified.bytes),
        count(verified.packages, "package"),
        count(releases, "release"),
    );
    let part = verified.not_mirrored.is_some_and(|n| n.nodes + n.archives + n.details > 0);
    let whole = if part { "whole as far as it is mirrored" } else { "whole" };
    ui.note(&if problems == 0 {
        format!("generation {generation} is {whole}: {what}")
    } else {
        format!("generation {generation} is not to be relied on: {}; {what}", count(problems, "problem"))
    });
    if verified.collected > 0 {
        let what = count(verified.collected, "older generation");
        ui.note(&format!("{what} went as garbage, as the registry itself says"));
    }
    if let Some((objects, size)) = verified.marked.filter(|(objects, _)| *objects > 0) {
        let what = count(objects, "object");
        ui.note(&format!("{what} more, {}, marked as garbage: `ggen-market gc` takes them away", bytes(size)));
    }
    if let Some((objects, size)) = verified.unreferenced.filter(|(objects, _)| *objects > 0) {
        let what = count(objects, "object");
        ui.note(&format!(
            "{what} more, {}, are in no generation that is kept: left by interrupted runs or by time, and harmless",
            bytes(size)
        ));
    }
    if verified.skipped > 0 {
        let what = count(verified.skipped, "object");
        ui.note(&format!("{what} more were found to be right by the audit that this one goes on from"));
    }
    if let Some(left_out) = verified.not_mirrored.and_then(|n| left_out(&n)) {
        ui.note(&format!("not mirrored here: {left_out}"));
    }
    if ui.json {
        let found = |p: &ggen_marketplace::Problem| Found { generation: p.generation, error: Message::from(&p.error) };
        ui.document(&Document {
            generation,
            objects: verified.objects,
            bytes: verified.bytes,
            packages: verified.packages,
            releases,
            collected: verified.collected,
            unreferenced: verified.unreferenced.map(|(objects, bytes)| Amount { objects, bytes }),
            marked: verified.marked.map(|(objects, bytes)| Amount { objects, bytes }),
            not_mirrored: verified.not_mirrored.map(|n| LeftOut {
                generations: n.generations,
                nodes: n.nodes,
                archives: n.archives,
                details: n.details,
            }),
            skipped: verified.skipped,
            problems: verified.problems.iter().map(found).collect(),
        })?;
    }
    Ok(if problems == 0 { Code::Done } else { Code::Untrusted })
}
