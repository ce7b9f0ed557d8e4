//! `search`: find packages by names, words and properties.

use crate::{
    args::{Search, Sort},
    failure::{Code, Failure},
    output::{clean, count},
    settings::Settings,
};
use ggen_marketplace::{
    Facet, SearchHit, SearchMode, SearchOrder, SearchRequest, SearchResults,
    package::{Kind, Timestamp, Version},
};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Document<'a> {
    generation: u64,
    query: &'a str,
    total: u64,
    hits: Vec<Hit<'a>>,
    facets: BTreeMap<&'static str, Vec<Count<'a>>>,
    /// By word: what was searched for in its place.
    corrected: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
struct Hit<'a> {
    kind: Kind,
    name: &'a str,
    version: &'a Version,
    summary: &'a str,
    downloads: u64,
    published: Timestamp,
    license: Option<&'a str>,
    keywords: &'a [String],
    categories: &'a [String],
    yanked: bool,
    score: f32,
    /// What the score is made of; null unless it was asked for.
    explanation: Option<Vec<Part>>,
}

#[derive(Serialize)]
struct Part {
    part: &'static str,
    worth: f32,
}

#[derive(Serialize)]
struct Count<'a> {
    value: &'a str,
    count: u64,
}

pub(crate) async fn run(args: &Search, settings: &Settings) -> Result<Code, Failure> {
    let ui = &settings.ui;
    let mut request = SearchRequest::new(args.query.join(" "));
    (request.kind, request.limit, request.offset) = (args.kind, args.limit, args.offset);
    (request.category, request.keyword) = (args.category.clone(), args.keyword.clone());
    request.license = args.license.clone();
    (request.facets, request.explain) = (args.facets, args.explain);
    request.order = match args.sort {
        Sort::Relevance => SearchOrder::Relevance,
        Sort::Downloads => SearchOrder::Downloads,
        Sort::Recent => SearchOrder::Recent,
        Sort::Name => SearchOrder::Name,
    };
    let mode = match (args.local, args.remote) {
        (true, _) => SearchMode::Local,
        (_, true) => SearchMode::Remote,
        _ => SearchMode::Auto,
    };
    let reader = settings.snapshot(&args.state).await?;
    let results = reader.searcher(mode).await?.search(&request).await?;
    if ui.json {
        ui.document(&document(&results, &request, reader.generation()))?;
        return Ok(Code::Done);
    }
    if args.facets {
        let row = |f: &Facet| vec![f.field.to_owned(), f.value.clone(), f.count.to_string()];
        ui.table(&["FIELD", "VALUE", "PACKAGES"], &results.facets.iter().map(row).collect::<Vec<_>>())?;
    } else if args.explain {
        ui.table(&["NAME", "VERSION", "SCORE", "PARTS"], &results.hits.iter().map(explained).collect::<Vec<_>>())?;
    } else {
        ui.table(&["NAME", "VERSION", "SUMMARY"], &results.hits.iter().map(row).collect::<Vec<_>>())?;
    }
    for correction in &results.corrected {
        ui.note(&format!("nothing has `{}`; these have `{}`", clean(&correction.word), correction.instead));
    }
    let shown = results.hits.len() as u64;
    ui.note(&if shown < results.total {
        format!("{}, {shown} shown", count(results.total, "package"))
    } else {
        count(results.total, "package")
    });
    Ok(Code::Done)
}

fn row(hit: &SearchHit) -> Vec<String> {
    let yanked = if hit.yanked { "(yanked) " } else { "" };
    vec![format!("{}:{}", hit.kind, hit.name), hit.version.to_string(), format!("{yanked}{}", clean(&hit.summary))]
}

fn explained(hit: &SearchHit) -> Vec<String> {
    let parts: Vec<_> = hit.explanation.iter().map(|(part, worth)| format!("{part} {worth:.2}")).collect();
    let name = format!("{}:{}", hit.kind, hit.name);
    vec![name, hit.version.to_string(), format!("{:.2}", hit.score), parts.join(" + ")]
}

fn document<'a>(results: &'a SearchResults, request: &'a SearchRequest, generation: u64) -> Document<'a> {
    let hits = results.hits.iter().map(|h| Hit {
        kind: h.kind,
        name: h.name.as_str(),
        version: &h.version,
        summary: &h.summary,
        downloads: h.downloads,
        published: h.published,
        license: h.license.as_deref(),
        keywords: &h.keywords,
        categories: &h.categories,
        yanked: h.yanked,
        score: h.score,
        explanation: request
            .explain
            .then(|| h.explanation.iter().map(|(part, worth)| Part { part, worth: *worth }).collect()),
    });
    let mut facets: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for facet in &results.facets {
        facets.entry(facet.field).or_default().push(Count { value: &facet.value, count: facet.count });
    }
    let corrected = results.corrected.iter().map(|c| (c.word.as_str(), c.instead.as_str())).collect();
    Document { generation, query: &request.text, total: results.total, hits: hits.collect(), facets, corrected }
}
