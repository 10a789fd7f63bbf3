//! How single values are read: numbers, durations, sizes, IDs, hashes, imports, sources.

use std::marker::PhantomData;
use std::time::Duration;

use indexmap::IndexMap;
use wippy_model::{EntryId, Value};

use super::decoder::Decoder;
use super::record::{Shape, TypeDoc};
use super::suggest;
use crate::diagnostic::Diagnostic;
use crate::grant::Grants;
use crate::graph::Reference;
use crate::hash::{Hash, HashPin, is_placeholder};
use crate::source_text::SourceText;
use crate::yaml::{Content, Node, Span};

/// What an ID may name.
pub(crate) trait Target {
    /// What it is called: `a filesystem`.
    const WHAT: &'static str;
    /// The kinds; none means every kind.
    const KINDS: &'static [&'static str];
}

/// A shape that is nothing but a wrapper around a decoding function.
macro_rules! shape {
    (
        $(#[doc = $doc:literal])*
        $name:ty => $output:ty, $words:literal, $example:literal, $show:expr, $decode:expr
    ) => {
        $(#[doc = $doc])*
        impl Shape for $name {
            type Output = $output;

            fn ty() -> TypeDoc {
                TypeDoc::new($words)
            }

            fn decode(node: &Node, cx: &mut Decoder<'_>) -> Option<Self::Output> {
                let decode: fn(&Node, &Decoder<'_>) -> Option<$output> = $decode;
                let value = decode(node, cx);
                if value.is_none() {
                    cx.wrong(node, concat!($words), $example);
                }
                value
            }

            fn example() -> &'static str {
                $example
            }

            fn show(value: &Self::Output) -> String {
                let show: fn(&$output) -> String = $show;
                show(value)
            }
        }
    };
}

/// Text that is not empty.
pub(crate) struct Name;
/// Any single value, as it is written.
pub(crate) struct Written;
/// A whole number from 1.
pub(crate) struct Count;
/// Worker threads: each is a thread of the system.
pub(crate) struct Workers;
/// Restarts in a budget: the time of each is kept.
pub(crate) struct BudgetCount;
/// The stack of one process.
pub(crate) struct StackSize;
/// A number from 1.
pub(crate) struct Factor;
/// A number from 0 to 1.
pub(crate) struct Fraction;
/// A number of bytes, or text with a unit.
pub(crate) struct ByteSize;
/// Permission bits, in octal digits.
pub(crate) struct Mode;
/// A path from the root.
pub(crate) struct AbsolutePath;
/// One text or a list of them.
pub(crate) struct OneOrMany;
/// The ID of an entry that `T` tells.
pub(crate) struct IdOf<T>(PhantomData<T>);
/// A name that is an ID and names no entry: that of a group.
pub(crate) struct GroupId;
/// The names of host imports.
pub(crate) struct Imports;
/// The hash of a binary.
pub(crate) struct Pin;
/// Text, or `file://` and the name of a file.
pub(crate) struct SourceShape;

fn plain<T: std::fmt::Display>(value: &T) -> String {
    format!("`{value}`")
}

fn unsigned(node: &Node) -> Option<u64> {
    match node.content {
        Content::Int(number) => u64::try_from(number).ok(),
        Content::UInt(number) => Some(number),
        _ => None,
    }
}

shape!(bool => bool, "true or false", "true", plain, |node, _| match node.content {
    Content::Bool(value) => Some(value),
    _ => None,
});

shape!(String => String, "text", "\"text\"", |text| format!("`\"{text}\"`"), |node, _| {
    node.as_text().map(str::to_owned)
});

shape!(Name => String, "text that is not empty", "name", plain, |node, _| {
    node.as_text().filter(|text| !text.trim().is_empty()).map(str::to_owned)
});

shape!(Written => String, "a text or a number", "\"text\"", plain, |node, cx| match &node.content {
    Content::Text(text) => Some(text.clone()),
    Content::Bool(_) | Content::Int(_) | Content::UInt(_) | Content::Float(_) => {
        Some(cx.scope.sources.slice(node.span).to_owned())
    }
    _ => None,
});

shape!(u64 => u64, "a whole number from 0", "1000", plain, |node, _| unsigned(node));

shape!(u32 => u32, "a whole number from 0 to 4294967295", "1000", plain, |node, _| {
    unsigned(node)?.try_into().ok()
});

shape!(Count => u32, "a whole number from 1 to 4294967295", "16", plain, |node, _| {
    unsigned(node)?.try_into().ok().filter(|count| *count > 0)
});

shape!(Workers => u32, "a whole number from 1 to 1024", "4", plain, |node, _| {
    unsigned(node)?.try_into().ok().filter(|count| (1..=1024).contains(count))
});

shape!(BudgetCount => u32, "a whole number from 1 to 10000", "10", plain, |node, _| {
    unsigned(node)?.try_into().ok().filter(|count| (1..=10_000).contains(count))
});

fn float(node: &Node) -> Option<f64> {
    match node.content {
        Content::Float(value) => Some(value).filter(|value| value.is_finite()),
        Content::Int(value) => i32::try_from(value).ok().map(f64::from),
        _ => None,
    }
}

shape!(Factor => f64, "a number from 1", "2.0", |value| format!("`{value:?}`"), |node, _| {
    float(node).filter(|value| *value >= 1.0)
});

shape!(Fraction => f64, "a number from 0 to 1", "0.1", |value| format!("`{value:?}`"), |node, _| {
    float(node).filter(|value| (0.0..=1.0).contains(value))
});

shape!(
    ByteSize => u64,
    "a number of bytes, or text such as \"64MiB\"",
    "64MiB",
    |bytes| match bytes {
        bytes if *bytes > 0 && bytes.trailing_zeros() >= 20 => format!("`{}MiB`", bytes >> 20),
        bytes => format!("`{bytes}`"),
    },
    |node, _| match &node.content {
        Content::Text(text) => byte_size(text),
        _ => unsigned(node),
    }
);

shape!(
    StackSize => u64,
    "a number of bytes from 64KiB to 16MiB",
    "1MiB",
    |bytes| format!("`{bytes}`"),
    |node, _| match &node.content {
        Content::Text(text) => byte_size(text),
        _ => unsigned(node),
    }
    .filter(|bytes| (64 << 10..=16 << 20).contains(bytes))
);

shape!(
    Duration => Duration,
    "a duration such as \"30s\" or \"1m30s\"",
    "30s",
    |duration| format!("`{}`", show_duration(*duration)),
    |node, _| match &node.content {
        Content::Text(text) => parse_duration(text),
        // 0 is 0 in every unit.
        Content::Int(0) => Some(Duration::ZERO),
        _ => None,
    }
);

shape!(
    Mode => u32,
    "permission bits in octal digits, such as \"0750\"",
    "\"0750\"",
    |mode| format!("`{mode:04o}`"),
    |node, cx| {
        let text = match &node.content {
            Content::Text(text) => text.as_str(),
            // Without quotes it is a number; its digits are octal all the same.
            Content::Int(_) => cx.scope.sources.slice(node.span),
            _ => return None,
        };
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let octal = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        let mode = u32::from_str_radix(digits, 8).ok().filter(|_| octal)?;
        Some(mode).filter(|mode| *mode <= 0o7777)
    }
);

shape!(AbsolutePath => String, "a path that starts with /", "/data", plain, |node, _| {
    node.as_text().filter(|text| text.starts_with('/')).map(str::to_owned)
});

shape!(GroupId => EntryId, "the ID of a group", "namespace:name", plain, |node, cx| {
    EntryId::parse_in(cx.scope.id.map_or("", EntryId::namespace), node.as_text()?).ok()
});

shape!(OneOrMany => Vec<String>, "a text or a list of texts", "[\"*\"]", |_| String::new(), |node, _| {
    match &node.content {
        Content::Text(text) => Some(vec![text.clone()]),
        Content::List(items) => items.iter().map(|item| item.as_text().map(str::to_owned)).collect(),
        _ => None,
    }
});

shape!(Value => Value, "anything", "...", super::record::show_value, |node, _| {
    Some(node.to_value())
});

impl<S: Shape> Shape for Vec<S> {
    type Output = Vec<S::Output>;

    fn ty() -> TypeDoc {
        let item = S::ty();
        TypeDoc { name: format!("list of: {}", item.name), ..item }
    }

    fn decode(node: &Node, cx: &mut Decoder<'_>) -> Option<Self::Output> {
        let Content::List(items) = &node.content else {
            cx.wrong(node, "a list", &format!("[{}]", S::example()));
            return None;
        };
        let read = |(index, item)| cx.inside(format!("[{index}]"), |cx| S::decode(item, cx));
        // Every item is read, so that every mistake is found.
        let items: Vec<_> = items.iter().enumerate().map(read).collect();
        items.into_iter().collect()
    }

    fn example() -> &'static str {
        "[...]"
    }

    fn show(items: &Self::Output) -> String {
        let items: Vec<_> = items.iter().map(|item| S::show(item).replace('`', "")).collect();
        format!("`[{}]`", items.join(", "))
    }
}

impl<S: Shape> Shape for IndexMap<String, S> {
    type Output = IndexMap<String, S::Output>;

    fn ty() -> TypeDoc {
        TypeDoc::new(format!("map of names to: {}", S::ty().name))
    }

    fn decode(node: &Node, cx: &mut Decoder<'_>) -> Option<Self::Output> {
        let Content::Map(pairs) = &node.content else {
            cx.wrong(node, "a map", &format!("{{ name: {} }}", S::example()));
            return None;
        };
        let read = |(key, node): &(crate::yaml::Key, Node)| {
            let value = cx.inside(key.text.as_str(), |cx| S::decode(node, cx));
            value.map(|value| (key.text.clone(), value))
        };
        let pairs: Vec<_> = pairs.iter().map(read).collect();
        pairs.into_iter().collect()
    }

    fn example() -> &'static str {
        "{ ... }"
    }

    fn show(_: &Self::Output) -> String {
        "`{}`".to_owned()
    }
}

impl<T: Target> Shape for IdOf<T> {
    type Output = EntryId;

    fn ty() -> TypeDoc {
        TypeDoc::new(format!("ID of {}", T::WHAT))
    }

    fn decode(node: &Node, cx: &mut Decoder<'_>) -> Option<EntryId> {
        let Some(text) = node.as_text() else {
            cx.wrong(node, &format!("the ID of {}", T::WHAT), Self::example());
            return None;
        };
        let own = cx.scope.id.map_or("", EntryId::namespace);
        match EntryId::parse_in(own, text) {
            Ok(id) => {
                if let Some(from) = cx.scope.id {
                    cx.references.push(Reference {
                        from: from.clone(),
                        to: id.clone(),
                        field: cx.path(),
                        span: node.span,
                        what: T::WHAT,
                        kinds: T::KINDS,
                        optional: false,
                    });
                }
                Some(id)
            }
            Err(_) => {
                let message = format!("`{}`: {text:?} is no entry ID", cx.path());
                let help = "write it as namespace:name, or as the name alone for an entry of \
                            this namespace";
                cx.error("bad-id", node.span, message, help);
                None
            }
        }
    }

    fn example() -> &'static str {
        "namespace:name"
    }

    fn show(id: &EntryId) -> String {
        plain(id)
    }
}

impl Shape for Imports {
    type Output = Grants;

    fn ty() -> TypeDoc {
        let names: Vec<_> = Grants::NAMES.iter().map(|name| format!("`{name}`")).collect();
        TypeDoc::new(format!("list of: {}", names.join(", ")))
    }

    fn decode(node: &Node, cx: &mut Decoder<'_>) -> Option<Grants> {
        let Content::List(items) = &node.content else {
            cx.wrong(node, "a list of host imports", "[wasi:cli, wasi:http]");
            return None;
        };
        let mut grants = Some(Grants::NONE);
        for (index, item) in items.iter().enumerate() {
            let granted = cx.inside(format!("[{index}]"), |cx| import(item, cx));
            grants = grants.zip(granted).map(|(all, more)| all.union(more));
        }
        grants
    }

    fn show(_: &Grants) -> String {
        "`[]`".to_owned()
    }
}

fn import(node: &Node, cx: &mut Decoder<'_>) -> Option<Grants> {
    let Some(text) = node.as_text() else {
        cx.wrong(node, "the name of a host import", "wasi:cli");
        return None;
    };
    match Grants::parse(text) {
        Ok(grants) => Some(grants),
        Err(_) => {
            let known = Grants::NAMES.join(", ");
            let help = match suggest::nearest(text, Grants::NAMES) {
                Some(near) => format!("did you mean `{near}`? known are: {known}"),
                None => format!("known are: {known}"),
            };
            let message = format!("`{}`: {text:?} is no host import", cx.path());
            cx.error("unknown-import", node.span, message, help);
            None
        }
    }
}

const HASH_NEXT: &str = "run `wippy hash --write`, which fills it in";

impl Shape for Pin {
    type Output = HashPin;

    fn ty() -> TypeDoc {
        TypeDoc::new("`sha256:` and 64 hexadecimal digits")
    }

    fn decode(node: &Node, cx: &mut Decoder<'_>) -> Option<HashPin> {
        if let Some(hash) = node.as_text().and_then(Hash::parse) {
            return Some(HashPin::Sha256(hash));
        }
        if cx.scope.unfilled_hashes {
            return Some(HashPin::Unfilled);
        }
        let (code, problem) = match node.as_text() {
            Some(text) if is_placeholder(text) => {
                ("unfilled-hash", format!("{text:?} is not filled in yet"))
            }
            _ => {
                let expected = "expected sha256: and 64 hexadecimal digits";
                ("bad-hash", format!("{expected}, found {}", node.content))
            }
        };
        let message = format!("`{}`: {problem}", cx.path());
        cx.error(code, node.span, message, HASH_NEXT);
        None
    }

    fn missing(span: Span, cx: &mut Decoder<'_>) -> Option<HashPin> {
        if cx.scope.unfilled_hashes {
            return Some(HashPin::Unfilled);
        }
        let message = format!("the required field `{}` is missing", cx.path());
        cx.error("missing-field", span, message, HASH_NEXT);
        None
    }

    fn show(_: &HashPin) -> String {
        String::new()
    }
}

impl Shape for SourceShape {
    type Output = SourceText;

    fn ty() -> TypeDoc {
        TypeDoc::new("text, or `file://` and a file")
    }

    fn decode(node: &Node, cx: &mut Decoder<'_>) -> Option<SourceText> {
        let Some(text) = node.as_text() else {
            cx.wrong(node, "text, or file:// and the name of a file", Self::example());
            return None;
        };
        match SourceText::read(text, node.span, &cx.scope) {
            Ok(source) => Some(source),
            Err((message, help)) => {
                let message = format!("`{}`: {message}", cx.path());
                cx.error("bad-source", node.span, message, help);
                None
            }
        }
    }

    fn example() -> &'static str {
        "file://main.lua"
    }

    fn show(_: &SourceText) -> String {
        String::new()
    }
}

/// Reads one name of a choice.
pub(crate) fn decode_choice<T>(
    node: &Node,
    cx: &mut Decoder<'_>,
    names: &'static [&'static str],
    from_name: fn(&str) -> Option<T>,
) -> Option<T> {
    let choice = node.as_text().and_then(from_name);
    if choice.is_none() {
        let expected = names.join(" or ");
        let message = format!("`{}`: expected {expected}, found {}", cx.path(), node.content);
        let near = node.as_text().and_then(|text| suggest::nearest(text, names.iter().copied()));
        let example = near.or(names.first().copied()).unwrap_or("");
        let diagnostic = cx.diagnostic(Diagnostic::error, "wrong-type", node.span, message);
        let diagnostic = diagnostic.help(cx.write_it(example));
        cx.found.push(diagnostic);
    }
    choice
}

/// Reads a duration as Go writes it: numbers with the units h, m, s, ms, us and ns.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, more) = rest.split_at_checked(digits)?;
        let unit_len = more.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(more.len());
        let (unit, more) = more.split_at_checked(unit_len)?;
        let unit_ns: u64 = match unit {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" | "μs" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let mut ns = whole.checked_mul(unit_ns)?;
        let mut place_ns = unit_ns;
        for digit in fraction.bytes() {
            place_ns /= 10;
            let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
            ns = ns.checked_add(place_ns * u64::from(digit))?;
        }
        total = total.checked_add(Duration::from_nanos(ns))?;
        rest = more;
    }
    (!text.is_empty()).then_some(total)
}

/// Writes a duration in its largest whole unit.
pub(crate) fn show_duration(duration: Duration) -> String {
    match duration.as_nanos() {
        0 => "0".to_owned(),
        ns if ns % 3_600_000_000_000 == 0 => format!("{}h", ns / 3_600_000_000_000),
        ns if ns % 1_000_000_000 == 0 => format!("{}s", ns / 1_000_000_000),
        ns if ns % 1_000_000 == 0 => format!("{}ms", ns / 1_000_000),
        ns => format!("{ns}ns"),
    }
}

/// Reads a number of bytes with a unit: B, KB, MB, GB (powers of 1000), KiB, MiB, GiB.
fn byte_size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let unit: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, expected) in [
            ("30s", Some(Duration::from_secs(30))),
            ("1m30s", Some(Duration::from_secs(90))),
            ("1.5h", Some(Duration::from_secs(5400))),
            ("250ms", Some(Duration::from_millis(250))),
            (".5s", Some(Duration::from_millis(500))),
            ("1us", Some(Duration::from_micros(1))),
            ("0", Some(Duration::ZERO)),
            ("", None),
            ("30", None),
            ("s", None),
            (".s", None),
            ("-1s", None),
            ("1 s", None),
            ("1d", None),
            ("1.2.3s", None),
            ("99999999999h", None),
        ] {
            assert_eq!(parse_duration(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("64MiB", Some(64 << 20)),
            ("64 MiB", Some(64 << 20)),
            ("1KB", Some(1000)),
            ("12", Some(12)),
            ("MiB", None),
            ("1.5MiB", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(byte_size(text), expected, "{text}");
        }
    }
}
