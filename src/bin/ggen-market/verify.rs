//! `verify`: the audit.

use crate::{
    args::Verify,
    failure::{Code, Failure, Message},
    json::Amount,
    output::{bytes, count},
    progress::Bar,
    settings::Settings,
};
use ggen_marketplace::VerifyOptions;
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
    problems: Vec<Found>,
}

#[derive(Serialize)]
struct Found {
    generation: u64,
    #[serde(flatten)]
    error: Message,
}

pub(crate) async fn run(args: &Verify, settings: &Settings) -> Result<Code, Failure> {
    let ui = &settings.ui;
    if args.reader.offline {
        return Err(Failure::usage("an audit reads everything from the registry itself: --offline forbids that")
            .hint("leave out --offline (and GGEN_MARKET_OFFLINE), or name a copy of the registry with --registry"));
    }
    let client = settings.client(&args.reader)?;
    let options = if args.all { VerifyOptions::all() } else { VerifyOptions::default() };
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
    ui.note(&if problems == 0 {
        format!("generation {generation} is whole: {what}")
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
            problems: verified.problems.iter().map(found).collect(),
        })?;
    }
    Ok(if problems == 0 { Code::Done } else { Code::Untrusted })
}
