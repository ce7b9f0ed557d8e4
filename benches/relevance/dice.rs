//! Random choices that are the same everywhere.

pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    /// One letter left out, put in, replaced or exchanged with the next one.
    pub(crate) fn misspelt(&mut self, name: &str) -> String {
        loop {
            let mut letters: Vec<char> = name.chars().collect();
            let at = self.below(letters.len());
            let letter = char::from(b'a' + self.below(26) as u8);
            match self.below(4) {
                0 => drop(letters.remove(at)),
                1 => letters.insert(at, letter),
                2 => letters[at] = letter,
                _ if at + 1 < letters.len() => letters.swap(at, at + 1),
                _ => continue,
            }
            let out: String = letters.into_iter().collect();
            if out != name {
                return out;
            }
        }
    }
}
