//! Putting while the scan still goes on. What is new is known before the end of a scan in one case, which is the one where
//! most is put: in an empty registry everything is. So the store takes archives while the processor reads others, and takes
//! the bytes that were hashed, which need not be read again.
//!
//! An early put changes nothing about the order of a commit: archives go before all that cites them (I1), and
//! whatever was not put early is put by the commit. What of it turns out not to be cited (of two archives that claim to be
//! one release, the second is refused) is garbage, as what an interrupted run leaves behind.

use super::{put::Session, registry::Registry};
use crate::{
    Result,
    package::Link,
    store::{Payload, Store, is_hashed_beside},
};
use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{OwnedSemaphorePermit, mpsc},
};

/// An archive that is ready, with the room that it takes in memory.
type Ready = (Link, Bytes, OwnedSemaphorePermit);

/// The scan's end of it.
pub(super) struct Early {
    store: Store,
    ready: mpsc::UnboundedSender<Ready>,
    /// Where to wait for room; nothing on a runtime of one thread, which scans on the thread that would put.
    runtime: Option<Handle>,
}

impl Early {
    /// Hands an archive over, when there is room. It may wait on a thread of the CPU pool, because no early put needs that pool:
    /// what would be hashed there, where it is in the store already, is not taken.
    /// What finds no room, or nobody who puts any more, is left to the commit.
    pub(super) fn offer(&self, (link, bytes): (Link, Bytes)) {
        if is_hashed_beside(link.size) {
            return;
        }
        let room = match &self.runtime {
            Some(runtime) => runtime.block_on(self.store.take_room(link.size)).ok(),
            None => self.store.try_room(link.size),
        };
        if let Some(room) = room {
            // Nobody puts any more when the run is over.
            let _ = self.ready.send((link, bytes, room));
        }
    }
}

/// The other end: what is to be put. The room in memory bounds it.
pub(super) struct Waiting(mpsc::UnboundedReceiver<Ready>);

/// Both ends.
pub(super) fn early(store: &Store) -> (Early, Waiting) {
    let (ready, waiting) = mpsc::unbounded_channel();
    let runtime = Handle::current();
    let runtime = Some(runtime).filter(|r| r.runtime_flavor() != RuntimeFlavor::CurrentThread);
    (Early { store: store.clone(), ready, runtime }, Waiting(waiting))
}

impl Registry {
    /// Puts what comes, many at a time, until the scan is over and all of it is stored.
    pub(super) async fn put_early(&self, mut waiting: Waiting, session: &mut Session) -> Result<()> {
        let now = session.now();
        let (mut running, mut open) = (FuturesUnordered::new(), true);
        loop {
            tokio::select! {
                ready = waiting.0.recv(), if open && running.len() < self.store.puts_at_once() => match ready {
                    Some((link, bytes, room)) if session.is_first(&link) => running.push(async move {
                        let put = self.store.put_linked(&link, Payload::Bytes(bytes), now).await;
                        drop(room);
                        put.map(|put| (link, put))
                    }),
                    Some(_) => {}
                    None => open = false,
                },
                Some(done) = running.next() => {
                    let (link, put) = done?;
                    session.note(&link, put);
                }
                else => return Ok(()),
            }
        }
    }
}
