//! Archives that are hosted elsewhere: one absolute URL each, on any host, and nothing trusted but the digest.

use super::{open::redact, read::checked};
use crate::{Error, ErrorKind, Result, package::Link};
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use std::{sync::OnceLock, time::Duration};

/// The bytes behind a URL as they come, hashed on the way; the last item is an error if they are not what the link says.
pub(crate) async fn stream_url(url: &str, link: Link) -> Result<BoxStream<'static, Result<Bytes>>> {
    let shown = redact(url);
    let unavailable = {
        let shown = shown.clone();
        move |e: reqwest::Error| {
            // The cause's own text repeats the URL, with what must not be shown.
            Error::new(ErrorKind::Unavailable, format!("cannot download {shown}")).with_source(e.without_url())
        }
    };
    let answer = client()?.get(url).send().await.map_err(&unavailable)?.error_for_status().map_err(&unavailable)?;
    let bytes = futures::stream::try_unfold(answer, move |mut answer| {
        let unavailable = unavailable.clone();
        async move { Ok(answer.chunk().await.map_err(unavailable)?.map(|bytes| (bytes, answer))) }
    });
    Ok(checked(bytes.boxed(), link, shown))
}

/// One client for all plain HTTP: it decompresses nothing, and follows no redirect from https to http.
pub(super) fn client() -> Result<&'static reqwest::Client> {
    static CLIENT: OnceLock<Result<reqwest::Client, String>> = OnceLock::new();
    let made = CLIENT.get_or_init(|| {
        super::http::install_tls();
        reqwest::Client::builder()
            .user_agent(concat!("ggen-market/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(20))
            .redirect(reqwest::redirect::Policy::custom(|attempt| {
                let downgrade = attempt.previous().last().is_some_and(|p| p.scheme() == "https")
                    && attempt.url().scheme() != "https";
                if attempt.previous().len() > 5 || downgrade {
                    attempt.error("too many redirects, or one from https to http")
                } else {
                    attempt.follow()
                }
            }))
            .build()
            .map_err(|e| e.to_string())
    });
    made.as_ref().map_err(|e| Error::new(ErrorKind::Io, "cannot start an HTTP client").with_source(e.clone()))
}
