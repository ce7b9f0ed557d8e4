//! The files of groups that are kept in parts.

use super::{
    Maker, file,
    group::{Broken, Card, Listed, Size, from_row, to_row},
    page,
    parts::Grown,
    place::{Layout, Part},
    search,
};
use crate::{format::keys, view::File};
use std::{collections::BTreeMap, sync::Arc};

/// A group as it is to be.
pub(crate) struct Laid {
    /// Its files, in the order in which they are written: what leads to others comes after them.
    pub(crate) files: Vec<Vec<File>>,
    /// Keys of files that are emptied, after that.
    pub(crate) gone: Vec<String>,
    /// Its row in the group above; none where it has no rows itself, or nothing is above.
    pub(crate) summary: Option<Arc<str>>,
}

/// The files of a group with these parts.
pub(crate) fn lay(maker: &Maker, group: &str, layout: &Layout, grown: &Grown) -> Result<Laid, Broken> {
    let mut heights: BTreeMap<&str, usize> = BTreeMap::new();
    let mut files: Vec<Vec<File>> = Vec::new();
    // What is below a part has a longer prefix, and comes first.
    let mut made: Vec<_> = grown.made.iter().collect();
    made.sort_unstable_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    let list = group.split_once('/').filter(|(what, _)| matches!(*what, "c" | "k"));
    for (prefix, part) in made {
        let below = part.below.keys().filter_map(|p| heights.get(p.as_str()));
        let height = below.max().map_or(0, |h| h + 1);
        heights.insert(prefix, height);
        files.resize_with(files.len().max(height + 1), Vec::new);
        files[height].push(part.write(layout, prefix));
        if let Some((what, slug)) = list.filter(|_| !layout.is_inside(prefix)) {
            files[height].push(list_page(maker, (what, slug), prefix, part)?);
        }
    }
    let mut gone = Vec::new();
    for prefix in &grown.gone {
        if let Some((what, slug)) = list.filter(|_| !layout.is_inside(prefix)) {
            gone.push(keys::site::list(what, slug, &search::encoded(prefix)));
        }
        gone.push(layout.key(prefix));
    }
    let root = grown.made.get(&layout.top);
    let summary = match (group.split_once('/'), root) {
        (Some(("s", _)), Some(_)) => Some("1".into()),
        (Some(("c" | "k", slug)), Some(root)) => {
            let name = list_name(&cards(group, root)?);
            Some(to_row(&Size { count: grown.count, name, slug: slug.to_owned() }))
        }
        _ => None,
    };
    Ok(Laid { files, gone, summary })
}

/// What a part shows, the best first.
fn cards(group: &str, part: &Part) -> Result<Vec<Listed>, Broken> {
    let listed = |e: &&Arc<super::place::Entry>| {
        Ok(Listed { card: from_row::<Card>(group, &e.json)?, label: e.label.to_string() })
    };
    part.best_first().iter().map(listed).collect()
}

/// What a category or a keyword is called: as the best of its packages writes it.
fn list_name(best: &[Listed]) -> String {
    best.first().and_then(|l| l.card.text.clone()).unwrap_or_default()
}

fn list_page(maker: &Maker, (what, slug): (&str, &str), prefix: &str, part: &Part) -> Result<File, Broken> {
    let mut packages = cards(slug, part)?;
    let name = list_name(&packages);
    if part.is_whole() {
        // By name, whatever the kind.
        let name_of = |l: &Listed| l.label.split_once('/').map_or(String::new(), |(_, name)| name.to_owned());
        packages.sort_by_cached_key(|l| (name_of(l), l.label.clone()));
    }
    let html = page::list(maker, (what, slug), &name, prefix, part, &packages)?;
    Ok(file(keys::site::list(what, slug, &search::encoded(prefix)), html))
}
