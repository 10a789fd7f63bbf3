//! WAVE, the text form of WIT values: what the command line takes and prints.
//!
//! The `wasm-wave` crate reads the text; this file walks its syntax tree by type. Its own
//! conversion needs a dynamic value per byte of a list, and its errors name neither the
//! parameter nor what was found.
//!
//! Beyond WAVE, a `list<u8>` may be written as a string, and `{}` is an empty record as
//! well as empty flags. As in WAVE, `some(...)` and `ok(...)` may be left away where the
//! payload is neither an option nor a result.
//!
//! Limits: a text nests 100 deep.

mod print;

use wasm_wave::ast::{Node, NodeType};
use wasm_wave::parser::ParserErrorKind;
use wasm_wave::untyped::UntypedValue;
use wippy_model::{Error, Map, Value};

pub use print::print;

use super::lift::single;
use super::mismatch::{TEXT_CHARS_MAX, shorten};
use super::option;
use super::signature::{Signature, place};
use super::types::Type;
use super::{near, option::present};

/// Reads the arguments of a command line.
///
/// A `string` parameter takes the text as it is, every other type is read as WAVE.
/// Trailing `option` parameters may be left out.
///
/// # Errors
///
/// Of kind `Invalid`, when the number of arguments is wrong or a text is no value of its
/// type. The error names the parameter, what was found and where, and shows the signature.
pub fn parse_args(signature: &Signature, args: &[String]) -> Result<Vec<Value>, Error> {
    let params = &signature.params;
    let optional = params.iter().rev().take_while(|(_, ty)| ty.is_option()).count();
    let required = params.len() - optional;
    if args.len() < required || args.len() > params.len() {
        return Err(signature.wrong_count(args.len(), required));
    }
    let mut texts = args.iter();
    let read = params.iter().enumerate().map(|(index, (name, ty))| match (texts.next(), ty) {
        (None, _) => Ok(Value::Nil),
        (Some(text), Type::String) => Ok(Value::String(text.clone())),
        (Some(text), ty) => read(text, ty).map_err(|wrong| {
            let place = place(index, name);
            let shown = signature.shown();
            Error::invalid(format!("{place}: {}; the signature is {shown}", wrong.in_text(text)))
        }),
    });
    read.collect()
}

/// Reads one value.
///
/// # Errors
///
/// Of kind `Invalid`, when the text is no value of the type.
pub fn parse(text: &str, ty: &Type) -> Result<Value, Error> {
    read(text, ty).map_err(|wrong| Error::invalid(wrong.in_text(text)))
}

/// What is wrong with a text, and where.
struct Wrong {
    /// In bytes.
    start: usize,
    end: usize,
    text: String,
    /// Whether to add what was found there.
    found: bool,
}

impl Wrong {
    fn expected(node: &Node, expected: impl std::fmt::Display) -> Self {
        let expected = shorten(&expected.to_string(), 2 * TEXT_CHARS_MAX);
        Self { found: true, ..Self::at(node, format!("expected {expected}")) }
    }

    fn at(node: &Node, text: String) -> Self {
        let span = node.span();
        Self { start: span.start, end: span.end, text, found: false }
    }

    /// The text for the user: `expected s32, found x at column 5`.
    fn in_text(&self, text: &str) -> String {
        let found = text.get(self.start..self.end).unwrap_or_default();
        let mut wrong = self.text.clone();
        if self.found {
            wrong += &format!(", found {}", shorten(found, TEXT_CHARS_MAX));
        }
        if found.trim() != text.trim() {
            let before = text.get(..self.start).unwrap_or(text);
            wrong += &format!(" at column {}", before.chars().count() + 1);
        }
        wrong
    }
}

fn read(text: &str, ty: &Type) -> Result<Value, Wrong> {
    let tree = UntypedValue::parse(text).map_err(|error| {
        let span = error.span();
        let text = match error.kind() {
            ParserErrorKind::UnexpectedEnd => {
                format!("expected {}, found the end of the text", shorten(&ty.to_string(), 80))
            }
            kind => match error.detail() {
                Some(detail) => format!("{kind} {detail}"),
                None => kind.to_string(),
            },
        };
        Wrong { start: span.start, end: span.end, text, found: false }
    })?;
    Reader { source: text }.value(tree.node(), ty)
}

struct Reader<'a> {
    source: &'a str,
}

impl Reader<'_> {
    fn value(&self, node: &Node, ty: &Type) -> Result<Value, Wrong> {
        let wrong = |_| Wrong::expected(node, ty);
        Ok(match ty {
            Type::Bool => Value::Bool(node.as_bool().map_err(wrong)?),
            Type::U8 => self.whole::<u8>(node, ty)?,
            Type::U16 => self.whole::<u16>(node, ty)?,
            Type::U32 => self.whole::<u32>(node, ty)?,
            Type::U64 => Value::from(node.as_number::<u64>(self.source).map_err(wrong)?),
            Type::S8 => self.whole::<i8>(node, ty)?,
            Type::S16 => self.whole::<i16>(node, ty)?,
            Type::S32 => self.whole::<i32>(node, ty)?,
            Type::S64 => self.whole::<i64>(node, ty)?,
            Type::I32 => self.whole::<i32>(node, ty).or_else(|_| self.whole::<u32>(node, ty))?,
            Type::I64 => match node.as_number::<i64>(self.source) {
                Ok(number) => Value::Int(number),
                Err(_) => Value::from(node.as_number::<u64>(self.source).map_err(wrong)?),
            },
            Type::F32 => {
                let number: f32 = node.as_number(self.source).map_err(wrong)?;
                Value::Float(number.into())
            }
            Type::F64 => Value::Float(node.as_number(self.source).map_err(wrong)?),
            Type::Char => Value::String(node.as_char(self.source).map_err(wrong)?.into()),
            Type::String => Value::String(self.text(node, ty)?),
            Type::Bytes => Value::Bytes(self.bytes(node, ty)?),
            Type::List(item) => {
                let nodes = node.as_list().map_err(wrong)?;
                Value::List(nodes.map(|node| self.item(node, item)).collect::<Result<_, _>>()?)
            }
            Type::Tuple(types) => {
                let nodes = node.as_tuple().map_err(wrong)?;
                if nodes.len() != types.len() {
                    return Err(Wrong::expected(node, ty));
                }
                let both = nodes.zip(types);
                Value::List(both.map(|(node, ty)| self.item(node, ty)).collect::<Result<_, _>>()?)
            }
            Type::Record(fields) => self.record(node, fields, ty)?,
            Type::Variant(cases) => {
                let (name, payload) = node.as_variant(self.source).map_err(wrong)?;
                let Some((name, ty)) = cases.iter().find(|(case, _)| case == name) else {
                    let names = cases.iter().map(|(name, _)| name.as_str());
                    return Err(unknown(node, name, names, ty));
                };
                match self.payload(node, name, ty.as_ref(), payload)? {
                    Some(value) => single(name, value),
                    None => Value::String(name.clone()),
                }
            }
            Type::Result(ok, err) => {
                let (name, ty, payload) = match (node.as_result(), ok) {
                    (Ok(Ok(payload)), ok) => ("ok", ok, payload),
                    (Ok(Err(payload)), _) => ("err", err, payload),
                    (Err(_), Some(payload)) if is_plain(payload) => ("ok", ok, Some(node)),
                    (Err(_), _) => return Err(Wrong::expected(node, ty)),
                };
                let payload = self.payload(node, name, ty.as_deref(), payload)?;
                single(name, payload.unwrap_or(Value::Bool(true)))
            }
            Type::Enum(names) => {
                let name = node.as_enum(self.source).map_err(wrong)?;
                if !names.iter().any(|known| known == name) {
                    return Err(unknown(node, name, names.iter().map(String::as_str), ty));
                }
                Value::String(name.to_owned())
            }
            Type::Flags(names) => self.flags(node, names, ty)?,
            Type::Option(inner) => match node.as_option() {
                Ok(None) => Value::Nil,
                Ok(Some(node)) => option::some(self.value(node, inner)?, inner),
                Err(_) if is_plain(inner) => self.value(node, inner)?,
                Err(_) => return Err(Wrong::expected(node, ty)),
            },
            Type::Own | Type::Borrow | Type::Stream(_) | Type::Future(_) | Type::Other(_) => {
                return Err(Wrong::at(node, format!("{ty} cannot be written as text")));
            }
        })
    }

    /// A value where nothing can be absent.
    fn item(&self, node: &Node, ty: &Type) -> Result<Value, Wrong> {
        Ok(present(self.value(node, ty)?, ty))
    }

    fn whole<T>(&self, node: &Node, ty: &Type) -> Result<Value, Wrong>
    where
        T: std::str::FromStr + Into<i64>,
    {
        match node.as_number::<T>(self.source) {
            Ok(number) => Ok(Value::Int(number.into())),
            Err(_) => Err(Wrong::expected(node, ty)),
        }
    }

    fn text(&self, node: &Node, ty: &Type) -> Result<String, Wrong> {
        match node.as_str(self.source) {
            Ok(text) => Ok(text.into_owned()),
            Err(_) if node.ty() == NodeType::Label => {
                Err(Wrong::expected(node, format!("{ty} in double quotes")))
            }
            Err(_) => Err(Wrong::expected(node, ty)),
        }
    }

    fn bytes(&self, node: &Node, ty: &Type) -> Result<Vec<u8>, Wrong> {
        match node.as_list() {
            Ok(nodes) => nodes
                .map(|node| {
                    let wrong = |_| Wrong::expected(node, &Type::U8);
                    node.as_number::<u8>(self.source).map_err(wrong)
                })
                .collect(),
            Err(_) => match node.as_str(self.source) {
                Ok(text) => Ok(text.into_owned().into_bytes()),
                Err(_) => Err(Wrong::expected(node, ty)),
            },
        }
    }

    fn record(&self, node: &Node, fields: &[(String, Type)], ty: &Type) -> Result<Value, Wrong> {
        let mut given: Map = Map::new();
        // An empty record and no flags look alike.
        if !is_empty_flags(node, self.source) {
            let nodes = node.as_record(self.source).map_err(|_| Wrong::expected(node, ty))?;
            for (name, value) in nodes {
                let Some((_, field)) = fields.iter().find(|(field, _)| field == name) else {
                    let names = fields.iter().map(|(name, _)| name.as_str());
                    return Err(unknown(node, name, names, ty));
                };
                given.insert(name.to_owned(), self.value(value, field)?);
            }
        }
        let mut record = Map::with_capacity(fields.len());
        for (name, field) in fields {
            let value = match given.swap_remove(name) {
                Some(value) => value,
                None if field.is_option() => Value::Nil,
                None => return Err(Wrong::at(node, format!("field {name} is missing"))),
            };
            record.insert(name.clone(), value);
        }
        Ok(Value::Map(record))
    }

    fn flags(&self, node: &Node, names: &[String], ty: &Type) -> Result<Value, Wrong> {
        let empty = node.as_record(self.source).is_ok_and(|fields| fields.len() == 0);
        let mut given = Vec::new();
        if !empty {
            let labels = node.as_flags(self.source).map_err(|_| Wrong::expected(node, ty))?;
            given.extend(labels.map(|label| label.strip_prefix('%').unwrap_or(label)));
        }
        if let Some(name) = given.iter().find(|given| !names.iter().any(|name| name == **given)) {
            return Err(unknown(node, name, names.iter().map(String::as_str), ty));
        }
        let set = names.iter().filter(|name| given.contains(&name.as_str()));
        Ok(Value::Map(set.map(|name| (name.clone(), Value::Bool(true))).collect()))
    }

    fn payload(
        &self,
        node: &Node,
        name: &str,
        ty: Option<&Type>,
        payload: Option<&Node>,
    ) -> Result<Option<Value>, Wrong> {
        match (ty, payload) {
            (Some(ty), Some(node)) => self.item(node, ty).map(Some),
            (None, None) => Ok(None),
            (Some(ty), None) => {
                Err(Wrong::at(node, format!("{name} needs a payload: {name}({ty})")))
            }
            (None, Some(_)) => Err(Wrong::at(node, format!("{name} has no payload"))),
        }
    }
}

/// Whether the payload of an option or a result may stand without `some` or `ok`.
fn is_plain(ty: &Type) -> bool {
    !matches!(ty, Type::Option(_) | Type::Result(..))
}

fn is_empty_flags(node: &Node, source: &str) -> bool {
    node.as_flags(source).is_ok_and(|mut flags| flags.next().is_none())
}

fn unknown<'a>(
    node: &Node,
    given: &str,
    mut names: impl Iterator<Item = &'a str>,
    ty: &Type,
) -> Wrong {
    match names.find(|name| near::is_near(given, name)) {
        Some(name) => Wrong::at(node, format!("unknown name {given}, did you mean {name}?")),
        None => {
            let ty = shorten(&ty.to_string(), 2 * TEXT_CHARS_MAX);
            Wrong::at(node, format!("unknown name {given} in {ty}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature() -> Signature {
        let point = Type::Record([("x".into(), Type::S32), ("y".into(), Type::S32)].into());
        let color = Type::Enum(["red".into(), "none".into()].into());
        Signature {
            name: "f".into(),
            is_async: false,
            params: vec![
                ("a".into(), Type::S32),
                ("p".into(), point),
                ("s".into(), Type::String),
                ("c".into(), Type::Option(Box::new(color))),
                ("o".into(), Type::Option(Box::new(Type::String))),
            ],
            result: None,
        }
    }

    fn parse_all(args: &[&str]) -> Result<Vec<Value>, Error> {
        let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        parse_args(&signature(), &args)
    }

    #[test]
    fn arguments() {
        let point = Value::map([("x", Value::Int(1)), ("y", Value::Int(-2))]);
        assert_eq!(
            parse_all(&["6", "{y: -2, x: 1}", "[not wave", "%none", "\"b\\n\""]).unwrap(),
            vec![
                Value::Int(6),
                point.clone(),
                Value::from("[not wave"),
                Value::from("none"),
                Value::from("b\n"),
            ]
        );
        assert_eq!(
            parse_all(&["6", "{x: 1, y: -2}", "", "none"]).unwrap(),
            vec![Value::Int(6), point, Value::from(""), Value::Nil, Value::Nil]
        );
    }

    #[test]
    fn mistakes() {
        let signature = signature().to_string();
        for (args, message) in [
            (&["6"][..], "f takes 3 to 5 arguments, got 1"),
            (&["x", "{x: 1, y: 2}", ""], "argument 1 \"a\": expected s32, found x"),
            (&["1.5", "{x: 1, y: 2}", ""], "argument 1 \"a\": expected s32, found 1.5"),
            (
                &["3000000000", "{x: 1, y: 2}", ""],
                "argument 1 \"a\": expected s32, found 3000000000",
            ),
            (
                &["", "{x: 1, y: 2}", ""],
                "argument 1 \"a\": expected s32, found the end of the text",
            ),
            (
                &["6 7", "{x: 1, y: 2}", ""],
                "argument 1 \"a\": trailing characters after value at column 3",
            ),
            (&["6", "{x: 1}", ""], "argument 2 \"p\": field y is missing"),
            (
                &["6", "{x: 1, y: true}", ""],
                "argument 2 \"p\": expected s32, found true at column 11",
            ),
            (
                &["6", "{x: 1, z: 1}", ""],
                "argument 2 \"p\": unknown name z in record { x: s32, y: s32 }",
            ),
            (&["6", "[1]", ""], "argument 2 \"p\": expected record { x: s32, y: s32 }, found [1]"),
            (
                &["6", "{x: 1, y: 2}", "", "rde"],
                "argument 4 \"c\": unknown name rde, did you mean red?",
            ),
            (
                &["6", "{x: 1, y: 2}", "", "none", "hello"],
                "argument 5 \"o\": expected string in double quotes, found hello",
            ),
            (
                &["6", "{x: 1, y: 2", ""],
                "argument 2 \"p\": expected record { x: s32, y: s32 }, found the end of the text at column 12",
            ),
            (&["ä€", "{x: 1, y: 2}", ""], "argument 1 \"a\": invalid token at column 1"),
        ] {
            let error = parse_all(args).expect_err(message);
            assert_eq!(error.message(), format!("{message}; the signature is {signature}"));
        }
    }

    #[test]
    fn bytes_may_be_text() {
        assert_eq!(parse("\"ab\"", &Type::Bytes).unwrap(), Value::Bytes(b"ab".to_vec()));
        assert_eq!(parse("[1, 255]", &Type::Bytes).unwrap(), Value::Bytes(vec![1, 255]));
        let error = parse("[1, 256]", &Type::Bytes).unwrap_err();
        assert_eq!(error.message(), "expected u8, found 256 at column 5");
    }

    #[test]
    fn prints() {
        let option = Type::Option(Box::new(Type::F32));
        let record = Type::Record([("a".into(), option.clone()), ("b".into(), Type::Char)].into());
        let empty = Type::Record([("a".into(), option.clone())].into());
        let cases = Type::Enum(["none".into(), "red".into()].into());
        let result = Type::Result(None, Some(Box::new(Type::String)));
        for (ty, value, text) in [
            (Some(Type::F32), Value::Float(f64::from(0.1_f32)), "0.1"),
            (Some(Type::F64), Value::Float(1.0), "1"),
            (Some(Type::F64), Value::Float(f64::NAN), "nan"),
            (Some(option), Value::Float(0.5), "some(0.5)"),
            (Some(record), Value::map([("a", Value::Nil), ("b", Value::from("'"))]), "{b: '\\''}"),
            (Some(empty), Value::map([("a", Value::Nil)]), "{:}"),
            (Some(cases.clone()), Value::from("none"), "%none"),
            (Some(cases), Value::from("red"), "red"),
            (Some(result.clone()), Value::map([("ok", Value::Bool(true))]), "ok"),
            (Some(result), Value::map([("err", Value::from("\u{1b}[1m"))]), "err(\"\\u{1b}[1m\")"),
            (
                None,
                Value::map([("a-b", Value::Null), ("c d", Value::Int(1))]),
                "{a-b: none, \"c d\": 1}",
            ),
            (None, Value::List(vec![Value::from("x"), Value::Bytes(vec![1])]), "[\"x\", [1]]"),
        ] {
            assert_eq!(print(&value, ty.as_ref()), text);
        }
    }

    /// The generic JSON form needs no types: names are texts, absent is null.
    #[test]
    fn json_of_a_lifted_value() {
        let value = Value::map([
            ("flags", Value::map([("read", Value::Bool(true))])),
            ("none", Value::Nil),
            ("case", Value::from("red")),
            ("result", Value::map([("ok", Value::Bool(true))])),
            ("bytes", Value::Bytes(vec![1])),
        ]);
        assert_eq!(
            value.to_json().to_string(),
            r#"{"flags":{"read":true},"none":null,"case":"red","result":{"ok":true},"bytes":[1]}"#
        );
    }
}
