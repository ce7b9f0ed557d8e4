//! Whether a store keeps what the commit protocol asks of it, found out by trying.

use super::{Created, Store, store_error};
use crate::{
    Error, ErrorKind, Result,
    format::keys::{self, Class},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use object_store::{ObjectStoreExt, path::Path};

/// Writers that race for one key, and how often: few enough to take seconds, many enough that no store which merely looks
/// before it writes came through (invariant I13).
pub(crate) const RACE: (usize, usize) = (32, 20);

/// What a race for one key, run many times, came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Race {
    pub(crate) rounds: usize,
    /// Rounds in which not exactly one writer was told that it won, or another's bytes were kept than the winner's.
    pub(crate) unfair: usize,
    /// The most writers of one round that were told that they won.
    pub(crate) most_winners: usize,
    /// Requests without a clear answer.
    pub(crate) unclear: usize,
}

impl Store {
    /// Lets writers race to create one key, once for each of these keys; what it writes it takes away again.
    pub(crate) async fn race(&self, writers: usize, keys: &[String]) -> Result<Race> {
        let mut race = Race { rounds: keys.len(), ..Race::default() };
        for key in keys {
            let answers: Vec<Created> = stream::iter(0..writers)
                .map(|writer| {
                    let (store, key) = (self.clone(), key.clone());
                    // Tasks of their own, so that they are under way at the same time, and not one after the other.
                    async move {
                        let run = tokio::spawn(async move { store.put_new(&key, Class::Pointer, lot(writer)).await });
                        run.await.unwrap_or_else(|e| {
                            Created::Unknown(Error::new(ErrorKind::Io, "a writer broke off").with_source(e))
                        })
                    }
                })
                .buffered(writers)
                .collect()
                .await;
            let winners: Vec<_> = (0..writers).filter(|w| matches!(answers[*w], Created::Yes)).collect();
            race.unclear += answers.iter().filter(|a| matches!(a, Created::Unknown(_))).count();
            race.most_winners = race.most_winners.max(winners.len());
            let kept = self.probe_get(key).await?;
            // Without a clear answer, a winner may not know that it won.
            let known = answers.iter().all(|a| !matches!(a, Created::Unknown(_)));
            let fair = match winners.as_slice() {
                [winner] => kept == lot(*winner),
                [] => !known,
                _ => false,
            };
            race.unfair += usize::from(!fair);
            // Who may publish need not be allowed to delete; what stays is in nobody's way.
            if let Err(e) = self.inner.delete(&Path::from(key.as_str())).await {
                tracing::debug!("{key} stays: {e}");
            }
        }
        Ok(race)
    }

    async fn probe_get(&self, key: &str) -> Result<Bytes> {
        let failed = |e| store_error(self, "read", key, e);
        self.inner.get(&Path::from(key)).await.map_err(failed)?.bytes().await.map_err(failed)
    }

    /// Refuses a store in which two writers can both be told that they created an object.
    pub(crate) async fn require_fair(&self) -> Result<()> {
        if self.single_writer || !self.is_bucket() {
            return Ok(());
        }
        let folder = keys::probe_folder()?;
        let keys: Vec<_> = (0..RACE.1).map(|round| format!("{folder}/race-{round}")).collect();
        let race = self.race(RACE.0, &keys).await?;
        if race.unfair == 0 {
            return Ok(());
        }
        let message = format!(
            "{self} does not create objects atomically: of {} writers that raced for one key, up to {} were told that they \
             won ({} of {} rounds)",
            RACE.0, race.most_winners, race.unfair, race.rounds
        );
        Err(Error::new(ErrorKind::Invalid, message).with_hint(
            "jobs that publish at once would lose releases here; if only one job ever writes, say so: --single-writer",
        ))
    }
}

/// What a writer writes: no two the same.
fn lot(writer: usize) -> Bytes {
    format!("writer {writer}\n").into()
}
