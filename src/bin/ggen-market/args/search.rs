//! What `search` takes.

use super::State;
use clap::{
    Args, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use ggen_marketplace::package::Kind;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Sort {
    /// The best first
    #[default]
    Relevance,
    /// The most downloaded first
    Downloads,
    /// The newest release first
    Recent,
    /// In the order of names
    Name,
}

#[derive(Debug, Args)]
pub(crate) struct Search {
    /// Words, "phrases", field:value (name, kind, license, keyword, category), -not (in quotes, or behind --); nothing means everything
    #[arg(value_name = "QUERY")]
    pub(crate) query: Vec<String>,
    /// Only packages of this kind
    #[arg(long, value_parser = PossibleValuesParser::new(Kind::ALL.map(Kind::as_str)).try_map(|k| k.parse::<Kind>()))]
    pub(crate) kind: Option<Kind>,
    /// Only packages filed under this category
    #[arg(long, value_name = "NAME")]
    pub(crate) category: Option<String>,
    /// Only packages with this keyword
    #[arg(long, value_name = "WORD")]
    pub(crate) keyword: Option<String>,
    /// Only packages whose licence names this one: MIT, Apache-2.0, …
    #[arg(long, value_name = "SPDX")]
    pub(crate) license: Option<String>,
    /// What comes first
    #[arg(long, value_name = "ORDER", value_enum, default_value_t)]
    pub(crate) sort: Sort,
    /// How many
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    pub(crate) limit: usize,
    /// How many to pass over first
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub(crate) offset: usize,
    /// Count the packages found by category, keyword, kind and licence, instead of listing them
    #[arg(long)]
    pub(crate) facets: bool,
    /// Show what each score is made of
    #[arg(long, conflicts_with = "facets")]
    pub(crate) explain: bool,
    /// Fetch the search index once, and keep it in the cache
    #[arg(long, conflicts_with = "remote")]
    pub(crate) local: bool,
    /// Read the search index in place, and fetch only what the question needs
    #[arg(long)]
    pub(crate) remote: bool,
    #[command(flatten)]
    pub(crate) state: State,
}
