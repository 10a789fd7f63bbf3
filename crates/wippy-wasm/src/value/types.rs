//! The type of a value, as a tree of its own.
//!
//! wasmtime's types are handles into a component: each look costs atomics, they name no
//! core types, and none can be made without compiling something. This tree is made from
//! them once, when a method is loaded. It says nothing about which resource a handle is
//! of: wasmtime checks that itself.
//!
//! Limits: [`TYPE_NODES_MAX`] parts. Depth is bounded by wasm validation (100).

use std::fmt;

use wasmtime::component::types;
use wippy_model::Error;

/// The most parts (fields, cases, elements, nested types) of one type.
pub const TYPE_NODES_MAX: usize = 100_000;

/// The type of a parameter or a result. Its text is WIT, with every type spelled in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// `bool`.
    Bool,
    /// `u8`.
    U8,
    /// `u16`.
    U16,
    /// `u32`.
    U32,
    /// `u64`.
    U64,
    /// `s8`.
    S8,
    /// `s16`.
    S16,
    /// `s32`.
    S32,
    /// `s64`.
    S64,
    /// The `i32` of a core function: takes the signed and the unsigned range.
    I32,
    /// The `i64` of a core function: takes the signed and the unsigned range.
    I64,
    /// `f32`.
    F32,
    /// `f64`.
    F64,
    /// `char`.
    Char,
    /// `string`.
    String,
    /// `list<u8>`, which is bytes and not a list of values.
    Bytes,
    /// `list<T>` of anything else.
    List(Box<Type>),
    /// `record`: fields in order.
    Record(Box<[(String, Type)]>),
    /// `tuple`.
    Tuple(Box<[Type]>),
    /// `variant`: cases in order, with their payloads.
    Variant(Box<[(String, Option<Type>)]>),
    /// `enum`: case names in order.
    Enum(Box<[String]>),
    /// `flags`: names in order.
    Flags(Box<[String]>),
    /// `option<T>`.
    Option(Box<Type>),
    /// `result<T, E>`: either arm may have no payload.
    Result(Option<Box<Type>>, Option<Box<Type>>),
    /// `own<R>`: a handle that is handed over.
    Own,
    /// `borrow<R>`: a handle that is lent for one call.
    Borrow,
    /// `stream<T>`.
    Stream(Option<Box<Type>>),
    /// `future<T>`.
    Future(Option<Box<Type>>),
    /// A type that the engine does not switch on; the text names it.
    Other(&'static str),
}

impl Type {
    /// The tree of a component's type.
    ///
    /// # Errors
    ///
    /// Of kind `Invalid`, when the type has more than [`TYPE_NODES_MAX`] parts.
    pub fn new(ty: &types::Type) -> Result<Self, Error> {
        Builder { nodes_left: TYPE_NODES_MAX }.build(ty)
    }

    pub(super) fn is_option(&self) -> bool {
        matches!(self, Self::Option(_))
    }

    /// The first part that has no [`Value`](wippy_model::Value) form yet.
    pub(super) fn unsupported(&self) -> Option<&Self> {
        match self {
            Self::Own | Self::Borrow | Self::Stream(_) | Self::Future(_) | Self::Other(_) => {
                Some(self)
            }
            Self::List(inner) | Self::Option(inner) => inner.unsupported(),
            Self::Record(fields) => fields.iter().find_map(|(_, ty)| ty.unsupported()),
            Self::Tuple(items) => items.iter().find_map(Self::unsupported),
            Self::Variant(cases) => cases.iter().find_map(|(_, ty)| ty.as_ref()?.unsupported()),
            Self::Result(ok, err) => {
                [ok, err].into_iter().flatten().find_map(|ty| ty.unsupported())
            }
            _ => None,
        }
    }
}

struct Builder {
    nodes_left: usize,
}

impl Builder {
    fn build(&mut self, ty: &types::Type) -> Result<Type, Error> {
        self.count()?;
        Ok(match ty {
            types::Type::Bool => Type::Bool,
            types::Type::S8 => Type::S8,
            types::Type::U8 => Type::U8,
            types::Type::S16 => Type::S16,
            types::Type::U16 => Type::U16,
            types::Type::S32 => Type::S32,
            types::Type::U32 => Type::U32,
            types::Type::S64 => Type::S64,
            types::Type::U64 => Type::U64,
            types::Type::Float32 => Type::F32,
            types::Type::Float64 => Type::F64,
            types::Type::Char => Type::Char,
            types::Type::String => Type::String,
            types::Type::List(list) => match list.ty() {
                types::Type::U8 => Type::Bytes,
                item => Type::List(Box::new(self.build(&item)?)),
            },
            types::Type::Record(record) => Type::Record(
                record
                    .fields()
                    .map(|field| Ok((self.name(field.name)?, self.build(&field.ty)?)))
                    .collect::<Result<_, Error>>()?,
            ),
            types::Type::Tuple(tuple) => {
                Type::Tuple(tuple.types().map(|ty| self.build(&ty)).collect::<Result<_, Error>>()?)
            }
            types::Type::Variant(variant) => Type::Variant(
                variant
                    .cases()
                    .map(|case| {
                        let payload = case.ty.map(|ty| self.build(&ty)).transpose()?;
                        Ok((self.name(case.name)?, payload))
                    })
                    .collect::<Result<_, Error>>()?,
            ),
            types::Type::Enum(names) => Type::Enum(self.names(names.names())?),
            types::Type::Flags(names) => Type::Flags(self.names(names.names())?),
            types::Type::Option(option) => Type::Option(Box::new(self.build(&option.ty())?)),
            types::Type::Result(result) => {
                Type::Result(self.payload(result.ok())?, self.payload(result.err())?)
            }
            types::Type::Own(_) => Type::Own,
            types::Type::Borrow(_) => Type::Borrow,
            types::Type::Stream(stream) => Type::Stream(self.payload(stream.ty())?),
            types::Type::Future(future) => Type::Future(self.payload(future.ty())?),
            types::Type::ErrorContext => Type::Other("error-context"),
            types::Type::Map(_) => Type::Other("map"),
            types::Type::FixedLengthList(_) => Type::Other("list of fixed length"),
        })
    }

    fn count(&mut self) -> Result<(), Error> {
        self.nodes_left = self.nodes_left.checked_sub(1).ok_or_else(|| {
            Error::invalid(format!("a type has more than {TYPE_NODES_MAX} parts"))
        })?;
        Ok(())
    }

    fn payload(&mut self, ty: Option<types::Type>) -> Result<Option<Box<Type>>, Error> {
        ty.map(|ty| self.build(&ty).map(Box::new)).transpose()
    }

    fn name(&mut self, name: &str) -> Result<String, Error> {
        self.count()?;
        Ok(name.to_owned())
    }

    fn names<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> Result<Box<[String]>, Error> {
        names.map(|name| self.name(name)).collect()
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::U8 => f.write_str("u8"),
            Self::U16 => f.write_str("u16"),
            Self::U32 => f.write_str("u32"),
            Self::U64 => f.write_str("u64"),
            Self::S8 => f.write_str("s8"),
            Self::S16 => f.write_str("s16"),
            Self::S32 | Self::I32 => f.write_str("s32"),
            Self::S64 | Self::I64 => f.write_str("s64"),
            Self::F32 => f.write_str("f32"),
            Self::F64 => f.write_str("f64"),
            Self::Char => f.write_str("char"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("list<u8>"),
            Self::List(item) => write!(f, "list<{item}>"),
            Self::Option(inner) => write!(f, "option<{inner}>"),
            Self::Record(fields) => {
                braces(f, "record", fields, |f, (name, ty)| write!(f, "{name}: {ty}"))
            }
            Self::Variant(cases) => braces(f, "variant", cases, |f, (name, ty)| match ty {
                Some(ty) => write!(f, "{name}({ty})"),
                None => f.write_str(name),
            }),
            Self::Enum(names) => braces(f, "enum", names, |f, name| f.write_str(name)),
            Self::Flags(names) => braces(f, "flags", names, |f, name| f.write_str(name)),
            Self::Tuple(items) => {
                f.write_str("tuple<")?;
                separated(f, items, |f, item| write!(f, "{item}"))?;
                f.write_str(">")
            }
            Self::Result(None, None) => f.write_str("result"),
            Self::Result(Some(ok), None) => write!(f, "result<{ok}>"),
            Self::Result(None, Some(err)) => write!(f, "result<_, {err}>"),
            Self::Result(Some(ok), Some(err)) => write!(f, "result<{ok}, {err}>"),
            Self::Own => f.write_str("own<resource>"),
            Self::Borrow => f.write_str("borrow<resource>"),
            Self::Stream(None) => f.write_str("stream"),
            Self::Stream(Some(item)) => write!(f, "stream<{item}>"),
            Self::Future(None) => f.write_str("future"),
            Self::Future(Some(item)) => write!(f, "future<{item}>"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

fn braces<T>(
    f: &mut fmt::Formatter<'_>,
    word: &str,
    items: &[T],
    each: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    write!(f, "{word} {{ ")?;
    separated(f, items, each)?;
    f.write_str(" }")
}

fn separated<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    each: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        each(f, item)?;
    }
    Ok(())
}
