//! Misspelt names.
//!
//! A dictionary is good at what begins alike, and a mistake can be anywhere. So the names have a file of their own in a bundle, in
//! groups of those that have the same length and the same first letter: few enough to be fetched. Of a bundle that is at hand,
//! all of them are put into a table ([`Names`]). Those of about the same length that have about the same letters are few, and
//! both can be told from a number: so all names are passed by at the speed of memory, and only what is left is compared letter
//! by letter.
//!
//! Names are compared without what separates their words: that is no mistake.

use std::ops::{Range, RangeInclusive};

/// What the file is called.
pub(super) const FILE: &str = "names";

/// Another one, of the same form: the words of all names, and for each the first document that has it in its name.
pub(super) const WORDS: &str = "words";

/// The longest name that is looked for here, in characters.
pub(super) const LONGEST: usize = 40;

/// The longest that can be found: two mistakes more.
const KEPT: usize = LONGEST + 2;

/// The file of these names, without separators, and their documents.
///
/// For each group: length, first letter, and how many bytes it takes (as a [`number`](push)); a zero; and then the groups in this
/// order. In a group, for each name: how many letters it shares with the one before it, its other letters, its document.
pub(super) fn file(mut names: Vec<(String, u32)>) -> Vec<u8> {
    names.retain(|(name, _)| (1..=KEPT).contains(&name.len()));
    let group = |name: &str| (name.len(), name.as_bytes()[0]);
    names.sort_unstable_by(|a, b| (group(&a.0), &a.0, a.1).cmp(&(group(&b.0), &b.0, b.1)));
    let (mut head, mut groups) = (Vec::new(), Vec::new());
    for names in names.chunk_by(|a, b| group(&a.0) == group(&b.0)) {
        let (begin, mut last) = (groups.len(), "");
        for (name, document) in names {
            let shared = last.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
            push(&mut groups, shared as u64);
            groups.extend_from_slice(&name.as_bytes()[shared..]);
            push(&mut groups, u64::from(*document));
            last = name;
        }
        let (length, first) = group(&names[0].0);
        head.extend([length as u8, first]);
        push(&mut head, (groups.len() - begin) as u64);
    }
    head.push(0);
    head.extend(groups);
    head
}

/// Seven bits a byte, the lowest first; all but the last have the highest bit set.
fn push(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn pull(bytes: &mut &[u8]) -> Option<u64> {
    let mut out = 0;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        out |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(out);
        }
    }
    None
}

/// Where the groups of a file are.
#[derive(Debug, Default)]
pub(super) struct Groups(Vec<Group>);

/// Names of one length that begin alike.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) length: usize,
    first: u8,
    /// Where in the file.
    pub(super) range: Range<u64>,
}

impl Groups {
    /// The most that the head of a file can take.
    pub(super) const MOST: u64 = (KEPT as u64) * 256 * 7 + 1;

    /// Reads what a file of so many bytes begins with; `None` where it is none.
    pub(super) fn read(head: &[u8], size: u64) -> Option<Self> {
        let (mut rest, mut out, mut end) = (head, Vec::new(), 0);
        loop {
            let (length, more) = rest.split_first()?;
            rest = more;
            if *length == 0 {
                break;
            }
            let (first, more) = rest.split_first()?;
            rest = more;
            let bytes = pull(&mut rest)?;
            out.push(Group { length: usize::from(*length), first: *first, range: end..end + bytes });
            end += bytes;
        }
        let begin = (head.len() - rest.len()) as u64;
        out.iter_mut().for_each(|g| g.range = begin + g.range.start..begin + g.range.end);
        let sound = begin + end == size && out.iter().all(|g| g.length <= KEPT);
        sound.then_some(Self(out))
    }

    pub(super) fn all(&self) -> &[Group] {
        &self.0
    }

    /// The groups in which names can stand that are so many mistakes away, and not in the first letter.
    pub(super) fn near<'g>(&'g self, name: &str, mistakes: u8) -> impl Iterator<Item = &'g Group> + use<'g> {
        let (lengths, first) = (lengths(name, mistakes), bytes(name).first().copied());
        self.0.iter().filter(move |g| lengths.contains(&g.length) && Some(g.first) == first)
    }
}

impl Group {
    /// Hands out the names of the group, whose bytes these are; `None` where they are none.
    pub(super) fn names(&self, mut bytes: &[u8], mut each: impl FnMut(&[u8], u32)) -> Option<()> {
        let mut name = [0; KEPT];
        let name = name.get_mut(..self.length)?;
        while !bytes.is_empty() {
            let shared = usize::try_from(pull(&mut bytes)?).ok()?;
            let rest = name.get_mut(shared..)?;
            let (letters, more) = bytes.split_at_checked(rest.len())?;
            rest.copy_from_slice(letters);
            bytes = more;
            each(name, u32::try_from(pull(&mut bytes)?).ok()?);
        }
        Some(())
    }
}

/// Which lengths names may have that are so many mistakes away.
fn lengths(name: &str, mistakes: u8) -> RangeInclusive<usize> {
    let (length, mistakes) = (name.chars().count(), usize::from(mistakes));
    length.saturating_sub(mistakes)..=(length + mistakes).min(KEPT)
}

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
        let lengths = lengths(name, mistakes);
        let name = bytes(name);
        let (own, allowed) = (letters(&name), u32::from(mistakes) * 2);
        let mut out = Vec::new();
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

/// A name has no letters but those that are one byte: another one differs from all of them.
pub(super) fn bytes(name: &str) -> Vec<u8> {
    name.chars().map(|c| u8::try_from(c).unwrap_or(u8::MAX)).collect()
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
pub(super) fn is_near(a: &[u8], b: &[u8], mistakes: u8) -> bool {
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

    fn read_back(file: &[u8]) -> Option<Vec<(Vec<u8>, u32)>> {
        let groups = Groups::read(file, file.len() as u64)?;
        let mut out = Vec::new();
        for group in groups.all() {
            let range = usize::try_from(group.range.start).ok()?..usize::try_from(group.range.end).ok()?;
            group.names(file.get(range)?, |name, document| out.push((name.to_vec(), document)))?;
        }
        Some(out)
    }

    #[test]
    fn the_file_of_names_is_read_back_and_a_group_is_what_begins_alike() {
        let name = |n: &str, document| (n.to_owned(), document);
        let long = "l".repeat(KEPT + 1);
        let all =
            [name("redux", 3), name("react", 300_000), name("react", 1), name("vue", 2), name(&long, 9), name("", 8)];
        let file = file(all.to_vec());
        let expected = [("vue", 2), ("react", 1), ("react", 300_000), ("redux", 3)];
        assert_eq!(read_back(&file).unwrap(), expected.map(|(n, d)| (n.as_bytes().to_vec(), d)));
        let groups = Groups::read(&file, file.len() as u64).unwrap();
        let near = |n: &str, mistakes| groups.near(n, mistakes).map(|g| g.length).collect::<Vec<_>>();
        assert_eq!((near("raect", 1), near("rea", 1), near("rea", 2)), (vec![5], vec![], vec![5]));
        assert_eq!((near("fue", 1), near("", 2)), (vec![], vec![]));
        for cut in 0..file.len() {
            assert!(Groups::read(&file[..cut], file.len() as u64 - 1).is_none(), "{cut}");
        }
        assert!(read_back(&super::file(Vec::new())).unwrap().is_empty());
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
        fn no_bytes_of_a_file_of_names_make_it_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..60), names in prop::collection::vec(("[a-c]{1,6}", any::<u32>()), 0..9),
            flip in any::<(u16, u8)>(),
        ) {
            let mut good = file(names);
            read_back(&good).unwrap();
            let at = usize::from(flip.0) % good.len();
            good[at] ^= flip.1;
            let _ = read_back(&good);
            bytes.push(0);
            let _ = read_back(&bytes);
        }

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
