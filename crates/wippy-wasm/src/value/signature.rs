//! A function's name, parameters and result, as they are checked and shown.

use std::fmt;

use wasmtime::component::types::ComponentFunc;
use wippy_model::Error;

use super::mismatch::shorten;
use super::types::Type;

/// The most characters of a signature that an error shows.
const SHOWN_CHARS_MAX: usize = 600;

/// What a function takes and gives. Its text is WIT: `compute: func(a: s32, b: s32) -> s32`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The name under which the function is shown.
    pub name: String,
    /// Whether it is an `async` function of WASI 0.3.
    pub is_async: bool,
    /// Names and types of the parameters.
    pub params: Vec<(String, Type)>,
    /// The type of the result.
    pub result: Option<Type>,
}

impl Signature {
    /// The signature of a component's function.
    ///
    /// # Errors
    ///
    /// Of kind `Invalid`, when a type is too large.
    pub fn new(name: impl Into<String>, func: &ComponentFunc) -> Result<Self, Error> {
        Ok(Self {
            name: name.into(),
            is_async: func.async_(),
            params: func
                .params()
                .map(|(name, ty)| Ok((name.to_owned(), Type::new(&ty)?)))
                .collect::<Result<_, Error>>()?,
            result: func.results().next().map(|ty| Type::new(&ty)).transpose()?,
        })
    }

    /// The type of the value with which a process of this method exits: the payload of
    /// `ok` where the result is a `result`.
    pub fn exit_type(&self) -> Option<&Type> {
        match &self.result {
            Some(Type::Result(ok, _)) => ok.as_deref(),
            other => other.as_ref(),
        }
    }

    /// The type of the error with which a process of this method fails: the payload of
    /// `err` where the result is a `result`.
    pub fn error_type(&self) -> Option<&Type> {
        match &self.result {
            Some(Type::Result(_, err)) => err.as_deref(),
            _ => None,
        }
    }

    /// Refuses what no value can be made for: handles, streams and futures.
    ///
    /// # Errors
    ///
    /// Of kind `Invalid`, naming the type and showing the signature.
    pub fn check_supported(&self) -> Result<(), Error> {
        let types = self.params.iter().map(|(_, ty)| ty).chain(&self.result);
        match types.into_iter().find_map(Type::unsupported) {
            None => Ok(()),
            Some(ty) => Err(Error::invalid(format!(
                "a call from outside cannot pass {ty}; the signature is {}",
                self.shown()
            ))),
        }
    }

    /// The text for an error: long ones are cut.
    pub(super) fn shown(&self) -> String {
        shorten(&self.to_string(), SHOWN_CHARS_MAX)
    }

    /// The error of a wrong number of arguments.
    pub(super) fn wrong_count(&self, given: usize, required: usize) -> Error {
        let takes = match (self.params.len(), required) {
            (0, _) => "no arguments".to_owned(),
            (1, 1) => "1 argument".to_owned(),
            (all, required) if all == required => format!("{all} arguments"),
            (all, required) => format!("{required} to {all} arguments"),
        };
        Error::invalid(format!(
            "{} takes {takes}, got {given}; the signature is {}",
            self.name,
            self.shown()
        ))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_async { "async func" } else { "func" };
        write!(f, "{}: {word}(", self.name)?;
        for (index, (name, ty)) in self.params.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{name}: {ty}")?;
        }
        f.write_str(")")?;
        match &self.result {
            Some(ty) => write!(f, " -> {ty}"),
            None => Ok(()),
        }
    }
}

/// The place of a parameter in an error: `argument 1 "users"`.
pub(super) fn place(index: usize, name: &str) -> String {
    format!("argument {} \"{name}\"", index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_wit() {
        let point = Type::Record([("x".into(), Type::S32), ("y".into(), Type::F64)].into());
        let shape = Type::Variant(
            [("circle".into(), Some(Type::F32)), ("all".into(), Some(point)), ("no".into(), None)]
                .into(),
        );
        let names: Box<[String]> = ["a".into(), "b".into()].into();
        let boxed = |ty: Type| Some(Box::new(ty));
        let signature = Signature {
            name: "f".into(),
            is_async: false,
            params: vec![
                ("s".into(), Type::List(Box::new(shape))),
                ("e".into(), Type::Option(Box::new(Type::Enum(names.clone())))),
                ("t".into(), Type::Tuple([Type::Bytes, Type::Flags(names)].into())),
                ("r".into(), Type::Result(None, None)),
                ("ok".into(), Type::Result(boxed(Type::U8), None)),
                ("err".into(), Type::Result(None, boxed(Type::Char))),
            ],
            result: Some(Type::Result(boxed(Type::String), boxed(Type::I64))),
        };
        assert_eq!(
            signature.to_string(),
            "f: func(s: list<variant { circle(f32), all(record { x: s32, y: f64 }), no }>, \
             e: option<enum { a, b }>, t: tuple<list<u8>, flags { a, b }>, r: result, \
             ok: result<u8>, err: result<_, char>) -> result<string, s64>"
        );
        assert_eq!(signature.exit_type(), Some(&Type::String));
        assert_eq!(signature.error_type(), Some(&Type::I64));
        let bare = Signature { params: vec![], result: None, is_async: true, ..signature };
        assert_eq!(bare.to_string(), "f: async func()");
    }

    #[test]
    fn what_has_no_value_is_refused() {
        let stream = Type::List(Box::new(Type::Stream(Some(Box::new(Type::U8)))));
        let signature = Signature {
            name: "f".into(),
            is_async: false,
            params: vec![("s".into(), stream)],
            result: None,
        };
        assert_eq!(
            signature.check_supported().unwrap_err().message(),
            "a call from outside cannot pass stream<u8>; the signature is \
             f: func(s: list<stream<u8>>)"
        );
    }
}
