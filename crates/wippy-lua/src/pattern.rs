//! Lua's patterns: a search that can stop anywhere and go on later.
//!
//! Nothing here knows of a VM. [`Search`] is plain data without a pointer; its caller hands
//! the text and the pattern to each [`Search::run`], together with fuel. Each step burns a
//! unit; when none is left, the search says so and is run again whenever the caller likes.
//!
//! What Lua's own matcher does by recursion stands in `frames`, one for each choice that may
//! have to be taken back. Like Lua's recursion they may be [`DEPTH_MAX`] deep, beyond which
//! a pattern is "too complex". A pattern is read as far as it is needed and no further, so
//! that a mistake in it shows exactly when Lua would have met it.

use std::ffi::CStr;

use crate::single::{Members, Single};

/// Bytes of a pattern, but of one that is found as it is.
pub(crate) const PATTERN_BYTES_MAX: usize = 64 << 10;

/// Sets of a pattern that are kept ready; more are read again and again.
const SETS_MAX: usize = 8;

/// Captures of one pattern.
pub(crate) const CAPTURES_MAX: usize = 32;

/// Choices under way at once, and the end of the pattern.
const DEPTH_MAX: usize = 200;

/// Bytes that a simple loop over the text looks at before it asks for fuel.
const WINDOW_BYTES: usize = 16 << 10;

/// Bytes of such a loop for one unit of fuel.
const BYTES_OF_FUEL: usize = 16;

/// Bytes of a set for one unit of fuel.
const SET_BYTES_OF_FUEL: usize = 2;

/// What is wrong with a pattern, in Lua's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    EndsWithPercent,
    NoBracket,
    NoBalance,
    NoFrontier,
    TooManyCaptures,
    TooComplex,
    NotOpen,
    NoCapture(u32),
    Unfinished,
}

impl Malformed {
    /// Lua's words for it; that of a capture has its number besides.
    pub(crate) const fn words(self) -> &'static CStr {
        match self {
            Self::EndsWithPercent => c"malformed pattern (ends with '%')",
            Self::NoBracket => c"malformed pattern (missing ']')",
            Self::NoBalance => c"malformed pattern (missing arguments to '%b')",
            Self::NoFrontier => c"missing '[' after '%f' in pattern",
            Self::TooManyCaptures => c"too many captures",
            Self::TooComplex => c"pattern too complex",
            Self::NotOpen => c"invalid pattern capture",
            Self::Unfinished => c"unfinished capture",
            Self::NoCapture(_) => c"invalid capture index",
        }
    }
}

/// Reads a whole pattern, and says what a search that came so far would find wrong in it.
pub(crate) fn check(pattern: &[u8]) -> Result<(), Malformed> {
    let mut item = usize::from(pattern.first() == Some(&b'^'));
    // Whether each capture is closed.
    let mut captures = Vec::new();
    while let Some(byte) = pattern.get(item) {
        let next = pattern.get(item + 1);
        item = match (byte, next) {
            (b'(', _) => {
                if captures.len() >= CAPTURES_MAX {
                    return Err(Malformed::TooManyCaptures);
                }
                let position = next == Some(&b')');
                captures.push(position);
                item + 1 + usize::from(position)
            }
            (b')', _) => {
                *captures.iter_mut().rfind(|closed| !**closed).ok_or(Malformed::NotOpen)? = true;
                item + 1
            }
            (b'$', None) => item + 1,
            (b'%', Some(b'b')) if item + 4 > pattern.len() => return Err(Malformed::NoBalance),
            (b'%', Some(b'b')) => item + 4,
            (b'%', Some(b'f')) if pattern.get(item + 2) != Some(&b'[') => {
                return Err(Malformed::NoFrontier);
            }
            (b'%', Some(b'f')) => Members::parse(pattern, item + 3)?.1,
            (b'%', Some(digit @ b'0'..=b'9')) => {
                let index = usize::from(*digit).wrapping_sub(usize::from(b'1'));
                if captures.get(index) != Some(&true) {
                    return Err(Malformed::NoCapture(u32::from(digit - b'0')));
                }
                item + 2
            }
            _ => {
                let (_, rest) = match byte {
                    b'[' => {
                        let (members, rest) = Members::parse(pattern, item + 1)?;
                        (Single::Set(members), rest)
                    }
                    _ => Single::parse(pattern, item)?,
                };
                let is_suffix = matches!(pattern.get(rest), Some(b'*' | b'+' | b'-' | b'?'));
                rest + usize::from(is_suffix)
            }
        };
    }
    match captures.contains(&false) {
        true => Err(Malformed::Unfinished),
        false => Ok(()),
    }
}

/// How long a capture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Its end has not been met.
    Open,
    /// It captures where it stands.
    Position,
    Bytes(usize),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Capture {
    pub(crate) start: usize,
    pub(crate) extent: Extent,
}

/// A choice to take back when what follows does not match.
#[derive(Clone, Copy)]
enum Frame {
    /// A capture was opened.
    Opened,
    /// This capture was closed.
    Closed(usize),
    /// A single was taken; go on at `at` without it.
    Optional { at: usize, rest: usize },
    /// Singles were taken from `least` to `end`; go on with one fewer.
    Most { least: usize, end: usize, rest: usize },
    /// Nothing was taken after `at`; go on with one more of `item`.
    Fewest { at: usize, item: usize, rest: usize },
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The fuel is burnt; run it again.
    Paused,
    /// The pattern matches these bytes; the captures are set.
    Found {
        start: usize,
        end: usize,
    },
    None,
}

/// A search of a pattern in a text, and how far it has got.
#[derive(Clone, Copy)]
pub(crate) struct Search {
    /// Where the current attempt began.
    start: usize,
    /// The next byte of the text and of the pattern.
    at: usize,
    item: usize,
    /// A match that ends here does not count.
    not_end: Option<usize>,
    /// Whether there is only one attempt.
    anchored: bool,
    /// How far the loop of the current item has got, when the fuel ran out there.
    half_done: Option<(usize, usize)>,
    depth: usize,
    level: usize,
    captures: [Capture; CAPTURES_MAX],
    frames: [Frame; DEPTH_MAX],
    /// Sets of the pattern that were read: so many in all, of which the last are kept.
    sets_read: usize,
    sets: [SetAt; SETS_MAX],
}

/// A set, the item of the pattern that it is, and where the pattern goes on.
#[derive(Clone, Copy)]
struct SetAt {
    item: usize,
    rest: usize,
    members: Members,
}

impl Search {
    /// A search that [`Search::begin`] has not been called on.
    pub(crate) const fn idle() -> Self {
        Self {
            start: 0,
            at: 0,
            item: 0,
            not_end: None,
            anchored: false,
            half_done: None,
            depth: 0,
            level: 0,
            captures: [Capture { start: 0, extent: Extent::Open }; CAPTURES_MAX],
            frames: [Frame::Opened; DEPTH_MAX],
            sets_read: 0,
            sets: [SetAt { item: 0, rest: 0, members: Members::NONE }; SETS_MAX],
        }
    }

    /// Begins a search from `start`, at that place alone where it is anchored.
    pub(crate) fn begin(&mut self, start: usize, not_end: Option<usize>, anchored: bool) {
        self.start = start;
        self.at = start;
        self.item = 0;
        self.not_end = not_end;
        self.anchored = anchored;
        self.half_done = None;
        self.depth = 0;
        self.level = 0;
        self.sets_read = 0;
    }

    /// Captures of the match that was found.
    pub(crate) fn level(&self) -> usize {
        self.level
    }

    /// One capture of the match that was found; the first is the whole match where the
    /// pattern has none.
    ///
    /// # Errors
    ///
    /// `NoCapture` and `Unfinished`.
    pub(crate) fn capture(
        &self,
        index: usize,
        start: usize,
        end: usize,
    ) -> Result<Capture, Malformed> {
        match self.captures.get(index).filter(|_| index < self.level) {
            Some(Capture { extent: Extent::Open, .. }) => Err(Malformed::Unfinished),
            Some(capture) => Ok(*capture),
            None if index == 0 => Ok(Capture { start, extent: Extent::Bytes(end - start) }),
            None => Err(Malformed::NoCapture(number(index))),
        }
    }

    /// Goes on until something is found, nothing is, or the fuel is burnt.
    ///
    /// # Errors
    ///
    /// What is wrong with the pattern.
    pub(crate) fn run(
        &mut self,
        text: &[u8],
        pattern: &[u8],
        fuel: &mut u32,
    ) -> Result<Progress, Malformed> {
        // The single that every match begins with, once an attempt has failed.
        let mut head = None;
        let (mut at, mut item) = (self.at, self.item);
        let mut left = *fuel;
        loop {
            if left == 0 {
                (self.at, self.item) = (at, item);
                *fuel = 0;
                return Ok(Progress::Paused);
            }
            left -= 1;
            let matched = match pattern.get(item) {
                None if self.not_end == Some(at) => {
                    // Lua gives such an attempt up whole.
                    self.depth = 0;
                    false
                }
                None => {
                    *fuel = left;
                    return Ok(Progress::Found { start: self.start, end: at });
                }
                Some(b'(') => {
                    let position = pattern.get(item + 1) == Some(&b')');
                    self.open(at, if position { Extent::Position } else { Extent::Open })?;
                    item += if position { 2 } else { 1 };
                    true
                }
                Some(b')') => {
                    self.close(at)?;
                    item += 1;
                    true
                }
                Some(b'$') if item + 1 == pattern.len() => {
                    item += 1;
                    at == text.len()
                }
                Some(b'%') if pattern.get(item + 1) == Some(&b'b') => {
                    match self.balance(text, pattern, at, item, &mut left)? {
                        Balanced::To(end) => {
                            at = end;
                            item += 4;
                            true
                        }
                        Balanced::Not => false,
                        Balanced::Paused => continue,
                    }
                }
                Some(b'%') if pattern.get(item + 1) == Some(&b'f') => {
                    if pattern.get(item + 2) != Some(&b'[') {
                        return Err(Malformed::NoFrontier);
                    }
                    let (set, rest) = self.single(pattern, item + 2, &mut left)?;
                    let before = at.checked_sub(1).and_then(|at| text.get(at)).copied();
                    let here = text.get(at).copied();
                    item = rest;
                    !set.contains(before.unwrap_or(0)) && set.contains(here.unwrap_or(0))
                }
                Some(b'%') if pattern.get(item + 1).is_some_and(u8::is_ascii_digit) => {
                    let digit = pattern.get(item + 1).copied().unwrap_or(b'0');
                    match self.captured_again(text, at, digit, &mut left)? {
                        Again::Here(len) => {
                            at += len;
                            item += 2;
                            true
                        }
                        Again::Not => false,
                        Again::Paused => continue,
                    }
                }
                Some(_) => {
                    let (single, rest) = self.single(pattern, item, &mut left)?;
                    let hit = text.get(at).is_some_and(|byte| single.contains(*byte));
                    match (pattern.get(rest), hit) {
                        (Some(b'*' | b'?' | b'-'), false) => {
                            item = rest + 1;
                            true
                        }
                        (Some(b'?'), true) => {
                            self.push(Frame::Optional { at, rest: rest + 1 })?;
                            at += 1;
                            item = rest + 1;
                            true
                        }
                        (Some(suffix @ (b'*' | b'+')), true) => {
                            let least = at + usize::from(*suffix == b'+');
                            let Some(end) = self.take_most(text, single, least, &mut left) else {
                                continue;
                            };
                            let rest = rest + 1;
                            self.push(Frame::Most { least, end, rest })?;
                            (at, item) = (end, rest);
                            true
                        }
                        (Some(b'-'), true) => {
                            self.push(Frame::Fewest { at, item, rest: rest + 1 })?;
                            item = rest + 1;
                            true
                        }
                        (_, hit) => {
                            at += 1;
                            item = rest;
                            hit
                        }
                    }
                }
            };
            if matched {
                continue;
            }
            match self.back(text, pattern, &mut left)? {
                Some(other) => (at, item) = other,
                None => {
                    if self.anchored || self.start >= text.len() {
                        *fuel = left;
                        return Ok(Progress::None);
                    }
                    self.start += 1;
                    self.level = 0;
                    let head = match head {
                        Some(head) => head,
                        None => *head.insert(self.first_single(pattern, &mut left)),
                    };
                    if let Some(head) = head {
                        self.skip_to(text, head, &mut left);
                    }
                    (at, item) = (self.start, 0);
                }
            }
        }
    }

    /// The single at `item`, and where the pattern goes on.
    fn single(
        &mut self,
        pattern: &[u8],
        item: usize,
        left: &mut u32,
    ) -> Result<(Single, usize), Malformed> {
        if pattern.get(item) != Some(&b'[') {
            return Single::parse(pattern, item);
        }
        let kept = self.sets.iter().take(self.sets_read).find(|set| set.item == item);
        if let Some(set) = kept {
            return Ok((Single::Set(set.members), set.rest));
        }
        let (members, rest) = Members::parse(pattern, item + 1)?;
        let fuel = (rest - item) / SET_BYTES_OF_FUEL;
        *left = left.saturating_sub(u32::try_from(fuel).unwrap_or(u32::MAX));
        if let Some(slot) = self.sets.get_mut(self.sets_read % SETS_MAX) {
            *slot = SetAt { item, rest, members };
            self.sets_read += 1;
        }
        Ok((Single::Set(members), rest))
    }

    /// The single that every match begins with, if it begins with one.
    fn first_single(&mut self, pattern: &[u8], left: &mut u32) -> Option<Single> {
        match pattern {
            [] | [b'(' | b')' | b'.', ..] | [b'%', b'b' | b'f' | b'0'..=b'9', ..] | [b'$'] => None,
            _ => match self.single(pattern, 0, left) {
                Ok((single, rest)) if !matches!(pattern.get(rest), Some(b'*' | b'?' | b'-')) => {
                    Some(single)
                }
                _ => None,
            },
        }
    }

    fn push(&mut self, frame: Frame) -> Result<(), Malformed> {
        // One place is the end of the pattern's.
        match self.frames.get_mut(self.depth) {
            Some(slot) if self.depth < DEPTH_MAX - 1 => {
                *slot = frame;
                self.depth += 1;
                Ok(())
            }
            _ => Err(Malformed::TooComplex),
        }
    }

    fn open(&mut self, at: usize, extent: Extent) -> Result<(), Malformed> {
        let slot = self.captures.get_mut(self.level).ok_or(Malformed::TooManyCaptures)?;
        *slot = Capture { start: at, extent };
        self.level += 1;
        self.push(Frame::Opened)
    }

    fn close(&mut self, at: usize) -> Result<(), Malformed> {
        let mut taken = self.captures.iter_mut().take(self.level).enumerate();
        let (index, capture) =
            taken.rfind(|(_, capture)| capture.extent == Extent::Open).ok_or(Malformed::NotOpen)?;
        capture.extent = Extent::Bytes(at - capture.start);
        self.push(Frame::Closed(index))
    }

    /// Takes choices back until one has another way to go; that way.
    fn back(
        &mut self,
        text: &[u8],
        pattern: &[u8],
        left: &mut u32,
    ) -> Result<Option<(usize, usize)>, Malformed> {
        while let Some(top) = self.depth.checked_sub(1) {
            if let Some(Frame::Fewest { at, item, rest }) = self.frames.get(top).copied() {
                let (single, _) = self.single(pattern, item, left)?;
                if text.get(at).is_some_and(|byte| single.contains(*byte)) {
                    if let Some(Frame::Fewest { at, .. }) = self.frames.get_mut(top) {
                        *at += 1;
                    }
                    return Ok(Some((at + 1, rest)));
                }
            }
            let Some(frame) = self.frames.get_mut(top) else { break };
            match frame {
                Frame::Opened => self.level -= 1,
                Frame::Closed(index) => {
                    if let Some(capture) = self.captures.get_mut(*index) {
                        capture.extent = Extent::Open;
                    }
                }
                Frame::Optional { at, rest } => {
                    self.depth = top;
                    return Ok(Some((*at, *rest)));
                }
                Frame::Most { least, end, rest } if *end > *least => {
                    *end -= 1;
                    return Ok(Some((*end, *rest)));
                }
                Frame::Most { .. } | Frame::Fewest { .. } => {}
            }
            self.depth = top;
        }
        Ok(None)
    }

    /// The end of the longest run of singles from `from` on; none where the fuel ran out.
    fn take_most(
        &mut self,
        text: &[u8],
        single: Single,
        from: usize,
        left: &mut u32,
    ) -> Option<usize> {
        let mut end = self.half_done.take().map_or(from, |(end, _)| end);
        loop {
            let window = text.get(end..text.len().min(end + WINDOW_BYTES)).unwrap_or_default();
            let run = single.run_len(window);
            end += run;
            if run < window.len() || end >= text.len() {
                *left = left.saturating_sub(fuel_of(run));
                return Some(end);
            }
            *left = left.saturating_sub(fuel_of(run));
            if *left == 0 {
                self.half_done = Some((end, 0));
                return None;
            }
        }
    }

    fn balance(
        &mut self,
        text: &[u8],
        pattern: &[u8],
        at: usize,
        item: usize,
        left: &mut u32,
    ) -> Result<Balanced, Malformed> {
        let (Some(open), Some(close)) = (pattern.get(item + 2), pattern.get(item + 3)) else {
            return Err(Malformed::NoBalance);
        };
        let (mut end, mut depth) = match self.half_done.take() {
            Some(half) => half,
            None if text.get(at) == Some(open) => (at + 1, 1),
            None => return Ok(Balanced::Not),
        };
        loop {
            let window = text.get(end..text.len().min(end + WINDOW_BYTES)).unwrap_or_default();
            if window.is_empty() {
                return Ok(Balanced::Not);
            }
            for (byte, index) in window.iter().zip(1..) {
                if byte == close {
                    depth -= 1;
                    if depth == 0 {
                        *left = left.saturating_sub(fuel_of(index));
                        return Ok(Balanced::To(end + index));
                    }
                } else if byte == open {
                    depth += 1;
                }
            }
            end += window.len();
            *left = left.saturating_sub(fuel_of(window.len()));
            if *left == 0 {
                self.half_done = Some((end, depth));
                return Ok(Balanced::Paused);
            }
        }
    }

    /// Whether a capture stands here again. Large ones are compared piece by piece, and the
    /// fuel is burnt whatever comes of it.
    fn captured_again(
        &mut self,
        text: &[u8],
        at: usize,
        digit: u8,
        left: &mut u32,
    ) -> Result<Again, Malformed> {
        let index = usize::from(digit).wrapping_sub(usize::from(b'1'));
        let capture = self.captures.get(index).filter(|_| index < self.level);
        let (start, len) = match capture {
            None | Some(Capture { extent: Extent::Open, .. }) => {
                return Err(Malformed::NoCapture(u32::from(digit - b'0')));
            }
            Some(Capture { extent: Extent::Position, .. }) => return Ok(Again::Not),
            Some(Capture { start, extent: Extent::Bytes(len) }) => (*start, *len),
        };
        if text.len() - at < len {
            return Ok(Again::Not);
        }
        let mut same = self.half_done.take().map_or(0, |(same, _)| same);
        while same < len {
            let piece = (len - same).min(WINDOW_BYTES);
            let piece_at = |from: usize| text.get(from + same..from + same + piece);
            *left = left.saturating_sub(fuel_of(piece));
            if piece_at(start) != piece_at(at) {
                return Ok(Again::Not);
            }
            same += piece;
            if *left == 0 && same < len {
                self.half_done = Some((same, 0));
                return Ok(Again::Paused);
            }
        }
        Ok(Again::Here(len))
    }

    /// Goes to the next place where the single is, or some way towards it.
    fn skip_to(&mut self, text: &[u8], single: Single, left: &mut u32) {
        let end = text.len().min(self.start + WINDOW_BYTES);
        let window = text.get(self.start..end).unwrap_or_default();
        let found = match single {
            Single::Byte(byte) => memchr::memchr(byte, window),
            single => window.iter().position(|byte| single.contains(*byte)),
        };
        let skip = found.unwrap_or(window.len());
        self.start += skip;
        *left = left.saturating_sub(fuel_of(skip));
    }
}

enum Balanced {
    To(usize),
    Not,
    Paused,
}

enum Again {
    Here(usize),
    Not,
    Paused,
}

fn fuel_of(bytes: usize) -> u32 {
    u32::try_from(bytes / BYTES_OF_FUEL).unwrap_or(u32::MAX)
}

/// The number of a capture for people.
fn number(index: usize) -> u32 {
    u32::try_from(index).map_or(u32::MAX, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, pattern: &str) -> Result<Progress, Malformed> {
        let mut search = Search::idle();
        search.begin(0, None, false);
        search.run(text.as_bytes(), pattern.as_bytes(), &mut u32::MAX.clone())
    }

    #[test]
    fn finds() {
        for (text, pattern, expected) in [
            ("hello world", "o w", Some((4, 7))),
            ("hello", "l+", Some((2, 4))),
            ("f(a(b)c)d", "%b()", Some((1, 8))),
            ("THE (quick) fox", "%f[%a]%a+%f[%A]", Some((0, 3))),
            ("abab", "(ab)%1", Some((0, 4))),
            ("x", "y", None),
            ("]", "[--%%]", Some((0, 1))),
            ("a-z", "[a%-]+", Some((0, 2))),
            ("\u{7f}@A", "[@-\u{7f}]+$", Some((0, 3))),
            ("az09", "[^a-y]+", Some((1, 4))),
            ("b", "[z-a]", None),
        ] {
            let found = match find(text, pattern) {
                Ok(Progress::Found { start, end }) => Some((start, end)),
                Ok(Progress::None) => None,
                other => panic!("{other:?}"),
            };
            assert_eq!(found, expected, "{text} {pattern}");
        }
    }

    #[test]
    fn mistakes_show_when_they_are_met() {
        assert_eq!(find("abc", "x["), Ok(Progress::None));
        assert_eq!(find("abc", "a["), Err(Malformed::NoBracket));
        assert_eq!(find("a", &"a?".repeat(200)), Ok(Progress::Found { start: 0, end: 1 }));
        assert_eq!(find(&"a".repeat(300), &"a?".repeat(200)), Err(Malformed::TooComplex));
        assert_eq!(
            find(&"a".repeat(300), &"a".repeat(300)),
            Ok(Progress::Found { start: 0, end: 300 })
        );
    }

    #[test]
    fn stopping_anywhere_changes_nothing() {
        let long = format!("({})", "x(y)".repeat(20_000));
        for (text, pattern) in [
            ("aaaaaaaaaaaaaaaab", "a*a*a*b$"),
            ("aaaaaaaaaaaaaaaa", "(a*)(a-)%1b"),
            (long.as_str(), "%b()$"),
            (long.as_str(), "^.*()%)$"),
            (long.as_str(), "z"),
            ("[x] = a1, b2", "([%w_]-)([^%d,]*)[1-3]+, [%D][]2-][^%a]?$"),
            (format!("{0}y{0}y", "ab".repeat(30_000)).leak(), "^(.*)y%1y$"),
            ("abcdefghijk", "[a][b][c][d][e][f][g][h][i][j]-[k]$"),
        ] {
            let whole = find(text, pattern.trim_start_matches('^'));
            let mut search = Search::idle();
            search.begin(0, None, pattern.starts_with('^'));
            let mut pauses = 0;
            let found = loop {
                let pattern = pattern.trim_start_matches('^');
                match search.run(text.as_bytes(), pattern.as_bytes(), &mut 1) {
                    Ok(Progress::Paused) => pauses += 1,
                    other => break other,
                }
            };
            assert_eq!(found, whole);
            assert!(pauses > 0);
        }
    }
}
