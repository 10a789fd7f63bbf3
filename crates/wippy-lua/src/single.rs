//! What stands for one byte in a pattern of Lua: a character, a class or a set.
//!
//! A set is read once into a bit for each byte, so that asking it costs the same however
//! long it is. Part of `pattern.rs`.

use crate::pattern::Malformed;

/// Whether a pattern has none of the characters that make one.
pub(crate) fn is_plain(pattern: &[u8]) -> bool {
    !pattern.iter().any(|byte| SPECIAL.contains(*byte))
}

/// The characters that make a pattern.
const SPECIAL: Members = {
    let mut words = [0; 4];
    let mut rest: &[u8] = b"^$*+?.([%-";
    while let [byte, after @ ..] = rest {
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            words[(*byte >> 6) as usize] |= 1 << (*byte & 63);
        }
        rest = after;
    }
    Members(words)
};

/// An item that stands for one byte.
#[derive(Clone, Copy)]
pub(crate) enum Single {
    Any,
    Byte(u8),
    Class { bits: u16, negated: bool },
    Set(Members),
}

impl Single {
    /// The single at `item`, which is no set, and where the pattern goes on.
    pub(crate) fn parse(pattern: &[u8], item: usize) -> Result<(Self, usize), Malformed> {
        match pattern.get(item) {
            Some(b'.') => Ok((Self::Any, item + 1)),
            Some(b'%') | None => match pattern.get(item + 1) {
                Some(letter) => Ok((Self::class(*letter), item + 2)),
                None => Err(Malformed::EndsWithPercent),
            },
            Some(byte) => Ok((Self::Byte(*byte), item + 1)),
        }
    }

    fn class(letter: u8) -> Self {
        match class_bits(letter.to_ascii_lowercase()) {
            0 => Self::Byte(letter),
            bits => Self::Class { bits, negated: letter.is_ascii_uppercase() },
        }
    }

    #[inline]
    pub(crate) fn contains(self, byte: u8) -> bool {
        match self {
            Self::Any => true,
            Self::Byte(own) => own == byte,
            Self::Class { bits, negated } => (classes_of(byte) & bits != 0) != negated,
            Self::Set(members) => members.contains(byte),
        }
    }

    /// How many bytes at the front of the text it stands for.
    pub(crate) fn run_len(self, text: &[u8]) -> usize {
        let end = match self {
            Self::Any => None,
            Self::Byte(own) => text.iter().position(|byte| *byte != own),
            Self::Class { bits, negated } => {
                text.iter().position(|byte| (classes_of(*byte) & bits != 0) == negated)
            }
            Self::Set(members) => text.iter().position(|byte| !members.contains(*byte)),
        };
        end.unwrap_or(text.len())
    }
}

/// The bytes that a set stands for: a bit for each.
#[derive(Clone, Copy)]
pub(crate) struct Members([u64; 4]);

impl Members {
    pub(crate) const NONE: Self = Self([0; 4]);

    #[inline]
    pub(crate) fn contains(&self, byte: u8) -> bool {
        let word = self.0.get(usize::from(byte >> 6)).copied().unwrap_or(0);
        word >> (byte & 63) & 1 != 0
    }

    fn add(&mut self, byte: u8) {
        if let Some(word) = self.0.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }

    fn add_range(&mut self, low: u8, high: u8) {
        for (word, base) in self.0.iter_mut().zip([0_u8, 64, 128, 192]) {
            let (first, last) = (low.max(base), high.min(base + 63));
            if first <= last {
                *word |= u64::MAX << (first - base) & u64::MAX >> (63 - (last - base));
            }
        }
    }

    fn add_single(&mut self, single: Single) {
        match single {
            Single::Byte(byte) => self.add(byte),
            single => (0..=u8::MAX).filter(|byte| single.contains(*byte)).for_each(|b| self.add(b)),
        }
    }

    /// The set behind a bracket, and where the pattern goes on.
    pub(crate) fn parse(pattern: &[u8], from: usize) -> Result<(Self, usize), Malformed> {
        let negated = pattern.get(from) == Some(&b'^');
        let from = from + usize::from(negated);
        let mut end = from;
        loop {
            // The first member may be a bracket.
            match pattern.get(end) {
                None => return Err(Malformed::NoBracket),
                Some(b'%') if end + 1 < pattern.len() => end += 2,
                Some(_) => end += 1,
            }
            if pattern.get(end) == Some(&b']') {
                break;
            }
        }
        let mut set = Self::of(pattern.get(from..end).unwrap_or_default());
        if negated {
            set.0 = set.0.map(|word| !word);
        }
        Ok((set, end + 1))
    }

    /// What stands between the brackets.
    fn of(members: &[u8]) -> Self {
        let mut set = Self::NONE;
        let mut classes = [false; 256];
        let mut rest = members;
        loop {
            rest = match rest {
                [] => return set,
                [b'%', letter, after @ ..] => {
                    // Each class once, however often it is named.
                    if let Some(seen) = classes.get_mut(usize::from(*letter))
                        && !std::mem::replace(seen, true)
                    {
                        set.add_single(Single::class(*letter));
                    }
                    after
                }
                // A range took the first of two percent signs. Lua looks at the bracket then.
                [b'%'] => {
                    set.add(b']');
                    return set;
                }
                [low, b'-', high, after @ ..] => {
                    set.add_range(*low, *high);
                    after
                }
                [own, after @ ..] => {
                    set.add(*own);
                    after
                }
            };
        }
    }
}

const LETTERS: [u8; 11] = *b"acdglpsuwxz";

/// The bit of a class's letter, or none.
fn class_bits(letter: u8) -> u16 {
    match LETTERS.iter().position(|known| *known == letter) {
        Some(index) => 1 << index,
        None => 0,
    }
}

/// The classes that a byte is in, those of the C locale.
static CLASSES: [u16; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut index = 0;
        while index < LETTERS.len() {
            #[allow(clippy::cast_possible_truncation, reason = "it is below 256")]
            #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
            if is_in_class(byte as u8, LETTERS[index]) {
                classes[byte] |= 1 << index;
            }
            index += 1;
        }
        byte += 1;
    }
    classes
};

fn classes_of(byte: u8) -> u16 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(0)
}

const fn is_in_class(byte: u8, letter: u8) -> bool {
    match letter {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'g' => byte.is_ascii_graphic(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => matches!(byte, b' ' | 9..=13),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        _ => byte == 0,
    }
}
