//! What a store and the CDN in front of it really do, found out by trying: nothing is believed because of the store's name.

mod bench;
mod conditions;
mod finding;
mod http;
mod listing;
mod measure;
mod objects;
mod pointers;
mod public;
mod registry;

pub use finding::{Diagnosis, Finding, Outcome};
pub(crate) use measure::measure;
pub use measure::{MeasureOptions, Measurement};

use super::Store;
use crate::{Result, trust::VerifierKey};
use bench::Bench;

/// What to examine.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DoctorOptions {
    /// Fewer rounds of the race, fewer objects: seconds instead of up to a minute, and less certainty.
    pub quick: bool,
    /// The public keys of the registry. Without one its checkpoint is not opened.
    pub keys: Vec<VerifierKey>,
    /// Where readers get it from: a web server or CDN in front of the store, the folder that holds `checkpoint`.
    pub public_url: Option<String>,
}

impl Store {
    /// Examines the store by writing, reading and deleting objects in a new folder below `doctor/`, and the public URL in
    /// front of it. Needs no secret key and leaves the registry alone. What it wrote is removed at the end, also when
    /// something failed; a call that is dropped leaves it behind, where it does no harm.
    ///
    /// In a store that was opened for a [single writer](super::StoreOptions::single_writer), ignored conditions are warnings.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), ggen_marketplace::Error> {
    /// use ggen_marketplace::{DoctorOptions, Store};
    /// let store = Store::open("memory:")?;
    /// let mut options = DoctorOptions::default();
    /// options.quick = true;
    /// let diagnosis = store.doctor(&options).await?;
    /// assert!(diagnosis.is_sound());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// That of the first write, where the store cannot be reached or written to at all;
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a public URL that is none.
    pub async fn doctor(&self, options: &DoctorOptions) -> Result<Diagnosis> {
        let public = options.public_url.as_deref().map(http::Public::open).transpose()?;
        let mut bench = Bench::open(self, options.quick).await?;
        let mut findings = vec![objects::overwrite(&mut bench).await];
        for condition in [conditions::create_only(&mut bench).await, conditions::race(&mut bench).await] {
            findings.push(forgive(condition, self.single_writer));
        }
        findings.push(conditions::update(&mut bench).await);
        let absent = objects::absent(&bench).await;
        let absence = absent.outcome == Outcome::Ok;
        findings.push(absent);
        let list = listing::list(&mut bench).await;
        let listed = list.outcome != Outcome::Failed;
        findings.push(list);
        findings.push(objects::keys(&mut bench, listed).await);
        findings.push(objects::multipart(&mut bench).await);
        findings.push(objects::range(&mut bench).await);
        findings.push(objects::attributes_kept(&mut bench).await);
        findings.push(objects::copy_delete(&mut bench).await);
        findings.push(registry::clock(&mut bench).await);
        findings.push(objects::pace(&mut bench).await);
        let (checkpoint, head) = registry::checkpoint(self, &options.keys, absence).await;
        findings.push(checkpoint);
        if let Some(public) = public {
            findings.extend(public::examine(&mut bench, &public, &options.keys, head.as_ref()).await);
        }
        findings.push(bench.clean().await);
        Ok(Diagnosis { findings })
    }
}

/// A single writer can live with a store that ignores conditions.
fn forgive(finding: Finding, single_writer: bool) -> Finding {
    match finding.outcome {
        Outcome::Failed if single_writer => Finding { outcome: Outcome::Warning, ..finding },
        _ => finding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_for_many_writers_is_a_warning_for_one() {
        let check = finding::Check { id: "race", tried: "", breaks: "", remedy: "" };
        for (found, one, many) in [
            (check.failed(""), Outcome::Warning, Outcome::Failed),
            (check.ok(""), Outcome::Ok, Outcome::Ok),
            (check.skipped(""), Outcome::Skipped, Outcome::Skipped),
        ] {
            assert_eq!((forgive(found.clone(), true).outcome, forgive(found, false).outcome), (one, many));
        }
    }
}
