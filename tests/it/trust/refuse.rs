//! What has to be refused.

use super::*;
use ggen_marketplace::{
    Error, ErrorKind,
    trust::{KeyError, MAX_GENERATION, NoteError, TrustError},
};
use proptest::prelude::*;

fn open(bytes: impl Into<Vec<u8>>) -> Result<Checkpoint, TrustError> {
    Checkpoint::open(Bytes::from(bytes.into()), &pinned())
}

fn open_slot(bytes: impl Into<Vec<u8>>, generation: u64) -> Result<Slot, TrustError> {
    Slot::open(Bytes::from(bytes.into()), &pinned(), generation)
}

fn kind(e: TrustError) -> ErrorKind {
    Error::from(e).kind()
}

/// The signature line of `note`, with its line end.
fn line_of(note: &[u8]) -> String {
    let whole = std::str::from_utf8(note).unwrap();
    whole[whole.rfind("\n\n").unwrap() + 2..].to_owned()
}

#[test]
fn every_single_flipped_bit_of_a_checkpoint_or_slot_is_refused() {
    let newest = chain(2).pop().unwrap();
    for (bytes, is_slot) in [(newest.bytes(), false), (newest.slot().bytes(), true)] {
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            let refused = if is_slot { open_slot(changed, 1).is_err() } else { open(changed).is_err() };
            assert!(refused, "bit {} of byte {} ({:?})", bit % 8, bit / 8, char::from(bytes[bit / 8]));
        }
    }
}

#[test]
fn every_truncation_of_a_checkpoint_or_slot_is_refused() {
    let newest = chain(2).pop().unwrap();
    for end in 0..newest.bytes().len() {
        assert!(open(&newest.bytes()[..end]).is_err(), "{end} bytes");
    }
    for end in 0..newest.slot().bytes().len() {
        assert!(open_slot(&newest.slot().bytes()[..end], 1).is_err(), "{end} bytes");
    }
}

#[test]
fn t07_t08_unsigned_texts_are_refused() {
    let newest = chain(1).pop().unwrap();
    let text = text_of(newest.bytes());
    // Its end is the slot's signature, which is good for another text.
    assert!(matches!(open(text.clone()), Err(TrustError::Note(NoteError::Bad(_)))));
    assert!(matches!(open(format!("{text}\n")), Err(TrustError::Note(_))));
    let claim = text_of(newest.slot().bytes());
    for unsigned in [claim.clone(), format!("{claim}\n"), format!("{claim}\n\n")] {
        assert!(matches!(open_slot(unsigned, 0), Err(TrustError::Note(NoteError::Unsigned))));
    }
}

#[test]
fn t11_a_slot_of_another_generation_than_its_place_is_refused() {
    let newest = chain(2).pop().unwrap();
    let e = open_slot(newest.slot().bytes().to_vec(), 2).unwrap_err();
    assert_eq!(e.to_string(), "the claim is of generation 1, not 2");
    let moved = text_of(newest.bytes()).replacen("\n1\n", "\n2\n", 1);
    assert!(matches!(open(signed(&moved)), Err(TrustError::WrongGeneration { expected: 2, found: 1, .. })));
}

#[test]
fn i18_t23_a_statement_of_one_kind_is_not_taken_for_another() {
    let newest = chain(1).pop().unwrap();
    assert!(matches!(open(newest.slot().bytes().to_vec()), Err(TrustError::Domain { expected: "checkpoint", .. })));
    assert!(matches!(open_slot(newest.bytes().to_vec(), 0), Err(TrustError::Domain { expected: "claim", .. })));
    for first in ["ggen-market/checkpoint/v0", "ggen-market/checkpoint/v01", "ggen-market/checkpoint/v", "", "x"] {
        let other = text_of(newest.bytes()).replacen("ggen-market/checkpoint/v1", first, 1);
        assert!(matches!(open(signed(&other)), Err(TrustError::Domain { .. })), "{first:?}");
    }
}

#[test]
fn a_newer_version_asks_for_an_upgrade_but_only_when_it_is_signed() {
    let newest = chain(1).pop().unwrap();
    let checkpoint = text_of(newest.bytes()).replacen("checkpoint/v1", "checkpoint/v2", 1);
    let claim = text_of(newest.slot().bytes()).replacen("claim/v1", "claim/v2", 1) + "anything\n";
    assert_eq!(kind(open(signed(&checkpoint)).unwrap_err()), ErrorKind::Unsupported);
    assert_eq!(kind(open_slot(signed(&claim), 0).unwrap_err()), ErrorKind::Unsupported);
    let forged = format!("{checkpoint}\n{}", line_of(newest.bytes()));
    assert_eq!(kind(open(forged).unwrap_err()), ErrorKind::Untrusted);
}

#[test]
fn i18_one_key_under_two_names_is_two_keys() {
    // The same 32 secret bytes named after a staging registry: its checkpoints are not those of the real one.
    let seed = SECRET.rsplit('+').next().unwrap();
    let theirs = ggen_marketplace::trust::Origin::clone(&"staging.example.com".parse().unwrap());
    let hash = {
        let mut public = vec![1u8];
        let line = key().verifier().to_string();
        public.splice(.., base64_decode(line.rsplit('+').next().unwrap()));
        hex_of(&Sha256::of(&[b"staging.example.com\n", &public[..]].concat()).0[..4])
    };
    let staging = SigningKey::from_secret_text(&format!("PRIVATE+KEY+{theirs}+{hash}+{seed}")).unwrap();
    let claim = Claim { origin: theirs, ..claim(None, 0) };
    let replayed = Checkpoint::sign(&claim.sign(&staging).unwrap(), &staging).unwrap();
    assert!(matches!(open(replayed.bytes().to_vec()), Err(TrustError::Note(NoteError::UnknownKeys { .. }))));
    // Not even when the name on the signature line is changed: the hash binds it.
    let renamed = String::from_utf8(replayed.bytes().to_vec())
        .unwrap()
        .replace("\u{2014} staging.example.com", "\u{2014} packages.example.com/main");
    assert!(matches!(open(renamed), Err(TrustError::Note(NoteError::UnknownKeys { .. }))));
    // And a text that names another origin is refused though the right key signed it.
    let other = text_of(chain(1)[0].bytes()).replace("packages.example.com/main\n", "staging.example.com\n");
    assert!(matches!(open(signed(&other)), Err(TrustError::WrongOrigin { .. })));
    let other = text_of(chain(1)[0].slot().bytes()).replace("packages.example.com/main\n", "staging.example.com\n");
    assert!(matches!(open_slot(signed(&other), 0), Err(TrustError::WrongOrigin { .. })));
}

fn base64_decode(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn keys_of_two_registries_cannot_stand_in_for_each_other() {
    let other = SigningKey::generate("other.example".parse().unwrap()).unwrap();
    let newest = chain(1).pop().unwrap();
    let both = [key().verifier().clone(), other.verifier().clone()];
    assert_eq!(Checkpoint::open(newest.bytes().clone(), &both), Err(TrustError::Keys));
    assert_eq!(Checkpoint::open(newest.bytes().clone(), &[]), Err(TrustError::Keys));
    assert_eq!(Slot::open(newest.slot().bytes().clone(), &both, 0), Err(TrustError::Keys));
    // A key of one origin signs no claim of another.
    assert!(matches!(claim(None, 0).sign(&other), Err(TrustError::WrongOrigin { .. })));
}

#[test]
fn i19_t36_t37_duplicates_never_count_twice() {
    let newest = chain(1).pop().unwrap();
    let line = line_of(newest.bytes());
    let twice = format!("{}{line}", std::str::from_utf8(newest.bytes()).unwrap());
    let keys = [pinned(), pinned()].concat();
    let opened = Note::open(twice.as_bytes(), &keys).unwrap();
    assert_eq!((opened.signers.len(), opened.lines), (1, 2));
    // In a slot even a second unknown line is too much: it would make a second slot out of the first.
    let slot = std::str::from_utf8(newest.slot().bytes()).unwrap();
    for extra in [line_of(newest.slot().bytes()), "\u{2014} witness.example AAAAAAA=\n".into()] {
        assert!(matches!(open_slot(format!("{slot}{extra}"), 0), Err(TrustError::Malformed { what: "slot", .. })));
    }
}

#[test]
fn t38_an_unknown_bad_signature_is_ignored_and_a_known_bad_one_refuses() {
    let newest = chain(1).pop().unwrap();
    let good = std::str::from_utf8(newest.bytes()).unwrap();
    open(format!("{good}\u{2014} witness.example AAAAAAA=\n")).unwrap();
    let bad = line_of(newest.slot().bytes());
    for note in
        [format!("{good}{bad}"), good.replace(&line_of(newest.bytes()), &format!("{bad}{}", line_of(newest.bytes())))]
    {
        assert!(matches!(open(note), Err(TrustError::Note(NoteError::Bad(_)))));
    }
    // Name and hash are known, the signature has a wrong length.
    let id: Vec<u8> =
        (0..4).map(|i| u8::from_str_radix(&key().verifier().id().to_string()[i * 2..][..2], 16).unwrap()).collect();
    let short = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode([&id[..], b"x"].concat())
    };
    assert!(matches!(
        open(format!("{good}\u{2014} {} {short}\n", key().origin())),
        Err(TrustError::Note(NoteError::Bad(_)))
    ));
}

#[test]
fn t06_another_key_is_not_this_key() {
    let other = SigningKey::generate(key().origin().clone()).unwrap();
    let slot = claim(None, 0).sign(&other).unwrap();
    let theirs = Checkpoint::sign(&slot, &other).unwrap();
    let e = open(theirs.bytes().to_vec()).unwrap_err();
    assert!(e.to_string().contains(&other.verifier().id().to_string()), "{e}");
    assert!(Error::from(e).hint().unwrap().contains("pinned key"));
    // A slot of one key is not signed over by another, and such a checkpoint is refused though both keys are pinned.
    assert_eq!(Checkpoint::sign(&slot, &key()), Err(TrustError::OtherKey));
    let mixed = signed(&text_of(theirs.bytes()));
    let both = [key().verifier().clone(), other.verifier().clone()];
    assert_eq!(Checkpoint::open(mixed, &both), Err(TrustError::OtherKey));
    // A rotation pins both for a while.
    Checkpoint::open(theirs.bytes().clone(), &both).unwrap();
}

#[test]
fn a_checkpoint_whose_slot_is_not_the_one_it_names_is_refused() {
    let c = chain(3);
    let (one, two) = (c[1].slot(), c[2].slot());
    let text = text_of(c[1].bytes());
    let swapped = text.replace(std::str::from_utf8(one.bytes()).unwrap(), std::str::from_utf8(two.bytes()).unwrap());
    assert_eq!(open(signed(&swapped)), Err(TrustError::SlotDigest));
    let both = swapped.replacen(&one.digest().to_string(), &two.digest().to_string(), 1);
    assert!(matches!(open(signed(&both)), Err(TrustError::WrongGeneration { .. })));
    assert!(matches!(open(signed(&text.replacen("\n1\n", "\n01\n", 1))), Err(TrustError::Malformed { .. })));
    assert!(matches!(open(signed(&text.replacen("\n1\n", "\n+1\n", 1))), Err(TrustError::Malformed { .. })));
    assert!(open(signed(&text.replacen("\n\n", "\nx\n", 1))).is_err());
    assert!(open(signed(&format!("{text}x\n"))).is_err());
    // A slot that nobody signed, in a checkpoint that is signed.
    let unsigned = text_of(one.bytes());
    let head: String = text.lines().take(3).map(|l| format!("{l}\n")).collect();
    let bare = format!("{head}{}\n\n{unsigned}", Sha256::of(unsigned.as_bytes()));
    assert!(matches!(open(signed(&bare)), Err(TrustError::Note(NoteError::Unsigned))));
}

#[test]
fn a_claim_has_one_spelling() {
    let text = text_of(chain(2)[1].slot().bytes());
    open_slot(signed(&text), 1).unwrap();
    let digest = Sha256::of(&1u64.to_be_bytes()).to_string();
    for (from, to) in [
        ("generation 1", "generation 01"),
        ("generation 1", "generation +1"),
        ("generation 1", "generation 1 "),
        ("generation 1", "generation  1"),
        ("generation 1", "Generation 1"),
        (" 300 900", " 0300 900"),
        (" 300 900", " 300"),
        (" 300 900", " 300 900 1"),
        (" 300 900", " 300 none"),
        (" 300 900", " 300 18446744073709551616"),
        (&digest, &digest.to_uppercase()),
        ("nonce 0909", "nonce 090"),
        ("nonce 09", "nonce 0G"),
        ("nonce ", "nonce 00"),
        ("T16:20:57Z", "T16:20:57+00:00"),
        ("T16:20:57Z", "T16:20:60Z"),
        ("time ", "time -"),
        ("previous ", "previous none"),
        ("packages.example.com/main", "packages.example.com/main/"),
        ("\ntime", "\n\ntime"),
        ("\nnonce", "\nextra 1\nnonce"),
    ] {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text, "{from:?} is not in the claim");
        let e = open_slot(signed(&other), 1).unwrap_err();
        assert!(matches!(e, TrustError::Malformed { what: "claim", .. }), "{from:?} -> {to:?}: {e:?}");
    }
    let more = format!("{text}extra 1\n");
    assert!(
        matches!(open_slot(signed(&more), 1), Err(TrustError::Malformed { .. })),
        "t18: there is no room to add to"
    );
    let nonce = text.replacen("nonce 0909", "nonce 0A09", 1);
    assert!(open_slot(signed(&nonce), 1).is_err());
}

#[test]
fn i06_rules_of_a_claim_hold_for_writers_and_readers() {
    let first = claim(None, 0).sign(&key()).unwrap();
    let later = claim(Some(&first), 1);
    let broken = [
        Claim { previous: None, ..later.clone() },
        Claim { previous: Some(first.digest()), ..claim(None, 0) },
        Claim { expires: later.time, ..later.clone() },
        Claim { expires: at(-100), ..later.clone() },
        Claim { generation: MAX_GENERATION + 1, ..later.clone() },
        Claim { snapshot: Link { raw: None, ..later.snapshot }, ..later.clone() },
    ];
    for claim in broken {
        assert!(matches!(claim.sign(&key()), Err(TrustError::Unsignable(_))), "{claim:?}");
    }
    let text = text_of(later.sign(&key()).unwrap().bytes());
    for (from, to, generation) in [
        (format!("previous {}", first.digest()), "previous none".to_owned(), 1),
        ("generation 1\n".into(), "generation 0\n".into(), 0),
        ("generation 1\n".into(), format!("generation {}\n", MAX_GENERATION + 1), MAX_GENERATION + 1),
        (format!("expires {}", later.expires), format!("expires {}", later.time), 1),
    ] {
        let e = open_slot(signed(&text.replacen(&from, &to, 1)), generation).unwrap_err();
        assert!(matches!(e, TrustError::Malformed { what: "claim", .. }), "{to}: {e:?}");
    }
    let last = Claim { generation: MAX_GENERATION, ..later }.sign(&key()).unwrap();
    assert_eq!(last.next_generation(), Err(TrustError::LastGeneration));
    assert_eq!(first.next_generation(), Ok(1));
}

#[test]
fn i26_limits_of_a_note() {
    let big = format!("{}\n", "x".repeat(17_000));
    assert!(matches!(Note::sign(&big, &key()), Err(NoteError::TooLarge(_))));
    assert!(matches!(open(vec![b'x'; 16_385]), Err(TrustError::Note(NoteError::TooLarge(16_385)))));
    let newest = chain(1).pop().unwrap();
    let good = std::str::from_utf8(newest.bytes()).unwrap();
    let others = |n: usize| (0..n).map(|i| format!("\u{2014} w{i} AAAAAAA=\n")).collect::<String>();
    open(format!("{good}{}", others(15))).unwrap();
    assert!(matches!(open(format!("{good}{}", others(16))), Err(TrustError::Note(NoteError::TooManySignatures))));
}

#[test]
fn a_note_has_one_form() {
    let newest = chain(1).pop().unwrap();
    let good = std::str::from_utf8(newest.bytes()).unwrap();
    for bad_line in [
        "\u{2014} w AAAAAAA\n",  // no padding
        "\u{2014} w AAAAAAB=\n", // bits left over
        "\u{2014} w AAAAAA==\n", // a hash and no signature
        "\u{2014} w AAAA AAA=\n",
        "\u{2014} w\n",
        "\u{2014}  AAAAAAA=\n",
        "\u{2014} w+x AAAAAAA=\n",
        "\u{2014} w\u{a0}x AAAAAAA=\n",
        "- w AAAAAAA=\n",
        "\u{2014}\u{a0}w AAAAAAA=\n",
        "\u{2014} w AAAAAA_=\n",
        "junk\n",
        "\n",
        " \n",
        "\u{2014} w AAAAAAA=", // no line end
    ] {
        assert!(matches!(open(format!("{good}{bad_line}")), Err(TrustError::Note(_))), "{bad_line:?}");
    }
    for bad in
        [good.replace('\n', "\r\n"), format!("\u{feff}{good}"), good.replacen("v1", "v1\0", 1), format!(" {good}")]
    {
        assert!(open(bad).is_err());
    }
    let mut not_utf8 = newest.bytes().to_vec();
    not_utf8.insert(3, 0xff);
    assert!(matches!(open(not_utf8), Err(TrustError::Note(NoteError::NotText))));
    let page = open("<!doctype html>\n<title>Log in</title>\n").unwrap_err();
    assert!(Error::from(page).hint().unwrap().contains("login page"));
}

#[test]
fn t04_t05_a_key_that_is_none_is_refused_with_what_to_do() {
    let good = key().verifier().to_string();
    assert_eq!(&format!(" {good}\n").parse::<VerifierKey>().unwrap(), key().verifier());
    let (name, rest) = good.split_once('+').unwrap();
    let (hash, base64) = rest.split_once('+').unwrap();
    let small_order = "AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"; // the neutral element
    for (bad, error) in [
        (String::new(), KeyError::VerifierForm),
        ("garbage".into(), KeyError::VerifierForm),
        (format!("{name}+{hash}"), KeyError::VerifierForm),
        (format!("{name}+{hash}+{}", &base64[1..]), KeyError::VerifierForm),
        (format!("{name}+{hash}+{base64}A"), KeyError::VerifierForm),
        (format!("{name}+{hash}+Bg{}", &base64[2..]), KeyError::Algorithm(6)),
        (format!("{name}+00000000+{base64}"), KeyError::Hash),
        (format!("{name}+{}+{base64}", hash.to_uppercase()), KeyError::Hash),
        (format!("{name}x+{hash}+{base64}"), KeyError::Hash),
        (format!("{name}+{hash}+{small_order}"), KeyError::Weak),
        (format!("{name}+{hash}+AQ{}", "A".repeat(42)), KeyError::Weak),
        (key().to_secret_text().to_string(), KeyError::Secret),
    ] {
        let e = bad.parse::<VerifierKey>().unwrap_err();
        assert_eq!(e, error, "{bad}");
        assert!(!matches!(Error::from(e).kind(), ErrorKind::Untrusted));
    }
    assert!(matches!(good.replacen(name, "Not An Origin", 1).parse::<VerifierKey>(), Err(KeyError::Origin(_))));
}

#[test]
fn weak_keys_are_refused() {
    // The eight points of small order, and spellings of two of them that are not canonical (the last three).
    for hex in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ] {
        let bytes: Vec<u8> = (0..32).map(|i| u8::from_str_radix(&hex[i * 2..][..2], 16).unwrap()).collect();
        let made = VerifierKey::new(key().origin().clone(), &bytes.try_into().unwrap());
        assert_eq!(made, Err(KeyError::Weak), "{hex}");
    }
}

#[test]
fn a_secret_key_is_never_shown() {
    let secret = key().to_secret_text();
    let seed = secret.rsplit('+').next().unwrap();
    let shown = format!("{:?} {:#?}", key(), key());
    assert!(!shown.contains(seed) && shown.contains(&key().verifier().id().to_string()), "{shown}");
    let again = SigningKey::from_secret_text(&format!("{}\n", *secret)).unwrap();
    assert_eq!(again.verifier(), key().verifier());
    // Cut, lengthened or mixed up: no error repeats any of it.
    for bad in [
        secret.replace("PRIVATE+KEY+", ""),
        secret.replace("PRIVATE+KEY+", "PRIVATE+"),
        format!("PRIVATE+KEY+{seed}+{seed}+{seed}"),
        format!("{}{seed}", *secret),
        secret[..secret.len() - 1].to_owned(),
        secret.replace("example", "EXAMPLE"),
        secret.replace("example", "elsewhere"),
    ] {
        let e = SigningKey::from_secret_text(&bad).unwrap_err();
        let shown = format!("{e} {e:?} {:?}", Error::from(e.clone()));
        assert!(!shown.contains(&seed[..8]), "{shown}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), text in "\\PC{0,200}") {
        let _ = Note::parse(&bytes);
        let _ = (open(bytes.clone()), open_slot(bytes, 0));
        let _ = (text.parse::<VerifierKey>(), SigningKey::from_secret_text(&text));
        let _ = text.parse::<ggen_marketplace::trust::Origin>();
    }

    /// Signed rubbish: what an attacker with the key, or a bug in a writer, can make the inner parsers see.
    #[test]
    fn whatever_is_signed_either_is_in_its_one_spelling_or_refused(
        line in 0usize..12, with in "[ -~]{0,30}|none|[0-9]{1,20}|[a-z]{4,10} [0-9]{1,12}", drop: bool,
    ) {
        let newest = chain(2).pop().unwrap();
        for is_slot in [true, false] {
            let text = text_of(if is_slot { newest.slot().bytes() } else { newest.bytes() });
            let mut lines: Vec<&str> = text.lines().collect();
            let at = line % lines.len();
            if drop { lines.remove(at); } else { lines[at] = &with; }
            let changed: String = lines.iter().map(|l| format!("{l}\n")).collect();
            let note = signed(&changed);
            if is_slot {
                if let Ok(slot) = open_slot(note.to_vec(), 1) {
                    prop_assert_eq!(slot.claim().sign(&key()).unwrap(), slot);
                }
            } else if let Ok(opened) = open(note.to_vec()) {
                prop_assert_eq!(Checkpoint::sign(opened.slot(), &key()).unwrap(), opened);
            }
        }
    }

    #[test]
    fn what_is_signed_opens_again(
        generation in 0..=MAX_GENERATION, size: u64, raw: u64, time in 0i64..200_000_000_000, valid in 1u64..1_000_000,
        nonce: [u8; 16], digest: [u8; 32],
    ) {
        let time = Timestamp::from_unix(time);
        let claim = Claim {
            origin: key().origin().clone(),
            generation,
            previous: (generation > 0).then_some(Sha256(digest)),
            snapshot: Link { raw: Some(raw), sha256: Sha256(digest), size },
            time,
            expires: time.plus(std::time::Duration::from_secs(valid)),
            nonce,
        };
        let slot = claim.sign(&key()).unwrap();
        prop_assert_eq!(slot.claim(), &claim);
        prop_assert_eq!(&open_slot(slot.bytes().to_vec(), generation).unwrap(), &slot);
        let checkpoint = Checkpoint::sign(&slot, &key()).unwrap();
        let opened = open(checkpoint.bytes().to_vec()).unwrap();
        prop_assert_eq!(&opened, &checkpoint);
        prop_assert_eq!(opened.slot(), &slot);
    }
}
