//! Whether lists are whole and up to date.

use super::{
    bench::{AT_ONCE, Bench, pattern},
    finding::{Check, Finding},
};
use crate::{ErrorKind, Result};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use std::collections::BTreeSet;

const LIST: Check = Check {
    id: "list",
    tried: "write many objects and list them at once; delete some and list again",
    breaks: "`gc` judges by the list: it misses what a list leaves out, and stumbles over what is listed and gone; \
             `verify --all` counts wrongly",
    remedy: "use a store whose lists are consistent, or run `gc` only when nobody has written for a while",
};

/// The store can, and may not.
const DENIED: Check = Check {
    breaks: "`gc` and `verify --all` cannot see what is in the store",
    remedy: "let the credentials list the bucket (AWS: s3:ListBucket on the bucket itself)",
    ..LIST
};

/// More than one page of a bucket's list holds.
const PAGES: usize = 1010;

pub(super) async fn list(bench: &mut Bench) -> Finding {
    let count = if bench.store.is_bucket() && !bench.quick { PAGES } else { 50 };
    let folder = bench.unused("list");
    let paths: Vec<_> = (0..count).map(|n| bench.key(&format!("list/{n:04}"))).collect();
    let found = write_and_list(bench, &folder, &paths).await;
    let denied = found.as_ref().is_err_and(|e| e.kind() == ErrorKind::Io) && !bench.is_folder();
    if denied { DENIED } else { LIST }.settle(found)
}

async fn write_and_list(bench: &Bench, folder: &Path, paths: &[Path]) -> Result<Finding> {
    let bytes = pattern(6, 100);
    let puts: Vec<_> = paths.iter().map(|path| bench.put(path, bytes.clone())).collect();
    stream::iter(puts).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
    let wanted: BTreeSet<_> = paths.iter().map(ToString::to_string).collect();
    let listed = bench.list(folder, None).await?;
    if let Some(wrong) = difference(&wanted, &listed) {
        return Ok(LIST.failed(format!("of {} objects just written {wrong}", paths.len())));
    }
    // Files of a folder come in any order, and nothing needs one.
    let in_order = bench.is_folder() || listed.is_sorted();
    let (before, after) = paths.split_at(paths.len() / 2);
    if let Some(last) = before.last() {
        let wanted: BTreeSet<_> = after.iter().map(ToString::to_string).collect();
        if let Some(wrong) = difference(&wanted, &bench.list(folder, Some(last)).await?) {
            return Ok(LIST.failed(format!("from the middle on, of {} objects {wrong}", after.len())));
        }
    }
    if !bench.delete(before.to_vec()).await.is_empty() {
        return Ok(LIST.ok(format!("{} objects, each once; to delete some is refused: see copy_delete", paths.len())));
    }
    let wanted: BTreeSet<_> = after.iter().map(ToString::to_string).collect();
    if let Some(wrong) = difference(&wanted, &bench.list(folder, None).await?) {
        return Ok(LIST.failed(format!("after {} were deleted, of {} that remain {wrong}", before.len(), after.len())));
    }
    let count = paths.len();
    Ok(if in_order {
        LIST.ok(format!("{count} objects, each once; those deleted are gone"))
    } else {
        LIST.warning(format!("{count} objects, each once, but not in the order of their keys"))
    })
}

/// What is wrong with a list, if anything is.
fn difference(wanted: &BTreeSet<String>, listed: &[String]) -> Option<String> {
    let distinct: BTreeSet<_> = listed.iter().collect();
    let missing = wanted.iter().filter(|key| !distinct.contains(key)).count();
    let more = distinct.iter().filter(|key| !wanted.contains(**key)).count();
    let twice = listed.len() - distinct.len();
    let parts = [(missing, "are not listed"), (more, "too many are listed"), (twice, "are listed twice")];
    let parts: Vec<_> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
