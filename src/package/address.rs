//! How a dependency names a registry: by its origin, by an address of it, or by that of Cargo's index there, which Cargo writes
//! into what it packages.

/// What such a text may mean, the likeliest first: itself, and the registry whose folder `cargo/` it is.
pub(crate) fn meanings(named: &str) -> impl Iterator<Item = &str> {
    let bare = bare(named);
    std::iter::once(bare).chain(bare.strip_suffix("/cargo"))
}

/// Whether an address is that of the registry with this origin, which is found at these. An origin is the registry's address
/// without `https://`, as its operator chose it: so that one is known to every reader, wherever he reads a copy.
pub(crate) fn is_of(address: &str, origin: &str, addresses: &[String]) -> bool {
    address.strip_prefix("https://").unwrap_or(address) == origin || addresses.iter().any(|a| bare(a) == address)
}

/// An address without what different programs put around it.
fn bare(address: &str) -> &str {
    address.strip_prefix("sparse+").unwrap_or(address).trim_end_matches('/')
}
