//! The words for what Rust's standard library makes of WASI: paths that it resolves itself.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::{Answer, done, number};

/// What std made of an error; `os error N` where it knows no name.
fn kind(error: std::io::Error) -> String {
    let name = format!("{:?}", error.kind());
    match (name.as_str(), error.raw_os_error()) {
        ("Uncategorized", Some(code)) => format!("os error {code}"),
        _ => name,
    }
}

/// Runs a line that begins with `std-`.
pub(crate) fn call(words: &[&str]) -> Option<Answer> {
    Some(match *words {
        ["std-read", path] => fs::read_to_string(path).map_err(kind),
        ["std-write", path, ref text @ ..] => {
            fs::write(path, text.join(" ")).map_err(kind).and_then(|()| done())
        }
        // LEN bytes at once, and read at once.
        ["std-large", path, len] => {
            let len = number(len) as usize;
            let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            let same = fs::write(path, &bytes).and_then(|()| fs::read(path));
            same.map_err(kind).map(|read| (read == bytes).to_string())
        }
        ["std-append", path, ref text @ ..] => fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .and_then(|mut file| file.write_all(text.join(" ").as_bytes()))
            .map_err(kind)
            .and_then(|()| done()),
        // Reads LEN bytes OFFSET bytes before the end.
        ["std-seek", path, offset, len] => {
            let mut text = String::new();
            fs::File::open(path)
                .and_then(|mut file| {
                    file.seek(SeekFrom::End(-(number(offset) as i64)))?;
                    file.take(number(len)).read_to_string(&mut text)
                })
                .map_err(kind)
                .map(|_| text)
        }
        ["std-mkdirs", path] => fs::create_dir_all(path).map_err(kind).and_then(|()| done()),
        ["std-rmdirs", path] => fs::remove_dir_all(path).map_err(kind).and_then(|()| done()),
        ["std-rename", from, to] => fs::rename(from, to).map_err(kind).and_then(|()| done()),
        ["std-copy", from, to] => {
            fs::copy(from, to).map_err(kind).map(|bytes| bytes.to_string())
        }
        ["std-exists", path] => Ok(Path::new(path).exists().to_string()),
        ["std-ls", path] => fs::read_dir(path)
            .and_then(|entries| {
                entries
                    .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                    .collect::<Result<Vec<_>, std::io::Error>>()
            })
            .map_err(kind)
            .map(|mut names| {
                names.sort();
                names.join(" ")
            }),
        _ => return None,
    })
}
