//! Files of `NAME=value` lines: an `env.storage.file` entry at run time.
//!
//! Line by line: empty lines and lines that start with `#` say nothing; `export ` before a
//! name and white space around name and value are dropped. A value in single quotes is taken
//! as it is, one in double quotes knows `\n`, `\r`, `\t`, `\"`, `\\` and `\$`; an unquoted one
//! ends before ` #`. The last of several lines of one name counts. Nothing is replaced inside
//! values. Any other line is an error. A file has at most [`FILE_BYTES_MAX`] bytes.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wippy_model::{Error, Kind, Result};

/// The largest file that is read.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// Variables by name.
pub(crate) type Values = HashMap<Box<str>, Arc<str>>;

/// A file of variables.
#[derive(Debug)]
pub struct EnvFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it is called in messages.
    pub name: String,
    /// The modes of file and folder that are made where they are missing; none makes
    /// nothing.
    pub create: Option<CreateModes>,
}

/// The permission bits of what is made.
#[derive(Debug, Clone, Copy)]
pub struct CreateModes {
    /// Of a file.
    pub file: u32,
    /// Of a folder.
    pub folder: u32,
}

impl EnvFile {
    pub(crate) fn read(&self) -> Result<Values> {
        let wrong = |error: &io::Error| {
            let (name, next) = (&self.name, "make the file, or set `auto_create: true`");
            match error.kind() {
                io::ErrorKind::NotFound => {
                    Error::not_found(format!("there is no file {name}: {next}"))
                }
                // Not of kind Invalid, which would be kept: the next read may succeed.
                _ => Error::new(Kind::Unavailable, format!("cannot read {name}: {error}")),
            }
        };
        let file = match fs::File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match self.create {
                Some(modes) => {
                    return make(&self.path, modes).map(|()| Values::new()).map_err(|error| {
                        let text = format!("cannot make {}: {error}", self.name);
                        Error::new(Kind::Unavailable, text)
                    });
                }
                None => return Err(wrong(&error)),
            },
            opened => opened.map_err(|error| wrong(&error))?,
        };
        let mut bytes = Vec::new();
        // One more than is allowed tells a file that is too large.
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| wrong(&error))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            let text = format!("{} has more than {FILE_BYTES_MAX} bytes", self.name);
            return Err(Error::new(Kind::ResourceExhausted, text));
        }
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            Err(error) => {
                let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
                return Err(Error::invalid(format!("{}:{line}: this is no UTF-8", self.name)));
            }
        };
        parse(text).map_err(|(line, why)| Error::invalid(format!("{}:{line}: {why}", self.name)))
    }
}

fn make(path: &Path, modes: CreateModes) -> io::Result<()> {
    let mut folders = fs::DirBuilder::new();
    let mut file = fs::OpenOptions::new();
    // Appending: whoever made it meanwhile keeps what is in it.
    file.create(true).append(true);
    #[cfg(unix)]
    {
        std::os::unix::fs::DirBuilderExt::mode(&mut folders, modes.folder);
        std::os::unix::fs::OpenOptionsExt::mode(&mut file, modes.file);
    }
    #[cfg(not(unix))]
    let _ = modes;
    if let Some(folder) = path.parent() {
        folders.recursive(true).create(folder)?;
    }
    file.open(path).map(drop)
}

/// The variables of a text, or the number of the first line that is wrong and why.
fn parse(text: &str) -> Result<Values, (usize, String)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut values = Values::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = pair(line).map_err(|why| (number, why))?;
        values.insert(name.into(), value.into());
    }
    Ok(values)
}

fn pair(line: &str) -> Result<(&str, String), String> {
    let bare = match line.strip_prefix("export") {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
        _ => line,
    };
    let Some((name, value)) = bare.split_once('=') else {
        return Err("expected NAME=value, found no `=`; a comment starts with `#`".to_owned());
    };
    let name = name.trim_end();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(plain)
    {
        return Err(format!(
            "{name:?} is no name of a variable: letters, digits, `_`, `-` and `.`, and no digit \
             first"
        ));
    }
    let value = value.trim();
    let (value, rest) = match value.strip_prefix('\'') {
        Some(quoted) => match quoted.split_once('\'') {
            Some((value, rest)) => (value.to_owned(), rest),
            None => return Err(unclosed('\'')),
        },
        None => match value.strip_prefix('"') {
            Some(quoted) => double_quoted(quoted)?,
            None => (unquoted(value).to_owned(), ""),
        },
    };
    let rest = rest.trim_start();
    if !rest.is_empty() && !rest.starts_with('#') {
        return Err(format!("after the closing quote comes {rest:?}; only a comment may"));
    }
    if value.contains('\0') {
        return Err("a value holds no NUL".to_owned());
    }
    Ok((name, value))
}

/// An unquoted value ends before a comment, which white space precedes.
fn unquoted(value: &str) -> &str {
    let mut before = ' ';
    for (at, c) in value.char_indices() {
        if c == '#' && before.is_whitespace() {
            return value.get(..at).unwrap_or(value).trim_end();
        }
        before = c;
    }
    value
}

/// The value up to the closing quote, and what comes after it.
fn double_quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok((value, chars.as_str())),
            '\\' => match chars.next() {
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some(c @ ('"' | '\\' | '$')) => value.push(c),
                Some(c) => return Err(format!("`\\{c}` is not known; write `\\\\{c}`")),
                None => return Err(unclosed('"')),
            },
            c => value.push(c),
        }
    }
    Err(unclosed('"'))
}

fn unclosed(quote: char) -> String {
    format!("the {quote} is not closed on this line; write a line break as \\n in double quotes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        for (line, name, value) in [
            ("A=1", "A", "1"),
            ("export B = \"x y\"", "B", "x y"),
            ("export\tB=1", "B", "1"),
            ("exported=1", "exported", "1"),
            ("C=''", "C", ""),
            ("C=", "C", ""),
            ("D=a=b", "D", "a=b"),
            ("  E  =  spaces inside  ", "E", "spaces inside"),
            ("F=value # comment", "F", "value"),
            ("F=# comment", "F", ""),
            ("F=http://x/#part", "F", "http://x/#part"),
            ("G='a # \"b\" \\n $X'", "G", "a # \"b\" \\n $X"),
            ("G='a' # comment", "G", "a"),
            (r#"H="a\n\t\"b\" \\ \$X # c" # d"#, "H", "a\n\t\"b\" \\ $X # c"),
            ("I=it's", "I", "it's"),
            ("J.k-l_1=${A}", "J.k-l_1", "${A}"),
            ("K=ü", "K", "ü"),
        ] {
            let values = parse(line).unwrap();
            assert_eq!(values.len(), 1, "{line}");
            assert_eq!(values.get(name).map(|value| &**value), Some(value), "{line}");
        }
    }

    #[test]
    fn whole_files() {
        let values = parse("\u{feff}# c\r\nA=1\r\n\r\n   # d\nA=2\n").unwrap();
        assert_eq!(values.get("A").map(|value| &**value), Some("2"), "the last one counts");
        assert_eq!(values.len(), 1);
        assert_eq!(parse("").unwrap().len(), 0);
    }

    #[test]
    fn lines_that_are_wrong() {
        for (text, line, why) in [
            ("A=1\nnothing\n", 2, "found no `=`"),
            ("=1", 1, "\"\" is no name"),
            ("1A=1", 1, "\"1A\" is no name"),
            ("A B=1", 1, "\"A B\" is no name"),
            ("\n\nA='x", 3, "the ' is not closed"),
            ("A=\"x", 1, "the \" is not closed"),
            ("A=\"x\\", 1, "the \" is not closed"),
            ("A=\"x\\q\"", 1, "`\\q` is not known"),
            ("A='x'y", 1, "after the closing quote comes \"y\""),
            ("A=a\0b", 1, "no NUL"),
        ] {
            let (at, found) = parse(text).unwrap_err();
            assert!(at == line && found.contains(why), "{text:?}: {at}: {found}");
        }
    }

    #[test]
    fn files() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, create| EnvFile {
            path: folder.path().join(name),
            name: name.to_owned(),
            create,
        };
        let error = file(".env", None).read().unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        let expected = "there is no file .env: make the file, or set `auto_create: true`";
        assert_eq!(error.message(), expected);

        let modes = CreateModes { file: 0o600, folder: 0o700 };
        assert_eq!(file("a/b/.env", Some(modes)).read().unwrap().len(), 0);
        assert!(folder.path().join("a/b/.env").is_file());
        fs::write(folder.path().join("a/b/.env"), "A=1\n").unwrap();
        assert_eq!(file("a/b/.env", Some(modes)).read().unwrap().len(), 1);

        fs::write(folder.path().join("bad"), b"A=1\nB=\xff\n").unwrap();
        assert_eq!(file("bad", None).read().unwrap_err().message(), "bad:2: this is no UTF-8");
        fs::write(folder.path().join("lines"), "A=1\nB\n").unwrap();
        let error = file("lines", None).read().unwrap_err();
        assert!(error.message().starts_with("lines:2: expected NAME=value"), "{error}");
        fs::write(folder.path().join("big"), vec![b'#'; FILE_BYTES_MAX as usize + 1]).unwrap();
        assert_eq!(file("big", None).read().unwrap_err().kind(), Kind::ResourceExhausted);
        assert_eq!(file("a", None).read().unwrap_err().kind(), Kind::Unavailable);
    }
}
