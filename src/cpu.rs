//! The only bridge between tokio and rayon: work that burns a core (hashing, compression, parsing a large object, building
//! the tree) runs on rayon's pool, and the task that asked for it waits without holding a thread of tokio's.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs `work` on rayon's pool and waits for it. A panic in `work` goes on in the caller.
///
/// On a runtime of a single thread it runs in place: whoever chose such a runtime wants one thing to happen after the other,
/// and gets the same order of events every time.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return work();
    }
    let (tx, rx) = tokio::sync::oneshot::channel();
    rayon::spawn(move || {
        let out = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        // The receiver is gone when the caller was cancelled: then nobody wants the answer.
        let _ = tx.send(out);
    });
    match rx.await {
        Ok(Ok(out)) => out,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        // The closure above always sends; only a torn-down pool drops it.
        Err(_) => panic!("the thread pool was shut down while work was waiting"),
    }
}
