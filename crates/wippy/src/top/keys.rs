//! What a terminal sends when keys are pressed.

/// A key that `wippy top` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Escape,
    Backspace,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    /// Ctrl-C, which raw mode makes a key.
    Interrupt,
}

/// Takes the keys off the front of what was read. What may go on with the next read stays.
pub(super) fn take(read: &mut Vec<u8>) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut rest = read.as_slice();
    while let Some((len, key)) = next(rest) {
        keys.extend(key);
        rest = rest.get(len..).unwrap_or_default();
    }
    *read = rest.to_vec();
    keys
}

/// The first key and its length; nothing where its end is missing.
fn next(bytes: &[u8]) -> Option<(usize, Option<Key>)> {
    let (first, rest) = bytes.split_first()?;
    match first {
        0x1b => Some(sequence(rest)),
        b'\r' | b'\n' => Some((1, Some(Key::Enter))),
        0x7f | 0x08 => Some((1, Some(Key::Backspace))),
        0x03 => Some((1, Some(Key::Interrupt))),
        0x00..0x20 => Some((1, None)),
        _ => character(bytes),
    }
}

/// After an escape. Terminals send the whole sequence at once, so an escape with nothing after
/// it is the key.
fn sequence(rest: &[u8]) -> (usize, Option<Key>) {
    let Some(b'[' | b'O') = rest.first() else { return (1, Some(Key::Escape)) };
    let parameters = rest.iter().skip(1).take_while(|byte| byte.is_ascii_digit() || **byte == b';');
    let parameters = parameters.count();
    let number = rest.get(1..=parameters).unwrap_or_default();
    let key = match rest.get(1 + parameters) {
        Some(b'A') => Some(Key::Up),
        Some(b'B') => Some(Key::Down),
        Some(b'C') => Some(Key::Right),
        Some(b'D') => Some(Key::Left),
        Some(b'H') => Some(Key::Home),
        Some(b'F') => Some(Key::End),
        Some(b'~') => match number {
            b"1" | b"7" => Some(Key::Home),
            b"4" | b"8" => Some(Key::End),
            b"5" => Some(Key::PageUp),
            b"6" => Some(Key::PageDown),
            _ => None,
        },
        _ => None,
    };
    ((parameters + 3).min(rest.len() + 1), key)
}

fn character(bytes: &[u8]) -> Option<(usize, Option<Key>)> {
    let longest = bytes.get(..bytes.len().min(4)).unwrap_or_default();
    let valid = match std::str::from_utf8(longest) {
        Ok(text) => text,
        Err(error) if error.valid_up_to() > 0 => {
            std::str::from_utf8(longest.get(..error.valid_up_to())?).ok()?
        }
        // Its end is not there yet.
        Err(error) if error.error_len().is_none() => return None,
        Err(_) => return Some((1, None)),
    };
    let char = valid.chars().next()?;
    Some((char.len_utf8(), Some(Key::Char(char))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        use Key::{Backspace, Char, Down, End, Enter, Escape, Home, Interrupt, Left, PageUp, Up};
        for (bytes, expected, left) in [
            (&b"q"[..], &[Char('q')][..], &b""[..]),
            (b"\x1b[A\x1b[B\x1bOD", &[Up, Down, Left], b""),
            (b"\x1b[5~\x1b[1~\x1b[F\x1b[1;5Hx", &[PageUp, Home, End, Home, Char('x')], b""),
            (b"\x1b", &[Escape], b""),
            (b"\x1bq", &[Escape, Char('q')], b""),
            (b"\x1b[", &[], b""),
            (b"\x1b[3~\x01\r\x7f\x03", &[Enter, Backspace, Interrupt], b""),
            ("aé日".as_bytes(), &[Char('a'), Char('é'), Char('日')], b""),
            (b"a\xe6\x97", &[Char('a')], b"\xe6\x97"),
            (b"\xff\xfea", &[Char('a')], b""),
            (b"\xe6a", &[Char('a')], b""),
        ] {
            let mut read = bytes.to_vec();
            assert_eq!(take(&mut read), expected, "{bytes:?}");
            assert_eq!(read, left, "{bytes:?}");
        }
    }
}
