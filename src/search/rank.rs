//! What a match is worth. All parts of a score are added up, so that each can be shown.

/// All words of the query, found in the text once each, are worth so much.
const TEXT: f32 = 6.0;
/// All words of the query, found in the name, are worth so much more.
const IN_NAME: f32 = 2.0;
/// Every word found somewhere, beyond what each is worth by itself.
const COMPLETE: f32 = 3.0;
/// Twice the downloads, for what answers the whole query.
const DOUBLING: f32 = 4.0;
/// How quickly that falls for what answers a part of it: as the part to this power.
const PARTLY: f32 = 0.3;
/// Behind everything that can still be chosen.
const YANKED: f32 = -10_000.0;

/// An answer covers at least this part of the query's words, weighed by how rare they are.
pub(super) const COVERAGE: f32 = 0.45;

/// How a name as a whole answers the query as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NameMatch {
    /// It is another one, so many mistakes away.
    Typo(u8),
    /// It begins so.
    Prefix,
    /// It is the same but for separators.
    Squashed,
    Exact,
}

impl NameMatch {
    fn worth(self) -> f32 {
        match self {
            // More than any standing: 64 doublings.
            Self::Exact => 600.0,
            Self::Squashed => 300.0,
            Self::Prefix => 10.0,
            Self::Typo(mistakes) => 8.0 - 2.0 * f32::from(mistakes),
        }
    }
}

/// The parts of a score.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Score {
    pub(super) text: f32,
    pub(super) in_name: f32,
    pub(super) complete: f32,
    pub(super) name: f32,
    pub(super) standing: f32,
    pub(super) yanked: f32,
}

impl Score {
    pub(super) fn total(&self) -> f32 {
        self.text + self.in_name + self.complete + self.name + self.standing + self.yanked
    }

    /// The parts that count for something, with what they are called.
    pub(super) fn parts(&self) -> Vec<(&'static str, f32)> {
        let all = [
            ("name", self.name),
            ("words in the name", self.in_name),
            ("words in the text", self.text),
            ("every word", self.complete),
            ("downloads and age", self.standing),
            ("yanked", self.yanked),
        ];
        all.into_iter().filter(|(_, worth)| *worth != 0.0).collect()
    }
}

/// What the words of a query weigh against each other.
pub(super) struct Weights {
    /// For each word, its part of the whole; they sum up to 1.
    pub(super) share: Vec<f32>,
}

impl Weights {
    /// By how many of so many documents have each word: BM25's inverse document frequency.
    pub(super) fn new(documents: u64, frequencies: &[u64]) -> Self {
        let n = documents as f32;
        let idf = |df: u64| (1.0 + (n - df as f32 + 0.5).max(0.0) / (df as f32 + 0.5)).ln();
        let all: Vec<f32> = frequencies.iter().map(|df| idf(*df).max(0.01)).collect();
        let sum: f32 = all.iter().sum::<f32>().max(f32::MIN_POSITIVE);
        Self { share: all.into_iter().map(|w| w / sum).collect() }
    }
}

/// What a word is worth that the index has so often in a text: BM25's saturation, without regard to length, since a summary is
/// short. From two on it stands there so often or once less, since the number tells also whether it is in the name.
pub(super) struct Saturation([f32; 17]);

impl Saturation {
    pub(super) fn new(share: f32) -> Self {
        Self(std::array::from_fn(|times| {
            let tf = if times < 2 { times as f32 } else { times as f32 - 0.5 };
            share * (tf * 2.2 / (tf + 1.2))
        }))
    }

    pub(super) fn of(&self, frequency: u32) -> f32 {
        self.0[frequency.min(16) as usize]
    }
}

/// How a package stands without regard to the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) steps: u16,
    pub(super) yanked: bool,
}

/// What one document matches.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Match {
    some: bool,
    coverage: f32,
    text: f32,
    in_name: f32,
    pub(super) name: Option<NameMatch>,
}

impl Match {
    /// `words` has a bit for each word of the query that it has anywhere.
    pub(super) fn new(mut words: u32, text: f32, in_name: f32, weights: &Weights) -> Self {
        let (some, mut coverage) = (words != 0, 0.0);
        while words != 0 {
            coverage += weights.share[words.trailing_zeros() as usize];
            words &= words - 1;
        }
        Self { some, coverage, text, in_name, name: None }
    }

    pub(super) fn is_answer(&self) -> bool {
        self.name.is_some() || self.coverage >= COVERAGE
    }

    /// How much of the query it answers: what stands well counts only as far as it is an answer.
    fn relevance(&self) -> f32 {
        if self.name.is_some() || !self.some { 1.0 } else { self.coverage.min(1.0).powf(PARTLY) }
    }

    /// No score is higher. Cheaper than the score.
    pub(super) fn most(&self, standing: Standing) -> f32 {
        self.parts(standing, 1.0).total()
    }

    pub(super) fn score(&self, standing: Standing) -> Score {
        self.parts(standing, self.relevance())
    }

    fn parts(&self, standing: Standing, relevance: f32) -> Score {
        Score {
            text: TEXT * self.text * self.coverage,
            in_name: IN_NAME * self.in_name,
            complete: if self.coverage > 0.999 { COMPLETE } else { 0.0 },
            name: self.name.map_or(0.0, NameMatch::worth),
            standing: DOUBLING * f32::from(standing.steps) / 32.0 * relevance,
            yanked: if standing.yanked { YANKED } else { 0.0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_words_weigh_more_and_all_of_them_one() {
        let weights = Weights::new(1000, &[900, 10, 0]);
        assert!(weights.share[0] < weights.share[1] && weights.share[1] < weights.share[2]);
        assert!((weights.share.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert_eq!(Weights::new(0, &[]).share, [0.0; 0]);
    }

    #[test]
    fn names_are_worth_more_the_nearer_they_are() {
        let order = [NameMatch::Typo(2), NameMatch::Typo(1), NameMatch::Squashed, NameMatch::Exact];
        assert!(order.is_sorted_by(|a, b| a.worth() < b.worth()));
        let most = Match { name: None, ..Match::default() };
        assert!(!most.is_answer());
    }
}
