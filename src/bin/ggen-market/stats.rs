//! `--stats FILE`: how often packages were downloaded.

use crate::failure::Failure;
use ggen_marketplace::package::{PackageId, PackageSpec};
use std::{collections::BTreeMap, fs, io::Read as _, path::Path};

/// More is no list of counts.
const MAX_BYTES: u64 = 1 << 30;

/// Reads a list of names and counts: on each line a name (or `KIND:NAME`), a tab or a comma, and a number. Empty lines and
/// those that begin with `#` are passed over. A bare name means every package of that name.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<PackageId, u64>, Failure> {
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|e| Failure::io("read", path, &e))?;
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(|e| Failure::io("read", path, &e))?;
    let mut out = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (ids, count) = parse(line).map_err(|what| {
            Failure::usage(format!("{}:{}: {what}", path.display(), number + 1))
                .hint("each line is a name, a tab or a comma, and a number")
        })?;
        out.extend(ids.into_iter().map(|id| (id, count)));
    }
    Ok(out)
}

fn parse(line: &str) -> Result<(Vec<PackageId>, u64), String> {
    let (name, count) = line.rsplit_once(['\t', ',']).ok_or("no tab and no comma")?;
    let count = count.trim().parse().map_err(|_| format!("{:?} is no count", count.trim()))?;
    let spec: PackageSpec = name.trim().parse().map_err(|e| format!("{e}"))?;
    Ok((spec.candidates().map_err(|e| e.to_string())?, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_counts_are_read_and_mistakes_told_with_their_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stats.tsv");
        fs::write(&path, "# counts\n\nHello_World\t12\ncrate:serde, 7\n").unwrap();
        let counts = read(&path).unwrap();
        let shown: Vec<_> = counts.iter().map(|(id, n)| format!("{} {n}", id.label())).collect();
        assert_eq!(shown, ["crate/hello-world 12", "crate/serde 7", "pack/hello-world 12"]);
        for (text, what) in [("a", "1: no tab"), ("a\tb", "1: "), ("\n../x,1", "2: ")] {
            fs::write(&path, text).unwrap();
            let message = format!("{:?}", read(&path).unwrap_err());
            assert!(message.contains(&format!("stats.tsv:{what}")), "{message}");
        }
    }
}
