//! Misspelt names, of a bundle that is at hand: all its names in memory, in an order that leaves few to be compared.
//!
//! A dictionary is good at what begins alike, and a mistake can be anywhere. Names of about the same length that have about
//! the same letters are few, and both can be told from a number: so all names are passed by at the speed of memory, and only
//! what is left is compared letter by letter.

/// The longest name that is looked for here, in characters.
pub(super) const LONGEST: usize = 40;

/// The longest that can be found: two mistakes more.
const KEPT: usize = LONGEST + 2;

/// The names of a bundle.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Which letters a name has; names are in the order of their lengths.
    letters: Vec<u64>,
    documents: Vec<u32>,
    /// Names of `n` bytes are those from `begin[n]` on.
    begin: Vec<usize>,
    /// The bytes of all names, one behind another.
    bytes: Vec<u8>,
    /// Where in `bytes` the names of `n` bytes begin.
    at: Vec<usize>,
}

impl Names {
    /// Of what `each` adds: names, and the documents that have them.
    pub(super) fn gather<E>(each: impl FnOnce(&mut dyn FnMut(&[u8], u32)) -> Result<(), E>) -> Result<Self, E> {
        let mut by_length: Vec<(Vec<u8>, Vec<u32>)> = vec![Default::default(); KEPT + 1];
        each(&mut |name, document| {
            // Longer ones are not looked for.
            if let Some((bytes, documents)) = by_length.get_mut(name.len()) {
                bytes.extend_from_slice(name);
                documents.push(document);
            }
        })?;
        let mut out = Self::default();
        for (length, (bytes, documents)) in by_length.into_iter().enumerate() {
            out.begin.push(out.documents.len());
            out.at.push(out.bytes.len());
            out.letters.extend((0..documents.len()).map(|i| letters(&bytes[i * length..(i + 1) * length])));
            out.documents.extend(documents);
            out.bytes.extend(bytes);
        }
        out.begin.push(out.documents.len());
        Ok(out)
    }

    /// The documents whose names are at most so many mistakes away, in the order of their numbers, each once.
    pub(super) fn near(&self, name: &str, mistakes: u8) -> Vec<u32> {
        // A name has no letters but these: another one differs from all of them.
        let name: Vec<u8> = name.chars().map(|c| u8::try_from(c).unwrap_or(u8::MAX)).collect();
        let (own, allowed) = (letters(&name), u32::from(mistakes) * 2);
        let mut out = Vec::new();
        let lengths = name.len().saturating_sub(mistakes.into())..=(name.len() + usize::from(mistakes)).min(KEPT);
        for length in lengths {
            let (from, to) = (self.begin[length], self.begin[length + 1]);
            for (i, letters) in self.letters[from..to].iter().enumerate() {
                if (letters ^ own).count_ones() <= allowed {
                    let at = self.at[length] + i * length;
                    if is_near(&self.bytes[at..at + length], &name, mistakes) {
                        out.push(self.documents[from + i]);
                    }
                }
            }
        }
        out.sort_unstable();
        out.dedup();
        out
    }
}

/// A bit for each letter that occurs, and one for each that occurs again: a letter more or less changes one of them.
fn letters(name: &[u8]) -> u64 {
    let mut out = 0u64;
    for byte in name {
        let (first, again) = match byte {
            b'a'..=b'z' => (byte - b'a', Some(26 + byte - b'a')),
            b'0'..=b'9' => (52 + (byte - b'0') % 8, None),
            b'-' => (60, Some(61)),
            b'.' => (62, None),
            _ => (63, None),
        };
        let again = again.filter(|_| out >> first & 1 == 1);
        out |= 1 << again.unwrap_or(first);
    }
    out
}

/// Whether so many mistakes make one of the other: a letter left out, put in or replaced, or two neighbours exchanged.
fn is_near(a: &[u8], b: &[u8], mistakes: u8) -> bool {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[same..], &b[same..]);
    if a.len().abs_diff(b.len()) > usize::from(mistakes) {
        return false;
    }
    let (Some((first, rest)), Some((other, others))) = (a.split_first(), b.split_first()) else { return true };
    let Some(left) = mistakes.checked_sub(1) else { return false };
    let exchanged = rest.first() == Some(other) && others.first() == Some(first);
    is_near(rest, others, left)
        || is_near(rest, b, left)
        || is_near(a, others, left)
        || exchanged && is_near(&rest[1..], &others[1..], left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(all: &[&str]) -> Names {
        let each = |add: &mut dyn FnMut(&[u8], u32)| {
            all.iter().zip(0..).for_each(|(name, document)| add(name.as_bytes(), document));
            Ok::<_, std::convert::Infallible>(())
        };
        Names::gather(each).unwrap()
    }

    /// The distance by the textbook: a table of all beginnings.
    fn distance(a: &[u8], b: &[u8]) -> usize {
        let mut d = vec![vec![0; b.len() + 1]; a.len() + 1];
        for i in 0..=a.len() {
            for j in 0..=b.len() {
                d[i][j] = match (i, j) {
                    (i, 0) => i,
                    (0, j) => j,
                    _ => {
                        let same = usize::from(a[i - 1] != b[j - 1]);
                        let mut least = (d[i - 1][j - 1] + same).min(d[i - 1][j] + 1).min(d[i][j - 1] + 1);
                        if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                            least = least.min(d[i - 2][j - 2] + 1);
                        }
                        least
                    }
                };
            }
        }
        d[a.len()][b.len()]
    }

    #[test]
    fn names_that_are_one_or_two_mistakes_away_are_found() {
        let all = names(&["react", "redux", "raect", "reactt", "eact", "react", "commander", "x", &"l".repeat(43)]);
        assert_eq!(all.near("react", 0), [0, 5]);
        assert_eq!(all.near("react", 1), [0, 2, 3, 4, 5]);
        assert_eq!(all.near("réact", 1), [0, 5]);
        assert_eq!(all.near("komandder", 1), [0; 0]);
        assert_eq!(all.near("komandder", 2), [0; 0]);
        assert_eq!(all.near("komander", 2), [6]);
        assert_eq!(all.near("", 1), [7]);
        assert_eq!(all.near(&"l".repeat(LONGEST), 2), [0; 0]);
        assert_eq!(names(&[]).near("react", 2), [0; 0]);
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_the_textbook_says(
            all in prop::collection::vec("[ab1-]{0,7}|[a-d.]{3,12}", 1..40), name in "[ab1-]{0,7}|[a-e.]{3,12}", mistakes in 0..3u8,
        ) {
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            let near = |n: &&str| distance(n.as_bytes(), name.as_bytes()) <= mistakes.into();
            let expected: Vec<u32> = all.iter().zip(0..).filter(|(n, _)| near(n)).map(|(_, i)| i).collect();
            prop_assert_eq!(names(&all).near(&name, mistakes), expected);
        }
    }
}
